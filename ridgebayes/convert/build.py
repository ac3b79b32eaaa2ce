"""Build a ScW table from sources and a mapping: join by SCW_ID, convert counts to rates, validate."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
from astropy import units as u
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.convert.angles import to_degrees, to_icrs
from ridgebayes.convert.guessing import guess
from ridgebayes.convert.ids import pointings_only, scw_ids
from ridgebayes.convert.mapping import BandColumns, Mapping
from ridgebayes.convert.names import normal
from ridgebayes.convert.sources import Source, open_source, set_units
from ridgebayes.convert.times import Revolutions, read_revolutions, to_mjd
from ridgebayes.errors import InputError
from ridgebayes.io.bounded import one_line
from ridgebayes.table.assembly import crab_flags, known_roll
from ridgebayes.table.columns import Columns
from ridgebayes.table.headertime import header_zero
from ridgebayes.table.orbit import mjd_at
from ridgebayes.table.scw import Band, ScWTable
from ridgebayes.table.truth import parse_truth
from ridgebayes.table.validation import ZERO, check_bands, check_ids, check_rows, revolution_of, validate
from ridgebayes.typing import Bools, Floats, Ints

_RATE = u.ct / u.s
_log = logging.getLogger(__name__)
_TRUE, _FALSE = ("T", "TRUE", "1"), ("F", "FALSE", "0")
_AGREE = {
    "mjd": 1e-5,
    "exposure": 0.1,
    "ra": 1e-3,
    "dec": 1e-3,
}  # d, s, deg, deg: accepted differences between files of one ScW

_CALENDAR_D = 10.0  # days: the calendar is accurate to 0.25 d, and to a few days before revolution 70


@dataclass(frozen=True)
class Converted:
    """A converted table, its complete mapping, one line per guess, and one line per unused column.

    Examples
    --------
    >>> from ridgebayes.convert import convert
    >>> done = convert(["mission.fits"])
    >>> done.notes[0], done.mapping.columns["exposure"]
    ('scw_id: column SCW_ID', 'EXPOSURE')
    """

    scws: ScWTable
    mapping: Mapping
    notes: list[str]
    unused: list[str] = field(default_factory=list)


@dataclass
class _File:
    """A source, and the order of its rows in the table."""

    columns: Columns
    ids: NDArray[np.str_]
    order: Ints

    def take(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[self.order]


def convert(
    paths: Sequence[str | PathLike[str]],
    mapping: Mapping | None = None,
    *,
    revolutions: str | PathLike[str] | None = None,
    common: bool = False,
) -> Converted:
    """Convert a rate table to a ScW table.

    Parameters
    ----------
    paths
        One file, or one file per band.
    mapping
        Known columns and units; the rest is guessed.
    revolutions
        Revolution table (`ridgebayes.convert.times.read_revolutions`), needed if the phase or the time is
        missing.
    common
        With several files: keep only the ScWs that are in all of them, instead of raising an error.

    Returns
    -------
    Converted
        Its table is sorted by SCW_ID; the order of rows in the source does not matter.

    Raises
    ------
    InputError
        If something is ambiguous or missing (the message gives the line to add to the mapping), or if a value
        is wrong (the message names the row).

    Examples
    --------
    >>> from ridgebayes.convert import BandColumns, Mapping, convert
    >>> soft = BandColumns("soft", 25.0, 60.0, rate="RATE", stat_err="STAT_ERR", element=1)
    >>> convert(["mission.fits"], Mapping(bands=(soft,))).scws.band_names
    ('soft',)
    """
    if not paths:
        raise InputError("no source given: name the file of the rates")
    calendar = None if revolutions is None else read_revolutions(revolutions)
    sources = [open_source(path, mapping.extension if mapping else None) for path in paths]
    with one_line(sources[0].path, "a rate table that can be converted"):
        found = guess(sources, mapping, revolutions=calendar is not None)
        found.refuse()
        for source in sources:
            set_units(source, found.mapping.units)
            known = str(found.mapping.columns["scw_id"])
            source.table = pointings_only(str(source.path), source.table, known)
        files = _join(sources, str(found.mapping.columns["scw_id"]), common)
        scws = _table(files, sources, found.mapping, calendar)
        validate(scws, str(sources[0].path))
        if _zero_guessed(sources[0], mapping, found.mapping):
            _check_zero(scws, found.mapping)
    doubts = [f"DOUBT: {source.doubt}" for source in sources if source.doubt] + _doubts(scws)
    doubts += [f"DOUBT: {doubt}" for doubt in found.doubts]
    return Converted(scws, found.mapping, found.notes + doubts, found.unused)


def _join(sources: Sequence[Source], name: str, common: bool) -> list[_File]:
    """Find the rows of every ScW in every file."""
    columns = [Columns(str(source.path), source.table) for source in sources]
    ids = [scw_ids(c, name) for c in columns]
    for c, own in zip(columns, ids, strict=True):
        check_ids(c.source, own)
        c.ids = own
    kept = ids[0]
    for own in ids[1:]:
        kept = np.intersect1d(kept, own)
    for c, own in zip(columns, ids, strict=True):
        alone = np.setdiff1d(own, kept)
        if alone.size and not common:
            raise InputError(
                f"{c.source}: {alone.size} ScWs are not in every file ({', '.join(alone[:3])}): "
                "add them to the others, or keep those that all have with common=True"
            )
    if kept.size == 0:
        raise InputError(f"{columns[0].source}: no ScW is in all files: give files of the same ScWs")
    kept = np.unique(kept)
    files = []
    for c, own in zip(columns, ids, strict=True):
        sorter = np.argsort(own)
        files.append(_File(c, own, sorter[np.searchsorted(own, kept, sorter=sorter)]))
    return files


def _table(
    files: list[_File], sources: Sequence[Source], mapping: Mapping, calendar: Revolutions | None
) -> ScWTable:
    first, known = files[0], mapping.columns
    columns, ids = first.columns, first.ids
    bands = tuple(Band(band.name, band.e_min, band.e_max) for band in mapping.bands)
    check_bands(columns.source, bands)
    shared = [_shared(file, mapping) for file in files]
    for file, other in zip(files[1:], shared[1:], strict=True):
        _check_agree(first, shared[0], file, other)
    exposure = shared[0]["exposure"]
    mjd, phase = _when(first, mapping, calendar, shared[0].get("mjd"))
    rates = [_rates_of(files[band.file - 1], band, exposure) for band in mapping.bands]
    rate, stat_err = np.stack([r[0] for r in rates], axis=1), np.stack([r[1] for r in rates], axis=1)
    tracer, tracer_err = (
        _tracer(first, str(known.get(key) or ""), exposure) for key in ("tracer", "tracer_err")
    )
    roll = None
    if name := str(known.get("roll") or ""):
        roll = known_roll(columns.source, name, to_degrees(columns, name, ids))
    return ScWTable(
        scw_id=first.take(ids),
        revolution=first.take(_revolution(columns, ids, str(known.get("revolution") or ""))),
        phase=phase,
        mjd=mjd,
        exposure=exposure,
        ra=shared[0]["ra"],
        dec=shared[0]["dec"],
        roll=None if roll is None else first.take(roll),
        rate=rate,
        stat_err=stat_err,
        tracer=tracer,
        tracer_err=None if tracer is None else tracer_err,
        crab=first.take(_crab(columns, ids, str(known.get("source") or ""))),
        bands=bands,
        meta=_meta(sources, mapping),
        truth=parse_truth(sources[0].path, sources[0].truth),
    )


def _shared(file: _File, mapping: Mapping) -> dict[str, Floats]:
    """Return the columns that files of different bands share, if this file has them, in the table's order."""
    columns, known = file.columns, mapping.columns
    values: dict[str, Floats] = {}
    if str(known["exposure"]) in columns:
        values["exposure"] = file.take(columns.scalars(str(known["exposure"]), u.s))
    lon, lat = ("ra", "dec") if known.get("ra") else ("lon", "lat")
    if str(known[lon]) in columns and str(known[lat]) in columns:
        frame = "galactic" if lon == "lon" else mapping.frame or "icrs"
        position = to_icrs(columns, str(known[lon]), str(known[lat]), frame, file.ids)
        values["ra"], values["dec"] = (file.take(angle) for angle in position)
    time = known.get("time") or ()
    names = [time] if isinstance(time, str) else list(time)
    if names and all(name in columns for name in names):
        system, scale = mapping.system or "mjd", mapping.scale or "tt"
        times = [to_mjd(columns, name, system, scale, file.ids, mapping.zero) for name in names]
        values["mjd"] = file.take(np.mean(times, axis=0))
    return values


