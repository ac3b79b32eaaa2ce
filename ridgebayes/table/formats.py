"""ScW tables on disk: reading and writing of FITS, ECSV, CSV and Parquet.

All readers return a `Raw`, so each format needs only a few lines, and they share the conversion of columns,
units and bands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, Table

from ridgebayes.errors import InputError, command, nearest
from ridgebayes.io import bounded
from ridgebayes.io.atomic import whole_files
from ridgebayes.io.bounded import one_line, text_of, write_fits
from ridgebayes.io.fits_table import fits_table
from ridgebayes.table.assembly import Raw, assembled, ebounds_file
from ridgebayes.table.parquet import need_pyarrow, parquet_table
from ridgebayes.table.scw import ScWTable
from ridgebayes.table.truth import joined, truth_file, truth_text
from ridgebayes.table.validation import validate

_SUFFIXES = dict.fromkeys((".fits", ".fit", ".fts"), "fits") | dict.fromkeys((".parquet", ".pq"), "parquet")
_SUFFIXES |= {".ecsv": "ecsv", ".csv": "csv"}
_PIECE = 80  # characters of the truth per row
_log = logging.getLogger(__name__)


def read_scws(path: str | PathLike[str], *, format: str | None = None, screened: bool = True) -> ScWTable:
    """Read and validate a ScW rate table.

    Columns (upper or lower case): SCW_ID, PHASE, MJD, EXPOSURE, RA and DEC (or LON and LAT, galactic), RATE
    and STAT_ERR with one element per band (or RATE_<BAND> and STAT_ERR_<BAND>); optional REVOL, ROLL, TRACER,
    TRACER_ERR, SOURCE, SCREEN. Columns are converted from their unit; columns without one are assumed to be
    in the units of :class:`ScWTable`. Bands are in the extension EBOUNDS (FITS), the key EBOUNDS of the
    header (ECSV) or the side file ``<stem>.ebounds.ecsv`` (CSV, Parquet), the truth of a simulation in the
    extension TRUTH (FITS) or the side file ``<stem>.truth.json``. :mod:`ridgebayes.convert` reads other
    tables.

    Parameters
    ----------
    path
        FITS (also gzipped), ECSV, CSV or Parquet file.
    format
        ``fits``, ``ecsv``, ``csv`` or ``parquet``; by default from the file name.
    screened
        Leave out rows with SCREEN other than 0 (``ridgebayes screen``); False keeps all rows and flags.

    Raises
    ------
    InputError
        If the file cannot be read or has invalid content; the message names the file, the row or column, and
        the remedy.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> scws = rb.read_scws("mission.fits")
    >>> scws.band_names
    ('A01', 'A02')
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
        scws = assembled(path, kind, _FORMATS[kind][0](path))
    return _kept(path, scws) if screened and scws.screen is not None else scws


def as_scws(scws: ScWTable | str | PathLike[str]) -> ScWTable:
    """Return a table as it is, or read the file that is named in its place.

    Raises
    ------
    InputError
        When it is neither, or the file cannot be used.
    """
    if isinstance(scws, ScWTable):
        return scws
    if isinstance(scws, str | PathLike):
        return read_scws(scws)
    raise InputError(
        f"scws: is of type {type(scws).__name__}: give a ScW table, as rb.read_scws(...) reads one"
    )


def write_scws(scws: ScWTable, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write a ScW rate table, which :func:`read_scws` reads back exactly.

    The file name determines the format, as in :func:`read_scws`. Files are written atomically.

    Parameters
    ----------
    scws
        The table; it is validated first.
    path
        Path with the suffix .fits, .fits.gz, .ecsv, .csv or .parquet.
    overwrite
        Replace existing files.

    Raises
    ------
    InputError
        If the table is invalid, a file exists without `overwrite`, or the folder is not writable.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> scws = rb.read_scws("mission.fits")
    >>> rb.write_scws(scws.select(scws.revolution > 2000), "late.fits")
    >>> rb.write_scws(scws, "late.fits")
    Traceback (most recent call last):
    ridgebayes.errors.InputError: late.fits: exists already: choose another name, or overwrite=True
    """
    path = Path(path).expanduser()
    kind = _format(path)
    scws = scws.without_tracer_bands()
    validate(scws, source=f"{path} (to be written)")
    if path.is_dir():
        raise InputError(f"{path}: is a directory: name a file to write")
    sides = {"fits": [], "ecsv": [truth_file(path)]}.get(kind, [truth_file(path), ebounds_file(path)])
    for file in (path, *sides):
        if file.exists() and not overwrite:
            raise InputError(f"{file}: exists already: choose another name, or overwrite=True")
    if not path.parent.is_dir():
        raise InputError(f"{path}: folder {path.parent} does not exist: create it first")
    truth = truth_text(scws, path)
    with whole_files(*sides, path) as scratch:
        _FORMATS[kind][1](scws, scratch[-1], truth)
        if truth is not None and kind != "fits":
            truth_file(scratch[-1]).write_text(truth, encoding="utf-8")


def _kept(path: Path, scws: ScWTable) -> ScWTable:
    """Leave out flagged rows, and record their number."""
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


def _read_fits(path: Path) -> Raw:
    with bounded.open_fits(path) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
        by_name = {hdu.name.upper(): hdu for hdu in reversed(tables)}
        if not tables:
            raise InputError(f"{path}: not a ScW table: the FITS file has no table extension")
        scw, ebounds, truth = by_name.get("SCW", tables[0]), by_name.get("EBOUNDS"), by_name.get("TRUTH")
        header = dict(hdus[0].header) | dict(scw.header)
        return Raw(
            fits_table(scw),
            None if ebounds is None else fits_table(ebounds),
            header,
            None if truth is None else joined(truth),
        )


def _read_ecsv(path: Path) -> Raw:
    table = Table.read(text_of(path), encoding="utf-8", format="ascii.ecsv")
    header = {str(key).upper(): value for key, value in table.meta.items()}
    ebounds = header.get("EBOUNDS")
    return Raw(table, None if ebounds is None else Table(dict(ebounds)), header)


def _read_csv(path: Path) -> Raw:
    return _with_sides(path, Table.read(text_of(path), encoding="utf-8", format="ascii.csv"))


def _read_parquet(path: Path) -> Raw:
    return _with_sides(path, parquet_table(path))


def _with_sides(path: Path, table: Table) -> Raw:
    side = ebounds_file(path)
    if not side.exists():
        return Raw(table, None)
    with one_line(side, "an ECSV table of the bands"):
        ebounds = Table.read(text_of(side), encoding="utf-8", format="ascii.ecsv")
    return Raw(table, ebounds, {str(key).upper(): value for key, value in ebounds.meta.items()})


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
        # In pieces, because FITS readers are slow with long strings. JSON escapes non-ASCII text, as FITS
        # requires.
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
        need_pyarrow(path)
    scws.to_table(vectors=False).write(path, format={"csv": "ascii.csv"}.get(kind, kind))
    ebounds = _ebounds(scws)
    ebounds.meta = _header(scws)
    ebounds.write(ebounds_file(path), format="ascii.ecsv")


_FORMATS: dict[str, tuple[Callable[[Path], Raw], Callable[[ScWTable, Path, str | None], None]]] = {
    "fits": (_read_fits, _write_fits),
    "ecsv": (_read_ecsv, _write_ecsv),
    "csv": (_read_csv, _write_flat),
    "parquet": (_read_parquet, _write_flat),
}
