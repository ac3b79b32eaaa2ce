"""ScW tables on disk: FITS, ECSV, CSV and Parquet, to and from a ScWTable.

Every reader hands over the same four things (`_Raw`), so a format is a few lines and all share the conversion
of columns, units and bands.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.errors import InputError, command, nearest
from ridgebayes.io import bounded
from ridgebayes.io.atomic import whole_files
from ridgebayes.io.bounded import one_line, text_of, write_fits
from ridgebayes.io.fits_table import fits_table
from ridgebayes.table.headertime import header_scale, header_zero, unit_days
from ridgebayes.table.missing import split
from ridgebayes.table.scw import Band, ScWTable
from ridgebayes.table.validation import (
    MISSION,
    Columns,
    check_bands,
    check_ids,
    check_rows,
    revolution_of,
    validate,
)

_SUFFIXES = dict.fromkeys((".fits", ".fit", ".fts"), "fits") | dict.fromkeys((".parquet", ".pq"), "parquet")
_SUFFIXES |= {".ecsv": "ecsv", ".csv": "csv"}
_RATE = u.ct / u.s
_PIECE = 80  # characters of the truth in a row
_SCREEN_BITS = 62  # of a signed 64-bit integer
_log = logging.getLogger(__name__)
_REQUIRED = ("SCW_ID", "PHASE", "MJD", "EXPOSURE", "RA", "DEC", "RATE", "STAT_ERR")


@dataclass
class _Raw:
    """What a file holds, before units and checks."""

    table: Table
    ebounds: Table | None
    header: Mapping[str, Any] = field(default_factory=dict)
    truth: str | None = None  # JSON


def read_scws(path: str | PathLike[str], *, format: str | None = None, screened: bool = True) -> ScWTable:
    """Read and validate a ScW rate table.

    Columns (names in any case): SCW_ID, PHASE, MJD, EXPOSURE, RA and DEC (or LON and LAT, galactic), RATE and
    STAT_ERR with one element a band (or RATE_<BAND> and STAT_ERR_<BAND>); optional REVOL, ROLL, TRACER,
    TRACER_ERR, SOURCE, SCREEN. Columns are converted from their own unit; a column without one is taken to
    be in the unit of :class:`ScWTable`. The bands come from the extension EBOUNDS (FITS), the key EBOUNDS of
    the header (ECSV) or the side file ``<stem>.ebounds.ecsv`` (CSV, Parquet); the truth of a simulation from
    the extension TRUTH (FITS) or the side file ``<stem>.truth.json``. :mod:`ridgebayes.convert` reads other
    tables.

    Parameters
    ----------
    path
        FITS (also gzipped), ECSV, CSV or Parquet file.
    format
        ``fits``, ``ecsv``, ``csv`` or ``parquet``; None: from the file name.
    screened
        Leave out the rows whose SCREEN is not 0 (``ridgebayes screen``); False: all rows, with their flags.

    Raises
    ------
    InputError
        When the file cannot be read or holds something that cannot be used: one line that names the file, the
        row or column, and the remedy.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> scws = rb.read_scws("mission.fits")
    >>> scws.band_names
    ('A01',)
    """
    path = Path(path).expanduser()
    if format is not None and format not in _FORMATS:
        raise InputError(f"{path}: unknown format '{format}'{nearest(format, _FORMATS)}")
    if not path.exists():
        raise InputError(f"{path}: no such file: check the name")
    if path.is_dir():
        raise InputError(f"{path}: is a directory: name the file of the ScW table")
    kind = format or _format(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes): write or download it again")
    with one_line(path, f"a ScW table in {kind}"):
        scws = _assemble(path, kind, _FORMATS[kind][0](path))
    return _kept(path, scws) if screened and scws.screen is not None else scws


def write_scws(scws: ScWTable, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write a ScW rate table so that :func:`read_scws` gives it back exactly.

    The format follows from the file name, as in :func:`read_scws`. Files appear complete or not at all.

    Parameters
    ----------
    scws
        The table; it is validated first.
    path
        Where to: .fits, .fits.gz, .ecsv, .csv or .parquet.
    overwrite
        Replace files that exist.

    Raises
    ------
    InputError
        When the table is not valid, a file exists without `overwrite`, or the folder is not writable.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> scws = rb.read_scws("mission.fits")
    >>> rb.write_scws(scws.select(scws.revolution > 2000), "late.fits")
    >>> rb.write_scws(scws, "late.fits")
    Traceback (most recent call last):
    ridgebayes.errors.InputError: late.fits: exists already: choose another name or set overwrite
    """
    path = Path(path).expanduser()
    kind = _format(path)
    scws = scws.without_tracer_bands()
    validate(scws, source=f"{path} (to be written)")
    if path.is_dir():
        raise InputError(f"{path}: is a directory: name a file to write")
    sides = {"fits": [], "ecsv": [_truth_file(path)]}.get(kind, [_truth_file(path), _ebounds_file(path)])
    for file in (path, *sides):
        if file.exists() and not overwrite:
            raise InputError(f"{file}: exists already: choose another name or set overwrite")
    if not path.parent.is_dir():
        raise InputError(f"{path}: folder {path.parent} does not exist: create it first")
    truth = _truth_text(scws, path)
    with whole_files(*sides, path) as scratch:
        _FORMATS[kind][1](scws, scratch[-1], truth)
        if truth is not None and kind != "fits":
            _truth_file(scratch[-1]).write_text(truth, encoding="utf-8")


