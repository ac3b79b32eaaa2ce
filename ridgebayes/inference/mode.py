"""The search for the mode: of the nonlinear parameters, or of all if none can be integrated out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from ridgebayes.inference.tuning import MODE

logger = logging.getLogger(__name__)

Potential = Callable[[Array, Any], Array]
"""Minus log posterior density of a flat unconstrained vector, given the data."""
LogDensities = Callable[[NDArray], NDArray]
"""Log densities (n,) of vectors (n, parameter); minus infinity where they are not a number."""
Slopes = Callable[[NDArray], NDArray]
"""Gradients of a log density at many vectors, (n, parameter)."""

_NOWHERE = 1e100
"""Stands for an infinite potential; BFGS can still square it."""
_ROUNDS = 8
"""Most computations of the curvature."""


class Gaussian(NamedTuple):
    """Gaussian approximation of a density.

    Attributes
    ----------
    mode
        Point of the highest density, (parameter,).
    root
        W, of which W Wᵀ is the covariance, (parameter, parameter).
    """

    mode: NDArray
    root: NDArray


def whitened(z: NDArray, centre: NDArray, root: NDArray) -> NDArray[np.float64]:
    """Whiten vectors: independent coordinates of unit scale.

    Parameters
    ----------
    z
        One vector, (parameter,), or many, (n, parameter).
    centre
        Mean, which becomes zero, (parameter,).
    root
        Lower Cholesky factor of the covariance, (parameter, parameter).
    """
    return solve_triangular(root, (z - centre).T, lower=True).T


class Curvature:
    """Derivatives of a potential, compiled once: data are arguments, so bands share the code.

    Attributes
    ----------
    potential
        Minus log posterior density of (flat vector, data).
    value_and_gradient
        Compiled potential and gradient.
    """

    def __init__(self, potential: Potential) -> None:
        self.potential = potential
        self.value_and_gradient = jax.jit(jax.value_and_grad(potential))

    def hessian(self, z: NDArray, data: Any, scale: NDArray) -> NDArray[np.float64]:
        """Second derivatives at `z` from differences of gradients, in units of `scale` on both sides."""

        def gradients(u: NDArray) -> NDArray:
            each = [np.asarray(self.value_and_gradient(z + scale * one, data)[1]) for one in u]
            return scale * np.array(each)

        return _differentiated(gradients, np.zeros(z.size), MODE.gradient_step)


def _differentiated(gradients: Slopes, at: NDArray, step: float) -> NDArray[np.float64]:
    """Second derivatives from differences of gradients, made symmetric."""
    here, *there = gradients(at + step * np.eye(at.size + 1, at.size, -1))
    rows = (np.array(there) - here) / step
    return (rows + rows.T) / 2


def _bounded(x: NDArray) -> NDArray[np.float64]:
    return np.nan_to_num(x, posinf=_NOWHERE, neginf=-_NOWHERE)


def differences(function: LogDensities, at: NDArray) -> NDArray[np.float64]:
    """Gradient (n,) at a vector from central differences of a function of many vectors, (m, n) → (m,)."""
    steps = MODE.step * np.eye(at.size)
    up, down = _bounded(function(at + np.concatenate([steps, -steps]))).reshape(2, -1)
    return (up - down) / (2 * MODE.step)


def climb(
    log_densities: LogDensities,
    guess: Gaussian,
    slopes: Slopes | None = None,
    unless: tuple[Gaussian, float] | None = None,
) -> tuple[Gaussian, float]:
    """Find the mode of a density of a few parameters by BFGS.

    Parameters
    ----------
    log_densities
        The density, of many vectors at once.
    guess
        Start, and about how wide the density is.
    slopes
        Gradients of the log density; by default they come from differences, so that none is compiled.
    unless
        Known mode and its log density, returned if the mode found is no higher.

    Returns
    -------
    Gaussian
        Mode, and covariance from the curvature there (without `slopes`, as BFGS estimates it), limited to a
        few times that of the guess.
    float
        Log density at the mode.
    """
    start, root = guess

    def objective(u: NDArray) -> float:
        found = -float(log_densities((start + root @ u)[None])[0])
        return found if np.isfinite(found) else _NOWHERE

    def gradients(u: NDArray) -> NDArray:
        assert slopes is not None
        return _bounded(-slopes(start + u @ root.T) @ root)

    def gradient(u: NDArray) -> NDArray:
        if slopes is not None:
            return gradients(u[None])[0]
        return differences(lambda u: -log_densities(start + u @ root.T), u)

    def search(u: NDArray) -> Any:
        options = {"gtol": 0.03, "maxiter": 200}
        return minimize(objective, u, jac=gradient, method="BFGS", options=options)

    # BFGS fails at the mode, where noise dominates the differences, or because it has learned the curvature
    # far from here: in the second case a fresh start climbs on.
    found = search(np.zeros(start.size))
    while not found.success and (again := search(found.x)).fun < found.fun - MODE.min_rise:
        found = again
    logger.debug("mode %.3f after %d steps of the last search", -found.fun, found.nit)
    if unless and -found.fun < unless[1] + MODE.min_rise:
        return unless
    covariance = found.hess_inv
    if slopes is not None:
        eigenvalues, vectors = np.linalg.eigh(_differentiated(gradients, found.x, MODE.step))
        covariance = (vectors / np.maximum(np.abs(eigenvalues), MODE.max_sd**-2)) @ vectors.T
    eigenvalues, vectors = np.linalg.eigh(covariance)
    sd = np.sqrt(np.clip(eigenvalues, 1e-12, MODE.max_sd**2))
    return Gaussian(start + root @ found.x, root @ (vectors * sd)), -float(found.fun)


def refined(log_densities: LogDensities, near: Gaussian) -> Gaussian:
    """Find a nearby mode and the curvature there by Newton's method, from values of the density alone.

    For n parameters each step evaluates (n + 1)(n + 2)/2 + n log densities, all at once.

    Parameters
    ----------
    log_densities
        The density, of many vectors at once.
    near
        Start near the mode, and about how wide the density is.

    Returns
    -------
    Gaussian
        The mode, and the covariance from the curvature there. A step that leads down is not taken.
    """
    size = near.mode.size
    one = np.eye(size)
    first, second = np.triu_indices(size, 1)
    offsets = MODE.newton_step * np.concatenate([0 * one[:1], one, -one, one[first] + one[second]])
    before, before_height = near, -np.inf
    for _ in range(MODE.newton_steps):
        height, *values = log_densities(near.mode + offsets @ near.root.T)
        if not np.isfinite(values).all() or not height > before_height:
            return before
        up, down, both = np.split(np.array(values), [size, 2 * size])
        slope = (up - down) / (2 * MODE.newton_step)
        curvature = np.diag(2 * height - up - down)
        curvature[first, second] = curvature[second, first] = up[first] + up[second] - height - both
        eigenvalues, vectors = np.linalg.eigh(curvature / MODE.newton_step**2)
        eigenvalues = np.clip(eigenvalues, MODE.newton_min_curvature, MODE.newton_max_curvature)
        step = vectors @ ((vectors.T @ slope) / eigenvalues)
        step *= MODE.newton_max_step / np.abs(step).max(initial=MODE.newton_max_step)
        root = near.root @ (vectors / np.sqrt(eigenvalues))
        before, before_height = near._replace(root=root), height
        near = Gaussian(near.mode + near.root @ step, root)
        if 0.5 * slope @ step < MODE.newton_tolerance:
            break
    return near


def laplace(
    curvature: Curvature,
    start: NDArray,
    data: Any,
    locations: NDArray,
    scale: NDArray,
    *,
    near: Gaussian | None = None,
) -> Gaussian:
    """Find the mode of all parameters and the curvature there, by quasi-Newton steps in whitened coordinates.

    Parameters
    ----------
    curvature
        Derivatives of the potential.
    start
        Unconstrained vector to start from.
    data
        Second argument of the potential.
    locations
        True for the parameters to move first, while the others are held at large values.
    scale
        Spread of each parameter under its prior; it limits the width of the approximation.
    near
        Gaussian approximation of nearly the same posterior, where the search starts.

    Returns
    -------
    Gaussian
        Mode and covariance. Negative curvatures count with their absolute value.
    """
    if near is None:
        mode = start + MODE.scale_offset * scale * ~locations
        mode, _ = descend(curvature, mode, _root(curvature, mode, data, scale, locations), data)
        mode = np.where(locations, mode, start)
        root = _root(curvature, mode, data, scale)
    else:
        mode, root = near
    for _ in range(_ROUNDS):
        mode, left = descend(curvature, mode, root, data)
        root = _root(curvature, mode, data, scale)
        if left < 1e-2:
            break
    else:
        logger.warning("the mode was not reached (%.1e in log density left): sampling may be slow", left)
    return Gaussian(mode, root)


def descend(curvature: Curvature, mode: NDArray, root: NDArray, data: Any) -> tuple[NDArray, float]:
    """Minimise a potential along the columns of `root`; also estimate how far it is above the minimum."""

    def objective(u: NDArray) -> tuple[float, NDArray]:
        value, gradient = curvature.value_and_gradient(mode + root @ u, data)
        if not np.isfinite(value):
            return np.inf, np.zeros_like(u)
        return float(value), root.T @ np.asarray(gradient)

    options = {"maxiter": 100, "gtol": 1e-3, "maxcor": 30}
    found = minimize(objective, np.zeros(root.shape[1]), jac=True, method="L-BFGS-B", options=options)
    return mode + root @ found.x, 0.5 * float(np.sum(found.jac**2))


def _root(
    curvature: Curvature, z: NDArray, data: Any, scale: NDArray, subset: NDArray | None = None
) -> NDArray:
    """Square root of the inverse Hessian (of some parameters), with absolute values of its eigenvalues."""
    where = np.arange(z.size) if subset is None else np.flatnonzero(subset)
    hessian = np.nan_to_num(curvature.hessian(z, data, scale))[np.ix_(where, where)]
    eigenvalues, vectors = np.linalg.eigh(hessian)
    root = np.zeros((z.size, where.size))
    root[where] = scale[where, None] * vectors / np.sqrt(np.maximum(np.abs(eigenvalues), MODE.min_curvature))
    return root
