"""Parquet files as tables, including types that astropy does not read."""

from __future__ import annotations

from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.io import bounded
from ridgebayes.table.missing import split


def parquet_table(path: Path) -> Table:
    """Read a Parquet file, including missing strings and categories, which astropy does not read."""
    need_pyarrow(path)
    import pyarrow as pa
    from pyarrow import parquet

    about = parquet.read_metadata(path)
    # Repeated values take no space in a file, so its size does not limit the number of rows.
    if about.num_rows * about.num_columns * 8 > bounded.UNPACKED_LIMIT:
        raise InputError(
            f"{path}: holds more than {bounded.UNPACKED_LIMIT / 2**30:g} GiB when unpacked: split it"
        )
    arrow = parquet.read_table(path)
    unread = [f.name for f in arrow.schema if _unread(f.type, arrow[f.name].null_count, pa)]
    table = Table.read(path, format="parquet", exclude_names=unread)
    for name in (f.name for f in arrow.schema if f.name in unread or arrow[f.name].null_count):
        if name in table.colnames and not isinstance(table[name], Column):
            continue  # part of a Time or Quantity, which use NaN for missing values
        unit = getattr(table[name], "unit", None) if name in table.colnames else None
        column = arrow[name]
        if pa.types.is_dictionary(column.type) or pa.types.is_null(column.type):
            column = column.cast(pa.string())
        values, missing = split(_elements(path, name, column.to_pylist()))
        table[name] = MaskedColumn(values, mask=missing, unit=unit)
    return table


def _elements(path: Path, name: str, rows: list[Any]) -> NDArray[np.object_]:
    """Return the cells of a column of lists, numbers or text, None where missing."""
    lengths = {len(row) for row in rows if isinstance(row, list)}
    if len(lengths) > 1:
        raise InputError(
            f"{path}: column {name} holds lists of variable length, {min(lengths)} to {max(lengths)} "
            "elements a row: write it with the same number in every row"
        )
    shape = (len(rows), *lengths)
    cells = np.full(shape, None, dtype=object)
    for k, row in enumerate(rows):
        if row is not None:
            cells[k] = float(row) if isinstance(row, Decimal) else row
    return cells


def _unread(kind: Any, nulls: int, pa: Any) -> bool:
    """Return True if astropy cannot read a column of this Arrow type."""
    tests = [pa.types.is_null, pa.types.is_dictionary, pa.types.is_nested, pa.types.is_decimal]
    if nulls:
        tests += [pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary]
        tests += [getattr(pa.types, f"is_{name}_view", _never) for name in ("string", "binary")]
    return any(test(kind) for test in tests)


def _never(kind: Any) -> bool:
    return False


def need_pyarrow(path: Path) -> None:
    """Raise, with instructions for installation, if pyarrow is missing."""
    if find_spec("pyarrow") is None:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install 'ridgebayes[parquet]'")
