"""The drawn rates against their stated distribution, worked out another way."""

import dataclasses
import json

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from scipy import stats
from scipy.special import eval_sh_legendre

from ridgebayes import simulate
from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.sky import Freudenreich, exposure
from ridgebayes.table.scw import Band
from ridgebayes.table.validation import validate

DARK = {"template": None, "tracer": None, "solar": 0.0, "ageing": 0.0}
"""Nothing but a constant background and its noise."""

STILL = {"tau": (0.0, 0.0, 0.0), "sigma": (0.0, 0.0, 0.0), "crab_scatter": 0.0}
"""No noise but that of the counts."""


@pytest.fixture(scope="module")
def simulated(coarse):
    programme = simulate.programme(30, stop=2740, seed=4)
    return simulate.mission(programme, sky=coarse, seed=1)


def test_what_a_mission_says_of_itself(simulated, coarse):
    validate(simulated)
    assert simulated.meta["simulated"] is True
    assert simulated.meta["origin"] == "ridgebayes simulation"
    truth = json.loads(json.dumps(simulated.truth, allow_nan=False))
    assert truth == simulated.truth
    assert truth["bands"] == ["A01", "A02", "A03"]
    assert tuple(truth["intensity"]) == tuple(truth["fov"]) == coarse.names
    assert (truth["seed"], truth["world"], truth["sky"]) == (1, {}, "coarse")
    assert np.shape(truth["tau"]) == (3, 3)
    assert np.shape(truth["level"]) == np.shape(truth["crab_rate"]) == (len(truth["mjd"]), 3)
    np.testing.assert_allclose(truth["tracer"], simulate.Truth().tracer_mjd(truth["mjd"]), rtol=1e-7)


def test_revolutions_share_their_coefficients(staring):
    """Covariance within a revolution = counting + scatter + Φ τ² Φᵀ, with Φ from SciPy."""
    phases, tau = np.array([0.05, 0.1, 0.3, 0.5, 0.52, 0.9]), np.array([0.03, 0.015, 0.01])
    truth = simulate.Truth(**DARK, tau=tau)
    scws = simulate.mission(staring(40, 60, revolutions=4000, phases=phases), truth, seed=2)
    level, sigma = truth.values().level, truth.values().sigma
    phi = np.stack([eval_sh_legendre(j, phases) for j in range(3)], axis=-1)
    for k in range(3):
        relative = scws.rate[:, k].reshape(4000, -1) / level[k] - 1
        counting = 1 / (level[k] * 2000.0)
        covariance = np.diag(np.full(phases.size, counting + sigma[k] ** 2)) + phi * tau**2 @ phi.T
        white = np.linalg.solve(np.linalg.cholesky(covariance), relative.T)
        assert stats.kstest(white.ravel(), "norm").pvalue > 0.01
        np.testing.assert_allclose(np.cov(white), np.eye(phases.size), atol=5 / np.sqrt(4000))
        np.testing.assert_allclose(white.mean(axis=1), 0, atol=5 / np.sqrt(4000))
        # Errors are those of the counts: square root of rate over exposure, here of an expected rate.
        ratio = scws.stat_err[:, k] ** 2 * 2000.0 / scws.rate[:, k]
        np.testing.assert_allclose(ratio.mean(), 1, atol=1e-3)


def test_counting_noise(staring):
    """What is left without revolution terms and scatter is that of the counts, as the table says."""
    truth = simulate.Truth(**DARK, **STILL)
    scws = simulate.mission(staring(40, 60, revolutions=3000, exposure=1234.0), truth, seed=2)
    white = (scws.rate - truth.values().level) / scws.stat_err
    assert stats.kstest(white.ravel(), "norm").pvalue > 0.01
    np.testing.assert_allclose(white.std(axis=0), 1, atol=4 / np.sqrt(2 * 3000))
    expected = np.broadcast_to(np.sqrt(truth.values().level / 1234.0), scws.rate.shape)
    np.testing.assert_allclose(scws.stat_err, expected, rtol=1e-9)


def test_bands_are_independent(staring):
    scws = simulate.mission(staring(40, 60, revolutions=3000), simulate.Truth(**DARK), seed=3)
    correlation = np.corrcoef(scws.rate.T) - np.eye(3)
    assert np.abs(correlation).max() < 4 / np.sqrt(3000)


