"""The TRUTH of a simulated table: JSON in the file or in a side file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from ridgebayes.errors import InputError
from ridgebayes.table.scw import ScWTable


def truth_file(path: Path) -> Path:
    """Return the path of the side file with the TRUTH, for formats that cannot store it."""
    return path.with_suffix(".truth.json")


def joined(hdu: fits.BinTableHDU) -> str:
    """Join the pieces of a TRUTH."""
    # FITS strips trailing blanks of a piece; all pieces except the last have full length.
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
    """Return the TRUTH in the side file of a table, or None."""
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
