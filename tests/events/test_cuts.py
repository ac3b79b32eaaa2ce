"""Cuts: good time by brute force, noisy pixels and bursts that were put in, and few that were not."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import poisson

from ridgebayes.events.cuts import bursts, in_intervals, noisy_pixels, overlap, upper_limit
from tests.helpers.event_maker import PIXELS, mask_shadow

N = 134 * 130
ON = np.isin(np.arange(N), PIXELS)
NO_SOURCES = np.zeros((0, N))


def test_good_time_by_brute_force():
    rng = np.random.default_rng(2)
    ends = np.sort(rng.uniform(0, 100, 10)).reshape(-1, 2)
    time = rng.uniform(-5, 105, 500)
    brute = [any(a <= t < b for a, b in ends) for t in time]
    assert_array_equal(in_intervals(time, ends), brute)
    edges = np.arange(-5.0, 106.0, 0.7)
    want = [sum(max(0, min(hi, b) - max(lo, a)) for a, b in ends) for lo, hi in pairwise(edges)]
    assert_allclose(overlap(edges, ends), want, atol=1e-9)


def test_upper_limit_is_a_quantile_where_counts_are_few():
    limit = upper_limit(np.array([0.3, 2.0]), 0.0, 4.0)
    assert_array_equal(poisson.sf(limit, [0.3, 2.0]) < 3.2e-5, True)
    assert_array_equal(poisson.sf(limit - 1, [0.3, 2.0]) > 3.1e-5, True)
    assert_allclose(upper_limit(np.array([100.0]), 20.0, 4.0), 180.0)


@pytest.mark.parametrize("mean", [0.2, 4.0, 60.0])
def test_noisy_pixels_are_found_and_hardly_any_other(mean):
    rng = np.random.default_rng(7)
    hot = rng.choice(PIXELS, 100, replace=False)
    images = np.zeros((2, N))
    images[:, PIXELS] = rng.poisson(mean, (2, PIXELS.size))
    images[1, hot] += rng.poisson(15 + 12 * np.sqrt(mean), hot.size)  # noisy in one band is enough
    noisy = noisy_pixels(images, ON, NO_SOURCES, 5.0)
    assert noisy[hot].mean() > 0.97
    assert noisy.sum() - noisy[hot].sum() <= 1


def test_pixels_under_a_bright_source_are_not_noisy():
    rng = np.random.default_rng(8)
    shadow = mask_shadow(rows=30)  # a tenth of the pixels
    image = np.zeros(N)
    image[PIXELS] = rng.poisson(20 + 60 * shadow[PIXELS])
    image[PIXELS[5000]] += 200
    noisy = noisy_pixels(image[None], ON, shadow[None], 5.0)
    assert_array_equal(np.flatnonzero(noisy), PIXELS[5000])
    assert noisy_pixels(image[None], ON, NO_SOURCES, 5.0).sum() > 500  # what happens without the PIF


def test_bursts_are_found_and_hardly_any_other():
    rng = np.random.default_rng(9)
    false = 0
    for _ in range(20):
        rate = 400 + np.linspace(0, 100, 2000)  # a slow trend is none
        good = np.ones(2000)
        good[700:800] = 0.0
        good[[699, 800]] = 0.3
        counts = rng.poisson(rate * good).astype(float)
        seconds = [5, 690, 1500]
        counts[seconds] += 250
        found = bursts(counts, good, 1.0, 4.0)
        assert found[seconds].all()
        assert not found[700:800].any()
        false += found.sum() - 3
    assert false / (20 * 1902) < 3e-4  # 3.2e-5 in theory, with a spread that is measured


def test_no_whole_second_is_no_burst():
    assert not bursts(np.array([5.0]), np.array([0.2]), 1.0, 4.0).any()