def _check_agree(first: _File, one: dict[str, Floats], file: _File, other: dict[str, Floats]) -> None:
    for key, tolerance in _AGREE.items():
        if key not in other or key not in one:
            continue
        difference = np.abs(one[key] - other[key])
        if key == "ra":
            difference = np.minimum(difference, 360 - difference) * np.cos(np.radians(one["dec"]))
        same = ~(difference > tolerance)
        must = f"but {one[key][np.argmin(same)]:g} in {first.columns.source}"
        remedy = "give files of the same ScWs"
        check_rows(file.columns.source, file.take(file.ids), key.upper(), other[key], same, must, remedy)


def _when(
    file: _File, mapping: Mapping, calendar: Revolutions | None, mjd: Floats | None
) -> tuple[Floats, Floats]:
    """Return MJD (TT) and phase; if one is missing, compute it from the other."""
    columns, ids = file.columns, file.take(file.ids)
    name = str(mapping.columns.get("phase") or "")
    phase = file.take(columns.scalars(name, u.dimensionless_unscaled)) if name else None
    if mjd is not None and phase is not None:
        return mjd, phase
    if calendar is None or (mjd is None and phase is None):
        raise InputError(f"{columns.source}: time or phase is missing: give revolutions=..., a table of them")
    revolution = revolution_of(ids)
    if mjd is None:
        assert phase is not None
        inside = (phase >= 0) & (phase <= 1)
        check_rows(columns.source, ids, name, phase, inside, "must lie between 0 and 1", "mend the column")
        return calendar.mjd(columns.source, ids, revolution, phase), phase
    return mjd, calendar.phase(columns.source, ids, revolution, mjd)


