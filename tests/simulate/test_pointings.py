"""Programmes from files."""

import gzip

import numpy as np
import pytest
from astropy.table import Table

from ridgebayes import simulate
from ridgebayes.errors import InputError
from ridgebayes.table import orbit

HEAD = "scw,ra,dec\n"


@pytest.fixture
def write(tmp_path):
    def to(text, name="programme.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return to


@pytest.mark.slow
def test_the_real_programme(realdata):
    path = realdata("scw_approx_pointings.csv.gz")
    plan = simulate.read_programme(path, seed=1)
    assert abs(len(plan) - 161_000) < 200
    assert plan.revolution.min() == 70
    assert plan.roll is None
    assert ((plan.phase >= 0) & (plan.phase <= 1)).all()
    with gzip.open(path, "rt") as file:
        table = Table.read(file.read(), format="ascii.csv")
    table = table[np.asarray(table["rev"]) >= 70]
    # Dithered: off the cells by up to 2.5° on each axis, anew for every ScW.
    off = plan.position.separation(simulate.read_programme(path, dither_deg=0).position).deg
    assert off.max() < 2.5 * np.sqrt(2) + 0.01
    # Uniform in a square of half-width 2.5°: mean distance 0.7652 × 2.5°.
    np.testing.assert_allclose(off.mean(), 0.7652 * 2.5, rtol=0.01)
    assert abs(np.mean(np.abs(plan.lat) > 20) - 0.278) < 0.01
    # Times are kept but for the few revolutions whose interpolated phase runs past the end.
    kept = np.isclose(plan.mjd, np.asarray(table["tmid_ijd_approx"], float) + 51544.0, rtol=0, atol=1e-6)
    assert kept.mean() > 0.97
    low, median, high = np.percentile(plan.exposure, [5, 50, 95])
    assert (abs(low - 1600) < 60) & (1800 < median < 2000) & (abs(high - 3570) < 60)


def test_columns_under_other_names(write):
    path = write("SCW_ID,l,b,Phase,EXPOSURE,roll\n10000020010,-0.5,2,0.25,1234,17\n")
    plan = simulate.read_programme(path)
    assert plan.scw_id[0] == "010000020010"  # the leading zero is back
    assert plan.revolution[0] == 100
    np.testing.assert_allclose([plan.lon[0], plan.lat[0]], [-0.5, 2.0], atol=1e-9)
    np.testing.assert_allclose(plan.mjd, orbit.mjd_at(100, 0.25))
    assert (plan.exposure[0], plan.roll[0]) == (1234, 17)


def test_time_gives_phase_and_ijd_is_mjd_less_51544(write):
    ijd = orbit.mjd_at(100, 0.3) - 51544
    path = write(f"scw,ra,dec,ijd\n010000010010,10,20,{ijd:.6f}\n")
    np.testing.assert_allclose(simulate.read_programme(path).phase, 0.3, atol=1e-6)


def test_without_times_scws_are_spread_over_the_orbit(write):
    ids = [f"0100{k:04d}0010" for k in range(1, 5)]
    plan = simulate.read_programme(write(HEAD + "".join(f"{i},10,20\n" for i in ids)))
    np.testing.assert_allclose(plan.phase, [0.155, 0.385, 0.615, 0.845])
    np.testing.assert_array_equal(plan.ra, 10)  # an exact position is not dithered


def test_phases_past_the_end_are_squeezed_and_others_left(write):
    rows = ["010000010010,10,20,0.10", "010000020010,10,20,1.30", "010100010010,10,20,0.97"]
    plan = simulate.read_programme(write("scw,ra,dec,phase\n" + "\n".join(rows) + "\n"))
    np.testing.assert_allclose(plan.phase, [0.04, 0.96, 0.97])


def test_dither_on_request(write):
    path = write(HEAD + "".join(f"0100{k:04d}0010,10,88\n" for k in range(1, 400)))
    plan = simulate.read_programme(path, dither_deg=1.0, seed=1)
    off = plan.position.separation(simulate.read_programme(path).position).deg
    assert 1.0 < off.max() < np.sqrt(2)
    np.testing.assert_allclose(off.mean(), 0.7652, rtol=0.05)
    again = simulate.read_programme(path, dither_deg=1.0, seed=1)
    np.testing.assert_array_equal(plan.ra, again.ra)


def test_first_and_last_revolution(write):
    path = write(HEAD + "".join(f"{r:04d}00010010,10,20\n" for r in (60, 70, 80, 90)))
    assert simulate.read_programme(path).revolution.tolist() == [70, 80, 90]
    assert simulate.read_programme(path, start=1, stop=80).revolution.tolist() == [60, 70, 80]


def test_a_scw_table_is_a_programme(tmp_path):
    plan = simulate.programme(2, seed=1)
    path = tmp_path / "plan.ecsv"
    Table({"SCW_ID": plan.scw_id, "RA": plan.ra, "DEC": plan.dec, "MJD": plan.mjd, "PHASE": plan.phase,
           "EXPOSURE": plan.exposure, "ROLL": plan.roll}).write(path)  # fmt: skip
    assert simulate.read_programme(path).fingerprint() == plan.fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scw,ra\n010000010010,1\n", "no position: add columns ra and dec, or l and b"),
        ("ra,dec\n1,2\n", "no column scw_id or scw"),
        (HEAD + "010000010010,1,95\n", "row 1 .*dec is 95, not a position"),
        (HEAD + "010000010010,x,5\n", "column ra is not numeric"),
        (HEAD + "010000010010,1,5\n010000010010,1,5\n", "row 2 .*duplicate SCW_ID"),
        ("scw,rev,ra,dec\n010000010010,101,1,5\n", "rev is 101, but SCW_ID says otherwise"),
        ("scw,ra,dec,exposure\n010000010010,1,5,0\n", "exposure is 0, must be finite and positive"),
        ("scw,ra,dec,mjd\n010000010010,1,5,nan\n", "mjd is missing"),
        (HEAD + "001000010010,1,5\n", "no ScW in revolutions 70 to 10: the file has 10 to 10"),
        (HEAD, "no rows"),
    ],
)
def test_bad_files(write, text, message):
    with pytest.raises(InputError, match=message) as caught:
        simulate.read_programme(write(text))
    assert "programme.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_or_no_table(tmp_path, write):
    with pytest.raises(InputError, match=r"nowhere.csv: no such file"):
        simulate.read_programme(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="the table has no rows"):
        simulate.read_programme(write("not a FITS file", "programme.fits"))
    with pytest.raises(InputError, match="dither_deg 60: give 0 to 30"):
        simulate.read_programme(write(HEAD + "010000010010,1,5\n"), dither_deg=60)
