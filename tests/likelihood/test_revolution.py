"""The revolution distribution against dense linear algebra."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from scipy import stats

from ridgebayes.likelihood.revolution import RevolutionNormal
from tests.helpers.noise_cases import ragged


@pytest.mark.parametrize("width", [4, 16, 64])
@pytest.mark.parametrize("coef_sd", [(2.0, 0.7, 0.4), (3.0,), (2.0, 0.0, 0.5)])
def test_log_prob_is_the_dense_normal(width, coef_sd):
    d, where, loc, covariance, *_ = ragged(width=width, coef_sd=coef_sd)
    value = np.random.default_rng(1).multivariate_normal(loc, covariance)
    dense = stats.multivariate_normal(loc, covariance).logpdf(value)
    assert d.log_prob(where.pack(value)) == pytest.approx(dense, rel=1e-9)


def test_empty_cells_do_not_matter():
    d, where, loc, *_ = ragged()
    assert d.log_prob(where.pack(loc)) == d.log_prob(where.pack(loc, fill=1e6))


@pytest.mark.slow
def test_bands_are_independent():
    d, where, loc, covariance, *_ = ragged(bands=(3,))
    value = loc + 0.3
    dense = [stats.multivariate_normal(loc[k], covariance[k]).logpdf(value[k]) for k in range(3)]
    assert d.batch_shape == (3,)
    np.testing.assert_allclose(d.log_prob(where.pack(value)), dense, rtol=1e-9)


def _gradient_check(d, where, loc):
    value = jnp.asarray(where.pack(loc + np.random.default_rng(2).normal(size=loc.shape)))

    def log_prob(loc, variance, coef_sd, basis):
        given = (loc, variance, coef_sd, basis, d.block_revolution, d.filled)
        # Finite differences step below coef_sd = 0, where the formula holds but the constraint does not.
        return RevolutionNormal(*given, validate_args=False).log_prob(value)

    return jax.jit(log_prob), (d.loc, d.variance, d.coef_sd, d.basis)


@pytest.mark.parametrize("coef_sd", [(2.0, 0.7, 0.4), (2.0, 0.0, 0.5)])
@pytest.mark.slow
def test_closed_form_gradient(coef_sd):
    """Forward and reverse derivatives against finite differences of the value."""
    log_prob, x = _gradient_check(*ragged(coef_sd=coef_sd, counts=(1, 3, 7), width=4)[:3])
    jax.test_util.check_grads(log_prob, x, order=1, modes=["fwd", "rev"], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_second_derivatives():
    """Hessian of the mean and scales against finite differences of the gradient."""
    log_prob, (loc, variance, coef_sd, basis) = _gradient_check(*ragged(counts=(1, 3, 7), width=4)[:3])

    def of_two(x):
        return log_prob(loc * x[0], variance * x[1], coef_sd * x[2], basis)

    gradient, x, step = jax.jit(jax.grad(of_two)), jnp.ones(3), 1e-5
    finite = [(gradient(x + e) - gradient(x - e)) / (2 * step) for e in step * jnp.eye(3)]
    np.testing.assert_allclose(jax.hessian(of_two)(x), jnp.stack(finite), rtol=1e-5)


@pytest.mark.slow
def test_sample_has_the_dense_covariance():
    d, where, loc, covariance, *_ = ragged(counts=(1, 4, 6))
    n_draws = 100_000
    draws = where.unpack(d.sample(jax.random.key(0), (n_draws,)))
    np.testing.assert_allclose(draws.mean(0), loc, atol=5 * np.sqrt(covariance.max() / n_draws))
    sd = np.sqrt(np.diag(covariance))
    error = (np.cov(draws.T) - covariance) / np.outer(sd, sd)
    assert np.abs(error).max() < 5 * np.sqrt(2 / n_draws)


def _dense_coefficients(where, loc, value, covariance, basis, sd, revolution):
    """Conditional mean and covariance of the coefficients of each revolution by dense algebra."""
    means, covariances = [], []
    for position, number in enumerate(where.revolutions):
        here = revolution == number
        cross = np.diag(sd[:, position] ** 2) @ basis[:, here]
        inverse = np.linalg.inv(covariance[np.ix_(here, here)])
        means.append(cross @ inverse @ (value - loc)[here])
        covariances.append(np.diag(sd[:, position] ** 2) - cross @ inverse @ cross.T)
    return np.array(means), np.array(covariances)


@pytest.mark.parametrize("coef_sd", [(2.0, 0.7, 0.4), (2.0, 0.0, 0.5)])
@pytest.mark.slow
def test_coefficients_are_the_dense_conditional(coef_sd):
    d, where, loc, covariance, basis, sd, revolution = ragged(coef_sd=coef_sd)
    value = np.random.default_rng(3).multivariate_normal(loc, covariance)
    mean, cov = d.coefficient_posterior(where.pack(value))
    dense_mean, dense_cov = _dense_coefficients(where, loc, value, covariance, basis, sd, revolution)
    np.testing.assert_allclose(mean, dense_mean, atol=1e-10)
    np.testing.assert_allclose(cov, dense_cov, atol=1e-10)

    keys = jax.random.split(jax.random.key(1), 20_000)
    draws = jax.vmap(lambda key: d.coefficients(key, where.pack(value)))(keys)
    scale = np.sqrt(np.diagonal(dense_cov, axis1=1, axis2=2)).T
    np.testing.assert_allclose(draws.mean(0), dense_mean.T, atol=5 * scale.max() / np.sqrt(20_000))
    for position in range(len(where.revolutions)):
        np.testing.assert_allclose(
            np.cov(draws[:, :, position].T), dense_cov[position], atol=0.05 * scale.max() ** 2
        )
