r"""The distribution of the rates of all revolutions, with outliers.

As `ridgebayes.likelihood.revolution`, but the noise of a ScW is a mixture,

.. math:: \epsilon_i \sim (1-f)\,N(0, s_i^2) + f\,N(0, \kappa^2 s_i^2)

so the coefficients can no longer be integrated out in closed form. Laplace's method approximates the integral
for each revolution, by a Gaussian at the most probable coefficients; the approximation improves with the
number of ScWs. EM finds these coefficients: it weights each ScW by the probability that it is not an outlier.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtr, ndtri
from jax.typing import ArrayLike
from numpyro.distributions import constraints

from ridgebayes.likelihood import revolution
from ridgebayes.likelihood.revolution import RevolutionNormal, revolution_terms

STEPS = 6
"""Steps of EM; a few are enough, because outliers are far from the other ScWs."""


class OutlierNormal(RevolutionNormal):
    """Normal rates with outliers; the coefficients of each revolution are integrated out by Laplace's method.

    Parameters
    ----------
    loc, noise_variance, coef_sd, basis, block_revolution, filled
        As in `RevolutionNormal`; `noise_variance` is that of a ScW that is not an outlier.
    fraction
        Share f of outliers, shape (...).
    size
        Standard deviation κ of outliers over that of other ScWs, above 1, shape (...).
    """

    arg_constraints = {  # noqa: RUF012 (NumPyro's own convention)
        **RevolutionNormal.arg_constraints,
        "fraction": constraints.unit_interval,
        "size": constraints.positive,
    }
    pytree_data_fields: tuple[str, ...] = ("fraction", "size")

    def __init__(
        self,
        loc: ArrayLike,
        noise_variance: ArrayLike,
        coef_sd: ArrayLike,
        basis: ArrayLike,
        block_revolution: ArrayLike,
        filled: ArrayLike,
        fraction: ArrayLike,
        size: ArrayLike,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.fraction, self.size = jnp.asarray(fraction, float), jnp.asarray(size, float)
        super().__init__(
            loc, noise_variance, coef_sd, basis, block_revolution, filled, validate_args=validate_args
        )

    @property
    def variance(self) -> Array:
        """Variance of the rates, outliers and revolution terms included, (cts/s)²."""
        wider = (1.0 - self.fraction + self.fraction * self.size**2)[..., None, None]
        terms = revolution_terms(self.coef_sd**2, self.basis**2, self.block_revolution)
        return self.noise_variance * wider + terms

    def normal_score(self, residual: Array) -> Array:
        """Return the normal score of a residual over the sd of a ScW which is no outlier."""
        return mixture_score(residual, self.fraction[..., None, None], self.size[..., None, None])

    def log_prob(self, value: ArrayLike) -> Array:
        """Log density of the rates `value`, shape (..., block, width) → (...)."""
        return self._over_bands(_log_prob, "()")(value - self.loc)

    def log_prob_by_revolution(self, value: ArrayLike) -> Array:
        """Log density of the rates of each revolution, (..., block, width) → (..., revolution)."""
        return self._over_bands(_by_revolution, "(r)")(value - self.loc)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draw rates, new coefficients and new outliers included; empty cells hold zero."""
        key_rest, key_hit = jax.random.split(key)
        shape = sample_shape + self.batch_shape + self.event_shape
        hit = jax.random.uniform(key_hit, shape) < self.fraction[..., None, None]
        return self._widened(jnp.where(hit, self.size[..., None, None] ** 2, 1.0)).sample(key_rest)

    def coefficient_posterior(self, value: ArrayLike) -> tuple[Array, Array]:
        """Mean and covariance of the coefficients given rates, in Laplace's approximation.

        Shapes (..., revolution, J) in cts/s and (..., revolution, J, J) in (cts/s)².
        """
        factor = self._over_bands(_settled, "(b,w)")(value - self.loc)
        return self._widened(factor).coefficient_posterior(value)

    def _widened(self, factor: Array) -> RevolutionNormal:
        """Return the Gaussian with the variance of each ScW times a factor."""
        variance = self.noise_variance * factor
        return RevolutionNormal(
            self.loc, variance, self.coef_sd, self.basis, self.block_revolution, self.filled
        )

    def _over_bands(self, function, result: str):
        shared = (self.basis, self.filled, self.block_revolution)

        def mapped(residual):
            bound = lambda *arrays: function(*arrays, *shared)  # noqa: E731
            arrays = (residual, self.noise_variance, self.coef_sd, self.fraction, self.size)
            return jnp.vectorize(bound, signature=f"(b,w),(b,w),(j,r),(),()->{result}")(*arrays)

        return mapped


