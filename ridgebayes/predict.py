"""What a model predicts for the ScWs: fitted rates, replicated rates, revolution means."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray
from numpyro import handlers

from ridgebayes.fitdata import FitData
from ridgebayes.model import Model
from ridgebayes.posterior import Posterior
from ridgebayes.revolution import RevolutionNormal


def rate_distribution(model: Model, named: Mapping[str, Array], data: FitData) -> RevolutionNormal:
    """Return the distribution of the rates at one set of parameters."""
    fixed = handlers.substitute(model, data=dict(named))
    trace = handlers.trace(handlers.seed(fixed, jax.random.key(0))).get_trace(data)
    return trace["rate"]["fn"].base_dist


def fitted(posterior: Posterior, data: FitData, z: NDArray) -> tuple[NDArray, NDArray]:
    """Fitted rate and noise sd of every ScW, averaged over draws.

    Parameters
    ----------
    posterior, data
        What was fitted.
    z
        Unconstrained draws, (draw, parameter).

    Returns
    -------
    rate
        Mean with the revolution terms at their conditional mean, cts/s, (band, block, width).
    sd
        Standard deviation of the noise (counting and scatter), cts/s, same shape.
    """

    @jax.jit
    def one(z: Array, data: FitData) -> tuple[Array, Array]:
        rate = rate_distribution(posterior.model, posterior.constrain_one(z), data)
        if isinstance(rate, RevolutionNormal):
            mean, _ = rate.coefficient_posterior(data.rate)
            return rate.loc + rate.revolution_terms(jnp.swapaxes(mean, -1, -2)), rate.noise_variance
        return rate.mean, rate.variance

    total, variance = (np.zeros(data.rate.shape) for _ in range(2))
    for row in z:
        mean, noise = one(row, data)
        total += np.asarray(mean) / len(z)
        variance += np.asarray(noise) / len(z)
    return total, np.sqrt(variance)


def revolution_means(data: FitData) -> NDArray:
    """Mean rate of each revolution over its ScWs, cts/s, (band, revolution)."""
    return np.asarray(_means(data.rate, data))


def _means(rate: Array, data: FitData) -> Array:
    sums = jax.vmap(lambda x: jax.ops.segment_sum(x, data.block_revolution, data.level.shape[1]))
    return sums((rate * data.filled).sum(-1)) / sums(jnp.sum(data.filled, -1)[None])


def revolution_replicates(posterior: Posterior, data: FitData, z: NDArray, key: Array) -> NDArray:
    """Replicated mean rate of each revolution for each draw, cts/s, (draw, band, revolution)."""

    @jax.jit
    def one(z: Array, key: Array, data: FitData) -> Array:
        rate = rate_distribution(posterior.model, posterior.constrain_one(z), data)
        return _means(rate.sample(key), data)

    keys = jax.random.split(key, len(z))
    return np.stack([np.asarray(one(row, k, data)) for row, k in zip(z, keys, strict=True)])
