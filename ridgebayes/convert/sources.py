"""Open a table file of any format with astropy: columns, header, bands; limits the unpacked size."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits, votable
from astropy.io.votable.tree import TableElement
from astropy.table import Column, MaskedColumn, Table
from astropy.units import Quantity

from ridgebayes.errors import InputError, nearest
from ridgebayes.io.bounded import one_line, open_fits, text_of, unpacked
from ridgebayes.io.fits_table import fits_table
from ridgebayes.table.missing import split
from ridgebayes.table.parquet import parquet_table
from ridgebayes.table.truth import joined, side_truth
from ridgebayes.typing import Bools

_NOT_RATES = ("EBOUNDS", "TRUTH", "GTI", "GROUPING")
_KINDS = "FITS, ECSV, CSV, ASCII, Parquet or VOTable"


@dataclass
class Source:
    """A table as it is in the file."""

    path: Path
    table: Table
    header: Mapping[str, Any] = field(default_factory=dict)  # keys in upper case
    ebounds: Table | None = None
    truth: str | None = None  # JSON, of a simulation
    doubt: str = ""  # warnings about the file


def open_source(path: str | PathLike[str], extension: str | None = None) -> Source:
    """Read a table file; the format is found from its content, not from its name.

    Parameters
    ----------
    path
        FITS, ECSV, CSV (comma, semicolon or tab), ASCII (blanks), Parquet or VOTable; all but Parquet may be
        gzipped.
    extension
        FITS, VOTable: name of the table; None for the only one, or the one named SCW.

    Raises
    ------
    InputError
        If the file does not exist, is broken, has another format or several possible extensions, or is larger
        than `ridgebayes.io.bounded.UNPACKED_LIMIT` when unpacked.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: no such file: check the name")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes): write or download it again")
    with one_line(path, f"a table in {_KINDS}"):
        source = _opened(path, extension)
        source.table = _plain(source.table)
    if len(source.table) == 0 or not source.table.colnames:
        raise InputError(f"{path}: the table has no rows: give at least one ScW")
    return source


def _opened(path: Path, extension: str | None) -> Source:
    with path.open("rb") as stream:
        if stream.read(4) == b"PAR1":
            return _with_sides(path, parquet_table(path))
    content = unpacked(path)
    if content.startswith(b"SIMPLE  ="):
        return _fits(path, extension)
    head = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"<"):
        return _votable(path, content, extension)
    if head.startswith(b"# %ECSV"):
        table = Table.read(text_of(path), encoding="utf-8", format="ascii.ecsv")
        source = Source(path, table, _upper(table.meta), None, side_truth(path))
        bands = source.header.get("EBOUNDS")
        source.ebounds = Table(dict(bands)) if isinstance(bands, Mapping) else None
        return source
    if b"\0" in head:
        raise InputError(f"{path}: not a table in {_KINDS}: convert it to one of them")
    source = _with_sides(path, _text(path, head))
    if not content.endswith((b"\n", b"\r")):
        source.doubt = f"{path.name}: its last line has no newline: check that the file was not cut off"
    return source


def _text(path: Path, head: bytes) -> Table:
    lines = [line for line in head.decode("utf-8", "replace").splitlines() if line.strip()]
    names = next((line for line in lines if not line.startswith("#")), "")
    for delimiter in ",;\t":
        if delimiter in names:
            return Table.read(
                text_of(path), encoding="utf-8", format="ascii.basic", delimiter=delimiter, comment=r"\s*#"
            )
    # Columns are separated by blanks; their names are in the first line, or in the last comment before it.
    commented = bool(lines) and lines[0].startswith("#") and not any(c.isalpha() for c in names.split()[0])
    return Table.read(
        text_of(path), encoding="utf-8", format="ascii.commented_header" if commented else "ascii.basic"
    )


def _fits(path: Path, extension: str | None) -> Source:
    with open_fits(path) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)]
        by_name = {hdu.name.upper(): hdu for hdu in reversed(tables)}
        usual = [t for t in tables if t.name.upper() not in _NOT_RATES]
        # An ISDC index of science windows is a GROUPING with one row per window.
        usual = usual or [t for t in tables if {"SWID", "SCW_ID"} & set(t.columns.names)]
        hdu = _extension(path, usual, extension)
        ebounds, truth = by_name.get("EBOUNDS"), by_name.get("TRUTH")
        return Source(
            path,
            fits_table(hdu),
            _upper(dict(hdus[0].header) | dict(hdu.header)),
            None if ebounds is None else fits_table(ebounds),
            None if truth is None or truth.columns.names != ["JSON"] else joined(truth),
        )


