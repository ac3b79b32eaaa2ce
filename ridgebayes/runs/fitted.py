"""Fitted background, noise and sky of every ScW, revolution terms, and replicates of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray
from numpyro import handlers

from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import TERMS, FitData
from ridgebayes.likelihood.revolution import RevolutionNormal, revolution_terms

HISTORIES = ("background.history", "crab.history")
"""Deterministic sites of models, (band, revolution): background level and Crab rate, cts/s."""
DERIVED = ("sky.intensity", "sky.fov_flux")
"""Deterministic sites of models, (band, region), that are kept for every draw."""


class Fitted(NamedTuple):
    """Fitted values, averaged over draws.

    Attributes
    ----------
    background, background_sd
        Background of each ScW, revolution terms included, with its posterior sd, cts/s, (band, block, width).
    seen
        Rate of the sky, cts/s, (band, block, width).
    noise
        Standard deviation of counting noise and scatter together, cts/s, (band, block, width).
    coefficients, coefficients_sd
        Constant and phase terms of each revolution, and their posterior sd, cts/s, (band, term, revolution).
    """

    background: NDArray
    background_sd: NDArray
    seen: NDArray
    noise: NDArray
    coefficients: NDArray
    coefficients_sd: NDArray

    @property
    def rate(self) -> NDArray:
        """Fitted rate, cts/s, (band, block, width)."""
        return self.background + self.seen


def sites(posterior: Posterior, z: Array, data: FitData) -> dict[str, Any]:
    """Return the deterministic sites at an unconstrained vector, and "rate", the distribution of rates."""
    fixed = handlers.substitute(posterior.model, data=posterior.constrain_one(z))
    trace = handlers.trace(handlers.seed(fixed, jax.random.key(0))).get_trace(data)
    values = {name: site["value"] for name, site in trace.items() if site["type"] == "deterministic"}
    return values | {"rate": trace["rate"]["fn"].base_dist}


def fitted(posterior: Posterior, data: FitData, z: NDArray) -> Fitted:
    """Average the fitted values of every ScW and revolution over draws.

    Parameters
    ----------
    posterior, data
        The posterior and its data.
    z
        Unconstrained draws, (draw, parameter).
    """
    known = len(TERMS)  # the other columns are of the sky

    def one(z: Array, data: FitData) -> dict[str, Any]:
        found = sites(posterior, z, data)
        rate, background = found["rate"], found["background.rate"]
        if isinstance(rate, RevolutionNormal):
            mean, covariance = rate.coefficient_posterior(data.rate)
            covariance = covariance[..., :known, :known]
            coefficients = jnp.swapaxes(mean, -1, -2)
            variance = jnp.swapaxes(jnp.diagonal(covariance, axis1=-2, axis2=-1), -1, -2)
            spread = rate.term_variance(covariance)
            prior = revolution_terms(rate.coef_sd**2, rate.basis**2, data.block_revolution)
            loc, noise = rate.loc, rate.variance - prior
        else:
            coefficients = found["background.terms"]
            variance = jnp.zeros_like(coefficients[..., :known, :])
            every = revolution_terms(coefficients, data.basis, data.block_revolution)
            loc, noise, spread = rate.mean - every, rate.variance, jnp.zeros_like(rate.mean)
        seen = loc - background
        background += revolution_terms(coefficients, data.basis[:known], data.block_revolution)
        if len(data.basis) > known:
            of_sky = coefficients[..., known:, :]
            seen += revolution_terms(of_sky, data.basis[known:], data.block_revolution)
        return {
            "background": background,
            "spread": spread,
            "seen": seen,
            "noise": noise,
            "coefficients": coefficients[..., :known, :],
            "variance": variance,
        }

    one = _compiled(posterior, "fitted", one)
    mean: dict[str, Any] = {}
    squares: dict[str, Any] = {}
    first: dict[str, NDArray] = {}
    for row in z:
        for name, value in one(row, data).items():
            value = np.asarray(value)
            mean[name] = mean.get(name, 0.0) + value / len(z)
            # Squares are taken about the first draw: those of rates near 300 cannot resolve a spread of 0.01.
            off = value - first.setdefault(name, value)
            squares[name] = squares.get(name, 0.0) + off**2 / len(z)

    def sd(name: str, within: str) -> NDArray:
        among = squares[name] - (mean[name] - first[name]) ** 2
        return np.sqrt(np.maximum(among, 0.0) + mean[within])

    return Fitted(
        mean["background"],
        sd("background", "spread"),
        mean["seen"],
        np.sqrt(mean["noise"]),
        mean["coefficients"],
        sd("coefficients", "variance"),
    )


def left_sites(posterior: Posterior, data: FitData, z: NDArray, names: Sequence[str]) -> dict[str, NDArray]:
    """Return deterministic sites for each draw, site → (draw, ...); sites that the model lacks are left out.

    Names are `HISTORIES`, of shape (draw, band, revolution), or `DERIVED`, of shape (draw, band, region).
    """

    def each(z: Array, data: FitData) -> dict[str, Array]:
        def one(z: Array) -> dict[str, Array]:
            found = sites(posterior, z, data)
            return {name: found[name] for name in names if name in found}

        return jax.lax.map(one, z)

    each = _compiled(posterior, ("left", *names), each)
    return {name: np.asarray(draws) for name, draws in each(z, data).items()}


def _compiled(posterior: Posterior, what: Any, function: Callable) -> Callable:
    """Compile a function of the posterior once for all bands, and keep it with the posterior."""
    return vars(posterior).setdefault("_compiled", {}).setdefault(what, jax.jit(function))


def revolution_means(data: FitData) -> NDArray:
    """Mean rate of each revolution over its ScWs, cts/s, (band, revolution)."""
    return np.asarray(_means(data.rate, data))


def _means(rate: Array, data: FitData) -> Array:
    sums = jax.vmap(lambda x: jax.ops.segment_sum(x, data.block_revolution, data.level.shape[1]))
    return sums((rate * data.filled).sum(-1)) / sums(jnp.sum(data.filled, -1)[None])


def revolution_replicates(posterior: Posterior, data: FitData, z: NDArray, key: Array) -> NDArray:
    """Replicated mean rate of each revolution for each draw, cts/s, (draw, band, revolution).

    NumPyro's `Predictive` would keep the replicated rates of all ScWs and draws, of which only means are
    needed.
    """

    def one(z: Array, key: Array, data: FitData) -> Array:
        return _means(sites(posterior, z, data)["rate"].sample(key), data)

    one = _compiled(posterior, "replicates", one)
    keys = jax.random.split(key, len(z))
    return np.stack([np.asarray(one(row, k, data)) for row, k in zip(z, keys, strict=True)])
