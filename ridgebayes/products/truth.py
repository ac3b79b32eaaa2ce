"""The truth of a simulated mission over time, where the table that was fitted is at hand."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

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
        Crab rate and background level, band → (T,) cts/s.
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
        None for real data, and for a table that does not hold it.

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
    rate, level = (np.asarray(truth[name], float) for name in ("crab_rate", "level"))
    column = {name: k for k, name in enumerate(truth["bands"])}
    bands = [str(band) for band in run.record["data"]["bands"] if band in column]
    return Truth(
        np.asarray(truth["mjd"], float),
        {band: rate[:, column[band]] for band in bands},
        {band: level[:, column[band]] for band in bands},
        {band: float(truth["sigma"][column[band]]) for band in bands},
    )
