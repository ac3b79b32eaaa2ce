"""Convert times of any system and scale to MJD (TT), and times to orbital phases and back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from os import PathLike

import numpy as np
from astropy import units as u
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.convert.sources import open_source
from ridgebayes.errors import InputError
from ridgebayes.io.bounded import one_line
from ridgebayes.table.columns import Columns
from ridgebayes.table.validation import MISSION, ZERO, check_rows
from ridgebayes.typing import Floats, Ints

_log = logging.getLogger(__name__)


def to_mjd(
    columns: Columns, name: str, system: str, scale: str, ids: NDArray[np.str_], zero: float | None = None
) -> Floats:
    """Return a column of times as MJD (TT), (N,).

    Parameters
    ----------
    columns, name
        The column; numbers in days or in their own unit, text, datetime64 or astropy Time.
    system, scale
        One of `ridgebayes.convert.mapping.SYSTEMS` and `SCALES`; a Time knows its own.
    ids
        (N,) SCW_IDs, to name a row.
    zero
        MJD, in the same scale, at which the column is 0; default: that of the system.

    Raises
    ------
    InputError
        If a time is missing, invalid or outside the mission; the message names the first such row.
    """
    column = columns.column(name)
    zero = ZERO.get(system, 0.0) if zero is None else zero
    if isinstance(column, Time):
        mjd = columns.scalars(name, u.d)
    elif system == "iso":
        mjd = _from_text(columns, name, scale, ids)
    else:
        days = columns.scalars(name, u.d)
        mjd = days + zero
        inside = (mjd > MISSION[0]) & (mjd < MISSION[1])  # astropy would fail on it
        of = f"system '{system}'" if zero == ZERO.get(system) else f"days since MJD {zero:g}"
        _check_mission(columns, name, ids, days, inside, of)
        if scale != "tt":
            # In two parts, because a float64 Julian date resolves only 40 µs.
            whole = np.floor(days)
            mjd = Time(whole + zero, days - whole, format="mjd", scale=scale).tt.mjd
    inside = (mjd > MISSION[0]) & (mjd < MISSION[1])
    _check_mission(columns, name, ids, mjd, inside, "MJD")
    return np.asarray(mjd, dtype=np.float64)


def _check_mission(
    columns: Columns, name: str, ids: NDArray[np.str_], values: Floats, inside: NDArray[np.bool_], of: str
) -> None:
    must = f"which as {of} lies outside the mission (2002 to 2025)"
    remedy = "drop these ScWs, or state system or zero under [time] in the mapping"
    gaps = np.isnan(values)
    check_rows(
        columns.source, ids, name, values, ~gaps, "must be a time", "drop these ScWs or mend the column"
    )
    check_rows(columns.source, ids, name, values, inside, must, remedy)


def _from_text(columns: Columns, name: str, scale: str, ids: NDArray[np.str_]) -> Floats:
    values, missing = columns.get(name)
    text = np.datetime_as_string(values, unit="ns") if values.dtype.kind == "M" else columns.text(name)
    if text.shape != (len(ids),):
        raise InputError(f"{columns.source}: column {name} is no column of one time a row: give one")
    text = np.char.replace(np.char.strip(np.where(missing, "", text)), " ", "T")
    zulu = np.char.endswith(np.char.upper(text), "Z")
    if zulu.any() and scale != "utc":
        raise InputError(
            f'{columns.source}: column {name} ends in Z, which is UTC: put  scale = "utc"  under [time]'
        )
    text = np.where(zulu, np.char.rstrip(text, "Zz"), text)
    if not _is_time(text):  # all at once: row by row takes a second per 10,000 rows
        good = np.array([_is_time(value) for value in text.tolist()], dtype=np.bool_)
        must, remedy = "must be a time like 2010-01-31T12:00:00", "mend the column, or drop these ScWs"
        shown = np.where(text == "", "missing", text)
        check_rows(columns.source, ids, name, shown, good, must, remedy)
    return Time(text, format="isot", scale=scale).tt.mjd


def _is_time(text: str | NDArray[np.str_]) -> bool:
    try:
        Time(text, format="isot", scale="utc")
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Revolutions:
    """Start and end of revolutions, MJD (TT)."""

    number: Ints
    start: Floats
    end: Floats

    def mjd(self, source: str, ids: NDArray[np.str_], revolution: Ints, phase: Floats) -> Floats:
        """MJD (TT) at an orbital phase of revolutions, (N,)."""
        row = self._rows(source, ids, revolution)
        return self.start[row] + phase * (self.end[row] - self.start[row])

    def phase(self, source: str, ids: NDArray[np.str_], revolution: Ints, mjd: Floats) -> Floats:
        """Orbital phase of times, (N,).

        Raises
        ------
        InputError
            If a revolution is not in the table or a time is outside its revolution; the message names the
            first such ScW.
        """
        row = self._rows(source, ids, revolution)
        phase = (mjd - self.start[row]) / (self.end[row] - self.start[row])
        ok = (phase >= 0) & (phase <= 1)
        must = "its time lies outside of its revolution in the revolution table"
        check_rows(source, ids, "PHASE", phase, ok, must, "check the table, the time's system and its scale")
        return phase

    def _rows(self, source: str, ids: NDArray[np.str_], revolution: Ints) -> Ints:
        row = np.searchsorted(self.number, revolution).clip(max=self.number.size - 1)
        found = self.number[row] == revolution
        check_rows(source, ids, "REVOL", revolution, found, "is not in the revolution table", "add it there")
        return row


def read_revolutions(path: str | PathLike[str]) -> Revolutions:
    """Read a revolution table: columns REVOL, START (MJD, TT) and END (MJD, TT) or PERIOD (d).

    Other usual names (`_NAMES`) and times in IJD are accepted. Empty rows are left out.

    Raises
    ------
    InputError
        If a column is missing, a revolution occurs twice, or one ends before it starts.
    """
    source = open_source(path)
    name = str(path)
    with one_line(source.path, "a revolution table"):
        columns = Columns(name, source.table)
        number = columns.scalars(_usual(columns, "REVOL"), u.dimensionless_unscaled)
        start = _days(columns, _usual(columns, "START"))
        if (period := _usual(columns, "PERIOD")) in columns:
            end = start + columns.scalars(period, u.d)
        else:
            end = _days(columns, _usual(columns, "END"))
        known = np.isfinite(number) & np.isfinite(start) & np.isfinite(end)
        if not known.all():
            _log.info("%s: %d rows without a revolution: left out", name, np.sum(~known))
            number, start, end = number[known], start[known], end[known]
        if number.size == 0:
            raise InputError(f"{name}: no row has REVOL, START and END: fill the table")
        good = (number == np.floor(number)) & (number >= 1) & (number < 1e6)
        good &= (end > start) & (end < start + 10) & (start > MISSION[0]) & (start < MISSION[1])
        if not good.all():
            row = int(np.argmin(good))
            raise InputError(
                f"{name}: row {int(np.flatnonzero(known)[row]) + 1}: REVOL {number[row]:g} from MJD "
                f"{start[row]:g} to {end[row]:g} is no "
                "revolution: give START and END in MJD (TT), or PERIOD in days"
            )
        order = np.argsort(number)
        if (np.diff(number[order]) == 0).any():
            raise InputError(f"{name}: a revolution occurs twice: keep one row a revolution")
    return Revolutions(number[order].astype(np.int64), start[order], end[order])


_NAMES = {
    "REVOL": ("REVOL", "REV", "REVOLUTION", "ORBIT"),
    "START": ("START", "TSTART", "T_START", "START_MJD", "MJD_START", "START_IJD", "IJD_START"),
    "END": ("END", "STOP", "TSTOP", "T_STOP", "TEND", "END_MJD", "MJD_END", "END_IJD", "IJD_END", "STOP_IJD"),
    "PERIOD": ("PERIOD", "PERIOD_D", "LENGTH_D"),
}
"""Usual names of the columns of a revolution table, in any case, with or without _TT at their end."""


def _usual(columns: Columns, key: str) -> str:
    """Return the column that has one of the usual names."""
    there = {name.removesuffix("_TT"): name for name in columns.names}
    return next((there[name] for name in _NAMES[key] if name in there), key)


def _days(columns: Columns, name: str) -> Floats:
    """Return times in MJD; they are taken as IJD if the name says so or if only IJD lies in the mission."""
    days = columns.scalars(name, u.d)
    ijd = "IJD" in name.upper() or bool(np.nanmedian(days) < MISSION[0] - 20000 and np.nanmedian(days) > 0)
    return days + ZERO["ijd"] if ijd else days
