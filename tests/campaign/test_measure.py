"""What a campaign measures, against closed forms; and small missions as a test that can fail."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from ridgebayes import classical, simulate
from ridgebayes.campaign.measure import Measure, measured, measured_classically
from ridgebayes.campaign.plan import Fit, Plan
from ridgebayes.runs.run import Run

BANDS, REGIONS = ["A", "B"], ["north", "south"]


def gaussian_run(sd, correlation, off):
    """Return a run whose calibrated draws have exactly this sd and correlation, at truth + off."""
    rng = np.random.default_rng(1)
    white = rng.standard_normal((2, 2, 4000))  # region, band, draw
    for region in white:
        region -= region.mean(axis=1, keepdims=True)
        region[:] = np.linalg.solve(np.linalg.cholesky(np.cov(region)), region)
    mix = np.linalg.cholesky([[1, correlation], [correlation, 1]])
    true = np.array([[100.0, 50.0], [20.0, 10.0]])  # band, region

    def group(draws):
        values = true[:, :, None] + off + np.moveaxis(draws, 0, 1)  # band, region, draw
        dims, coords = ("band", "region", "chain", "draw"), {"band": BANDS, "region": REGIONS}
        return xr.Dataset({"sky.fov_flux": (dims, values.reshape(2, 2, 4, 1000))}, coords)

    truth = xr.Dataset({"true_fov_flux": (("band", "region"), true)}, {"band": BANDS, "region": REGIONS})
    tree = {"posterior": group(white), "calibrated": group(sd * mix @ white), "constant_data": truth}
    return Run(xr.DataTree.from_dict(tree), {})


def test_sums_and_differences_of_bands():
    """Variance of a sum is that of both bands plus twice their covariance."""
    row = measured(gaussian_run(3.0, 0.5, off=4.0), ["south", "north"])
    assert row["error_posterior"].shape == (2, 4)
    np.testing.assert_allclose(row["error_calibrated"], [[4, 4, 8, 0]] * 2, atol=1e-9)
    np.testing.assert_allclose(row["sd_posterior"], [[1, 1, np.sqrt(2), np.sqrt(2)]] * 2, rtol=1e-9)
    np.testing.assert_allclose(row["sd_calibrated"], [[3, 3, np.sqrt(27), 3]] * 2, rtol=1e-9)
    # An offset of 4 is outside of ± 1.88 sd where the sd is 1, inside where it is 3.
    np.testing.assert_array_equal(row["covered_posterior"], [[False, False, False, True]] * 2)
    np.testing.assert_array_equal(row["covered_calibrated"], np.ones((2, 4), bool))


def test_the_classical_estimate(small_mission, three_regions):
    regions = list(three_regions.names[:2])
    row = measured_classically(small_mission, three_regions, regions)
    table = classical.fluxes(classical.calibrate(small_mission), three_regions)
    k, name = len(small_mission.bands), regions[1]
    flux, error = (table[table["region"] == name][c].value for c in ("flux", "error"))
    off = flux - small_mission.truth["fov"][name]
    assert np.isfinite(off).all()
    np.testing.assert_allclose(row["error_classical"][1, :k], off, rtol=1e-12)
    np.testing.assert_allclose(row["error_classical"][1, k], off[0] + off[1], rtol=1e-12)
    np.testing.assert_allclose(row["sd_classical"][1, :k], error, rtol=1e-12)
    np.testing.assert_allclose(row["sd_classical"][1, -1], np.hypot(error[-2], error[-1]), rtol=1e-12)
    np.testing.assert_array_equal(row["covered_classical"][1, :k], abs(off / error) < stats.norm.isf(0.03))


def test_a_fit_that_refuses_has_a_row():
    plan = Plan(
        fits=(Fit("regions"),), revolutions=3, sky="coarse", regions=("GB",), classical=False,
        settings={"chains": 0},
    )  # fmt: skip
    row = Measure(plan)(plan.cases()[0])
    assert row["note"] == "no result: chains = 0: must be at least 1"
    assert row["converged"] is None
    assert "error_posterior" not in row


@pytest.mark.long
def test_ninety_four_percent_intervals_cover():
    """Twenty small missions, each with intensities of its own."""
    names = ("L-20", "GB", "L+20")
    covered = []
    for seed in range(500, 520):
        rng = np.random.default_rng(seed)
        intensity = {name: rng.uniform(0, 1, 2).tolist() for name in names}
        truth = simulate.Truth(bands=simulate.BANDS[:2], template=None, intensity=intensity)
        plan = Plan(
            missions=1, first_seed=seed, revolutions=24, sky="coarse", regions=names, bands=("A01", "A02"),
            classical=False, settings={"draws": 300},
        )  # fmt: skip
        told = Measure(plan, truth)(plan.cases()[0])
        covered.append(np.array(told["covered_posterior"])[:, :2])
    lo, hi = stats.binom(np.size(covered), 0.94).ppf([0.005, 0.995])
    assert lo <= np.sum(covered) <= hi
