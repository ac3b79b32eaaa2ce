"""P-values: uniform for the true model, right far out."""

import numpy as np
from scipy import stats

from ridgebayes.checks.pvalues import compared, limit
from ridgebayes.checks.statistic import counts


def test_uniform_where_data_are_one_more_replicate(rng):
    draws = rng.standard_normal((2000, 41))
    for sides in (1, 2):
        p = np.array([compared(row[0], row[1:], sides).p for row in draws])
        for level in (0.002, 0.01, 0.05, 0.2, 0.5):
            expected = stats.binom.interval(0.999, 2000, level)
            assert (p <= level).sum() <= expected[1]  # never too small
        assert abs(np.median(p) - 0.5) < 0.05


def test_far_out_is_student_s_t(rng):
    replicated = rng.standard_normal(50)
    expected = stats.t.sf((6 - replicated.mean()) / replicated.std(ddof=1) / np.sqrt(1.02), 49)
    np.testing.assert_allclose(compared(6, replicated, 1).p, expected)
    np.testing.assert_allclose(compared(6, replicated).p, 2 * expected)
    assert compared(-6, replicated, 1).p == 1


def test_too_small_counts_where_two_sides_do(rng):
    replicated = rng.standard_normal(50)
    assert compared(-6, replicated).p < 1e-5


def test_rare_events(rng):
    """Of 0.3 expected: three are no finding, thirty are, although no replicate has more than two or three."""
    replicated = counts(rng.poisson(0.3, 100))
    assert compared(counts(np.array(3)), replicated, 1, 0.5).p > limit(30)
    assert compared(counts(np.array(30)), replicated, 1, 0.5).p < limit(30)
    none = np.zeros(100)
    assert compared(0, none, 1, 0.5).p == 1


def test_limit_is_shared():
    assert limit(20) == 0.01 / 20
