"""Intervals cover the truth: the benchmark's missions, as a test that can fail."""

import numpy as np
import pytest
from interval_coverage import covered, one
from scipy import stats


@pytest.mark.slow
def test_ninety_percent_intervals_cover():
    rank = np.concatenate([one(seed, draws=300)[0] for seed in range(500, 520)])
    lo, hi = stats.binom(rank.size, 0.9).ppf([0.005, 0.995])
    assert lo <= covered(rank, 0.9).sum() <= hi
