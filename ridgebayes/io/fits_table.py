"""A table extension of a FITS file as an astropy table, with all that is missing masked.

astropy compares the null of an integer column (TNULL) with the numbers after TSCAL and TZERO, takes the null
of a logical column for False, and an empty field of an ASCII table for 0. Here the bytes of the file decide.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.errors import InputError

_TYPES = {"L": "i1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_TRUE, _FALSE = ord("T"), ord("F")
_J2000 = 2451545.0  # a day that every scale knows, below a mask


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
    raw = hdu.data.view(np.ndarray)
    masks, stacked = {}, {}
    for name, null in nulls.items():
        if isinstance(hdu, fits.TableHDU):
            mask = masks[name] = _printed(hdu, raw, name, null)
            if mask is not None:
                raw[name][mask] = b"0"
        elif _varies(hdu, name):
            stacked[name], masks[name] = _stacked(hdu, raw, name, null)
        else:
            masks[name] = _stored(hdu, raw[name], name, null)
    for column in hdu.columns:
        column.null = None  # astropy fails on the null of unsigned integers, and masks what it should not
        if isinstance(column.bzero, float) and column.bzero.is_integer():
            column.bzero = int(column.bzero)  # it fails on unsigned integers of TZERO 32768.0, too
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
        if (times := _times(hdu, table, name)) is not None:
            table[name] = times
    return table


def _times(hdu: Any, table: Table, name: str) -> Time | None:
    """Return a Time column as astropy writes it: Julian dates in two parts of the scale TCTYP; NaN masked."""
    scale = str(hdu.header.get(f"TCTYP{hdu.columns.names.index(name) + 1}", "")).strip().lower()
    if scale not in Time.SCALES or table[name].shape != (len(table), 2) or table[name].dtype.kind != "f":
        return None
    parts = np.ma.filled(table[name], np.nan)
    gone = np.asarray(~np.isfinite(parts).all(axis=1))
    times = Time(*np.where(gone[:, None], (_J2000, 0.0), parts).T, format="jd", scale=scale)
    if gone.any():
        times[gone] = np.ma.masked
    return times


def stored_nulls(hdu: fits.BinTableHDU, name: str) -> NDArray[np.bool_] | None:
    """Where a column of a binary table is null (see `fits_table`); None where it cannot be."""
    return (
        None if _varies(hdu, name) else _stored(hdu, hdu.data.view(np.ndarray)[name], name, _null(hdu, name))
    )


def _null(hdu: Any, name: str) -> Any:
    """TNULL of a column; also of a column of floats, where FITS does not know it and some write it."""
    number = hdu.columns.names.index(name) + 1
    null = hdu.columns[name].null
    return hdu.header.get(f"TNULL{number}") if null is None else null


def _varies(hdu: Any, name: str) -> bool:
    return hdu.columns[name].format.lstrip("0123456789")[:1] in ("P", "Q")


def _stored(hdu: Any, values: NDArray[Any], name: str, null: Any) -> NDArray[np.bool_] | None:
    """Mask of numbers as they are stored in a binary table; None where nothing can be missing."""
    column = hdu.columns[name]
    code = _code(hdu, name)
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


def _code(hdu: Any, name: str) -> str:
    """Letter of the type of a column, or of the elements of its arrays."""
    letters = hdu.columns[name].format.lstrip("0123456789")
    return letters[1:2] if letters[:1] in ("P", "Q") else letters[:1]


def _stacked(
    hdu: Any, raw: NDArray[Any], name: str, null: Any
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Arrays of variable length as one array (N, K), and its mask.

    From the bytes: astropy 8.0 scales some rows of them, and not others.
    """
    code = _code(hdu, name)
    if code not in _TYPES:
        raise InputError(f"column {name} holds arrays of variable length of type {code}: write numbers")
    lengths = np.unique(raw[name][:, 0])
    if lengths.size > 1:
        raise InputError(
            f"column {name} of {hdu.name or 'the table'} holds arrays of variable length, "
            f"{lengths[0]} to {lengths[-1]} elements a row: "
            "write it with the same number in every row"
        )
    heap = np.ascontiguousarray(hdu.data._get_heap_data()).view(np.uint8)
    dtype, count = np.dtype(_TYPES[code]), int(lengths.max(initial=0))
    size = dtype.itemsize * count
    if (raw[name][:, 1] < 0).any() or (raw[name][:, 1] + size > heap.size).any():
        raise InputError(f"column {name} points behind the end of the file: write the file again")
    cells = [heap[start : start + size].tobytes() for start in raw[name][:, 1].tolist()]
    values = np.frombuffer(b"".join(cells), dtype=dtype).reshape(len(cells), count)
    mask = _stored(hdu, values, name, null)
    column = hdu.columns[name]
    if code == "L":
        return values == _TRUE, mask
    if column.bscale in (None, "", 1) and not column.bzero:
        return values, mask
    return values * (column.bscale or 1) + (column.bzero or 0), mask


def _printed(hdu: Any, raw: NDArray[Any], name: str, null: Any) -> NDArray[np.bool_] | None:
    """Mask of a column of an ASCII table: fields that are empty, or the null."""
    if hdu.columns[name].format.lstrip().startswith("A"):
        return None
    text = np.char.strip(
        np.char.decode(raw[name], "ascii", "replace") if raw[name].dtype.kind == "S" else raw[name]
    )
    mask = text == ""
    return mask if null is None else mask | (text == str(null).strip())
