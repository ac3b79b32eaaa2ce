"""The summary of a ScW table, against counts by hand and plain loops."""

import dataclasses
import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time

from ridgebayes.errors import InputError
from ridgebayes.table.scw import CRAB_DEC, CRAB_RA, ScWTable
from ridgebayes.table.summary import summarise, summary
from tests.helpers.scw_table import BANDS, make_scws

REALDATA = Path(__file__).resolve().parents[3] / "shared" / "realdata"


def at_latitudes(lat, lon=0.0, **changes):
    """Return a table whose ScWs point to these galactic positions."""
    lat = np.asarray(lat, dtype=float)
    icrs = SkyCoord(np.broadcast_to(lon, lat.shape), lat, unit="deg", frame="galactic").icrs
    return make_scws(lat.size, ra=icrs.ra.deg, dec=icrs.dec.deg, **changes)


def suspicions(scws):
    return {item["what"]: item for item in summarise(scws)["suspicious"]}


def changed(name, rows, value, **changes):
    scws = make_scws(**changes)
    column = getattr(scws, name).copy()
    column[rows] = value
    return dataclasses.replace(scws, **{name: column})


def test_numbers_of_a_small_table():
    scws = make_scws()
    s = summarise(scws)
    assert s["scws"] == 40
    assert (s["revolutions"]["count"], s["revolutions"]["first"], s["revolutions"]["last"]) == (5, 70, 74)
    assert s["exposure_ms"] == pytest.approx(sum(scws.exposure.tolist()) / 1e6)
    assert [band["name"] for band in s["bands"]] == ["25-60", "60-80", "80-200"]
    assert s["bands"][1]["rate"] == statistics.median(scws.rate[:, 1].tolist())
    assert s["bands"][2]["stat_err"] == statistics.median(scws.stat_err[:, 2].tolist())
    assert s["time"]["mjd"] == [scws.mjd.min(), scws.mjd.max()]
    assert (
        s["time"]["date"][0]
        == Time(scws.mjd.min(), format="mjd", scale="tt").to_datetime().date().isoformat()
    )
    assert (s["tracer"], s["roll"], s["crab_scws"], s["simulated"], s["truth"]) == (True, True, 5, True, True)
    assert s["suspicious"] == []
    assert json.loads(json.dumps(s)) == s


def test_rates_that_no_detector_has_are_suspicious():
    scws = make_scws()
    wrong = dataclasses.replace(
        scws, rate=scws.rate * 1000, stat_err=scws.stat_err * 1000, exposure=scws.exposure / 1000
    )
    found = [item for what, item in suspicions(wrong).items() if "more than ISGRI sends" in what]
    assert [item["count"] for item in found] == [int((wrong.rate > 1e4).any(axis=1).sum())]
    assert found[0]["count"] > 0
    assert not any("ISGRI sends" in what for what in suspicions(scws))


def test_latitudes():
    # Five revolutions of eight ScWs: with 0, 1, 4, 5 and 8 of them at high latitude, the first below 20°.
    lat = np.full(40, 3.0)
    lat[:8] = 19.99
    lat[[8, 16, 17, 18, 19]] = 40
    lat[24:29] = -30
    lat[32:] = -80
    s = summarise(at_latitudes(lat))
    assert s["sky"]["high_latitude"] == pytest.approx(18 / 40)
    assert s["sky"]["low_latitude"] == pytest.approx(14 / 40)
    assert s["revolutions"]["without_high_latitude"] == 1
    assert s["revolutions"]["one_to_four_high_latitude"] == 2


def test_shares_near_centre_and_crab():
    s = summarise(at_latitudes([0, 9.9, 10.1, 0], lon=[9.9, 0, 0, 180]))
    assert s["sky"]["near_centre"] == pytest.approx(0.5)
    s = summarise(make_scws(4, ra=[CRAB_RA] * 4, dec=CRAB_DEC + np.array([0, 11.9, 12.1, -11.9])))
    assert s["sky"]["near_crab"] == pytest.approx(0.75)


def test_sky_covered_is_the_area_of_the_caps():
    cap = (1 - np.cos(np.radians(8))) / 2
    assert summarise(at_latitudes([0.0]))["sky"]["covered"] == pytest.approx(cap, rel=0.05)
    assert summarise(at_latitudes([0, 0, 50], lon=[0, 0, 100]))["sky"]["covered"] == pytest.approx(
        2 * cap, rel=0.05
    )


def together(scws):
    """Point all ScWs at one place, so that each has neighbours."""
    return dataclasses.replace(scws, ra=0 * scws.ra + 83.0, dec=0 * scws.dec + 22.0)


