"""Reading and writing ScW tables: formats, units, every way in which a file can be bad."""

import contextlib
import dataclasses
import gzip
import os
import stat

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table

import ridgebayes.io.atomic
import ridgebayes.table.parquet
from ridgebayes.errors import InputError
from ridgebayes.table.formats import read_scws, write_scws
from tests.helpers.scw_table import make_scws

FILES = ["a.fits", "a.fits.gz", "a.fit", "a.ecsv", "a.csv", "a.parquet"]
NOT_ARRAYS = ("meta", "bands", "truth", "tracer_bands")
FIELDS = [f.name for f in dataclasses.fields(make_scws()) if f.name not in NOT_ARRAYS]


def message_of(path, **kwargs):
    """Return the one-line error that reading gives, without the path in front."""
    with pytest.raises(InputError) as error:
        read_scws(path, **kwargs)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


def write_table(path, table, *, ebounds=None, header=None):
    """Write columns as FITS with plain astropy, as somebody else's program would."""
    if ebounds is None:
        ebounds = Table({"BAND": ["25-60", "60-80", "80-200"], "E_MIN": [25, 60, 80], "E_MAX": [60, 80, 200]})
    hdus = [fits.PrimaryHDU(), fits.table_to_hdu(table, name="SCW")]
    if ebounds is not False:
        hdus.append(fits.table_to_hdu(ebounds, name="EBOUNDS"))
    hdus[1].header.update(header or {})
    fits.HDUList(hdus).writeto(path)
    return path


def plain_table(n=40):
    """Return the columns of a good table, without units."""
    table = make_scws(n).to_table()
    for column in table.columns.values():
        column.unit = None
    return table


def assert_same(one, other):
    for name in FIELDS:
        a, b = getattr(one, name), getattr(other, name)
        if a is None or b is None:
            assert a is b, name
        else:
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)
    assert one.bands == other.bands
    assert one.truth == other.truth
    assert one.fingerprint() == other.fingerprint()


# --- round trips


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"roll": None, "tracer": None, "tracer_err": None, "crab": None, "truth": None, "meta": {}},
        {"crab": np.ones(40, dtype=bool), "tracer_err": None},
    ],
    ids=["all", "required", "crab"],
)
def test_round_trip_is_exact(tmp_path, name, changes):
    scws = make_scws(**changes)
    path = tmp_path / name
    write_scws(scws, path)
    back = read_scws(path)
    assert_same(scws, back)
    assert back.meta == scws.meta | {"path": str(path)}


@pytest.mark.parametrize("name", FILES)
def test_round_trip_of_one_row_and_one_band(tmp_path, name):
    scws = make_scws(1).take_bands("60-80")
    write_scws(scws, tmp_path / name)
    assert_same(scws, read_scws(tmp_path / name))


@pytest.mark.parametrize("name", FILES)
def test_extreme_floats_survive(tmp_path, name):
    scws = make_scws(4, tracer=[1.2345678901234567e-29, 123456.78901234567, 0.1 + 0.2, -1 / 3])
    write_scws(scws, tmp_path / name)
    assert read_scws(tmp_path / name).tracer.tolist() == scws.tracer.tolist()


def test_blanks_of_the_truth_survive_in_pieces(tmp_path):
    truth = {"note": " " * 1000 + "x" + " " * 333}
    write_scws(make_scws(truth=truth), tmp_path / "a.fits")
    assert read_scws(tmp_path / "a.fits").truth == truth


@pytest.mark.parametrize("name", ["a.fits", "a.ecsv"])
def test_a_large_truth_survives(tmp_path, name):
    truth = {"b0": np.random.default_rng(1).normal(size=(5000, 3)), "n": np.int64(3)}
    write_scws(make_scws(truth=truth), tmp_path / name)
    back = read_scws(tmp_path / name).truth
    np.testing.assert_array_equal(back["b0"], truth["b0"])
    assert back["n"] == 3


