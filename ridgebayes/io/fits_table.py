"""A table extension of a FITS file as an astropy table, with all missing values masked.

astropy compares the null of an integer column (TNULL) with the numbers after TSCAL and TZERO, reads the null
of a logical column as False, and an empty field of an ASCII table as 0. This module uses the stored bytes.
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
_J2000 = 2451545.0  # placeholder under a mask; valid in all time scales


def fits_table(hdu: fits.BinTableHDU | fits.TableHDU) -> Table:
    """Read a table extension; to be used inside `ridgebayes.io.bounded.one_line`.

    Masked are nulls (TNULL, compared with stored values), the smallest number of signed integers, logical
    values other than T and F, and empty fields of ASCII tables. Arrays of variable length that all have the
    same length become a column of vectors.

    Raises
    ------
    InputError
        If arrays of a column have different lengths.
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
        column.null = None  # astropy fails on the null of unsigned integers, and masks wrong elements
        if isinstance(column.bzero, float) and column.bzero.is_integer():
            column.bzero = int(column.bzero)  # it also fails on unsigned integers with TZERO 32768.0
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
    """Return a Time column that astropy wrote: two-part Julian dates in the scale TCTYP; NaN masked."""
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
    """Mask of nulls in a column of a binary table (see `fits_table`); None if it cannot have nulls."""
    return (
        None if _varies(hdu, name) else _stored(hdu, hdu.data.view(np.ndarray)[name], name, _null(hdu, name))
    )


def _null(hdu: Any, name: str) -> Any:
    """TNULL of a column; also of floats, where FITS does not define it but some programs write it."""
    number = hdu.columns.names.index(name) + 1
    null = hdu.columns[name].null
    return hdu.header.get(f"TNULL{number}") if null is None else null


def _varies(hdu: Any, name: str) -> bool:
    return hdu.columns[name].format.lstrip("0123456789")[:1] in ("P", "Q")


def _stored(hdu: Any, values: NDArray[Any], name: str, null: Any) -> NDArray[np.bool_] | None:
    """Mask of stored numbers of a binary table; None if none can be missing."""
    column = hdu.columns[name]
    code = _code(hdu, name)
    if code == "L":
        return np.asarray((values != _TRUE) & (values != _FALSE))
    if code not in ("B", "I", "J", "K", "E", "D"):
        return None
    mask = np.zeros(values.shape, dtype=np.bool_)
    if isinstance(null, int | float) and not isinstance(null, bool):
        mask |= values == null
    # If TZERO is half the range, the smallest number is 0 of unsigned integers.
    if code in ("I", "J", "K") and not column.bzero:
        mask |= values == np.iinfo(values.dtype).min
    return mask


def _code(hdu: Any, name: str) -> str:
    """Type code of a column, or of the elements of its arrays."""
    letters = hdu.columns[name].format.lstrip("0123456789")
    return letters[1:2] if letters[:1] in ("P", "Q") else letters[:1]


def _stacked(
    hdu: Any, raw: NDArray[Any], name: str, null: Any
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return arrays of variable length as one array (N, K), and its mask.

    It reads the bytes, because astropy 8.0 scales only some of the rows.
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
    """Mask of empty and null fields in a column of an ASCII table."""
    if hdu.columns[name].format.lstrip().startswith("A"):
        return None
    text = np.char.strip(
        np.char.decode(raw[name], "ascii", "replace") if raw[name].dtype.kind == "S" else raw[name]
    )
    mask = text == ""
    return mask if null is None else mask | (text == str(null).strip())
