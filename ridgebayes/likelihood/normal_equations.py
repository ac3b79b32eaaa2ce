"""Normal equations of the linear parameters: precision, gradient and log likelihood of rates made of terms.

The design matrix is never built. Its columns are fixed columns times a coefficient for each revolution. So
the normal equations follow from products of the fixed columns and from the derivatives of the coefficients
with respect to the parameters (slopes). For white noise the products are summed over blocks. For correlated
noise columns pass through its filter and are summed over revolutions. The terms of each revolution are
projected out by Woodbury's identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ridgebayes.errors import InputError
from ridgebayes.likelihood import coefficients
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.gram import gram, pairs
from ridgebayes.likelihood.linear_terms import CorrelatedTermsNormal, TermsNormal
from ridgebayes.likelihood.ou_noise import SHORTEST, whitened
from ridgebayes.likelihood.sequence import by_group


class Slopes(NamedTuple):
    """Derivatives of coefficients and tables with respect to the linear parameters.

    Attributes
    ----------
    plain
        Derivatives of the coefficients of terms of one column, with respect to the parameters that affect
        each, (band, own, revolution).
    plain_index
        Indices of these parameters, each (band, own).
    tables
        Derivatives of the joined tables of terms of several columns, (band, place, own).
    tables_index
        Indices of the parameters that affect the tables, (band, own).
    """

    plain: tuple[Array, ...]
    plain_index: tuple[Array, ...]
    tables: Array
    tables_index: Array


def by_kind(terms: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Split terms into those of one column and those of several."""
    return [t for t in terms if t.table is None], [t for t in terms if t.table is not None]


class BandEquations(NamedTuple):
    """Normal equations of each band for the linear parameters that affect it; arrays (band, …).

    Attributes
    ----------
    at
        Indices of these parameters, (band, own); entries with the same index add.
    precision, gradient
        Of the log likelihood, (band, own, own) and (band, own).
    log_likelihood
        Log likelihood at the reference, (band,).
    """

    at: Array
    precision: Array
    gradient: Array
    log_likelihood: Array


def normal_equations(
    rates: TermsNormal | CorrelatedTermsNormal,
    slopes: Slopes,
    data: FitData,
    size: int,
    in_order: tuple[Array, ...] | None = None,
) -> tuple[Array, Array, Array]:
    """Precision (size, size), gradient (size,) and log likelihood, all bands together.

    Parameters
    ----------
    rates
        Distribution of the rates at the reference.
    slopes
        Derivatives of its terms with respect to the linear parameters.
    data
        Arrays of the fit.
    size
        Number of linear parameters.
    in_order
        Result of `columns_in_order`, for correlated noise with fixed columns.
    """
    at, precision, gradient, value = equations_of_bands(rates, slopes, data, in_order)
    whole = jnp.zeros((size, size)).at[at[:, :, None], at[:, None]].add(precision)
    return whole, jnp.zeros(size).at[at].add(gradient), value.sum()


def equations_of_bands(
    rates: TermsNormal | CorrelatedTermsNormal,
    slopes: Slopes,
    data: FitData,
    in_order: tuple[Array, ...] | None = None,
) -> BandEquations:
    """Return the normal equations of each band: arrays (band, ...).

    Raises
    ------
    TypeError
        If the rates are not Gaussian, as with outliers whose indicators are not known.
    """
    if not isinstance(rates, TermsNormal | CorrelatedTermsNormal):
        raise TypeError(f"{type(rates).__name__} is not Gaussian: it has no normal equations")
    _, several = by_kind(rates.mean_terms)
    bands, revolutions = data.rate.shape[0], data.time.size
    offsets = np.concatenate([[0], np.cumsum([t.table.shape[-1] for t in several])]).astype(int)
    place = [t.place + first for t, first in zip(several, offsets[:-1], strict=True)]
    moved, index, dense = _dense(rates, slopes)
    correlated = isinstance(rates, CorrelatedTermsNormal)
    if correlated and in_order is None:
        in_order = columns_in_order(rates, slopes)

    def of_band(rate, loc, variance, coef_sd, coefficient, columns, slopes, process):
        slabs = [x for column in columns for x in column]
        factors = [c for c, column in zip(coefficient, columns, strict=True) for _ in column]
        given = _Columns(
            weight=rates.filled / variance,
            mask=rates.filled,
            dense=[*dense, rate - loc],
            slabs=slabs,
            factors=factors,
            place=jnp.concatenate(place) if place else None,
            block_revolution=rates.block_revolution,
            revolutions=revolutions,
            places=int(offsets[-1]),
        )
        if correlated:
            products = _correlated_products(given, in_order, rates.sequence, *process)
        else:
            products = _white_products(given)
        own = [slopes.plain[t] for t in moved]
        matrix, vector, value = _solve(products, coef_sd, index, own, slopes.tables)
        at = jnp.concatenate([slopes.tables_index, *[slopes.plain_index[t] for t in moved]])
        count = rates.filled.sum() * jnp.log(2.0 * jnp.pi)
        return BandEquations(at, matrix, vector, value - 0.5 * count)

    process: tuple[Array, ...] = ()
    if correlated:
        process = (
            jnp.broadcast_to(rates.correlated_sd, (bands, revolutions)),
            jnp.broadcast_to(jnp.maximum(rates.memory, SHORTEST), (bands,)),
        )
    arguments = (
        data.rate,
        rates.loc,
        rates.noise_variance,
        jnp.broadcast_to(rates.coef_sd, (bands, *rates.coef_sd.shape[-2:])),
        [t.coefficient for t in several],
        [t.column for t in several],
        slopes,
        process,
    )
    axes = (0, 0, 0, 0, 0, [0 if t.by_band else None for t in several], 0, 0)
    if bands > 1:
        return jax.vmap(of_band, axes)(*arguments)
    # With the axis of a single band XLA copies columns needlessly.
    first = lambda axis, x: x if axis is None else jax.tree.map(lambda y: y[0], x)  # noqa: E731
    given = jax.tree.map(first, axes, arguments, is_leaf=lambda axis: axis is None)
    return jax.tree.map(lambda x: x[None], of_band(*given))