def test_fits_layout(tmp_path):
    write_scws(make_scws(), tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCW", "EBOUNDS", "TRUTH"]
        header = hdus["SCW"].header
        assert (header["SIMUL"], header["ORIGIN"], header["OSAVER"]) == (True, "tests", "11.2")
        assert hdus["SCW"].columns["RATE"].format == "3D"
        assert u.Unit(hdus["SCW"].columns["RATE"].unit) == u.ct / u.s
        assert hdus["EBOUNDS"].columns.names == ["BAND", "E_MIN", "E_MAX"]
        assert hdus["EBOUNDS"].columns["E_MIN"].unit == "keV"
        assert hdus["TRUTH"].data["JSON"][0].startswith('{"intensity": {"GB": [0.3333333333333333, 2e-17]}')


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_flat_layout(tmp_path, name):
    write_scws(make_scws(), tmp_path / name)
    assert set(os.listdir(tmp_path)) == {name, "a.ebounds.ecsv", "a.truth.json"}
    table = Table.read(tmp_path / name)
    assert {"RATE_25-60", "STAT_ERR_80-200"} < set(table.colnames)


# --- writing


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_overwritten_unless_asked(tmp_path, name):
    path = tmp_path / name
    write_scws(make_scws(seed=1), path)
    before = path.read_bytes()
    other = make_scws(seed=2)
    with pytest.raises(InputError, match="exists already: choose another name or set overwrite"):
        write_scws(other, path)
    assert path.read_bytes() == before
    write_scws(other, path, overwrite=True)
    assert_same(other, read_scws(path))


def test_a_side_file_is_not_overwritten_either(tmp_path):
    (tmp_path / "a.truth.json").write_text("{}")
    with pytest.raises(InputError, match=r"a\.truth\.json: exists already"):
        write_scws(make_scws(), tmp_path / "a.csv")
    assert os.listdir(tmp_path) == ["a.truth.json"]


def test_the_truth_of_a_replaced_table_goes(tmp_path):
    write_scws(make_scws(), tmp_path / "a.csv")
    write_scws(make_scws(truth=None, meta={}), tmp_path / "a.csv", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.ebounds.ecsv"]
    assert not read_scws(tmp_path / "a.csv").meta["simulated"]


@pytest.mark.parametrize("name", FILES)
def test_a_failed_write_leaves_everything_as_it_was(tmp_path, name, monkeypatch):
    path = tmp_path / name
    write_scws(make_scws(seed=1), path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ridgebayes.io.atomic.os, "replace", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        write_scws(make_scws(seed=2), path, overwrite=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_bad_table_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"a\.fits \(to be written\): row 1 .* EXPOSURE is 0"):
        write_scws(make_scws(exposure=np.zeros(40)), tmp_path / "a.fits")
    assert os.listdir(tmp_path) == []


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    (tmp_path / "ordinary").write_text("")
    write_scws(make_scws(), tmp_path / "a.fits")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ordinary", "a.fits")}
    assert len(modes) == 1


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("no/a.fits", {}, "folder .*no does not exist: create it first"),
        (".", {}, "unknown kind of file"),
        ("folder.fits", {}, "is a directory: name a file to write"),
        ("a.txt", {}, r"unknown kind of file: name it \.fits, \.fits\.gz, \.ecsv, \.csv or \.parquet"),
        ("a.csv.gz", {}, "unknown kind of file"),
        ("a.fits", {"truth": {"x": np.nan}}, "truth cannot be JSON"),
        ("a.fits", {"truth": {"x": {1, 2}}}, "truth cannot be JSON"),
        (
            "a.fits",
            {"meta": {"origin": "Zürich", "simulated": True}},
            "ORIGIN 'Zürich' in FITS must be plain ASCII",
        ),
    ],
)
def test_what_cannot_be_written(tmp_path, name, changes, expected):
    (tmp_path / "folder.fits").mkdir()
    with pytest.raises(InputError, match=expected):
        write_scws(make_scws(**changes), tmp_path / name)
    assert os.listdir(tmp_path) == ["folder.fits"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        write_scws(make_scws(), tmp_path / "a.fits")


# --- what is accepted


def test_units_of_a_file_are_converted(tmp_path):
    scws, table = make_scws(), plain_table()
    table["RA"] = scws.ra / 15
    table["DEC"] = np.radians(scws.dec)
    table["EXPOSURE"] = scws.exposure / 1000
    table["RATE"] = scws.rate * 1000
    table["PHASE"] = scws.phase * 100
    units = {
        "RA": "hourangle",
        "DEC": "rad",
        "EXPOSURE": "ks",
        "STAT_ERR": "cts/s",
        "TRACER": "s-1",
        "PHASE": "%",
    }
    hdu = fits.table_to_hdu(table, name="SCW")
    for name, unit in (units | {"RATE": "ct/ks"}).items():
        hdu.columns[name].unit = unit
    ebounds = Table(
        {"BAND": [1, 2, 3], "E_MIN": [25.0, 60, 80] * u.eV * 1000, "E_MAX": [60.0, 80, 200] * u.keV}
    )
    fits.HDUList([fits.PrimaryHDU(), hdu, fits.table_to_hdu(ebounds, name="EBOUNDS")]).writeto(
        tmp_path / "a.fits"
    )
    back = read_scws(tmp_path / "a.fits")
    for name in ("ra", "dec", "exposure", "rate", "stat_err", "tracer", "phase", "mjd"):
        np.testing.assert_allclose(getattr(back, name), getattr(scws, name), rtol=1e-13, err_msg=name)
    assert back.band_names == ("1", "2", "3")
    assert [band.e_min for band in back.bands] == pytest.approx([25, 60, 80], rel=1e-15)


def test_galactic_positions(tmp_path):
    scws, table = make_scws(), plain_table()
    galactic = SkyCoord(scws.ra, scws.dec, unit="deg").galactic
    table["LON"], table["LAT"] = galactic.l.rad, galactic.b.deg
    table["LON"].unit = "rad"
    table.remove_columns(["RA", "DEC"])
    back = read_scws(write_table(tmp_path / "a.fits", table))
    assert back.position.separation(scws.position).arcsec.max() < 1e-6
    np.testing.assert_allclose(back.lat, galactic.b.deg, atol=1e-9)


def test_names_in_any_case_and_other_columns_beside(tmp_path):
    table = plain_table()
    for name in table.colnames:
        table.rename_column(name, name.lower())
    table["extra"] = "x"
    back = read_scws(write_table(tmp_path / "a.fits", table))
    np.testing.assert_array_equal(back.rate, make_scws().rate)


@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_ids_as_numbers_are_padded(tmp_path, kind):
    table = plain_table()
    table["SCW_ID"] = table["SCW_ID"].astype(kind)
    back = read_scws(write_table(tmp_path / "a.fits", table))
    assert back.scw_id.tolist() == make_scws().scw_id.tolist()


def test_revolution_comes_from_the_id(tmp_path):
    table = plain_table()
    del table["REVOL"]
    back = read_scws(write_table(tmp_path / "a.fits", table))
    np.testing.assert_array_equal(back.revolution, make_scws().revolution)


def test_masked_values_of_optional_columns(tmp_path):
    table = plain_table()
    first = np.arange(40) < 3
    table["REVOL"] = MaskedColumn(table["REVOL"], mask=first)
    table["SOURCE"] = MaskedColumn(np.full(40, "Crab"), mask=first)
    table["ROLL"] = MaskedColumn(table["ROLL"], mask=True)
    table["TRACER_ERR"] = MaskedColumn(table["TRACER_ERR"], mask=True)
    table.meta = {"EBOUNDS": {"BAND": ["A", "B", "C"], "E_MIN": [25, 60, 80], "E_MAX": [60, 80, 200]}}
    table.write(tmp_path / "a.ecsv")
    back = read_scws(tmp_path / "a.ecsv")
    np.testing.assert_array_equal(back.revolution, make_scws().revolution)
    np.testing.assert_array_equal(back.crab, ~first)
    assert back.roll is None
    assert back.tracer_err is None
    assert back.tracer is not None


def test_source_in_any_case_and_padded(tmp_path):
    table = plain_table()
    table["SOURCE"] = np.where(np.arange(40) == 7, " CRAB ", "  ")
    assert np.flatnonzero(read_scws(write_table(tmp_path / "a.fits", table)).crab).tolist() == [7]


def test_a_parquet_file_that_pandas_wrote(tmp_path):
    pd = pytest.importorskip("pandas")
    scws = make_scws(truth=None)
    write_scws(scws, tmp_path / "a.parquet")
    frame = scws.to_table(vectors=False).to_pandas()
    frame["SOURCE"] = [s or None for s in frame["SOURCE"]]
    frame["SCW_ID"] = pd.Categorical(frame["SCW_ID"])
    frame["ROLL"] = None
    frame.to_parquet(tmp_path / "a.parquet")
    assert_same(dataclasses.replace(scws, roll=None), read_scws(tmp_path / "a.parquet"))


def test_the_format_can_be_given(tmp_path):
    write_scws(make_scws(), tmp_path / "a.fits")
    (tmp_path / "a.fits").rename(tmp_path / "a.dat")
    assert_same(make_scws(), read_scws(tmp_path / "a.dat", format="fits"))
    assert message_of(tmp_path / "a.dat").startswith("unknown kind of file: name it .fits")
    assert message_of(tmp_path / "a.dat", format="fitz") == "unknown format 'fitz' (did you mean 'fits'?)"


def test_a_foreign_fits_file_without_extension_names(tmp_path):
    write_table(
        tmp_path / "a.fits", plain_table(), header={"EXTNAME": "RATES", "SIMUL": False, "OSAVER": 11.2}
    )
    back = read_scws(tmp_path / "a.fits")
    assert back.meta == {
        "origin": None,
        "simulated": False,
        "osa_version": "11.2",
        "path": str(tmp_path / "a.fits"),
    }
    assert back.truth is None


def test_reading_a_whole_mission_does_not_loop_over_rows(tmp_path, monkeypatch):
    """Count Python calls rather than seconds: 100 times the rows may not cost more calls."""
    import sys

    def calls(n):
        write_scws(make_scws(n), tmp_path / "a.fits", overwrite=True)
        count = 0

        def trace(frame, event, arg):
            nonlocal count
            count += 1

        sys.setprofile(trace)
        try:
            read_scws(tmp_path / "a.fits")
        finally:
            sys.setprofile(None)
        return count

    calls(10)  # imports
    assert calls(4000) < 1.2 * calls(40) + 200


# --- what is not


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


def test_gzip_is_really_gzip(tmp_path):
    write_scws(make_scws(), tmp_path / "a.fits.gz")
    assert gzip.decompress((tmp_path / "a.fits.gz").read_bytes()).startswith(b"SIMPLE  =")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    write_scws(make_scws(), tmp_path / "a.parquet")
    monkeypatch.setattr(ridgebayes.table.parquet, "find_spec", lambda name: None)
    assert message_of(tmp_path / "a.parquet") == "Parquet needs pyarrow: pip install 'ridgebayes[parquet]'"


def test_times_of_32_bits_are_said_to_be_coarse(tmp_path, caplog):
    path = tmp_path / "a.fits"
    write_scws(make_scws(), path)
    with fits.open(path) as hdus:
        table = Table(hdus["SCW"].data)
        table["MJD"] = table["MJD"].astype(np.float32)
        hdus["SCW"] = fits.BinTableHDU(table, name="SCW")
        hdus.writeto(path, overwrite=True, checksum=True)
    read = read_scws(path)
    assert "MJD has numbers of 32 bits: times are known to 338 s, the order of ScWs too" in caplog.text
    np.testing.assert_allclose(read.mjd, make_scws().mjd, atol=338 / 86400)
