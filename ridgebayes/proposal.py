"""Independent proposals: draws of nearly the posterior, at one value of the density each.

Given the scales (scatter, sd of the revolution terms, …) a posterior of many ScWs is all but Gaussian, and
in each scale alone its density is a curve that a few values tell. The proposal is the Gaussian in all
whitened coordinates but those of the scales, and in each of these its own tabulated curve. Where that does
not do, the middle of the Gaussian follows the ridge of the posterior along each scale. Metropolis and
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

from ridgebayes.laplace import Curvature, Laplace, Proposal

logger = logging.getLogger(__name__)

MIN_ACCEPTANCE = 0.5
"""Proposals that are accepted less often are not worth more than NUTS."""
GOOD_ACCEPTANCE, PROPOSALS_A_DRAW = 0.8, 3
"""Below the first a draw is so many proposals, lest a chain stay where it is."""

_CELL, _CELLS = 0.02, 2000
_LOWEST = -_CELL * _CELLS / 2
_HALF = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.5, 7.5, 10.0, 14.0])
_NODES = np.concatenate([-_HALF[::-1], [0.0], _HALF])
_STRIDE = 0.25
_RIDGE = np.arange(_LOWEST, -_LOWEST + _STRIDE / 2, _STRIDE)  # places along a scale where the ridge is kept
_LEAST = -60.0  # log density, over the highest: beyond it a table says no more
_TRIAL = 200
_AT_A_TIME = 25


class Values:
    """Compiled potential of many whitened vectors; data are arguments, so bands share the code."""

    def __init__(self, curvature: Curvature) -> None:
        self.gradient = curvature.value_and_gradient

        def each(us: Array, data: Any, mode: Array, root: Array) -> Array:
            return jax.lax.map(lambda u: curvature.potential(mode + root @ u, data), us)

        self._each = jax.jit(each)

    def __call__(self, us: NDArray, data: Any, approximation: Laplace) -> NDArray:
        """Potential of vectors (n, parameter); infinite where it is not a number."""
        padded = np.concatenate([us, np.zeros((-len(us) % _AT_A_TIME, us.shape[1]))])
        chunks = padded.reshape(-1, _AT_A_TIME, us.shape[1])
        found = [self._each(chunk, data, approximation.mode, approximation.root) for chunk in chunks]
        potential = np.asarray(found).reshape(-1)[: len(us)]
        return np.where(np.isfinite(potential), potential, np.inf)


def with_proposal(
    values: Values, approximation: Laplace, scales: int, data: Any, rng: np.random.Generator
) -> Laplace:
    """Add a proposal to an approximation, where it would be accepted often enough.

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
    size = approximation.mode.size
    ridge = np.zeros((scales, _RIDGE.size, size))
    best, accepted = _proposal(values, ridge, approximation, data, rng)
    if accepted < GOOD_ACCEPTANCE and scales:
        ridge = np.array([_ridge(values, k, approximation, scales, data) for k in range(scales)])
        best, accepted = max(
            (best, accepted), _proposal(values, ridge, approximation, data, rng), key=lambda found: found[1]
        )
    each = 1 if accepted >= GOOD_ACCEPTANCE else PROPOSALS_A_DRAW if accepted >= MIN_ACCEPTANCE else 0
    logger.debug("independent proposals would be accepted at %.0f %%: %d a draw", 100 * accepted, each)
    return approximation._replace(proposal=best._replace(each=np.asarray(each)) if each else None)