def _extension(path: Path, tables: Sequence[Any], wanted: str | None) -> Any:
    names = [hdu.name for hdu in tables]
    matching = [hdu for hdu in tables if hdu.name.upper() == (wanted or "SCW").upper()]
    if len(matching) == 1:
        return matching[0]
    if wanted is not None:
        raise InputError(f"{path}: {len(matching)} tables named '{wanted}'{nearest(wanted, names)}")
    if not tables:
        raise InputError(f"{path}: the FITS file has no table of ScWs: name another file")
    if len(tables) > 1:
        line = f'extension = "{names[0] or "NAME"}"'
        raise InputError(
            f"{path}: several tables ({', '.join(names)}): put  {line}  at the top of the mapping"
        )
    return tables[0]


def _votable(path: Path, content: bytes, extension: str | None) -> Source:
    if b"href" in content and b"STREAM" in content.upper():
        raise InputError(f"{path}: a VOTable whose data are in another file: write them into this one")
    tables = list(votable.parse(io.BytesIO(content), verify="ignore").iter_tables())
    for number, element in enumerate(tables):
        element.name = element.name or element.ID or f"TABLE{number + 1}"
    if not tables:
        raise InputError(f"{path}: the VOTable has no table of ScWs: name another file")
    chosen = _extension(path, tables, extension)
    table = chosen.to_table()
    if b"BINARY2" in content:
        parts = re.findall(rb"<(?:\w+:)?TABLE\b.*?</(?:\w+:)?TABLE\s*>", content, re.DOTALL)
        if len(parts) != len(tables):
            raise InputError(f"{path}: the tables in it cannot be told apart: write it as TABLEDATA")
        for name, null in _null_texts(parts[tables.index(chosen)], chosen).items():
            table[name] = MaskedColumn(table[name], mask=null | np.ma.getmaskarray(table[name]))
    return Source(path, table, _upper(table.meta))


def _null_texts(part: bytes, table: TableElement) -> dict[str, Bools]:
    """Return masks of null values, (N,), of the text columns of a BINARY2 VOTable.

    astropy ignores these flags (its issue 8995), so the bytes are read once more.
    """
    stream = re.search(rb"<(?:\w+:)?BINARY2\b.*?<(?:\w+:)?STREAM\b[^>]*>([^<]*)<", part, re.DOTALL)
    if stream is None:
        return {}
    read = io.BytesIO(base64.b64decode(stream[1])).read
    fields, flags = table.fields, []
    for _ in range(len(table.array)):
        flags.append(np.frombuffer(read((len(fields) + 7) // 8), np.uint8))
        for column in fields:
            column.converter.binparse(read)
    null = np.unpackbits(np.reshape(flags, (len(flags), -1)), axis=1).astype(np.bool_)
    return {f.ID: null[:, k] for k, f in enumerate(fields) if f.datatype in ("char", "unicodeChar")}


def _with_sides(path: Path, table: Table) -> Source:
    """Add the bands and the header from the side file that `write_scws` writes beside a flat file."""
    side = path.with_suffix(".ebounds.ecsv")
    if not side.exists():
        return Source(path, table, _upper(table.meta), None, side_truth(path))
    with one_line(side, "an ECSV table of the bands"):
        ebounds = Table.read(text_of(side), encoding="utf-8", format="ascii.ecsv")
    return Source(path, table, _upper(table.meta) | _upper(ebounds.meta), ebounds, side_truth(path))


def _upper(meta: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key).upper(): value for key, value in meta.items()}


def set_units(source: Source, units: Mapping[str, str]) -> None:
    """Replace the units of columns by those of a mapping; the case of names does not matter."""
    by_name = {name.strip().upper(): unit for name, unit in units.items()}
    for name in source.table.colnames:
        if isinstance(source.table[name], Column) and name.strip().upper() in by_name:
            source.table[name].unit = by_name[name.strip().upper()]


def _plain(table: Table) -> Table:
    """Split columns of positions into two, and convert quantities to columns with a unit."""
    for name in list(table.colnames):
        if isinstance(table[name], Quantity):
            table[name] = _column(table[name])
        if isinstance(table[name], SkyCoord):
            sky = table[name].icrs
            stem = f"{name}_" if {"RA", "DEC"} & {n.upper() for n in table.colnames} else ""
            table[f"{stem}RA"], table[f"{stem}DEC"] = (_column(a.to("deg")) for a in (sky.ra, sky.dec))
            table.remove_column(name)
    return table


def _column(quantity: Quantity) -> MaskedColumn:
    values, missing = split(quantity.value)
    return MaskedColumn(values, mask=missing, unit=quantity.unit)
