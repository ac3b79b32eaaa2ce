"""Conversion of the columns of a file to a ScWTable: identifiers, times, positions, bands and flags."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.errors import InputError, command
from ridgebayes.table.columns import Columns
from ridgebayes.table.headertime import header_scale, header_zero, unit_days
from ridgebayes.table.scw import Band, ScWTable
from ridgebayes.table.truth import parse_truth, side_truth
from ridgebayes.table.validation import (
    MISSION,
    check_bands,
    check_ids,
    check_rows,
    revolution_of,
    validate,
)

_log = logging.getLogger(__name__)
_RATE = u.ct / u.s
_SCREEN_BITS = 62  # bits of a signed 64-bit integer
_REQUIRED = ("SCW_ID", "PHASE", "MJD", "EXPOSURE", "RA", "DEC", "RATE", "STAT_ERR")


@dataclass
class Raw:
    """Content of a file before conversion of units and validation."""

    table: Table
    ebounds: Table | None
    header: Mapping[str, Any] = field(default_factory=dict)
    truth: str | None = None  # JSON


def ebounds_file(path: Path) -> Path:
    """Return the path of the side file with bands, for formats that cannot store them."""
    return path.with_suffix(".ebounds.ecsv")


def assembled(path: Path, kind: str, raw: Raw) -> ScWTable:
    """Build a validated table from the content of a file."""
    source = str(path)
    columns = Columns(source, raw.table)
    otherwise = command("convert", source, "--out", "NEW.fits")
    columns.remedy = f"add it, rename one, or make a ScW table of it: {otherwise}"
    if not any(name in columns for name in _REQUIRED):
        raise InputError(f"{source}: not a ScW table: it has none of the columns {', '.join(_REQUIRED)}")
    if len(raw.table) == 0:
        raise InputError(f"{source}: the table has no rows: give at least one ScW")
    ids = columns.ids = _ids(columns)
    check_ids(source, ids)
    bands = _bands(path, kind, raw.ebounds)
    columns.bands = [band.name for band in bands]
    ra, dec = _position(columns, ids)
    tracer = columns.optional("TRACER", _RATE)
    empty = tracer is None and "TRACER" in columns
    scws = ScWTable(
        scw_id=ids,
        revolution=_revolution(columns, ids),
        phase=columns.scalars("PHASE", u.dimensionless_unscaled),
        mjd=_mjd(columns, raw.header),
        exposure=columns.scalars("EXPOSURE", u.s),
        ra=ra,
        dec=dec,
        roll=known_roll(source, "ROLL", columns.scalars("ROLL", u.deg)) if "ROLL" in columns else None,
        rate=_per_band(columns, "RATE", bands),
        stat_err=_per_band(columns, "STAT_ERR", bands),
        tracer=tracer,
        tracer_err=None if empty else columns.optional("TRACER_ERR", _RATE),
        crab=_crab(columns, ids),
        screen=_screen(columns, ids),
        bands=bands,
        meta=header_meta(raw.header) | _screening(columns, raw.header) | {"path": source},
        truth=parse_truth(path, raw.truth if kind == "fits" else side_truth(path)),
    )
    validate(scws, source)
    return scws


def _ids(columns: Columns) -> NDArray[np.str_]:
    values, missing = columns.get("SCW_ID")
    if values.dtype.kind == "f":  # readers convert integers with missing values to floats
        whole = (values >= 0) & (values < 1e12) & (values == np.round(values))
        if (whole | missing).all():
            values = np.where(missing, 0, values).astype(np.int64)
    if values.dtype.kind in "iu":
        return np.where(missing, "", np.char.zfill(values.astype(str), 12))
    return columns.text("SCW_ID")


def _revolution(columns: Columns, ids: NDArray[np.str_]) -> NDArray[np.int64]:
    expected = revolution_of(ids)
    if "REVOL" not in columns:
        return expected
    values = columns.scalars("REVOL", u.dimensionless_unscaled)
    gaps = np.isnan(values)
    if gaps.any():
        _log.info(
            "%s: REVOL is missing in %d of %d rows: taken from SCW_ID", columns.source, gaps.sum(), ids.size
        )
    values = np.where(gaps, expected, values)
    whole = np.isfinite(values) & (values == np.round(values))
    remedy = "mend it or leave out REVOL"
    check_rows(columns.source, ids, "REVOL", values, whole, "must be a whole number", remedy)
    return values.astype(np.int64)


def _mjd(columns: Columns, header: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return times as MJD (TT), with zero and scale from the header if given."""
    column = columns.column("MJD")
    if isinstance(column, Time):
        return columns.scalars("MJD", u.d)
    stored, _ = columns.get("MJD")
    if stored.dtype.kind == "M" or (stored.dtype.kind in "SU" and _dates(columns.text("MJD"))):
        otherwise = command("convert", columns.source, "--out", "NEW.fits")
        raise InputError(f"{columns.source}: MJD holds dates, not days: make a ScW table of it: {otherwise}")
    values = columns.scalars("MJD", u.d)
    if stored.dtype.kind == "f" and stored.dtype.itemsize < 8:
        step = float(np.spacing(np.nanmax(np.abs(stored), initial=0.0))) * 86400.0
        what = "%s: MJD has numbers of %d bits: times are known to %.0f s, the order of ScWs too"
        _log.warning(what, columns.source, 8 * stored.dtype.itemsize, step)
    if np.mean(_in_mission(values)) < 0.5 and np.isfinite(values).any():
        unit = str(getattr(column, "unit", None) or "")
        zero = header_zero(columns.source, header, unit or "d")
        values = values if unit else values * unit_days(columns.source, header, "d")
        if zero is not None and np.mean(_in_mission(values + zero)) > 0.5:
            _log.info("%s: MJD counts from MJD %.10g, from the header", columns.source, zero)
            values = values + zero
    scale = header_scale(header)
    if scale == "":
        raise InputError(f"{columns.source}: TIMESYS is {header['TIMESYS']!r}: give times in TT, and say so")
    inside = _in_mission(values)
    if scale not in (None, "tt") and inside.any():
        _log.info("%s: MJD is in %s (TIMESYS): turned into TT", columns.source, str(scale).upper())
        whole = np.floor(values[inside])
        values = values.copy()
        values[inside] = Time(whole, values[inside] - whole, format="mjd", scale=scale).tt.mjd
    return values


