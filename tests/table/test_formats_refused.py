"""Every way in which the file of a ScW table can be bad, and the line that says so."""

import contextlib

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

import ridgebayes.io.atomic
import ridgebayes.table.parquet
from ridgebayes.errors import InputError
from ridgebayes.table.formats import read_scws, write_scws
from tests.helpers.scw_table import make_scws
from tests.helpers.table_files import message_of, plain_table, write_table


def garbage(path):
    path.write_text('dear diary,\ntoday it rained\nand "then,,,\n')


def image(path):
    fits.PrimaryHDU(np.ones((5, 5))).writeto(path)


def truncated(path):
    write_scws(make_scws(400), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def binary(path):
    path.write_bytes(bytes(range(256)) * 20)


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        ("a.fits", lambda path: None, "no such file: check the name"),
        ("a.fits", lambda path: path.mkdir(), "is a directory: name the file"),
        ("a.fits", lambda path: path.touch(), "is empty (0 bytes)"),
        ("a.csv", lambda path: path.touch(), "is empty (0 bytes)"),
        ("a.fits", garbage, "not a ScW table in fits ("),
        ("a.fits.gz", garbage, "not a ScW table in fits ("),
        ("a.ecsv", garbage, "not a ScW table in ecsv ("),
        ("a.csv", garbage, "not a ScW table"),
        ("a.parquet", garbage, "not a ScW table in parquet ("),
        ("a.fits", binary, "not a ScW table in fits ("),
        ("a.ecsv", binary, "not a ScW table in ecsv ("),
        ("a.csv", binary, "not a ScW table"),
        ("a.parquet", binary, "not a ScW table in parquet ("),
        ("a.fits", image, "not a ScW table: the FITS file has no table extension"),
        ("a.fits", truncated, "not a ScW table in fits ("),
        ("a.fits.gz", truncated, "not a ScW table in fits ("),
        ("a.parquet", truncated, "not a ScW table in parquet ("),
        (
            "a.csv",
            lambda path: path.write_text("a,b\n1,2\n"),
            "not a ScW table: it has none of the columns SCW_ID",
        ),
    ],
)
def test_what_is_not_a_table(tmp_path, name, make, expected):
    make(tmp_path / name)
    assert message_of(tmp_path / name).startswith(expected)


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "a.parquet"])
def test_no_part_of_a_file_that_was_cut_off_is_read(tmp_path, name):
    path = tmp_path / name
    write_scws(make_scws(200), path)
    whole = path.read_bytes()
    with fits.open(path) if "fits" in name else contextlib.nullcontext() as hdus:
        # Cut exactly after an extension, a FITS file is a complete one again.
        complete = {hdu.filebytes() for hdu in hdus} if name == "a.fits" else set()
    for size in np.linspace(1, len(whole) - 1, 40).astype(int):
        assert size not in complete
        path.write_bytes(whole[:size])
        message_of(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "row 40 (SCW_ID 007400080010): RATE of band 25-60 is missing"),
        ("a.ecsv", "not a ScW table in ecsv"),
    ],
)
def test_a_text_cut_off_in_the_middle_of_a_row(tmp_path, name, expected):
    write_scws(make_scws(40), tmp_path / name)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text[: len(text) - 150])
    assert message_of(tmp_path / name).startswith(expected)


@pytest.mark.parametrize("name", ["SCW_ID", "PHASE", "MJD", "EXPOSURE", "RA", "DEC", "RATE", "STAT_ERR"])
def test_missing_column(tmp_path, name):
    table = plain_table()
    table.rename_column(name, "OTHER")
    assert message_of(write_table(tmp_path / "a.fits", table)).startswith(f"column {name} is missing (")


