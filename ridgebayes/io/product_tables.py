"""Tables of results as ECSV and FITS, which plain astropy can read, and reading with all units.

astropy does not know mCrab and warns of unknown units. So a column in mCrab has no unit in the file. Its unit
is in the description and meta of the column, and `read_table` restores it.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

from ridgebayes.errors import InputError
from ridgebayes.io.atomic import whole_file
from ridgebayes.io.bounded import one_line, open_fits, text_of
from ridgebayes.io.fits_table import fits_table
from ridgebayes.units import MCRAB

UNIT = "unit"
"""Key in the meta of a column (ECSV) for a unit that astropy does not know."""

_MEANING = "mCrab: thousandth of the Crab's detector rate in the same band"
_IN_COMMENT = re.compile(r"\[([^\[\]]*mCrab[^\[\]]*)\]")


def write_ecsv(table: Table, path: str | PathLike[str]) -> None:
    """Write a table of results as ECSV, atomically.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    with whole_file(Path(path)) as scratch:
        readable_by_all(table).write(scratch, format="ascii.ecsv")


def readable_by_all(table: Table) -> Table:
    """Return a copy with the units of columns in mCrab moved to their description and meta."""
    plain = table.copy(copy_data=False)
    for name in table.colnames:
        unit = getattr(table[name], "unit", None)
        if not in_mcrab(unit):
            continue
        described = f"[{unit}] {table[name].info.description or _MEANING}"
        kind = MaskedColumn if isinstance(table[name], Masked | MaskedColumn) else Column
        column = kind(_values(table[name]), description=described, meta={UNIT: str(unit)})
        plain.replace_column(name, column)
    return plain


def in_mcrab(unit: Any) -> bool:
    """Return True for a unit with mCrab, which other programs cannot read."""
    return unit is not None and MCRAB in getattr(unit, "bases", ())


def _values(column: Any) -> Any:
    values = getattr(column, "value", column)
    if isinstance(values, Masked):
        return np.ma.MaskedArray(values.unmasked, values.mask)
    return np.asanyarray(values)


def read_table(path: str | PathLike[str], *, extension: str | None = None) -> QTable:
    """Read a table of results of any version, with the units of all columns.

    Parameters
    ----------
    path
        ECSV or FITS file.
    extension
        FITS: name of the table; by default the first one.

    Returns
    -------
    astropy.table.QTable
        Columns with a unit, including mCrab, are quantities.

    Raises
    ------
    InputError
        If there is no such file or table, or it cannot be read.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> rb.read_table("runs/first/intensity.ecsv")["mean"].unit
    Unit("mCrab / deg2")
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: no such file: check the name")
    with one_line(path, "a table of results in ECSV or FITS"):
        with path.open("rb") as stream:
            head = stream.read(9)
        if head == b"SIMPLE  =" or head.startswith(b"\x1f\x8b"):
            return _from_fits(path, extension)
        table = QTable.read(text_of(path), encoding="utf-8", format="ascii.ecsv")
        for name in table.colnames:
            if stated := table[name].info.meta and table[name].info.meta.get(UNIT):
                table[name] = _with_unit(table[name], str(stated))
        return table


def _from_fits(path: Path, extension: str | None) -> QTable:
    with open_fits(path) as hdus:
        tables = {hdu.name.upper(): hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)}
        wanted = (extension or next(iter(tables), "")).upper()
        if wanted not in tables:
            known = ", ".join(tables) or "none"
            raise InputError(f"{path}: no table '{wanted}' (there: {known}): name another extension")
        hdu = tables[wanted]
        comments = [hdu.header.comments[f"TTYPE{k + 1}"] for k in range(len(hdu.columns))]
        units = [column.unit for column in hdu.columns]  # before reading, because astropy drops unknown units
        table = QTable(fits_table(hdu))
        for name, comment, unit in zip(table.colnames, comments, units, strict=True):
            said = _IN_COMMENT.search(comment)
            stated = unit if unit and "mCrab" in unit else said and said[1]
            if stated:
                table[name] = _with_unit(table[name], stated)
        return table


def _with_unit(column: Any, stated: str) -> u.Quantity:
    values = np.ma.MaskedArray(_values(column))
    plain = Masked(values.data, values.mask) if np.ma.is_masked(values) else values.data
    found = plain * u.Unit(stated)
    described = str(column.info.description or "").removeprefix(f"[{stated}] ")
    found.info.description = None if described in ("", _MEANING) else described
    return found
