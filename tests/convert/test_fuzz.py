"""Broken, odd and hostile files: one line of InputError or the right table, nothing else."""

import dataclasses
import gzip
import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import ridgebayes.io.bounded
from ridgebayes.convert import BandColumns, Mapping, convert, dump_mapping, load_mapping
from ridgebayes.convert.mapping import COLUMNS, FRAMES, SCALES, SYSTEMS, parse_mapping
from ridgebayes.convert.sources import open_source
from ridgebayes.errors import InputError
from ridgebayes.table.formats import read_scws, write_scws
from ridgebayes.table.scw import ScWTable
from ridgebayes.table.validation import validate
from tests.helpers.convert_dialects import Dialect, assert_same, write
from tests.helpers.votable import write_votable

FUZZ = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FORMATS = ("fits", "fits.gz", "ecsv", "csv", "csv.gz", "txt", "parquet", "vot")
TEXTS = ("ecsv", "csv", "txt")


def attempt(read, *arguments, **options):
    """Return what reading gives, None where it is refused in one line; anything else fails the test."""
    try:
        return read(*arguments, **options)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 1000
    return None


@pytest.fixture(scope="module")
def few(mission):
    return mission.select(np.arange(60, 72))


@pytest.fixture(scope="module")
def files(few, tmp_path_factory):
    """Return the bytes and the mapping of a table in every format."""
    made = {}
    for kind in FORMATS:
        path, mapping = write(few, tmp_path_factory.mktemp("fuzz"), Dialect(kind))
        made[kind] = path.read_bytes(), mapping
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("broken")


def put(folder, content, name):
    path = Path(tempfile.mkdtemp(dir=folder)) / name
    path.write_bytes(content)
    return path


# --- files that are cut off, changed, or no tables


@pytest.mark.parametrize("kind", FORMATS)
@FUZZ
@given(data=st.data())
def test_a_file_cut_off_is_refused_or_whole(files, few, folder, kind, data):
    content, mapping = files[kind]
    size = data.draw(st.integers(0, len(content) - 1))
    done = attempt(convert, [put(folder, content[:size], f"a.{kind}")], mapping)
    if done is None:
        return
    if kind not in TEXTS:
        assert_same(done.scws, few)  # nothing was lost but padding
        return
    # Text cut off at the end of a line is a shorter table; elsewhere the last row is in doubt: that is said.
    doubtful = any(note.startswith("DOUBT") for note in done.notes)
    sure = len(done.scws) - (1 if doubtful else 0)
    assert_same(done.scws.select(np.arange(sure)), few.select(np.arange(sure)))


@pytest.mark.parametrize("kind", ["csv", "txt"])
def test_a_last_number_cut_off_is_said(files, few, tmp_path, kind):
    content, mapping = files[kind]
    whole = convert([put(tmp_path, content, f"a.{kind}")], mapping)
    assert not any(note.startswith("DOUBT") for note in whole.notes)
    names, *rows = content.decode().splitlines()
    # With the error of the tracer last, a cut leaves a smaller number that looks as good as the right one.
    separator = "," if kind == "csv" else None
    where = names.split(separator).index("TRACER_ERR")
    lines = [line.split(separator) for line in (names, *rows)]
    text = "\n".join((separator or " ").join([*w[:where], *w[where + 1 :], w[where]]) for w in lines)
    cut = convert([put(tmp_path, text[:-6].encode(), f"b.{kind}")], mapping)
    assert cut.scws.tracer_err[-1] != few.tracer_err[-1]
    assert any(note.startswith("DOUBT") and "cut off" in note for note in cut.notes)


@pytest.mark.parametrize("kind", FORMATS)
@FUZZ
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_changed_bytes_give_a_valid_table_or_one_line(files, folder, kind, changes):
    content, mapping = files[kind]
    broken = bytearray(content)
    for where, value in changes:
        broken[int(where * len(broken))] = value
    path = put(folder, bytes(broken), f"a.{kind}")
    done = attempt(convert, [path], mapping)
    if done is not None:
        validate(done.scws)
    attempt(convert, [path])


@FUZZ
@given(content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@pytest.mark.slow
def test_anything_at_all(folder, content):
    for prefix in (b"", b"SIMPLE  =", b"PAR1", b"<VOTABLE", b"# %ECSV 1.0\n", b"SCW_ID,RATE\n", b"\x1f\x8b"):
        path = put(folder, prefix + content, "a.dat")
        attempt(convert, [path])
        attempt(load_mapping, path)
    path = put(folder, content, "a.fits")
    attempt(read_scws, path)


@FUZZ
@given(data=st.data())
def test_the_standard_reader_meets_the_same(few, folder, data):
    kind = data.draw(st.sampled_from(["fits", "ecsv", "csv"]))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        write_scws(few, Path(scratch) / f"a.{kind}")
        content = bytearray((Path(scratch) / f"a.{kind}").read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        (Path(scratch) / f"a.{kind}").write_bytes(content[: data.draw(st.integers(1, len(content)))])
        back = attempt(read_scws, Path(scratch) / f"a.{kind}")
        assert back is None or isinstance(back, ScWTable)


# --- columns of wrong types, huge values, odd names


def odd_columns(n):
    """Return columns of anything that a table can hold."""
    return st.one_of(
        st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=n, max_size=n),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n),
        st.lists(
            st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=15), min_size=n, max_size=n
        ),
        st.lists(
            st.sampled_from(["1e999", "0x10", "1_0", "١٢", "nan", "12:61:00", "5h", ""]),
            min_size=n,
            max_size=n,
        ),
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.just(np.full(n, 1 + 1j)),
        st.just(np.zeros((n, 2))),
        st.just(np.zeros((n, 0))),
        st.just(np.array(["2010-13-01T00:00:00"] * n)),
    )


