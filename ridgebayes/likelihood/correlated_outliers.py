r"""The distribution of rates with noise that is correlated within revolutions, and with outliers.

With unknown outliers neither the terms of a revolution nor the correlated noise can be integrated out
exactly. As in `ridgebayes.likelihood.outliers`, EM finds an effective variance of each ScW, with which the
rates are Gaussian. The ratio of the mixture to this Gaussian is evaluated at the most probable white noise.
During sampling the indicators of outliers are known (`IndicatedCorrelatedTermsNormal`), and nothing is
approximate.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ridgebayes.likelihood.ou_noise import CorrelatedNormal
from ridgebayes.likelihood.outliers import (
    STEPS,
    OutlierNormal,
    log_mixture,
    log_odds,
    mixture_score,
    variance_factor,
)
from ridgebayes.likelihood.revolution import over_revolutions


class CorrelatedOutlierNormal(CorrelatedNormal):
    """`CorrelatedNormal` with outliers in the white noise.

    Parameters
    ----------
    loc, noise_variance, coef_sd, basis, block_revolution, filled, correlated_sd, memory, sequence
        As in `CorrelatedNormal`; `noise_variance` is that of a ScW that is not an outlier.
    fraction, size
        As in `OutlierNormal`, shape (...).
    """

    arg_constraints = {  # noqa: RUF012 (NumPyro's own convention)
        **CorrelatedNormal.arg_constraints,
        **{name: OutlierNormal.arg_constraints[name] for name in ("fraction", "size")},
    }
    pytree_data_fields: tuple[str, ...] = ("fraction", "size")

    def __init__(self, *given: Any, validate_args: bool | None = None) -> None:
        *correlated, fraction, size = given
        self.fraction, self.size = jnp.asarray(fraction, float), jnp.asarray(size, float)
        super().__init__(*correlated, validate_args=validate_args)

    @property
    def variance(self) -> Array:
        """Variance of the rates, outliers, revolution terms and correlated noise included, (cts/s)²."""
        fraction, size = self._mixture()
        return super().variance + self.noise_variance * fraction * (size**2 - 1.0)

    def normal_score(self, residual: Array) -> Array:
        """Return the normal score of a residual over the sd of a ScW which is no outlier."""
        return mixture_score(residual, *self._mixture())

    def log_prob(self, value: ArrayLike) -> Array:
        """Log density of the rates `value`, shape (..., block, width) → (...)."""
        return self.log_prob_by_revolution(value).sum(-1)

    def log_prob_by_revolution(self, value: ArrayLike) -> Array:
        """Log density of the rates of each revolution, (..., block, width) → (..., revolution)."""
        factor, left = jax.lax.stop_gradient(self._settled(value))
        gaussian = self._widened(factor)
        variance, (fraction, size) = self.noise_variance, self._mixture()
        odds = log_odds(left, variance, fraction, size)
        of_one = 0.5 * (left**2 / (variance * factor) - left**2 / variance + jnp.log(factor))
        more = jnp.where(self.filled, log_mixture(odds, fraction) + of_one, 0.0).sum(-1)
        sums = jnp.vectorize(
            lambda x: over_revolutions(x, self.block_revolution, self.coef_sd.shape[-1]),
            signature="(b)->(r)",
        )(more)
        return gaussian.log_prob_by_revolution(value) + sums

    def settled(self, value: ArrayLike) -> CorrelatedNormal:
        """Return the Gaussian with the effective variances at `value`: it needs no EM."""
        return self._widened(self._settled(value)[0])

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draw rates, new outliers included; empty cells hold zero."""
        key_hit, key_rest = jax.random.split(key)
        fraction, size = self._mixture()
        shape = sample_shape + self.batch_shape + self.event_shape
        hit = jax.random.uniform(key_hit, shape) < fraction
        return self._widened(jnp.where(hit, size**2, 1.0)).sample(key_rest)

    def coefficient_posterior(self, value: ArrayLike) -> tuple[Array, Array]:
        """Mean and covariance of the coefficients given rates, with the effective variances of EM."""
        return self._widened(self._settled(value)[0]).coefficient_posterior(value)

    def _mixture(self) -> tuple[Array, Array]:
        return self.fraction[..., None, None], self.size[..., None, None]

    def _widened(self, factor: Array) -> CorrelatedNormal:
        """Return the Gaussian with the variance of each ScW times a factor."""
        return CorrelatedNormal(
            self.loc, self.noise_variance * factor, self.coef_sd, self.basis, self.block_revolution,
            self.filled, self.correlated_sd, self.memory, self.sequence,
        )  # fmt: skip

    def _settled(self, value: ArrayLike) -> tuple[Array, Array]:
        """Factor on the variance of each ScW, by EM, and the most probable white noise with it."""

        def step(_: int, now: tuple[Array, Array]) -> tuple[Array, Array]:
            left = self._widened(now[0]).white_noise(value)
            return variance_factor(left, self.noise_variance, *self._mixture()), left

        start = jnp.ones(self.batch_shape + self.event_shape)
        return jax.lax.fori_loop(0, STEPS, step, (start, start))
