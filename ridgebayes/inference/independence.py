"""Independent proposals: draws of nearly the posterior, at one value of the density each.

Given some parameters (the scales: scatter, sd of the revolution terms, …, and what multiplies others, as the
Crab rate does) a posterior is all but Gaussian in the rest. Along each of these, which lead, its density is a
curve that a few values tell. The proposal draws the leading coordinates from their own tabulated curves and
the rest from a Gaussian; where that does not do, each leading coordinate moves the middle of all that come
after it, and changes the spread of the rest.
Metropolis and Hastings' rule makes draws of the exact posterior of it, whatever the tables are (the
independence sampler, Tierney 1994, Annals of Statistics 22, 1701); how often they are accepted is measured
before they are used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.special import logsumexp

from ridgebayes.inference.batched import Potentials, Values
from ridgebayes.inference.laplace import Curvature, Laplace, Proposal

logger = logging.getLogger(__name__)

MIN_ACCEPTANCE = 0.7
"""Proposals that are accepted less often miss a part of the posterior, in which a chain then may stay."""
GOOD_ACCEPTANCE, PROPOSALS_A_DRAW = 0.9, 3
"""Below the first a draw is so many proposals, lest a chain stay where it is."""
_BLOCKS = ((GOOD_ACCEPTANCE, 100), (0.8, 50), (MIN_ACCEPTANCE, 25))
"""Acceptance and length of a block: the worse proposals are, the sooner NUTS moves a chain that they leave
alone, far out where scales lean on each other."""
AFAR, MIN_LEFT = 1.3, 0.1
"""So many times further out than proposals go a draw must still be a new one so often: where the posterior is
wider than the proposal a chain would stay there for ever, of which draws of the proposal know nothing."""

_CELL, _CELLS = 0.02, 2000
_LOWEST = -_CELL * _CELLS / 2
_HALF = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.5, 7.5, 10.0, 14.0])
_NODES = np.concatenate([-_HALF[::-1], [0.0], _HALF])
_FURTHEST = 4.0  # from there on the spread of the rest stays as it is
_BEND_AT = 1.5  # where along a leading coordinate it is looked at, on either side of the mode
_WAYS = np.array([0.75, 1.5, 2.75, 4.0, 6.0, 10.0])  # and where the middle is; beyond it stays
_ALONG = np.concatenate([-_WAYS[::-1], [0.0], _WAYS])
_TURNS = 3  # steps to the middle where the curvature is taken from nearby
_STEP = 1e-3  # of the differences of gradients there, in whitened coordinates
_SUNK = 0.3  # slope by a coordinate, over its spread, at what is not the mode of all (see `laplace`)
_STEEPEST = 1e50  # a gradient that says anything
_STRETCH = 20.0  # nothing is believed to be flatter or sharper than so many times what it is at the mode
_LEAST = -60.0  # log density, over the highest: beyond it a table says no more
_WINGS, _IN_WINGS = 1.5, 0.05  # so much wider a part of each table, and how much of it
_TRIAL, _PLACES = 200, 50


def with_proposal(
    values: Values, approximation: Laplace, leading: NDArray, data: Any, rng: np.random.Generator
) -> Laplace:
    """Add a proposal to an approximation, where it would be accepted often enough.

    Parameters
    ----------
    values
        Potential of the posterior.
    approximation
        Mode and root; the root is turned so that its first columns, and no others, move what leads.
    leading
        True for the parameters that lead, shape (parameter,).
    data
        Second argument of the potential.
    rng
        Random numbers.
    """
    mode, root, _ = approximation
    slope = np.asarray(values.curvature.value_and_gradient(mode, data)[1]) * np.sqrt((root**2).sum(1))
    sunk = leading & (np.abs(slope) > _SUNK)
    approximation = approximation._replace(root=_leading_first(root, leading, sunk))
    potentials, scales = values.of(data, approximation.mode, approximation.root), int(leading.sum())
    best, log_ratio = _proposal(potentials, _straight(leading), rng)
    accepted, left = acceptance(log_ratio), _left_from_afar(potentials, best, log_ratio, rng)
    if scales and (accepted < GOOD_ACCEPTANCE or left < MIN_LEFT):
        bent = _proposal(
            potentials, _bent(values.curvature, scales, int(sunk.sum()), approximation, data), rng
        )
        best, log_ratio = max((best, log_ratio), bent, key=_accepted)
        accepted, left = acceptance(log_ratio), _left_from_afar(potentials, best, log_ratio, rng)
    each, block = _schedule(accepted, left)
    logger.debug(
        "proposals would be accepted at %.0f %%, from afar at %.0f %%: %d a draw, %d draws a block",
        100 * accepted, 100 * left, each, block,
    )  # fmt: skip
    best = best._replace(each=np.asarray(each), block=np.asarray(block))
    return approximation._replace(proposal=best if each else None)


def _schedule(accepted: float, left: float) -> tuple[int, int]:
    """Proposals a draw, 0 for NUTS alone, and draws a block, of what is accepted and what from afar."""
    block = next((length for least, length in _BLOCKS if accepted >= least), 0)
    if not block:
        return 0, 0
    if left < MIN_LEFT:
        several = 1 - (1 - left) ** PROPOSALS_A_DRAW
        return (PROPOSALS_A_DRAW, block) if accepted >= GOOD_ACCEPTANCE and several >= MIN_LEFT else (0, 0)
    return (1 if accepted >= GOOD_ACCEPTANCE else PROPOSALS_A_DRAW), block


def draw(
    proposal: Proposal, rng: np.random.Generator, n: int, *, stretch: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw `n` whitened vectors, (n, size), and their log density up to a constant, (n,).

    With `stretch` they are drawn so much further out; the density stays that of the proposal.
    """
    edges = _LOWEST + _CELL * np.arange(_CELLS + 1)
    first = np.empty((n, len(proposal.tables)))
    for k, row in enumerate(proposal.tables):
        cumulative = np.concatenate([[0.0], np.cumsum(np.exp(row))])
        first[:, k] = stretch * np.interp(rng.uniform(size=n), cumulative / cumulative[-1], edges)
    sides = _sides(first)
    rest = stretch * rng.normal(size=(n, proposal.axes.shape[-1]))
    for k, (axes, rates) in enumerate(zip(proposal.axes, proposal.rates, strict=True)):
        rest = (rest @ axes * np.exp(-0.5 * rates * sides[:, k, None])) @ axes.T
    us = np.concatenate([first, rest], 1) + _middle(proposal, first)
    return us, log_density(proposal, us)


