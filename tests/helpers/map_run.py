"""A run on a small sky of four regions, and the maps of it: fixtures of the tests of maps."""

import astropy.units as u
import numpy as np
import pytest
from astropy_healpix import HEALPix

from ridgebayes.products.maps import sky_maps
from ridgebayes.sky import Region, Shape, build
from tests.helpers.sky_run import scw_columns, sky_run

NSIDE = 32


@pytest.fixture(scope="module")
def sky():
    """Two boxes that touch at l = 0, a thin layer across l = 180 and a disc off the plane."""
    return build(
        "test",
        [
            Region.box("east", (0.0, 20.0), (-10.0, 10.0)),
            Region.box("west", (-20.0, 0.0), (-10.0, 10.0)),
            Region.cell("far", (170.0, 190.0), Shape("sech2", 4.0), core_lat=5.0),
            Region.circle("disc", 60.0, 50.0, 6.0),
        ],
        nside=NSIDE,
    )


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(1)
    mix = np.linalg.cholesky([[1, -0.8, 0, 0], [-0.8, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0.5, 1]])
    noise = rng.normal(size=(300, 2, 4)) @ mix.T
    return np.array([1.5, 0.5, 0.8, -0.2]) + 0.1 * noise


@pytest.fixture(scope="module")
def scws():
    rng = np.random.default_rng(2)
    n = 400
    return scw_columns(
        rng.uniform(-25, 25, n), rng.uniform(-12, 12, n), rng.normal(50, 10, (n, 2)),
        revolution=rng.choice([100, 110, 120], n), noise=rng.uniform(3, 8, (n, 2)),
        shared=rng.uniform(1, 3, (n, 2)), expected=rng.uniform(40, 60, (n, 2)), crab=rng.random(n) < 0.1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(sky, draws, scws):
    return sky_run(sky, draws, scws=scws, truth=np.ones((2, 4)))


@pytest.fixture(scope="module")
def maps(run):
    return sky_maps(run, nside=NSIDE)


def pixel(lon, lat, nside=NSIDE):
    return int(HEALPix(nside, order="ring").lonlat_to_healpix(lon * u.deg, lat * u.deg))
