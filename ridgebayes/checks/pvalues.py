"""How far a statistic of the observed rates lies from those of replicates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

FALSE_ALARM = 0.01
"""Chance that a check of data that are just as the model says finds anything at all."""


class Compared(NamedTuple):
    """A statistic against its replicates.

    Attributes
    ----------
    p
        Chance of a replicate as far out.
    z
        Distance from the replicates' mean in their standard deviations, on the scale of the score.
    """

    p: float
    z: float


def compared(observed: float, replicated: ArrayLike, sides: int = 2, least_sd: float = 0.0) -> Compared:
    """Compare an observed statistic with replicated ones.

    The p-value is the share of replicates as far out, (1 + number)/(1 + replicates), as long as there are
    any. Where there are none it is that of Student's t with the mean and standard deviation of the
    replicates, so it can be smaller than one over their number: statistics are given on a scale on which they
    are close to normal. In both cases it is the p-value of a new draw from the replicates' own distribution.

    Parameters
    ----------
    observed, replicated
        The statistic, and those of the replicates, (replicate,).
    sides
        2: too large or too small; 1: only too large.
    least_sd
        Least standard deviation of the statistic, where replicates may all be equal.
    """
    replicated = np.asarray(replicated, float)
    n = replicated.size
    sd = max(float(replicated.std(ddof=1)), least_sd, 1e-12)
    z = (observed - replicated.mean()) / sd
    above = (1 + int((replicated >= observed).sum())) / (n + 1)
    below = (1 + int((replicated <= observed).sum())) / (n + 1)
    p = above if sides == 1 else min(1.0, 2 * min(above, below))
    if p <= sides / (n + 1) and (z > 0 or sides == 2):
        p = min(p, float(sides * stats.t.sf(abs(z) / np.sqrt(1 + 1 / n), n - 1)))
    return Compared(p, float(z))


def limit(tests: int) -> float:
    """P-value below which one of so many tests has found something (Bonferroni)."""
    return FALSE_ALARM / max(tests, 1)
