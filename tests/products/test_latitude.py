"""A cut across the plane: what pointings see, and averages of the ScWs."""

import astropy.units as u
import numpy as np
import pytest

from ridgebayes import InputError
from ridgebayes.products.latitude import latitude_points, latitude_profile
from ridgebayes.sky import load
from tests.helpers.sky_run import RESPONSE, core_starlight, scw_columns, sky_run

LON, LAT = np.tile([0.0, 3.0, 20.0], 12), np.repeat([-7.0, -1.0, 4.5, 9.1], 9)


@pytest.fixture(scope="module")
def run():
    """Twice the starlight, and ScWs that measure 10 mCrab more than the model expects."""
    sky = load("coarse")
    draws = 2 * core_starlight(sky) * (1 + 0.01 * np.random.default_rng(1).normal(size=(200, 1, len(sky))))
    expected = (sky.fov_exposure(LON, LAT, RESPONSE) @ draws[:, 0].mean(0))[:, None]
    scws = scw_columns(LON, LAT, expected + 10, expected=expected)
    scws |= {"PHASE": np.full(LON.size, 0.5), "MJD": np.full(LON.size, 55000.0) * u.d,
             "EXPOSURE": np.full(LON.size, 2000.0) * u.s, "CRAB_RESPONSE": np.zeros(LON.size)}  # fmt: skip
    return sky_run(sky, draws, scws=scws)


def test_profile_is_the_sky_seen_through_the_response(run):
    table = latitude_profile(run, 20.0, reach=20.0, step=5.0)
    np.testing.assert_array_equal(table["lat"].value, np.arange(-20, 21, 5))
    seen = run.sky.fov_exposure(np.full(9, 20.0), np.arange(-20.0, 21, 5), RESPONSE)
    wanted = run.intensity().values[0, :, 0].mean(0) @ seen.T
    np.testing.assert_allclose(table["mean"].value, wanted, rtol=1e-5)
    np.testing.assert_allclose(table["template_mean"].value, wanted, rtol=0.01)


def test_points_stand_where_the_model_is_plus_the_residual(run):
    table = latitude_points(run)
    assert list(table["scws"]) == [6, 6, 6, 6]  # those at l = 20 are left out
    np.testing.assert_allclose(table["lat"].value, [-7.0, -1.0, 4.5, 9.1])
    model = run.sky.fov_exposure(np.zeros(4), table["lat"].value, RESPONSE) @ run.intensity().values[
        0, :, 0
    ].mean(0)
    np.testing.assert_allclose(table["flux"].value, model + 10, atol=1.0)  # between steps of a degree
    np.testing.assert_allclose(table["error"].value, np.hypot(5.0, 2.0) / np.sqrt(6), rtol=1e-5)
    assert len(latitude_points(run, 120.0)) == 0


def test_refusals(run):
    with pytest.raises(InputError, match="reach up to 90"):
        latitude_profile(run, reach=100.0)
