r"""The linear parameters integrated out exactly, so that only the few nonlinear ones are sampled.

Split the unconstrained vector into nonlinear parameters θ (scatter, sd of the revolution terms, Crab rate and
shape, …) and linear ones β (sky, level, drift, tracer), whose priors are Gaussian. Given θ the rates are
Gaussian with a mean that is linear in β,

.. math:: y \sim N(m_0 + X β,\; V), \qquad β \sim N(β_0, P^{-1}), \qquad V = D + Φ T Φ^\top

so with :math:`H = X^\top V^{-1} X + P` and g the gradient of the log density at a reference β,

.. math:: \log p(θ, y) = \log p(θ, β, y) + \tfrac12 g^\top H^{-1} g - \tfrac12 \log\det H + const,
          \qquad β' \mid θ, y \sim N(β + H^{-1} g,\; H^{-1})

The matrix X is never built. A rate is a sum of terms (`ridgebayes.likelihood.linear_terms`), each a
coefficient for each revolution times a fixed column. So H follows from sums of products of columns over
blocks of ScWs and from the derivatives of the coefficients with respect to β, the slopes. The revolution
terms Φ are projected out revolution by revolution (Woodbury's identity).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike
from numpy.typing import NDArray

from ridgebayes.inference.compiling import compiled_quickly
from ridgebayes.inference.emulator import Emulator
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.linear_terms import CorrelatedTermsNormal, TermsNormal
from ridgebayes.likelihood.normal_equations import Slopes, by_kind, columns_in_order, normal_equations
from ridgebayes.parallel.cores import in_threads

_AT_A_TIME, _NUMBERS = 25, 500_000
"""Most nonlinear vectors in one call of the compiled code, and most elements of the matrices it returns."""
_LOST = 1e-14
"""Least ratio of the precision of a linear parameter, those before it integrated out, to its precision given
all others: 64-bit numbers resolve no smaller one."""
_FARTHEST = 1e12
"""Largest gain in log density, times two, from the reference of the linear parameters to their mean. The
density at the reference is lower by as much, and rounding of larger values leaves no decimals in the sum."""


class Conditional(NamedTuple):
    """The Gaussian of the linear parameters given the nonlinear ones.

    Attributes
    ----------
    log_density
        Log posterior density of the nonlinear parameters, up to a constant, ().
    mean
        Mean of the linear parameters, (linear,).
    factor
        Lower Cholesky factor of their precision, (linear, linear).
    """

    log_density: Any
    mean: Any
    factor: Any


class Given(NamedTuple):
    """Data of one part, with quantities that are computed from them once.

    Attributes
    ----------
    data
        Arrays of the fit.
    slopes
        Derivatives of the coefficients with respect to the linear parameters.
    reference
        Any value of the linear parameters, best near their mean, (linear,).
    in_order
        Columns of the design in the order of the filter; None without correlated noise, or if columns depend
        on parameters.
    emulator
        Polynomials that `Marginal.conditionals` uses where they hold; None for exact values everywhere.
    """

    data: FitData
    slopes: Slopes
    reference: Array
    in_order: tuple[Array, ...] | None = None
    emulator: Emulator | None = None


class Marginal:
    """Density of the nonlinear parameters of a posterior; data are arguments, so bands share compiled code.

    Parameters
    ----------
    posterior
        The posterior.
    linear
        True for the linear parameters, shape (size,), as `linear_parameters` finds them.
    data
        Data of any part, to test whether the slopes depend on the nonlinear parameters.
    """

    def __init__(self, posterior: Posterior, linear: NDArray[np.bool_], data: FitData) -> None:
        self.posterior = posterior
        self.linear, self.nonlinear = np.flatnonzero(linear), np.flatnonzero(~linear)
        self.at_a_time = int(np.clip(_NUMBERS // max(self.linear.size, 1) ** 2, 1, _AT_A_TIME))
        self._differentiated = compiled_quickly(self._differentiate)
        self._ordered = compiled_quickly(
            lambda z, slopes, data: columns_in_order(posterior.rates(z, data), slopes)
        )
        self._many = jax.jit(self._first)
        self._slopes = jax.jit(jax.grad(self.potential))
        # Its own jit, so that JAX traces it once for all compiled functions that call it.
        self._integrated = jax.jit(self._integrate)
        z = posterior.start(jax.random.key(0), data)
        self._correlated = isinstance(jax.eval_shape(posterior.rates, z, data), CorrelatedTermsNormal)
        here, there = (self._differentiated(x[self.nonlinear], z[self.linear], data) for x in self._two(z))
        self.slopes_move = not all(np.allclose(x, y) for x, y in zip(here, there, strict=True))

    def _two(self, z: NDArray) -> tuple[NDArray, NDArray]:
        """Return a vector and a second one that differs from it everywhere."""
        return z, z + 0.5 * self.posterior.scale

    def join(self, theta: ArrayLike, beta: ArrayLike) -> Array:
        """Join nonlinear and linear parameters to one vector, (size,)."""
        z = jnp.zeros(self.posterior.size)
        return z.at[self.nonlinear].set(jnp.asarray(theta)).at[self.linear].set(jnp.asarray(beta))

    def joined(self, theta: NDArray, beta: NDArray) -> NDArray[np.float64]:
        """As `join`, for many vectors (..., nonlinear) and (..., linear), outside compiled code."""
        z = np.empty((*np.shape(theta)[:-1], self.posterior.size))
        z[..., self.nonlinear], z[..., self.linear] = theta, beta
        return z

    def nonlinear_of(self, z: NDArray) -> NDArray[np.float64]:
        """Take the nonlinear parameters of draws (..., parameter), (draw, nonlinear)."""
        return z.reshape(-1, z.shape[-1])[:, self.nonlinear]

    def given(self, z: NDArray, data: FitData) -> Given:
        """Prepare the data of a part, once; `z` is any unconstrained vector."""
        beta = z[self.linear]
        here, there = (self._differentiated(x[self.nonlinear], beta, data) for x in self._two(z))
        plain, tables = (np.asarray(x) for x in here)
        either = [(np.asarray(x) != 0) | (np.asarray(y) != 0) for x, y in zip(here, there, strict=True)]
        own, index = [_moved(term) for term in either[0]], _moved(either[1])
        take = lambda x, at: jnp.asarray(np.take_along_axis(x, at[:, None], -1))  # noqa: E731
        slopes = Slopes(
            tuple(jnp.swapaxes(take(x, at), 1, 2) for x, at in zip(plain, own, strict=True)),
            tuple(jnp.asarray(at) for at in own),
            take(tables, index),
            jnp.asarray(index),
        )
        return Given(data, slopes, jnp.asarray(beta), self._fixed_in_order(z, slopes, data))

    def _fixed_in_order(self, z: NDArray, slopes: Slopes, data: FitData) -> tuple[Array, ...] | None:
        """Columns in the order of the filter; None without a filter, or if columns depend on parameters."""
        if not self._correlated:
            return None
        here, there = (self._ordered(x, slopes, data) for x in self._two(z))
        same = all(np.array_equal(x, y) for x, y in zip(here, there, strict=True))
        return here if same else None

    def conditionals(self, thetas: Any, given: Given, threads: int = 1) -> Conditional:
        """Gaussians of the linear parameters for many nonlinear vectors (n, nonlinear), as NumPy arrays."""
        if given.emulator is None:
            return self._exact(thetas, given, threads)
        near, exact = given.emulator.covers(thetas), given._replace(emulator=None)
        found = Conditional(*given.emulator.conditionals(thetas))
        if not near.all():
            for all_of, far in zip(found, self._exact(thetas[~near], exact, threads), strict=True):
                all_of[~near] = far
        return found

    def _exact(self, thetas: NDArray, given: Given, threads: int) -> Conditional:
        most = min(self.at_a_time, max(-(-len(thetas) // threads), 1))

        def some(first: int) -> list[NDArray]:
            chunk = thetas[first : first + most]
            padded = np.pad(chunk, ((0, self.at_a_time - len(chunk)), (0, 0)))
            return [np.asarray(x)[: len(chunk)] for x in self._many(padded, len(chunk), given)]

        found = in_threads(some, range(0, len(thetas), most), threads)
        density, *gaussian = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return Conditional(np.where(np.isfinite(density), density, -np.inf), *gaussian)

    def log_densities(self, thetas: NDArray, given: Given, threads: int = 1) -> NDArray[np.float64]:
        """Log densities (n,) of nonlinear vectors (n, nonlinear)."""
        return np.asarray(self.conditionals(thetas, given, threads).log_density)

    def slopes(self, thetas: NDArray, given: Given, threads: int = 1) -> NDArray[np.float64]:
        """Gradients (n, nonlinear) of the log density of the nonlinear parameters."""
        return -np.array(in_threads(lambda x: np.asarray(self._slopes(x, given)), thetas, threads))

    def potential(self, theta: Array, given: Given) -> Array:
        """Minus log posterior density of the nonlinear parameters, inside compiled code."""
        return -self.conditional(theta, given).log_density

    def conditional(self, theta: Array, given: Given) -> Conditional:
        """Integrate the linear parameters out, inside compiled code."""
        return self._integrated(theta, given)

    def _integrate(self, theta: Array, given: Given) -> Conditional:
        data, reference = given.data, given.reference
        rates = self.posterior.rates(self.join(theta, reference), data)
        slopes = self.slopes_at(theta, given)
        precision, slope, log_likelihood = normal_equations(
            rates, slopes, data, reference.size, given.in_order
        )
        prior = lambda beta: self.log_prior(theta, beta, data)  # noqa: E731
        precision -= jax.hessian(prior)(reference)
        slope += jax.grad(prior)(reference)
        factor = jnp.linalg.cholesky(precision)
        half = solve_triangular(factor, slope, lower=True)
        log_density = log_likelihood + prior(reference) + log_integral(factor, precision, half)
        return Conditional(log_density, reference + solve_triangular(factor.T, half), factor)

    def log_prior(self, theta: Array, beta: Array, data: FitData) -> Array:
        """Log prior density of nonlinear and linear parameters, inside compiled code."""
        return -self.posterior.prior_potential(self.join(theta, beta), data)

    def slopes_at(self, theta: Array, given: Given) -> Slopes:
        """Slopes at a nonlinear vector, inside compiled code."""
        slopes = given.slopes
        if not self.slopes_move:
            return slopes
        plain, tables = self._differentiate(theta, given.reference, given.data)
        return slopes._replace(
            plain=tuple(
                jnp.swapaxes(jnp.take_along_axis(x, at[:, None], -1), 1, 2)
                for x, at in zip(plain, slopes.plain_index, strict=True)
            ),
            tables=jnp.take_along_axis(tables, slopes.tables_index[:, None], -1),
        )

    def _first(self, thetas: Array, n: Array, given: Given) -> Conditional:
        """Compute the first `n` of the vectors; the padding after them costs nothing."""
        one = jax.eval_shape(self.conditional, thetas[0], given)
        empty = jax.tree.map(lambda x: jnp.zeros((len(thetas), *x.shape)), one)

        def add(i: Array, found: Conditional) -> Conditional:
            return jax.tree.map(lambda x, y: x.at[i].set(y), found, self.conditional(thetas[i], given))

        return jax.lax.fori_loop(0, n, add, empty)

    def _differentiate(self, theta: Array, beta: Array, data: FitData) -> tuple[Array, Array]:
        """Slopes of all plain coefficients (term, band, revolution, linear) and of the tables joined."""
        return jax.jacfwd(lambda beta: self.coefficients(theta, beta, data))(beta)

    def coefficients(
        self, theta: Array, beta: Array, data: FitData, band: Array | None = None
    ) -> tuple[Array, Array]:
        """Return all plain coefficients (term, band, revolution) and the tables joined, (band, place)."""
        plain, several = by_kind(self.posterior.rates(self.join(theta, beta), data, band).mean_terms)
        shape = data.rate.shape[0], data.time.size
        coefficients = [jnp.broadcast_to(t.coefficient, shape) for t in plain]
        tables = [t.table for t in several]
        return (
            jnp.stack(coefficients) if coefficients else jnp.zeros((0, *shape)),
            jnp.concatenate(tables, -1) if tables else jnp.zeros((shape[0], 0)),
        )


def log_integral(factor: Array, precision: Array, half: Array) -> Array:
    """Return the log density that integrating out linear parameters adds to that at their reference, ().

    Parameters
    ----------
    factor, precision
        Precision of the linear parameters and its lower Cholesky factor.
    half
        Inverse of the factor times the gradient.
    """
    # If other parameters determine one to the last digit, rounding leaves no correct digit of the density.
    lost = (jnp.diag(factor) ** 2 < _LOST * jnp.diag(precision)).any() | (half @ half > _FARTHEST)
    return jnp.where(lost, -jnp.inf, 0.5 * half @ half - jnp.log(jnp.diag(factor)).sum())


def draw(conditional: Conditional, noise: NDArray) -> tuple[NDArray[np.float64], float]:
    """Draw linear parameters from their Gaussian, with standard normal `noise` (linear,).

    Also returns the log density of all parameters there, up to a constant.
    """
    factor = conditional.factor
    beta = conditional.mean + scipy.linalg.solve_triangular(factor, noise, trans="T", lower=True)
    return beta, conditional.log_density + np.log(np.diag(factor)).sum() - 0.5 * noise @ noise


def linear_parameters(posterior: Posterior, data: FitData) -> NDArray[np.bool_]:
    """Find the parameters that can be integrated out, (size,): linear in the rates, with a Gaussian prior.

    Parameters that are declared linear (`Posterior.linear_by_name`) are tested numerically, all together and,
    if that fails, name by name: a prior may not be Gaussian, or a model may multiply two of them.
    """
    candidates = posterior.linear_by_name
    none = np.zeros(posterior.size, bool)
    start = posterior.start(jax.random.key(0), data)
    if not candidates.any() or posterior.by_revolution:
        return none
    if not isinstance(posterior.rates(jnp.asarray(start), data), TermsNormal | CorrelatedTermsNormal):
        return none
    small = compiled_quickly(partial(_small, posterior))
    step = posterior.scale * np.random.default_rng(0).normal(size=posterior.size)

    def linear(moved: NDArray) -> bool:
        at = [small(start + k * step * moved, data) for k in (0.0, 1.0, -1.0, 2.0)]
        same = lambda x, y, z: bool(np.allclose(x, y, rtol=1e-9, atol=1e-9 * np.abs(z).max(initial=0.0)))  # noqa: E731
        zero, one, minus, two = (x.affine for x in at)
        affine = all(
            same(b + c, 2 * a, b) and same(d + a, 2 * b, b)
            for a, b, c, d in zip(zero, one, minus, two, strict=True)
        )
        constant = all(same(a, b, b) for a, b in zip(at[0].constant, at[1].constant, strict=True))
        prior = [float(x.prior) for x in at]
        third = prior[3] - 3 * prior[1] + 3 * prior[0] - prior[2]
        return affine and constant and abs(third) < 1e-6 * max(1.0, *map(abs, prior))

    if linear(candidates):
        return candidates
    accepted = none
    for name in sorted(posterior.shapes, key=lambda name: -np.prod(posterior.shapes[name])):
        tried = accepted | (candidates & posterior.named(name))
        if tried.any() and (tried != accepted).any() and linear(tried):
            accepted = tried
    return accepted


class _Small(NamedTuple):
    """Values that must be affine in linear parameters, values that must not depend on them, and the prior."""

    affine: list[Array]
    constant: list[Array]
    prior: Array


def _small(posterior: Posterior, z: Array, data: FitData) -> _Small:
    rates = posterior.rates(z, data)
    plain, several = by_kind(rates.mean_terms)
    affine = [t.coefficient for t in plain] + [t.table for t in several]
    constant = [t.coefficient for t in (*several, *rates.scatter_terms)]
    process = [rates.correlated_sd, rates.memory] if isinstance(rates, CorrelatedTermsNormal) else []
    return _Small(affine, [*constant, rates.coef_sd, *process], posterior.prior_potential(z, data))


def _moved(nonzero: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the parameters with nonzero slopes (band, place, linear), equally many for each band."""
    moves = nonzero.any(1)  # (band, linear)
    n = int(moves.sum(1).max(initial=0))
    return np.sort(np.argsort(~moves, axis=1, kind="stable")[:, :n], axis=1)
