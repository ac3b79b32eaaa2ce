"""Rates as sums of terms: what changes slowly, a number for every revolution, times fixed columns."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero, linear_call
from jax.typing import ArrayLike

from ridgebayes.correlated import SHORTEST, CorrelatedNormal
from ridgebayes.native import call as native
from ridgebayes.revolution import RevolutionNormal, block_sums


class Term(NamedTuple):
    """A term of a rate: c x, or Σ_s c t[place_s] x_s of several columns.

    Attributes
    ----------
    coefficient
        c of each revolution, (band, revolution).
    column
        x, (block, width); None for one everywhere. Of several, (column, block, width). A parameter in
        it makes gradients several times slower.
    table
        t, (band, place), of several columns.
    place
        Which element of the table each column has in each block, (column, block).
    """

    coefficient: Array
    column: Array | None = None
    table: Array | None = None
    place: Array | None = None


Terms = list[Term]


def total(terms: Sequence[Term], block_revolution: Array, cells: tuple[int, ...]) -> Array:
    """Add terms up in (block, width) cells: (band, block, width).

    The derivative by any coefficient is a sum along the block, and all these sums are taken in one pass.
    """
    by_block: list[Array] = []
    columns: list[Array] = []
    for coefficient, column, table, place in terms:
        here = coefficient[:, block_revolution]
        if column is None:
            by_block, columns = [*by_block, here], [*columns, jnp.ones(cells)]
        elif table is None:
            by_block, columns = [*by_block, here], [*columns, column]
        else:
            assert place is not None
            by_block += [here * table[:, at] for at in place]
            columns += list(column)
    return _sum(tuple(columns), jnp.stack(by_block, 1))


def squares(terms: Sequence[Term]) -> Terms:
    """Square each of terms that have one column: variances of independent scatters."""
    return [Term(t.coefficient**2, None if t.column is None else t.column**2) for t in terms]


@jax.custom_jvp
def _sum(columns: tuple[Array, ...], coefficients: Array) -> Array:
    each = [coefficients[:, t, :, None] * column for t, column in enumerate(columns)]
    return reduce(operator.add, each)


@partial(_sum.defjvp, symbolic_zeros=True)
def _sum_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    columns, coefficients = primals
    moved = [None if _is_zero(x) else x for x in tangents[0]]
    tangent = jnp.zeros(())
    if not _is_zero(tangents[1]):
        tangent += linear_call(_sum, _project, columns, tangents[1])
    for t, x in enumerate(moved):
        if x is not None:
            tangent += coefficients[:, t, :, None] * x
    value = _sum(columns, coefficients)
    return value, jnp.broadcast_to(tangent, value.shape)


def _is_zero(tangent: object) -> bool:
    return isinstance(tangent, SymbolicZero)


def _project(columns: tuple[Array, ...], rate: Array) -> Array:
    """Transpose of `_sum` by the coefficients."""
    one_band = lambda x: jnp.stack(block_sums(tuple(x * column for column in columns)))  # noqa: E731
    return jax.vmap(one_band)(rate)


class _OfTerms(RevolutionNormal):
    """Distribution of rates that are sums of terms, and scatter as terms say."""

    pytree_data_fields = ("mean_terms", "scatter_terms", "counting_variance")

    def __init__(
        self,
        mean: Sequence[Term],
        counting_variance: Array,
        scatter: Sequence[Term],
        coef_sd: Array,
        basis: Array,
        block_revolution: Array,
        filled: Array,
        *process: Any,
        validate_args: bool | None = None,
    ) -> None:
        self.mean_terms, self.scatter_terms = tuple(mean), tuple(scatter)
        self.counting_variance = counting_variance
        # Nothing computes these two where the terms are used.
        loc = total(mean, block_revolution, filled.shape)
        variance = counting_variance + total(squares(scatter), block_revolution, filled.shape)
        shared = (coef_sd, basis, block_revolution, filled)
        super().__init__(loc, variance, *shared, *process, validate_args=validate_args)

    def log_prob(self, value: ArrayLike) -> Array:
        """Log density of the rates `value`, shape (band, block, width) → (band,)."""
        rate = jnp.asarray(value)
        if rate.shape != self.counting_variance.shape or not native.usable(rate.shape[-1], rate.dtype):
            return super().log_prob(value)
        mean, mean_columns = _parted(self.mean_terms)
        scatter, scatter_columns = _parted(self.scatter_terms)
        process, sequence = self._process_and_sequence()
        given = (rate, self.counting_variance, self.basis, self.filled, self.block_revolution)
        return _log_density(
            native.Free(mean, scatter, self.coef_sd, process),
            native.Given(*given, mean_columns, scatter_columns, sequence),
        )

    def _process_and_sequence(self) -> tuple[Any, Any]:
        return None, None


class TermsNormal(_OfTerms):
    """`RevolutionNormal` of rates that are sums of terms.

    The same density; on a CPU it is worked out in one pass over the ScWs (`ridgebayes.native`).

    Parameters
    ----------
    mean
        Terms of the mean rates, cts/s.
    counting_variance
        (cts/s)², (band, block, width).
    scatter
        Standard deviations of independent scatters beyond counting, cts/s, each of one column.
    coef_sd, basis, block_revolution, filled
        As in `RevolutionNormal`.
    """


class CorrelatedTermsNormal(_OfTerms, CorrelatedNormal):
    """`CorrelatedNormal` of rates that are sums of terms.

    Parameters
    ----------
    mean, counting_variance, scatter, coef_sd, basis, block_revolution, filled
        As in `TermsNormal`.
    correlated_sd, memory, sequence
        As in `CorrelatedNormal`, (band, revolution) and (band,).
    """

    def _process_and_sequence(self) -> tuple[Any, Any]:
        return (self.correlated_sd, jnp.maximum(self.memory, SHORTEST)), self.sequence


def _parted(terms: Sequence[Term]) -> tuple[tuple[native.Term, ...], tuple[native.Columns, ...]]:
    """Part what depends on parameters from what is data."""
    return (
        tuple(native.Term(t.coefficient, t.table) for t in terms),
        tuple(native.Columns(t.column, t.place) for t in terms),
    )


def _plain(free: native.Free, given: native.Given) -> Array:
    mean, scatter = (
        [Term(f.coefficient, g.column, f.table, g.place) for f, g in zip(some, fixed, strict=True)]
        for some, fixed in ((free.mean, given.mean), (free.scatter, given.scatter))
    )
    shared = (free.coef_sd, given.basis, given.block_revolution, given.filled)
    known = (mean, given.counting, scatter, *shared)
    with native.plainly():
        if free.process is None:
            return TermsNormal(*known).log_prob(given.rate)
        return CorrelatedTermsNormal(*known, *free.process, given.sequence).log_prob(given.rate)


@jax.custom_jvp
def _log_density(free: native.Free, given: native.Given) -> Array:
    return native.value(free, given)


@partial(_log_density.defjvp, symbolic_zeros=True)
def _log_density_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    moved, others = (jax.tree.leaves(x, is_leaf=_is_zero) for x in tangents)
    if not all(map(_is_zero, others)):
        # A parameter stands in a column.
        whole = [_whole(t) for t in (*moved, *others)]
        return jax.jvp(_plain, primals, jax.tree.unflatten(jax.tree.structure(primals), whole))
    value, slopes = _value_and_slopes(*primals)
    tangent = jnp.zeros_like(value)
    for slope, by in zip(jax.tree.leaves(slopes), moved, strict=True):
        if not _is_zero(by):
            tangent += (slope * by).sum(tuple(range(1, slope.ndim)))
    return value, tangent


@jax.custom_jvp
def _value_and_slopes(free: native.Free, given: native.Given) -> tuple[Array, native.Free]:
    return native.value_and_slopes(free, given)


@partial(_value_and_slopes.defjvp, symbolic_zeros=True)
def _value_and_slopes_jvp(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    """Second derivatives, which sampling does not need, are those of the plain form."""
    free, given = primals
    if not all(map(_is_zero, jax.tree.leaves(tangents[1], is_leaf=_is_zero))):
        raise NotImplementedError("second derivatives by parameters that stand in columns of terms")

    def value_and_slopes(free: native.Free) -> tuple[Array, native.Free]:
        value, slopes = jax.vjp(lambda free: _plain(free, given), free)
        return value, slopes(jnp.ones_like(value))[0]

    return jax.jvp(value_and_slopes, (free,), (jax.tree.map(_whole, tangents[0], is_leaf=_is_zero),))


def _whole(tangent: Any) -> Any:
    return jnp.zeros(tangent.shape, tangent.dtype) if _is_zero(tangent) else tangent
