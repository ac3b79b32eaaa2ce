"""Replicated rates, and the fit that is applied to observed and replicated rates.

Both are refitted: an optimiser goes from the posterior mean to the mode, in coordinates in which the
posterior is isotropic, with exact solution of the revolution terms. A statistic is then a function of the
rates alone, and its posterior predictive p-value is close to uniform under the model. Without a refit only
the residuals of the observed rates would be minimised, not those of replicates, and the check would have
little power (Robins, van der Vaart & Ventura 2000, JASA 95, 1143).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mode import Curvature, descend
from ridgebayes.likelihood.design import FitData
from ridgebayes.runs.fitted import sites


class Left(NamedTuple):
    """Residuals and revolution coefficients after a fit.

    Attributes
    ----------
    residual
        Normal score of each rate given the fit, standard normal under the model, (band, block, width).
    coefficients
        Constant and phase terms of each revolution over their prior sd, (band, term, revolution).
    """

    residual: NDArray
    coefficients: NDArray


class Expected(NamedTuple):
    """Rates expected by the fit, cts/s.

    Attributes
    ----------
    background
        Background without revolution terms, (band, block, width).
    seen
        Flux of the sky in the field of view, including the Crab, (band, block, width).
    noise
        Standard deviation of a rate about the fit, (band, block, width).
    counting
        Share of counting noise in the variance, (band, block, width).
    crab_rate
        C(t), cts/s per Crab, (band, revolution); None if the model has no Crab rate.
    """

    background: NDArray
    seen: NDArray
    noise: NDArray
    counting: NDArray
    crab_rate: NDArray | None


class Recipe:
    """Compiled functions of the check for one model and layout, with data and draws as arguments.

    Parameters
    ----------
    posterior
        The posterior that was sampled.

    Raises
    ------
    InputError
        If the revolution terms were sampled.
    """

    def __init__(self, posterior: Posterior) -> None:
        if "background.coefficients" in posterior.model.parameters:
            raise InputError(
                "check: the revolution terms of this run were sampled (marginal=False): check one that has "
                "them integrated out"
            )
        self.posterior = posterior
        self._curvature = Curvature(posterior.potential)
        self._left = jax.jit(lambda z, data: left_over(sites(posterior, z, data)["rate"], data.rate))
        self._draw = jax.jit(lambda z, key, data: sites(posterior, z, data)["rate"].sample(key))
        self._expected = jax.jit(self._expect)

    def replicate(self, z: NDArray, key: Array, data: FitData) -> Array:
        """Simulate rates for one posterior draw, with new revolution terms, cts/s, (band, block, width).

        NumPyro's `Predictive` would keep the replicates of all draws in memory, gigabytes for a long mission.
        """
        return self._draw(z, key, data)

    def left(self, rate: Array, data: FitData, around: Around) -> Left:
        """Fit rates and return their residuals."""
        data = replace(data, rate=rate)
        residual, coefficients = self._left(self.fit(data, around), data)
        return Left(np.asarray(residual), np.asarray(coefficients))

    def fit(self, data: FitData, around: Around) -> NDArray:
        """Return the mode as an unconstrained vector, (parameter,)."""
        return descend(self._curvature, around.mean, around.root, data)[0]

    def expected(self, data: FitData, around: Around) -> Expected:
        """Return the expected rates at the posterior mean."""
        found = {name: np.asarray(x) for name, x in self._expected(around.mean, data).items()}
        return Expected(*(found.get(name) for name in Expected._fields))  # type: ignore[arg-type]

    def _expect(self, z: Array, data: FitData) -> dict[str, Array]:
        found = sites(self.posterior, z, data)
        rate, background = found["rate"], found["background.rate"]
        own = rate.own_variance
        named = {
            "background": background,
            "seen": rate.loc - background,
            "noise": jnp.sqrt(own),
            "counting": data.stat_variance / own,
        }
        return named | ({"crab_rate": found["crab.history"]} if "crab.history" in found else {})


class Around(NamedTuple):
    """Posterior mean, and root of the posterior covariance, in unconstrained coordinates."""

    mean: NDArray
    root: NDArray

    @classmethod
    def of(cls, z: NDArray) -> Around:
        """Compute from draws (draw, parameter)."""
        mean = z.mean(0)
        off = (z - mean) / np.sqrt(max(len(z) - 1, 1))
        _, values, vectors = np.linalg.svd(off, full_matrices=False)
        return cls(mean, vectors.T * values)


def left_over(rate: Any, value: Array) -> tuple[Array, Array]:
    """Return normal scores of rates `value` and coefficients over their sd (see `Left`).

    With the revolution terms fitted, residuals have the variance V − ΦSΦᵀ, with V the variance of the noise
    and S the posterior covariance of the terms.
    """
    mean, covariance = rate.coefficient_posterior(value)
    coefficients = jnp.swapaxes(mean, -1, -2)
    left = value - rate.loc - rate.revolution_terms(coefficients)
    own = rate.own_variance
    variance = jnp.maximum(own - rate.term_variance(covariance), 1e-6 * own)
    residual = rate.normal_score(left / jnp.sqrt(variance))
    scaled = coefficients / jnp.maximum(rate.coef_sd, 1e-300)
    return jnp.where(rate.filled, residual, 0.0), scaled
