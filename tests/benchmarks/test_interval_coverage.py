"""The coverage benchmark: its measures against closed forms, and small missions as a test that can fail."""

import interval_coverage
import numpy as np
import pytest
import xarray as xr
from astropy.table import Table
from click.testing import CliRunner
from interval_coverage import Case, done, measured, measured_classically, one, read, summary, world_of
from scipy import stats

from ridgebayes import classical, simulate, sky
from ridgebayes.errors import InputError
from ridgebayes.runs.run import Run

BANDS, REGIONS = ["A", "B"], ["north", "south"]
LABELS = ["A", "B", "A+B", "A-B"]


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


def row(seed, z, world="clean", ratio=2.0):
    """One row of the table: the posterior has this z and sd 1, calibrated sd are `ratio` times as wide."""
    error, ones = np.full((2, 4), float(z)), np.ones((2, 4))
    nan, no = np.full((2, 4), np.nan), np.zeros((2, 4), bool)
    return {
        "world": world, "model": "regions", "extras": "", "seed": seed, "scws": 9,
        "r_hat": 1.0, "ess_bulk": 900.0, "ess_tail": 900.0, "divergences": 0, "converged": seed != 3,
        "wall_s": 1.0, "cpu_s": 2.0, "note": "",
        "error_posterior": error, "sd_posterior": ones, "covered_posterior": np.abs(error) < 1.88,
        "error_calibrated": error, "sd_calibrated": ratio * ones, "covered_calibrated": ~no,
        "error_classical": nan, "sd_classical": nan, "covered_classical": no,
    }  # fmt: skip


def test_summary():
    table = Table(rows=[row(k, z) for k, z in enumerate((1.0, -2.0, 0.5, 3.0))], meta={"bands": LABELS})
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in summary(table).splitlines()]
    head, posterior, calibrated = lines[0], lines[2], lines[3]
    assert len(lines) == 4  # no classical estimate was made
    told = dict(zip(head, posterior, strict=True))
    assert (told["world"], told["model"], told["missions"]) == ("clean", "regions", "4")
    assert told["rms z, A"] == told["rms z, sums"] == f"{np.sqrt((1 + 4 + 0.25 + 9) / 4):.2f}"
    # 4 missions × 2 regions × 2 bands; of 16, 94 % is 13 to 16 with 95 % probability.
    assert told["bands covered"] == "8/16 (13 to 16)"
    assert told["not converged"] == "1"
    told = dict(zip(head, calibrated, strict=True))
    assert told["rms z, differences"] == f"{np.sqrt((1 + 4 + 0.25 + 9) / 4) / 2:.2f}"
    assert told["bands covered"] == "16/16 (13 to 16)"
    assert told["sd over the posterior's"] == "2.00"


def test_what_was_fitted_is_not_fitted_again(tmp_path, monkeypatch):
    fitted = []

    def fake(case, programme, on, **options):
        fitted.append(case)
        error, nan = np.zeros((4, 9)), np.full((4, 9), np.nan)
        arrays = {
            name: np.zeros((4, 9), bool) if name.startswith("covered") else nan
            for estimate in interval_coverage.ESTIMATES
            for name in interval_coverage.columns(estimate)
        }
        known = {"error_posterior": error, "sd_posterior": error + 1}
        return row(case.seed, 0.0) | case._asdict() | arrays | known

    monkeypatch.setattr(interval_coverage, "one", fake)
    monkeypatch.setattr(interval_coverage, "use_compilation_cache", lambda: None)
    out = tmp_path / "coverage.ecsv"

    def run(*arguments):
        given = [*arguments, "--revolutions", "3", "--out", str(out)]
        result = CliRunner().invoke(interval_coverage.main, given, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    run("--world", "clean", "--world", "outliers+shared_noise", "--missions", "2")
    assert len(fitted) == 4
    printed = run("--world", "clean", "--missions", "3", "--extra", "outliers", "--extra", "transients")
    assert [case.extras for case in fitted[4:]] == ["outliers+transients"] * 3
    run("--world", "clean", "--missions", "4")
    assert [case.seed for case in fitted[7:]] == [3, 4]
    assert done(read(out)) == set(fitted)
    assert "| clean | regions + outliers + transients | 3 |" in printed
    assert "| clean | regions | 4 |" in run("--summary")
    given = ["--revolutions", "4", "--out", str(out)]
    result = CliRunner().invoke(interval_coverage.main, given)
    assert result.exit_code == 1
    assert "holds missions of 3 revolutions" in result.output


def test_worlds():
    assert world_of("clean") == simulate.World()
    world = world_of("outliers+shared_noise")
    assert world.names == ("outliers", "shared_noise")
    assert world.outliers.fraction == world_of("everything").outliers.fraction == 0.01
    with pytest.raises(InputError, match="unknown switch 'outlier'"):
        world_of("outlier+transients")


def test_a_fit_that_refuses_has_a_row(small_mission, three_regions):
    case = Case("clean", "regions", "", 1)
    told = one(case, small_mission, three_regions, regions=["GB"], with_classical=False, chains=0)
    assert told["note"] == "no result: chains = 0: must be at least 1"
    assert np.isnan(told["error_posterior"]).all()
    assert not told["converged"]


@pytest.mark.slow
def test_ninety_four_percent_intervals_cover():
    """Twenty small missions, each with intensities of its own."""
    names = ("L-20", "GB", "L+20")
    on = sky.load("coarse").select(names)
    programme = simulate.programme(24, stop=2740, seed=11)
    covered = []
    for seed in range(500, 520):
        rng = np.random.default_rng(seed)
        intensity = {name: rng.uniform(0, 1, 2).tolist() for name in names}
        truth = simulate.Truth(bands=simulate.BANDS[:2], template=None, intensity=intensity)
        case = Case("clean", "regions", "", seed)
        told = one(case, programme, on, regions=names, truth=truth, with_classical=False, draws=300)
        covered.append(told["covered_posterior"][:, :2])
    lo, hi = stats.binom(np.size(covered), 0.94).ppf([0.005, 0.995])
    assert lo <= np.sum(covered) <= hi
