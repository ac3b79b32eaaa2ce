"""Event lists of ISGRI on disk, as the archive and OSA write them (ISGR-EVTS-ALL with IBIS-GNRL-GTI)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray

from ridgebayes.errors import InputError
from ridgebayes.io.bounded import one_line, open_fits
from ridgebayes.io.fits_table import stored_nulls
from ridgebayes.table.headertime import header_scale, header_zero
from ridgebayes.table.validation import MISSION
from ridgebayes.typing import Bools, Floats, Ints

SHAPE = (134, 130)
"""Rows (DETZ) and columns (DETY) of a detector image; pixel (z, y) has the number 130 z + y."""

FULL_DETECTOR = 128 * 128
"""Number of detector pixels; the other pixels of an image lie in gaps between its eight modules."""

EVENTS = "ISGR-EVTS-ALL"
GTI = "IBIS-GNRL-GTI"
GROUP = "GROUPING"
_log = logging.getLogger(__name__)

_TO_DAYS = {"d": 1.0, "day": 1.0, "s": 1 / 86400.0}


@dataclass(frozen=True, eq=False)
class EventList:
    """Events of one ScW, sorted by time.

    Parameters
    ----------
    source
        File name, for messages.
    scw_id
        12 digits.
    time
        (N,) seconds since `start`.
    energy
        (N,) keV.
    pixel
        (N,) pixel number, 130 DETZ + DETY.
    selected
        (N,) True where SELECT_FLAG is 0: neither a noisy pixel nor a calibration event.
    gti
        (G, 2) good time intervals, seconds since `start`, sorted, not overlapping.
    start
        Start of the first good time interval, MJD (TT).
    ra, dec, roll
        Pointing (spacecraft X axis) and position angle of the spacecraft Z axis, degrees; NaN where the
        header does not say.
    live
        Live fraction of the good time (keywords DEADC, or LIVETIME and ONTIME); None if not given.
    simulated
        True if the keyword SIMUL is T.

    Examples
    --------
    >>> from ridgebayes.events import read_events
    >>> events = read_events("isgri_events.fits")
    >>> events.scw_id, events.time.shape == events.energy.shape
    ('255900280010', True)
    """

    source: str
    scw_id: str
    time: Floats
    energy: Floats
    pixel: Ints
    selected: Bools
    gti: Floats
    start: float
    ra: float = np.nan
    dec: float = np.nan
    roll: float = np.nan
    live: float | None = None
    simulated: bool = False

    @property
    def mjd(self) -> float:
        """Midpoint between the first and the last moment of good time, MJD (TT)."""
        return self.start + 0.5 * float(self.gti[0, 0] + self.gti[-1, 1]) / 86400.0


def read_events(path: str | PathLike[str]) -> EventList:
    """Read an event list, FITS or gzipped FITS.

    Extension ISGR-EVTS-ALL with columns TIME, ISGRI_ENERGY, DETY, DETZ and (optional) SELECT_FLAG, keywords
    SWID, MJDREF, TIMESYS and (optional) SW_TYPE, RA_SCX, DEC_SCX, RA_SCZ, DEC_SCZ, DEADC, LIVETIME, ONTIME;
    extension IBIS-GNRL-GTI with START and STOP. Without this extension TSTART to TSTOP is good time.

    Raises
    ------
    InputError
        If the file is missing or truncated, lacks an extension, column or keyword, has no events or no good
        time, or a value is impossible.

    Examples
    --------
    >>> from ridgebayes.events import read_events
    >>> events = read_events("isgri_events.fits")
    >>> events.scw_id, round(events.mjd, 2)
    ('255900280010', 59864.25)
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: no such file: check the name")
    with one_line(path, "an ISGRI event list in FITS"):
        return _read(path)


def _read(path: Path) -> EventList:
    with ExitStack() as stack:
        hdus = list(stack.enter_context(open_fits(path)))
        hdus += [hdu for file in _members(path, hdus) for hdu in stack.enter_context(open_fits(file))]
        table = _table(path, hdus, EVENTS)
        header = table.header
        scw_id = _scw_id(path, header)
        zero = _mjd_zero(path, header, table)
        days = _column(path, table, "TIME") * _days(path, table, "TIME")
        energy = _column(path, table, "ISGRI_ENERGY")
        pixel = _pixels(path, table)
        selected = np.ones(days.size, np.bool_)
        if "SELECT_FLAG" in table.columns.names:
            selected = _column(path, table, "SELECT_FLAG") == 0
        spans = _good_days(path, hdus, header)
    if days.size == 0:
        raise InputError(f"{path}: {EVENTS} has no events: leave this ScW out")
    if not (np.isfinite(days).all() and np.isfinite(energy).all()):
        raise InputError(f"{path}: TIME or ISGRI_ENERGY is not finite: make the event list again")
    first = float(spans[0, 0])
    if not (MISSION[0] < zero + first and zero + float(spans[-1, 1]) < MISSION[1]):
        raise InputError(f"{path}: good time at MJD {zero + first:g} is outside the mission: check MJDREF")
    if days.max() < first or days.min() > spans[-1, 1]:
        raise InputError(f"{path}: no event lies in the good time of {GTI}: check their TIME and START")
    order = slice(None) if bool((np.diff(days) >= 0).all()) else np.argsort(days, kind="stable")
    ra, dec, roll = _pointing(path, header)
    return EventList(
        source=str(path),
        scw_id=scw_id,
        time=((days - first) * 86400.0)[order],
        energy=energy[order],
        pixel=pixel[order],
        selected=selected[order],
        gti=(spans - first) * 86400.0,
        start=zero + first,
        ra=ra,
        dec=dec,
        roll=roll,
        live=_live_fraction(path, header),
        simulated=header.get("SIMUL") is True,
    )


