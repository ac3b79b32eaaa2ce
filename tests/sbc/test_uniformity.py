"""Bands and p-values against enumeration, SciPy and simulation."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from ridgebayes.sbc.folder import Ranks
from ridgebayes.sbc.one import Result
from ridgebayes.sbc.uniformity import counts_below, holm, p_value, simultaneous_band, uniformity


def made(values, draws, quantities=None, ess=1e9):
    """Ranks as a campaign gives them."""
    values = np.asarray(values)
    quantities = quantities or tuple(f"q[{k}]" for k in range(values.shape[1]))
    results = tuple(Result(i, {}, ess=ess) for i in range(len(values)))
    return Ranks({"sbc": {"draws": draws}}, tuple(quantities), values, results)


@pytest.mark.parametrize(("simulations", "draws", "prob"), [(4, 3, 0.9), (5, 3, 0.5), (6, 2, 0.95)])
def test_band_and_p_value_are_those_of_all_possible_ranks(simulations, draws, prob):
    every = list(product(range(draws + 1), repeat=simulations))
    p = np.array([p_value(ranks, draws) for ranks in every])
    # A p-value is the share of all equally probable outcomes that are at least as far out.
    for value in np.unique(p):
        np.testing.assert_allclose(np.mean(p <= value * (1 + 1e-9)), value, rtol=1e-9)
    band = simultaneous_band(simulations, draws, prob)
    inside = np.array([band.holds(ranks) for ranks in every])
    np.testing.assert_allclose(inside.mean(), band.coverage, rtol=1e-9)
    assert band.coverage >= prob
    # The next narrower one, without the outcomes that are furthest out of those inside, would be too narrow.
    assert np.mean(inside & (p > p[inside].min() * (1 + 1e-9))) < prob


def test_one_fraction_is_the_binomial_test():
    for below in range(30):
        ranks = np.repeat([0, 1], [below, 30 - below])
        np.testing.assert_allclose(p_value(ranks, 1), binomtest(below, 30).pvalue, rtol=1e-9, atol=1e-14)


def test_p_values_of_uniform_ranks_are_uniform(rng):
    ranks = rng.integers(0, 100, (1000, 60))
    p = np.array([p_value(row, 99) for row in ranks])
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(p <= level) - level) < 4 * np.sqrt(level * (1 - level) / len(p))
    band = simultaneous_band(60, 99)
    assert 0.95 <= band.coverage < 0.955
    # Inside its band is what has a p-value above 5 %.
    assert [band.holds(row) for row in ranks] == list(p > 1 - band.coverage + 1e-12)


def test_counts():
    np.testing.assert_array_equal(counts_below([0, 0, 2, 3], 3), [2, 2, 3])


def test_all_ranks_alike_are_impossible():
    assert p_value(np.zeros(50, int), 99) < 1e-12
    assert p_value(np.full(50, 99), 99) < 1e-12


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.5])), [0.04, 0.09, 0.09, 0.5])


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_promised(rng):
    wrong = [not uniformity(made(rng.integers(0, 20, (40, 15)), 19)).uniform for _ in range(200)]
    assert np.mean(wrong) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda u: u**2, "posterior too high"),
        (lambda u: u**0.5, "posterior too low"),
        (lambda u: np.where(u < 0.5, 2 * u**2, 1 - 2 * (1 - u) ** 2), "posterior too narrow"),
        (lambda u: 0.5 + 0.5 * np.sign(u - 0.5) * (2 * np.abs(u - 0.5)) ** 2, "posterior too wide"),
    ],
)
def test_verdict_says_what_is_wrong(change, words, rng):
    u = rng.random((300, 10))
    u[:, 4] = change(u[:, 4])
    found = uniformity(made(np.floor(u * 100).astype(int), 99))
    assert not found.uniform
    assert found.departures == {"q[4]": words}
    assert f"NOT UNIFORM: 1 of 10 quantities are wrong\n  q[4]: {words} (p " in str(found)


def test_verdict_of_uniform_ranks(rng):
    found = uniformity(made(rng.integers(0, 100, (100, 20)), 99, ess=50))
    assert found.uniform
    assert found.departures == {}
    text = str(found)
    assert text.startswith("100 simulations, ranks from 0 to 99, 20 quantities: ")
    assert "UNIFORM: no quantity is further off than chance allows among 20 (smallest p " in text
    assert "NOTE" not in text
    few = str(uniformity(made(rng.integers(0, 100, (20, 3)), 99)))
    assert "NOTE: 20 simulations show gross mistakes only" in few
    assert "WARNING: 100 of 100 simulations had chains of fewer than 99 independent draws" in text
