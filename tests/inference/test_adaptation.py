"""Proposals fitted to densities whose moments are known."""

import numpy as np
import pytest
from scipy import stats

from ridgebayes.inference.adaptation import _tempered, acceptance, adapt, pareto_k
from ridgebayes.inference.mode import Gaussian
from ridgebayes.inference.profiles import profiled
from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.tuning import CHOICE

ROOT = np.array([[2.0, 0.0, 0.0], [0.5, 0.3, 0.0], [-1.0, 0.2, 0.7]])
MEAN = np.array([1.0, -2.0, 30.0])


def adapted(log_densities, start, size, seed=0, width=1.0):
    first = Proposal.straight(start, width * np.eye(size), 7.0)
    return adapt(log_densities, first, np.random.default_rng(seed))


def reweighed(found, log_densities, seed=1, n=20_000):
    """Mean and sd of the density from weighted draws of the proposal, and how many draws these are worth."""
    x = found.proposal.skewed(found.proposal.draw(np.random.default_rng(seed), n))
    log_weight = log_densities(x) - found.proposal.log_density_at(x)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = weight @ x
    return mean, np.sqrt(weight @ (x - mean) ** 2), 1 / (weight**2).sum()


def moments_agree(found, log_densities, mean, sd):
    """Weighted draws have the moments of the density, and the proposal itself nearly so."""
    of_weights, spread, worth = reweighed(found, log_densities)
    error = sd / np.sqrt(worth)
    assert worth > 2000
    assert (np.abs(of_weights - mean) < 4.5 * error).all()
    np.testing.assert_allclose(spread, sd, rtol=6 / np.sqrt(worth))
    mode, root = found.proposal.gaussian
    scale = np.sqrt(np.diag(root @ root.T))
    assert (np.abs(mode - mean) < 0.5 * sd).all()
    assert (scale > 0.8 * sd).all()
    assert (scale < 1.5 * sd).all()


@pytest.mark.parametrize(("off", "width"), [(0.0, 1.0), (0.0, 3.0), (0.0, 1 / 3), (1.5, 1.0)])
def test_of_a_gaussian(off, width):
    """From its mode, with a start as wide, three times or a third as wide; from beside the mode."""
    covariance = ROOT @ ROOT.T
    sd = np.sqrt(np.diag(covariance))
    log_densities = stats.multivariate_normal(MEAN, covariance).logpdf
    start = Gaussian(MEAN + off * ROOT[:, 0], width * ROOT)
    found = adapt(log_densities, Proposal.about(start, 7.0), np.random.default_rng(0))
    moments_agree(found, log_densities, MEAN, sd)
    assert found.acceptance > 0.65
    assert found.pareto_k < CHOICE.max_pareto_k


def test_of_a_banana():
    """The second is a parabola of the first plus noise: its mean is that of a chi-square, times a half."""
    bend, noise = 0.5, 0.5

    def log_densities(x):
        return stats.norm.logpdf(x[:, 0]) + stats.norm.logpdf(x[:, 1], bend * x[:, 0] ** 2, noise)

    found = adapted(log_densities, np.zeros(2), 2)
    mean, sd = np.array([0.0, bend]), np.array([1.0, np.sqrt(2 * bend**2 + noise**2)])
    moments_agree(found, log_densities, mean, sd)
    assert found.acceptance > 0.4


def test_of_many_parameters():
    """Moments of few draws are poor: what gave them stays until there are many."""
    size, count = 30, []
    low = np.random.default_rng(5).normal(size=(size, size)) / 8 + np.eye(size)
    density = stats.multivariate_normal(np.zeros(size), low @ low.T)

    def log_densities(x):
        count.append(len(x))
        return density.logpdf(x)

    start = Gaussian(0.3 * low[:, 0], low)
    found = adapt(log_densities, profiled(log_densities, start), np.random.default_rng(0))
    assert found.acceptance > 0.6
    assert len(count) <= 4
    # What is fitted already needs no more than a look, whether it serves or not.
    count.clear()
    again = adapt(log_densities, found.proposal, np.random.default_rng(1))
    assert again.acceptance > 0.6
    assert len(count) <= 3


