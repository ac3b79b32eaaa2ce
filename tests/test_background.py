"""Background level and Crab rate over the mission."""

import math

import numpy as np
import pytest
import xarray as xr
from synthetic_run import MODES, REVOLUTIONS, make_run

from ridgebayes.background import crab_history, level_history, years


@pytest.fixture(scope="module")
def run():
    return make_run()


def test_level_history_is_the_sum_over_modes(run):
    """Matérn 5/2 spectral density in one dimension (Rasmussen & Williams 2006, eq. 4.15), mode by mode."""
    level = level_history(run.tree)
    assert level.dims == ("chain", "draw", "band", "revolution")
    p, c = run.tree["posterior"], run.tree["constant_data"]
    nu, sd = 2.5, float(c["background.drift_sd"])
    for chain, draw, k, t in [(0, 0, 0, 0), (1, 7, 1, 3), (3, 59, 0, 24), (2, 30, 1, 12)]:
        scale = float(p["background.drift_length"][chain, draw, k])
        total = float(p["background.level"][chain, draw, k])
        for j in range(MODES):
            omega = float(c["drift_frequency"][j])
            front = 2 * math.sqrt(math.pi) * math.gamma(nu + 0.5) * (2 * nu) ** nu / math.gamma(nu)
            density = sd**2 * front / scale ** (2 * nu) * (2 * nu / scale**2 + omega**2) ** -(nu + 0.5)
            weight = float(p["background.drift"][chain, draw, k, j])
            total += math.sqrt(density) * weight * float(c["drift_basis"][t, j])
        np.testing.assert_allclose(level[chain, draw, k, t], total * float(c["level"][k, t]), rtol=1e-10)


def test_crab_history_is_the_polynomial(run):
    history = crab_history(run.tree)
    p, c = run.tree["posterior"], run.tree["constant_data"]
    time = np.linspace(-1, 1, REVOLUTIONS)
    shape = p["crab.shape"].values
    one = np.array([1.0])
    for chain, draw, k in [(0, 0, 0), (3, 59, 1)]:
        expected = np.polynomial.legendre.legval(time, np.concatenate([one, shape[chain, draw, k]]))
        expected = expected * float(c["crab_rate"][k]) * float(p["crab.rate"][chain, draw, k])
        np.testing.assert_allclose(history[chain, draw, k], expected, rtol=1e-12)


def test_histories_of_chosen_bands(run):
    for history in (level_history, crab_history):
        xr.testing.assert_allclose(history(run.tree, ["E02"]), history(run.tree).sel(band=["E02"]))


def test_fixed_parameters_come_from_the_constants():
    def change(groups):
        groups["posterior"] = groups["posterior"].drop_vars(["crab.rate", "crab.shape", "background.drift"])
        groups["constant_data"] = groups["constant_data"].assign(
            {"crab.rate": 1.0, "crab.shape": 0.0, "background.drift": 0.0}
        )

    run = make_run(change=change)
    np.testing.assert_allclose(crab_history(run.tree).sel(band="E02"), 99.0)
    level = run.tree["constant_data"]["level"] * run.tree["posterior"]["background.level"]
    xr.testing.assert_allclose(
        level_history(run.tree), level.transpose("chain", "draw", "band", "revolution")
    )


def test_years(run):
    # 2004 has 366 days and begins at MJD 53005.
    expected = 2004 + (53250.0 - 53005) / 366
    assert years(run.tree)[1] == pytest.approx(expected, abs=1e-9)
