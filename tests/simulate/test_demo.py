"""The bundled demo mission is what its README says."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ridgebayes import simulate
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.sky import exposure, load, uncovered
from ridgebayes.table.formats import read_scws
from ridgebayes.table.scw import CRAB

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo():
    return read_scws(ROOT / "data" / "demo.fits")


def test_size_and_marks(demo):
    assert (ROOT / "data" / "demo.fits").stat().st_size < 2e6
    assert 4500 < len(demo) < 5500
    assert demo.meta["simulated"] is True
    assert demo.truth["world"] == {}
    assert demo.bands == simulate.BANDS
    np.testing.assert_allclose(demo.truth["fov"]["GB"], [154.886, 96.473, 102.207])


def test_it_covers_sky_and_time(demo):
    sky = load("milkyway")
    assert tuple(demo.truth["intensity"]) == sky.names
    assert uncovered(exposure(demo, sky, Trapezoid()), sky.names) == []
    assert np.ptp(demo.mjd) > 20 * 365.25
    crab_years = (demo.mjd[demo.crab] - demo.mjd.min()) / 365.25
    assert crab_years.min() < 1
    assert crab_years.max() > 18
    np.testing.assert_array_equal(demo.crab, demo.near(CRAB, 12))
    revolutions, row = np.unique(demo.revolution, return_inverse=True)
    without = np.bincount(row, demo.at_high_latitude()) == 0
    assert revolutions.size == 76
    assert 0.25 < without.mean() < 0.45


def test_the_script_makes_it(demo, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("make_demo", ROOT / "scripts" / "make_demo.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "DEMO", tmp_path / "demo.fits")
    script.main()
    again = read_scws(tmp_path / "demo.fits")
    np.testing.assert_array_equal(again.scw_id, demo.scw_id)
    # Last digits may differ between versions of NumPy and astropy.
    for name in ("mjd", "ra", "dec", "roll", "rate", "stat_err", "tracer"):
        np.testing.assert_allclose(getattr(again, name), getattr(demo, name), rtol=1e-9, err_msg=name)
