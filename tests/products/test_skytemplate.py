"""The sky as a diffuse model: its integral over a region and a band is the flux of the posterior."""

import logging

import astropy.units as u
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from scipy.integrate import quad

from ridgebayes import InputError
from ridgebayes.instrument.crab_spectrum import ATEL4869, CRAB
from ridgebayes.products.maps import brightness
from ridgebayes.products.skytemplate import sky_template, write_template
from ridgebayes.sky import Region, Shape, build
from ridgebayes.sky.image import image_brightness
from tests.helpers.sky_run import sky_run

PER_SR = float((1 * u.sr).to_value(u.deg**2))


@pytest.fixture(scope="module")
def sky():
    return build(
        "test",
        [
            Region.box("east", (0.0, 20.0), (-10.0, 10.0)),
            Region.cell("far", (170.0, 190.0), Shape("sech2", 4.0), core_lat=5.0),
            Region.cell("GB", (-20.0, 0.0), Shape("starlight"), core_lat=5.0),
            Region.circle("disc", 60.0, 50.0, 6.0),
        ],
    )


@pytest.fixture(scope="module")
def run(sky):
    """Two bands that touch, 20–30 and 30–40 keV."""
    rng = np.random.default_rng(1)
    mean = np.array([[1.5, 0.5, 0.8, 0.2], [0.5, 0.4, -0.3, 0.1]])
    return sky_run(sky, mean + 0.1 * rng.normal(size=(200, 2, 4)), truth=np.ones((2, 4)))


def areas(wcs, shape):
    """Solid angle of every pixel, deg², from the latitudes of its edges."""
    _, edges = wcs.wcs_pix2world(np.zeros(shape[0] + 1), np.arange(shape[0] + 1) - 0.5, 0)
    row = np.diff(np.rad2deg(np.sin(np.deg2rad(edges)))) * abs(wcs.wcs.cdelt[0])
    return np.repeat(row[:, None], shape[1], axis=1)


def inside(wcs, shape, region):
    lon, lat = wcs.wcs_pix2world(*np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), 0)
    return region.contains(lon, lat)


@pytest.mark.slow
def test_an_image_holds_the_flux_of_every_region(sky, run):
    template = sky_template(run)
    shape = template.mean.shape[1:]
    held = image_brightness(sky, template.wcs, shape) @ areas(template.wcs, shape).ravel()
    np.testing.assert_allclose(held, sky.solid_angles, rtol=2e-3)


@pytest.mark.parametrize(("stretch", "shift"), [(1.5, 0.0), (0.7, 1.0)])
@pytest.mark.slow
def test_an_image_follows_a_stretched_sky(sky, run, stretch, shift):
    template = sky_template(run)
    shape = template.mean.shape[1:]
    image = image_brightness(sky, template.wcs, shape, stretch=stretch, shift=shift)
    held = image @ areas(template.wcs, shape).ravel()
    np.testing.assert_allclose(held, sky.reshaped(stretch, shift).solid_angles, rtol=3e-3)
    # And its profile is that of the HEALPix map, averaged over longitude.
    map_of = brightness(sky, 64, stretch, shift)[[1]].max()
    assert image[[1]].max() == pytest.approx(map_of, rel=0.02)


@pytest.mark.parametrize("crab", [CRAB, ATEL4869])
@pytest.mark.slow
def test_the_integral_over_a_band_is_the_flux_of_the_posterior(run, sky, crab):
    """Power laws between the nodes, integrated over energy and over the east: mCrab/deg² × 1/1000 Crab."""
    template = sky_template(run, crab)
    shape = template.mean.shape[1:]
    east = inside(template.wcs, shape, sky.regions[0])
    area = (areas(template.wcs, shape) * east).sum() / PER_SR
    log_flux = np.log((template.mean * east).sum(axis=(1, 2)) / east.sum() * area)

    def flux(energy):
        return np.exp(np.interp(np.log(energy), np.log(template.energy), log_flux))

    mean = run.intensity().mean(("chain", "draw"))
    for band, (low, high) in {"E01": (20.0, 30.0), "E02": (30.0, 40.0)}.items():
        got = quad(flux, low * (1 + 1e-5), high * (1 - 1e-5), epsrel=1e-9)[0] * 1e-3  # per MeV, over keV
        crab_photons = quad(lambda e: float(crab.photons(e)), low, high, epsrel=1e-10)[0]
        expected = float(mean.sel(band=band, region="east")) * 1e-3 * crab_photons * area * PER_SR
        assert got == pytest.approx(expected, rel=2e-4)