def test_background_follows_the_tracer(staring):
    """With nothing else, rate over level minus one is α times the tracer's."""
    truth = simulate.Truth(**{**DARK, "tracer": 30.0}, tau=(0, 0, 0), sigma=(0, 0, 0), alpha=(0.3, 0.5, 0.8))
    scws = simulate.mission(staring(40, 60, revolutions=2000, exposure=1e9), truth, seed=3)
    relative = scws.rate / truth.values().level - 1
    slope = [stats.linregress(scws.tracer / 30.0 - 1, band).slope for band in relative.T]
    np.testing.assert_allclose(slope, [0.3, 0.5, 0.8], rtol=1e-3)
    # Log-normal with 1.5 % from revolution to revolution and 1 % from ScW to ScW.
    np.testing.assert_allclose(np.log(scws.tracer).std(), np.hypot(0.015, 0.01), rtol=0.05)


def test_tracer_error_is_that_of_its_counts(staring):
    truth = simulate.Truth(tracer_revolution=0, tracer_scw=0, solar=0, ageing=0)
    scws = simulate.mission(staring(40, 60, revolutions=3000, exposure=3548.0), truth, seed=3)
    np.testing.assert_allclose(scws.tracer_err, np.sqrt(30 / 3548), rtol=1e-12)
    assert stats.kstest((scws.tracer - 30) / scws.tracer_err, "norm").pvalue > 0.01


def test_drift_follows_the_cosmic_rays():
    """High in 2009 and 2020, low in 2003 and 2014-15; 8 to 10 % either way."""
    truth = simulate.Truth(ageing=0.0)
    mjd = 53005.5 + 365.25 * (np.arange(2004.0, 2023.0, 0.1) - 2004.0)
    year, trend = 2004 + (mjd - 53005.5) / 365.25, truth.trend(mjd)
    middle = (trend.max() + trend.min()) / 2
    assert 0.08 < (trend.max() - trend.min()) / 2 / middle < 0.10
    assert abs(year[np.argmax(np.where(year < 2015, trend, 0))] - 2009.5) < 0.6
    assert abs(year[np.argmax(np.where(year > 2015, trend, 0))] - 2020.5) < 0.6
    assert abs(year[np.argmin(np.where((year > 2009) & (year < 2020), trend, 9))] - 2014.75) < 0.6
    np.testing.assert_allclose(truth.trend(59864.0), 1.0)
    older = simulate.Truth(solar=0.0, ageing=-0.01).trend([59864.0 - 3652.5, 59864.0])
    np.testing.assert_allclose(older, [np.exp(0.1), 1.0])


@pytest.mark.slow
def test_crab_scws(staring):
    """On axis, 8° off, and 13° off, where it is removed; log C(t) as a NumPy polynomial."""
    crab = SkyCoord(83.63287, 22.01447, unit="deg").galactic
    truth = simulate.Truth(**DARK, **STILL, crab_shape=np.tile([-0.2, -0.05, 0.03], (3, 1)))
    response = Trapezoid()
    middle, half = (52769.7 + 60345.0 + 2.66) / 2, (60345.0 + 2.66 - 52769.7) / 2
    for offset, left_in in ((0.0, True), (8.0, True), (13.0, False)):
        at = crab.directional_offset_by(30 * u.deg, offset * u.deg)
        programme = staring(at.l.deg, at.b.deg, revolutions=2500, start=100, exposure=1e9)
        scws = simulate.mission(programme, truth, seed=5, response=response)
        assert (scws.crab == left_in).all()
        shape = np.exp(np.polynomial.Polynomial([0, -0.2, -0.05, 0.03])((scws.mjd - middle) / half))
        expected = truth.values().crab_rate * shape[:, None] * response.averaged(offset) * left_in
        np.testing.assert_allclose(scws.rate - truth.values().level, expected, atol=0.02)
    half_in = simulate.Truth(**DARK, crab_fraction=0.25)
    share = simulate.mission(staring(crab.l.deg, crab.b.deg, revolutions=2000), half_in, seed=1).crab.mean()
    np.testing.assert_allclose(share, 0.25, atol=0.04)
    rates = simulate.Truth().crab_mjd([52770.0, middle, 60340.0])[:, 0]
    assert rates[0] > rates[1] > rates[2]
    np.testing.assert_allclose(rates[1], 119.0, rtol=1e-3)


