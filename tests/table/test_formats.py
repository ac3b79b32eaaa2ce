"""ScW tables that are written and read again: every format, and nothing lost."""

import gzip
import os
import stat

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

import ridgebayes.io.atomic
import ridgebayes.table.parquet
from ridgebayes.errors import InputError
from ridgebayes.table.formats import read_scws, write_scws
from tests.helpers.scw_table import make_scws
from tests.helpers.table_files import FILES, assert_same


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


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_overwritten_unless_asked(tmp_path, name):
    path = tmp_path / name
    write_scws(make_scws(seed=1), path)
    before = path.read_bytes()
    other = make_scws(seed=2)
    with pytest.raises(InputError, match="exists already: choose another name, or overwrite=True"):
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


def test_gzip_is_really_gzip(tmp_path):
    write_scws(make_scws(), tmp_path / "a.fits.gz")
    assert gzip.decompress((tmp_path / "a.fits.gz").read_bytes()).startswith(b"SIMPLE  =")
