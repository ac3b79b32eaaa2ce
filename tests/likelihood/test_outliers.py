"""The distribution with outliers: against quadrature, the Gaussian limit, and what it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy import stats

from ridgebayes import simulate
from ridgebayes.likelihood.design import prepare
from ridgebayes.likelihood.outliers import OutlierNormal
from ridgebayes.likelihood.revolution import RevolutionNormal
from tests.helpers.noise_cases import case


@pytest.mark.parametrize("fraction", [0.0, 1e-12])
@pytest.mark.slow
def test_without_outliers_it_is_the_gaussian(rng, fraction):
    _, given, _, value = case(rng, fraction=0.0)
    plain = RevolutionNormal(**given).log_prob(value)
    with_none = OutlierNormal(**given, fraction=fraction, size=8.0).log_prob(value)
    np.testing.assert_allclose(with_none, plain, rtol=1e-9)


@pytest.mark.parametrize("fraction", [0.005, 0.02, 0.1])
@pytest.mark.slow
def test_against_quadrature(rng, fraction):
    """One term a revolution: the integral over its coefficient, on a fine grid."""
    where, given, mixture, value = case(rng, counts=(60, 30, 12), terms=1, fraction=fraction)
    nodes, weights = hermegauss(200)
    exact = 0.0
    residual = where.unpack(np.asarray(value - given["loc"]))
    sd = np.sqrt(where.unpack(np.asarray(given["noise_variance"])))
    revolution = np.repeat(np.arange(3), (60, 30, 12))
    for rho in range(3):
        rows = revolution == rho
        # Nodes about the posterior of the coefficient, not its prior: the integrand is narrow.
        centre, width = np.median(residual[rows]), 3.0 * sd.mean() / np.sqrt(rows.sum())
        c = centre + width * nodes
        e = residual[rows, None] - c
        inner = (1 - fraction) * stats.norm.pdf(e, 0, sd[rows, None])
        inner += fraction * stats.norm.pdf(e, 0, 8 * sd[rows, None])
        log = np.log(inner).sum(0) + stats.norm.logpdf(c, 0, 3.0) + 0.5 * nodes**2
        exact += np.log((weights * np.exp(log - log.max())).sum() * width) + log.max()
    assert float(mixture.log_prob(value)) == pytest.approx(exact, abs=0.05)


@pytest.mark.slow
def test_gradient_is_that_of_the_value(rng):
    _, given, mixture, value = case(rng, fraction=0.05)

    def density(shift, widen, sd, fraction, size):
        changed = given | {
            "loc": given["loc"] + shift,
            "noise_variance": given["noise_variance"] * widen,
            "coef_sd": given["coef_sd"] * sd,
        }
        return OutlierNormal(**changed, fraction=fraction, size=size).log_prob(value)

    at = (0.1, 1.1, 0.9, 0.04, 7.0)
    gradient = jax.grad(density, argnums=tuple(range(5)))(*at)
    for i, found in enumerate(gradient):
        step = 1e-5 * at[i]
        up, down = (density(*(x + s * step * (i == j) for j, x in enumerate(at))) for s in (1, -1))
        numeric = float(up - down) / (2 * step)
        assert float(found) == pytest.approx(numeric, rel=0.01, abs=0.03)
    assert float(mixture.log_prob(value)) == pytest.approx(float(jax.jit(mixture.log_prob)(value)))


@pytest.mark.slow
def test_extremes_are_finite(rng):
    _, given, _, value = case(rng, counts=(30, 1, 5))
    far = value.at[0, :3].add(1e3)
    for fraction in (0.0, 1e-12, 0.05, 0.9):
        both = jax.value_and_grad(
            lambda x, f: OutlierNormal(**given, fraction=f, size=8.0).log_prob(x), argnums=(0, 1)
        )(far, fraction)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(both))


def test_outliers_do_not_pull_the_coefficients(rng):
    where, given, _, _ = case(rng, counts=(40, 40))
    coefficients = jnp.array([[2.0, -1.0], [0.5, 0.5], [0.0, 0.3]])
    mixture = OutlierNormal(**given, fraction=0.05, size=10.0)
    rate = given["loc"] + mixture.revolution_terms(coefficients)
    noise = np.sqrt(given["noise_variance"]) * rng.normal(size=given["filled"].shape)
    hit = np.zeros(80, bool)
    hit[[1, 17, 30, 44, 63]] = True
    value = rate + noise + where.pack(np.where(hit, 12.0, 0.0))
    mean, covariance = mixture.coefficient_posterior(value)
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    assert np.abs((mean - coefficients.T) / sd).max() < 3.5
    plain, _ = RevolutionNormal(**given).coefficient_posterior(value)
    assert np.abs((plain - coefficients.T) / sd).max() > 4


@pytest.mark.slow
def test_samples_have_its_variance(rng):
    _, _, mixture, _ = case(rng, counts=(20, 10), fraction=0.2, size=4.0)
    draws = np.asarray(mixture.sample(jax.random.key(3), (20_000,)))[:, np.asarray(mixture.filled)]
    expected = np.asarray(mixture.variance)[np.asarray(mixture.filled)]
    np.testing.assert_allclose(draws.var(0) / expected, 1.0, atol=0.1)


@pytest.mark.slow
def test_the_fraction_of_a_simulated_mission_is_found(three_regions):
    programme = simulate.programme(40, stop=2740, seed=4)
    world = simulate.World(outliers=simulate.world.Outliers(fraction=0.02))
    truth = simulate.Truth(bands=simulate.BANDS[:1], template=None, intensity={"GB": [0.7]})
    scws = simulate.mission(programme, truth, sky=three_regions, world=world, seed=1)
    data = prepare(scws, three_regions).data
    # Everything but the noise at the truth, as far as it is known: a smooth background about its trend.
    level = data.level[:, data.block_revolution, None]
    variance = data.stat_variance + (truth.values().sigma[0] * level) ** 2
    sd = (
        jnp.asarray(truth.values().tau[0])[None, :, None] * data.level[:, None, :]
        + 0.03 * data.level[:, None]
    )
    rate = level * (1.0 + truth.values().alpha[0] * data.tracer)
    quiet = data.filled & (data.exposure.sum(0) < 1e-9) & (data.crab_response == 0)

    def density(fraction):
        given = (rate, variance, sd, data.basis, data.block_revolution, quiet)
        return float(OutlierNormal(*given, jnp.array([fraction]), jnp.array([8.0])).log_prob(data.rate)[0])

    shares = np.array([0.002, 0.005, 0.01, 0.02, 0.04, 0.08])
    assert shares[np.argmax([density(f) for f in shares])] in (0.01, 0.02, 0.04)
