"""Independent proposals: draws of nearly the posterior, at one value of the density each.

Given the scales (scatter, sd of the revolution terms, …) a posterior of many ScWs is all but Gaussian, and
in each scale alone its density is a curve that a few values tell. The proposal is the Gaussian in all
whitened coordinates but those of the scales, and in each of these its own tabulated curve. Metropolis and
Hastings' rule makes draws of the exact posterior of it, whatever the tables are (the independence sampler,
Tierney 1994, Annals of Statistics 22, 1701); how often they are accepted is measured before they are used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import logsumexp

from ridgebayes.laplace import Laplace, Potential

logger = logging.getLogger(__name__)

MIN_ACCEPTANCE = 0.8
"""Proposals that are accepted less often leave a chain where it is too long."""

_CELL, _CELLS = 0.02, 2000
_LOWEST = -_CELL * _CELLS / 2
_HALF = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.5, 7.5, 10.0, 14.0])
_NODES = np.concatenate([-_HALF[::-1], [0.0], _HALF])
_LEAST = -60.0  # log density, over the highest: beyond it a table says no more
_PILOT, _TRIAL = 200, 150  # draws for the correction, and for the acceptance
_AT_A_TIME = 25


class Values:
    """Compiled potential of many whitened vectors; data are arguments, so bands share the code."""

    def __init__(self, potential: Potential) -> None:
        def each(us: Array, data: Any, mode: Array, root: Array) -> Array:
            return jax.lax.map(lambda u: potential(mode + root @ u, data), us)

        self._each = jax.jit(each)

    def __call__(self, us: NDArray, data: Any, approximation: Laplace) -> NDArray:
        """Potential of vectors (n, parameter); infinite where it is not a number."""
        padded = np.concatenate([us, np.zeros((-len(us) % _AT_A_TIME, us.shape[1]))])
        chunks = padded.reshape(-1, _AT_A_TIME, us.shape[1])
        found = [self._each(chunk, data, approximation.mode, approximation.root) for chunk in chunks]
        potential = np.asarray(found).reshape(-1)[: len(us)]
        return np.where(np.isfinite(potential), potential, np.inf)


def with_tables(
    values: Values, approximation: Laplace, scales: int, data: Any, rng: np.random.Generator
) -> Laplace:
    """Add the tables of a proposal to an approximation, where it would be accepted often enough.

    Parameters
    ----------
    values
        Potential of the posterior.
    approximation
        Mode and root, the first `scales` columns of which are those of the scales.
    scales
        Number of scales.
    data
        Second argument of the potential.
    rng
        Random numbers.
    """
    tables = _profiles(values, approximation, scales, data)
    size = approximation.mode.size

    # What the profiles miss: the width of the other coordinates changes with the scales.
    pilot = draw(tables, rng, _PILOT, size)
    left = _log_ratio(values, tables, pilot, approximation, data)
    features = _features(pilot[:, :scales])
    correction = np.linalg.lstsq(features, np.maximum(left, np.median(left) - 5.0), rcond=None)[0][1:]
    grid = _LOWEST + _CELL * (np.arange(_CELLS) + 0.5)
    powers = _features(grid[:, None])[:, 1:]
    tables = _normalised(tables + correction.reshape(3, scales).T @ powers.T)

    trial = draw(tables, rng, _TRIAL, size)
    accepted = acceptance(_log_ratio(values, tables, trial, approximation, data))
    used = accepted >= MIN_ACCEPTANCE
    logger.debug(
        "independent proposals would be accepted at %.0f %%%s", 100 * accepted, "" if used else ": not used"
    )
    return approximation._replace(tables=tables if used else None)


def draw(tables: NDArray, rng: np.random.Generator, n: int, size: int) -> NDArray[np.float64]:
    """Draw `n` whitened vectors, (n, size)."""
    us = rng.normal(size=(n, size))
    for k, row in enumerate(tables):
        cumulative = np.concatenate([[0.0], np.cumsum(np.exp(row))])
        edges = _LOWEST + _CELL * np.arange(_CELLS + 1)
        us[:, k] = np.interp(rng.uniform(size=n), cumulative / cumulative[-1], edges)
    return us


def log_density(tables: Any, u: Any) -> Any:
    """Log density of the proposal at whitened vectors (..., size), up to a constant: (...).

    Both arguments are arrays of NumPy, or of JAX in compiled code.
    """
    xp = u.__array_namespace__()
    scales = tables.shape[0]
    cell = xp.clip(xp.floor((u[..., :scales] - _LOWEST) / _CELL), 0, _CELLS - 1).astype(int)
    return tables[xp.arange(scales), cell].sum(-1) - 0.5 * (u[..., scales:] ** 2).sum(-1)


def acceptance(log_ratio: NDArray) -> float:
    """Share of independent proposals that are accepted, from log(posterior / proposal) of some."""
    weight = np.exp(log_ratio - logsumexp(log_ratio))
    return float((np.minimum(weight[:, None], weight[None]).sum()) / len(weight))


def _log_ratio(
    values: Values, tables: NDArray, us: NDArray, approximation: Laplace, data: Any
) -> NDArray[np.float64]:
    ratio = -values(us, data, approximation) - log_density(tables, us)
    return ratio - ratio.max()


def _profiles(values: Values, approximation: Laplace, scales: int, data: Any) -> NDArray[np.float64]:
    """Log density along each scale through the mode, (scale, cell)."""
    us = np.zeros((scales, _NODES.size, approximation.mode.size))
    for k in range(scales):
        us[k, :, k] = _NODES
    potential = values(us.reshape(-1, approximation.mode.size), data, approximation)
    grid = _LOWEST + _CELL * (np.arange(_CELLS) + 0.5)
    rows = potential.reshape(scales, _NODES.size)
    return _normalised(np.array([_curve(row.min() - row, grid) for row in rows]).reshape(scales, _CELLS))


def _curve(log_density: NDArray, grid: NDArray) -> NDArray[np.float64]:
    """Interpolate between the nodes; beyond the last of them, and where it is nothing, go on as a line."""
    worth = log_density > 2 * _LEAST
    nodes, heights = _NODES[worth], log_density[worth]
    curve: Callable[[NDArray], NDArray] = PchipInterpolator(nodes, heights)
    first, last = nodes[[0, -1]]
    below = np.maximum(np.gradient(heights, nodes)[0], 0.5) * (grid - first)
    above = np.minimum(np.gradient(heights, nodes)[-1], -0.5) * (grid - last)
    return (
        curve(np.clip(grid, first, last)) + np.where(grid < first, below, 0) + np.where(grid > last, above, 0)
    )


def _features(t: NDArray) -> NDArray[np.float64]:
    """1, t, t², t³ of each column within ±4: (n, 1 + 3 columns), columns together for each power."""
    t = np.clip(t, -4.0, 4.0)
    return np.concatenate([np.ones((len(t), 1)), t, t**2, t**3], 1)


def _normalised(log_density: NDArray) -> NDArray[np.float64]:
    log_density = log_density - log_density.max(1, keepdims=True, initial=-np.inf)
    log_density = np.maximum(log_density, _LEAST)
    return log_density - logsumexp(log_density, axis=1, keepdims=True) - np.log(_CELL)
