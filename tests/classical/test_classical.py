"""The classical estimate: against dense least squares, exact data, and the truth of simulated missions."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from ridgebayes import classical, simulate
from ridgebayes import sky as skies
from ridgebayes.classical.background import (
    BORROWED,
    CONSTANT,
    FULL,
    NONE,
    Rates,
    Settings,
    fit_background,
    phase_basis,
)
from ridgebayes.classical.statistics import excess_variance, robust_fit
from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.products import MCRAB
from ridgebayes.sky import exposure, point_response
from ridgebayes.table.scw import CRAB

LEVEL, TRACER = 70.0, 0.7
PUBLISHED = Settings(galaxy_iterations=0)


@pytest.fixture(scope="module")
def milkyway():
    return skies.load("milkyway")


@pytest.fixture(scope="module")
def template():
    return classical.starlight_sky()


@pytest.fixture(scope="module")
def mission(milkyway):
    return simulate.mission(simulate.programme(120, stop=2740, seed=22), sky=milkyway, seed=22)


@pytest.fixture(scope="module")
def calibration(mission):
    return classical.calibrate(mission)


@pytest.fixture(scope="module")
def fluxes(calibration, milkyway):
    return classical.fluxes(calibration, milkyway)


def rates(rng, counts, noise=0.0, spread=0.0, error=0.2):
    """One band of revolutions with so many quiet ScWs each, and four in the plane; their true background."""
    revolution = np.repeat(np.arange(len(counts)), np.add(counts, 4))
    quiet = np.concatenate([np.arange(c + 4) < c for c in counts])
    phase = rng.uniform(0.05, 0.95, revolution.size)
    tracer = rng.normal(0, 0.4, revolution.size)
    terms = np.array([LEVEL, 1.0, 0.5]) + spread * rng.standard_normal((len(counts), 3))
    truth = TRACER * tracer + np.einsum("nj,nj->n", phase_basis(phase), terms[revolution])
    rate = truth + noise * rng.standard_normal(revolution.size)
    variance = np.full(revolution.size, error**2)
    mjd = 53000 + 3.0 * np.arange(len(counts))
    return Rates(rate, variance, tracer, phase_basis(phase), revolution, quiet, mjd), truth


def test_background_of_exact_data_is_exact(rng):
    band, truth = rates(rng, [20, 30, 25, 40], spread=2.0)
    fit = fit_background(band, PUBLISHED)
    assert fit.tracer == pytest.approx(TRACER, abs=1e-9)
    np.testing.assert_allclose(fit.at(band)[0], truth, rtol=1e-10)
    assert fit.scatter == 0
    assert (fit.kind == FULL).all()


def test_own_constants_stand_on_the_mean_phase_curve(rng):
    counts = [30, 30, 30, 4, 4, 0]
    band, truth = rates(rng, counts)
    fit = fit_background(band, PUBLISHED)
    assert fit.kind.tolist() == [FULL] * 3 + [CONSTANT] * 2 + [BORROWED]
    np.testing.assert_allclose(fit.at(band)[0], truth, rtol=1e-7)


def test_background_is_the_dense_least_squares_solution(rng):
    counts = [20, 30, 25]
    band, _ = rates(rng, counts, noise=0.2, spread=2.0)
    band = band._replace(variance=rng.uniform(0.5, 2.0, band.rate.size))  # well above the noise: no excess
    fit = fit_background(band, PUBLISHED)
    assert fit.scatter == 0
    assert (fit.used == band.quiet).all()
    q = band.quiet
    blocks = [band.basis[q] * (band.revolution[q] == r)[:, None] for r in range(len(counts))]
    design = np.hstack([band.tracer[q][:, None], *blocks]) / np.sqrt(band.variance[q])[:, None]
    expected, *_ = np.linalg.lstsq(design, band.rate[q] / np.sqrt(band.variance[q]), rcond=None)
    np.testing.assert_allclose(fit.tracer, expected[0], rtol=1e-9)
    np.testing.assert_allclose(fit.coefficients.ravel(), expected[1:], rtol=1e-9)
    covariance = np.linalg.inv(design.T @ design)
    assert fit.tracer_err == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-9)


def test_one_revolution_against_lstsq(rng):
    band, _ = rates(rng, [40], noise=0.1)
    band = band._replace(tracer=np.zeros(band.rate.size))
    fit = fit_background(band, PUBLISHED)
    expected, *_ = np.linalg.lstsq(band.basis[band.quiet], band.rate[band.quiet], rcond=None)
    np.testing.assert_allclose(fit.coefficients[0], expected, rtol=1e-9)
    assert fit.tracer == 0
    assert fit.tracer_err == 0


def test_scatter_is_found_and_outliers_are_left_out(rng):
    band, _ = rates(rng, [30] * 80, noise=0.6, spread=2.0)
    bad = band.quiet & (rng.random(band.rate.size) < 0.01)
    band = band._replace(rate=band.rate + np.where(bad, rng.choice([-30.0, 10.0], bad.size), 0.0))
    fit = fit_background(band, PUBLISHED)
    assert fit.scatter == pytest.approx(np.sqrt(0.6**2 - 0.2**2), rel=0.05)
    assert not (fit.used & bad).any()
    assert (band.quiet & ~fit.used).sum() < bad.sum() + 5
    assert abs(fit.tracer - TRACER) < 4 * fit.tracer_err


def test_background_error_is_calibrated_for_every_kind_of_revolution(rng):
    # Own phase curves, own constants, and those that live on their neighbours.
    counts = rng.permutation(np.repeat([30, 4, 0], 120))
    band, truth = rates(rng, counts, noise=0.5, spread=1.0, error=0.1)
    fit = fit_background(band, PUBLISHED)
    value, error = fit.at(band)
    for kind, n in ((FULL, 30), (CONSTANT, 4), (BORROWED, 0)):
        assert (fit.kind[counts == n] == kind).all()
        rows = ~band.quiet & (counts[band.revolution] == n)
        z = (value - truth)[rows] / error[rows]
        assert 0.85 < np.sqrt(np.mean(z**2)) < 1.15
    assert np.median(error[~band.quiet & (counts[band.revolution] == 30)]) < 0.5


def test_without_neighbours_a_revolution_is_left_out(rng):
    band, _ = rates(rng, [30, 30, 30, 30, 0], noise=0.5)
    band = band._replace(mjd=np.array([0.0, 3, 6, 9, 500]) + 53000)
    fit = fit_background(band, PUBLISHED)
    assert fit.kind.tolist() == [FULL] * 4 + [NONE]
    assert np.isnan(fit.at(band)[0][band.revolution == 4]).all()


def test_two_phases_are_no_phase_curve(rng):
    band, _ = rates(rng, [30, 30], noise=0.5)
    phase = np.where(np.arange(band.rate.size) % 2, 0.2, 0.8)
    fit = fit_background(band._replace(basis=phase_basis(phase)), PUBLISHED)
    assert (fit.kind == CONSTANT).all()
    assert np.isfinite(fit.at(band)[0]).all()


def test_excess_variance_and_robust_mean(rng):
    variance = rng.uniform(0.5, 2.0, 4000)
    value = 3.0 + np.sqrt(variance + 4.0) * rng.standard_normal(variance.size)
    assert excess_variance((value - 3.0) ** 2, variance, value.size) == pytest.approx(4.0, rel=0.1)
    assert excess_variance(np.zeros(5), np.ones(5), 4) == 0
    value[:40] = 1e3
    fit = robust_fit(np.ones((value.size, 1)), value, variance, 5.0)
    assert not fit.used[:40].any()
    assert fit.used.mean() > 0.985
    assert fit.coefficients[0] == pytest.approx(3.0, abs=4 * fit.covariance[0, 0] ** 0.5)
    assert fit.covariance[0, 0] == pytest.approx((variance.mean() + 4.0) / value.size, rel=0.1)


def exact(mission, template, brightness=2.0, crab=120.0):
    """The programme of a mission with rates that obey the classical model to the last digit."""
    flux = brightness * exposure(mission, template, Trapezoid(), cache=False)[:, 0]
    flux += 1000 * mission.crab * point_response(mission, CRAB, Trapezoid())
    background = 40 + mission.tracer * 0.9 + 3 * mission.phase - 2 * mission.phase**2
    rate = (background + crab / 1000 * flux)[:, None]
    return dataclasses.replace(
        mission, rate=rate, stat_err=np.full_like(rate, 0.2), bands=mission.bands[:1], truth=None
    )


@pytest.mark.slow
def test_exact_mission_gives_back_its_fluxes(mission, milkyway, template):
    scws = exact(mission, template)
    calibration = classical.calibrate(scws, settings=Settings(galaxy_iterations=12))
    assert calibration.tracer[0] == pytest.approx(0.9, rel=1e-3)
    assert calibration.galaxy[0] == pytest.approx(2.0, rel=1e-3)
    np.testing.assert_allclose(calibration.crab_rate, 120.0, rtol=1e-3)
    table = classical.fluxes(calibration, milkyway)
    centre = template.fov_exposure(milkyway.centre_lon, milkyway.centre_lat, Trapezoid())[:, 0]
    seen = table["n_scws"] > 0
    np.testing.assert_allclose(table["flux"].to_value(MCRAB)[seen], 2 * centre[seen], rtol=0.03, atol=0.3)


@pytest.mark.slow
def test_galaxy_at_high_latitude_biases_the_published_method(mission, milkyway, template):
    scws = exact(mission, template)
    table = {
        n: classical.fluxes(classical.calibrate(scws, settings=Settings(galaxy_iterations=n)), milkyway)
        for n in (0, 2)
    }
    centre = template.fov_exposure(np.zeros(1), np.zeros(1), Trapezoid())[0, 0]
    bulge = {
        n: float(t["flux"][t["region"] == "GB"][0].to_value(MCRAB)) - 2 * centre for n, t in table.items()
    }
    assert bulge[0] < -0.5  # its background contains some of the Galaxy
    assert abs(bulge[2]) < 0.2 * abs(bulge[0])


def test_residuals_are_rate_less_background_over_the_crab(calibration, mission):
    known = np.isfinite(calibration.residual)
    expected = 1000 * (mission.rate - calibration.background) / calibration.crab_rate
    np.testing.assert_allclose(calibration.residual[known], expected[known])
    assert calibration.background.shape == (len(mission), 3)
    assert calibration.used.shape == (len(mission), 3)
    assert calibration.coefficients.shape == (calibration.revolutions.size, 3, 3)
    counts = calibration.left_out
    kinds = ("own_phase_curve", "own_constant", "from_neighbours", "left_out")
    assert sum(counts[f"revolutions_{kind}"] for kind in kinds) == counts["revolutions"] == 120
    assert counts["scws_left_out"] == (~known[:, 0]).sum()
    assert not (calibration.used & (np.abs(mission.lat) <= 20)[:, None]).any()
    assert not (calibration.used & mission.crab[:, None]).any()


def test_residuals_of_a_simulated_mission_have_honest_errors(calibration, mission, milkyway):
    truth = np.array([mission.truth["intensity"][name] for name in milkyway.names])
    seen = exposure(mission, milkyway, Trapezoid()) @ truth
    for k in range(3):
        plane = np.isfinite(calibration.residual[:, k]) & ~mission.crab & (np.abs(mission.lat) < 20)
        # Where the error of the background dominates, the ScWs of a revolution share it: few are independent.
        own = plane & (calibration.background_err[:, k] < calibration.scatter[k])
        for rows, low, high in ((own, 0.8, 1.2), (plane, 0.7, 1.3)):
            z = ((calibration.residual[:, k] - seen[:, k]) / calibration.error[:, k])[rows]
            assert low < np.sqrt(np.mean(z**2)) < high
    crab = np.array([np.interp(mission.mjd, mission.truth["mjd"], c) for c in
                     np.transpose(mission.truth["crab_rate"])]).T  # fmt: skip
    pull = (calibration.crab_rate - crab)[:, 0] / calibration.crab_rate_err[:, 0]
    assert np.abs(pull).mean() < 2.5


def test_fluxes_of_a_simulated_mission_cover_the_truth(fluxes, mission, milkyway):
    truth = np.array([mission.truth["fov"][name] for name in milkyway.names]).ravel()
    z = (fluxes["flux"].to_value(MCRAB) - truth) / fluxes["error"].to_value(MCRAB)
    z = z[np.isfinite(z)].reshape(-1, 3)
    assert len(z) > 25
    assert ((np.sqrt(np.mean(z**2, axis=0)) > 0.6) & (np.sqrt(np.mean(z**2, axis=0)) < 1.5)).all()
    bulge = fluxes[(fluxes["region"] == "GB") & (fluxes["band"] == "A01")][0]
    assert bulge["error"] < 6 * MCRAB
    assert abs(bulge["flux"] - 154.886 * MCRAB) < 4 * bulge["error"]
    assert fluxes.meta["simulated"] is True
    assert "Krivonos" in fluxes.meta["method"]


def test_template_brings_the_mean_to_the_centre(calibration, milkyway):
    plain = classical.fluxes(calibration, milkyway, template=False)
    there = classical.fluxes(calibration, milkyway)
    row = np.flatnonzero((plain["region"] == "GB") & (plain["band"] == "A01"))[0]
    # Pointings spread over the bulge's cell see less of it than its centre does.
    assert plain["flux"][row] < there["flux"][row] - 3 * MCRAB
    assert "template" in there.meta["method"]
    assert "template" not in plain.meta["method"]


def test_bootstrap_agrees_with_the_errors(calibration, milkyway):
    bulge = milkyway.select("GB")
    error = classical.fluxes(calibration, bulge)["error"][0]
    again = classical.fluxes(calibration, bulge, bootstrap=300, seed=1)["error"][0]
    assert 0.5 < float(again / error) < 2.0


def test_profile_agrees_with_the_cells_it_repeats(calibration, fluxes):
    table = classical.profile(calibration, np.arange(-185, 176, 10))
    assert table["lon"][0].value == -180
    assert len(table) == 36 * 3
    middle = (table["lon"].value == 0) & (table["band"] == "A02")
    same = (fluxes["region"] == "GB") & (fluxes["band"] == "A02")
    assert table["flux"][middle] == fluxes["flux"][same]
    assert table["n_scws"][middle] == fluxes["n_scws"][same]
    with pytest.raises(InputError, match="rising edges"):
        classical.profile(calibration, [10, 0])


def test_regions_without_pointings_say_so(calibration):
    empty = skies.Region.circle("nowhere", 0.0, 89.0, 0.01)
    box = skies.Region.box("off", (-20.0, 20.0), (5.0, 25.0))
    table = classical.fluxes(calibration, skies.build("two", [empty, box]))
    assert np.isnan(table["flux"][:3].value).all()
    assert np.isnan(table["error"][:3].value).all()
    assert (table["note"][:3] == "no pointing in the region").all()
    assert (table["n_scws"][:3] == 0).all()
    assert np.isfinite(table["flux"][3:].value).all()


def test_handful_of_scws_of_one_revolution(mission, calibration):
    plane = (np.abs(mission.lat) < 3) & ~mission.crab & np.isfinite(calibration.residual[:, 0])
    first = np.flatnonzero(plane)[0]
    few = skies.build("few", [skies.Region.circle("few", float(mission.lon[first]), 0.0, 5.0)])
    rows = ~plane | (mission.revolution == mission.revolution[first])
    lean = classical.calibrate(mission.select(rows), cache=False)
    table = classical.fluxes(lean, few)
    assert (table["n_revolutions"] == 1).all()
    assert np.isfinite(table["error"].value).all()
    assert all("1 revolution" in note for note in table["note"])


def test_one_band_without_tracer_and_roll(mission, milkyway):
    bare = dataclasses.replace(mission.take_bands("A01"), tracer=None, tracer_err=None, roll=None)
    calibration = classical.calibrate(bare, cache=False)
    assert calibration.tracer.tolist() == [0.0]
    row = classical.fluxes(calibration, milkyway.select("GB"))[0]
    assert abs(row["flux"] - 154.886 * MCRAB) < 4 * row["error"]


@pytest.mark.slow
def test_order_of_rows_does_not_matter(mission, fluxes, milkyway):
    shuffled = mission.select(np.random.default_rng(1).permutation(len(mission)))
    again = classical.fluxes(classical.calibrate(shuffled, cache=False), milkyway)
    np.testing.assert_allclose(again["flux"].value, fluxes["flux"].value, rtol=1e-6)


@pytest.mark.slow
def test_crab_rate_is_given_where_no_scw_has_it(mission, milkyway):
    without = mission.select(~mission.crab)
    with pytest.raises(InputError, match=r"give its rate in cts/s in A01, A02, A03"):
        classical.calibrate(without)
    with pytest.raises(InputError, match="no band 'A01x'"):
        classical.calibrate(without, crab_rate={"A01x": 100.0})
    with pytest.raises(InputError, match="must be positive"):
        classical.calibrate(without, crab_rate={"A01": 100.0, "A02": 0.0, "A03": 20.0})
    with pytest.raises(InputError, match="leave out the given"):
        classical.calibrate(mission, crab_rate={"A01": 100.0})
    calibration = classical.calibrate(without, crab_rate={"A01": 119.0, "A02": 17.0, "A03": 20.0})
    assert (calibration.crab_rate[0] == [119.0, 17.0, 20.0]).all()
    assert not calibration.crab_rate_err.any()
    row = classical.fluxes(calibration, milkyway.select("GB"))[0]
    assert 120 < row["flux"].to_value(MCRAB) < 190


def test_few_crabs_make_no_cubic(mission):
    # Two revolutions with the Crab, early: a line at most, and an error that grows where there is none.
    with_crab = np.unique(mission.revolution[mission.crab])
    early = mission.select(~mission.crab | np.isin(mission.revolution, with_crab[:2]))
    calibration = classical.calibrate(early, cache=False)
    truth = np.interp(early.mjd, mission.truth["mjd"], np.array(mission.truth["crab_rate"])[:, 0])
    assert calibration.crab_rate.min() > 0
    assert np.abs(calibration.crab_rate[:, 0] / truth - 1).max() < 0.5


def test_bad_input_is_one_clear_line(mission, milkyway):
    with pytest.raises(InputError, match=r"no ScW at .b. > 20 deg"):
        classical.calibrate(mission.select(np.abs(mission.lat) < 15))
    marked = dataclasses.replace(mission, crab=(np.abs(mission.lon) < 5) & (np.abs(mission.lat) < 5))
    with pytest.raises(InputError, match="mend SOURCE"):
        classical.calibrate(marked)
    with pytest.raises(InputError, match="36 regions"):
        classical.calibrate(mission, template=milkyway)
    with pytest.raises(InputError, match="min_full is 3"):
        Settings(min_full=3)


def test_needs_no_jax():
    # The package itself sets JAX up; a stand-in shows what the method alone imports.
    code = (
        "import sys, types; from importlib.util import find_spec; "
        "p = types.ModuleType('ridgebayes'); p.__path__ = [sys.argv[1]]; sys.modules['ridgebayes'] = p; "
        "import ridgebayes.classical; sys.exit('jax' in sys.modules or 'numpyro' in sys.modules)"
    )
    package = classical.__path__[0].rsplit("classical", 1)[0]
    subprocess.run([sys.executable, "-c", code, package], check=True, timeout=60)
