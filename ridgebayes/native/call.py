"""Call the machine code from JAX."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ridgebayes.cores import cores
from ridgebayes.correlated import Sequence
from ridgebayes.native.code import LANES, machine_code
from ridgebayes.native.correlated import CorrelatedDensity
from ridgebayes.native.density import Density, Kind, Shape

logger = logging.getLogger(__name__)

_BLOCKS_A_SHARE, _MOST_SHARES = 2000, 8
"""Fewer blocks are not worth a thread; more threads than these wait for the memory."""
_LOCK = Lock()
_KNOWN: set[str] = set()
"""Names of code that XLA knows: none may be told twice."""
_PLAINLY: ContextVar[bool] = ContextVar("plainly", default=False)


class Term(NamedTuple):
    """What is free of a `ridgebayes.terms.Term`: coefficient (band, revolution) and table (band, place)."""

    coefficient: Array
    table: Array | None


class Free(NamedTuple):
    """What the log density is differentiated by.

    Attributes
    ----------
    mean, scatter
        Terms of the rates, and of the scatter beyond counting.
    coef_sd
        Prior standard deviation of the coefficients of revolutions, (band, J, revolution).
    process
        Of noise that ScWs of a revolution share, sd (band, revolution), cts/s, and memory (band,), d.
    """

    mean: tuple[Term, ...]
    scatter: tuple[Term, ...]
    coef_sd: Array
    process: tuple[Array, Array] | None = None


class Columns(NamedTuple):
    """What is fixed of a term: columns (column, block, width) or (block, width), place (column, block)."""

    column: Array | None
    place: Array | None


class Given(NamedTuple):
    """What is fixed.

    Attributes
    ----------
    rate, counting
        Observed rates, cts/s, and their counting variance, (band, block, width).
    basis
        (J, block, width).
    filled, block_revolution
        As in `ridgebayes.revolution.RevolutionNormal`.
    mean, scatter
        Columns of the terms.
    sequence
        Order of the ScWs in time, where noise is shared.
    """

    rate: Array
    counting: Array
    basis: Array
    filled: Array
    block_revolution: Array
    mean: tuple[Columns, ...]
    scatter: tuple[Columns, ...]
    sequence: Sequence | None = None


@contextmanager
def plainly() -> Iterator[None]:
    """Within it, what is traced has the density in its plain form."""
    before = _PLAINLY.set(True)
    try:
        yield
    finally:
        _PLAINLY.reset(before)


def usable(width: int, dtype: Any) -> bool:
    """Tell whether the code is for blocks so wide, numbers of this type, and the default device."""
    here = jax.default_backend() == "cpu" and not _PLAINLY.get()
    return here and dtype == jnp.float64 and width % LANES == 0 and _taken()


def value(free: Free, given: Given) -> Array:
    """Log density of the rates of each band, (band,)."""
    return _value(_call(free, given, slopes=False), given)


def value_and_slopes(free: Free, given: Given) -> tuple[Array, Free]:
    """Log density of the rates of each band, (band,), and its derivatives by what is free."""
    found = _call(free, given, slopes=True)
    terms, process = found["terms"], None
    if free.process is not None and given.sequence is not None:
        gap = given.sequence.gap_before
        by_memory = (
            found["decay"] * _decay(free.process, given.sequence) * jnp.where(jnp.isinf(gap), 0.0, gap)
        )
        process = found["process_sd"], by_memory.sum(1) / free.process[1] ** 2
    # Each share has slopes by a table of its own.
    terms = [x.sum(0) if x.ndim == 3 else x for x in terms]
    slopes = jax.tree.unflatten(jax.tree.structure(free[:2]), terms)
    return _value(found, given), Free(slopes[0], slopes[1], found["coef_sd"], process)


def _value(found: dict[str, Any], given: Given) -> Array:
    log_det = jnp.log(found["mantissa"]) + found["exponent"] * jnp.log(2.0)
    normalisation = 0.5 * jnp.log(2.0 * jnp.pi) * given.filled.sum()
    return (found["squares"] + jnp.log(found["determinant"]) - 0.5 * log_det).sum(1) - normalisation


def _decay(process: tuple[Array, Array], sequence: Sequence) -> Array:
    """Correlation of the shared noise of each ScW with that of the ScW before, (band, scw)."""
    return jnp.exp(-sequence.gap_before / process[1][:, None])


def _call(free: Free, given: Given, *, slopes: bool) -> dict[str, Any]:
    """Call the code of these shapes: results by name."""
    _, blocks, width = given.rate.shape
    mean = tuple(map(_kind, free.mean, given.mean))
    scatter = tuple(map(_kind, free.scatter, given.scatter))
    shares = max(1, min(_threads(), blocks // _BLOCKS_A_SHARE))
    shape = Shape(width, free.coef_sd.shape[1], mean, scatter, free.process is not None, slopes, shares)
    shapes = _results(free, given, shape)
    is_shape = lambda x: isinstance(x, tuple)  # noqa: E731
    f64 = lambda axes: jax.ShapeDtypeStruct(axes, jnp.float64)  # noqa: E731
    results, tree = jax.tree.flatten(jax.tree.map(f64, list(shapes.values()), is_leaf=is_shape))
    found = jax.ffi.ffi_call(_target(shape), results, vmap_method="sequential")(*_operands(free, given))
    return dict(zip(shapes, jax.tree.unflatten(tree, found), strict=True))


def _operands(free: Free, given: Given) -> list[Array]:
    """Operands in the order in which `Density` has them."""
    sizes = [*given.rate.shape[:2], free.coef_sd.shape[2]]
    shared = [given.block_revolution, given.filled, given.rate, given.counting, given.basis, free.coef_sd]
    for term, fixed in zip((*free.mean, *free.scatter), (*given.mean, *given.scatter), strict=True):
        shared += [x for x in (term.coefficient, fixed.column, term.table, fixed.place) if x is not None]
    if free.process is not None and given.sequence is not None:
        order = given.sequence
        sizes.append(order.cell.shape[0])
        shared += [free.process[0], _decay(free.process, order), order.start, order.cell]
    return [jnp.array(sizes), *shared]


def _results(free: Free, given: Given, shape: Shape) -> dict[str, Any]:
    """Shapes of the results in the order in which `Density` has them."""
    bands, blocks, width = given.rate.shape
    revolutions = free.coef_sd.shape[2]
    results: dict[str, Any] = dict.fromkeys(
        ("squares", "determinant", "mantissa", "exponent"), (bands, revolutions)
    )
    if shape.slopes:
        results["coef_sd"] = free.coef_sd.shape
    if shape.slopes or shape.correlated:
        results["room"] = (3 if shape.correlated else 2, blocks, width)
    if shape.slopes:
        results["terms"] = []
        for term in (*free.mean, *free.scatter):
            table = [] if term.table is None else [(shape.shares, *term.table.shape)]
            results["terms"] += [term.coefficient.shape, *table]
    if given.sequence is not None:
        scws = given.sequence.cell.shape[0]
        results["path"] = (scws, shape.basis + 2)
        if shape.slopes:
            results |= {"process_sd": (bands, revolutions), "decay": (bands, scws)}
    return results


def _threads() -> int:
    """Threads that one call may have: one on a system without `sched_yield`."""
    return min(cores(), _MOST_SHARES) if os.name == "posix" else 1


def _kind(term: Term, fixed: Columns) -> Kind:
    if fixed.column is None:
        return Kind(0, 0)
    return Kind(1, 0) if term.table is None else Kind(fixed.column.shape[0], term.table.shape[1])


@lru_cache
def _taken() -> bool:
    """Tell whether XLA takes code of our own: its interface may change one day."""
    try:
        _target(Shape(LANES, 1, (Kind(0, 0),), (Kind(0, 0),), correlated=False, slopes=False))
    except Exception as error:  # whatever it is, the plain form does
        logger.warning(
            "no machine code of our own with this version of JAX, so a fit takes longer: %s", error
        )
        return False
    return True


@lru_cache
def _target(shape: Shape) -> str:
    """Make machine code for a shape, known to XLA by a name that tells it from any other code."""
    writer = CorrelatedDensity if shape.correlated else Density
    text = writer(shape, "density").text()
    name = "ridgebayes_density_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    with _LOCK:
        if name not in _KNOWN:
            code = jax.ffi.pycapsule(machine_code(text, "density"))
            jax.ffi.register_ffi_target(name, code, platform="cpu")
            _KNOWN.add(name)
    return name