def mixture_score(residual, fraction, size):
    """Return the normal score of residuals that are outliers with a small probability."""
    far = jnp.abs(residual)
    tail = (1.0 - fraction) * ndtr(-far) + fraction * ndtr(-far / size)
    return jnp.sign(residual) * -ndtri(jnp.clip(tail, 1e-300, 0.5))


def log_prior_odds(fraction):
    """Log odds that a ScW is an outlier, before its rate is known."""
    # Clipped above zero, so that there is a gradient at a share of exactly zero.
    fraction = jnp.clip(fraction, 1e-300, 1.0 - 1e-15)
    return jnp.log(fraction) - jnp.log1p(-fraction)


def log_odds(left, variance, fraction, size):
    """Log odds that a ScW is an outlier, given its residual `left`."""
    prior = log_prior_odds(fraction) - jnp.log(size)
    return prior + 0.5 * left**2 / variance * (1.0 - size**-2)


def log_mixture(odds, fraction):
    """Log of the mixture density over the density of a ScW that is not an outlier, for log odds `odds`."""
    # As `jax.nn.softplus`, which takes six times as long.
    softplus = jnp.maximum(odds, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(odds)))
    return jnp.log1p(-jnp.clip(fraction, 0.0, 1.0 - 1e-15)) + softplus


def _left(residual, variance, coef_sd, basis, mask, block_revolution):
    """Subtract the fitted terms of each revolution; return the rest and the solution."""
    solved = revolution.fitted(residual, variance, coef_sd, basis, mask, block_revolution).solved
    coefficients = jnp.stack([coef_sd[j] * z for j, z in enumerate(solved.z)])
    return residual - revolution_terms(coefficients, basis, block_revolution), solved


def variance_factor(left, variance, fraction, size):
    """Factor on the variance of a ScW that gives its effective variance in EM."""
    outlier = jax.nn.sigmoid(log_odds(left, variance, fraction, size))
    return 1.0 / (1.0 - outlier * (1.0 - size**-2))


def _settled(residual, variance, coef_sd, fraction, size, basis, mask, block_revolution):
    """Factor on the variance of each ScW at the most probable coefficients, by EM."""

    def step(_, factor):
        left, _ = _left(residual, variance * factor, coef_sd, basis, mask, block_revolution)
        return variance_factor(left, variance, fraction, size)

    return jax.lax.fori_loop(0, STEPS, step, jnp.ones_like(variance))


def _log_prob(*arrays):
    noise, terms = _density(*arrays)
    return noise.sum() + terms.sum()


def _by_revolution(*arrays):
    noise, terms = _density(*arrays)
    return revolution.over_revolutions(noise.sum(1), arrays[-1], terms.size) + terms


def _density(residual, variance, coef_sd, fraction, size, basis, mask, block_revolution):
    """Log density of the noise of each ScW, and the contribution of the terms of each revolution."""
    # EM is not differentiated, except for one last step. By the envelope theorem the gradient depends on the
    # motion of the coefficients only through the width of the integrand, and there one step is nearly enough.
    given = jax.lax.stop_gradient((residual, variance, coef_sd, fraction, size))
    shared = (basis, mask, block_revolution)
    before, _ = _left(given[0], given[1] * _settled(*given, *shared), given[2], *shared)
    factor = variance_factor(before + residual - given[0], variance, fraction, size)
    left, solved = _left(residual, variance * factor, coef_sd, *shared)

    odds = log_odds(left, variance, fraction, size)
    density = -0.5 * (left**2 / variance + jnp.log(2.0 * jnp.pi * variance))
    density += log_mixture(odds, fraction)
    prior = -0.5 * sum(z**2 for z in solved.z)
    # Curvature of the mixture, which is below that of the Gaussian of EM, and is kept positive.
    outlier, shrink = jax.nn.sigmoid(odds), 1.0 - size**-2
    curvature = 1.0 / (variance * factor) - outlier * (1.0 - outlier) * (shrink * left / variance) ** 2
    bounded = 1.0 / jnp.maximum(curvature, 1e-6 / variance)
    inverse = revolution.fitted(left, bounded, coef_sd, *shared).solved.inverse
    log_det = -sum(jnp.log(row[-1]) for row in inverse)
    return jnp.where(mask, density, 0.0), prior - log_det
