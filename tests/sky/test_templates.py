"""User templates: every kind of file leads to the same map of the sky."""

import logging

import numpy as np
import pytest
from astropy.coordinates import Galactic, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy_healpix import HEALPix
from numpy.testing import assert_allclose

from ridgebayes.errors import InputError
from ridgebayes.sky import load, read_template


def light(position):
    """A smooth sky, bright around l = 30°, b = -10°, with no symmetry that could hide a mistake."""
    g = position.galactic
    near = g.separation(SkyCoord(30, -10, unit="deg", frame="galactic")).deg
    also = g.separation(SkyCoord(185, 4, unit="deg", frame="galactic")).deg
    return np.exp(-0.5 * (near / 8) ** 2) + 0.5 * np.exp(-0.5 * (also / 5) ** 2)


def pixels(nside, order="ring", frame="galactic"):
    grid = HEALPix(nside, order=order, frame=frame)
    return grid.healpix_to_skycoord(np.arange(grid.npix))


def expected(values):
    return light(pixels(round((values.size / 12) ** 0.5), frame=Galactic()))


def write_healpix(path, values, *, rows=None, **cards):
    shaped = values if rows is None else values.reshape(rows, -1)
    code = "D" if rows is None else f"{shaped.shape[1]}D"
    table = fits.BinTableHDU.from_columns([fits.Column("T", code, array=shaped)])
    table.header.update(cards)
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    return path


@pytest.mark.parametrize("order", ["RING", "NESTED", "NEST"])
@pytest.mark.parametrize("frame", ["G", "C", "GALACTIC", "CELESTIAL"])
def test_healpix_in_any_order_and_frame(tmp_path, order, frame):
    where = pixels(64, "ring" if order == "RING" else "nested", "galactic" if frame[0] == "G" else "icrs")
    path = write_healpix(tmp_path / "m.fits", light(where), rows=48, ORDERING=order, COORDSYS=frame, NSIDE=64)
    values = read_template(path)
    assert values.size == 12 * 64**2
    assert_allclose(values, expected(values), atol=1e-12 if frame[0] == "G" else 5e-3)


def test_healpix_without_frame_is_galactic_and_says_so(tmp_path, caplog):
    path = write_healpix(tmp_path / "m.fits", light(pixels(16)), ORDERING="RING")
    with caplog.at_level(logging.WARNING):
        values = read_template(path)
    assert_allclose(values, expected(values))
    assert "no COORDSYS" in caplog.text


def test_pixels_without_data_stay_without(tmp_path, caplog):
    values = light(pixels(16))
    values[:3] = np.nan, -1.6375e30, -0.5
    path = write_healpix(tmp_path / "m.fits", values, ORDERING="RING", COORDSYS="G")
    with caplog.at_level(logging.WARNING):
        assert_allclose(read_template(path)[:3], [np.nan, np.nan, 0])
    assert "negative" in caplog.text


def image(ctype, shape, crpix, crval, cdelt):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crpix, wcs.wcs.crval, wcs.wcs.cdelt = ctype, crpix, crval, cdelt
    wcs.wcs.bounds_check(False, False)  # some of these images reach more than half a turn from CRVAL
    row, column = np.indices(shape)
    where = wcs.pixel_to_world(column, row)
    return light(where), wcs


def write_image(path, values, wcs):
    fits.PrimaryHDU(values, wcs.to_header()).writeto(path)
    return path


@pytest.mark.parametrize(
    ("ctype", "shape", "crpix", "crval", "cdelt"),
    [
        (["GLON-CAR", "GLAT-CAR"], (180, 360), [180.5, 90.5], [0, 0], [-1, 1]),
        (["GLON-CAR", "GLAT-CAR"], (180, 360), [0.5, 90.5], [0, 0], [1, 1]),  # starts at l = 0
        (["GLON-CAR", "GLAT-CAR"], (180, 360), [360.5, 90.5], [0, 0], [-1, 1]),  # ends there
        (["RA---CAR", "DEC--CAR"], (180, 360), [180.5, 90.5], [120, 0], [-1, 1]),
    ],
)
def test_all_sky_images(tmp_path, ctype, shape, crpix, crval, cdelt):
    values = read_template(write_image(tmp_path / "m.fits", *image(ctype, shape, crpix, crval, cdelt)))
    assert_allclose(values, expected(values), atol=0.01)


@pytest.mark.parametrize("ctype", [["RA---TAN", "DEC--TAN"], ["GLON-SIN", "GLAT-SIN"]])
@pytest.mark.slow
def test_a_partial_image_says_nothing_outside(tmp_path, ctype):
    centre = SkyCoord(30, -10, unit="deg", frame="galactic")
    crval = [centre.icrs.ra.deg, centre.icrs.dec.deg] if ctype[0].startswith("RA") else [30, -10]
    values, wcs = image(ctype, (150, 200), [100.5, 75.5], crval, [-0.2, 0.2])
    read = read_template(write_image(tmp_path / "m.fits", values, wcs))
    apart = pixels(round((read.size / 12) ** 0.5)).separation(centre).deg
    assert_allclose(read[apart < 12], expected(read)[apart < 12], atol=0.003)
    assert np.isnan(read[apart > 26]).all()


