from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from astropy.time import Time
from scipy.integrate import quad

from ridgebayes.table import orbit

# Published start dates; the last two are known to a day or so.
STARTS = {70: "2003-05-10", 500: "2006-11-16", 1000: "2010-12-21", 2000: "2018-09-15"}
ABOUT = {2500: "2022-05-07", 2740: "2024-02-05"}


@pytest.mark.parametrize(("revolution", "date"), STARTS.items())
def test_start_dates(revolution, date):
    assert Time(orbit.start_mjd(revolution), format="mjd", scale="tt").utc.strftime("%Y-%m-%d") == date


@pytest.mark.parametrize(("revolution", "date"), ABOUT.items())
def test_late_start_dates(revolution, date):
    assert abs(orbit.start_mjd(revolution) - Time(date).mjd - 0.5) < 1.0


@pytest.mark.parametrize(("revolution", "days"), [(100, 2.991), (1490, 2.991), (1505, 2.659), (2700, 2.659)])
def test_period_before_and_after_2015(revolution, days):
    np.testing.assert_allclose(orbit.period_d(revolution), days, atol=0.003)


def test_start_is_the_integral_of_a_smooth_step():
    def step(r):
        return orbit._SHORT + (orbit._LONG - orbit._SHORT) / (1 + np.exp((r - orbit._CHANGE) / orbit._WIDTH))

    area, _ = quad(step, 1480, 1520)
    np.testing.assert_allclose(orbit.start_mjd(1520) - orbit.start_mjd(1480), area, rtol=1e-9)
    periods = orbit.period_d(np.arange(70, 2741))
    assert (np.diff(periods) <= 1e-9).all()


def test_phase_inverts_time():
    revolution = np.array([70, 1498, 1500, 2740])
    phase = np.array([0.0, 0.25, 0.5, 0.999])
    np.testing.assert_allclose(
        orbit.phase_at(revolution, orbit.mjd_at(revolution, phase)), phase, rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(orbit.mjd_at(1499, 1.0), orbit.start_mjd(1500), rtol=0, atol=1e-9)


def test_real_calendar():
    path = Path(__file__).resolve().parents[3] / "shared" / "realdata" / "integral_revolutions.csv.gz"
    if not path.is_file():
        pytest.skip("needs ../shared/realdata/integral_revolutions.csv.gz")
    table = Table.read(path, format="ascii.csv")
    table = table[(table["rev"] >= 70) & (table["rev"] <= 2740)]
    real = np.asarray(table["start_ijd_tt"], float) + 51544
    assert np.abs(orbit.start_mjd(np.asarray(table["rev"])) - real).max() < 0.25
