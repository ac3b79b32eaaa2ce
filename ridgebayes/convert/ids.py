"""SCW_IDs in the forms in which they are met: text, with a version, or integers that lost their zeros."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.table.validation import Columns, check_rows


def scw_ids(columns: Columns, name: str) -> NDArray[np.str_]:
    """Return SCW_IDs of 12 digits.

    Parameters
    ----------
    columns, name
        The column: text of 12 digits, the same with a version (``025500120010.001``), or whole numbers. Of
        numbers, and of text that starts with another digit than 0, up to three leading zeros are restored.

    Raises
    ------
    InputError
        Naming the first row that is none of these.
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
    """Return 12 digits, or "" where the text is no SCW_ID."""
    stem, dot, version = text.partition(".")
    if dot and not (len(version) == 3 and version.isdecimal()):
        return ""
    if not stem.isascii() or not stem.isdecimal() or len(stem) > 12:
        return ""
    # Nine digits at least: the revolution (from 1) and eight more. Text that kept a zero lost none.
    if len(stem) < 12 and (len(stem) < 9 or stem.startswith("0")):
        return ""
    padded = stem.zfill(12)
    return padded if padded[:4] != "0000" else ""