def _dense(
    rates: TermsNormal | CorrelatedTermsNormal, slopes: Slopes
) -> tuple[list[int], list[int], list[Array]]:
    """Find the plain terms that depend on linear parameters, the dense column of each, and the dense columns.

    Other plain terms enter the residual alone. Dense columns are the basis of the revolution terms and the
    columns of the plain terms; a column of ones is the first of that basis.
    """
    plain, _ = by_kind(rates.mean_terms)
    moved = [t for t, slope in enumerate(slopes.plain) if slope.shape[1]]
    index: list[int] = []
    dense: list[Array] = [*rates.basis]
    for column in (plain[t].column for t in moved):
        index.append(0 if column is None else len(dense))
        dense += [] if column is None else [column]
    return moved, index, dense


def columns_in_order(rates: CorrelatedTermsNormal, slopes: Slopes) -> tuple[Array, ...]:
    """Sort the columns of the design into the order of the filter, for each group of revolutions.

    This takes as long as filtering them, so it is done only once if columns do not depend on parameters.

    Raises
    ------
    InputError
        If more than one term has a table.

    Returns
    -------
    columns
        (step, revolution, column): columns of the sky if they are the same for all bands, dense columns, and
        a column of zeros for the residual.
    """
    _, several = by_kind(rates.mean_terms)
    if len(several) > 1:
        raise InputError(
            f"correlated_noise: {len(several)} terms of the model have tables: put what is seen of the sky "
            "in one, or leave the extra out"
        )
    dense = [x.ravel() for x in _dense(rates, slopes)[2]]
    slabs = [x for term in several if not term.by_band for x in term.column]
    found = []
    for group in rates.sequence.groups:
        own = jnp.stack([*[x[group.index] for x in dense], jnp.zeros(group.index.shape)], -1)
        own = jnp.where(group.present[..., None], own, 0.0)
        found.append(jnp.concatenate([_taken(slabs, group), own], -1) if slabs else own)
    return tuple(found)


def _taken(slabs: list[Array], group: Any) -> Array:
    """Columns of the tables for the revolutions of a group, (step, revolution, column)."""
    return jnp.concatenate([*[x.ravel() for x in slabs], jnp.zeros(1)])[group.slab]


class _Columns(NamedTuple):
    """Columns of one band."""

    weight: Array  # inverse variance, zero in empty cells (block, width)
    mask: Array  # (block, width)
    dense: list[Array]  # columns that every block has, the residual last (block, width)
    slabs: list[Array]  # columns of the tables (block, width)
    factors: list[Array]  # coefficients of these columns (revolution,)
    place: Array | None  # index of each slab in the table, (slab, block)
    block_revolution: Array  # (block,)
    revolutions: int
    places: int


class _Products(NamedTuple):
    """Products of the columns under the inverse covariance of the noise."""

    own: Array  # dense columns with each other in each revolution, (column, column, revolution)
    against: Array  # dense columns with places of the table, (column, place, revolution)
    square: Array  # places with each other, (place, place)
    log_det: Array  # log determinant of the covariance of the noise