def _quantity(file: _File, name: str, element: int | None, exposure: Floats) -> Floats:
    """Return rates, or counts divided by the exposure, cts/s, (N,)."""
    columns = file.columns
    given = str(getattr(columns.column(name), "unit", None) or "")
    counts = bool(given) and columns.unit(name, given, _RATE).is_equivalent(u.ct)
    values = columns.floats(name, u.ct if counts else _RATE)
    if values.ndim == 2 and element is not None:
        if element > values.shape[1]:
            raise InputError(f"{columns.source}: column {name} has no element {element}")
        values = values[:, element - 1]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise InputError(
            f"{columns.source}: column {name} has several elements a row: state element of its band"
        )
    values = file.take(values)
    return values / exposure if counts else values


def _rates_of(file: _File, band: BandColumns, exposure: Floats) -> tuple[Floats, Floats]:
    source, ids = file.columns.source, file.take(file.ids)
    check_rows(source, ids, "EXPOSURE", exposure, exposure > 0, "must be positive", "drop these ScWs")
    rate = _quantity(file, str(band.rate), band.element, exposure)
    if band.stat_err:
        return rate, _quantity(file, band.stat_err, band.element, exposure)
    must, remedy = "must be positive to have a counting error", "name a stat_err column, or drop these ScWs"
    check_rows(source, ids, str(band.rate), rate, rate > 0, must, remedy)
    return rate, np.sqrt(rate / exposure)  # √(rate · exposure) / exposure


