"""Guess the zero, unit and scale of times from the header, the column's name and the values."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.time import Time

from ridgebayes.convert.draft import Draft
from ridgebayes.convert.names import normal
from ridgebayes.table.columns import Columns
from ridgebayes.table.headertime import header_scale, header_zero
from ridgebayes.table.validation import MISSION, ZERO

_EARLIEST = 15020.0
"""MJD of 1900: no time system starts earlier."""


def time_columns(draft: Draft) -> list[str]:
    """Columns of time: one column, or the pair of start and end."""
    value = draft.mapping.columns.get("time") or ()
    return [value] if isinstance(value, str) else list(value)


def is_number(columns: Columns, name: str) -> bool:
    """Tell whether a column holds numbers, also if they are stored as text."""
    if isinstance(columns.column(name), Time):
        return False
    values, missing = columns.get(name)
    if values.dtype.kind in "fiu":
        return True
    if values.dtype.kind == "M":
        return False
    text = [t for t, m in zip(columns.text(name).ravel(), missing.ravel(), strict=True) if t and not m]
    # Most of them: one that is not is refused later, with its row.
    return sum(map(_parses, text)) > len(text) / 2


def _parses(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def guess_clock(draft: Draft) -> None:
    """Find the zero, unit and scale of the times."""
    names = time_columns(draft)
    if not names:
        return
    columns, name, words = draft.columns[0], names[0], normal(names[0]).split("_")
    if isinstance(columns.column(name), Time):
        draft.put(system=draft.mapping.system or "mjd", scale=draft.mapping.scale or "tt")
        return
    numbers = is_number(columns, name)
    if draft.mapping.system is None and draft.mapping.zero is not None:
        draft.put(system="mjd")
    elif draft.mapping.system is None and not numbers:
        draft.put(f"time: {name} is text", system="iso")
    elif draft.mapping.system is None:
        _guess_zero(draft, columns, name, words)
    if draft.mapping.scale is None:
        _guess_scale(draft, name, words, numbers)


def _guess_zero(draft: Draft, columns: Columns, name: str, words: list[str]) -> None:
    """Find the zero of numeric times from the header, the column's name or the values."""
    days = columns.scalars(name, u.d)
    days = days[np.isfinite(days)]
    source = draft.sources[0]
    stated = header_zero(str(source.path), source.header, str(columns.column(name).unit or "d"))

    def inside(zero: float) -> bool:
        # Most of them: one that is not is refused later, with its row.
        return days.size > 0 and bool(np.mean((days + zero > MISSION[0]) & (days + zero < MISSION[1])) > 0.5)

    fits = [system for system in ZERO if inside(ZERO[system])]
    named = [system for system in ZERO if system.upper() in words]
    # If there is a header, the name counts only if the values agree with it.
    denied = [system for system in named if system in fits and abs(ZERO[system] - (stated or 0.0)) > 1e-6]
    likely = stated is not None and (stated > _EARLIEST or any(abs(z - stated) < 1e-6 for z in ZERO.values()))
    if stated is not None and likely and inside(stated) and not denied:
        same = next((system for system in ZERO if abs(ZERO[system] - stated) < 1e-6), None)
        if same is not None:
            draft.put(f"time: {name} is {same.upper()}, from the header", system=same)
        else:
            note = f"time: {name} counts from MJD {stated:.10g}, from the header"
            draft.put(note, system="mjd", zero=stated)
    elif len(fits) == 1 and (named == fits if stated is not None else named in ([], fits)):
        draft.put(f"time: {name} is {fits[0].upper()}, from its values", system=fits[0])
    else:
        if not fits and (unit := _unit_of_time(draft, name)):
            draft.problem(f"the unit of column {name} is not clear", f'{name} = "{unit}"', "under [units]")
            return
        why = f"the time system of {name} is not clear"
        if stated is not None:
            why += f" (by the header it counts from MJD {stated:.10g})"
        if not fits and days.size:
            why += f" (about {np.median(days):.6g} d; the mission is MJD {MISSION[0]:g} to {MISSION[1]:g})"
        if fits:
            line, where = f'system = "{fits[0]}"', "under [time]"
        else:
            line, where = "zero = 51544.0", "with the MJD at which it is 0, under [time]"
        draft.problem(why, line, where)


def _unit_of_time(draft: Draft, name: str) -> str:
    """Find another unit that would place times without a unit within the mission; "" if there is none."""
    column = draft.columns[0].column(name)
    if str(getattr(column, "unit", None) or "d") != "d" or name not in draft.mapping.units:
        return ""
    values = draft.columns[0].scalars(name, u.d)
    for unit in ("s", "h", "min", "ms"):
        days = values * u.Unit(unit).to(u.d)
        for zero in ZERO.values():
            if np.mean((days + zero > MISSION[0]) & (days + zero < MISSION[1])) > 0.5:
                return unit
    return ""


def _guess_scale(draft: Draft, name: str, words: list[str], numbers: bool) -> None:
    stated = header_scale(draft.sources[0].header)
    text = [] if numbers else draft.columns[0].text(name).tolist()
    if stated:
        draft.put(f"time scale: {stated.upper()} (TIMESYS)", scale=stated)
    elif stated is not None:
        what = f"the time scale of {name} is not clear (TIMESYS is {draft.sources[0].header['TIMESYS']})"
        draft.problem(what, 'scale = "tt"', "under [time]")
    elif "UTC" in words or (text and all(t.upper().endswith("Z") for t in text)):
        draft.put("time scale: UTC, as the column says", scale="utc")
    elif numbers:
        draft.put("time scale: TT (the source states none)", scale="tt")
    else:
        draft.problem(f"the time scale of {name} is not clear", 'scale = "utc"', "under [time]")