@pytest.mark.parametrize(
    ("scws", "what", "rows"),
    [
        (changed("exposure", [3, 8, 9], [299.0, 20.0, 300.0]), "exposure below 300 s", [3, 8]),
        (changed("phase", [3, 8, 9], [0.039, 0.961, 0.96]), "phase outside 0.04–0.96", [3, 8]),
        (changed("rate", (5, 2), -1.0), "rate zero or negative", [5]),
        (changed("mjd", 30, 1000.0), "MJD more than 4 d from the middle of its revolution", [30]),
        (
            changed("tracer", 6, 33.0),
            "tracer more than 6 robust sigma from the median of its revolution",
            [6],
        ),
        (
            together(changed("rate", (7, 1), 60.0)),
            "60-80 rate more than 8 robust sigma from the median of its revolution within 6°",
            [7],
        ),
    ],
)
def test_suspicions(scws, what, rows):
    found = suspicions(scws)[what]
    assert found["count"] == len(rows)
    assert found["scw_ids"] == scws.scw_id[rows].tolist()


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_suspicious_errors(factor):
    scws = make_scws()
    error = scws.stat_err.copy()
    error[11, 0] *= factor
    found = suspicions(dataclasses.replace(scws, stat_err=error))
    assert found["STAT_ERR not within a factor 2 of sqrt(rate/exposure)"]["scw_ids"] == [scws.scw_id[11]]


def test_a_crab_left_in_is_no_outlier():
    scws = together(make_scws())
    bright = dataclasses.replace(scws, rate=scws.rate + 119.0 * scws.crab[:, None])
    assert not any("robust" in what for what in suspicions(bright))
    assert any("robust" in what for what in suspicions(dataclasses.replace(bright, crab=None)))


def test_slow_changes_between_revolutions_are_no_outliers():
    scws = make_scws()
    drift = 1 + (scws.revolution - 70) / 10
    assert suspicions(dataclasses.replace(scws, rate=scws.rate * drift[:, None])) == {}


def test_the_scatter_of_one_quiet_revolution_is_not_trusted():
    scws = make_scws()
    rate = scws.rate.copy()
    rate[:8] = rate[0]  # a revolution without any scatter …
    rate[3] *= 1.01  # … and one ScW a normal two sigma beside it
    assert suspicions(dataclasses.replace(scws, rate=rate)) == {}


def test_only_five_are_named_and_row_order_does_not_matter():
    scws = changed("phase", np.arange(20, 30), 0.99)
    found = suspicions(scws)["phase outside 0.04–0.96"]
    assert found["count"] == 10
    assert found["scw_ids"] == scws.scw_id[20:25].tolist()
    assert summary(scws) == summary(scws.select(np.arange(40)[::-1]))
    assert "10 × phase outside 0.04–0.96: 007200050010, " in summary(scws)
    assert summary(scws).rstrip().endswith(", …")


def test_the_page():
    text = summary(make_scws())
    lines = text.splitlines()
    assert lines[0] == "SIMULATED data (the truth is included)"
    assert any(line.split() == ["ScWs", "40", "in", "5", "revolutions", "(70", "to", "74)"] for line in lines)
    assert "MJD 52769.00 to 52783.58 TT (2003-05-10 to 2003-05-24)" in text
    assert "25–60 keV, median rate 74." in text
    assert "suspicious         nothing" in text
    assert "file" not in text  # made in memory
    assert summary(make_scws(truth=None)).startswith("SIMULATED data (without the truth)")


def test_the_page_of_real_data_without_options():
    meta = {"simulated": False, "path": "x.fits"}
    text = summary(make_scws(meta=meta, truth=None, roll=None, tracer=None, tracer_err=None, crab=None))
    assert "SIMULATED" not in text
    assert "no (no column TRACER)" in text
    assert "no (response averaged over roll)" in text
    assert "not removed in 0 ScWs" in text
    assert text.splitlines()[0].split() == ["file", "x.fits"]


@pytest.mark.long
def test_composition_of_the_real_programme():
    path = REALDATA / "scw_approx_pointings.csv.gz"
    if not path.exists():
        pytest.skip("needs ../shared/realdata/scw_approx_pointings.csv.gz")
    data = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="ascii")
    n = data.size
    scws = ScWTable(
        scw_id=np.char.zfill(data["scw"].astype(str), 12),
        revolution=data["rev"],
        phase=data["phase_approx"],
        mjd=data["tmid_ijd_approx"] + 51544,
        exposure=np.full(n, 2000.0),
        ra=data["ra_est"],
        dec=data["dec_est"],
        rate=np.full(n, 74.0),
        stat_err=np.full(n, 0.2),
        bands=BANDS[:1],
    )
    s = summarise(scws)
    # What was measured on this file by other means, to the digits given.
    assert s["scws"] == 164719
    assert s["sky"]["high_latitude"] == pytest.approx(0.278, abs=0.0005)
    assert s["sky"]["low_latitude"] == pytest.approx(0.52, abs=0.005)
    assert s["sky"]["near_crab"] == pytest.approx(0.047, abs=0.0005)
    since_70 = summarise(scws.select(scws.revolution >= 70))["revolutions"]
    assert since_70["without_high_latitude"] / since_70["count"] == pytest.approx(0.36, abs=0.005)
    assert since_70["one_to_four_high_latitude"] / since_70["count"] == pytest.approx(0.08, abs=0.005)


def test_one_scw():
    assert "1 in 1 revolution " in summary(make_scws(1))
    assert "1 in 1 revolution " in summary(make_scws(1, crab=[True]))


def test_nothing_to_summarise():
    with pytest.raises(InputError, match="no rows to summarise"):
        summary(make_scws().select([]))