def _tracer(file: _File, name: str, exposure: Floats) -> Floats | None:
    values = _quantity(file, name, None, exposure) if name else None
    if values is not None and np.isnan(values).all():
        _log.info("%s: column %s has no value: left out", file.columns.source, name)
        return None
    return values


def _revolution(columns: Columns, ids: NDArray[np.str_], name: str) -> Ints:
    expected = revolution_of(ids)
    if not name:
        return expected
    values = columns.scalars(name, u.dimensionless_unscaled)
    must = "is not what SCW_ID says"
    same = np.isnan(values) | (values == expected)  # a missing one follows from SCW_ID
    check_rows(columns.source, ids, name, values, same, must, "mend one of them")
    return expected


def _crab(columns: Columns, ids: NDArray[np.str_], name: str) -> Bools:
    if not name:
        return np.zeros(ids.size, dtype=np.bool_)
    remedy = 'mend the column, or put  source = ""  under [columns] if it means something else'
    return crab_flags(columns, ids, name, remedy)


def _meta(sources: Sequence[Source], mapping: Mapping) -> dict[str, Any]:
    path = sources[0].path
    stated = set()
    for source in sources:
        text = str(source.header.get("SIMUL", "")).strip().upper()
        if text not in ("", "NONE", *_TRUE, *_FALSE):
            raise InputError(f"{source.path}: SIMUL is '{text}': it must be T or F")
        if text in _TRUE or text in _FALSE:
            stated.add(text in _TRUE)
    if len(stated) > 1:
        raise InputError(f"{path}: simulated and real files cannot be in one table: convert them separately")
    simulated = stated.pop() if stated else mapping.simulated
    if mapping.simulated not in (None, simulated):
        raise InputError(f"{path}: SIMUL is {simulated}, not as the mapping says: leave simulated out of it")
    return {
        "origin": mapping.origin,
        "simulated": bool(simulated),
        "osa_version": mapping.osa_version,
        "path": str(path),
    }


def _zero_guessed(source: Source, given: Mapping | None, found: Mapping) -> bool:
    """Tell whether the zero of the times was guessed from their values alone."""
    if given is not None and (given.system is not None or given.zero is not None):
        return False
    time = found.columns.get("time") or ()
    names = [time] if isinstance(time, str) else list(time)
    if found.system not in ZERO or any(isinstance(source.table[name], Time) for name in names):
        return False
    named = all(str(found.system).upper() in normal(name).split("_") for name in names)
    return not named and header_zero(str(source.path), source.header, "d") is None


def _check_zero(scws: ScWTable, mapping: Mapping) -> None:
    """Raise an error if the guessed zero of the times contradicts the revolutions."""
    apart = float(np.median(mjd_at(scws.revolution, scws.phase) - scws.mjd))
    if abs(apart) > _CALENDAR_D:
        zero = (mapping.zero or ZERO.get(mapping.system or "mjd", 0.0)) + apart
        raise InputError(
            f"{scws.meta['path']}: the times are {abs(apart):.0f} d {'before' if apart > 0 else 'after'} the "
            f"revolutions of SCW_ID: put  zero = {zero:.0f}.0  with the MJD at which the time is 0, about "
            "this, under [time] in the mapping"
        )


def _doubts(scws: ScWTable) -> list[str]:
    """Return warnings about suspicious values of a converted table."""
    _, first = np.unique(scws.revolution, return_index=True)
    late = int(np.sum(np.diff(scws.mjd[first]) <= 0))
    said = (
        [f"DOUBT: {late} revolutions start before an earlier one: check SCW_ID and the time"] if late else []
    )
    apart = int(np.sum(np.abs(scws.mjd - mjd_at(scws.revolution, scws.phase)) > _CALENDAR_D))
    if apart:
        said.append(f"DOUBT: {apart} ScWs are not at the time of their revolution: check SCW_ID and the time")
    return said
