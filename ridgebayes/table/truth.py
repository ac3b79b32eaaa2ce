"""The TRUTH of a simulated table: JSON in the file or beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from ridgebayes.errors import InputError
from ridgebayes.table.scw import ScWTable


def truth_file(path: Path) -> Path:
    """Where the TRUTH of a table without room for it is."""
    return path.with_suffix(".truth.json")


def joined(hdu: fits.BinTableHDU) -> str:
    """Put the pieces of a TRUTH together."""
    # FITS drops the blanks at the end of a piece; all but the last piece were full.
    return "".join(np.char.ljust(np.array(hdu.data.field(0)), hdu.columns[0].dtype.itemsize).tolist())


def parse_truth(path: Path, text: str | None) -> dict[str, Any] | None:
    """Read the TRUTH of a simulated table."""
    if text is None:
        return None
    try:
        truth = json.loads(text)
    except ValueError as error:
        raise InputError(
            f"{path}: TRUTH is not JSON ({error}): remove it or write the table again"
        ) from error
    if not isinstance(truth, dict):
        raise InputError(f"{path}: TRUTH is not a JSON object: remove it or write the table again")
    return truth


def side_truth(path: Path) -> str | None:
    """Return the TRUTH of the side file of a table, if there is one."""
    return truth_file(path).read_text(encoding="utf-8") if truth_file(path).exists() else None


def truth_text(scws: ScWTable, path: Path) -> str | None:
    """Write the TRUTH of a table as JSON."""
    if scws.truth is None:
        return None
    try:
        return json.dumps(scws.truth, allow_nan=False, default=lambda array: array.tolist())
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: truth cannot be JSON ({error}): use finite numbers, text, lists"
        ) from error