@pytest.mark.parametrize("shape", [1.0, 4.0])
def test_of_a_skewed_density(shape):
    """Logarithms of gamma variables, as scales have them: a long tail towards zero."""
    density = stats.loggamma(shape)
    log_densities = lambda x: density.logpdf(x).sum(1)  # noqa: E731
    start = profiled(log_densities, Gaussian(np.full(6, np.log(shape)), density.std() * np.eye(6)))
    found = adapt(log_densities, start, np.random.default_rng(0))
    moments_agree(found, log_densities, np.full(6, density.mean()), np.full(6, density.std()))
    assert found.acceptance > 0.6
    assert (found.proposal.skew < 0).all()


def test_what_draws_of_a_narrow_fit_do_not_see():
    """Skewed along lines between the axes: a chain leaves its far tails after few proposals, not dozens."""
    size, skewed, one = 12, 4, stats.loggamma(1.0)
    axes = stats.ortho_group(size, seed=3).rvs()

    def log_densities(x):
        along = x @ axes
        return one.logpdf(along[:, :skewed]).sum(1) + stats.norm.logpdf(along[:, skewed:]).sum(1)

    for seed in range(4):
        rng = np.random.default_rng(seed)
        of_density = rng.normal(size=(2000, size))
        of_density[:, :skewed] = one.rvs((2000, skewed), random_state=rng)
        start = profiled(log_densities, Gaussian(np.zeros(size), axes))
        proposal = adapt(log_densities, start, rng).proposal
        own, here = (
            log_densities(x) - proposal.log_density_at(x)
            for x in (proposal.skewed(proposal.draw(rng, 2000)), of_density @ axes.T)
        )
        accepted = np.minimum(1.0, np.exp(own - here[:, None])).mean(1)
        assert (1.0 / accepted).mean() < 20.0


def test_of_a_bounded_density():
    """Even in a box: nothing outside, where the proposal has its tails."""
    low, high = np.array([0.0, -3.0]), np.array([1.0, 5.0])

    def log_densities(x):
        return np.where(((x > low) & (x < high)).all(1), 0.0, -np.inf)

    start = Proposal.straight(np.array([0.2, 3.0]), np.diag([0.1, 1.0]), 7.0)
    found = adapt(log_densities, start, np.random.default_rng(0))
    moments_agree(found, log_densities, (low + high) / 2, (high - low) / np.sqrt(12))


def test_a_density_that_is_nowhere_finite_is_not_fitted():
    found = adapted(lambda x: np.full(len(x), -np.inf), np.zeros(2), 2)
    assert found.acceptance == 0.0
    assert found.pareto_k == np.inf


def test_acceptance_is_that_of_a_chain():
    rng = np.random.default_rng(4)
    log_ratio = rng.normal(size=4000)
    current, accepted = log_ratio[0], 0
    for new, uniform in zip(log_ratio[1:], rng.uniform(size=3999), strict=True):
        if np.log(uniform) < new - current:
            current, accepted = new, accepted + 1
    assert acceptance(log_ratio) == pytest.approx(accepted / 3999, abs=0.04)


@pytest.mark.parametrize("narrow", [0.5, 0.8])
def test_pareto_k_of_a_gaussian_that_is_too_narrow(narrow, rng):
    """Weights of N(0, 1) over N(0, s²) have a tail of index 1 − s²."""
    x = narrow * rng.normal(size=20_000)
    log_weight = stats.norm.logpdf(x) - stats.norm.logpdf(x, scale=narrow)
    assert pareto_k(log_weight) == pytest.approx(1 - narrow**2, abs=0.15)


def test_tempering_leaves_out_what_is_impossible():
    """At power zero, too: one point carries all the weight, and one has none."""
    log_weight = np.array([-np.inf, 0.0, -1e5, -1e5, -1e5])
    np.testing.assert_allclose(_tempered(log_weight, 4.0), [0.0, 0.25, 0.25, 0.25, 0.25], rtol=1e-6)