def _white_products(given: _Columns) -> _Products:
    n, slabs = len(given.dense), len(given.slabs)
    sums = gram(given.weight, tuple(given.dense), tuple(given.slabs))
    lower = jax.ops.segment_sum(
        sums.dense.T, given.block_revolution, given.revolutions, indices_are_sorted=True
    ).T
    order = {pair: k for k, pair in enumerate(pairs(n))}
    which = np.array([[order[max(i, j), min(i, j)] for j in range(n)] for i in range(n)])
    against = jnp.zeros((n, given.places, given.revolutions))
    square = jnp.zeros((given.places, given.places))
    if slabs:
        assert given.place is not None
        factor = jnp.stack(given.factors)[:, given.block_revolution]
        against = against.at[:, given.place, given.block_revolution[None]].add(sums.mixed * factor)
        first, second = np.transpose(pairs(slabs))
        upper = sums.slabs * factor[first] * factor[second]
        upper *= jnp.where(first == second, 0.5, 1.0)[:, None]
        square = square.at[given.place[first], given.place[second]].add(upper)
        square += square.T
    log_det = -jnp.log(jnp.where(given.mask, given.weight, 1.0)).sum()
    return _Products(lower[which], against, square, log_det)


def _correlated_products(
    given: _Columns, in_order: tuple[Array, ...], sequence: Any, sd: Array, memory: Array
) -> _Products:
    n = len(given.dense)
    own = jnp.zeros((n, n, given.revolutions))
    against = jnp.zeros((n, given.places, given.revolutions))
    square = jnp.zeros((given.places, given.places))
    log_det = -jnp.log(jnp.where(given.mask, given.weight, 1.0)).sum()
    residuals, weights = (by_group(x, sequence) for x in (given.dense[-1], given.weight))
    for group, columns, residual, weight in zip(sequence.groups, in_order, residuals, weights, strict=True):
        if given.slabs and columns.shape[-1] == n:
            # `in_order` lacks columns that differ between bands.
            columns = jnp.concatenate([_taken(given.slabs, group), columns], -1)
        white, more = whitened(columns, residual, weight, sd, memory, group)
        products = jnp.einsum("rtc,rtd->rcd", white, white)
        log_det += more
        own = own.at[:, :, group.revolution].set(jnp.moveaxis(products[:, -n:, -n:], 0, 2))
        if given.slabs:
            # All slabs belong to one term, so they have the same factor.
            factor, place = given.factors[0][group.revolution], group.place.T
            mixed = jnp.moveaxis(products[:, -n:, :-n], 0, 2) * factor
            against = against.at[:, group.place, group.revolution].add(mixed)
            of_places = products[:, :-n, :-n] * factor[:, None, None] ** 2
            square = square.at[place[:, :, None], place[:, None]].add(of_places)
    return _Products(own, against, square, log_det)


def _solve(
    products: _Products, coef_sd: Array, index: list[int], slopes: list[Array], table: Array
) -> tuple[Array, Array, Array]:
    """Precision, gradient and log likelihood (without its constant) of one band.

    Parameters
    ----------
    products
        Products of the columns; the residual is the last dense column.
    coef_sd
        Sd of the terms of each revolution, (term, revolution).
    index, slopes
        Dense column of each plain term, and slopes of its coefficient, (own, revolution).
    table
        Slopes of the table, (place, own).
    """
    terms = range(len(coef_sd))
    own, last = products.own, len(products.own) - 1
    sky, square, later = list(products.against), products.square, table.T
    if table.shape[1] < table.shape[0]:
        # Transform from places to parameters first if parameters are fewer, otherwise last.
        sky, square, later = [table.T @ x for x in sky], table.T @ square @ table, jnp.eye(table.shape[1])
    # Each dense column against the whole design, (own, revolution).
    design = [
        jnp.concatenate([sky[k], *[own[k, i] * s for i, s in zip(index, slopes, strict=True)]])
        for k in range(last)
    ]
    sd = list(coef_sd)
    system = [[own[i, j] for j in range(i + 1)] for i in terms]
    solved = coefficients.solve(system, [own[j, last] for j in terms], sd)
    projected = [sum((solved.inverse[i][k] * sd[k]) * design[k] for k in range(i + 1)) for i in terms]
    precision = -sum(x @ x.T for x in projected)
    size = n_sky = len(square)
    precision = precision.at[:size, :size].add(square)
    vector = [sky[last].sum(-1)]
    for k, slope in zip(index, slopes, strict=True):
        at = slice(size, size + len(slope))
        row = slope @ design[k].T
        precision = precision.at[at].add(row)
        precision = precision.at[:n_sky, at].add(row[:, :n_sky].T)
        vector.append(slope @ own[k, last])
        size += len(slope)
    gradient = jnp.concatenate(vector) - sum(x @ f for x, f in zip(projected, solved.forward, strict=True))
    of_terms = sum((0.5 * f**2 + jnp.log(solved.inverse[j][j])).sum() for j, f in enumerate(solved.forward))
    value = of_terms - 0.5 * (own[last, last].sum() + products.log_det)
    by_place = jax.scipy.linalg.block_diag(later, jnp.eye(size - n_sky))
    return by_place @ precision @ by_place.T, by_place @ gradient, value
