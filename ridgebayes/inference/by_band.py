r"""The density of many bands when the parameters of one band change: with ten bands, a tenth of the work.

Given the shared parameters, bands are independent. So the linear parameters of each band (level, drift,
tracer, …) are eliminated first (Schur's complement). This leaves a matrix, a vector and a number for each
band in the equations of the shared parameters, the sky. The density of all bands is

.. math:: \log p(θ, y) = \sum_b v_b + \log p(θ, β_0) + \tfrac12 t^\top T^{-1} t - \tfrac12 \log\det T,
          \qquad T = P + \sum_b S_b, \quad t = q + \sum_b s_b

with P and q the precision and the gradient of the prior of the shared parameters. New parameters of one band
change only its own S, s and v.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax import Array, lax
from jax.scipy.linalg import solve_triangular
from numpy.typing import NDArray

from ridgebayes.inference.marginal import Given, Marginal, log_integral
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.normal_equations import BandEquations, Slopes, equations_of_bands

_SAME = 1e-6
"""Largest relative difference of log densities that counts as rounding."""


class Pieces(NamedTuple):
    """Contributions of bands to the equations of the shared parameters; arrays (band, …), or of one band.

    Attributes
    ----------
    precision, gradient, value
        S, s and v of the formula: (shared, shared), (shared,) and ().
    factor
        Lower Cholesky factor of the precision of the own linear parameters given the shared, (own, own).
    half
        Inverse of `factor` times [their precision with the shared, their gradient], (own, shared + 1).
    """

    precision: Any
    gradient: Any
    value: Any
    factor: Any
    half: Any


class Together(NamedTuple):
    """Solution of the equations of the shared parameters.

    Attributes
    ----------
    log_density
        Log density of the nonlinear parameters, up to a constant, ().
    factor, half
        Lower Cholesky factor of T, and its inverse times t.
    """

    log_density: Any
    factor: Any
    half: Any


class _Prior(NamedTuple):
    """Prior of the linear parameters, at the reference."""

    log_density: Array
    gradient: Array  # (linear,)
    precision: Array  # (linear,): they are independent


class ByBand:
    """Density of the nonlinear parameters of several bands, band by band.

    Parameters
    ----------
    marginal
        The density.

    Attributes
    ----------
    bands
        Number of bands.
    own
        Indices of the nonlinear parameters of each band in the nonlinear vector.
    shared
        Indices of the nonlinear parameters that bands share.
    """

    def __init__(self, marginal: Marginal) -> None:
        self._marginal = marginal
        band = marginal.posterior.band
        self.bands = int(band.max(initial=-1)) + 1
        self.own = [np.flatnonzero(band[marginal.nonlinear] == b) for b in range(self.bands)]
        self.shared = np.flatnonzero(band[marginal.nonlinear] == -1)
        of_linear, size = band[marginal.linear], marginal.linear.size
        own = [np.flatnonzero(of_linear == b) for b in range(self.bands)]
        self._shared_linear = np.flatnonzero(of_linear == -1)
        # Bands with fewer parameters of their own are padded with a dummy parameter.
        most, n = max(map(len, own), default=0), self._shared_linear.size
        self._own_linear = np.array([np.pad(x, (0, most - len(x)), constant_values=size) for x in own], int)
        # Position of each linear parameter in the order shared, own of the band, others.
        self._to = np.full((self.bands, size), n + most)
        self._to[:, self._shared_linear] = np.arange(n)
        for to, x in zip(self._to, own, strict=True):
            to[x] = n + np.arange(len(x))
        self._all, self._one = jax.jit(self._whole), jax.jit(self._moved)

    def serves(self, theta: NDArray, given: Given) -> bool:
        """Test numerically whether the bands are independent given the shared parameters."""
        if self.bands < 2 or not min(map(len, self.own)):
            return False
        _, pieces = self.whole(theta, given)
        moved = np.array([np.where(np.isin(np.arange(theta.size), x), theta + 0.1, theta) for x in self.own])
        dense = self._marginal.log_densities(np.concatenate([theta[None], moved]), given)
        there = [self.moved(x, b, pieces, given)[0].log_density for b, x in enumerate(moved)]
        here = self.whole(theta, given)[0].log_density
        return bool(np.abs(dense - np.array([here, *there])).max() < _SAME * (1.0 + np.abs(dense).max()))

    def whole(self, theta: NDArray, given: Given) -> tuple[Together, Pieces]:
        """Compute all bands at a nonlinear vector."""
        return jax.tree.map(np.asarray, self._all(theta, given))

    def moved(self, theta: NDArray, band: int, pieces: Pieces, given: Given) -> tuple[Together, Pieces]:
        """Update the density for new parameters of one band; `pieces` belong to a vector that differs there.

        Returns the pieces of that band.
        """
        # Summing the other bands is exact; subtracting the old band from the total would lose digits.
        others = np.arange(self.bands) != band
        rest = [x[others].sum(0) for x in pieces[:3]]
        return jax.tree.map(np.asarray, self._one(theta, band, rest, given))

    def draw(
        self, together: Together, pieces: Pieces, given: Given, noise: NDArray
    ) -> tuple[NDArray[np.float64], float]:
        """Draw the linear parameters from standard normal `noise` (linear,); also return the log density."""
        at, solve = self._shared_linear, scipy.linalg.solve_triangular
        noise = np.append(noise, 0.0)  # for the dummy parameter
        off = np.zeros(noise.size)
        shared = solve(together.factor, together.half + noise[at], trans="T", lower=True)
        off[at] = shared
        log_det = np.log(np.diag(together.factor)).sum()
        for own, factor, half in zip(self._own_linear, pieces.factor, pieces.half, strict=True):
            right = half[:, -1] - half[:, :-1] @ shared + noise[own]
            off[own] = solve(factor, right, trans="T", lower=True)
            log_det += np.log(np.diag(factor)).sum()
        beta = np.asarray(given.reference) + off[:-1]
        return beta, float(together.log_density + log_det - 0.5 * noise @ noise)

    def _whole(self, theta: Array, given: Given) -> tuple[Together, Pieces]:
        marginal, prior = self._marginal, self._prior(theta, given)
        rates = marginal.posterior.rates(marginal.join(theta, given.reference), given.data)
        found = equations_of_bands(rates, marginal.slopes_at(theta, given), given.data, given.in_order)
        each = jax.vmap(self._piece, (0, 0, 0, None))
        pieces = each(found, jnp.asarray(self._to), jnp.asarray(self._own_linear), prior)
        return self._together([x.sum(0) for x in pieces[:3]], prior), pieces

    def _moved(self, theta: Array, band: Array, rest: list[Array], given: Given) -> tuple[Together, Pieces]:
        marginal, prior = self._marginal, self._prior(theta, given)
        data, z = given.data.band(band), marginal.join(theta, given.reference)
        rates = marginal.posterior.rates(z, data, band)
        found = equations_of_bands(rates, self._slopes(theta, band, data, given), data, given.in_order)
        to, own = jnp.asarray(self._to)[band], jnp.asarray(self._own_linear)[band]
        piece = self._piece(BandEquations(*(x[0] for x in found)), to, own, prior)
        return self._together([x + y for x, y in zip(rest, piece[:3], strict=True)], prior), piece

    def _slopes(self, theta: Array, band: Array, data: FitData, given: Given) -> Slopes:
        """Slopes of one band, by the parameters that affect it."""
        slopes: Slopes = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, band, 1), given.slopes)
        if not self._marginal.slopes_move:
            return slopes
        beta, n = given.reference, slopes.tables_index.size
        of_band = lambda beta: self._marginal.coefficients(theta, beta, data, band)  # noqa: E731
        _, by = jax.linearize(of_band, beta)
        along = jnp.concatenate([slopes.tables_index, *slopes.plain_index], -1)[0]
        plain, tables = jax.vmap(by)(jax.nn.one_hot(along, beta.size))
        ends = n + np.cumsum([0, *(at.size for at in slopes.plain_index)])
        return slopes._replace(
            plain=tuple(plain[first:last, t, 0][None] for t, (first, last) in enumerate(pairwise(ends))),
            tables=tables[:n, 0].T[None],
        )

    def _prior(self, theta: Array, given: Given) -> _Prior:
        log_density = lambda beta: self._marginal.log_prior(theta, beta, given.data)  # noqa: E731
        slope, ones = jax.value_and_grad(log_density), jnp.ones_like(given.reference)
        (value, gradient), (_, curvature) = jax.jvp(slope, (given.reference,), (ones,))
        return _Prior(value, gradient, -curvature)

    def _piece(self, found: BandEquations, to: Array, own: Array, prior: _Prior) -> Pieces:
        """Eliminate the band's own parameters from its equations."""
        n, size = self._shared_linear.size, len(own)
        at = to[found.at]
        matrix = jnp.zeros((n + size + 1, n + size + 1)).at[at[:, None], at].add(found.precision)
        vector = jnp.zeros(n + size + 1).at[at].add(found.gradient)
        precision = matrix[n:-1, n:-1] + jnp.diag(jnp.append(prior.precision, 1.0)[own])
        factor = jnp.linalg.cholesky(precision)
        gradient = vector[n:-1] + jnp.append(prior.gradient, 0.0)[own]
        half = solve_triangular(factor, jnp.column_stack([matrix[n:-1, :n], gradient]), lower=True)
        first, last = half[:, :-1], half[:, -1]
        return Pieces(
            matrix[:n, :n] - first.T @ first,
            vector[:n] - first.T @ last,
            found.log_likelihood + log_integral(factor, precision, last),
            factor,
            half,
        )

    def _together(self, total: list[Array], prior: _Prior) -> Together:
        precision, gradient, value = total
        at = self._shared_linear
        precision += jnp.diag(prior.precision[at])
        factor = jnp.linalg.cholesky(precision)
        half = solve_triangular(factor, gradient + prior.gradient[at], lower=True)
        value += prior.log_density + log_integral(factor, precision, half)
        return Together(jnp.where(jnp.isfinite(value), value, -jnp.inf), factor, half)
