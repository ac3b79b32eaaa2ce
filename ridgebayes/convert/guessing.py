"""Guess the columns and units of a source; ambiguous ones are reported as problems."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
from astropy import units as u

from ridgebayes.convert import bands as band_guess
from ridgebayes.convert.angles import has_letters, is_sexagesimal
from ridgebayes.convert.clock import guess_clock, is_number, time_columns
from ridgebayes.convert.draft import Draft
from ridgebayes.convert.mapping import Mapping
from ridgebayes.convert.names import NAMES, START, STOP, energies, normal, rate_name, without_unit
from ridgebayes.convert.sources import Source, set_units
from ridgebayes.errors import InputError
from ridgebayes.table.columns import Columns
from ridgebayes.table.validation import MISSION, ZERO

_REQUIRED = ("scw_id", "exposure")

_OPTIONAL = ("revolution", "roll", "tracer", "tracer_err", "source")


@dataclass(frozen=True)
class Guess:
    """A mapping with all guesses, notes on the guesses, and what could not be guessed.

    Examples
    --------
    >>> from ridgebayes.convert import guess
    >>> from ridgebayes.convert.sources import open_source
    >>> found = guess([open_source("mission.fits")])
    >>> found.problems, found.mapping.columns["exposure"]
    ([], 'EXPOSURE')
    """

    mapping: Mapping
    notes: list[str]
    problems: list[str]
    unused: list[str] = field(default_factory=list)
    """One line for every unused column, with its possible meaning."""

    doubts: list[str] = field(default_factory=list)
    skeleton: str = ""
    """Template of [[bands]] to edit; empty if the bands are clear."""

    def refuse(self) -> None:
        """Raise one error for all problems.

        Raises
        ------
        Unclear
            If there is a problem.
        """
        if self.problems:
            raise Unclear(self)


class Unclear(InputError):
    """A mapping could not be guessed; `guess.problems` lists everything that is open."""

    def __init__(self, guess: Guess) -> None:
        self.guess = guess
        first, *others = guess.problems
        more = f" (and {len(others)} more: {'; '.join(others)})" if others else ""
        super().__init__(first + more)


def guess(sources: Sequence[Source], mapping: Mapping | None = None, *, revolutions: bool = False) -> Guess:
    """Guess the missing parts of a mapping from names, units, values and headers of the sources.

    Parameters
    ----------
    sources
        The opened files: one, or one per band.
    mapping
        Known parts; they are kept.
    revolutions
        Whether there is a revolution table; then either time or phase may be missing.

    Returns
    -------
    Guess
        A second guess that starts from its mapping returns the same mapping without notes.

    Raises
    ------
    InputError
        If the mapping names a column that does not exist, or a column cannot be read.

    Examples
    --------
    >>> from ridgebayes.convert import guess
    >>> from ridgebayes.convert.sources import open_source
    >>> found = guess([open_source("mission.fits")])
    >>> [band.name for band in found.mapping.bands]
    ['A01', 'A02']
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
    guess_clock(draft)
    _guess_header(draft)
    unused = unused_columns(draft)
    doubts = [
        f"column {name} looks like the Crab's flag and is not used: if it says that the Crab was not "
        f'removed, put  source = "{name}"  under [columns]'
        for name in unused
        if "CRAB" in normal(name) and not draft.mapping.columns.get("source")
    ]
    said = [f"column {name} is not used{might_be(draft, name)}" for name in unused]
    return Guess(draft.mapping, draft.notes, draft.problems, said, doubts, band_guess.skeleton(draft, unused))


def unused_columns(draft: Draft) -> list[str]:
    """Return the columns of the first source that the mapping does not use."""
    mapping = draft.mapping
    taken = {n.upper() for v in mapping.columns.values() for n in ([v] if isinstance(v, str) else v)}
    taken |= {str(name).upper() for band in mapping.bands for name in (band.rate, band.stat_err)}
    return [name for upper, name in draft.columns[0].names.items() if upper not in taken]


def might_be(draft: Draft, name: str) -> str:
    """Suggest the meaning of a column from its name and values; "" if there is no suggestion."""
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
    """Return the unused columns of the first source whose names mean `key`."""
    taken = {normal(n) for v in draft.mapping.columns.values() for n in ([v] if isinstance(v, str) else v)}
    names = {name: normal(name) for name in draft.columns[0].names.values()}
    found = [name for name, upper in names.items() if upper in NAMES[key] and upper not in taken]
    if key == "exposure" and not found:
        return [n for n, upper in names.items() if without_unit(n)[0] in NAMES[key] and upper not in taken]
    return found


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
        where = "under [columns]" + (", and its unit under [units]" if key == "exposure" else "")
        draft.problem(f"no column for the {key} ({looked}, …)", f'{key} = "COLUMN"', where)
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
        if key == "exposure":
            named = without_unit(name)[1]
            unit = named or unit
            typical = np.nanmedian(columns.scalars(name, u.s)) * u.Unit(unit).to(u.s)
            if not 100 <= typical <= 20000:
                what = f"the unit of column {name} is not clear (in {unit} a ScW lasts {typical:.4g} s)"
                draft.problem(what, f'{name} = "UNIT"', "(s, ks, min, h, d) under [units]")
            else:
                draft.put_unit(name, unit, "as its name says" if named else "the file states none")
        else:
            draft.put_unit(name, unit)
    for name in time_columns(draft):
        if not has_unit(columns, name) and is_number(columns, name):
            stated = str(draft.sources[0].header.get("TIMEUNIT") or "").strip()
            if stated:
                draft.put(f"unit of {name}: {stated} (TIMEUNIT)", units=draft.mapping.units | {name: stated})
            else:
                draft.put_unit(name, "d")
    for source in draft.sources:
        set_units(source, draft.mapping.units)


def has_unit(columns: Columns, name: str) -> bool:
    """Tell whether a column states its unit."""
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
    # Longitudes up to 24 may be in hours (or radians), latitudes up to π/2 in radians.
    limit = 24 if longitude else np.pi / 2
    if np.nanmax(np.abs(values), initial=0) <= limit:
        draft.problem(f"column {name} may be in degrees or another unit", f'{name} = "deg"', "under [units]")
    else:
        draft.put_unit(name, "deg")


def _guess_header(draft: Draft) -> None:
    header, mapping = draft.sources[0].header, draft.mapping
    if mapping.simulated is None and all(s.header.get("SIMUL") is None for s in draft.sources):
        draft.put("simulated: false (the source does not say)", simulated=False)
    for key, name in (("origin", "ORIGIN"), ("osa_version", "OSAVER")):
        stated = header.get(name)
        if getattr(mapping, key) is None and stated is not None:
            draft.put("", **{key: str(stated)})
