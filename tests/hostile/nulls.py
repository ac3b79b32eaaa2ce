"""One cell of a good table made missing: in every format, in every way that the format has, in every column.

    python -m tests.hostile.nulls FOLDER

tries all combinations with `read_scws` and `convert`, and prints what came of them.
"""

import collections
import sys
from itertools import product
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from tests.helpers.votable import write_votable

REQUIRED = ("SCW_ID", "PHASE", "MJD", "EXPOSURE", "RA", "DEC", "RATE", "STAT_ERR", "TRACER", "TRACER_ERR")
COLUMNS = (*REQUIRED, "ROLL", "CRAB")
"""Of all but ROLL a missing value must be refused; ROLL is left out as a whole."""

_MARKS = {"-999": -999.0, "1e30": 1e30, "-1e30": -1e30, "-9999": -9999.0, "nan": np.nan, "inf": np.inf}
ENCODINGS = {
    "fits": ("tnull", "tnull unsigned", "tnull vector", "least integer", "variable length", *_MARKS),
    "ecsv": ("mask", *_MARKS, "word"),
    "csv": ("mask", *_MARKS, "word"),
    "parquet": ("mask", *_MARKS, "word"),
    "vot": ("mask", "mask binary2", *_MARKS),
}
RATES = ("RATE", "STAT_ERR", "TRACER", "TRACER_ERR")
_STEP = {"SCW_ID": 1, "PHASE": 1e-6, "MJD": 1e-6, "EXPOSURE": 1e-2, "RA": 1e-5, "DEC": 1e-5, "ROLL": 1e-5}


def combinations():
    """Return every format, encoding and column that go together."""
    found = []
    for kind, column in product(ENCODINGS, COLUMNS):
        for how in ENCODINGS[kind]:
            if column in ("SCW_ID", "CRAB") and (how in _MARKS or how == "word"):
                continue  # text and truth values hold no numbers
            if column == "CRAB" and how not in ("tnull", "mask", "mask binary2"):
                continue
            if column == "SCW_ID" and how not in ("tnull", "mask", "mask binary2", "least integer"):
                continue
            found.append((kind, how, column))
        if column in RATES:
            found.append((kind, "-1", column))
    return found


def write(scws, folder, kind, how, column, row):
    """Write a table of one band with one missing value; return its path."""
    table = scws.to_table(vectors=False)
    table.rename_columns(["RATE_A01", "STAT_ERR_A01"], ["RATE", "STAT_ERR"])
    table["CRAB"] = scws.crab
    table.remove_column("SOURCE")
    table.meta = {"SIMUL": True}
    path = Path(folder) / f"a.{kind}"
    path.unlink(missing_ok=True)
    if kind == "fits" and how not in _MARKS and how != "-1":
        _fits(table, path, how, column, row)
        return path
    if how.startswith("mask"):
        values = np.asarray(table[column])
        mask = np.arange(len(table)) == row
        table[column] = MaskedColumn(values, mask=mask, unit=table[column].unit)
    elif how == "word":
        words = np.asarray(table[column]).astype(str).astype(object)
        words[row] = ("NA", "null", "--", "None", "n/a")[row % 5]
        table[column] = Column(words.astype(str), unit=table[column].unit)
    else:
        table[column][row] = _MARKS.get(how, -1.0)
    if kind == "fits":
        _with_bands(fits.table_to_hdu(table), path)
    elif kind == "vot":
        write_votable(table, path, "binary2" if how == "mask binary2" else "tabledata")
    else:
        formats = {"csv": "ascii.csv", "ecsv": "ascii.ecsv"}
        table.write(path, format=formats.get(kind, kind), overwrite=True)
    return path


def _with_bands(hdu, path):
    hdu.header["SIMUL"] = True
    bands = Table({"BAND": ["A01"], "E_MIN": Column([25.0], unit="keV"), "E_MAX": Column([60.0], unit="keV")})
    fits.HDUList([fits.PrimaryHDU(), hdu, fits.table_to_hdu(bands, name="EBOUNDS")]).writeto(path)