def _members(path: Path, hdus: Sequence[Any]) -> list[Path]:
    """Files with events and good time that an ISDC group refers to."""
    names = {hdu.name.upper() for hdu in hdus}
    group = next(
        (hdu for hdu in hdus if hdu.name.upper() == GROUP and isinstance(hdu, fits.BinTableHDU)), None
    )
    if EVENTS in names or group is None or "MEMBER_LOCATION" not in group.columns.names:
        return []
    found: dict[Path, None] = {}
    for name, place in zip(group.data["MEMBER_NAME"], group.data["MEMBER_LOCATION"], strict=True):
        if str(name).strip().upper() not in (EVENTS, GTI):
            continue
        file = path.parent / str(place).strip()
        packed = file.with_name(file.name + ".gz")
        if not file.is_file() and not packed.is_file():
            raise InputError(f"{path}: names {file.name} for {name}, which is not beside it: add it")
        found[file if file.is_file() else packed] = None
    if found:
        _log.info("%s: a group; read are %s", path.name, ", ".join(file.name for file in found))
    return list(found)


def _table(path: Path, hdus: Sequence[Any], name: str) -> fits.BinTableHDU:
    found = [hdu for hdu in hdus if hdu.name.upper() == name]
    if name == GTI and len(found) > 1:
        found = [_merged(path, found)]
    if not found or not isinstance(found[0], fits.BinTableHDU):
        names = ", ".join(hdu.name for hdu in hdus[1:]) or "none"
        raise InputError(f"{path}: no table extension {name} (there are: {names}): give an ISGRI event list")
    return found[0]


def _merged(path: Path, tables: Sequence[Any]) -> Any:
    """Return the list of good time that contains all others."""
    titles = [str(t.header.get("GTI_NAME") or "").strip().upper() for t in tables]
    merged = [t for t, title in zip(tables, titles, strict=True) if "MERGED" in title]
    isgri = [t for t in merged if "ISGRI" in str(t.header["GTI_NAME"]).upper()]
    if len(chosen := isgri or merged) != 1:
        listed = ", ".join(title or "no GTI_NAME" for title in titles)
        raise InputError(
            f"{path}: {len(tables)} extensions {GTI} ({listed}): keep the one that counts, or name it "
            "MERGED_ISGRI (keyword GTI_NAME)"
        )
    _log.info("%s: of %d extensions %s, %s counts", path.name, len(tables), GTI, chosen[0].header["GTI_NAME"])
    return chosen[0]


def _column(path: Path, table: fits.BinTableHDU, name: str) -> NDArray[Any]:
    if name not in table.columns.names:
        raise InputError(f"{path}: {table.name} has no column {name}: give an event list with energies")
    values = np.asarray(table.data[name])
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise InputError(f"{path}: {table.name}: column {name} is not one number a row: make the list again")
    missing = stored_nulls(table, name)
    if missing is not None and missing.any():
        row = int(np.argmax(missing))
        raise InputError(
            f"{path}: {table.name} row {row + 1}: {name} is missing (null): make the list again, or leave "
            "these rows out"
        )
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _days(path: Path, table: fits.BinTableHDU, name: str) -> float:
    unit = str(table.columns[name].unit or "d").strip().lower()
    if unit not in _TO_DAYS:
        raise InputError(f"{path}: {table.name}: {name} is in '{unit}': give it in d or s")
    return _TO_DAYS[unit]


def _number(path: Path, header: Mapping[str, Any], key: str) -> float | None:
    value = header.get(key)
    if value is None or isinstance(value, fits.card.Undefined):
        return None
    if isinstance(value, str | bool) or not np.isfinite(value):
        raise InputError(f"{path}: keyword {key} is {value!r}, not a number: mend it")
    return float(value)


def _pixels(path: Path, table: fits.BinTableHDU) -> Ints:
    z, y = (_column(path, table, name) for name in ("DETZ", "DETY"))
    inside = (z >= 0) & (z < SHAPE[0]) & (y >= 0) & (y < SHAPE[1])
    if not inside.all():
        row = int(np.argmin(inside))
        raise InputError(
            f"{path}: {EVENTS} row {row + 1}: DETY {y[row]}, DETZ {z[row]} lie outside the detector's "
            f"{SHAPE[1]} × {SHAPE[0]} image: make the list again"
        )
    return (z * SHAPE[1] + y).astype(np.int64)