def test_missing_column_names_the_nearest(tmp_path):
    table = plain_table()
    table.rename_column("EXPOSURE", "EXPOSUR")
    text = message_of(write_table(tmp_path / "a.fits", table))
    assert text.startswith("column EXPOSURE is missing (did you mean 'EXPOSUR'?): add it, rename one, or")


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("EXPOSURE", "fortnigths", "column EXPOSURE has the unknown unit 'fortnigths': convert it to s"),
        ("RATE", "bananas", "column RATE has the unknown unit 'bananas': convert it to ct / s"),
        ("RA", "h", "column RA has the unit 'h', which is no deg: convert the column"),
        ("RATE", "ct / (s keV)", "which is no ct / s: convert the column"),
        ("TRACER", "keV", "column TRACER has the unit 'keV', which is no ct / s"),
        ("MJD", "deg", "column MJD has the unit 'deg', which is no d"),
    ],
)
def test_bad_unit(tmp_path, name, unit, expected):
    hdu = fits.table_to_hdu(plain_table(), name="SCW")
    hdu.columns[name].unit = unit
    ebounds = Table({"BAND": ["A", "B", "C"], "E_MIN": [25, 60, 80], "E_MAX": [60, 80, 200]})
    fits.HDUList([fits.PrimaryHDU(), hdu, fits.table_to_hdu(ebounds, name="EBOUNDS")]).writeto(
        tmp_path / "a.fits"
    )
    assert expected in message_of(tmp_path / "a.fits")


@pytest.mark.parametrize(
    ("ebounds", "expected"),
    [
        (False, "bands without EBOUNDS: add an extension EBOUNDS with BAND, E_MIN, E_MAX (keV)"),
        (
            {"BAND": ["A", "B"], "E_MIN": [1, 2], "E_MAX": [2, 3]},
            "column RATE has 3 elements a row, EBOUNDS 2 bands",
        ),
        ({"E_MIN": [1, 2, 3], "E_MAX": [2, 3, 4]}, "EBOUNDS: column BAND is missing"),
        ({"BAND": ["A", "B", "C"], "E_MIN": [1, 2, 3]}, "EBOUNDS: column E_MAX is missing"),
        (
            {"BAND": ["A", "B", "B"], "E_MIN": [1, 2, 3], "E_MAX": [2, 3, 4]},
            "EBOUNDS row 3: BAND 'B' repeats row 2",
        ),
        (
            {"BAND": ["A", "B", "C"], "E_MIN": [1, 2, 4], "E_MAX": [2, 3, 4]},
            "EBOUNDS row 3 (band C): E_MIN 4 and E_MAX 4 keV are no interval",
        ),
    ],
)
def test_bad_ebounds(tmp_path, ebounds, expected):
    path = write_table(tmp_path / "a.fits", plain_table(), ebounds=Table(ebounds) if ebounds else False)
    assert expected in message_of(path)


def test_bands_of_flat_columns(tmp_path):
    write_scws(make_scws(), tmp_path / "a.csv")
    side = tmp_path / "a.ebounds.ecsv"
    ebounds = Table.read(side)
    ebounds[:2].write(side, overwrite=True)
    assert message_of(tmp_path / "a.csv").startswith(
        "column RATE_80-200 is of a band without EBOUNDS: add it"
    )
    ebounds["BAND"] = ["25-60", "60-80", "X"]
    ebounds.write(side, overwrite=True)
    assert message_of(tmp_path / "a.csv").startswith("column RATE_80-200 is of a band without EBOUNDS")
    table = Table.read(tmp_path / "a.csv")
    table.remove_columns(["RATE_80-200"])
    table.write(tmp_path / "a.csv", overwrite=True)
    assert message_of(tmp_path / "a.csv").startswith("column RATE_X is missing")
    side.write_text("garbage")
    with pytest.raises(InputError, match=r"a\.ebounds\.ecsv: not an ECSV table of the bands"):
        read_scws(tmp_path / "a.csv")
    side.unlink()
    assert message_of(tmp_path / "a.csv").startswith(
        "bands without EBOUNDS: add the side file a.ebounds.ecsv"
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("STAT_ERR", np.nan, "STAT_ERR of band 25-60 is missing (NaN)"),
        ("STAT_ERR", 0.0, "STAT_ERR of band 25-60 is 0"),
        ("STAT_ERR", -1.0, "STAT_ERR of band 25-60 is -1"),
        ("STAT_ERR", np.inf, "STAT_ERR of band 25-60 is inf"),
        ("EXPOSURE", np.nan, "EXPOSURE is missing (NaN)"),
        ("EXPOSURE", 0.0, "EXPOSURE is 0"),
        ("EXPOSURE", -1.0, "EXPOSURE is -1"),
        ("EXPOSURE", np.inf, "EXPOSURE is inf"),
        ("RATE", np.nan, "RATE of band 25-60 is missing (NaN)"),
        ("PHASE", 1.5, "PHASE is 1.5, must lie between 0 and 1"),
        ("DEC", 91.0, "DEC is 91, must lie between -90 and 90 degrees"),
        ("REVOL", 99, "REVOL is 99 but SCW_ID says 71"),
        ("SCW_ID", "0071000X0010", "SCW_ID must have 12 digits"),
        ("SCW_ID", "007000010010", "duplicate SCW_ID, the same as row 1"),
        ("SOURCE", "Cyg", "SOURCE is 'Cyg', must be 'Crab' (or true) where"),
        ("TRACER", np.nan, "TRACER is missing (NaN)"),
    ],
)
def test_bad_row(tmp_path, name, value, expected):
    table = plain_table()
    table[name][11] = value
    text = message_of(write_table(tmp_path / "a.fits", table))
    id_ = value if name == "SCW_ID" else "007100040010"
    assert text.startswith(f"row 12 (SCW_ID {id_}): {expected}")


