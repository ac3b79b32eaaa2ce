"""The density of a proposal against SciPy, and its fit to draws."""

import numpy as np
import pytest
from scipy import stats

from ridgebayes.inference.adaptation import acceptance, pareto_k
from ridgebayes.inference.proposal import Proposal, of_draws, on_ridge, unskewed

ROOT = np.array([[2.0, 0.0, 0.0], [0.5, 0.3, 0.0], [-1.0, 0.2, 0.7]])
MEAN = np.array([1.0, -2.0, 30.0])
SKEW = np.array([0.7, 0.0, -1.2])
WIDTH = 1 + 1 / np.sqrt(3)


@pytest.fixture
def proposal():
    return Proposal(MEAN, ROOT, 7.0, np.array([1.0, 0.0, -3.0]), np.array([2.0, 1.0, 0.5]), SKEW)


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


def test_fitted_to_draws_it_has_their_tail(rng):
    """One parameter has a long tail to one side; a fit by moments would be accepted half as often."""
    z = rng.normal(size=(4000, 3))
    density = Proposal.straight(MEAN, ROOT, np.inf)._replace(skew=np.array([0.0, -1.2, 0.0]))
    log_density = lambda x: (  # noqa: E731
        stats.multivariate_normal(MEAN, ROOT @ ROOT.T).logpdf(density.even(x))
        - np.log(density.slope(density.even(x))).sum(-1)
    )
    narrow = Proposal.straight(MEAN, ROOT, 80.0)
    found = of_draws(density.skewed(MEAN + z @ ROOT.T), narrow)
    x = found.skewed(found.draw(rng, 4000))
    own = log_density(x) - found.log_density_at(x)
    assert acceptance(own) > 0.75
    assert pareto_k(own) < 0.5


def test_draws_that_stand_still_are_not_fitted(rng):
    still = np.column_stack([rng.normal(size=50), np.ones(50)])
    assert of_draws(still, Proposal.straight(np.zeros(2), np.eye(2), 80.0)) is None


def test_draws_that_ask_for_nothing_else_are_not_fitted(rng):
    """Of a proposal that is right already, a fit to its draws would be worse."""
    right = Proposal.straight(MEAN, ROOT, 80.0)
    x = MEAN + rng.normal(size=(400, 3)) @ ROOT.T
    assert of_draws(x, right) is None
    assert of_draws(x, right._replace(mean=MEAN + 3.0)) is not None


@pytest.mark.parametrize(
    ("correlation", "skew", "straight"),
    [
        (0.999, [0.2, 0.01], [True, False]),  # a ridge 0.045 sd thick
        (0.0, [0.9, -0.9], [False, False]),
        (1.0, [0.9, 0.9], [False, False]),  # a singular covariance tells nothing
    ],
)
def test_what_would_bend_a_ridge(correlation, skew, straight):
    sd = np.array([3.0, 0.1])
    covariance = np.array([[1.0, correlation], [correlation, 1.0]]) * np.outer(sd, sd)
    np.testing.assert_array_equal(on_ridge(np.array(skew), covariance), straight)


def test_coordinates_leave_a_thin_ridge_straight(rng):
    """Two skewed parameters along a ridge, and one beside it."""
    along, beside = rng.gamma(8.0, size=(2, 4000))
    x = np.column_stack([along, 2.0 * along + 0.01 * rng.normal(size=4000), beside])
    found = unskewed(x, np.full(4000, 1 / 4000))["skew"]
    assert found[0] == found[1] == 0.0
    assert found[2] > 0.1
