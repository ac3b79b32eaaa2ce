"""Intervals calibrated by revolution: the map of whitened draws, and what revolutions say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import statsmodels.api as sm

from ridgebayes import models
from ridgebayes.inference.calibration import Calibrator, Pulls, least_draws, stretched
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare


@pytest.fixture(scope="module")
def fitted(small_mission, three_regions):
    """Posterior of one band, and its data."""
    model = models.regions(three_regions)
    data = prepare(small_mission, three_regions, opened=model.asks_for).data.band(0)
    return Posterior(model, data), data


def _pulls(pull, prior):
    size = pull.shape[1]
    return Pulls(np.zeros(size), np.eye(size), np.stack([pull, pull]), prior)


def test_the_map_squared_is_the_sandwich(rng):
    """Of two parts together: R/(R-1) times the scatter of the pulls, plus what each prior says."""
    one, two = rng.normal(size=(40, 2)), rng.normal(size=(40, 3))
    two[:, 0] += one[:, 1]
    prior = 0.2 * np.eye(2), 0.1 * np.eye(3)
    found = stretched([_pulls(one, prior[0]), _pulls(two, prior[1])])
    expected = 40 * np.cov(np.hstack([one, two]).T)
    expected[:2, :2] += prior[0]
    expected[2:, 2:] += prior[1]
    np.testing.assert_allclose(found @ found, expected, rtol=1e-10, atol=1e-12)


def test_so_many_draws_that_their_noise_hardly_widens(rng):
    """Of 120 parameters and 150 revolutions: without negative eigenvalues the trace of J is 5 % larger."""
    size, revolutions = 120, 150
    draws = least_draws(size, revolutions)
    assert draws == 608
    x = rng.normal(size=(revolutions, 4, size))
    x = x @ np.linalg.cholesky(np.linalg.inv(np.einsum("rni,rnj->ij", x, x)))
    rate = rng.normal(size=(revolutions, 4))
    rate -= x @ np.einsum("rni,rn->i", x, rate)  # the posterior is standard normal
    scores = np.einsum("rni,rn->ri", x, rate)

    def excess(draws):
        white = rng.normal(size=(draws, size))
        likelihood = -0.5 * ((rate - np.einsum("rni,si->srn", x, white)) ** 2).sum(-1)
        halves = zip(np.split(likelihood, 2), np.split(white, 2), strict=True)
        pull = np.stack([(f - f.mean(0)).T @ (w - w.mean(0)) / len(w) for f, w in halves])
        found = stretched([Pulls(np.zeros(size), np.eye(size), pull, np.zeros((size, size)))])
        return np.trace(found @ found) / np.trace(scores.T @ scores) - 1.0

    assert np.mean([excess(draws) for _ in range(4)]) == pytest.approx(0.05, abs=0.05)
    assert np.mean([excess(draws // 4) for _ in range(4)]) > 0.2


@pytest.mark.long
def test_pulls_are_the_gradients_of_a_likelihood_that_is_nearly_linear(fitted):
    """Of draws so close together that its curvature counts for little, and the correction for nothing."""
    posterior, data = fitted
    middle = posterior.start(jax.random.key(0), data)
    draws = middle + 1e-5 * posterior.scale * np.random.default_rng(0).normal(size=(1000, posterior.size))
    found = Calibrator(posterior).pulls(draws, data)

    def by_revolution(z):
        return posterior.rates(z, data).log_prob_by_revolution(data.rate).sum(0)

    gradient = np.asarray(jax.jacfwd(by_revolution)(jnp.asarray(found.mean))) @ found.root
    # Directions are white over all draws, and nearly so over half of them.
    white = np.linalg.solve(found.root, (draws - found.mean).T)
    for half, part in zip(found.pull, np.split(white, 2, axis=1), strict=True):
        np.testing.assert_allclose(
            half, gradient @ np.cov(part, ddof=0), rtol=1e-3, atol=1e-3 * np.abs(half).max()
        )


@pytest.mark.slow
def test_a_revolution_that_pulls_the_fit_to_itself_counts_more(fitted):
    """By (1 - H)^(-1/2), H from the dense covariance of its rates and the derivatives of their means."""
    posterior, data = fitted
    mean = posterior.start(jax.random.key(0), data)
    rate = posterior.rates(mean, data)
    column = np.asarray(jax.jacfwd(lambda z: posterior.rates(z, data).loc[0])(jnp.asarray(mean)))
    sd, basis, noise = (np.asarray(x) for x in (rate.coef_sd[0], data.basis, rate.noise_variance[0]))
    gram = []
    for r in range(sd.shape[1]):
        rows = np.nonzero(np.asarray(data.filled) & (np.asarray(data.block_revolution) == r)[:, None])
        phi = basis[:, *rows].T * sd[:, r]
        gram.append(column[rows].T @ np.linalg.solve(np.diag(noise[rows]) + phi @ phi.T, column[rows]))
    prior = 1e-3 / posterior.scale**2 + 1.0
    root = np.linalg.cholesky(np.linalg.inv(np.sum(gram, 0) + np.diag(prior)))
    share, vector = np.linalg.eigh(root.T @ np.array(gram) @ root)
    share = np.clip(share, 0.0, None)
    assert 0.2 < share.max() < 1.0
    series = 1 + share / 2 + 3 * share**2 / 8 + 5 * share**3 / 16
    pull = np.random.default_rng(0).normal(size=(2, *share.shape))
    information = np.diag(root.T @ np.sum(gram, 0) @ root)
    found = Calibrator(posterior)._corrected(pull, mean, root, information, data)
    expected = np.einsum("rij,rj,rkj,hrk->hri", vector, series, vector, pull)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
    few = share.max(1) < 0.5
    whole = np.einsum("rij,rj,rkj,hrk->hri", vector, 1 / np.sqrt(1 - share), vector, pull)
    assert np.abs(expected - whole)[:, few].max() < 0.05 * np.abs(whole).max()


@pytest.mark.slow
def test_a_linear_model_has_the_cluster_robust_covariance(rng):
    """Of statsmodels, for noise that members of a cluster share; draws are those of independent noise."""
    cluster = np.repeat(np.arange(60), 8)
    x = np.column_stack([np.ones(cluster.size), rng.normal(size=cluster.size), rng.normal(size=60)[cluster]])
    y = x @ [1.0, -0.5, 0.3] + rng.normal(size=60)[cluster] + rng.normal(size=cluster.size)
    fit = sm.OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False})
    variance = float(np.mean(fit.resid**2))
    root = np.linalg.cholesky(variance * np.linalg.inv(x.T @ x))
    white = rng.normal(size=(100_000, 3))
    draws = fit.params + white @ root.T
    each = -0.5 * (y - draws @ x.T) ** 2 / variance
    density = np.add.reduceat(each, np.arange(0, cluster.size, 8), axis=1)
    pull = (density - density.mean(0)).T @ (white - white.mean(0)) / len(white)
    half = root @ stretched([_pulls(pull, np.zeros((3, 3)))])
    scale = np.sqrt(np.outer(np.diag(fit.cov_params()), np.diag(fit.cov_params())))
    np.testing.assert_allclose(half @ half.T * 59 / 60 / scale, fit.cov_params() / scale, atol=0.02)
    assert (np.diag(half @ half.T)[[0, 2]] > 2 * np.diag(root @ root.T)[[0, 2]]).all()


@pytest.mark.long
def test_a_curved_posterior(rng):
    """One normal scale, unknown: the infinitesimal jackknife against the sandwich in closed form.

    x_ρ ~ N(0, e^{2z}) with Student's tails; the estimate of z has the variance (κ + 2) / (4 R), κ the excess
    kurtosis.
    """
    x = rng.standard_t(9, size=4000)
    r = x.size
    z = np.log(np.sqrt(np.sum(x**2) / rng.chisquare(r, size=40_000)))  # posterior under a flat prior of z
    density = -z[:, None] - 0.5 * x**2 * np.exp(-2 * z)[:, None]
    white = (z - z.mean()) / z.std()
    pull = (density - density.mean(0)).T @ white[:, None] / z.size
    found = float(z.std() * stretched([_pulls(pull, np.zeros((1, 1)))])[0, 0])
    excess = np.mean(x**4) / np.mean(x**2) ** 2 - 3
    np.testing.assert_allclose(found, np.sqrt((excess + 2) / (4 * r)), rtol=0.02)