def test_bad_latitude(tmp_path):
    table = plain_table()
    table["RA"].name, table["DEC"].name = "LON", "LAT"
    table["LAT"][[3, 4]] = 95
    text = message_of(write_table(tmp_path / "a.fits", table))
    assert text.startswith(
        "row 4 (SCW_ID 007000040010) and 1 more: LAT is 95, must lie between -90 and 90 degrees"
    )


def test_fractional_revolution(tmp_path):
    table = plain_table()
    table["REVOL"] = table["REVOL"] + 0.5
    text = message_of(write_table(tmp_path / "a.fits", table))
    assert text.startswith("row 1 (SCW_ID 007000010010) and 39 more: REVOL is 70.5, must be a whole number")


@pytest.mark.parametrize("name", ["EXPOSURE", "RATE_60-80", "PHASE", "SCW_ID", "DEC"])
def test_masked_required_value_names_the_row(tmp_path, name):
    write_scws(make_scws(), tmp_path / "a.csv")
    table = Table.read(tmp_path / "a.csv", format="ascii.csv")
    table[name] = MaskedColumn(table[name], mask=np.arange(40) == 11)
    table.write(tmp_path / "a.csv", overwrite=True)
    assert message_of(tmp_path / "a.csv").startswith("row 12 (SCW_ID ")


def test_tracer_without_finite_values(tmp_path):
    table = plain_table()
    table["TRACER"] = np.nan
    assert read_scws(write_table(tmp_path / "a.fits", table)).tracer is None


def test_no_rows(tmp_path):
    assert message_of(write_table(tmp_path / "a.fits", plain_table()[:0])).startswith("the table has no rows")


def test_a_number_that_is_none(tmp_path):
    write_scws(make_scws(), tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text().replace(repr(float(make_scws().exposure[5])), "n/a")
    (tmp_path / "a.csv").write_text(text)
    assert "row 6 (SCW_ID 007000060010): EXPOSURE is missing (NaN)" in message_of(tmp_path / "a.csv")


@pytest.mark.parametrize("text", ["{", "[1, 2]"])
def test_bad_truth(tmp_path, text):
    write_scws(make_scws(), tmp_path / "a.csv")
    (tmp_path / "a.truth.json").write_text(text)
    assert message_of(tmp_path / "a.csv").startswith("TRUTH is not ")


def test_a_truth_beside_data_not_marked_as_simulated(tmp_path):
    write_scws(make_scws(truth=None, meta={}), tmp_path / "a.csv")
    (tmp_path / "a.truth.json").write_text("{}")
    assert message_of(tmp_path / "a.csv").startswith("has a TRUTH but is not marked as simulated")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    write_scws(make_scws(), tmp_path / "a.parquet")
    monkeypatch.setattr(ridgebayes.table.parquet, "find_spec", lambda name: None)
    assert message_of(tmp_path / "a.parquet") == "Parquet needs pyarrow: pip install 'ridgebayes[parquet]'"
