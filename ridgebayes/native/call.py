"""Call the machine code from JAX."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ridgebayes.native.code import LANES, machine_code
from ridgebayes.native.density import Density, Kind, Shape

logger = logging.getLogger(__name__)

_LOCK = Lock()
_FUNCTIONS: dict[str, Any] = {}
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
    """

    mean: tuple[Term, ...]
    scatter: tuple[Term, ...]
    coef_sd: Array


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
    """

    rate: Array
    counting: Array
    basis: Array
    filled: Array
    block_revolution: Array
    mean: tuple[Columns, ...]
    scatter: tuple[Columns, ...]


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
    terms = jax.tree.unflatten(jax.tree.structure(free[:2]), found[6:])
    return _value(found, given), Free(terms[0], terms[1], found[4])


def _value(found: list[Array], given: Given) -> Array:
    squares, determinant, mantissa, exponent = found[:4]
    log_det = jnp.log(mantissa) + exponent * jnp.log(2.0)
    normalisation = 0.5 * jnp.log(2.0 * jnp.pi) * given.filled.sum()
    return (squares + jnp.log(determinant) - 0.5 * log_det).sum(1) - normalisation


def _call(free: Free, given: Given, *, slopes: bool) -> list[Array]:
    """Call the code of these shapes; operands and results as `ridgebayes.native.density.Density` says."""
    bands, blocks, width = given.rate.shape
    terms, revolutions = free.coef_sd.shape[1:]
    f64 = lambda *axes: jax.ShapeDtypeStruct(axes, jnp.float64)  # noqa: E731
    results = [f64(bands, revolutions)] * 4
    if slopes:
        results += [f64(bands, terms, revolutions), f64(2, blocks, width)]
        results += [f64(*x.shape) for x in jax.tree.leaves(free[:2])]
    operands = [
        jnp.array([bands, blocks, revolutions]),
        given.block_revolution,
        given.filled,
        given.rate,
        given.counting,
        given.basis,
        free.coef_sd,
    ]
    for term, fixed in zip((*free.mean, *free.scatter), (*given.mean, *given.scatter), strict=True):
        operands += [x for x in (term.coefficient, fixed.column, term.table, fixed.place) if x is not None]
    shape = Shape(
        width,
        terms,
        tuple(map(_kind, free.mean, given.mean)),
        tuple(map(_kind, free.scatter, given.scatter)),
        slopes,
    )
    return list(jax.ffi.ffi_call(_target(shape), results, vmap_method="sequential")(*operands))


def _kind(term: Term, fixed: Columns) -> Kind:
    if fixed.column is None:
        return Kind(0, 0)
    return Kind(1, 0) if term.table is None else Kind(fixed.column.shape[0], term.table.shape[1])


@lru_cache
def _taken() -> bool:
    """Tell whether XLA takes code of our own: its interface may change one day."""
    try:
        _target(Shape(LANES, 1, (Kind(0, 0),), (Kind(0, 0),), slopes=False))
    except Exception as error:  # whatever it is, the plain form does
        logger.warning(
            "no machine code of our own with this version of JAX, so a fit takes longer: %s", error
        )
        return False
    return True


@lru_cache
def _target(shape: Shape) -> str:
    """Make machine code for a shape, known to XLA by a name that tells it from any other code."""
    text = Density(shape, "density").text()
    name = "ridgebayes_density_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    with _LOCK:
        if name not in _FUNCTIONS:
            _FUNCTIONS[name] = machine_code(text, "density")
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(_FUNCTIONS[name]), platform="cpu")
    return name
