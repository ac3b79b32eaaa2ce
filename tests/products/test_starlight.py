"""Ratio of intensity to starlight: known ratios, units, and skies that are no multiple of the map."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ridgebayes import InputError, read_table
from ridgebayes.instrument.crab_spectrum import CRAB
from ridgebayes.products.starlight import starlight_ratio
from ridgebayes.runs.run import Run
from ridgebayes.sky import load, starlight
from tests.helpers.cli import call
from tests.helpers.sky_run import core_starlight, sky_run


def healpix(path, factor=1.0, unit="MJy/sr"):
    """Write the starlight, times a factor, as a HEALPix map."""
    column = fits.Column("I", "D", array=factor * starlight(128), unit=unit)
    table = fits.BinTableHDU.from_columns([column])
    table.header.update(ORDERING="RING", COORDSYS="G", NSIDE=128)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    return path


def flat(path):
    """Write an even WCS map of 2 in the plane."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["GLON-CAR", "GLAT-CAR"], [-1, 1]
    wcs.wcs.crpix, wcs.wcs.crval = [180.5, 40.5], [0, 0]
    header = wcs.to_header()
    fits.PrimaryHDU(np.full((80, 360), 2.0), header).writeto(path)
    return path


@pytest.fixture(scope="module")
def run():
    """Intensities of 3 and 1.5 times the starlight with errors of 2 %."""
    sky = load("coarse")
    shape = core_starlight(sky)
    noise = np.random.default_rng(1).normal(size=(400, 2, len(sky)))
    return sky_run(sky, np.array([[3.0], [1.5]]) * shape * (1 + 0.02 * noise))


@pytest.mark.slow
def test_known_ratio(run, tmp_path):
    own = starlight_ratio(run)
    np.testing.assert_allclose(own["mean"].value, [3.0, 1.5], rtol=0.01)
    brighter = starlight_ratio(run, healpix(tmp_path / "a.fits", 50.0))
    np.testing.assert_allclose(brighter["mean"].value, own["mean"].value / 50, rtol=1e-3)
    np.testing.assert_allclose(brighter["sd"].value, own["sd"].value / 50, rtol=1e-3)
    erg = CRAB.erg_per_mcrab([20, 30], [30, 40]) / 1e-11
    np.testing.assert_allclose(own["flux_mean"], own["mean"].value * erg)
    assert brighter.meta["map_unit"] == "MJy/sr"
    assert all("may be a multiple" in verdict for verdict in own["verdict"])
    assert "0.26 ± 0.05 in 3-20 keV" in own.meta["published"]


@pytest.mark.slow
def test_a_sky_that_is_no_multiple_of_the_map(run, tmp_path):
    table = starlight_ratio(run, flat(tmp_path / "flat.fits"), unit="MJy/sr")
    assert all("not a multiple of the map" in verdict for verdict in table["verdict"])
    assert (table["p"] < 1e-6).all()
    assert table.meta["map_unit"] == "MJy/sr"
    assert starlight_ratio(run, tmp_path / "flat.fits").meta["map_unit"] == "not stated"


def test_a_map_without_data_is_refused(run, tmp_path):
    (tmp_path / "none.fits").write_text("no map")
    for name in ("none.fits", "missing.fits"):
        with pytest.raises(InputError, match=name):
            starlight_ratio(run, tmp_path / name)


@pytest.mark.slow
def test_a_map_as_sky(tmp_path):
    own, mine = load("milkyway"), load(healpix(tmp_path / "stars.fits", 7.0))
    assert (mine.names, mine.name, list(mine.templates)) == (own.names, "stars", ["stars"])
    np.testing.assert_allclose(mine.solid_angles, own.solid_angles, rtol=1e-6)
    with pytest.raises(InputError, match="no such map"):
        load(tmp_path / "missing.fits")


def test_command(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "open", classmethod(lambda _cls, _path: run))
    path = healpix(tmp_path / "stars.fits", 50.0, unit="")
    done = call("starlight", tmp_path / "run", "--map", path, "--unit", "MJy/sr")
    assert "map: " in done.output
    assert "unit: MJy/sr" in done.output
    table = read_table(tmp_path / "run" / "products" / "starlight_stars.ecsv")
    assert table["E_MIN"].unit == u.keV
    assert table["mean"][0].value == pytest.approx(3 / 50, rel=0.01)