def test_fine_images_are_averaged_not_sampled(tmp_path):
    # Stripes much finer than any HEALPix pixel: sampling would keep 0 or 2, the mean is 1.
    _, wcs = image(["GLON-CAR", "GLAT-CAR"], (1000, 1000), [500.5, 500.5], [0, 0], [-0.01, 0.01])
    stripes = np.where(np.arange(1000) % 2, 2.0, 0.0) * np.ones((1000, 1))
    read = read_template(write_image(tmp_path / "m.fits", stripes, wcs))
    apart = (
        pixels(round((read.size / 12) ** 0.5)).separation(SkyCoord(0, 0, unit="deg", frame="galactic")).deg
    )
    assert_allclose(read[apart < 4], 1, atol=0.1)


def test_a_pixel_without_data_gives_nothing_to_its_neighbours(tmp_path):
    values, wcs = image(["GLON-CAR", "GLAT-CAR"], (180, 360), [180.5, 90.5], [0, 0], [-1, 1])
    values[:80] = np.nan
    read = read_template(write_image(tmp_path / "m.fits", values, wcs))
    lat = pixels(round((read.size / 12) ** 0.5)).b.deg
    assert np.isnan(read[lat < -12]).all()
    assert_allclose(read[lat > -10], expected(read)[lat > -10], atol=0.02)  # no step down at the edge


@pytest.mark.parametrize("centre", [0.0, 75.0, 180.0, 300.0])
@pytest.mark.parametrize("kind", ["AIT", "MOL", "SFL", "CEA", "HPX", "ZEA", "CAR"])
@pytest.mark.parametrize("frame", ["GLON GLAT", "RA-- DEC-"])
@pytest.mark.slow
def test_images_of_the_whole_sky_are_right_everywhere(tmp_path, kind, centre, frame):
    lon, lat = frame.split()
    shape = (400, 420) if kind == "ZEA" else (200, 420)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"{lon}-{kind}", f"{lat}-{kind}"]
    wcs.wcs.crpix = [shape[1] / 2 + 0.5, shape[0] / 2 + 0.5]
    wcs.wcs.crval, wcs.wcs.cdelt = [centre, 0], [-1.0, 1.0]
    row, column = np.indices(shape)
    where = wcs.pixel_to_world(column, row)
    there = np.isfinite(where.spherical.lon.deg)
    # Smooth over the whole sky, and nowhere small: a zero or a pixel of the wrong place shows.
    vectors = where.galactic.cartesian.xyz.value
    values = np.where(there, 2.0 + vectors[0] + 0.5 * vectors[1] + 0.3 * vectors[2], np.nan)
    read = read_template(write_image(tmp_path / "m.fits", values, wcs))
    x, y, z = pixels(round((read.size / 12) ** 0.5)).cartesian.xyz.value
    apart = read - (2.0 + x + 0.5 * y + 0.3 * z)
    assert np.isfinite(read).mean() > 0.995
    # A degree is worth 0.02 at most. At a seam the nearest pixel with data counts, some degrees away where
    # the projection is sheared.
    assert np.nanmax(np.abs(apart)) < 0.1
    assert np.nanquantile(np.abs(apart), 0.99) < 0.02


def test_a_region_that_needs_pixels_without_data_is_refused_and_the_remedy_works(tmp_path):
    values, wcs = image(["GLON-CAR", "GLAT-CAR"], (60, 120), [60.5, 30.5], [0, 0], [-1, 1])
    values[50:] = np.nan  # b > 20
    write_image(tmp_path / "part.fits", values, wcs)

    def region(lat_max):
        (tmp_path / "r.toml").write_text(
            '[[region]]\nname = "GB"\nlon = [-10, 10]\ncore_lat = 5\n'
            f'shape = {{kind = "template", file = "part.fits", lat_max = {lat_max}}}\n'
        )
        return load(tmp_path / "r.toml")

    with pytest.raises(InputError, match=r"part\.fits: has no data in .* of the region, .* \(lat_max, lon\)"):
        region(30)
    assert region(15).solid_angles[0] > 0


def test_what_cannot_be_read(tmp_path):
    flat = np.ones(12 * 4**2)
    with pytest.raises(InputError, match=r"no\.fits: no such file"):
        read_template(tmp_path / "no.fits")
    (tmp_path / "text.fits").write_text("hello")
    with pytest.raises(InputError, match=r"text\.fits: not a HEALPix map or WCS image in FITS"):
        read_template(tmp_path / "text.fits")
    for name, message, values, cards in [
        ("order", "ORDERING RINGS is unknown .did you mean 'RING'", flat, {"ORDERING": "RINGS"}),
        ("part", "INDXSCHM EXPLICIT", flat, {"ORDERING": "RING", "INDXSCHM": "EXPLICIT"}),
        ("short", "191 pixels do not make", flat[1:], {"ORDERING": "RING"}),
        (
            "nside",
            "192 pixels do not make a full HEALPix map of NSIDE 8",
            flat,
            {"ORDERING": "RING", "NSIDE": 8},
        ),
        ("ecliptic", "COORDSYS E is not supported", flat, {"ORDERING": "RING", "COORDSYS": "E"}),
        ("dark", "zero everywhere", 0 * flat, {"ORDERING": "RING", "COORDSYS": "G"}),
        ("table", "no HEALPix table", flat, {}),
    ]:
        path = write_healpix(tmp_path / f"{name}.fits", values, **cards)
        with pytest.raises(InputError, match=message):
            read_template(path)
    fits.PrimaryHDU(np.ones((9, 9))).writeto(tmp_path / "plain.fits")
    with pytest.raises(InputError, match="no celestial WCS"):
        read_template(tmp_path / "plain.fits")
