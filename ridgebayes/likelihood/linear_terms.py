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

from ridgebayes.likelihood.ou_noise import CorrelatedNormal
from ridgebayes.likelihood.outliers import OutlierNormal
from ridgebayes.likelihood.revolution import RevolutionNormal, block_sums


class Term(NamedTuple):
    """A term of a rate: c x, or Σ_s c t[place_s] x_s of several columns.

    Attributes
    ----------
    coefficient
        c of each revolution, (band, revolution).
    column
        x, (block, width); None for one everywhere. Of several, (column, block, width).
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
    """Distribution of rates that are sums of terms, with scatter that is a sum of independent terms.

    It keeps the terms: given the scatter the rates are linear in them (`ridgebayes.inference.marginal`).
    """

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
        loc = total(mean, block_revolution, filled.shape)
        variance = counting_variance + total(squares(scatter), block_revolution, filled.shape)
        shared = (coef_sd, basis, block_revolution, filled)
        super().__init__(loc, variance, *shared, *process, validate_args=validate_args)


class TermsNormal(_OfTerms):
    """`RevolutionNormal` of rates that are sums of terms.

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


class OutlierTermsNormal(_OfTerms, OutlierNormal):  # type: ignore[misc]  # NumPyro joins the fields
    """`OutlierNormal` of rates that are sums of terms.

    Parameters
    ----------
    mean, counting_variance, scatter, coef_sd, basis, block_revolution, filled
        As in `TermsNormal`.
    fraction, size
        As in `OutlierNormal`, (band,).
    """