ODD_UNITS = st.sampled_from(
    ["", "s", "ks", "ct", "ct/ks", "mCrab", "rad", "hourangle", "deg", "foo", "10**400 s", "mag"]
)


@pytest.mark.parametrize("kind", ["ecsv", "fits", "vot"])
@FUZZ
@given(data=st.data())
@pytest.mark.slow
def test_odd_columns_never_change_the_others(few, folder, kind, data):
    path, mapping = write(few, Path(tempfile.mkdtemp(dir=folder)), Dialect(kind))
    with fits.open(path) if kind == "fits" else io.BytesIO() as hdus:
        table = Table.read(hdus["RATES"]) if kind == "fits" else Table.read(path)
    name = data.draw(st.sampled_from(table.colnames))
    values = data.draw(odd_columns(len(few)))
    column = Column(values, name=name)
    unit = data.draw(ODD_UNITS)
    if unit and unit != "10**400 s":
        column.unit = unit
    table.replace_column(name, column)
    try:
        if kind == "fits":
            with fits.open(path) as hdus:
                new = fits.HDUList([hdus[0], fits.table_to_hdu(table, name="RATES"), hdus["EBOUNDS"]])
                new.writeto(path.with_name("b.fits"))
            path = path.with_name("b.fits")
        elif kind == "vot":
            write_votable(table, path)
        else:
            table.write(path, overwrite=True, format="ascii.ecsv")
    except Exception:
        return  # astropy cannot write such a column
    done = attempt(convert, [path], mapping)
    if done is None:
        return
    validate(done.scws)
    if name != "SCW_ID":  # else the rows are others
        touched = {"RA": "ra dec", "DEC": "ra dec", "TIME": "mjd", "EXPOSURE": "exposure", "CRAB": "crab"}
        loose = set(touched.get(name, name.lower()).split())
        if name.startswith(("RATE", "TRACER", "PHASE", "ROLL")):
            loose |= {"rate", "stat_err", "tracer", "tracer_err", "phase", "roll"}
        for key in {"mjd", "exposure", "ra", "rate", "stat_err", "phase"} - loose:
            assert_allclose(getattr(done.scws, key), getattr(few, key), rtol=1e-9, err_msg=f"{name}: {key}")


@FUZZ
@given(data=st.data())
@pytest.mark.slow
def test_odd_headers(few, folder, data):
    path, mapping = write(few, Path(tempfile.mkdtemp(dir=folder)), Dialect())
    value = st.one_of(
        st.integers(-(10**12), 10**12),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    )
    keys = [
        "TIMESYS",
        "MJDREF",
        "MJDREFI",
        "SIMUL",
        "EQUINOX",
        "RADESYS",
        "ORIGIN",
        "OSAVER",
        "E_MIN",
        "TUNIT5",
    ]
    with fits.open(path, mode="update") as hdus:
        for key in data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3)):
            hdus[1].header[key] = data.draw(value)
    done = attempt(convert, [path], dataclasses.replace(mapping, simulated=None))
    if done is not None:
        validate(done.scws)
        assert_allclose(done.scws.rate, few.rate)
        # TIMESYS may say UTC, TAI or TDB; a number of days from another zero is refused.
        assert np.abs(done.scws.mjd - few.mjd).max() < 70 / 86400


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"NAXIS2  =                   12", b"NAXIS2  =      999999999999999"),
        (b"NAXIS2  =                   12", b"NAXIS2  =                  -12"),
        (b"NAXIS2  =                   12", b"NAXIS2  =                    0"),
        (b"NAXIS2  =                   12", b"NAXIS2  =                   1E"),
        (b"TFIELDS =                   16", b"TFIELDS =               999999"),
        (b"TFIELDS =                   16", b"TFIELDS =                   -1"),
        (b"TFORM2  = 'D       '", b"TFORM2  = '999999999D'"),
        (b"TFORM2  = 'D       '", b"TFORM2  = 'QQ      '"),
        (b"PCOUNT  =                    0", b"PCOUNT  =         999999999999"),
    ],
)
def test_absurd_fits_headers(few, tmp_path, old, new):
    path, mapping = write(few, tmp_path, Dialect())
    content = path.read_bytes()
    assert content.count(old) >= 1, "the header of the test has changed"
    path.write_bytes(content.replace(old, new, 1))
    assert attempt(convert, [path], mapping) is None


