"""Response: closed forms, quadrature, astropy's frames, and the measured image where it is at hand."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from numpy.testing import assert_allclose
from scipy.integrate import dblquad, quad

from ridgebayes.errors import InputError
from ridgebayes.instrument.response import ImageResponse, Trapezoid, detector_axes, detector_offsets
from tests.helpers.sky_run import solid_angle_deg2

MEASURED = Path(__file__).resolve().parents[3] / "shared/realdata/eff_area_isgri.fits.gz"


def test_trapezoid_is_the_product_of_two_sides():
    r = Trapezoid(4.0, 14.0)
    assert r(0, 0) == 1
    assert_allclose(r([3.9, -9, 0, 13], [0, 0, 9, -9]), [1, 0.5, 0.5, 0.1 * 0.5])
    assert_allclose(r([14.01, 0, np.inf], [0, -20, np.inf]), 0)
    assert r(np.zeros((2, 1)), np.zeros(3)).shape == (2, 3)


def test_trapezoid_leaves_its_arguments_alone():
    x = np.array([5.0, -5.0])
    Trapezoid()(x, x)
    assert_allclose(x, [5, -5])


@pytest.mark.parametrize("offset", [0.0, 3.0, 6.5, 12.0, 14.5, 16.0, 19.0])
def test_roll_average_against_quadrature(offset):
    r = Trapezoid()
    rho = np.rad2deg(np.tan(np.deg2rad(offset)))
    mean = quad(lambda t: float(r(rho * np.cos(t), rho * np.sin(t))), 0, np.pi / 2, limit=400)[0] / (
        np.pi / 2
    )
    assert_allclose(r.averaged(offset), mean, atol=3e-5)


def test_nothing_beyond_the_radius():
    r = Trapezoid()
    assert r.averaged(r.radius_deg + 1e-6) == 0
    corner = np.rad2deg(np.arctan(np.hypot(*np.deg2rad([r.edge_deg, r.edge_deg]))))
    assert_allclose(r.radius_deg, corner)


def test_solid_angle_against_quadrature():
    r = Trapezoid()

    def integrand(y, x):
        return float(r(x, y)) * (1 + np.deg2rad(x) ** 2 + np.deg2rad(y) ** 2) ** -1.5

    f, e = r.flat_deg, r.edge_deg
    parts = [((0, f), (0, f)), ((f, e), (0, f)), ((0, f), (f, e)), ((f, e), (f, e))]
    quarter = sum(dblquad(integrand, *xs, *ys, epsabs=1e-3)[0] for xs, ys in parts)
    assert_allclose(solid_angle_deg2(r), 4 * quarter, rtol=1e-4)


@pytest.mark.parametrize(("flat", "edge"), [(5, 5), (-1, 10), (4, 60), (float("nan"), 14)])
def test_impossible_trapezoid(flat, edge):
    with pytest.raises(InputError, match="0 <= flat_deg < edge_deg"):
        Trapezoid(flat, edge)


def test_keys_tell_responses_apart():
    image = np.ones((5, 5))
    responses = [
        Trapezoid(),
        Trapezoid(4.2, 14.6),
        ImageResponse(image, 1.0, (2, 2)),
        ImageResponse(image, 2.0, (2, 2)),
        ImageResponse(2 * image, 1.0, (2, 2)),
    ]
    assert len({r.key() for r in responses}) == len(responses)
    assert Trapezoid().key() == Trapezoid().key()


def test_offsets_against_astropy_offset_frames():
    rng = np.random.default_rng(1)
    for _ in range(20):
        pointing = SkyCoord(rng.uniform(0, 360), rng.uniform(-90, 90), unit="deg")
        roll = rng.uniform(0, 360)
        target = pointing.directional_offset_by(rng.uniform(0, 360, 5) * u.deg, rng.uniform(0, 25, 5) * u.deg)
        local = target.transform_to(pointing.skyoffset_frame(rotation=roll * u.deg))
        east = np.tan(local.lon.rad)
        north = np.tan(local.lat.rad) / np.cos(local.lon.rad)
        x, y = detector_offsets(target.ra.deg, target.dec.deg, pointing.ra.deg, pointing.dec.deg, roll)
        # +y at position angle roll, +x a quarter turn towards smaller position angles: west when y is north
        assert_allclose(x, -np.rad2deg(east), atol=1e-9)
        assert_allclose(y, np.rad2deg(north), atol=1e-9)


def test_offsets_by_hand():
    x, y = detector_offsets([10, 350, 0, 180], [0, 0, 10, 0], 0, 0, 0)
    ten = np.rad2deg(np.tan(np.deg2rad(10)))
    assert_allclose(x, [-ten, ten, 0, np.inf], atol=1e-12)
    assert_allclose(y, [0, 0, ten, np.inf], atol=1e-12)
    assert_allclose(Trapezoid()(x, y)[3], 0)


def test_axes_are_orthonormal_and_roll_is_a_position_angle():
    axis, x, y = detector_axes([40.0, 300.0], [-20.0, 75.0], [33.0, 200.0])
    for a, b in [(axis, x), (axis, y), (x, y)]:
        assert_allclose((a * b).sum(axis=1), 0, atol=1e-15)
    pointing = SkyCoord([40.0, 300.0], [-20.0, 75.0], unit="deg")
    near = axis + 1e-4 * y
    there = SkyCoord(*near.T, representation_type="cartesian").represent_as("unitspherical")
    angle = pointing.position_angle(SkyCoord(there.lon, there.lat))
    assert_allclose(angle.to_value(u.deg), [33, 200], atol=0.01)


def write_image(path, image, **cards):
    fits.PrimaryHDU(np.asarray(image, np.float32), fits.Header(cards)).writeto(path, output_verify="ignore")
    return path


def sampled(scale, half=200):
    c = (np.arange(2 * half) - half + 0.5) * scale
    return Trapezoid()(c, c[:, None])


def test_image_of_a_trapezoid_is_the_trapezoid(tmp_path):
    path = write_image(
        tmp_path / "r.fits", 6000 * sampled(0.1), CDELT1=0.1, CDELT2=0.1, CRPIX1=200.5, CRPIX2=200.5
    )
    image, exact = ImageResponse.from_fits(path), Trapezoid()
    x, y = np.random.default_rng(2).uniform(-22, 22, (2, 1000))
    assert_allclose(image(x, y), exact(x, y), atol=0.003)  # bilinear across the kinks
    assert_allclose(solid_angle_deg2(image), solid_angle_deg2(exact), rtol=2e-3)
    assert_allclose(image.averaged([2.0, 9.0, 18.0]), exact.averaged([2.0, 9.0, 18.0]), atol=2e-3)
    assert image(0, 0) == pytest.approx(1)
    assert_allclose(image([np.inf, 50], [0, 0]), 0)


def test_image_axes_columns_are_x_rows_are_y():
    image = np.zeros((11, 11))
    image[5, 8] = 1.0  # three pixels to the right
    r = ImageResponse(image, 2.0, (5, 5))
    assert r(6.0, 0.0) == 1
    assert r(5.0, 0.0) == 0.5
    assert r(0.0, 6.0) == 0
    # to the right is west for roll 0, and north for roll 90
    west, north = detector_offsets([354, 0], [0, 6], 0, 0, [0, 90])[0]
    assert west == pytest.approx(np.rad2deg(np.tan(np.deg2rad(6))))
    assert north == pytest.approx(west)


def test_scale_from_a_rotated_matrix_and_from_the_argument(tmp_path):
    turned = {"CD1_1": -0.02, "CD1_2": 0.0979796, "CD2_1": 0.0979796, "CD2_2": 0.02}
    celestial = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    a = ImageResponse.from_fits(write_image(tmp_path / "a.fits", sampled(0.1), **celestial, **turned))
    b = ImageResponse.from_fits(write_image(tmp_path / "b.fits", sampled(0.1)), scale_deg=0.1)
    assert a.scale_deg == pytest.approx(0.1, rel=1e-5)
    assert a.centre == b.centre == (199.5, 199.5)
    assert_allclose(a(7, 3), b(7, 3), rtol=1e-4)


def test_holes_in_the_image_count_as_nothing(tmp_path):
    image = sampled(0.1)
    image[:10] = np.nan
    image[-10:] = -5
    r = ImageResponse.from_fits(write_image(tmp_path / "r.fits", image), scale_deg=0.1)
    assert r.image.min() == 0
    assert np.isfinite(r.image).all()


def test_unusable_images(tmp_path):
    with pytest.raises(InputError, match=r"none\.fits: no such file"):
        ImageResponse.from_fits(tmp_path / "none.fits")
    text = tmp_path / "text.fits"
    text.write_text("hello")
    with pytest.raises(InputError, match=r"text\.fits: not a FITS image of the response"):
        ImageResponse.from_fits(text)
    with pytest.raises(InputError, match="no CDELT or CD"):
        ImageResponse.from_fits(write_image(tmp_path / "bare.fits", sampled(0.1)))
    with pytest.raises(InputError, match="not square"):
        ImageResponse.from_fits(write_image(tmp_path / "oblong.fits", sampled(0.1), CDELT1=0.1, CDELT2=0.3))
    with pytest.raises(InputError, match="nothing positive"):
        ImageResponse.from_fits(write_image(tmp_path / "dark.fits", np.zeros((40, 40))), scale_deg=0.5)
    with pytest.raises(InputError, match="no two-dimensional image"):
        ImageResponse.from_fits(write_image(tmp_path / "cube.fits", np.ones((2, 3, 4))), scale_deg=0.5)
    with pytest.raises(InputError, match="positive scale_deg"):
        ImageResponse.from_fits(tmp_path / "dark.fits", scale_deg=-1)


@pytest.mark.skipif(not MEASURED.exists(), reason=f"no measured response beside the repository: {MEASURED}")
def test_trapezoid_describes_the_measured_image():
    measured, model = ImageResponse.from_fits(MEASURED), Trapezoid()
    c = np.linspace(-16.4, 16.4, 401)
    m, t = measured(c, c[:, None]), model(c, c[:, None])
    field = (m > 1e-3) | (t > 0)
    assert np.sqrt(np.mean((m - t)[field] ** 2)) < 0.015  # of the peak, which is 1
    assert measured.averaged(0.0) == pytest.approx(1, abs=0.01)
    assert solid_angle_deg2(measured) == pytest.approx(solid_angle_deg2(model), rel=0.005)