@pytest.mark.slow
def test_scatter_of_the_crab(staring):
    """Half the Crab scatters half as much, in each band its own; without the Crab nothing changes."""
    crab = SkyCoord(83.63287, 22.01447, unit="deg").galactic
    still = simulate.Truth(**DARK, **STILL)
    scattered = dataclasses.replace(still, crab_scatter=0.02)
    for offset in (0.0, 9.0, 13.0):
        at = crab.directional_offset_by(30 * u.deg, offset * u.deg)
        programme = staring(at.l.deg, at.b.deg, revolutions=2500, start=100)
        quiet, loud = (simulate.mission(programme, truth, seed=5) for truth in (still, scattered))
        change = (loud.rate - quiet.rate) / still.crab_mjd(quiet.mjd)
        expected = 0.02 * Trapezoid().averaged(offset) * (offset < 12)
        np.testing.assert_allclose(change.std(0), expected, rtol=0.05, atol=1e-12)
        if expected:
            assert np.abs(np.corrcoef(change.T) - np.eye(3)).max() < 0.1


@pytest.mark.slow
def test_flux_of_the_bulge_by_brute_force(coarse):
    """∫ template × R dΩ on a grid of longitudes and latitudes, scaled by the true intensities."""
    scws = simulate.mission(simulate.programme(1), sky=coarse, response=Trapezoid())
    np.testing.assert_allclose(scws.truth["gb_fov"], [154.886, 96.473, 102.207], rtol=1e-7)
    np.testing.assert_allclose(scws.truth["fov"]["GB"], scws.truth["gb_fov"])

    middles = np.arange(-20.9, 21.0, 0.2)
    lon, lat = np.meshgrid(middles, middles)
    area = 0.04 * np.cos(np.deg2rad(lat))
    core = (np.abs(lon) < 10) & (np.abs(lat) < 5)
    response = Trapezoid().averaged(np.rad2deg(np.arccos(np.cos(np.deg2rad(lat)) * np.cos(np.deg2rad(lon)))))
    scales = []
    for name, centre in (("GB", 0.0), ("L+20", 20.0)):
        light = Freudenreich().brightness((lon + centre).ravel(), lat.ravel()).reshape(lon.shape)
        scales.append(np.array(scws.truth["intensity"][name]) / np.average(light[core], weights=area[core]))
        np.testing.assert_allclose(
            scales[-1] * (light * area * response).sum(), scws.truth["fov"][name], rtol=0.005
        )
    np.testing.assert_allclose(*scales, rtol=0.005)


@pytest.mark.slow
def test_template_is_the_starlight_in_every_region(coarse):
    """A fit's regions with the true intensities give back what the ScWs saw of the template."""
    programme = simulate.programme(30, stop=2740, seed=4)
    truth, response = simulate.Truth(crab_fraction=0.0), Trapezoid()
    parts = simulate.expected(programme, truth, sky=coarse, response=response)
    scws = simulate.mission(programme, truth, sky=coarse, response=response)
    intensity = np.array([scws.truth["intensity"][name] for name in coarse.names])
    order = np.argsort(programme.scw_id)
    seen = exposure(programme, coarse, response)[order] @ intensity
    np.testing.assert_allclose(parts.sky, seen, atol=0.005 * seen.max())
    fov = coarse.fov_matrix(response) @ intensity
    np.testing.assert_allclose(fov, [scws.truth["fov"][name] for name in coarse.names], rtol=0.01)


def test_intensities_of_regions(coarse):
    programme, response = simulate.programme(3, seed=1), Trapezoid()
    given = {"GB": (1.0, 2.0, 3.0), "L+40": (0.5, 0.0, -0.5)}
    scws = simulate.mission(programme, simulate.Truth(template=None, intensity=given), sky=coarse)
    expected = np.zeros((len(coarse), 3))
    expected[coarse.index("GB")], expected[coarse.index("L+40")] = given["GB"], given["L+40"]
    np.testing.assert_allclose([scws.truth["intensity"][n] for n in coarse.names], expected)
    fov = coarse.fov_matrix(response) @ expected
    np.testing.assert_allclose([scws.truth["fov"][n] for n in coarse.names], fov, rtol=1e-6, atol=1e-12)
    both = simulate.mission(programme, simulate.Truth(intensity=given), sky=coarse).truth
    alone = simulate.mission(programme, simulate.Truth(), sky=coarse).truth
    for key, added in (("intensity", expected), ("fov", fov)):
        total = np.array([alone[key][n] for n in coarse.names]) + added
        np.testing.assert_allclose([both[key][n] for n in coarse.names], total, rtol=1e-6)