@pytest.mark.parametrize("kind", ["ecsv", "csv", "fits", "vot", "parquet"])
def test_no_rows_and_one_row(few, tmp_path, kind):
    one = few.select([3])
    path, mapping = write(one, tmp_path, Dialect(kind))
    units = {"RA": "deg", "DEC": "deg"} | mapping.units
    assert_same(convert([path], dataclasses.replace(mapping, units=units)).scws, one)
    empty = few.select([])
    (tmp_path / "none").mkdir()
    path, mapping = write(empty, tmp_path / "none", Dialect(kind))
    with pytest.raises(InputError, match="no rows"):
        convert([path], mapping)


def test_no_columns_no_file_a_folder(tmp_path):
    (tmp_path / "a.csv").write_text("\n\n")
    (tmp_path / "b.csv").write_text("")
    for path in (tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "none", tmp_path):
        assert attempt(convert, [path]) is None
    assert attempt(convert, []) is None


@FUZZ
@given(data=st.data())
def test_mixed_time_systems_are_refused(few, folder, data):
    path, mapping = write(few, Path(tempfile.mkdtemp(dir=folder)), Dialect("ecsv"))
    table = Table.read(path)
    rows = data.draw(st.sets(st.integers(0, len(few) - 1), min_size=1, max_size=len(few) - 1))
    table["TIME"][sorted(rows)] += data.draw(st.sampled_from([-51544.0, 2400000.5]))
    table.write(path, format="ascii.ecsv", overwrite=True)
    assert attempt(convert, [path], mapping) is None
    assert attempt(convert, [path], dataclasses.replace(mapping, system="mjd")) is None


# --- mappings


names = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
mappings = st.builds(
    Mapping,
    columns=st.dictionaries(st.sampled_from(sorted(set(COLUMNS) - {"time"})), names),
    bands=st.lists(
        st.builds(
            BandColumns,
            names,
            st.floats(0, 100),
            st.floats(100, 1000),
            st.none() | names,
            st.none() | names,
            st.none() | st.integers(1, 99),
            st.integers(1, 9),
        ),
        max_size=3,
    ).map(tuple),
    units=st.dictionaries(names, names, max_size=3),
    system=st.none() | st.sampled_from(SYSTEMS),
    scale=st.none() | st.sampled_from(SCALES),
    frame=st.none() | st.sampled_from(FRAMES[:3]),
    simulated=st.none() | st.booleans(),
    origin=st.none() | names,
)


@FUZZ
@given(mapping=mappings, remarks=st.lists(names, max_size=2))
def test_any_mapping_written_is_read_back(mapping, remarks):
    assert parse_mapping(dump_mapping(mapping, remarks)) == mapping


@FUZZ
@given(mapping=mappings)
def test_any_mapping_meets_a_table(files, folder, mapping):
    attempt(convert, [put(folder, files["ecsv"][0], "a.ecsv")], mapping)


# --- bounds


def test_a_gzip_bomb_is_refused_before_it_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setattr(ridgebayes.io.bounded, "UNPACKED_LIMIT", 10**6)
    bomb = gzip.compress(b"0" * (5 * 10**6)) * 3  # several members, as a bomb may have
    monkeypatch.setattr(gzip, "decompress", lambda _: pytest.fail("was expanded"))
    for name in ("a.fits", "a.csv.gz", "a.ecsv", "a.txt"):
        (tmp_path / name).write_bytes(bomb)
        with pytest.raises(InputError, match="when unpacked"):
            open_source(tmp_path / name)
    for name in ("a.fits", "a.ecsv"):
        with pytest.raises(InputError, match="when unpacked"):
            read_scws(tmp_path / name)


def test_packed_twice_or_otherwise_is_refused(files, tmp_path):
    import bz2
    import lzma

    content = files["ecsv"][0]
    for packed in (gzip.compress(gzip.compress(content)), bz2.compress(content), lzma.compress(content)):
        (tmp_path / "a.ecsv").write_bytes(packed)
        with pytest.raises(InputError, match="unpack it first"):
            open_source(tmp_path / "a.ecsv")


def test_a_small_parquet_file_of_many_rows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ridgebayes.io.bounded, "UNPACKED_LIMIT", 10**6)
    Table({"SCW_ID": np.zeros(200_000)}).write(tmp_path / "a.parquet")
    assert os.path.getsize(tmp_path / "a.parquet") < 20_000
    with pytest.raises(InputError, match="when unpacked"):
        open_source(tmp_path / "a.parquet")


def test_a_votable_that_points_elsewhere_is_refused(tmp_path):
    text = (
        '<VOTABLE version="1.3"><RESOURCE><TABLE><FIELD name="A" datatype="int"/><DATA><BINARY>'
        '<STREAM href="file:///etc/hostname"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>'
    )
    (tmp_path / "a.vot").write_text(text)
    with pytest.raises(InputError, match="another file"):
        open_source(tmp_path / "a.vot")
