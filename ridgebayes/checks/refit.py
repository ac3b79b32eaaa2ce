"""Replicated rates, and the recipe that observed and replicated rates go through alike.

Rates are fitted again before they are looked at: a descent from the posterior's mean to the mode, in
coordinates in which the posterior is round, the revolution terms solved for exactly. A statistic is then a
function of the rates alone, and its posterior predictive p-value is close to uniform under the model. Without
the fit it would not be: residuals of the observed rates have been made small by the fit, those of replicates
have not, and the check would be blind (Robins, van der Vaart & Ventura 2000, JASA 95, 1143).
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
    """What is left of rates after the fit.

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
    """What the fit expects, cts/s.

    Attributes
    ----------
    background
        Background without revolution terms, (band, block, width).
    seen
        What is seen of the sky, the Crab included, (band, block, width).
    noise
        Standard deviation of a rate about the fit, (band, block, width).
    counting
        Share of the counting noise in its variance, (band, block, width).
    crab_rate
        C(t), cts/s per Crab, (band, revolution); None where the model has none.
    """

    background: NDArray
    seen: NDArray
    noise: NDArray
    counting: NDArray
    crab_rate: NDArray | None


class Recipe:
    """Compiled steps of the check for one model and one layout; data and draws are arguments.

    Parameters
    ----------
    posterior
        What was sampled.

    Raises
    ------
    InputError
        When the revolution terms were sampled.
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
        """Draw rates for one draw of the posterior, cts/s, (band, block, width); revolution terms are new.

        NumPyro's `Predictive` would hold the replicates of all draws at once, gigabytes for a long mission.
        """
        return self._draw(z, key, data)

    def left(self, rate: Array, data: FitData, around: Around) -> Left:
        """Fit rates and return what is left of them."""
        data = replace(data, rate=rate)
        residual, coefficients = self._left(self.fit(data, around), data)
        return Left(np.asarray(residual), np.asarray(coefficients))

    def fit(self, data: FitData, around: Around) -> NDArray:
        """Return the most probable unconstrained vector, (parameter,)."""
        return descend(self._curvature, around.mean, around.root, data)[0]

    def expected(self, data: FitData, around: Around) -> Expected:
        """Return what the fit expects at the posterior mean."""
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
    """Mean and root of the covariance of the posterior, unconstrained."""

    mean: NDArray
    root: NDArray

    @classmethod
    def of(cls, z: NDArray) -> Around:
        """Work out from draws (draw, parameter)."""
        mean = z.mean(0)
        off = (z - mean) / np.sqrt(max(len(z) - 1, 1))
        _, values, vectors = np.linalg.svd(off, full_matrices=False)
        return cls(mean, vectors.T * values)


def left_over(rate: Any, value: Array) -> tuple[Array, Array]:
    """Return normal scores of rates `value` and coefficients over their sd (see `Left`).

    A residual after the revolution terms has the variance V − ΦSΦᵀ, with V the noise and S the posterior
    covariance of the terms.
    """
    mean, covariance = rate.coefficient_posterior(value)
    coefficients = jnp.swapaxes(mean, -1, -2)
    left = value - rate.loc - rate.revolution_terms(coefficients)
    own = rate.own_variance
    variance = jnp.maximum(own - rate.term_variance(covariance), 1e-6 * own)
    residual = rate.normal_score(left / jnp.sqrt(variance))
    scaled = coefficients / jnp.maximum(rate.coef_sd, 1e-300)
    return jnp.where(rate.filled, residual, 0.0), scaled