@pytest.mark.slow
def test_same_seed_same_mission(simulated, coarse):
    programme = simulate.programme(30, stop=2740, seed=4)
    shuffled = np.random.default_rng(0).permutation(len(programme))
    again = simulate.mission(programme.select(shuffled), sky=coarse, seed=1)
    np.testing.assert_array_equal(again.scw_id, programme.scw_id[shuffled])  # in the order asked for
    assert again.fingerprint() == simulated.fingerprint()
    assert again.truth == simulated.truth
    other = simulate.mission(programme, sky=coarse, seed=2)
    assert np.abs(other.rate - simulated.rate).min() > 0
    one = simulate.mission(programme, simulate.Truth(bands=simulate.BANDS[1:2]), sky=coarse, seed=1)
    np.testing.assert_allclose(one.rate[:, 0], simulated.rate[:, 1], rtol=1e-12)
    np.testing.assert_array_equal(one.tracer, simulated.tracer)


def test_thirty_narrow_bands(coarse):
    edges = np.geomspace(20, 200, 31)
    bands = tuple(Band(f"N{i}", edges[i], edges[i + 1]) for i in range(30))
    scws = simulate.mission(simulate.programme(3), simulate.Truth(bands=bands), sky=coarse)
    assert scws.rate.shape == (len(scws), 30)
    validate(scws)


def test_october_2022(staring):
    """One real ScW: rates, errors, tracer and scatter within 20 % of what was measured."""
    bands = (*simulate.BANDS, Band("A04", 200.0, 600.0))
    scws = simulate.mission(
        staring(52.8, 5.8, start=2559, phases=np.full(400, 0.5), exposure=3548.0),
        simulate.Truth(bands=bands, tau=(0.0, 0.0, 0.0)), seed=1,
    )  # fmt: skip
    assert abs(scws.mjd[0] - 59864.5) < 2  # 2022-10-12
    np.testing.assert_allclose(scws.rate.mean(axis=0), [74.09, 46.51, 275.99, 174.21], rtol=0.2)
    np.testing.assert_allclose(scws.stat_err.mean(axis=0), [0.15, 0.12, 0.29, 0.23], rtol=0.2)
    np.testing.assert_allclose([scws.tracer.mean(), scws.tracer_err.mean()], [30.0, 0.09], rtol=0.2)
    model = simulate.Truth(bands=bands).values().alpha * (scws.tracer / 30.0 - 1)[:, None]
    rest = scws.rate / scws.rate.mean(axis=0) - model
    excess = np.sqrt(rest.var(axis=0) - (scws.stat_err / scws.rate).mean(axis=0) ** 2)
    np.testing.assert_allclose(excess, [0.008, 0.008, 0.005, 0.006], rtol=0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": (1.0, 2.0)}, r"level has shape \(2,\), expected \(3,\)"),
        ({"sigma": (0.01, -0.01, 0.01)}, "sigma must be finite and not negative"),
        ({"tau": (0.1, 0.2)}, "tau has shape"),
        ({"alpha": (np.nan, 0, 0)}, "alpha must be finite"),
        ({"crab_shape": (-2000.0, 0.0, 0.0)}, "rate of the Crab zero or infinite"),
        ({"crab_fraction": 1.5}, "crab_fraction is 1.5: give 0 to 1"),
        ({"tracer": 0.0}, "tracer is 0"),
        ({"bands": ()}, "no energy bands"),
    ],
)
def test_truth_without_sense(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate.Truth(**arguments)


def test_missions_without_sense(staring, coarse):
    programme = staring(0, 0)
    with pytest.raises(InputError, match=r"has no region 'GP' \(did you mean 'GB'"):
        simulate.mission(programme, simulate.Truth(intensity={"GP": (1, 1, 1)}), sky=coarse)
    with pytest.raises(InputError, match="intensity of region 'GB' must be 3 finite numbers"):
        simulate.mission(programme, simulate.Truth(intensity={"GB": (1, 1)}), sky=coarse)
    with pytest.raises(InputError, match=r"ScW 050000010010, band A01: .* raise truth.level"):
        simulate.mission(programme, simulate.Truth(intensity={"GB": (-1e3, 0, 0)}), sky=coarse)
    for seed in (-1, 0.5):
        with pytest.raises(InputError, match=rf"seed {seed}: give a whole number"):
            simulate.mission(programme, sky=coarse, seed=seed)
        with pytest.raises(InputError, match=rf"seed {seed}: give a whole number"):
            simulate.programme(1, seed=seed)
    with pytest.raises(InputError, match="no ScWs"):
        simulate.mission(programme.select([]), sky=coarse)
