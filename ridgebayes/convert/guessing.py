"""What a source leaves to guess: which column is what, in which unit; what is ambiguous is a problem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
from astropy import units as u
from astropy.time import Time

from ridgebayes.convert import bands as band_guess
from ridgebayes.convert.angles import has_letters, is_sexagesimal
from ridgebayes.convert.draft import Draft
from ridgebayes.convert.mapping import Mapping
from ridgebayes.convert.names import NAMES, START, STOP, energies, normal, rate_name
from ridgebayes.convert.sources import Source, set_units
from ridgebayes.errors import InputError
from ridgebayes.table.columns import Columns
from ridgebayes.table.headertime import header_scale, header_zero
from ridgebayes.table.validation import MISSION, ZERO

_REQUIRED = ("scw_id", "exposure")
_EARLIEST = 15020.0
"""MJD of 1900: the zero of a clock is not before it."""

_OPTIONAL = ("revolution", "roll", "tracer", "tracer_err", "source")


@dataclass(frozen=True)
class Guess:
    """A mapping with all parts filled, what in it was guessed, and what could not be."""

    mapping: Mapping
    notes: list[str]
    problems: list[str]
    unused: list[str] = field(default_factory=list)
    """One line for every column that is not taken, with what it might be."""

    doubts: list[str] = field(default_factory=list)
    skeleton: str = ""
    """[[bands]] to edit, where the bands are not clear."""

    def refuse(self) -> None:
        """Raise all problems at once.

        Raises
        ------
        Unclear
            Where there is one.
        """
        if self.problems:
            raise Unclear(self)


class Unclear(InputError):
    """What could not be guessed: all of it, as `guess.problems`."""

    def __init__(self, guess: Guess) -> None:
        self.guess = guess
        first, *others = guess.problems
        more = f" (and {len(others)} more: {'; '.join(others)})" if others else ""
        super().__init__(first + more)


def guess(sources: Sequence[Source], mapping: Mapping | None = None, *, revolutions: bool = False) -> Guess:
    """Fill what a mapping leaves open from names, units, values and headers of the sources.

    Parameters
    ----------
    sources
        The opened files: one, or one a band.
    mapping
        What is known; it is never changed, only added to.
    revolutions
        A revolution table is there, so that one of time and phase may be missing.

    Returns
    -------
    Guess
        Guessing again from its mapping gives the same mapping and no notes.

    Raises
    ------
    InputError
        Where the mapping names a column that is not there, or a column cannot be read.
    """
    mapping = mapping or Mapping()
    for source in sources:
        set_units(source, mapping.units)
    draft = Draft(sources, [Columns(str(s.path), s.table) for s in sources], mapping)
    _check_names(draft)
    for key in (*_REQUIRED, *_OPTIONAL):
        _guess_column(draft, key)
    _guess_position(draft)
    _guess_time(draft, revolutions)
    band_guess.guess_bands(draft)
    _guess_units(draft)
    _guess_system(draft)
    _guess_header(draft)
    unused = unused_columns(draft)
    doubts = [
        f"column {name} looks like the Crab's flag and is not taken: where it says that the Crab was not "
        f'removed, put  source = "{name}"  under [columns]'
        for name in unused
        if "CRAB" in normal(name) and not draft.mapping.columns.get("source")
    ]
    said = [f"column {name} is not used{might_be(draft, name)}" for name in unused]
    return Guess(draft.mapping, draft.notes, draft.problems, said, doubts, band_guess.skeleton(draft, unused))


def unused_columns(draft: Draft) -> list[str]:
    """Return the columns of the first source that the mapping does not take."""
    mapping = draft.mapping
    taken = {n.upper() for v in mapping.columns.values() for n in ([v] if isinstance(v, str) else v)}
    taken |= {str(name).upper() for band in mapping.bands for name in (band.rate, band.stat_err)}
    return [name for upper, name in draft.columns[0].names.items() if upper not in taken]


def might_be(draft: Draft, name: str) -> str:
    """Say what a column might be, from its name and its values; "" for no idea."""
    columns, words = draft.columns[0], normal(name)
    close = {known: key for key, names in NAMES.items() for known in (*names, key.upper())}
    values, _ = columns.get(name)
    text = columns.text(name).ravel() if values.dtype.kind in "SUiu" else np.array([], dtype="U1")
    if text.size and np.all((np.char.str_len(text) >= 9) & np.char.isdigit(text)):
        return ": perhaps the scw_id?"
    near = get_close_matches(words, close, n=1, cutoff=0.75)
    near = near or [known for known in close if len(known) > 1 and known in words.split("_")][:1]
    if near:
        return f": perhaps the {close[near[0]]}?"
    rate = rate_name(name)
    if rate is not None or energies(name):
        return ": perhaps the errors of a band?" if rate and rate.error else ": perhaps the rates of a band?"
    try:
        values = columns.scalars(name, u.Unit(str(getattr(columns.column(name), "unit", None) or "")))
    except (InputError, ValueError, TypeError):
        return ": text" if columns.get(name)[0].dtype.kind in "SU" else ""
    values = values[np.isfinite(values)]
    if values.size == 0:
        return ": it is empty"
    if np.isin(values, (0, 1)).all():
        return ": a flag?"
    for system, zero in ZERO.items():
        if np.all((values + zero > MISSION[0]) & (values + zero < MISSION[1])):
            return f": a time ({system.upper()})?"
    return f": {values.min():g} to {values.max():g}"


def _check_names(draft: Draft) -> None:
    for value in draft.mapping.columns.values():
        for name in (value,) if isinstance(value, str) else value:
            if name:
                draft.columns[0].column(name)
    for name in draft.mapping.units:
        if not any(name.strip() in columns for columns in draft.columns):
            draft.columns[0].column(name)


def candidates(draft: Draft, key: str) -> list[str]:
    """Return the columns of the first source that their names say to be `key`, less those that are taken."""
    taken = {normal(n) for v in draft.mapping.columns.values() for n in ([v] if isinstance(v, str) else v)}
    names = {name: normal(name) for name in draft.columns[0].names.values()}
    return [name for name, upper in names.items() if upper in NAMES[key] and upper not in taken]


def _guess_column(draft: Draft, key: str) -> None:
    if key in draft.mapping.columns:
        return
    found = candidates(draft, key)
    if len(found) > 1:
        listed = ", ".join(found)
        draft.problem(f"columns {listed} may each be the {key}", f'{key} = "{found[0]}"', "under [columns]")
    elif found:
        draft.put_column(key, found[0], f"{key}: column {found[0]}")
    elif key in _REQUIRED:
        looked = ", ".join(NAMES[key][:4])
        draft.problem(f"no column for the {key} ({looked}, …)", f'{key} = "COLUMN"', "under [columns]")
    elif key == "source":
        draft.put_column(key, "", "source: no column; the Crab was removed from every ScW")
    else:
        draft.put_column(key, "", f"{key}: no column" if key != "revolution" else "")


def _guess_position(draft: Draft) -> None:
    known = draft.mapping.columns
    pairs = [("ra", "dec"), ("lon", "lat")]
    pair = next((p for p in pairs if any(known.get(key) for key in p)), None)
    if pair is None:
        pair = next((p for p in pairs if all(candidates(draft, key) for key in p)), None)
    if pair is None:
        draft.problem(
            "no columns of the pointing (RA and DEC, LON and LAT)", 'ra = "COLUMN"', "under [columns]"
        )
        return
    for key in pair:
        given = draft.mapping.columns.get(key)
        if given == "" or (given is None and not candidates(draft, key)):
            draft.problem(f"no column for the {key}", f'{key} = "COLUMN"', "under [columns]")
        else:
            _guess_column(draft, key)
    if draft.mapping.frame is None and pair == ("ra", "dec"):
        header = draft.sources[0].header
        system, equinox = str(header.get("RADESYS", "")).strip().lower(), str(header.get("EQUINOX", ""))
        frame = "fk4" if system == "fk4" or equinox.startswith("1950") else "icrs"
        draft.put(f"frame of ra and dec: {frame}", frame=frame)


def _guess_time(draft: Draft, revolutions: bool) -> None:
    for key in ("time", "phase"):
        if key in draft.mapping.columns:
            continue
        found = candidates(draft, key)
        if len(found) == 1:
            draft.put_column(key, found[0], f"{key}: column {found[0]}")
        elif found:
            listed = ", ".join(found)
            draft.problem(
                f"columns {listed} may each be the {key}", f'{key} = "{found[0]}"', "under [columns]"
            )
        elif key == "time" and (ends := _ends(draft)):
            draft.put_column("time", ends, f"time: the middle of {ends[0]} and {ends[1]}")
        elif revolutions:
            other = "phase" if key == "time" else "time"
            draft.put_column(key, "", f"{key}: from the {other} and the revolution table")
        else:
            draft.problem(
                f"no column for the {key}",
                f'{key} = "COLUMN"',
                "(or give revolutions=..., a table of them) under [columns]",
            )
    if draft.mapping.columns.get("time") == draft.mapping.columns.get("phase") == "":
        draft.problem("neither time nor phase", 'time = "COLUMN"', "under [columns]")


def _ends(draft: Draft) -> tuple[str, str] | None:
    names = draft.columns[0].names.values()
    start, stop = ([n for n in names if normal(n) in known] for known in (START, STOP))
    return (start[0], stop[0]) if len(start) == len(stop) == 1 else None


def _time_columns(draft: Draft) -> list[str]:
    value = draft.mapping.columns.get("time") or ()
    return [value] if isinstance(value, str) else list(value)


def _guess_units(draft: Draft) -> None:
    columns, known = draft.columns[0], draft.mapping.columns
    for key in ("ra", "dec", "lon", "lat"):
        if known.get(key):
            _guess_angle(draft, str(known[key]))
    tracer = str(known.get("tracer") or "")
    if tracer and has_unit(columns, tracer):
        of_tracer = str(columns.column(tracer).unit)
    else:
        of_tracer = "ct" if re.search("COUNT|CTS|CNT", tracer.upper()) else "ct/s"
    units = {"exposure": "s", "roll": "deg", "tracer": of_tracer, "tracer_err": of_tracer}
    for key, unit in units.items():
        name = str(known.get(key) or "")
        if not name or has_unit(columns, name):
            continue
        if key == "exposure" and not 100 <= np.nanmedian(columns.scalars(name, u.s)) <= 20000:
            draft.problem(f"the unit of column {name} is not clear", f'{name} = "s"', "under [units]")
        else:
            draft.put_unit(name, unit)
    for name in _time_columns(draft):
        if not has_unit(columns, name) and _is_number(columns, name):
            stated = str(draft.sources[0].header.get("TIMEUNIT") or "").strip()
            if stated:
                draft.put(f"unit of {name}: {stated} (TIMEUNIT)", units=draft.mapping.units | {name: stated})
            else:
                draft.put_unit(name, "d")
    for source in draft.sources:
        set_units(source, draft.mapping.units)


def has_unit(columns: Columns, name: str) -> bool:
    """Whether a column states its unit."""
    return bool(str(getattr(columns.column(name), "unit", None) or ""))


def _guess_angle(draft: Draft, name: str) -> None:
    columns = draft.columns[0]
    if has_unit(columns, name):
        return
    longitude = name in (draft.mapping.columns.get("ra"), draft.mapping.columns.get("lon"))
    if is_sexagesimal(columns, name):
        if not longitude or has_letters(columns, name):
            draft.put_unit(name, "deg")
        else:
            draft.problem(
                f"column {name} may be in hours or degrees", f'{name} = "hourangle"', "under [units]"
            )
        return
    values = columns.scalars(name, u.deg)
    # Up to 24 it may be hours, up to 2π radians (half of that for latitudes).
    limit = 24 if longitude else np.pi / 2
    if np.nanmax(np.abs(values), initial=0) <= limit:
        draft.problem(f"column {name} may be in degrees or another unit", f'{name} = "deg"', "under [units]")
    else:
        draft.put_unit(name, "deg")


def _is_number(columns: Columns, name: str) -> bool:
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


def _guess_system(draft: Draft) -> None:
    names = _time_columns(draft)
    if not names:
        return
    columns, name, words = draft.columns[0], names[0], normal(names[0]).split("_")
    if isinstance(columns.column(name), Time):
        draft.put(system=draft.mapping.system or "mjd", scale=draft.mapping.scale or "tt")
        return
    numbers = _is_number(columns, name)
    if draft.mapping.system is None and draft.mapping.zero is not None:
        draft.put(system="mjd")
    elif draft.mapping.system is None and not numbers:
        draft.put(f"time: {name} is text", system="iso")
    elif draft.mapping.system is None:
        _guess_zero(draft, columns, name, words)
    if draft.mapping.scale is None:
        _guess_scale(draft, name, words, numbers)


def _guess_zero(draft: Draft, columns: Columns, name: str, words: list[str]) -> None:
    """Find the zero of times that are numbers: of the header, of the column's name, of the values."""
    days = columns.scalars(name, u.d)
    days = days[np.isfinite(days)]
    source = draft.sources[0]
    stated = header_zero(str(source.path), source.header, str(columns.column(name).unit or "d"))

    def inside(zero: float) -> bool:
        # Most of them: one that is not is refused later, with its row.
        return days.size > 0 and bool(np.mean((days + zero > MISSION[0]) & (days + zero < MISSION[1])) > 0.5)

    fits = [system for system in ZERO if inside(ZERO[system])]
    named = [system for system in ZERO if system.upper() in words]
    # Beside a header a name says nothing where the values cannot be what it says.
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
    """Find another unit in which times without one would lie in the mission; "" for none."""
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


def _guess_header(draft: Draft) -> None:
    header, mapping = draft.sources[0].header, draft.mapping
    if mapping.simulated is None and all(s.header.get("SIMUL") is None for s in draft.sources):
        draft.put("simulated: false (the source does not say)", simulated=False)
    for key, name in (("origin", "ORIGIN"), ("osa_version", "OSAVER")):
        stated = header.get(name)
        if getattr(mapping, key) is None and stated is not None:
            draft.put("", **{key: str(stated)})
