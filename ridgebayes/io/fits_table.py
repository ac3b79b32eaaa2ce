"""A table extension of a FITS file as an astropy table, with all that is missing masked.

astropy compares the null of an integer column (TNULL) with the numbers after TSCAL and TZERO, takes the null
of a logical column for False, and an empty field of an ASCII table for 0. Here the bytes of the file decide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from numpy.typing import NDArray

from ridgebayes.errors import InputError

_TRUE, _FALSE = ord("T"), ord("F")


def fits_table(hdu: fits.BinTableHDU | fits.TableHDU) -> Table:
    """Read a table extension; to be used inside `ridgebayes.io.bounded.one_line`.

    Null (TNULL, as it is stored), the smallest number of a signed integer, logical values that are neither T
    nor F, and empty fields of ASCII tables are masked. Arrays of variable length that are all equally long
    become a column of vectors.

    Raises
    ------
    InputError
        A column of arrays of different lengths.
    """
    nulls = {name: _null(hdu, name) for name in hdu.columns.names}
    binary = isinstance(hdu, fits.BinTableHDU)
    raw = hdu.data.view(np.ndarray)
    masks = {
        name: (_stored if binary else _printed)(hdu, raw, name, nulls[name]) for name in hdu.columns.names
    }
    stacked = {
        name: _stacked(hdu, name, nulls[name]) for name in hdu.columns.names if binary and _varies(hdu, name)
    }
    for column in hdu.columns:
        mask = masks[column.name]
        if not binary and mask is not None:
            raw[column.name][mask] = b"0"
        column.null = None  # astropy fails on the null of unsigned integers, and masks what it should not
    table = Table.read(hdu)
    for name in table.colnames:
        old, mask = table[name], masks.get(name)
        if name in stacked:
            table[name] = MaskedColumn(stacked[name], unit=old.unit, mask=mask)
        elif mask is not None and isinstance(old, Column):
            # NaN and empty text are masked already.
            own = np.ma.getmaskarray(old) if np.ma.isMaskedArray(old) else False
            shaped = np.broadcast_to(mask, old.shape) if mask.ndim <= old.ndim else mask.reshape(old.shape)
            if shaped.any():
                table[name] = MaskedColumn(old.data, unit=old.unit, mask=shaped | own)
    return table


def stored_nulls(hdu: fits.BinTableHDU, name: str) -> NDArray[np.bool_] | None:
    """Where a column of a binary table is null (see `fits_table`); None where it cannot be."""
    return _stored(hdu, hdu.data.view(np.ndarray), name, _null(hdu, name))


def _null(hdu: Any, name: str) -> Any:
    """TNULL of a column; also of a column of floats, where FITS does not know it and some write it."""
    number = hdu.columns.names.index(name) + 1
    null = hdu.columns[name].null
    return hdu.header.get(f"TNULL{number}") if null is None else null


def _varies(hdu: Any, name: str) -> bool:
    return hdu.columns[name].format.lstrip("0123456789")[:1] in ("P", "Q")


def _stored(hdu: Any, raw: NDArray[Any], name: str, null: Any) -> NDArray[np.bool_] | None:
    """Mask of a column of a binary table, from its bytes; None where nothing can be missing."""
    column = hdu.columns[name]
    if _varies(hdu, name):
        return _missing_in(np.asarray(_stacked(hdu, name, null), np.float64), column, null)
    values = raw[name]
    code = column.format.lstrip("0123456789")[:1]
    if code == "L":
        return np.asarray((values != _TRUE) & (values != _FALSE))
    if code not in ("B", "I", "J", "K", "E", "D"):
        return None
    mask = np.zeros(values.shape, dtype=np.bool_)
    if isinstance(null, int | float) and not isinstance(null, bool):
        mask |= values == null
    # With a TZERO of half the range the smallest number is the 0 of unsigned integers.
    if code in ("I", "J", "K") and not column.bzero:
        mask |= values == np.iinfo(values.dtype).min
    return mask


def _missing_in(values: NDArray[np.float64], column: Any, null: Any) -> NDArray[np.bool_]:
    """Mask of numbers to which TSCAL and TZERO have been applied."""
    if null is None:
        return np.zeros(values.shape, dtype=np.bool_)
    scale, zero = (1 if column.bscale in (None, "") else column.bscale), column.bzero or 0
    return np.isclose(values, null * scale + zero, rtol=1e-12, atol=0)


def _stacked(hdu: Any, name: str, null: Any) -> NDArray[Any]:
    """Arrays of variable length as one array (N, K)."""
    rows = hdu.data.field(name)
    lengths = {np.size(row) for row in rows}
    if len(lengths) != 1:
        raise InputError(
            f"column {name} of {hdu.name or 'the table'} holds arrays of variable length, "
            f"{min(lengths, default=0)} to {max(lengths, default=0)} elements a row: "
            "write it with the same number in every row"
        )
    return np.array([np.asarray(row) for row in rows])


def _printed(hdu: Any, raw: NDArray[Any], name: str, null: Any) -> NDArray[np.bool_] | None:
    """Mask of a column of an ASCII table: fields that are empty, or the null."""
    if hdu.columns[name].format.lstrip().startswith("A"):
        return None
    text = np.char.strip(
        np.char.decode(raw[name], "ascii", "replace") if raw[name].dtype.kind == "S" else raw[name]
    )
    mask = text == ""
    return mask if null is None else mask | (text == str(null).strip())