def draw(
    proposal: Proposal, rng: np.random.Generator, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw `n` whitened vectors, (n, size), and their log density up to a constant, (n,)."""
    tables = np.asarray(proposal.tables)
    us = rng.normal(size=(n, proposal.ridge.shape[-1]))
    edges = _LOWEST + _CELL * np.arange(_CELLS + 1)
    for k, row in enumerate(tables):
        cumulative = np.concatenate([[0.0], np.cumsum(np.exp(row))])
        us[:, k] = np.interp(rng.uniform(size=n), cumulative / cumulative[-1], edges)
    us += _middle(np.asarray(proposal.ridge), us[:, : len(tables)])
    return us, log_density(Proposal(tables, np.asarray(proposal.ridge), proposal.each), us)


def log_density(proposal: Proposal, u: Any) -> Any:
    """Log density of the proposal at whitened vectors (..., size), up to a constant: (...).

    The arrays are those of NumPy, or of JAX in compiled code.
    """
    xp = u.__array_namespace__()
    scales = proposal.tables.shape[0]
    first = u[..., :scales]
    cell = xp.clip(xp.floor((first - _LOWEST) / _CELL), 0, _CELLS - 1).astype(int)
    rest = (u - _middle(proposal.ridge, first))[..., scales:]
    return proposal.tables[xp.arange(scales), cell].sum(-1) - 0.5 * (rest**2).sum(-1)


def acceptance(log_ratio: NDArray) -> float:
    """Share of independent proposals that are accepted, from log(posterior / proposal) of some."""
    weight = np.exp(log_ratio - logsumexp(log_ratio))
    return float((np.minimum(weight[:, None], weight[None]).sum()) / len(weight))


def _proposal(
    values: Values, ridge: NDArray, approximation: Laplace, data: Any, rng: np.random.Generator
) -> tuple[Proposal, float]:
    """Make the tables that go with a ridge; and how often the proposal would be accepted."""
    first = Proposal(_profiles(values, ridge, approximation, data), ridge, np.asarray(1))
    us, left = _tried(values, first, approximation, data, rng)
    # What the profiles miss: the width of the other coordinates changes with the scales.
    features = _features(us[:, : len(ridge)])
    correction = np.linalg.lstsq(features, np.maximum(left, np.median(left) - 5.0), rcond=None)[0][1:]
    powers = _features(_grid()[:, None])[:, 1:]
    second = first._replace(tables=_normalised(first.tables + correction.reshape(3, len(ridge)).T @ powers.T))
    again = acceptance(_tried(values, second, approximation, data, rng)[1])
    return max((first, acceptance(left)), (second, again), key=lambda found: found[1])


def _tried(
    values: Values, proposal: Proposal, approximation: Laplace, data: Any, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draws of a proposal, and log(posterior / proposal) of each, up to a constant."""
    us, density = draw(proposal, rng, max(_TRIAL, 15 * len(proposal.tables)))
    ratio = -values(us, data, approximation) - density
    return us, ratio - ratio.max()


def _profiles(values: Values, ridge: NDArray, approximation: Laplace, data: Any) -> NDArray[np.float64]:
    """Log density along each scale over the ridge, (scale, cell)."""
    scales, _, size = ridge.shape
    us = np.zeros((scales, _NODES.size, size))
    for k in range(scales):
        us[k, :, k] = _NODES
    us += _middle(ridge, us[..., :scales])
    potential = values(us.reshape(-1, size), data, approximation)
    rows = potential.reshape(scales, _NODES.size)
    return _normalised(np.array([_curve(row.min() - row, _grid()) for row in rows]).reshape(scales, _CELLS))


def _ridge(values: Values, k: int, approximation: Laplace, scales: int, data: Any) -> NDArray[np.float64]:
    """Where the density is highest in the other coordinates for each value of scale `k`, (place, size).

    Newton's steps from node to node, outwards; the curvature is that of the mode, which is one.
    """
    mode, root, _ = approximation
    found = np.zeros((_NODES.size, mode.size))
    middle = _NODES.size // 2
    for nodes in (range(middle + 1, _NODES.size), range(middle - 1, -1, -1)):
        here = np.zeros(mode.size)
        best = np.inf
        for node in nodes:
            for _ in range(3):
                here[k] = _NODES[node]
                value, gradient = (np.asarray(x) for x in values.gradient(mode + root @ here, data))
                defined = np.isfinite(gradient).all()
                if not defined:
                    break
                step = root.T @ gradient
                step[:scales] = 0.0
                here = here - step
            best = min(best, float(value))
            if not defined or value > best - 0.5 * _LEAST:
                found[node] = found[node - np.sign(node - middle)]
                continue
            found[node] = here
    found[:, :scales] = 0.0
    return np.asarray(PchipInterpolator(_NODES, found)(np.clip(_RIDGE, *_NODES[[0, -1]])), float)


def _middle(ridge: Any, first: Any) -> Any:
    """Middle of the Gaussian at values of the scales, (..., scale) → (..., size); zero in the scales."""
    xp = first.__array_namespace__()
    at = xp.clip((first - _LOWEST) / _STRIDE, 0.0, _RIDGE.size - 1.001)
    low = xp.floor(at).astype(int)
    share = (at - low)[..., None]
    scale = xp.arange(ridge.shape[0])
    return ((1.0 - share) * ridge[scale, low] + share * ridge[scale, low + 1]).sum(-2)


def _grid() -> NDArray:
    """Middles of the cells of a table."""
    return _LOWEST + _CELL * (np.arange(_CELLS) + 0.5)


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