def test_the_sd_is_that_of_the_draws(run, sky):
    template = sky_template(run)
    east = inside(template.wcs, template.mean.shape[1:], sky.regions[0])
    draws = run.intensity().sel(region="east")
    relative = float((draws.std(("chain", "draw"), ddof=1) / draws.mean(("chain", "draw"))).sel(band="E02"))
    middle = tuple(np.argwhere(east)[east.sum() // 2])
    assert template.sd[3][middle] / template.mean[3][middle] == pytest.approx(relative, rel=1e-4)


def test_what_no_scw_sees_is_dark(sky):
    draws = np.ones((20, 1, 4)) + 0.1 * np.random.default_rng(2).normal(size=(20, 1, 4))
    template = sky_template(sky_run(sky, draws, unseen=("disc",)))
    assert (template.mean[:, inside(template.wcs, template.mean.shape[1:], sky.regions[3])] == 0).all()
    assert (template.mean[:, inside(template.wcs, template.mean.shape[1:], sky.regions[0])] > 0).all()


def test_bands_that_overlap_make_no_spectrum(sky):
    run = sky_run(sky, np.random.default_rng(3).normal(size=(20, 2, 4)))
    constant = run.tree["constant_data"].dataset.assign(e_max=("band", [35.0, 40.0]))
    run.tree["constant_data"] = xr.DataTree(constant)
    with pytest.raises(InputError, match="E01 and E02 overlap"):
        sky_template(run)


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "diffuse.fits"
    write_template(run, sky_template(run), path)
    return path


def test_the_file_says_what_it_is(written):
    with fits.open(written) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "ENERGIES", "SD"]
        for hdu in hdus:
            assert hdu.header["SIMUL"] is True
            assert hdu.header["DATAHASH"] == "f" * 64
            assert hdu.header["GITHASH"] == "abc"
        assert u.Unit(hdus[0].header["BUNIT"]) == u.Unit("1 / (cm2 s MeV sr)")
        comments = " ".join(hdus[0].header["COMMENT"])
        assert "Crab spectrum assumed" in comments
        assert "pixels are negative" in comments
        energies = Table.read(hdus["ENERGIES"])["Energy"].quantity.to_value(u.keV)
        np.testing.assert_allclose(energies, [20, 30, 30, 40], rtol=1e-5)
        assert (np.diff(energies) > 0).all()
        lon, lat = WCS(hdus[0].header).celestial.wcs_pix2world(359.5, hdus[0].data.shape[1] / 2 - 0.5, 0)
        assert (float(lon) % 360, float(lat)) == pytest.approx((0, 0))


def test_gammapy_integrates_to_the_flux_of_the_posterior(written, run):
    maps = pytest.importorskip("gammapy.maps", reason="gammapy is not installed: make check-readers")
    models = pytest.importorskip("gammapy.modeling.models")
    logging.getLogger("gammapy").setLevel(logging.ERROR)
    cube = maps.Map.read(written)
    model = models.SkyModel(
        spatial_model=models.TemplateSpatialModel(cube, normalize=False),
        spectral_model=models.PowerLawNormSpectralModel(),
    )
    axis = maps.MapAxis.from_energy_bounds("30 keV", "40 keV", nbin=10, name="energy_true")
    geom = maps.WcsGeom.create(skydir=(10, 0), width=(20, 20), binsz=0.5, frame="galactic", axes=[axis])
    got = model.integrate_geom(geom, oversampling_factor=1)
    area = 20 * np.rad2deg(2 * np.sin(np.deg2rad(10)))
    mean = float(run.intensity().mean(("chain", "draw")).sel(band="E02", region="east"))
    expected = mean * float(CRAB.photons_per_mcrab(30, 40)) * area
    assert (got.data.sum() * got.unit).to_value("cm-2 s-1") == pytest.approx(expected, rel=2e-3)
