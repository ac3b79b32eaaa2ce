"""Proposals from profiles, against densities whose skewed coordinates are known."""

import numpy as np
import pytest
from scipy import stats

from ridgebayes.inference.adaptation import acceptance
from ridgebayes.inference.mode import Gaussian
from ridgebayes.inference.profiles import profiled
from ridgebayes.inference.proposal import Proposal

ROOT = np.array([[2.0, 0.0, 0.0], [0.5, 0.3, 0.0], [-1.0, 0.2, 0.7]])
MEAN = np.array([1.0, -2.0, 30.0])


def accepted(log_densities, proposal):
    """Share of proposals that an independence sampler accepts."""
    x = proposal.skewed(proposal.draw(np.random.default_rng(3), 4000))
    log_weight = log_densities(x) - proposal.log_density_at(x)
    return acceptance(log_weight)


def test_of_a_gaussian():
    """Its coordinates are straight; mean and covariance are those that were given."""
    density = stats.multivariate_normal(MEAN, ROOT @ ROOT.T)
    found = profiled(density.logpdf, Gaussian(MEAN, ROOT))
    np.testing.assert_allclose(found.skew, 0.0, atol=1e-6)
    mean, root = found.gaussian
    np.testing.assert_allclose(mean, MEAN, atol=1e-6)
    np.testing.assert_allclose(root @ root.T, ROOT @ ROOT.T, rtol=1e-6)
    assert accepted(density.logpdf, found) > 0.8


def test_a_mode_that_is_off_is_put_right():
    """The profile of each parameter tells by how much it is off, whichever direction that is."""
    density = stats.multivariate_normal(MEAN, ROOT @ ROOT.T)
    found = profiled(density.logpdf, Gaussian(MEAN + 0.5 * ROOT[:, 0] - 0.3 * ROOT[:, 2], ROOT))
    assert (np.abs(found.gaussian.mode - MEAN) < 0.05 * np.sqrt((ROOT**2).sum(1))).all()


def test_of_its_own_density():
    """Skewed and correlated parameters: the same skew and spread come out of the mode's Gaussian."""
    skew = np.array([0.6, -0.4, 0.0])
    root = np.linalg.cholesky([[1.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 1.0]])
    true = Proposal(np.zeros(3), root, np.inf, MEAN, np.array([0.2, 3.0, 1.0]), skew)
    density = lambda x: (  # noqa: E731
        -0.5 * (true.white(true.even(x)) ** 2).sum(-1) - np.log(true.slope(true.even(x))).sum(-1)
    )
    found = profiled(density, true.gaussian)
    np.testing.assert_allclose(found.skew, skew, atol=0.05)
    np.testing.assert_allclose(found.spread, true.spread, rtol=0.05)
    assert accepted(density, found) > 0.7


@pytest.mark.parametrize("shape", [1.0, 4.0])
def test_of_logarithms_of_gamma_variables(shape):
    """Forty of them, as many scales: a Gaussian about the mode is hardly ever accepted."""
    size = 40
    log_densities = lambda x: stats.loggamma(shape).logpdf(x).sum(1)  # noqa: E731
    mode = Gaussian(np.full(size, np.log(shape)), np.eye(size) / np.sqrt(shape))
    count = []
    found = profiled(lambda x: count.append(len(x)) or log_densities(x), mode)
    assert sum(count) == 6 * size + 1
    assert accepted(log_densities, found) > 0.4
    assert accepted(log_densities, Proposal.about(mode, 80.0)) < 0.3


def test_where_there_is_no_density():
    """A parameter that ends abruptly: what lies beyond its end counts for nothing."""
    log_densities = lambda x: np.where(x[:, 0] > -0.5, -0.5 * (x**2).sum(1), -np.inf)  # noqa: E731
    found = profiled(log_densities, Gaussian(np.zeros(2), np.eye(2)))
    assert np.isfinite(np.concatenate([found.centre, found.spread, found.skew])).all()
    assert abs(found.skew[1]) < 1e-6
