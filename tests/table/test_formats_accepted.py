"""What is read of files that others wrote: units, names, frames, ids."""

import dataclasses

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from ridgebayes.table.formats import read_scws, write_scws
from tests.helpers.scw_table import make_scws
from tests.helpers.table_files import assert_same, message_of, plain_table, write_table


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