def log_density(proposal: Proposal, u: NDArray) -> NDArray[np.float64]:
    """Log density of the proposal at whitened vectors (..., size), up to a constant: (...)."""
    scales = proposal.tables.shape[0]
    first, rest = _round(proposal, u)
    cell = np.clip(np.floor((first - _LOWEST) / _CELL), 0, _CELLS - 1).astype(int)
    narrower = _sides(first) @ proposal.rates.sum(-1)
    table = proposal.tables[np.arange(scales), cell].sum(-1)
    return table + 0.5 * narrower - 0.5 * (rest**2).sum(-1)


def acceptance(log_ratio: NDArray) -> float:
    """Share of independent proposals that are accepted, from log(posterior / proposal) of some."""
    if not np.isfinite(log_ratio).any():
        return 0.0
    weight = np.exp(log_ratio - logsumexp(log_ratio))
    return float((np.minimum(weight[:, None], weight[None]).sum()) / len(weight))


def _round(proposal: Proposal, u: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Undo what leads: (..., size) → leading coordinates as their tables have them, and a unit Gaussian."""
    scales = proposal.tables.shape[0]
    u = np.array(u, float)
    for k in range(scales):
        # Those before it have moved it, and all of them what comes after.
        u -= _moved(proposal, k, u[..., k])
    first, rest = u[..., :scales], u[..., scales:]
    sides = _sides(first)
    for k in reversed(range(proposal.rates.shape[0])):
        axes = proposal.axes[k]
        rest = (rest @ axes * np.exp(0.5 * proposal.rates[k] * sides[..., k, None])) @ axes.T
    return first, rest


def _sides(first: NDArray) -> NDArray[np.float64]:
    """Both sides of the leading coordinates (..., scale), bounded: (..., 2 scale)."""
    t = np.clip(first, -_FURTHEST, _FURTHEST)
    return np.concatenate([np.maximum(t, 0.0), np.maximum(-t, 0.0)], -1)


def _left_from_afar(
    potentials: Potentials, proposal: Proposal, log_ratio: NDArray, rng: np.random.Generator
) -> float:
    """Share of proposals that chains would accept further out than they go: nearly the least of places."""
    us, log_q = draw(proposal, rng, _PLACES, stretch=AFAR)
    there = np.maximum(-potentials(us) - log_q, np.finfo(float).min)
    accepted = np.exp(np.minimum(log_ratio - there[:, None], 0.0)).mean(1)
    return float(np.quantile(accepted, 0.04))


def _accepted(found: tuple[Proposal, NDArray]) -> float:
    return acceptance(found[1])


def _leading_first(root: NDArray, leading: NDArray, sunk: NDArray) -> NDArray[np.float64]:
    """Turn a root of a covariance so that its first columns, and no others, move what leads.

    Of those that lead the least known come first, as what bends bends along them; before them what is not
    where the density of all is highest, and moves along nothing.
    """
    order = np.lexsort((-(root**2).sum(1), ~sunk, ~leading))
    turned = np.zeros_like(root)
    turned[order] = np.linalg.qr(root[order].T)[1].T
    return turned


def _proposal(
    potentials: Potentials, shape: Proposal, rng: np.random.Generator
) -> tuple[Proposal, NDArray[np.float64]]:
    """Make the tables that go with middle and spread of the rest; and log(posterior / proposal) of draws."""
    first = shape._replace(tables=_with_wings(_profiles(potentials, shape)))
    us, left = _tried(potentials, first, rng)
    if not np.isfinite(np.median(left)):
        return first, left
    # What the profiles miss, where the rest is not Gaussian or its width changes otherwise.
    scales = len(first.tables)
    features = _features(_round(first, us)[0])
    correction = np.linalg.lstsq(features, np.maximum(left, np.median(left) - 5.0), rcond=None)[0][1:]
    powers = _features(_grid()[:, None])[:, 1:]
    second = first._replace(tables=_normalised(first.tables + correction.reshape(3, scales).T @ powers.T))
    _, again = _tried(potentials, second, rng)
    return max((first, left), (second, again), key=_accepted)


def _tried(
    potentials: Potentials, proposal: Proposal, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draws of a proposal, and log(posterior / proposal) of each, up to a constant of both."""
    us, density = draw(proposal, rng, max(_TRIAL, 15 * len(proposal.tables)))
    return us, -potentials(us) - density


def _profiles(potentials: Potentials, shape: Proposal) -> NDArray[np.float64]:
    """Log density along each leading coordinate, the rest integrated over its Gaussian, (scale, cell)."""
    scales = len(shape.tables)
    first = np.zeros((scales, _NODES.size, scales))
    for k in range(scales):
        first[k, :, k] = _NODES
    sides = _sides(first)
    us = _middle(shape, first)
    us[..., :scales] += first
    potential = potentials(us.reshape(-1, us.shape[-1]))
    rows = potential.reshape(scales, _NODES.size) + 0.5 * sides @ shape.rates.sum(-1)
    return _normalised(np.array([_curve(row.min() - row, _grid()) for row in rows]).reshape(scales, _CELLS))


def _straight(leading: NDArray) -> Proposal:
    """Middle and spread of the rest as at the mode, wherever the leading coordinates are; no tables yet."""
    scales, rest = int(leading.sum()), int((~leading).sum())
    axes = np.broadcast_to(np.eye(rest), (2 * scales, rest, rest))
    middle, rates = np.zeros((scales, _ALONG.size, leading.size)), np.zeros((2 * scales, rest))
    return Proposal(np.zeros((scales, _CELLS)), middle, axes, rates, np.asarray(1), np.asarray(1))


def _bent(curvature: Curvature, scales: int, sunk: int, approximation: Laplace, data: Any) -> Proposal:
    """How what comes after each leading coordinate moves with it, and how the spread of the rest changes.

    On both sides of the mode one Newton step gives the middle, and differences of gradients the curvature,
    whose matrix logarithm is taken to grow evenly from the mode to there and beyond. No tables yet.
    """
    mode, root, _ = approximation
    units = np.eye(mode.size)

    def gradient(u: NDArray) -> NDArray:
        found = np.asarray(curvature.value_and_gradient(mode + root @ u, data)[1])
        return root.T @ np.where(np.abs(found) < _STEEPEST, found, 0.0)

    def curvature_after(k: int, place: NDArray) -> NDArray:
        """Of what comes after a coordinate and may move."""
        slope, after = gradient(place), max(k + 1, sunk)
        return np.array([gradient(place + _STEP * unit) - slope for unit in units[after:]])[:, after:] / _STEP

    middle, logs = np.zeros((scales, _ALONG.size, mode.size)), []
    for sign in (1, -1):
        for k in range(scales):
            hessian = curvature_after(k, sign * _BEND_AT * units[k])
            after = max(k + 1, sunk)
            curvatures, vectors = _eigen(hessian[scales - after :, scales - after :])
            logs.append((vectors * np.log(curvatures)) @ vectors.T)
            curvatures, vectors = _eigen(hessian)
            so_far = np.zeros(mode.size)
            for t in sorted(_ALONG[np.sign(_ALONG) == sign], key=abs):
                growth = min(abs(t), _FURTHEST) / _BEND_AT
                inverse = (vectors * curvatures**-growth) @ vectors.T
                so_far = _settled(gradient, t * units[k], so_far, inverse, after)
                middle[k, t == _ALONG] = so_far
    rates, axes = np.linalg.eigh(np.array(logs) / _BEND_AT)
    return Proposal(np.zeros((scales, _CELLS)), middle, axes, rates, np.asarray(1), np.asarray(1))


def _eigen(hessian: NDArray) -> tuple[NDArray, NDArray]:
    """Eigenvalues, within bounds, and vectors of nearly symmetric differences."""
    curvatures, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return np.clip(curvatures, 1 / _STRETCH, _STRETCH), vectors


def _settled(
    gradient: Callable[[NDArray], NDArray], place: NDArray, start: NDArray, inverse: NDArray, after: int
) -> NDArray[np.float64]:
    """Where the density is highest in the coordinates after some, as far as steps improve on the start."""
    best, least = start, np.inf
    here = start.copy()
    for _ in range(_TURNS + 1):
        slope = gradient(place + here)[after:]
        step = inverse @ slope
        if not slope @ step < least:
            break
        best, least = here.copy(), slope @ step
        here[after:] -= step
    return best


def _middle(proposal: Proposal, first: NDArray) -> NDArray[np.float64]:
    """By how much leading coordinates move what comes after each of them, (..., scale) → (..., size)."""
    none = np.zeros((*first.shape[:-1], proposal.middle.shape[-1]))
    return sum((_moved(proposal, k, first[..., k]) for k in range(first.shape[-1])), none)


def _moved(proposal: Proposal, k: int, t: NDArray) -> NDArray[np.float64]:
    """By how much one of them does, (...) → (..., size); that of a straight proposal, nothing, at once."""
    if not proposal.middle[k].any():
        return np.zeros((*t.shape, proposal.middle.shape[-1]))
    return PchipInterpolator(_ALONG, proposal.middle[k])(np.clip(t, _ALONG[0], _ALONG[-1]))


def _grid() -> NDArray:
    """Middles of the cells of a table."""
    return _LOWEST + _CELL * (np.arange(_CELLS) + 0.5)


def _curve(log_density: NDArray, grid: NDArray) -> NDArray[np.float64]:
    """Interpolate between the nodes; beyond the last of them, and where it is nothing, go on as a line."""
    worth = log_density > 2 * _LEAST
    worth[_HALF.size - 1 : _HALF.size + 2] = True  # the mode and its neighbours, whatever they are worth
    nodes, heights = _NODES[worth], np.maximum(log_density[worth], 2 * _LEAST)
    curve: Callable[[NDArray], NDArray] = PchipInterpolator(nodes, heights)
    first, last = nodes[[0, -1]]
    below = np.maximum(np.gradient(heights, nodes)[0], 0.5) * (grid - first)
    above = np.minimum(np.gradient(heights, nodes)[-1], -0.5) * (grid - last)
    return (
        curve(np.clip(grid, first, last)) + np.where(grid < first, below, 0) + np.where(grid > last, above, 0)
    )


def _features(t: NDArray) -> NDArray[np.float64]:
    """1, t, t², t³ of each column within bounds: (n, 1 + 3 columns), columns together for each power."""
    t = np.clip(t, -_FURTHEST, _FURTHEST)
    return np.concatenate([np.ones((len(t), 1)), t, t**2, t**3], 1)


def _with_wings(tables: NDArray) -> NDArray[np.float64]:
    """Mix each table with itself made wider: where scales lean on each other the posterior goes further."""
    wide = np.array([np.interp(_grid() / _WINGS, _grid(), row) for row in tables]).reshape(tables.shape)
    return _normalised(np.logaddexp(np.log1p(-_IN_WINGS) + tables, np.log(_IN_WINGS / _WINGS) + wide))


def _normalised(log_density: NDArray) -> NDArray[np.float64]:
    log_density = log_density - log_density.max(1, keepdims=True, initial=-np.inf)
    log_density = np.maximum(log_density, _LEAST)
    return log_density - logsumexp(log_density, axis=1, keepdims=True) - np.log(_CELL)
