"""Columns of a table that was read: access by name, conversion of units, missing values as NaN."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.errors import InputError, nearest
from ridgebayes.table.headertime import TIME_UNITS
from ridgebayes.table.missing import no_value, split, words
from ridgebayes.table.validation import NO_MEASUREMENT, check_rows

_log = logging.getLogger(__name__)
_EQUIVALENCES = [(u.ct / u.s, u.Unit("1/s"))]  # units often omit counts
_ALIASES = {"cts": u.ct, "counts": u.ct, "degrees": u.deg} | TIME_UNITS


class Columns:
    """Columns of a table that was read, by name in upper or lower case, in any unit, with NaN where missing.

    Parameters
    ----------
    source
        Name of the table in messages.
    table
        The table. Columns may carry a unit, a mask, or be astropy Quantity or Time.

    Raises
    ------
    InputError
        Here and in the methods, if a column is missing, repeated, not numeric, or has an unknown or
        incompatible unit.
    """

    ids: NDArray[np.str_] | None = None
    """(N,) SCW_IDs for messages, once they are known."""

    bands: Sequence[str] = ()
    """Names of the K elements of vector columns, once they are known."""

    remedy = "add it or rename one"
    """Remedy for a missing column."""

    def __init__(self, source: str, table: Table) -> None:
        self.source, self.table = source, table
        self.names: dict[str, str] = {}
        for name in table.colnames:
            other = self.names.setdefault(name.strip().upper(), name)
            if other != name:
                raise InputError(f"{source}: columns '{other}' and '{name}' differ only in case: rename one")

    def __contains__(self, name: str) -> bool:
        return name.upper() in self.names

    def get(self, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return values as stored in the file, and True where they are missing (same shape)."""
        return split(self.column(name))

    def floats(self, name: str, unit: u.UnitBase, given: str | None = None) -> NDArray[np.float64]:
        """Values in `unit`, (N,) or (N, K), NaN where missing; `given` replaces the unit of the column.

        Placeholders for missing numbers (`ridgebayes.table.missing.no_value`) raise; in angles and
        dimensionless columns they become NaN.
        """
        column = self.column(name)
        if isinstance(column, Time):
            values, missing = split(column.tt.mjd)
            return np.where(
                missing | split(column)[1] if column.masked else missing, np.nan, values.astype(float)
            )
        values, missing = self.get(name)
        try:
            if values.dtype.kind not in "fiub":
                text = (
                    values.astype(str)
                    if values.dtype.kind != "S"
                    else np.char.decode(values, "ascii", "replace")
                )
                missing = missing | words(text)
                values = np.where(missing, "nan", text)  # text under a mask is arbitrary, mostly empty
            values = values.astype(np.float64)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{self.source}: column {name} is not numeric ({_odd(values) or error}): {_mend(values)}"
            ) from error
        values = np.where(missing, np.nan, values)
        values = self._measured(name, values, given or str(getattr(column, "unit", None) or ""), unit)
        return self._convert(name, values, given or getattr(column, "unit", None), unit)

    def _measured(
        self, name: str, values: NDArray[np.float64], given: str, unit: u.UnitBase
    ) -> NDArray[np.float64]:
        """Handle placeholders for missing numbers."""
        kind = "other"
        if unit.is_equivalent(u.ct) or (given and self.unit(name, given, unit).is_equivalent(u.ct)):
            kind = "count"
        elif unit.is_equivalent(u.ct / u.s):
            kind = "rate"
        elif unit.is_equivalent(u.deg):
            kind = "longitude"
        bad = no_value(values, kind)
        if kind == "longitude" or unit == u.dimensionless_unscaled or values.ndim > 2:
            return np.where(bad, np.nan, values)
        ids = self.ids if self.ids is not None else np.full(len(values), "", dtype=np.str_)
        bands = self.bands if values.shape[1:] == (len(self.bands),) else ()
        remedy = "drop these ScWs or mend the column"
        check_rows(self.source, ids, name, values, ~bad, NO_MEASUREMENT, remedy, bands)
        return values

    def scalars(self, name: str, unit: u.UnitBase, given: str | None = None) -> NDArray[np.float64]:
        """Like `floats`, but with one value per row, (N,)."""
        values = self.floats(name, unit, given)
        if values.size != len(self.table):
            raise InputError(f"{self.source}: column {name} has {values[0].size} elements a row: give one")
        return values.reshape(-1)

    def optional(self, name: str, unit: u.UnitBase) -> NDArray[np.float64] | None:
        """Like `scalars`; None if the column is missing, or empty, which is logged."""
        values = self.scalars(name, unit) if name in self else None
        if values is not None and np.isnan(values).all():
            _log.info("%s: column %s has no value: left out", self.source, name)
            return None
        return values

    def flags(self, name: str) -> NDArray[np.str_]:
        """Return text that marks some rows, (N,), empty for others.

        Raises
        ------
        InputError
            If a number or boolean is missing, or there are nulls as well as empty texts: unknown does not
            mean False.
        """
        values, missing = self.get(name)
        text = self.text(name)
        if text.shape != (len(self.table),):
            raise InputError(f"{self.source}: column {name} has several elements a row: give one")
        if values.dtype.kind == "f":  # 0 and 1 with missing values
            text = np.where(missing | (values != np.round(values)), text, np.char.partition(text, ".")[:, 0])
        no = np.isin(np.char.lower(text), ("false", "f", "0", "no", "n"))
        is_text = values.dtype.kind in "SU"
        told_apart = bool(no.any() or (~missing & (text == "")).any())
        unknown = missing & (told_apart if is_text else values.dtype.kind == "b" or not missing.all())
        unknown |= (text == "") & bool(is_text and no.any())
        ids = self.ids if self.ids is not None else np.full(text.size, "", dtype=np.str_)
        must = "which is not known to be one or the other"
        remedy = "fill it in, or drop these ScWs"
        shown = np.where(unknown, "missing", text)
        check_rows(self.source, ids, name, shown, np.logical_not(unknown), must, remedy)
        return np.where(missing, "", text)

    def text(self, name: str) -> NDArray[np.str_]:
        """Return text without surrounding blanks, (N,), empty where missing."""
        values, missing = self.get(name)
        values = (
            np.char.decode(values, "ascii", "replace") if values.dtype.kind == "S" else values.astype(str)
        )
        return np.where(missing, "", np.char.strip(values))

    def column(self, name: str) -> Any:
        """Return the column as stored in the table."""
        if name not in self:
            near = nearest(name, self.names)
            raise InputError(f"{self.source}: column {name} is missing{near}: {self.remedy}")
        return self.table[self.names[name.upper()]]

    def unit(self, name: str, given: str, like: u.UnitBase) -> u.UnitBase:
        """Parse a unit; also try lower case, if only that is compatible with `like`."""
        with u.add_enabled_aliases(_ALIASES):
            found = [u.Unit(text, parse_strict="silent") for text in (given, given.lower())]
        for unit in found:
            if unit.is_equivalent(like):
                return unit
        if isinstance(found[0], u.UnrecognizedUnit):
            raise InputError(
                f"{self.source}: column {name} has the unknown unit '{given}': convert it to {like}"
            )
        return found[0]

    def _convert(
        self, name: str, values: NDArray[np.float64], given: Any, unit: u.UnitBase
    ) -> NDArray[np.float64]:
        if given is None or str(given) == "":
            return values
        known = self.unit(name, str(given), unit)
        try:
            return known.to(unit, values, equivalencies=_EQUIVALENCES)
        except u.UnitsError as error:
            raise InputError(
                f"{self.source}: column {name} has the unit '{given}', which is no {unit}: convert the column"
            ) from error


def _odd(values: NDArray[Any]) -> str:
    """Describe the first text that is not a number, and its row."""
    for row, cell in enumerate(values.reshape(len(values), -1) if values.size else [], start=1):
        for text in cell.tolist():
            try:
                float(text)
            except (ValueError, TypeError):
                return f"row {row}: '{text}'"
    return ""


def _mend(values: NDArray[Any]) -> str:
    """Give a remedy for texts that are not numbers: for one of them, or for the whole column."""
    one = values.size and _odd(values[-1:]) == ""
    return "mend that value" if one else "write numbers, with a decimal point"
