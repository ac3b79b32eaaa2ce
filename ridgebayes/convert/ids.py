"""Read SCW_IDs: text, text with a version, or integers without their leading zeros."""

from __future__ import annotations

import logging

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from ridgebayes.convert.names import NAMES, normal
from ridgebayes.errors import InputError
from ridgebayes.table.columns import Columns
from ridgebayes.table.validation import check_rows

_log = logging.getLogger(__name__)
KINDS = {"1": "slew", "2": "engineering"}
"""Type of a science window by the last digit of its SCW_ID; 0 is a pointing."""


def pointings_only(source: str, table: Table, id_column: str = "") -> Table:
    """Drop slews and engineering windows, which have no fixed pointing, and log how many.

    Parameters
    ----------
    source
        Name of the table in messages.
    table
        One row per science window. The column SW_TYPE gives the type, or the last digit of the SCW_ID if
        there is no such column.
    id_column
        Column of the SCW_IDs; by default the one with a usual name.

    Raises
    ------
    InputError
        If no pointing is left.
    """
    columns = Columns(source, table)
    kinds = np.full(len(table), "", dtype="U16")
    if "SW_TYPE" in columns:
        kinds = np.char.lower(columns.text("SW_TYPE"))
        kinds = np.where(np.isin(kinds, ("pointing", "")), "", kinds)
    else:
        usual = (name for name in table.colnames if normal(name) in NAMES["scw_id"])
        name = id_column or next(usual, "")
        if name:
            values, missing = columns.get(name)
            if values.dtype.kind in "iu":
                text = values.astype(np.str_)
            elif values.dtype.kind in "SU":
                text = np.char.partition(columns.text(name), ".")[..., 0]
            else:
                text = np.full(values.shape, "")
            long = (np.char.str_len(text) >= 9) & ~missing
            for digit, kind in KINDS.items():
                kinds = np.where(long & np.char.endswith(text, digit), kind, kinds)
    gone = kinds != ""
    if not gone.any():
        return table
    told, counts = np.unique(kinds[gone], return_counts=True)
    what = ", ".join(f"{count} {kind}" for kind, count in zip(told, counts, strict=True))
    if gone.all():
        raise InputError(f"{source}: holds no pointing ({what} windows): give pointings")
    _log.info("%s: left out, as they have no one pointing: %s", source, what)
    return table[~gone]


def scw_ids(columns: Columns, name: str) -> NDArray[np.str_]:
    """Return SCW_IDs of 12 digits.

    Parameters
    ----------
    columns, name
        The column: text of 12 digits, the same with a version (``025500120010.001``), or whole numbers. Up to
        three leading zeros are restored for numbers, and for text that does not start with 0.

    Raises
    ------
    InputError
        If a row is none of these; the message names the first one.
    """
    values, missing = columns.get(name)
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.round(values)) & (np.abs(values) < 1e12)
        text = np.where(
            whole, np.where(whole, values, 0).astype(np.int64).astype(np.str_), values.astype(np.str_)
        )
    elif values.dtype.kind in "iu":
        text = values.astype(np.str_)
    else:
        text = columns.text(name)
    text = np.where(missing, "", text)
    if text.shape != (len(columns.table),):
        raise InputError(f"{columns.source}: column {name} has several elements a row: name another")
    ids = np.array([_padded(value) for value in text.tolist()], dtype=np.str_)
    must = "must be a SCW_ID of 12 digits"
    check_rows(columns.source, text, name, text, ids != "", must, "write it like 025900280010")
    return ids


def _padded(text: str) -> str:
    """Return 12 digits, or "" if the text is not a SCW_ID."""
    stem, dot, version = text.partition(".")
    if dot and not (len(version) == 3 and version.isdecimal()):
        return ""
    if not stem.isascii() or not stem.isdecimal() or len(stem) > 12:
        return ""
    # At least nine digits: the revolution (from 1) and eight more. Text that starts with 0 lost no zeros.
    if len(stem) < 12 and (len(stem) < 9 or stem.startswith("0")):
        return ""
    padded = stem.zfill(12)
    return padded if padded[:4] != "0000" else ""
