"""Missing in any encoding, format and column: refused with its row, or left out; never a number."""

import dataclasses
import io

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.votable.tree import Resource, TableElement, VOTableFile
from astropy.table import Column, MaskedColumn, Table
from astropy.time import Time
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st

from ridgebayes import InputError, read_scws, write_scws
from ridgebayes.convert import append, convert, screen
from ridgebayes.convert.sources import open_source
from ridgebayes.io.fits_table import fits_table
from ridgebayes.products.monitor import read_monitor
from ridgebayes.simulate import read_programme
from ridgebayes.table.columns import Columns
from ridgebayes.table.missing import no_value, split
from ridgebayes.table.summary import summarise
from ridgebayes.table.validation import validate
from tests.helpers.readers import few
from tests.hostile.nulls import attempt, combinations


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("missing")


@settings(max_examples=60, deadline=None)
@given(which=st.sampled_from(combinations()), row=st.integers(0, 14))
@pytest.mark.slow
def test_missing_is_refused_or_left_out_and_never_a_number(folder, which, row):
    kind, how, column = which
    found = attempt(few().take_bands("A01"), folder, kind, how, column, row)
    assert found == ("left out" if column == "ROLL" and how != "inf" else "refused")


# --- the reader of FITS tables, against bytes written by hand


def raw_table(columns):
    """Bytes of a FITS file of one table: name → (TFORM, big-endian array, further cards of the column)."""
    n = len(next(iter(columns.values()))[1])
    rows = b"".join(array[i : i + 1].tobytes() for i in range(n) for _, array, _ in columns.values())
    header = fits.Header([("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", len(rows) // n)])
    header.update({"NAXIS2": n, "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": len(columns)})
    for i, (name, (form, _, cards)) in enumerate(columns.items(), start=1):
        header.update({f"TTYPE{i}": name, f"TFORM{i}": form} | {f"{k}{i}": v for k, v in cards.items()})
    primary = io.BytesIO()
    fits.PrimaryHDU().writeto(primary)
    return primary.getvalue() + header.tostring().encode() + rows.ljust(-(-len(rows) // 2880) * 2880, b"\0")


N = None


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")  # TNULL of floats, on purpose
@pytest.mark.filterwarnings("ignore:.*NULL .undefined. values")  # which astropy turns into False
@pytest.mark.parametrize(
    ("form", "stored", "dtype", "cards", "expected"),
    [
        ("1J", [1, -9, 3], ">i4", {"TNULL": -9}, [1, N, 3]),
        ("1J", [1000, -9, 3000], ">i4", {"TNULL": -9, "TSCAL": 0.001}, [1.0, N, 3.0]),
        # The null is the stored number, and not the number after TSCAL.
        ("1J", [5000, 5, 3000], ">i4", {"TNULL": 5, "TSCAL": 0.001}, [5.0, N, 3.0]),
        ("1I", [1, -32768, 3], ">i2", {"TSCAL": 0.5, "TZERO": 10.0}, [10.5, -16374.0, 11.5]),
        ("1I", [1, -32768, 3], ">i2", {"TSCAL": 0.5}, [0.5, N, 1.5]),
        ("1J", [5, -(2**31), 0], ">i4", {"TZERO": 2**31, "TNULL": -(2**31)}, [5 + 2**31, N, 2**31]),
        ("1J", [5, -(2**31), 0], ">i4", {"TZERO": 2**31}, [5 + 2**31, 0, 2**31]),
        ("1I", [5, -32768, 0], ">i2", {"TZERO": 32768.0, "TNULL": -32768}, [5 + 2**15, N, 2**15]),
        ("1B", [1, 255, 3], "u1", {"TNULL": 255}, [1, N, 3]),
        ("1K", [1, -(2**63), 3], ">i8", {}, [1, N, 3]),
        ("2J", [[1, 2], [-9, 4], [5, 6]], ">i4", {"TNULL": -9, "TSCAL": 2.0}, [[2, 4], [N, 8], [10, 12]]),
        ("1L", [ord("T"), 0, ord("F")], "u1", {}, [True, N, False]),
        ("1E", [1, -999, 3], ">f4", {"TNULL": -999}, [1, N, 3]),
        ("1D", [1, np.nan, 3], ">f8", {}, [1, N, 3]),
    ],
)
def test_nulls_of_a_fits_table(form, stored, dtype, cards, expected):
    content = raw_table({"X": (form, np.array(stored, dtype), cards)})
    with fits.open(io.BytesIO(content)) as hdus:
        values, missing = split(fits_table(hdus[1])["X"])
    assert missing.tolist() == np.equal(np.array(expected, object), N).tolist()
    assert values[~missing].tolist() == [v for v in np.ravel(np.array(expected, object)) if v is not N]


def test_an_empty_field_of_an_ascii_table_is_no_zero(tmp_path):
    table = fits.TableHDU.from_columns(
        [fits.Column("F", "F8.3", null="---", array=[1.0, 2.0, 3.0]), fits.Column("I", "I6", array=[1, 2, 3])]
    )
    table.writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    data = content[5760:].replace(b"   2.000", b"   ---  ").replace(b"     3", b"      ")
    with fits.open(io.BytesIO(content[:5760] + data)) as hdus:
        found = fits_table(hdus[1])
    assert found["F"].tolist() == [1.0, None, 3.0]
    assert found["I"].tolist() == [1, 2, None]


def test_arrays_of_variable_length(tmp_path):
    def written(*rows, **cards):
        array = np.empty(len(rows), object)
        array[:] = [np.array(row, ">i4") for row in rows]
        hdu = fits.BinTableHDU.from_columns([fits.Column("V", "PJ()", array=array)])
        hdu.header.update(cards)
        hdu.writeto(tmp_path / "v.fits", overwrite=True)
        with fits.open(tmp_path / "v.fits") as hdus:
            return fits_table(hdus[1])["V"].tolist()

    assert written([1, 2], [3, 4], [5, 6]) == [[1, 2], [3, 4], [5, 6]]
    assert written([1, 2], [3, 4], TNULL1=3) == [[1, 2], [None, 4]]
    with pytest.raises(InputError, match=r"column V .* variable length, 1 to 2 elements a row"):
        written([1, 2], [3])


# --- what stands in memory


@pytest.mark.parametrize(
    ("column", "missing"),
    [
        (np.ma.array([1.0, 2.0], mask=[False, True]), [False, True]),
        (Masked(np.array([1.0, 2.0]), mask=[True, False]), [True, False]),
        (np.array([1, None, float("nan"), 2.5], object), [False, True, True, False]),
        (np.array([True, None, False], object), [False, True, False]),
        (np.array(["2010-01-01", "NaT"], "M8[s]"), [False, True]),
        (MaskedColumn(["a", "b"], mask=[False, True]), [False, True]),
    ],
)
def test_what_is_missing_in_memory(column, missing):
    assert split(column)[1].tolist() == missing


def test_times_under_a_mask_are_missing():
    times = Time([52800.0, 52801.0], format="mjd", scale="tt")
    times[1] = np.ma.masked
    assert np.isnan(Columns("a", Table({"T": times})).floats("T", u.d)[1])


def test_numbers_that_are_measurements_are_kept(rng):
    rates = rng.uniform(1, 500, 1000)
    assert not no_value(rates, "rate").any()
    assert not no_value(np.arange(10000.0), "count").any()
    assert not no_value(np.linspace(-180, 180, 3601), "longitude").any()
    assert no_value(np.array([-999.0, -1.0, 1e30, np.float32(-999.9), 1.1754944e-38]), "rate").all()
    assert not no_value(np.array([0.0, 1e-20]), "rate").any()
    assert no_value(np.array([-1.0, 10.0, 200.0]), "longitude").tolist() == [True, False, False]
    assert not no_value(np.array([-1.0, 10.0, -20.0]), "longitude").any()


# --- the same in every door


def test_a_truth_value_that_is_not_known_is_not_no(tmp_path):
    scws = few()
    for values, mask in ((scws.crab, True), (scws.crab.astype(int), True)):
        table = scws.to_table()
        table.remove_column("SOURCE")
        table["CRAB"] = MaskedColumn(values, mask=np.arange(len(scws)) == 4 if mask else False)
        table.meta = {"EBOUNDS": {"BAND": ["a", "b", "c"], "E_MIN": [25, 60, 80], "E_MAX": [60, 80, 200]}}
        table.write(tmp_path / "c.ecsv", overwrite=True)
        with pytest.raises(InputError, match=r"row 5 .*CRAB is 'missing', which is not known"):
            convert([tmp_path / "c.ecsv"])


def test_a_roll_that_is_missing_is_said_and_left_out(tmp_path, caplog):
    table = few().to_table()
    table["ROLL"] = MaskedColumn(table["ROLL"], mask=np.arange(len(table)) == 2)
    table.meta = {"EBOUNDS": {"BAND": ["a", "b", "c"], "E_MIN": [25, 60, 80], "E_MAX": [60, 80, 200]}}
    table.write(tmp_path / "r.ecsv")
    with caplog.at_level("INFO", "ridgebayes"):
        assert read_scws(tmp_path / "r.ecsv").roll is None
    assert "ROLL is missing in 1 of 15 ScWs: left out, the response is averaged over roll" in caplog.text


def test_what_is_not_known_is_refused_in_memory_too(tmp_path):
    scws = few()
    bad = dataclasses.replace(scws, rate=np.where(np.arange(15)[:, None] == 3, -999.0, scws.rate))
    for use in (validate, screen_and_write(tmp_path), lambda t: append([t])):
        with pytest.raises(InputError, match=r"row 4 .*RATE of band .* is -999, which is no measurement"):
            use(bad)


def screen_and_write(folder):
    return lambda scws: write_scws(screen(scws), folder / "s.fits", overwrite=True)


def written(folder, change, cards=None):
    """Write a FITS table of the ScW contract that `change` has edited, with further cards in its header."""
    table = few().take_bands("A01").to_table()
    change(table)
    bands = Table({"BAND": ["A01"], "E_MIN": [25.0], "E_MAX": [60.0]})
    scw = fits.table_to_hdu(table, name="SCW")
    scw.header.update({"SIMUL": True} | (cards or {}))
    hdus = [fits.PrimaryHDU(), scw, fits.table_to_hdu(bands, name="EBOUNDS")]
    fits.HDUList(hdus).writeto(folder / "t.fits", overwrite=True)
    return folder / "t.fits"


@pytest.mark.parametrize(
    ("unit", "zero", "cards", "scale"),
    [
        (u.d, 0.0, {"TIMESYS": "TT"}, "tt"),
        (u.d, 0.0, {"TIMESYS": "UTC"}, "utc"),
        (u.d, 0.0, {"TIMESYS": "TAI", "MJDREF": 51544.0}, "tai"),  # with that zero none would fit
        (u.d, 51544.0, {"MJDREF": 51544.0}, "tt"),
        (u.s, 52200.0, {"MJDREFI": 52200, "MJDREFF": 0.0, "TIMEUNIT": "s"}, "tt"),
        (u.d, 52544.0, {"MJDREF": 51544.0, "TIMEZERO": 1000.0, "TIMESYS": "UTC"}, "utc"),
    ],
)
def test_zero_and_scale_of_the_header_count_in_every_reader(tmp_path, unit, zero, cards, scale):
    given = getattr(Time(few().mjd, format="mjd", scale="tt"), scale).mjd

    def change(table):
        table["MJD"] = ((given - zero) * u.d).to(unit)

    path = written(tmp_path, change, cards)
    for found in (read_scws(path), convert([path]).scws):
        np.testing.assert_allclose(found.mjd, few().mjd, atol=1e-8, rtol=0)


@pytest.mark.parametrize("scale", ["tt", "utc"])
def test_a_time_column_that_astropy_wrote(tmp_path, scale):
    """Julian dates in two parts, of the scale TCTYP; NaN where masked."""
    times = getattr(Time(few().mjd, format="mjd", scale="tt"), scale).copy()

    def change(table):
        table["MJD"] = times

    path = written(tmp_path, change)
    for found in (read_scws(path), convert([path]).scws):
        np.testing.assert_allclose(found.mjd, few().mjd, atol=1e-9, rtol=0)
    times[5] = np.ma.masked
    path = written(tmp_path, change)
    for read in (read_scws, lambda p: convert([p])):
        with pytest.raises(InputError, match=r"row 6 .*MJD is missing"):
            read(path)


@pytest.mark.parametrize(
    ("unit", "cards", "per_day"),
    [
        (None, {"TIMEUNIT": "s"}, 86400.0),
        (None, {"TIMEUNIT": "sec"}, 86400.0),
        ("sec", {}, 86400.0),
        ("S", {}, 86400.0),
        ("seconds", {}, 86400.0),
        ("days", {}, 1.0),
        ("hours", {}, 24.0),
    ],
)
@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
def test_units_of_time_by_other_names(tmp_path, unit, cards, per_day):
    def change(table):
        table["MJD"] = Column((few().mjd - 51544.0) * per_day, unit=unit)

    path = written(tmp_path, change, {"MJDREF": 51544.0} | cards)
    for found in (read_scws(path), convert([path]).scws):
        np.testing.assert_allclose(found.mjd, few().mjd, atol=1e-8, rtol=0)


def test_times_of_another_zero_are_told_by_the_revolutions(tmp_path):
    def change(table):
        table["TIME"] = Column((few().mjd - 50814.0) * 86400, unit="s")  # of 1998: would be 2005, not 2003
        table.remove_column("MJD")

    with pytest.raises(InputError, match=r"times are 730 d after the revolutions .* put  zero = 50814\.0"):
        convert([written(tmp_path, change)])
    shifted = dataclasses.replace(few(), mjd=few().mjd + 730)
    assert [s["count"] for s in summarise(shifted)["suspicious"] if "MJD" in s["what"]] == [15]
    assert not [s for s in summarise(few())["suspicious"] if "MJD" in s["what"]]


def test_a_scale_that_is_not_known_is_refused(tmp_path):
    path = written(tmp_path, lambda table: None, {"TIMESYS": "LOCAL"})
    for read in (read_scws, lambda p: convert([p])):
        with pytest.raises(InputError, match=r"TIMESYS is '?LOCAL"):
            read(path)


def test_a_column_crab_counts_in_every_reader(tmp_path):
    scws = few()
    crab = np.arange(15) < 4

    def change(table):
        table.remove_column("SOURCE")
        table["CRAB"] = crab

    path = written(tmp_path, change)
    assert read_scws(path).crab.tolist() == convert([path]).scws.crab.tolist() == crab.tolist()
    path = written(tmp_path, lambda table: table.add_column(~scws.crab, name="CRAB"))
    with pytest.raises(InputError, match=r"row 1 .*CRAB is 'True', SOURCE says the opposite: mend one"):
        read_scws(path)


def test_an_empty_tracer_is_left_out_and_said_in_every_reader(tmp_path, caplog):
    def change(table):
        table["TRACER"] = np.full(15, np.nan)

    path = written(tmp_path, change)
    for read in (read_scws, lambda p: convert([p]).scws):
        caplog.clear()
        with caplog.at_level("INFO", "ridgebayes"):
            found = read(path)
        assert found.tracer is None
        assert found.tracer_err is None
        assert "column TRACER has no value: left out" in caplog.text


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary"])
def test_null_texts_of_parquet(tmp_path, kind):
    import pyarrow as pa
    from pyarrow import parquet

    scws = few().take_bands("A01")
    write_scws(scws, tmp_path / "p.parquet")
    arrow = parquet.read_table(tmp_path / "p.parquet")
    ids = pa.array([None if k == 3 else name for k, name in enumerate(scws.scw_id.tolist())])
    ids = ids.dictionary_encode() if kind == "dictionary" else ids.cast(getattr(pa, kind)())
    arrow = arrow.set_column(arrow.schema.get_field_index("SCW_ID"), "SCW_ID", ids)
    parquet.write_table(arrow, tmp_path / "p.parquet")
    for read in (read_scws, lambda p: convert([p])):
        with pytest.raises(InputError, match=r"row 4 .*SCW_ID"):
            read(tmp_path / "p.parquet")


def test_null_texts_of_binary2_in_the_table_that_the_mapping_names(tmp_path):
    table = Table({"T": MaskedColumn(["aa", "bb", "cc"], mask=[False, True, False])})
    file = VOTableFile()
    file.resources.append(Resource())
    for name in ("first", "second"):
        element = TableElement.from_table(file, table[: len(file.resources[0].tables) + 2])
        element.ID, element.format = name, "binary2"
        file.resources[0].tables.append(element)
    file.to_xml(str(tmp_path / "two.vot"), _debug_python_based_parser=True)
    with pytest.raises(InputError, match=r'several tables \(first, second\): put  extension = "first"'):
        open_source(tmp_path / "two.vot")
    assert open_source(tmp_path / "two.vot", "first").table["T"].tolist() == ["aa", None]
    assert open_source(tmp_path / "two.vot", "second").table["T"].tolist() == ["aa", None, "cc"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RA", -999.0, "RA is missing"),
        ("RA", -1.0, "RA is missing"),
        ("DEC", 1e30, "DEC is missing"),
        ("MJD", -1.0, "MJD is -1"),
        ("EXPOSURE", -1.0, "EXPOSURE is -1"),
        ("PHASE", -1.0, "PHASE is -1, far from 0 to 1"),
        ("PHASE", 99.0, "PHASE is 99, far from 0 to 1"),
    ],
)
def test_a_programme_refuses_what_stands_for_none(tmp_path, name, value, said):
    scws = few()
    names = ("revolution", "ra", "dec", "mjd", "exposure", "phase")
    table = Table({"SCW_ID": scws.scw_id} | {n.upper(): getattr(scws, n) for n in names})
    table.rename_column("REVOLUTION", "REVOL")
    table[name][5] = value
    table.write(tmp_path / "p.ecsv")
    with pytest.raises(InputError, match=rf"row 6 .*{said}"):
        read_programme(tmp_path / "p.ecsv")


@pytest.mark.parametrize("cell", ["", "NA", "-999", "-1", "-9.0", "1e30", "nan", "9999", "99999", "---"])
def test_a_series_leaves_out_what_stands_for_none(tmp_path, cell):
    (tmp_path / "m.csv").write_text(f"date,OULU\n2003-01-01,96\n2004-01-01,{cell}\n2005-01-01,98\n")
    assert read_monitor(tmp_path / "m.csv").value.tolist() == [96, 98]


def test_a_series_keeps_its_own_large_and_negative_values(tmp_path):
    (tmp_path / "m.csv").write_text(
        "date,x\n2003-01-01,-1\n2004-01-01,9999\n2005-01-01,9000\n2006-01-01,-3\n"
    )
    assert read_monitor(tmp_path / "m.csv").value.tolist() == [-1, 9999, 9000, -3]
