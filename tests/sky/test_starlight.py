"""Starlight: lines of sight against adaptive quadrature, symmetries, and a published bulge template."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose
from scipy.integrate import quad

from ridgebayes import sky
from ridgebayes.sky.starlight import Freudenreich

PUBLISHED = (
    Path(__file__).resolve().parents[3] / "shared/realdata/F98_BoxyBulge_arxv1611.06644_Normalized.fits"
)


@pytest.mark.parametrize("component", ["bar", "disc", "all"])
@pytest.mark.parametrize(
    ("lon", "lat"), [(0, 0), (3, -5), (-12, 2), (25, 0), (70, 10), (180, -3), (-100, 60)]
)
def test_line_of_sight_against_quadrature(component, lon, lat):
    model = Freudenreich()
    lon_rad, b = np.deg2rad([lon, lat])

    def along(s):
        at = (
            model.sun - s * np.cos(b) * np.cos(lon_rad),
            s * np.cos(b) * np.sin(lon_rad),
            model.sun_height + s * np.sin(b),
        )
        bar = 0.0 if component == "disc" else float(model.bar(*map(np.float64, at)))
        disc = 0.0 if component == "bar" else float(model.disc(*map(np.float64, at)))
        return bar + disc

    edges = [0, 1, 4, 7, 8.5, 10, 13, 17, 22, 30]
    exact = sum(quad(along, *ends, limit=200)[0] for ends in pairwise(edges))
    scale = model.brightness(0, 0)[0]
    assert_allclose(model.brightness(lon, lat, component)[0], exact, rtol=2e-3, atol=1e-5 * scale)


def test_near_end_of_the_bar_is_at_positive_longitude():
    model = Freudenreich()
    left = model.brightness([6, 9, 12, 6], [0, 3, -4, 8], "bar")
    right = model.brightness([-6, -9, -12, -6], [0, 3, -4, 8], "bar")
    assert (left > 1.15 * right).all()


def test_disc_is_symmetric_in_longitude_and_brighter_below_the_plane():
    model = Freudenreich()
    lon, lat = np.array([5.0, 40.0, 120.0]), np.array([4.0, -8.0, 15.0])
    assert_allclose(model.brightness(lon, lat, "disc"), model.brightness(-lon, lat, "disc"))
    # the Sun is above the plane, so more of the disc lies below it
    assert (model.brightness(lon, -np.abs(lat)) > model.brightness(lon, np.abs(lat))).all()


def test_without_tilt_the_bar_is_symmetric():
    model = Freudenreich(bar_tilt=0.0)
    assert_allclose(model.brightness([4, 9], [1, 3], "bar"), model.brightness([-4, -9], [1, 3], "bar"))


def test_share_of_the_bar_is_what_the_docstring_says():
    model = Freudenreich()
    radius = np.linspace(0, 16, 4001)
    zero = np.zeros_like(radius)
    disc = 2 * np.pi * np.trapezoid(radius * model.disc(radius, zero, zero), radius) * 2 * model.disc_height
    x = np.linspace(-5.95, 5.95, 120)
    bar = model.bar(*np.meshgrid(x, x, x, indexing="ij")).sum() * 0.1**3
    assert bar / (bar + disc) == pytest.approx(0.28, abs=0.01)


def test_map_is_normalised_and_components_add():
    whole = sky.starlight(32)
    assert whole.shape == (12 * 32**2,)
    assert 0.9 < whole.max() < 1.01
    assert whole.min() > 0
    assert_allclose(whole, sky.starlight(32, component="bar") + sky.starlight(32, component="disc"))
    assert_allclose(whole, sky.starlight(32, cache=False))


def test_other_parameters_are_not_taken_from_the_cache():
    assert not np.allclose(sky.starlight(8), sky.starlight(8, model=Freudenreich(bar_to_disc=3.0)))


@pytest.mark.skipif(
    not PUBLISHED.exists(), reason=f"no published bulge template beside the repository: {PUBLISHED}"
)
def test_bar_against_the_published_template():
    # 200 × 200 pixels of 0.2 degrees, longitude growing to the left
    published = fits.getdata(PUBLISHED).astype(float)
    offset = (np.arange(200) - 99.5) * 0.2
    lon, lat = np.meshgrid(-offset, offset)
    ours = Freudenreich().brightness(lon.ravel(), lat.ravel(), "bar").reshape(lon.shape)
    ours *= published.sum() / ours.sum()
    assert np.corrcoef(ours.ravel(), published.ravel())[0, 1] > 0.999999
    assert np.abs(ours - published).sum() < 0.002 * published.sum()
