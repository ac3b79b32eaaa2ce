"""The density of a proposal against SciPy, and its fit to draws."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from ridgebayes.inference.adaptation import acceptance, pareto_k
from ridgebayes.inference.proposal import Proposal, along, of_draws

ROOT = np.array([[2.0, 0.0, 0.0], [0.5, 0.3, 0.0], [-1.0, 0.2, 0.7]])
MEAN = np.array([1.0, -2.0, 30.0])
SKEW = np.array([0.7, 0.0, -1.2])
WIDTH = 1 + 1 / np.sqrt(3)


@pytest.fixture
def proposal():
    frame = np.array([1.0, 0.0, -3.0]), np.array([2.0, 1.0, 0.5]), SKEW
    return Proposal(MEAN[None], ROOT[None], np.ones(1), 7.0, *frame)


def test_density_is_scipys(proposal, rng):
    """A mixture of two Student t in u."""
    u = MEAN + rng.normal(size=(20, 3)) * 3
    narrow = stats.multivariate_t(MEAN, ROOT @ ROOT.T, df=7).pdf(u)
    wide = stats.multivariate_t(MEAN, WIDTH**2 * ROOT @ ROOT.T, df=5).pdf(u)
    expected = np.log(0.85 * narrow + 0.15 * wide)
    np.testing.assert_allclose(proposal.log_density(u), expected, rtol=1e-10)


def test_density_of_the_parameters_is_that_of_u_over_the_slope(proposal, rng):
    u = rng.normal(size=(20, 3)) * 3
    x = proposal.skewed(u)
    np.testing.assert_allclose(proposal.even(x), u, rtol=1e-9)
    step = 1e-6
    slope = (proposal.skewed(u + step) - proposal.skewed(u - step)) / (2 * step)
    np.testing.assert_allclose(proposal.slope(u), slope, rtol=1e-7)
    expected = proposal.log_density(u) - np.log(slope).sum(1)
    np.testing.assert_allclose(proposal.log_density_at(x), expected, rtol=1e-7)


def test_draws_have_that_density(proposal, rng):
    """Squared distances over the number of parameters follow two F distributions, directions are even."""
    white = np.linalg.solve(ROOT, (proposal.draw(rng, 20_000) - MEAN).T).T
    cdf = lambda x: 0.85 * stats.f(3, 7).cdf(x) + 0.15 * stats.f(3, 5).cdf(x / WIDTH**2)  # noqa: E731
    assert stats.kstest((white**2).sum(1) / 3, cdf).pvalue > 1e-3
    direction = white / np.linalg.norm(white, axis=1, keepdims=True)
    np.testing.assert_allclose(direction.T @ direction / len(white), np.eye(3) / 3, atol=0.015)


@pytest.fixture
def mixture(proposal):
    """The proposal with a second component, narrower and elsewhere."""
    means, roots = np.stack([MEAN, MEAN + 40.0]), np.stack([ROOT, 0.5 * ROOT])
    return proposal._replace(means=means, roots=roots, shares=np.array([0.7, 0.3]))


def test_density_of_a_mixture_is_the_sum_of_its_components(mixture, rng):
    u = MEAN + rng.normal(size=(20, 3)) * 6
    each = [
        np.log(share) + mixture.shaped(mean, root, mixture.degrees).log_density(u)
        for mean, root, share in zip(mixture.means, mixture.roots, mixture.shares, strict=True)
    ]
    np.testing.assert_allclose(mixture.log_density(u), logsumexp(each, axis=0), rtol=1e-10)


def test_draws_of_a_mixture_have_its_density(mixture, rng):
    """The share of draws in a component, their mean, and the mean of another density over this one."""
    u = mixture.draw(rng, 40_000)
    second = u[:, 2] > MEAN[2] + 20.0
    assert second.mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_allclose(u[second].mean(0), MEAN + 40.0, atol=0.1)
    other = mixture.shaped(MEAN, 0.8 * ROOT, 30.0)
    assert np.exp(other.log_density(u) - mixture.log_density(u)).mean() == pytest.approx(1.0, abs=0.03)


def test_a_mixture_moves_as_a_whole(mixture):
    by = np.array([0.5, -1.0, 2.0])
    u = MEAN + np.ones(3)
    np.testing.assert_allclose(mixture.moved(by).log_density((u + by)[None]), mixture.log_density(u[None]))


def test_vectors_along_roots_of_their_own(rng):
    roots, white = rng.normal(size=(4, 2, 3, 3)), rng.normal(size=(4, 2, 3))
    np.testing.assert_allclose(along(roots, white)[3, 1], roots[3, 1] @ white[3, 1])


@pytest.mark.parametrize("components", [2, 4])
def test_a_mixture_fitted_to_draws_finds_its_components(components, rng):
    """Two clusters of unlike width: with more components they are divided, and the density is the same."""
    wide = rng.uniform(size=4000) < 0.3
    x = rng.normal(size=(4000, 3)) * np.where(wide[:, None], 1.0, 0.4) + np.where(wide[:, None], 8.0, 0.0)
    found = of_draws(x, components)
    density = np.log(
        0.7 * stats.multivariate_normal(np.zeros(3), 0.16).pdf(x)
        + 0.3 * stats.multivariate_normal(np.full(3, 8.0), 1.0).pdf(x)
    )
    gap = density - found.log_density_at(x)
    assert found.shares.sum() == pytest.approx(1.0)
    assert (np.diff(found.shares) <= 0).all()
    assert 0.0 < gap.mean() < 0.25  # the divergence between the densities
    if components == 2:
        np.testing.assert_allclose(found.shares, [0.7, 0.3], atol=0.03)


def test_fitted_to_draws_it_has_their_tail(rng):
    """One parameter has a long tail to one side; a fit by moments would be accepted half as often."""
    z = rng.normal(size=(4000, 3))
    density = Proposal.straight(MEAN, ROOT, np.inf)._replace(skew=np.array([0.0, -1.2, 0.0]))
    log_density = lambda x: (  # noqa: E731
        stats.multivariate_normal(MEAN, ROOT @ ROOT.T).logpdf(density.even(x))
        - np.log(density.slope(density.even(x))).sum(-1)
    )
    found = of_draws(density.skewed(MEAN + z @ ROOT.T))
    x = found.skewed(found.draw(rng, 4000))
    own = log_density(x) - found.log_density_at(x)
    assert acceptance(own, -own) > 0.75
    assert pareto_k(own) < 0.5


def test_draws_that_stand_still_are_not_fitted(rng):
    still = np.column_stack([rng.normal(size=50), np.ones(50)])
    assert of_draws(still) is None