def _fits(table, path, how, column, row):
    """Write the column as integers with a scale, one of which is null."""
    values = np.asarray(table[column])
    unit = str(table[column].unit or "") or None
    number = table.colnames.index(column) + 1
    columns = list(fits.table_to_hdu(table).columns)
    if column == "CRAB":
        columns[number - 1] = fits.Column(column, "L", array=values)
    else:
        step = _STEP.get(column, 1e-4)
        raw = np.round(values.astype(np.float64) / step).astype(np.int64)
        null = {"least integer": -(2**63), "tnull unsigned": -(2**63)}.get(how, -7)
        raw[row] = null
        array, form = raw, "K"
        if how == "tnull vector":
            array, form = raw[:, None], "1K"
        if how == "variable length":
            array, form = np.empty(len(raw), object), "PK()"
            for k, cell in enumerate(raw):
                array[k] = np.array([cell])
        columns[number - 1] = fits.Column(column, form, unit=unit, array=array)
    hdu = fits.BinTableHDU.from_columns(columns)
    _with_bands(hdu, path)
    if column == "CRAB":
        with fits.open(path) as hdus:
            start, length = hdus[1].fileinfo()["datLoc"], hdus[1].header["NAXIS1"]
        content = bytearray(path.read_bytes())
        content[start + (row + 1) * length - 1] = 0
        path.write_bytes(bytes(content))
        return
    # The header is changed afterwards: astropy would scale the numbers.
    content = path.read_bytes()
    cards = {f"TSCAL{number}": step}
    if how != "least integer":
        cards[f"TNULL{number}"] = null
    spare = content.index(b"SIMUL   =")
    end = content.index(b"END" + b" " * 77, spare)
    added = b"".join(str(fits.Card(key, value)).encode() for key, value in cards.items())
    assert content[end + 80 : end + 80 + len(added)].strip() == b""
    path.write_bytes(content[:end] + added + content[end : end + 80] + content[end + 80 + len(added) :])


def attempt(scws, folder, kind, how, column, row):
    """Return "refused" or "left out", or say what was wrong."""
    from ridgebayes.convert import BandColumns, Mapping, convert
    from ridgebayes.errors import InputError

    path = write(scws, folder, kind, how, column, row)
    units = {name: str(unit) for name, unit in _UNITS.items()}
    bands = (BandColumns("A01", 25.0, 60.0, "RATE", "STAT_ERR"),)
    mapping = Mapping(bands=bands, units=units, system="mjd", scale="tt", simulated=None)
    try:
        found = convert([path], mapping).scws
    except InputError as error:
        named = f"row {row + 1}" in str(error) or f"row {row + 1} " in str(error)
        return "refused" if named or column == "SCW_ID" else f"refused without the row: {error}"
    if column == "ROLL" and found.roll is None:
        return "left out"
    return "became a number"


_UNITS = {"MJD": "d", "EXPOSURE": "s", "RA": "deg", "DEC": "deg", "ROLL": "deg"} | dict.fromkeys(
    RATES, "ct/s"
)


def main():
    """Try all combinations in three rows."""
    from tests.helpers.readers import few

    scws = few().take_bands("A01")
    count = collections.defaultdict(collections.Counter)
    bad = []
    for kind, how, column in combinations():
        for row in (0, 7, len(scws) - 1):
            found = attempt(scws, sys.argv[1], kind, how, column, row)
            count[kind][found if found in ("refused", "left out") else "bad"] += 1
            if found not in ("refused", "left out"):
                bad.append((kind, how, column, row, found))
    for kind, counts in count.items():
        print(f"{kind:<10} {sum(counts.values()):>5} tried: {dict(counts)}")
    for line in bad[:30]:
        print(*line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
