"""Sums of products over blocks: against einsum, and their hand-written slopes against those of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ridgebayes.likelihood.gram import Gram, gram, pairs


def plain(weight, columns, slabs):
    """The same sums, which JAX differentiates by itself."""
    dense, slab = pairs(len(columns)), pairs(len(slabs))
    blocks = weight.shape[0]
    stack = lambda x: jnp.stack(x) if x else jnp.zeros((0, blocks))  # noqa: E731
    return Gram(
        stack([(weight * columns[i] * columns[j]).sum(-1) for i, j in dense]),
        stack([(weight * x * s).sum(-1) for x in columns for s in slabs]).reshape(
            len(columns), len(slabs), blocks
        ),
        stack([(weight * slabs[i] * slabs[j]).sum(-1) for i, j in slab]),
    )


@pytest.fixture(params=[(4, 3), (2, 0), (1, 1)], ids=str)
def given(request, rng):
    """Weights, columns and slabs in 5 blocks of 16."""
    columns, slabs = request.param
    array = lambda: jnp.asarray(rng.normal(size=(5, 16)))  # noqa: E731
    weight = jnp.asarray(rng.uniform(0.1, 2.0, (5, 16)))
    return weight, tuple(array() for _ in range(columns)), tuple(array() for _ in range(slabs))


def test_sums_are_those_of_einsum(given):
    weight, columns, slabs = given
    found = gram(*given)
    every = np.array([*columns, *slabs])
    whole = np.einsum("bw,ibw,jbw->ijb", weight, every, every)
    n = len(columns)
    for k, (i, j) in enumerate(pairs(n)):
        np.testing.assert_allclose(found.dense[k], whole[i, j], rtol=1e-12)
    np.testing.assert_allclose(found.mixed, whole[:n, n:], rtol=1e-12)
    for k, (i, j) in enumerate(pairs(len(slabs))):
        np.testing.assert_allclose(found.slabs[k], whole[n + i, n + j], rtol=1e-12)


@pytest.mark.slow
def test_slopes_are_those_of_the_plain_sums(given, rng):
    """By weights, columns and slabs, for slopes of the result that differ everywhere."""
    into = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), plain(*given))

    def total(function):
        return lambda *args: sum(
            (a * b).sum()
            for a, b in zip(jax.tree.leaves(function(*args)), jax.tree.leaves(into), strict=True)
        )

    found, expected = (jax.grad(total(f), argnums=(0, 1, 2))(*given) for f in (gram, plain))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
