"""The start of a fit: mode and curvature of the posterior in unconstrained space.

The linear parameters (sky, drift, tracer) are nearly Gaussian given the rest, and neighbouring regions are
strongly anticorrelated. In coordinates whitened by the curvature at the mode NUTS sees a round target, and
needs a handful of steps a draw instead of a hundred.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray
from scipy.optimize import minimize

logger = logging.getLogger(__name__)

Potential = Callable[[Array, Any], Array]
"""Minus log posterior density of a flat unconstrained vector, given the data."""


_STEP = 1e-5
"""Step of the differences, over the spread that the prior gives."""
_FLATTEST = 0.05
"""Least curvature, over that of the prior: a posterior is hardly four times wider than its prior."""
_ASIDE = 0.5
"""So far from the mode of hyperparameters their marginal density is looked at, in spreads of their priors."""
_WIDE = 4.0
"""So much larger are scales, in spreads of their priors, when the locations are moved first: the noise is
then so wide that no ScW is an outlier, whatever the locations, which see one bowl."""


class Proposal(NamedTuple):
    """What independent draws are proposed from, in whitened coordinates.

    Attributes
    ----------
    tables
        Log density along each of the leading coordinates, (scale, cell).
    middle
        By how much each leading coordinate moves what comes after it, leading ones too, at some places along
        it, (scale, place, parameter).
    axes, rates
        Directions along which the spread of the rest changes on either side of the mode with each leading
        coordinate, in columns, (2 scale, rest, rest), and by how much the log of the inverse variance grows
        there, (2 scale, rest).
    each
        Proposals a draw.
    block
        Draws of which one is a transition of NUTS.
    """

    tables: NDArray
    middle: NDArray
    axes: NDArray
    rates: NDArray
    each: NDArray
    block: NDArray


class Laplace(NamedTuple):
    """Gaussian approximation of a posterior.

    Attributes
    ----------
    mode
        Most probable unconstrained vector, shape (parameter,).
    root
        W with W Wᵀ the inverse curvature: z = mode + W u is the posterior in round coordinates u.
    proposal
        Of independent draws (see `ridgebayes.inference.independence`); None where it is not used.
    """

    mode: NDArray
    root: NDArray
    proposal: Proposal | None = None


class Curvature:
    """Derivatives of a potential, compiled once; data are arguments, so bands share the code.

    Attributes
    ----------
    potential
        Minus log posterior density of (flat vector, data).
    value_and_gradient
        Compiled.
    """

    def __init__(self, potential: Potential) -> None:
        self.potential = potential
        self.value_and_gradient = jax.jit(jax.value_and_grad(potential))

    def hessian(self, z: NDArray, data: Any, scale: NDArray) -> NDArray[np.float64]:
        """Second derivatives at `z`, in units of `scale` on both sides: differences of gradients.

        It only shapes coordinates, for which five digits are plenty; compiled second derivatives of a rich
        model take a quarter of a minute to come about.
        """
        gradient = lambda x: np.asarray(self.value_and_gradient(x, data)[1])  # noqa: E731
        here, steps = gradient(z), np.diag(_STEP * scale)
        rows = [(gradient(z + step) - here) * scale / _STEP for step in steps]
        return (np.array(rows) + np.transpose(rows)) / 2


def laplace(
    curvature: Curvature,
    start: NDArray,
    data: Any,
    locations: NDArray,
    scale: NDArray,
    hyper: NDArray | None = None,
    *,
    noise: NDArray | None = None,
    near: Laplace | None = None,
    rounds: int = 8,
) -> Laplace:
    """Find the mode by quasi-Newton steps in whitened coordinates, and the curvature there.

    Parameters
    ----------
    curvature
        Derivatives of the potential.
    start
        Unconstrained vector to start from.
    data
        Second argument of the potential.
    locations
        True for the parameters to move first, the others held.
    scale
        Spread that the prior gives each parameter: nowhere is the posterior taken to be many times wider.
    hyper
        True for the scales that the priors of others depend on: they are settled with all others integrated
        out. Together with these they may have no mode but a spike, where they all vanish.
    noise
        True for the scales that are held wide meanwhile; by default all that are no locations.
    near
        What is nearly the same, as that of a part of the data: the search begins there.
    rounds
        At most so often is the curvature worked out anew.

    Returns
    -------
    Laplace
        Mode and root of the covariance. Where it curves down, a direction is as wide as if it curved up.
    """
    if near is None:
        mode = start + _WIDE * scale * (~locations if noise is None else noise)
        mode, _ = descend(curvature, mode, _root(curvature, mode, data, scale, locations), data)
        mode = np.where(locations, mode, start)
    else:
        mode = near.mode
    if hyper is not None and hyper.any():
        return _marginal(curvature, mode, data, scale, hyper, rounds, search=near is None)
    root = _root(curvature, mode, data, scale) if near is None else near.root
    for _ in range(rounds):
        mode, left = descend(curvature, mode, root, data)
        root = _root(curvature, mode, data, scale)
        if left < 1e-2:
            break
    else:
        logger.warning("the mode was not reached (%.1e in log density left): sampling may be slow", left)
    return Laplace(mode, root)


def _marginal(
    curvature: Curvature,
    start: NDArray,
    data: Any,
    scale: NDArray,
    hyper: NDArray,
    rounds: int,
    *,
    search: bool,
) -> Laplace:
    """Settle the hyperparameters with the rest integrated out over its Gaussian, and the rest there.

    The search among them is left out where the start is nearly right: then one Newton step does.
    """
    z, root, unit = start.copy(), _root(curvature, start, data, scale, ~hyper), scale[hyper]

    def cost(t: NDArray, rounds: int = 2) -> float:
        """Minus log marginal density `t` spreads from the start; leaves mode and root of the rest behind."""
        nonlocal z, root
        z[hyper] = start[hyper] + t * unit
        for _ in range(rounds):
            z, left = descend(curvature, z, root, data)
            root = _root(curvature, z, data, scale, ~hyper)
            if left < 1e-2:
                break
        return float(curvature.value_and_gradient(z, data)[0]) - np.linalg.slogdet(root[~hyper])[1]

    n = len(unit)
    best, lowest = np.zeros(n), cost(np.zeros(n), rounds)
    if search:
        simplex = np.concatenate([np.zeros((1, n)), np.eye(n)])
        options = {"initial_simplex": simplex, "xatol": 0.2, "fatol": 0.1, "maxfev": 20 * n}
        found = minimize(cost, np.zeros(n), method="Nelder-Mead", options=options)
        best, lowest = found.x, found.fun
    aside = _ASIDE * np.eye(n)
    up, down = (np.array([cost(best + sign * step) for step in aside]) for sign in (1, -1))
    both = {(i, j): cost(best + aside[i] + aside[j]) for i in range(n) for j in range(i)}
    curved = np.diag(up + down - 2 * lowest)
    for (i, j), value in both.items():
        curved[i, j] = curved[j, i] = value - up[i] - up[j] + lowest
    eigenvalues, vectors = np.linalg.eigh(curved / _ASIDE**2)
    # No wider than the prior lets them be.
    eigenvalues = np.maximum(eigenvalues, 1.0)
    width = unit[:, None] * vectors / np.sqrt(eigenvalues)
    newton = -vectors @ (vectors.T @ (up - down) / (2 * _ASIDE) / eigenvalues)
    lowest = cost(best + np.clip(newton, -_ASIDE, _ASIDE), rounds)
    logger.debug("hyperparameters at %s, %.3f", z[hyper], lowest)
    # Where these move the middle of the rest moves along.
    hessian = curvature.hessian(z, data, scale) / np.outer(scale, scale)
    along = -root @ (root[~hyper].T @ hessian[np.ix_(~hyper, hyper)])
    along[hyper] = np.eye(n)
    return Laplace(z, np.concatenate([along @ width, root], 1))


def descend(curvature: Curvature, mode: NDArray, root: NDArray, data: Any) -> tuple[NDArray, float]:
    """Minimise along the columns of `root`; also the whitened gradient's estimate of what is left."""

    def objective(u: NDArray) -> tuple[float, NDArray]:
        value, gradient = curvature.value_and_gradient(mode + root @ u, data)
        if not np.isfinite(value):
            return np.inf, np.zeros_like(u)
        return float(value), root.T @ np.asarray(gradient)

    options = {"maxiter": 100, "gtol": 1e-3, "maxcor": 30}
    found = minimize(objective, np.zeros(root.shape[1]), jac=True, method="L-BFGS-B", options=options)
    left = 0.5 * float(np.sum(found.jac**2))
    logger.debug("potential %.3f after %d evaluations, %.1e left", found.fun, found.nfev, left)
    return mode + root @ found.x, left


def _root(
    curvature: Curvature, z: NDArray, data: Any, scale: NDArray, subset: NDArray | None = None
) -> NDArray:
    """Square root of the inverse Hessian (of some parameters); its size where it curves down."""
    where = np.arange(z.size) if subset is None else np.flatnonzero(subset)
    # In units of the prior's spread, in which a flat direction is one that the prior should have closed.
    hessian = np.nan_to_num(curvature.hessian(z, data, scale))[np.ix_(where, where)]
    eigenvalues, vectors = np.linalg.eigh(hessian)
    root = np.zeros((z.size, where.size))
    root[where] = scale[where, None] * vectors / np.sqrt(np.maximum(np.abs(eigenvalues), _FLATTEST))
    return root
