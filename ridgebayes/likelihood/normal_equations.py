"""Normal equations of the linear parameters: precision, gradient and log likelihood of rates that are terms.

The design matrix is never made. Its columns are fixed columns times a number a revolution, so its products
follow from products of the fixed columns, summed over blocks (white noise) or over whole revolutions taken
through the filter of the correlated noise, and the slopes of those numbers by the parameters. The terms of
each revolution are projected out by Woodbury's identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ridgebayes.likelihood import coefficients
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.gram import gram, pairs
from ridgebayes.likelihood.linear_terms import CorrelatedTermsNormal, TermsNormal
from ridgebayes.likelihood.ou_noise import SHORTEST, whitened


class Slopes(NamedTuple):
    """Derivatives by the linear parameters of what multiplies columns.

    Attributes
    ----------
    plain
        Of the coefficients of terms of one column, each (band, own, revolution): by the parameters that
        move it.
    plain_index
        Which these are, each (band, own).
    tables
        Of the tables of terms of several columns, joined, (band, place, own).
    tables_index
        Which parameters move them, (band, own).
    """

    plain: tuple[Array, ...]
    plain_index: tuple[Array, ...]
    tables: Array
    tables_index: Array


def by_kind(terms: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
    """Terms of one column, and those of several in groups that share a table."""
    groups: dict[tuple[int, int], list[Any]] = {}
    for term in terms:
        if term.table is not None:
            groups.setdefault((id(term.table), id(term.place)), []).append(term)
    return [t for t in terms if t.table is None], list(groups.values())


class BandEquations(NamedTuple):
    """What the rates of each band say of the linear parameters that move them; arrays (band, …).

    Attributes
    ----------
    at
        Which parameters these are; one that comes twice counts as the sum, (band, own).
    precision, gradient
        (band, own, own) and (band, own).
    log_likelihood
        At the reference, (band,).
    """

    at: Array
    precision: Array
    gradient: Array
    log_likelihood: Array


def normal_equations(
    rates: TermsNormal | CorrelatedTermsNormal, slopes: Slopes, data: FitData, size: int
) -> tuple[Array, Array, Array]:
    """Precision (size, size), gradient (size,) and log likelihood, all bands together.

    Parameters
    ----------
    rates
        Distribution of the rates at the reference.
    slopes
        Derivatives of its terms by the linear parameters.
    data
        Arrays of the fit.
    size
        Number of linear parameters.
    """
    at, precision, gradient, value = equations_of_bands(rates, slopes, data)
    whole = jnp.zeros((size, size)).at[at[:, :, None], at[:, None]].add(precision)
    return whole, jnp.zeros(size).at[at].add(gradient), value.sum()


def equations_of_bands(
    rates: TermsNormal | CorrelatedTermsNormal, slopes: Slopes, data: FitData
) -> BandEquations:
    """Return the normal equations of each band by itself: arrays (band, ...)."""
    plain, groups = by_kind(rates.mean_terms)
    bands, revolutions = data.rate.shape[0], data.time.size
    offsets = np.concatenate([[0], np.cumsum([group[0].table.shape[-1] for group in groups])]).astype(int)
    place = [group[0].place + first for group, first in zip(groups, offsets[:-1], strict=True)]
    # Terms that nothing linear moves are part of the residual alone.
    moved = [t for t, slope in enumerate(slopes.plain) if slope.shape[1]]
    columns = [plain[t].column for t in moved]
    # The basis of the revolution terms, columns of plain terms but ones, the residual.
    index: list[int] = []
    dense: list[Array] = [*rates.basis]
    for column in columns:
        index.append(0 if column is None else len(dense))
        dense += [] if column is None else [column]

    def of_band(rate, loc, variance, coef_sd, coefficient, slopes, process):
        factors, slabs = [], []
        for group, cs in zip(groups, coefficient, strict=True):
            here = [c[rates.block_revolution] for c in cs]
            if len(group) == 1:
                factors += [here[0]] * len(group[0].column)
                slabs += list(group[0].column)
            else:
                joined = sum(c[:, None] * t.column for c, t in zip(here, group, strict=True))
                factors += [jnp.ones_like(here[0])] * len(joined)
                slabs += list(joined)
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
        if isinstance(rates, CorrelatedTermsNormal):
            products = _correlated_products(given, rates.sequence, *process)
        else:
            products = _white_products(given)
        own = [slopes.plain[t] for t in moved]
        matrix, vector, value = _solve(products, coef_sd, index, own, slopes.tables)
        at = jnp.concatenate([slopes.tables_index, *[slopes.plain_index[t] for t in moved]])
        count = rates.filled.sum() * jnp.log(2.0 * jnp.pi)
        return BandEquations(at, matrix, vector, value - 0.5 * count)

    process: tuple[Array, ...] = ()
    if isinstance(rates, CorrelatedTermsNormal):
        process = (
            jnp.broadcast_to(rates.correlated_sd, (bands, revolutions)),
            jnp.broadcast_to(jnp.maximum(rates.memory, SHORTEST), (bands,)),
        )
    return jax.vmap(of_band)(
        data.rate,
        rates.loc,
        rates.noise_variance,
        jnp.broadcast_to(rates.coef_sd, (bands, *rates.coef_sd.shape[-2:])),
        [[t.coefficient for t in group] for group in groups],
        slopes,
        process,
    )


class _Columns(NamedTuple):
    """Columns of one band."""

    weight: Array  # inverse variance, zero in empty cells (block, width)
    mask: Array  # (block, width)
    dense: list[Array]  # columns that every block has, the residual last (block, width)
    slabs: list[Array]  # columns of the tables (block, width)
    factors: list[Array]  # and their coefficients (block,)
    place: Array | None  # of each slab in the table, (slab, block)
    block_revolution: Array  # (block,)
    revolutions: int
    places: int


class _Products(NamedTuple):
    """Products of the columns under the inverse covariance of the noise."""

    own: Array  # of dense columns in each revolution, (column, column, revolution)
    against: Array  # of dense columns with the places of the table, (column, place, revolution)
    square: Array  # of places with each other, (place, place)
    log_det: Array  # of the covariance of the noise


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
        factor = jnp.stack(given.factors)
        against = against.at[:, given.place, given.block_revolution[None]].add(sums.mixed * factor)
        first, second = np.transpose(pairs(slabs))
        upper = sums.slabs * factor[first] * factor[second]
        upper *= jnp.where(first == second, 0.5, 1.0)[:, None]
        square = square.at[given.place[first], given.place[second]].add(upper)
        square += square.T
    log_det = -jnp.log(jnp.where(given.mask, given.weight, 1.0)).sum()
    return _Products(lower[which], against, square, log_det)


def _correlated_products(given: _Columns, sequence: Any, sd: Array, memory: Array) -> _Products:
    n = len(given.dense)
    own = jnp.zeros((n, n, given.revolutions))
    against = jnp.zeros((n, given.places, given.revolutions))
    square = jnp.zeros((given.places, given.places))
    log_det = -jnp.log(jnp.where(given.mask, given.weight, 1.0)).sum()
    dense = [x.ravel() for x in given.dense]
    scaled = [(s * f[:, None]).ravel() for s, f in zip(given.slabs, given.factors, strict=True)]
    flat = jnp.concatenate([*scaled, jnp.zeros(1)])
    for group in sequence.groups:
        columns = jnp.stack([x[group.index] for x in dense], -1)
        columns = jnp.where(group.present[..., None], columns, 0.0)
        if scaled:
            columns = jnp.concatenate([columns, flat[group.slab]], -1)
        weight = jnp.where(group.present, given.weight.ravel()[group.index], 0.0)
        white, more = whitened(columns, weight, sd, memory, group)
        # With revolutions first these are products of matrices.
        each = jax.lax.optimization_barrier(jnp.swapaxes(white, 0, 1))
        products = jnp.moveaxis(jnp.einsum("rtc,rtd->rcd", each, each), 0, 2)
        log_det += more
        own = own.at[:, :, group.revolution].set(products[:n, :n])
        if scaled:
            against = against.at[:, group.place, group.revolution].add(products[:n, n:])
            square = square.at[group.place[:, None], group.place[None]].add(products[n:, n:])
    return _Products(own, against, square, log_det)


def _solve(
    products: _Products, coef_sd: Array, index: list[int], slopes: list[Array], table: Array
) -> tuple[Array, Array, Array]:
    """Precision, gradient and log likelihood (without its constant) of one band.

    Parameters
    ----------
    products
        Of the columns; the residual is the last dense one.
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
        # Fewer parameters than places: what there is by place becomes smaller at once, otherwise at the end.
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
