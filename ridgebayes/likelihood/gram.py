"""Weighted products of columns, summed over blocks of ScWs, as the normal equations need them."""

from __future__ import annotations

import operator
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ridgebayes.likelihood.revolution import block_sums


class Gram(NamedTuple):
    """Sums Σ w x y over each block.

    Attributes
    ----------
    dense
        Products of columns that every block has, (pair, block), in the order of `pairs`.
    mixed
        Products of each of these columns with each slab, (column, slab, block).
    slabs
        Products of pairs of slabs, (pair, block).
    """

    dense: Array
    mixed: Array
    slabs: Array


def pairs(n: int) -> list[tuple[int, int]]:
    """Pairs (i, j ≤ i) of n columns."""
    return [(i, j) for i in range(n) for j in range(i + 1)]


@jax.custom_vjp
def gram(weight: Array, columns: tuple[Array, ...], slabs: tuple[Array, ...]) -> Gram:
    """Sum the products of columns over blocks, in one pass.

    Parameters
    ----------
    weight
        w of each ScW, (block, width).
    columns, slabs
        Arrays (block, width).
    """
    weighted = [weight * x for x in columns]
    products = [weighted[i] * columns[j] for i, j in pairs(len(columns))]
    products += [x * s for x in weighted for s in slabs]
    products += [weight * slabs[i] * slabs[j] for i, j in pairs(len(slabs))]
    sums = block_sums(tuple(products))
    dense, mixed = len(pairs(len(columns))), len(columns) * len(slabs)
    blocks = weight.shape[0]
    stack = lambda x: jnp.stack(x) if x else jnp.zeros((0, blocks))  # noqa: E731
    return Gram(
        stack(sums[:dense]),
        stack(sums[dense : dense + mixed]).reshape(len(columns), len(slabs), blocks),
        stack(sums[dense + mixed :]),
    )


def _forward(weight: Array, columns: tuple[Array, ...], slabs: tuple[Array, ...]) -> tuple[Gram, tuple]:
    return gram(weight, columns, slabs), (weight, columns, slabs)


def _backward(kept: tuple, slopes: Gram) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
    """Differentiate with respect to the weight, the columns and the slabs."""
    weight, columns, slabs = kept
    every = [*columns, *slabs]
    n = len(columns)
    factor: dict[tuple[int, int], Array] = {}
    for (i, j), slope in zip(pairs(n), slopes.dense, strict=True):
        factor[i, j] = slope
    for i in range(n):
        for s in range(len(slabs)):
            factor[n + s, i] = slopes.mixed[i, s]
    for (i, j), slope in zip(pairs(len(slabs)), slopes.slabs, strict=True):
        factor[n + i, n + j] = slope
    against = []
    for i in range(len(every)):
        terms = [
            factor[max(i, j), min(i, j)][:, None] * every[j] * (2.0 if i == j else 1.0)
            for j in range(len(every))
        ]
        against.append(reduce(operator.add, terms))
    by_weight = 0.5 * reduce(operator.add, [x * y for x, y in zip(every, against, strict=True)])
    by_column = [weight * x for x in against]
    return by_weight, tuple(by_column[:n]), tuple(by_column[n:])


gram.defvjp(_forward, _backward)