def _scw_id(path: Path, header: Mapping[str, Any]) -> str:
    scw_id = str(header.get("SWID", "")).strip()
    if len(scw_id) != 12 or not (scw_id.isascii() and scw_id.isdigit()):
        shown = f"is '{scw_id}'" if scw_id else "is missing"
        raise InputError(f"{path}: keyword SWID {shown}, must be 12 digits like 025900280010: add it")
    by_id = {"1": "SLEW", "2": "ENGINEERING"}.get(scw_id[-1], "POINTING")
    kind = str(header.get("SW_TYPE") or by_id).strip().upper()
    if kind != "POINTING":
        raise InputError(f"{path}: SW_TYPE is {kind}, which has no one pointing: give pointings only")
    revolution = _number(path, header, "REVOL")
    if revolution is not None and revolution != int(scw_id[:4]):
        raise InputError(f"{path}: REVOL is {revolution:g} but SWID {scw_id}: mend one")
    return scw_id


def _mjd_zero(path: Path, header: Mapping[str, Any], table: fits.BinTableHDU) -> float:
    if header_scale(header) not in (None, "tt"):
        raise InputError(f"{path}: TIMESYS is {header['TIMESYS']}: give times in TT")
    unit = table.columns["TIME"].unit if "TIME" in table.columns.names else "d"
    zero = header_zero(str(path), header, str(unit or "d"))
    if zero is None:
        raise InputError(f"{path}: keyword MJDREF is missing: add it (51544 for INTEGRAL days)")
    return zero


def _good_days(path: Path, hdus: Sequence[Any], header: Mapping[str, Any]) -> Floats:
    """Good time intervals in days, sorted and merged."""
    if any(hdu.name.upper() == GTI for hdu in hdus):
        table = _table(path, hdus, GTI)
        start = _column(path, table, "START") * _days(path, table, "START")
        stop = _column(path, table, "STOP") * _days(path, table, "STOP")
    else:
        ends = [_number(path, header, key) for key in ("TSTART", "TSTOP")]
        if ends[0] is None or ends[1] is None:
            raise InputError(f"{path}: no extension {GTI} and no TSTART, TSTOP: give one of them")
        start, stop = np.array(ends[:1], float), np.array(ends[1:], float)
    spans = merged(np.stack([start, stop], axis=1))
    if spans.size == 0:
        raise InputError(f"{path}: {GTI} holds no good time: leave this ScW out")
    return spans


def merged(spans: Floats) -> Floats:
    """Sort intervals (G, 2), join those that touch, and drop empty or non-finite ones."""
    spans = spans[np.isfinite(spans).all(axis=1) & (spans[:, 1] > spans[:, 0])]
    joined: list[list[float]] = []
    for start, stop in spans[np.argsort(spans[:, 0], kind="stable")].tolist():
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], stop)
        else:
            joined.append([start, stop])
    return np.array(joined, np.float64).reshape(-1, 2)


def _pointing(path: Path, header: Mapping[str, Any]) -> tuple[float, float, float]:
    """Pointing and roll in degrees. FK5 is taken for ICRS, as they differ by milliarcseconds."""
    ra, dec, ra_z, dec_z = (_number(path, header, k) for k in ("RA_SCX", "DEC_SCX", "RA_SCZ", "DEC_SCZ"))
    if ra is None or dec is None:
        return np.nan, np.nan, np.nan
    for key, value in (("DEC_SCX", dec), ("DEC_SCZ", dec_z)):
        if value is not None and abs(value) > 90:
            raise InputError(f"{path}: {key} is {value:g}, must lie between -90 and 90: mend it")
    roll = np.nan if ra_z is None or dec_z is None else float(position_angle(ra, dec, ra_z, dec_z))
    return ra % 360.0, dec, roll


def position_angle(ra: ArrayLike, dec: ArrayLike, to_ra: ArrayLike, to_dec: ArrayLike) -> Floats:
    """Position angle of a second position seen from the first, north through east, degrees in [0, 360)."""
    a, d, b, e = (np.deg2rad(x) for x in (ra, dec, to_ra, to_dec))
    east = np.cos(e) * np.sin(b - a)
    north = np.sin(e) * np.cos(d) - np.cos(e) * np.sin(d) * np.cos(b - a)
    return np.asarray(np.rad2deg(np.arctan2(east, north)) % 360.0)


def _live_fraction(path: Path, header: Mapping[str, Any]) -> float | None:
    live = _number(path, header, "DEADC")
    if live is None:
        livetime, ontime = _number(path, header, "LIVETIME"), _number(path, header, "ONTIME")
        live = livetime / ontime if livetime is not None and ontime else None
    if live is not None and not 0 < live <= 1:
        raise InputError(f"{path}: live fraction (DEADC or LIVETIME/ONTIME) is {live:g}, must be in (0, 1]")
    return live
