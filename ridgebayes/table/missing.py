"""Missing values: this module decides which cells of a table have no value.

A cell is missing if its format marks it (masks of astropy, nulls of FITS, Parquet and VOTable, NaN, NaT,
None, empty text), if it is a text in `WORDS`, or if it is a placeholder number (`no_value`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.utils.masked import Masked
from numpy.typing import NDArray

from ridgebayes.typing import Bools

WORDS = (
    "",
    "-",
    "--",
    "---",
    "...",
    "?",
    "n/a",
    "#n/a",
    "na",
    "<na>",
    "nan",
    "nat",
    "nil",
    "none",
    "null",
    "missing",
    "indef",
)
"""Texts, in lower case, that mean a missing value where a number is expected."""

HUGE = 1e18
"""Larger than any quantity of a table in any common unit: 1e20, 1e30 and 2⁶³ are placeholders."""

TINY = 1e-30
"""Smaller than any nonzero rate: 1.2e-38 and 2.2e-308, the smallest normal floats, are placeholders."""

_NINES = [
    (10**k - 1) / 10**j for k in range(2, 10) for j in (0, 1, 2) if k > j + 1
]  # 99, 99.9, 999, 999.99, …
_NEGATIVE = np.array(
    [*(-n for n in _NINES), -8888.0, -7777.0, -32767.0, -32768.0, -(2.0**31) + 1, -(2.0**31)]
)
_POSITIVE = np.array([*(n for n in _NINES if n >= 999), 32767.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1])
_CLOSE = 1e-6  # relative tolerance for numbers that were float32 before


def split(column: Any) -> tuple[NDArray[Any], Bools]:
    """Return the values of a column, and True where they are missing.

    Parameters
    ----------
    column
        Array, masked array, astropy column, Quantity (masked or not), pandas column, or list; any shape.
        Objects become numbers, booleans or text if all of them have this type.

    Returns
    -------
    values, missing
        Arrays of the same shape. Values under a mask are arbitrary. NaN and NaT are missing; empty text is
        not.
    """
    if hasattr(column, "to_numpy"):  # pandas types that NumPy does not know
        column = column.to_numpy()
    if isinstance(column, Masked):
        values, mask = np.asarray(column.unmasked), np.asarray(column.mask)
    else:
        values, mask = np.asarray(np.ma.getdata(column)), np.ma.getmaskarray(column)
    if mask.dtype.names:  # structured column: missing if any field is
        mask = np.any([mask[name] for name in mask.dtype.names], axis=0)
    missing = np.array(np.broadcast_to(mask, values.shape), dtype=np.bool_)
    if values.dtype.kind == "O":
        return _objects(values, missing)
    if values.dtype.kind in "fc":
        missing |= np.isnan(values)
    elif values.dtype.kind in "mM":
        missing |= np.isnat(values)
    return values, missing


def _objects(values: NDArray[Any], missing: Bools) -> tuple[NDArray[Any], Bools]:
    """Convert an array of Python objects to numbers, booleans or text."""
    flat = values.ravel()
    nothing = [v is None or v is np.ma.masked or type(v).__name__ in ("NAType", "NaTType") for v in flat]
    nothing = [
        n or (isinstance(v, float | np.floating) and bool(np.isnan(v)))
        for n, v in zip(nothing, flat, strict=True)
    ]
    missing = missing | np.reshape(np.array(nothing, dtype=np.bool_), values.shape)
    there = [v for v, gone in zip(flat, missing.ravel(), strict=True) if not gone]
    filler: Any = ""
    if there and all(isinstance(v, bool | np.bool_) for v in there):
        filler = False
    elif there and all(isinstance(v, int | float | np.integer | np.floating) for v in there):
        filler = np.nan if any(isinstance(v, float | np.floating) for v in there) else 0
    filled = [filler if gone else v for v, gone in zip(flat, missing.ravel(), strict=True)]
    if filler == "":
        filled = [v.decode("ascii", "replace") if isinstance(v, bytes) else str(v) for v in filled]
    return np.array(filled).reshape(values.shape), missing


def words(text: NDArray[Any]) -> Bools:
    """Return True for texts that mean a missing value (`WORDS`), same shape."""
    if text.dtype.kind == "S":
        text = np.char.decode(text, "ascii", "replace")
    return np.isin(np.char.lower(np.char.strip(text)), WORDS)


def no_value(values: NDArray[np.float64], kind: str = "other") -> Bools:
    """Return True for placeholders of missing numbers, such as −999 or 1e30.

    Parameters
    ----------
    values
        Numbers as stored in the file, before conversion of units; any shape.
    kind
        Kind of quantity, which determines its placeholders. ``other``: absolute values from `HUGE`, and −999,
        −9999, … . ``count``: also −1, −9 and nonzero absolute values below `TINY`. ``rate``: also 999, 9999,
        … and the largest integers. ``longitude``: −1, −9, −99, −999, … if no other value is below 0.
    """
    with np.errstate(invalid="ignore"):
        bad = np.isfinite(values) & (np.abs(values) >= HUGE)
        negative = _near(values, _NEGATIVE)
        if kind in ("count", "rate", "longitude"):
            negative |= (values == -1) | (values == -9)
        if kind in ("count", "rate"):
            bad |= (np.abs(values) < TINY) & (values != 0)
        if kind == "longitude":
            rest = values[np.isfinite(values) & ~negative & ~bad]
            return bad | (negative & bool(rest.size == 0 or rest.min() >= 0))
        bad |= negative
        if kind == "rate":
            bad |= _near(values, _POSITIVE)
    return bad


def _near(values: NDArray[np.float64], marks: NDArray[np.float64]) -> Bools:
    marks = np.sort(marks)
    place = np.searchsorted(marks, values).clip(1, marks.size - 1)
    nearest = np.where(
        np.abs(values - marks[place - 1]) < np.abs(values - marks[place]), marks[place - 1], marks[place]
    )
    return np.asarray(np.abs(values - nearest) <= _CLOSE * np.abs(nearest))
