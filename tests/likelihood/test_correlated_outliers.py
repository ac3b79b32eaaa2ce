"""Correlated noise with outliers: its limits, white noise against dense algebra, outliers that are found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ridgebayes.likelihood.correlated_outliers import CorrelatedOutlierNormal
from ridgebayes.likelihood.ou_noise import CorrelatedNormal
from ridgebayes.likelihood.outliers import OutlierNormal
from ridgebayes.likelihood.revolution import RevolutionNormal
from ridgebayes.likelihood.sequence import sequence
from tests.helpers.noise_cases import case

HOURS = 1 / 24


@pytest.fixture
def made(rng):
    """Rates of a few revolutions, what they were made from, and their order in time."""
    where, given, _, value = case(rng, counts=(40, 25, 12), fraction=0.0)
    mjd = 55000.0 + np.cumsum(rng.uniform(0.5, 1.5, where.n_scws)) * HOURS
    process = {
        "correlated_sd": jnp.full(3, 2.0),
        "memory": jnp.asarray(3 * HOURS),
        "sequence": sequence(where, mjd, given["basis"]),
    }
    return where, given, process, value, mjd


def mixed(given, process, fraction):
    return CorrelatedOutlierNormal(*given.values(), *process.values(), fraction, 8.0)


@pytest.mark.slow
def test_without_outliers_it_is_the_gaussian(made):
    _, given, process, value, _ = made
    np.testing.assert_allclose(
        mixed(given, process, 0.0).log_prob(value), CorrelatedNormal(**given, **process).log_prob(value)
    )


@pytest.mark.slow
def test_settled_it_is_a_gaussian_with_the_same_gradient(made):
    _, given, process, value, _ = made
    value = value.at[0, 2].add(60.0)
    rates = mixed(given, process, 0.02)
    own, settled = (jax.grad(lambda x, r=r: r.log_prob(x))(value) for r in (rates, rates.settled(value)))
    np.testing.assert_allclose(settled, own, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_without_correlation_it_is_nearly_the_mixture(made):
    """Both approximate the same integral."""
    _, given, process, value, _ = made
    value = value.at[0, 2].add(60.0)
    none = process | {"correlated_sd": jnp.zeros(3)}
    expected = OutlierNormal(**given, fraction=0.02, size=8.0).log_prob(value)
    assert float(mixed(given, none, 0.02).log_prob(value)) == pytest.approx(float(expected), abs=0.5)


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.slow
def test_white_noise_is_that_of_dense_algebra(made, correlated):
    """D V⁻¹ (y − m), and draws with covariance D − D V⁻¹ D."""
    where, given, process, value, mjd = made
    rates = CorrelatedNormal(**given, **process) if correlated else RevolutionNormal(**given)
    rows = np.repeat(np.arange(3), (40, 25, 12))
    d = np.diag(where.unpack(np.asarray(given["noise_variance"])))
    same = rows[:, None] == rows
    phi = np.stack([where.unpack(np.asarray(x)) for x in given["basis"]])
    sd = np.asarray(given["coef_sd"])[:, rows]
    v = d + same * np.einsum("ji,jk->ik", phi * sd, phi * sd)
    if correlated:
        apart = np.abs(mjd[:, None] - mjd)
        v = v + same * 4.0 * np.exp(-apart / (3 * HOURS))
    residual = where.unpack(np.asarray(value - given["loc"]))
    expected = d @ np.linalg.solve(v, residual)
    np.testing.assert_allclose(where.unpack(np.asarray(rates.white_noise(value))), expected, atol=1e-8)
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = where.unpack(np.asarray(jax.lax.map(lambda key: rates.draw_white_noise(key, value), keys)))
    covariance = d - d @ np.linalg.solve(v, d)
    sd = np.sqrt(np.diag(covariance))
    assert np.abs((draws.mean(0) - expected) / sd).max() < 4.5 / np.sqrt(4000)
    np.testing.assert_allclose(draws.std(0), sd, rtol=0.06)
    found = np.corrcoef(draws.T)
    np.testing.assert_allclose(found, covariance / np.outer(sd, sd), atol=0.08)


@pytest.mark.long
def test_gradient_is_nearly_that_of_the_value(made):
    """The share of the outliers is found outside of the derivative."""
    _, given, process, value, _ = made

    def density(widen, sd):
        changed = given | {"noise_variance": given["noise_variance"] * widen}
        return mixed(changed, process | {"correlated_sd": jnp.full(3, sd)}, 0.03).log_prob(value)

    gradient = jax.grad(density, argnums=(0, 1))(1.0, 2.0)
    step = 1e-4
    numeric = (
        float(density(1 + step, 2.0) - density(1 - step, 2.0)) / (2 * step),
        float(density(1.0, 2 + step) - density(1.0, 2 - step)) / (2 * step),
    )
    np.testing.assert_allclose(gradient, numeric, rtol=0.15, atol=0.5)
