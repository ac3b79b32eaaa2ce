"""The truth of a simulated mission over time, where the table that was fitted is at hand."""

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
        Crab rate and background level, band → (T,) cts/s. As the level of a fit, it is the background where
        the tracer is at the slow trend that the fit takes from the data.
    scatter
        Scatter from ScW to ScW over the level, band → number.
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
        Where the table is now; by default where it was, and there is no truth where it is no longer there.

    Returns
    -------
    Truth or None
        None for real data, and for a table that does not hold it; without level for a table of an earlier
        version, which does not hold the trend of the tracer.

    Raises
    ------
    InputError
        When `path` is given and is not the table that was fitted.
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
    r"""Return the true background where the tracer is at the slow trend that the fit takes from the data.

    .. math:: L_k(t) [1 + α_k (\hat H(t)/H(t) − 1)]

    with the true trend H and that of the fit, Ĥ, which differs from H by a few per cent: it is estimated, and
    smooth. The level L, at H, cannot be told from the data.

    Parameters
    ----------
    run
        The run.
    truth
        As `ridgebayes.simulate.record.record` makes it.

    Returns
    -------
    (T, K), cts/s; None where the truth does not hold the trend of the tracer.
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
