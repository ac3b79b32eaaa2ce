"""A mission of ragged revolutions for terms of every kind, and how two forms of a density are compared."""

import jax
import jax.numpy as jnp
import numpy as np

from ridgebayes.blocks import layout
from ridgebayes.native import call
from ridgebayes.terms import Term


def mission(rng, bands=1, width=16, coef_sd=(2.0, 0.7, 0.4), counts=(1, 5, 16, 17, 130), unseen=1):
    """Arguments of `TermsNormal`, rates and layout; some cells are empty, and `unseen` revolutions."""
    where = layout(np.repeat(np.arange(len(counts)), counts), width=width)
    revolutions, cells, n = len(counts) + unseen, where.mask.shape, sum(counts)
    column = lambda: jnp.asarray(where.pack(rng.uniform(0, 1, n)))  # noqa: E731
    slow = lambda: jnp.asarray(rng.uniform(0.5, 1.5, (bands, revolutions)))  # noqa: E731
    columns = jnp.asarray(rng.uniform(0, 1, (4, *cells)) * where.mask)
    place = jnp.asarray(rng.integers(0, 6, (4, cells[0])))
    mean = [
        Term(slow()),
        Term(slow(), column()),
        Term(slow(), columns, jnp.asarray(rng.normal(size=(bands, 6))), place),
    ]
    mean.append(Term(-0.1 * slow(), columns[:2], jnp.asarray(rng.normal(size=(bands, 3))), place[:2] % 3))
    scatter = [Term(slow()), Term(0.3 * slow(), column())]
    counting = jnp.asarray(where.pack(rng.uniform(0.3, 2, (bands, n)), 1.0))
    phase = rng.uniform(-1, 1, n)
    basis = jnp.asarray([where.pack(phase**j) for j in range(len(coef_sd))])
    sd = jnp.asarray(coef_sd)[:, None] * rng.uniform(0.8, 1.2, (bands, len(coef_sd), revolutions))
    given = (mean, counting, scatter, sd, basis, jnp.asarray(where.block_revolution), jnp.asarray(where.mask))
    return given, jnp.asarray(where.pack(rng.normal(2.0, 2.0, (bands, n)))), where


def both(function):
    """Result of a function with machine code and in the plain form."""
    found = jax.jit(function)()
    with call.plainly():
        # A function of its own, as what is compiled is known by it.
        return found, jax.jit(lambda: function())()


def agree(found, plain, rtol=1e-12):
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol * np.abs(y).max())


def free(given):
    """What may be differentiated by."""
    mean, _, scatter, sd, *_ = given
    return [(t.coefficient, t.table) for t in mean], [t.coefficient for t in scatter], sd


def with_free(given, x):
    """Put parameters in their places."""
    mean = [t._replace(coefficient=c, table=table) for t, (c, table) in zip(given[0], x[0], strict=True)]
    scatter = [t._replace(coefficient=c) for t, c in zip(given[2], x[1], strict=True)]
    return (mean, given[1], scatter, x[2], *given[4:])
