"""P-values of statistics of the observed rates against replicates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

FALSE_ALARM = 0.01
"""Probability of any finding for data from the model."""


class Compared(NamedTuple):
    """Comparison of a statistic with its replicates.

    Attributes
    ----------
    p
        P-value: probability of a replicate that is at least as extreme.
    z
        Distance from the mean of the replicates in their standard deviations, on the scale of the score.
    """

    p: float
    z: float


def compared(observed: float, replicated: ArrayLike, sides: int = 2, least_sd: float = 0.0) -> Compared:
    """Compare an observed statistic with replicated ones.

    The p-value is the share of replicates that are at least as extreme, (1 + number)/(1 + replicates). If
    there are none, it is that of Student's t with the mean and standard deviation of the replicates, so it
    can be smaller than one over their number. This requires statistics on a scale on which they are close to
    normal. In both cases it is the p-value of a new draw from the distribution of the replicates.

    Parameters
    ----------
    observed, replicated
        Statistic of the data, and of the replicates, (replicate,).
    sides
        2 for a two-sided test; 1 if only large values count.
    least_sd
        Least standard deviation of the statistic, for replicates that are all equal.
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
    """P-value below which one of `tests` tests has a finding (Bonferroni)."""
    return FALSE_ALARM / max(tests, 1)
