"""What helps a fit whose chains did not do their work: options of ``ridgebayes fit``, ready to be typed."""

from __future__ import annotations

import math
import shlex

import xarray as xr

from ridgebayes.inference.runner import Settings

ENOUGH = Settings.draws
"""Draws a chain that a fit has by default."""
MOST_TIMES = 8
"""More draws mend what lacks so many times of them, at most; what lacks more has another cause."""
_ROOM = 1.3  # an ESS is an estimate
_ROUND = 100
_TIMES = 4
_SKY = "sky.intensity"


def enough() -> str:
    """Return the option of so many draws that they can be judged."""
    return f"--draws {ENOUGH}"


def more_draws(draws: int, times: float) -> str:
    """Return the option of so many times more draws a chain; empty where these would not help.

    Examples
    --------
    >>> more_draws(500, 2.0)
    '--draws 1300'
    """
    if not times <= MOST_TIMES:
        return ""
    return f"--draws {math.ceil(draws * max(times, 1.0) * _ROOM / _ROUND) * _ROUND}"


def clearer(parameters: xr.Dataset, draws: int) -> str:
    """Return the options for chains that do not find their way, however long they are.

    A sky that may be anything lets its intensities and the Crab's rate trade against each other: where the
    data are few, a prior as wide as the Galaxy is bright holds them.
    """
    if _SKY in parameters:
        return shlex.join(["--prior", f"{_SKY}=Normal(0, 1)"])
    return f"--draws {_TIMES * max(draws, ENOUGH)}"
