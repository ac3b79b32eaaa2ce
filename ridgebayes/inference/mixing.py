"""The limits of R-hat, ESS and Pareto k for draws, for the whole package."""

from __future__ import annotations

import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import NDArray

MAX_R_HAT = 1.01
MIN_ESS = 400
"""Vehtari et al. 2021, Bayesian Analysis 16, 667: R-hat below 1.01, bulk ESS of at least 400."""
JUDGED = 1000
"""Fewest draws of all chains together to judge convergence and lengthen the chains."""
MAX_PARETO_K = 0.7
"""Largest Pareto k of importance weights: Vehtari et al. 2024, Journal of Machine Learning Research 25,
72."""
TAILS = 0.05, 0.95
"""Quantiles whose ESS is the tail ESS."""
_FAR_WORSE = 1 / 3
_AXES = {"chain_axis": 0, "draw_axis": 1}


def sticks(z: NDArray) -> bool:
    """Tell whether the ESS of a parameter of draws (chain, draw, parameter) is far below that of most."""
    bulk, tail = _bulk_and_tail(z)
    return bool(min(bulk.min(), tail.min()) < np.median(bulk) * _FAR_WORSE)


def mixed(z: NDArray, *, margin: float = 1.0) -> bool:
    """Tell whether all parameters of draws (chain, draw, parameter) are within the limits.

    A margin above one tightens the limits, so that functions of the parameters are within them, too.
    """
    if not array_stats.rhat(z, **_AXES).max() <= 1.0 + (MAX_R_HAT - 1.0) / margin:
        return False
    bulk, tail = _bulk_and_tail(z)
    return bool(min(bulk.min(), tail.min()) >= MIN_ESS * margin)


def _bulk_and_tail(z: NDArray) -> tuple[NDArray, NDArray]:
    """ESS of the bulk and of the tails of each parameter."""
    return array_stats.ess(z, **_AXES), array_stats.ess(z, method="tail", prob=TAILS, **_AXES)
