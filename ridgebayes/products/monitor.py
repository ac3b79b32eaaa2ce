"""Read a monitor series (such as a neutron monitor) from a text table, to compare with the background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import ascii as text_tables
from astropy.table import Table
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.errors import InputError, nearest
from ridgebayes.table.missing import WORDS, no_value
from ridgebayes.typing import Floats

_DATES = ("date", "datetime", "date_time", "time", "timestamp", "day", "month")
_REMEDY = "give a CSV file with a column date (YYYY-MM-DD), mjd, or year and month, and one of values"


class Monitor(NamedTuple):
    """A series: MJD (ascending, d), values in their own unit, and the name of the column."""

    mjd: Floats
    value: Floats
    name: str


def read_monitor(path: str | Path, column: str | None = None) -> Monitor:
    """Read a monitor series from a table with a line of column names; comments begin with #.

    Fields are separated by commas, semicolons, tabs or blanks. The time is a column date (YYYY-MM-DD, also
    with a time of day, or YYYY-MM), mjd, jd, year and month, or year (with decimals). Rows without a value
    are left out.

    Parameters
    ----------
    path
        The file.
    column
        The column of values; by default the first that is not a time.

    Raises
    ------
    InputError
        If it cannot be read; the message names the row or column, and the remedy.
    """
    path = Path(path)
    table = _cells(path)
    names = {name.strip().casefold(): name for name in table.colnames}
    mjd, used = _times(path, table, names)
    others = [name for name in table.colnames if name not in used]
    if column is None:
        if not others:
            raise InputError(f"{path}: has no column of values: {_REMEDY}")
        column = others[0]
    elif column not in others:
        raise InputError(f"{path}: has no column of values '{column}'{nearest(column, others)}")
    value = _numbers(path, table, column)
    good = np.isfinite(value) & np.isfinite(mjd)
    if good.sum() < 2:
        raise InputError(f"{path}: column {column} has {good.sum()} values: a series needs two or more")
    order = np.argsort(mjd[good], kind="stable")
    return Monitor(mjd[good][order], value[good][order], column)


_FAR = 2.0
"""Codes for missing values are larger than all other values by this factor; no real value is."""


def _cells(path: Path) -> Table:
    """Read the file as a table of strings."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(f"{path}: cannot be read ({reason}): {_REMEDY}") from error
    lines = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) < 2:
        raise InputError(f"{path}: holds no table: {_REMEDY}")
    delimiter = next((mark for mark in (";", ",", "\t") if mark in lines[0]), " ")
    try:
        return text_tables.read(
            lines,
            format="basic",
            delimiter=delimiter,
            guess=False,
            fast_reader=False,
            fill_values=[],
            converters={"*": [text_tables.convert_numpy(str)]},
        )
    except (text_tables.InconsistentTableError, ValueError) as error:
        raise InputError(f"{path}: is no table of equally long rows: {_REMEDY}") from error


def _times(path: Path, table: Table, names: dict[str, str]) -> tuple[Floats, set[str]]:
    """Find the times, MJD, and the columns they are read from."""
    for name, offset in (("mjd", 0.0), ("jd", 2400000.5)):
        if name in names:
            return _numbers(path, table, names[name]) - offset, {names[name]}
    if "year" in names:
        used = {names[name] for name in ("year", "month", "day") if name in names}
        year = _numbers(path, table, names["year"])
        if "month" not in names:
            middle = 0.5 if np.all(year == np.floor(year)) else 0.0
            return _each(path, "year", year, lambda y: Time(y + middle, format="decimalyear").mjd), used
        month = _numbers(path, table, names["month"])
        day = _numbers(path, table, names["day"]) if "day" in names else np.full(month.size, 15.0)
        dates = [f"{y:04.0f}-{m:02.0f}-{d:02.0f}" for y, m, d in zip(year, month, day, strict=True)]
        return _each(path, "year, month", dates, _date), used
    date = next((names[name] for name in _DATES if name in names), None)
    if date is None:
        known = ", ".join(table.colnames[:6])
        raise InputError(f"{path}: no column is a time (it has {known}): {_REMEDY}")
    return _each(path, date, [str(cell).strip() for cell in table[date]], _date), {date}


def _date(text: str) -> float:
    text = text.replace("/", "-").rstrip("Z")
    if text.count("-") == 1:  # the middle of the month
        text += "-15"
    return Time(text, scale="utc").mjd


def _each(path: Path, column: str, cells: object, convert: Callable[..., float]) -> Floats:
    """Convert cells one by one, so that an error can name its row."""
    found = []
    for row, cell in enumerate(cells, start=1):  # type: ignore[arg-type, var-annotated]
        try:
            found.append(float(convert(cell)))
        except ValueError as error:
            raise InputError(f"{path}: row {row}: {column} is '{cell}', not a date: {_REMEDY}") from error
    return np.array(found)


def _numbers(path: Path, table: Table, column: str) -> Floats:
    """Read a column of numbers; NaN where one is missing."""
    found = []
    for row, cell in enumerate(table[column], start=1):
        text = str(cell).strip()
        try:
            found.append(np.nan if text.casefold() in WORDS else float(text))
        except ValueError as error:
            raise InputError(f"{path}: row {row}: {column} is '{text}', not a number: mend it") from error
    values = np.array(found, dtype=np.float64)
    # Codes for missing values: −1 or −9 if no other value is negative; 9999 etc. if no other is as large.
    values = np.where(no_value(values) | no_value(values, "longitude"), np.nan, values)
    large = no_value(values, "rate") & (values > _FAR * np.nanmax(values, initial=0.0, where=~_nines(values)))
    return np.where(large, np.nan, values)


def _nines(values: Floats) -> NDArray[np.bool_]:
    return no_value(values, "rate") & (values > 0)
