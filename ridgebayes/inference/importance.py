"""Reuse draws of an old posterior for a new one, by importance weights and an affine map.

If new data are informative, a few old draws carry all of the weight. An affine map, which is exact for
Gaussian posteriors, first moves the draws to the new posterior. Weights then correct what is left (importance
sampling with moment matching, Paananen et al. 2021, Statistics and Computing 31, 16, with the curvature of
the new likelihood in place of sampled moments).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from scipy.special import logsumexp

from ridgebayes.inference.mixing import MAX_PARETO_K, mixed
from ridgebayes.inference.mode import Gaussian, whitened
from ridgebayes.inference.tuning import REWEIGHING


@dataclass(frozen=True)
class Reweighed:
    """Draws of the new posterior.

    Attributes
    ----------
    z
        Unconstrained vectors, (chain, draw, parameter).
    statistics
        Name → (chain, draw).
    pareto_k, efficiency
        Pareto k of the weights, and their effective sample size over the number of draws.
    how
        How they were made from old draws, in words.
    """

    z: NDArray
    statistics: dict[str, NDArray]
    pareto_k: float
    efficiency: float
    how: str

    @cached_property
    def serves(self) -> bool:
        """Tell whether they pass the limits of Pareto k, R-hat and ESS."""
        return self.pareto_k <= MAX_PARETO_K and mixed(self.z)


def reweigh(
    z: NDArray, statistics: Mapping[str, NDArray], lp: NDArray, rng: np.random.Generator, *, how: str
) -> Reweighed:
    """Resample weighted draws chain by chain, in their order, so that R-hat and ESS keep their meaning.

    Parameters
    ----------
    z
        Old draws, (chain, draw, parameter), moved or not by a map with a constant Jacobian.
    statistics
        Sample statistics of the old draws; "lp" and "energy" are needed.
    lp
        Log density of the new posterior at `z`, up to a constant, (chain, draw).
    rng
        Random numbers.
    how
        How they are made from old draws, in words.
    """
    log_weight = lp - statistics["lp"]
    # The density may be zero at some of the draws.
    log_weight = np.maximum(log_weight, log_weight.max() - REWEIGHING.max_log_range)
    smooth, pareto_k = smoothed(log_weight.ravel())
    efficiency = np.exp(-logsumexp(2 * smooth)) / smooth.size
    weight = np.exp(smooth - smooth.max()).reshape(lp.shape)
    draws = lp.shape[1]
    chosen = np.empty(lp.shape, int)
    for chain, row in enumerate(weight):
        at = (rng.uniform() + np.arange(draws)) / draws
        chosen[chain] = np.minimum(np.searchsorted(np.cumsum(row) / row.sum(), at), draws - 1)
    found = dict(statistics) | {"lp": lp, "energy": statistics["energy"] + statistics["lp"] - lp}
    taken = {name: np.take_along_axis(values, chosen, axis=1) for name, values in found.items()}
    there = np.take_along_axis(z, chosen[..., None], axis=1)
    return Reweighed(there, taken, pareto_k, float(efficiency), how)


def smoothed(log_weight: NDArray) -> tuple[NDArray[np.float64], float]:
    """Smooth the tail of importance weights, and return its Pareto k (Vehtari et al. 2024, JMLR 25, 72).

    Parameters
    ----------
    log_weight
        Log of the density over that of the draws, finite, (draw,).

    Returns
    -------
    log_weight
        Log of smoothed weights that sum to one, (draw,).
    float
        Pareto k: infinite if a few weights dominate and no tail can be fitted, 0 if all are equal.
    """
    plain = log_weight - logsumexp(log_weight)
    if np.ptp(log_weight) < 1e-9:
        return plain, 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        smooth, k = array_stats.psislw(-log_weight)  # takes the log of the reverse ratio
    # Where it cannot fit a tail, ArviZ returns weights or a k that are no numbers, depending on its version.
    return (smooth, float(k)) if np.isfinite(smooth).all() and not np.isnan(k) else (plain, np.inf)


def moved(z: NDArray, old: Gaussian, slope: NDArray, hessian: NDArray) -> NDArray[np.float64]:
    """Move draws of a posterior to the posterior with new data, as if both were Gaussian.

    Parameters
    ----------
    z
        Draws, (..., parameter).
    old
        Mean of the draws and Cholesky factor of their covariance.
    slope, hessian
        Gradient and Hessian of minus the log likelihood of the new data, at the mean.
    """
    curvature, axes = np.linalg.eigh(np.eye(len(slope)) + old.root.T @ hessian @ old.root)
    curvature = np.maximum(curvature, REWEIGHING.min_curvature)
    shift = -axes @ ((axes.T @ (old.root.T @ slope)) / curvature)
    narrower = (axes / np.sqrt(curvature)) @ axes.T
    u = whitened(z.reshape(-1, z.shape[-1]), old.mode, old.root)
    return (old.mode + (shift + u @ narrower) @ old.root.T).reshape(z.shape)


def moments(draws: NDArray) -> Gaussian:
    """Gaussian approximation with the mean and covariance of draws (chain, draw, parameter)."""
    flat = draws.reshape(-1, draws.shape[-1])
    covariance = np.atleast_2d(np.cov(flat.T))
    # Few draws for many parameters give the variances, but no covariances.
    if len(flat) < 4 * flat.shape[1]:
        covariance = np.diag(np.diag(covariance))
    return Gaussian(flat.mean(0), np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance))))
