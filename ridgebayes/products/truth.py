"""The truth of a simulated mission over time, if the fitted table is available."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ridgebayes.errors import InputError
from ridgebayes.runs.run import Run
from ridgebayes.typing import Floats


class Truth(NamedTuple):
    """True slow quantities of a simulated mission.

    Attributes
    ----------
    mjd
        Times, (T,) d.
    crab_rate, level
        Band → Crab rate and background level, (T,) cts/s. Like the level of a fit, it is the background for a
        tracer at its slow trend, which the fit estimates from the data.
    scatter
        Band → scatter from ScW to ScW relative to the level.
    """

    mjd: Floats
    crab_rate: dict[str, Floats]
    level: dict[str, Floats]
    scatter: dict[str, float]


def read_truth(run: Run, path: Path | None = None) -> Truth | None:
    """Read the truth of the table that was fitted.

    Parameters
    ----------
    run
        The run.
    path
        Path of the table; default: its path at the time of the fit (without a table there is no truth).

    Returns
    -------
    Truth or None
        None for real data, and for a table without the truth; without level for a table of an earlier
        version, which lacks the trend of the tracer.

    Raises
    ------
    InputError
        If `path` is given and is not the fitted table.
    """
    if not run.simulated:
        return None
    try:
        truth = run.data(path).truth
    except InputError:
        if path is not None:
            raise
        return None
    if truth is None or not {"mjd", "crab_rate", "level", "sigma", "bands"} <= set(truth):
        return None
    mjd, rate = (np.asarray(truth[name], float) for name in ("mjd", "crab_rate"))
    level = level_at_trend(run, truth)
    column = {name: k for k, name in enumerate(truth["bands"])}
    bands = [str(band) for band in run.record["data"]["bands"] if band in column]
    return Truth(
        mjd,
        {band: rate[:, column[band]] for band in bands},
        {} if level is None else {band: level[:, column[band]] for band in bands},
        {band: float(truth["sigma"][column[band]]) for band in bands},
    )


def level_at_trend(run: Run, truth: Mapping[str, Any]) -> Floats | None:
    r"""Return the true background for a tracer at its slow trend as the fit estimates it.

    .. math:: L_k(t) [1 + α_k (\hat H(t)/H(t) − 1)]

    with the true trend H and the smooth estimate of the fit, Ĥ, which differs from H by a few per cent. The
    data do not determine the level L at H.

    Parameters
    ----------
    run
        The run.
    truth
        As `ridgebayes.simulate.record.record` makes it.

    Returns
    -------
    (T, K), cts/s; None if the truth lacks the trend of the tracer.
    """
    level = np.asarray(truth["level"], float)
    if "tracer" not in truth:
        return None
    if truth["tracer"] is None:
        return level
    constant = run.tree["constant_data"].dataset
    if (constant["tracer_trend"] == 1).all():  # the fitted table has no tracer
        return level
    fitted = np.interp(truth["mjd"], constant["mjd"].values, constant["tracer_trend"].values)
    return level * (1 + np.outer(fitted / np.asarray(truth["tracer"], float) - 1, truth["alpha"]))
