"""The recipe: residuals against dense algebra, the fit against the mode."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ridgebayes import models
from ridgebayes.checks.refit import Around, Recipe, left_over
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.outliers import OutlierNormal
from ridgebayes.likelihood.revolution import RevolutionNormal
from ridgebayes.runs.reload import reopen


@pytest.fixture
def given(rng):
    """Two revolutions of 8 and 3 ScWs in blocks of 4."""
    filled = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]], bool)
    basis = np.stack([np.ones((3, 4)), rng.uniform(-1, 1, (3, 4)), rng.uniform(-1, 1, (3, 4))])
    sd = np.array([[2.0, 1.5], [1.0, 1.0], [0.5, 0.2]])[None]
    return (
        rng.normal(50, 1, (1, 3, 4)),
        rng.uniform(0.5, 2, (1, 3, 4)),
        sd,
        basis,
        np.array([0, 0, 1]),
        filled,
    )


@pytest.mark.slow
def test_residuals_and_coefficients_of_dense_algebra(given, rng):
    loc, variance, sd, basis, block, filled = given
    value = loc + rng.normal(0, 2, loc.shape)
    residual, scaled = left_over(RevolutionNormal(*given), jnp.asarray(value))
    for k in (0, 1):
        cells = filled & (block == k)[:, None]
        phi, noise, prior = basis[:, cells].T, np.diag(variance[0][cells]), np.diag(sd[0, :, k] ** 2)
        whole = noise + phi @ prior @ phi.T
        solved = np.linalg.solve(whole, (value - loc)[0][cells])
        spread = np.diag(noise @ np.linalg.solve(whole, noise))
        np.testing.assert_allclose(residual[0][cells], noise @ solved / np.sqrt(spread), rtol=1e-8)
        np.testing.assert_allclose(scaled[0, :, k], prior @ phi.T @ solved / sd[0, :, k], rtol=1e-8)
    assert (np.asarray(residual)[0][~filled] == 0).all()


@pytest.mark.slow
def test_outliers_have_normal_scores_of_the_mixture(given):
    loc, variance, sd, basis, block, filled = given
    rate = OutlierNormal(loc, variance, 0 * sd, basis, block, filled, np.array([0.05]), np.array([8.0]))
    residual, _ = left_over(rate, jnp.asarray(loc + 5 * np.sqrt(variance)))
    lower = 0.95 * stats.norm.cdf(5) + 0.05 * stats.norm.cdf(5 / 8)
    np.testing.assert_allclose(residual[0][filled], stats.norm.ppf(lower), rtol=1e-6)
    few, _ = left_over(rate, jnp.asarray(loc - 100 * np.sqrt(variance)))
    assert np.isfinite(few).all()
    assert (few[0][filled] < -6).all()


def test_around_has_the_moments_of_the_draws(rng):
    z = rng.normal(size=(50_000, 4)) @ rng.normal(size=(4, 4)) + 3.0
    around = Around.of(z)
    np.testing.assert_allclose(around.mean, z.mean(0))
    np.testing.assert_allclose(around.root @ around.root.T, np.cov(z.T), rtol=1e-8)


@pytest.mark.long
def test_fit_of_a_replicate_is_at_its_mode(small_run, small_mission):
    """There the slope, in units of the posterior's spread, is small against what it was."""
    again = reopen(small_run, small_mission)
    recipe, part = Recipe(again.posterior), again.parts[0]
    draws = again.z[0].reshape(-1, again.z.shape[-1])
    around = Around.of(draws)
    rate = recipe.replicate(draws[17], jax.random.key(4), part)
    data = replace(part, rate=rate)
    slope = jax.jit(jax.grad(again.posterior.potential))
    before, after = (
        np.linalg.norm(around.root.T @ np.asarray(slope(z, data)))
        for z in (around.mean, recipe.fit(data, around))
    )
    assert after < 0.02 * before


@pytest.mark.long
def test_sampled_revolution_terms_are_refused(three_regions, small_mission, small_run):
    again = reopen(small_run, small_mission)
    explicit = Posterior(models.regions(three_regions, marginal=False), again.parts[0])
    with pytest.raises(InputError, match="marginal=False"):
        Recipe(explicit)