def _dates(text: NDArray[np.str_]) -> bool:
    """Return True if texts look like 2010-01-31."""
    return any(re.match(r"\d{4}-\d\d", cell) for cell in text.ravel().tolist())


def _in_mission(mjd: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (mjd > MISSION[0]) & (mjd < MISSION[1])


def _position(columns: Columns, ids: NDArray[np.str_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if "RA" in columns or "DEC" in columns or not ("LON" in columns and "LAT" in columns):
        return columns.scalars("RA", u.deg), columns.scalars("DEC", u.deg)
    lon, lat = columns.scalars("LON", u.deg), columns.scalars("LAT", u.deg)
    must, remedy = "must lie between -90 and 90 degrees", "drop these ScWs or mend the column"
    # Errors of SkyCoord do not name the row.
    check_rows(columns.source, ids, "LAT", lat, np.abs(lat) <= 90, must, remedy)
    check_rows(columns.source, ids, "LON", lon, np.isfinite(lon), "must be finite", remedy)
    icrs = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
    return icrs.ra.deg, icrs.dec.deg


def _per_band(columns: Columns, name: str, bands: tuple[Band, ...]) -> NDArray[np.float64]:
    if name in columns:
        values = columns.floats(name, _RATE)
        values = values[:, np.newaxis] if values.ndim == 1 else values
        if values.shape[1:] != (len(bands),):
            raise InputError(
                f"{columns.source}: column {name} has {values[0].size} elements a row, EBOUNDS {len(bands)} "
                "bands: give one row of EBOUNDS a band"
            )
        return values
    known = {f"{name}_{band.name}".upper() for band in bands}
    for column in columns.names:
        if column.startswith(f"{name}_") and column not in known:
            raise InputError(f"{columns.source}: column {column} is of a band without EBOUNDS: add it there")
    if not any(column in columns for column in known):
        columns.get(name)  # also missing: raise for the vector column, which is simpler to add
    return np.stack([columns.scalars(f"{name}_{band.name}", _RATE) for band in bands], axis=1)


def _bands(path: Path, kind: str, ebounds: Table | None) -> tuple[Band, ...]:
    if ebounds is None:
        place = {"fits": "an extension EBOUNDS", "ecsv": "EBOUNDS to the meta of the header"}
        where = place.get(kind, f"the side file {ebounds_file(path).name}")
        raise InputError(f"{path}: bands without EBOUNDS: add {where} with BAND, E_MIN, E_MAX (keV)")
    columns = Columns(f"{path}: EBOUNDS", ebounds)
    low, high = columns.scalars("E_MIN", u.keV), columns.scalars("E_MAX", u.keV)
    edges = zip(columns.text("BAND"), low, high, strict=True)
    bands = tuple(Band(str(name), float(e_min), float(e_max)) for name, e_min, e_max in edges)
    check_bands(str(path), bands)
    return bands


def _crab(columns: Columns, ids: NDArray[np.str_]) -> NDArray[np.bool_]:
    names = [name for name in ("SOURCE", "CRAB") if name in columns]
    if not names:
        return np.zeros(ids.size, dtype=np.bool_)
    remedy = "mend the column, or rename it where it is of something else"
    crab, *other = (crab_flags(columns, ids, name, remedy) for name in names)
    for flag in other:
        must, remedy = "SOURCE says the opposite", "mend one of them, or leave out CRAB"
        check_rows(columns.source, ids, "CRAB", flag.astype(np.str_), flag == crab, must, remedy)
    return crab


def crab_flags(columns: Columns, ids: NDArray[np.str_], name: str, remedy: str) -> NDArray[np.bool_]:
    """Return True where the Crab was not removed, (N,), from a column of names, booleans or numbers."""
    text = columns.flags(name)
    lower = np.char.lower(text)
    crab = np.isin(lower, ("crab", "true", "1", "t", "yes", "y"))
    ok = crab | np.isin(lower, ("", "false", "0", "f", "no", "n"))
    must = "must be 'Crab' (or true) where the Crab was not removed, else empty"
    check_rows(columns.source, ids, name, text, ok, must, remedy)
    return crab


def known_roll(source: str, name: str, roll: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the position angles, (N,) degrees; if one is missing, log a line and return None."""
    gaps = np.isnan(roll)
    if not gaps.any():
        return roll
    what = "%s: column %s is missing in %d of %d ScWs: left out, the response is averaged over roll"
    _log.info(what, source, name, gaps.sum(), gaps.size)
    return None


def _screen(columns: Columns, ids: NDArray[np.str_]) -> NDArray[np.int64] | None:
    if "SCREEN" not in columns:
        return None
    flags = columns.scalars("SCREEN", u.dimensionless_unscaled)
    whole = (flags >= 0) & (flags < 2.0**53) & (flags == np.floor(flags))  # exact in float64
    remedy = "screen the table again, or leave the column out"
    check_rows(columns.source, ids, "SCREEN", flags, whole, "must be bits, a whole number from 0", remedy)
    return flags.astype(np.int64)


def _screening(columns: Columns, header: Mapping[str, Any]) -> dict[str, Any]:
    if "SCREEN" not in columns:
        return {}
    cuts = {
        str(header[f"SCRBIT{bit}"]): {"bit": bit, "log": str(header.get(f"SCRLOG{bit}", ""))}
        for bit in range(_SCREEN_BITS)
        if f"SCRBIT{bit}" in header
    }
    return {"screening": cuts}


def header_meta(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return origin, OSA version and the flag for simulated data from the header of a table."""
    origin, osa, simulated = (header.get(key) for key in ("ORIGIN", "OSAVER", "SIMUL"))
    return {
        "origin": None if origin is None else str(origin),
        "simulated": str(simulated).upper() in ("TRUE", "T", "1"),
        "osa_version": None if osa is None else str(osa),
    }