def _kept(path: Path, scws: ScWTable) -> ScWTable:
    """Leave out the flagged rows, and remember how many."""
    assert scws.screen is not None
    out = scws.screen != 0
    if out.all():
        undo = command("screen", path, "--undo", "--out", "NEW.fits")
        raise InputError(f"{path}: SCREEN flags all {len(scws)} ScWs: take the flags back: {undo}")
    cuts = scws.meta.get("screening", {})
    count = {name: int(np.sum(scws.screen >> cut["bit"] & 1)) for name, cut in cuts.items()}
    if out.any():
        _log.info("%s: %d of %d ScWs left out (SCREEN)", path, out.sum(), len(scws))
    kept = scws.select(~out)
    meta = kept.meta | {"left_out": {"ScWs": int(out.sum())} | count}
    return replace(kept, screen=None, meta=meta)


def _format(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes[-1:] == [".gz"] and _SUFFIXES.get("".join(suffixes[-2:-1])) == "fits":
        return "fits"
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: unknown kind of file: name it .fits, .fits.gz, .ecsv, .csv or .parquet")
    return kind


def _ebounds_file(path: Path) -> Path:
    return path.with_suffix(".ebounds.ecsv")


def _truth_file(path: Path) -> Path:
    return path.with_suffix(".truth.json")


def _read_fits(path: Path) -> _Raw:
    with bounded.open_fits(path) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
        by_name = {hdu.name.upper(): hdu for hdu in reversed(tables)}
        if not tables:
            raise InputError(f"{path}: not a ScW table: the FITS file has no table extension")
        scw, ebounds, truth = by_name.get("SCW", tables[0]), by_name.get("EBOUNDS"), by_name.get("TRUTH")
        header = dict(hdus[0].header) | dict(scw.header)
        return _Raw(
            fits_table(scw),
            None if ebounds is None else fits_table(ebounds),
            header,
            None if truth is None else joined(truth),
        )


def joined(hdu: fits.BinTableHDU) -> str:
    """Put the pieces of a TRUTH together."""
    # FITS drops the blanks at the end of a piece; all but the last piece were full.
    return "".join(np.char.ljust(np.array(hdu.data.field(0)), hdu.columns[0].dtype.itemsize).tolist())


def _read_ecsv(path: Path) -> _Raw:
    table = Table.read(text_of(path), encoding="utf-8", format="ascii.ecsv")
    header = {str(key).upper(): value for key, value in table.meta.items()}
    ebounds = header.get("EBOUNDS")
    return _Raw(table, None if ebounds is None else Table(dict(ebounds)), header)


def _read_csv(path: Path) -> _Raw:
    return _with_sides(path, Table.read(text_of(path), encoding="utf-8", format="ascii.csv"))


def _read_parquet(path: Path) -> _Raw:
    return _with_sides(path, parquet_table(path))


def parquet_table(path: Path) -> Table:
    """Read a Parquet file, with missing strings and categories, which astropy does not read."""
    _need_pyarrow(path)
    import pyarrow as pa
    from pyarrow import parquet

    about = parquet.read_metadata(path)
    if (
        about.num_rows * about.num_columns * 8 > bounded.UNPACKED_LIMIT
    ):  # a repeated value takes no room in the file
        raise InputError(
            f"{path}: holds more than {bounded.UNPACKED_LIMIT / 2**30:g} GiB when unpacked: split it"
        )
    arrow = parquet.read_table(path)
    unread = [f.name for f in arrow.schema if _unread(f.type, arrow[f.name].null_count, pa)]
    table = Table.read(path, format="parquet", exclude_names=unread)
    for name in (f.name for f in arrow.schema if f.name in unread or arrow[f.name].null_count):
        if name in table.colnames and not isinstance(table[name], Column):
            continue  # part of a Time or Quantity, where NaN is missing
        unit = getattr(table[name], "unit", None) if name in table.colnames else None
        column = arrow[name]
        if pa.types.is_dictionary(column.type) or pa.types.is_null(column.type):
            column = column.cast(pa.string())
        values, missing = split(_elements(path, name, column.to_pylist()))
        table[name] = MaskedColumn(values, mask=missing, unit=unit)
    return table


def _elements(path: Path, name: str, rows: list[Any]) -> NDArray[np.object_]:
    """Return the cells of a column of lists, numbers or text, None where there is none."""
    lengths = {len(row) for row in rows if isinstance(row, list)}
    if len(lengths) > 1:
        raise InputError(
            f"{path}: column {name} holds lists of variable length, {min(lengths)} to {max(lengths)} "
            "elements a row: write it with the same number in every row"
        )
    shape = (len(rows), *lengths)
    cells = np.full(shape, None, dtype=object)
    for k, row in enumerate(rows):
        if row is not None:
            cells[k] = float(row) if isinstance(row, Decimal) else row
    return cells


def _unread(kind: Any, nulls: int, pa: Any) -> bool:
    """Whether astropy does not read a column of an Arrow type."""
    tests = [pa.types.is_null, pa.types.is_dictionary, pa.types.is_nested, pa.types.is_decimal]
    if nulls:
        tests += [pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary]
        tests += [getattr(pa.types, f"is_{name}_view", _never) for name in ("string", "binary")]
    return any(test(kind) for test in tests)


def _never(kind: Any) -> bool:
    return False


def _need_pyarrow(path: Path) -> None:
    if find_spec("pyarrow") is None:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install 'ridgebayes[parquet]'")


def _with_sides(path: Path, table: Table) -> _Raw:
    side = _ebounds_file(path)
    if not side.exists():
        return _Raw(table, None)
    with one_line(side, "an ECSV table of the bands"):
        ebounds = Table.read(text_of(side), encoding="utf-8", format="ascii.ecsv")
    return _Raw(table, ebounds, {str(key).upper(): value for key, value in ebounds.meta.items()})


def _assemble(path: Path, kind: str, raw: _Raw) -> ScWTable:
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
    if values.dtype.kind == "f":  # what a table reader makes of whole numbers beside a missing one
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
    """Return times as MJD (TT), from the zero and the scale of the header where it states them."""
    column = columns.column("MJD")
    if isinstance(column, Time):
        return columns.scalars("MJD", u.d)
    stored, _ = columns.get("MJD")
    if stored.dtype.kind == "M" or (stored.dtype.kind in "SU" and _dates(columns.text("MJD"))):
        otherwise = command("convert", columns.source, "--out", "NEW.fits")
        raise InputError(f"{columns.source}: MJD holds dates, not days: make a ScW table of it: {otherwise}")
    values = columns.scalars("MJD", u.d)
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
    """Whether texts look like 2010-01-31."""
    return any(re.match(r"\d{4}-\d\d", cell) for cell in text.ravel().tolist())


def _in_mission(mjd: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (mjd > MISSION[0]) & (mjd < MISSION[1])


def _position(columns: Columns, ids: NDArray[np.str_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if "RA" in columns or "DEC" in columns or not ("LON" in columns and "LAT" in columns):
        return columns.scalars("RA", u.deg), columns.scalars("DEC", u.deg)
    lon, lat = columns.scalars("LON", u.deg), columns.scalars("LAT", u.deg)
    must, remedy = "must lie between -90 and 90 degrees", "drop these ScWs or mend the column"
    # SkyCoord would not say in which row.
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
        columns.get(name)  # which is missing too, and is the shorter thing to ask for
    return np.stack([columns.scalars(f"{name}_{band.name}", _RATE) for band in bands], axis=1)


def _bands(path: Path, kind: str, ebounds: Table | None) -> tuple[Band, ...]:
    if ebounds is None:
        place = {"fits": "an extension EBOUNDS", "ecsv": "EBOUNDS to the meta of the header"}
        where = place.get(kind, f"the side file {_ebounds_file(path).name}")
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
    """Read where the Crab was not removed, (N,), from a column of names, truth values or numbers."""
    text = columns.flags(name)
    lower = np.char.lower(text)
    crab = np.isin(lower, ("crab", "true", "1", "t", "yes", "y"))
    ok = crab | np.isin(lower, ("", "false", "0", "f", "no", "n"))
    must = "must be 'Crab' (or true) where the Crab was not removed, else empty"
    check_rows(columns.source, ids, name, text, ok, must, remedy)
    return crab


def known_roll(source: str, name: str, roll: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the position angles, (N,) degrees; None, and a line, where one is missing."""
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
    whole = (flags >= 0) & (flags < 2.0**53) & (flags == np.floor(flags))  # not what float64 cannot hold
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
    """Return what the header of a table says of its origin, whether it is simulated, and the OSA version."""
    origin, osa, simulated = (header.get(key) for key in ("ORIGIN", "OSAVER", "SIMUL"))
    return {
        "origin": None if origin is None else str(origin),
        "simulated": str(simulated).upper() in ("TRUE", "T", "1"),
        "osa_version": None if osa is None else str(osa),
    }


def parse_truth(path: Path, text: str | None) -> dict[str, Any] | None:
    """Read the TRUTH of a simulated table."""
    if text is None:
        return None
    try:
        truth = json.loads(text)
    except ValueError as error:
        raise InputError(
            f"{path}: TRUTH is not JSON ({error}): remove it or write the table again"
        ) from error
    if not isinstance(truth, dict):
        raise InputError(f"{path}: TRUTH is not a JSON object: remove it or write the table again")
    return truth


def side_truth(path: Path) -> str | None:
    """Return the TRUTH of the side file of a table, if there is one."""
    return _truth_file(path).read_text(encoding="utf-8") if _truth_file(path).exists() else None


def _truth_text(scws: ScWTable, path: Path) -> str | None:
    if scws.truth is None:
        return None
    try:
        return json.dumps(scws.truth, allow_nan=False, default=lambda array: array.tolist())
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: truth cannot be JSON ({error}): use finite numbers, text, lists"
        ) from error


def _ebounds(scws: ScWTable) -> Table:
    table = Table({"BAND": list(scws.band_names)})
    table["E_MIN"] = Column([float(band.e_min) for band in scws.bands], unit=u.keV)
    table["E_MAX"] = Column([float(band.e_max) for band in scws.bands], unit=u.keV)
    return table


def _header(scws: ScWTable) -> dict[str, Any]:
    origin, osa = scws.meta["origin"], scws.meta["osa_version"]
    values = {"ORIGIN": origin, "SIMUL": bool(scws.meta["simulated"]), "OSAVER": osa}
    if scws.screen is not None:
        for name, cut in scws.meta.get("screening", {}).items():
            values |= {f"SCRBIT{cut['bit']}": name, f"SCRLOG{cut['bit']}": cut["log"]}
    return {key: value for key, value in values.items() if value is not None}


def _write_fits(scws: ScWTable, path: Path, truth: str | None) -> None:
    tables = {"SCW": scws.to_table(), "EBOUNDS": _ebounds(scws)}
    if truth is not None:
        # In pieces, as FITS readers are slow with long strings; JSON escapes all but ASCII, as FITS needs it.
        tables["TRUTH"] = Table({"JSON": [truth[i : i + _PIECE] for i in range(0, len(truth), _PIECE)]})
    hdus = [fits.PrimaryHDU(), *(fits.table_to_hdu(table, name=name) for name, table in tables.items())]
    scw = hdus[1].header
    scw["TIMESYS"], scw["RADESYS"] = "TT", "ICRS"
    for key, value in _header(scws).items():
        try:
            scw[key] = hdus[0].header[key] = value
        except ValueError as error:
            raise InputError(
                f"{path.name}: {key} {value!r} in FITS must be plain ASCII: rewrite it"
            ) from error
    write_fits(fits.HDUList(hdus), path)


def _write_ecsv(scws: ScWTable, path: Path, truth: str | None) -> None:
    table, ebounds = scws.to_table(), _ebounds(scws)
    table.meta = _header(scws) | {"EBOUNDS": {name: ebounds[name].tolist() for name in ebounds.colnames}}
    table.write(path, format="ascii.ecsv")


def _write_flat(scws: ScWTable, path: Path, truth: str | None) -> None:
    kind = _format(path)
    if kind == "parquet":
        _need_pyarrow(path)
    scws.to_table(vectors=False).write(path, format={"csv": "ascii.csv"}.get(kind, kind))
    ebounds = _ebounds(scws)
    ebounds.meta = _header(scws)
    ebounds.write(_ebounds_file(path), format="ascii.ecsv")


_FORMATS: dict[str, tuple[Callable[[Path], _Raw], Callable[[ScWTable, Path, str | None], None]]] = {
    "fits": (_read_fits, _write_fits),
    "ecsv": (_read_ecsv, _write_ecsv),
    "csv": (_read_csv, _write_flat),
    "parquet": (_read_parquet, _write_flat),
}
