"""Every switch changes what it says, and nothing else."""

import numpy as np
import pytest

from ridgebayes import simulate
from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.simulate import World
from ridgebayes.simulate.truesky import true_sky
from ridgebayes.sky import load
from ridgebayes.table.scw import CRAB

SEED = 3


@pytest.fixture(scope="module")
def programme():
    return simulate.programme(60, stop=2740, seed=8)


@pytest.fixture(scope="module")
def fly(programme, coarse):
    """Return a function that simulates the same mission in another world."""

    def mission(world=None, **truth):
        return simulate.mission(programme, simulate.Truth(**truth), sky=coarse, world=world, seed=SEED)

    return mission


@pytest.fixture(scope="module")
def plain(fly):
    return fly()


def noise_sd(scws, truth):
    """Standard deviation of the noise of each rate, from the table and the truth."""
    return np.hypot(scws.stat_err, truth.values().sigma * truth.level_mjd(scws.mjd))


def test_names():
    assert World.on("outliers", "crab_step").names == ("outliers", "crab_step")
    assert World.on("all").names == simulate.SWITCHES
    assert World().names == ()
    assert World(outliers=simulate.Outliers(size=5)).as_dict() == {"outliers": {"fraction": 0.005, "size": 5}}
    with pytest.raises(InputError, match=r"unknown switch 'outlier' \(did you mean 'outliers'"):
        World.on("outlier")


@pytest.mark.parametrize(
    ("switch", "arguments", "message"),
    [
        (simulate.Outliers, {"fraction": 2}, "outliers.fraction is 2: give 0 to 1"),
        (simulate.CorrelatedNoise, {"coefficient": 1}, "correlated_noise.coefficient is 1"),
        (simulate.WrongTemplate, {"stretch": 0}, "wrong_template.stretch is 0"),
        (simulate.Transients, {"decay_d": np.nan}, "transients.decay_d is nan"),
        (simulate.CrabStep, {"size": -1}, "crab_step.size is -1"),
    ],
)
def test_sizes_without_sense(switch, arguments, message):
    with pytest.raises(InputError, match=message):
        switch(**arguments)


def test_outliers(fly, plain):
    scws = fly(World(outliers=simulate.Outliers(fraction=0.03, size=8.0)))
    shift = (scws.rate - plain.rate) / noise_sd(plain, simulate.Truth())
    hit = np.abs(shift[:, 0]) > 1
    np.testing.assert_allclose(hit.mean(), 0.03, atol=4 * np.sqrt(0.03 / len(scws)))
    np.testing.assert_allclose(np.abs(shift[hit]), 8.0, rtol=1e-9)
    assert np.ptp(np.sign(shift[hit]), axis=1).max() == 0  # all bands alike
    assert 0.3 < (shift[hit, 0] > 0).mean() < 0.7
    np.testing.assert_array_equal(scws.rate[~hit], plain.rate[~hit])
    np.testing.assert_array_equal(scws.stat_err, plain.stat_err)
    assert scws.truth["world"] == {"outliers": {"fraction": 0.03, "size": 8.0}}


def test_correlated_noise(staring):
    truth = simulate.Truth(template=None, tracer=None, solar=0, ageing=0, tau=(0, 0, 0))
    phases = np.linspace(0.05, 0.95, 50)
    stare = staring(40, 60, revolutions=400, phases=phases, exposure=1e9)
    shuffled = stare.select(np.random.default_rng(1).permutation(len(stare)))
    world = World(correlated_noise=simulate.CorrelatedNoise(0.7))
    scws = simulate.mission(shuffled, truth, world=world, seed=SEED)
    scws = scws.select(np.argsort(scws.scw_id))
    values = truth.values()
    noise = ((scws.rate / values.level - 1) / values.sigma).reshape(400, 50, 3)
    for lag in range(4):
        moment = (noise[:, : 50 - lag] * noise[:, lag:]).mean(axis=(0, 1))
        np.testing.assert_allclose(moment, 0.7**lag, atol=0.04)
    np.testing.assert_allclose(noise[:, 0].std(axis=0), 1, atol=0.12)  # stationary from the first ScW on
    # From the last ScW of a revolution to the first of the next nothing is carried over.
    assert np.abs((noise[:-1, -1] * noise[1:, 0]).mean(axis=0)).max() < 4 / np.sqrt(399)


def test_wrong_template(fly, plain, coarse):
    scws = fly(World(wrong_template=simulate.WrongTemplate(stretch=1.5, shift_deg=1.0)))
    np.testing.assert_allclose(scws.truth["gb_fov"], plain.truth["gb_fov"], rtol=1e-7)
    far = np.abs(plain.lat) > 30 * 1.5 + 1 + 21  # no field of view reaches the widened sky
    np.testing.assert_array_equal(scws.rate[far], plain.rate[far])
    # A field that is wide for both skies sees less where the light has left, more where it went.
    near = np.abs(plain.lon) < 20
    change = (scws.rate - plain.rate)[:, 0]
    assert (change[near & (np.abs(plain.lat) > 12) & (np.abs(plain.lat) < 25)] > 0).all()
    intensity = {
        key: np.array(list(m.truth["intensity"].values())) for key, m in (("new", scws), ("old", plain))
    }
    assert (intensity["new"] < intensity["old"]).all()  # in the core
    north = {"GB": (1.0, 1.0, 1.0)}
    stretched = fly(World.on("wrong_template"), template=None, intensity=north)
    np.testing.assert_array_equal(stretched.truth["intensity"]["GB"], north["GB"])
    straight = fly(template=None, intensity=north)
    assert stretched.truth["fov"]["GB"][0] < straight.truth["fov"]["GB"][0]


@pytest.mark.parametrize("given", [{}, {"template": None, "intensity": {"GB": (1, 1, 1), "L+60": (2, 2, 2)}}])
def test_wrong_template_moves_the_light(coarse, given):
    """Latitudes b become stretch · b + shift: mean and scatter of the light follow."""

    def moments(wrong):
        sky, intensity = true_sky(simulate.Truth(**given), coarse, Trapezoid(), wrong).components[0]
        flux = np.repeat(intensity[:, 0], np.diff(sky.weights.indptr)) * sky.weights.data
        lat = np.rad2deg(np.arcsin(sky.nodes[:, 2]))
        mean = np.average(lat, weights=flux)
        return mean, np.sqrt(np.average((lat - mean) ** 2, weights=flux))

    (mean, width), (new_mean, new_width) = moments(None), moments(simulate.WrongTemplate(1.3, 2.0))
    np.testing.assert_allclose(new_mean, 1.3 * mean + 2.0, atol=0.15)  # meridians converge
    np.testing.assert_allclose(new_width, 1.3 * width, rtol=0.03)


def test_transients_have_the_flux_they_should(staring):
    """Mean flux = outbursts a day × peak × decay time × mean response at random places."""
    stare, truth = staring(0, 0, revolutions=250), simulate.Truth(template=None)
    world = World(transients=simulate.Transients(per_year=200, peak_mcrab=5, decay_d=10))
    common = {"sky": load("coarse"), "response": Trapezoid(), "seed": 1}
    seen = simulate.expected(stare, truth, world=world, **common).sky[:, 0]
    rng = np.random.default_rng(0)
    lon, lat = rng.normal(0, 40, 100_000), np.clip(rng.laplace(0, 1.5, 100_000), -4.9, 4.9)
    offset = np.rad2deg(np.arccos(np.cos(np.deg2rad(lat)) * np.cos(np.deg2rad(lon))))
    mean = 200 / 365.25 * 5 * 10 * Trapezoid().averaged(offset).mean()
    np.testing.assert_allclose(seen.mean(), mean, rtol=0.25)
    # Between outbursts the flux decays; it never falls faster.
    decay = np.exp(-np.diff(np.sort(stare.mjd)) / 10)
    assert (seen[1:] - seen[:-1] * decay > -0.01).all()  # mCrab; forgotten after ten decay times


def test_transients(fly, plain):
    scws = fly(World(transients=simulate.Transients(per_year=10, peak_mcrab=20, decay_d=30)))
    gain = scws.rate - plain.rate
    high = np.abs(plain.lat) > 5 + 21
    np.testing.assert_array_equal(scws.rate[high], plain.rate[high])
    expected = scws.stat_err**2 - plain.stat_err**2  # more counts, more counting noise
    seen = expected[:, 0] > 0
    assert (expected >= 0).all()
    assert 0.05 < seen.mean() < 0.9
    counts = expected * plain.exposure[:, None]  # cts/s of the transients
    np.testing.assert_allclose(gain[seen].mean(axis=0), counts[seen].mean(axis=0), rtol=0.02)
    # Time-clustered: a revolution has its own flux, nearly the same in its neighbouring ScWs.
    plane = seen & (np.abs(plain.lat) < 3)
    number, row = np.unique(plain.revolution[plane], return_inverse=True)
    means = np.bincount(row, counts[plane, 0]) / np.bincount(row)
    within = np.sqrt(np.bincount(row, (counts[plane, 0] - means[row]) ** 2) / np.bincount(row))
    assert number.size > 10
    assert np.median(within) < 0.7 * means.std()
    crab = scws.truth["crab_rate"]
    assert crab == plain.truth["crab_rate"]
    # Softer than the Crab.
    rate = simulate.Truth().crab_mjd(plain.mjd[seen])
    mcrab = counts[seen] / rate * 1000
    np.testing.assert_allclose(
        (mcrab[:, 2] / mcrab[:, 0]).mean(), np.sqrt(38.7 / np.sqrt(80 * 200)), rtol=0.01
    )


def test_crab_step(fly, plain):
    scws = fly(World(crab_step=simulate.CrabStep(size=0.05, mjd=56000.0)))
    before = plain.mjd < 56000.0
    np.testing.assert_array_equal(scws.rate[before], plain.rate[before])
    on_crab = ~before & plain.near(CRAB, 3)
    assert on_crab.sum() > 10
    gain = (scws.stat_err**2 - plain.stat_err**2) * plain.exposure[:, None]
    expected = 0.05 * simulate.Truth().crab_mjd(plain.mjd)
    np.testing.assert_allclose(gain[on_crab], expected[on_crab], rtol=0.03)  # R is 1 within 3°
    times = np.array(scws.truth["mjd"])
    ratio = np.array(scws.truth["crab_rate"]) / plain.truth["crab_rate"]
    np.testing.assert_allclose(ratio, np.where(times >= 56000.0, 1.05, 1.0)[:, None] * np.ones(3), rtol=1e-6)


def test_noisy_tracer(fly, plain):
    same = fly(World(noisy_tracer=simulate.NoisyTracer(error=1.0)))
    np.testing.assert_array_equal(same.tracer, plain.tracer)
    truth = simulate.Truth()
    change = (same.rate - plain.rate) / truth.level_mjd(plain.mjd)
    # Off by α times the relative noise of the tracer.
    sd = truth.values().alpha * np.mean(plain.tracer_err / truth.tracer_mjd(plain.mjd))
    np.testing.assert_allclose(change.std(axis=0), sd, rtol=0.1)

    noisier = fly(World.on("noisy_tracer"))
    np.testing.assert_array_equal(noisier.rate, same.rate)  # the background follows the true one
    np.testing.assert_allclose(noisier.tracer_err, 3 * plain.tracer_err)
    true = same.tracer - (noisier.tracer - same.tracer) / 2
    pull = (noisier.tracer - true) / noisier.tracer_err
    np.testing.assert_allclose(pull.std(), 1.0, rtol=0.05)


def test_all_at_once(fly, plain):
    scws = fly(World.on("all"))
    assert tuple(scws.truth["world"]) == simulate.SWITCHES
    assert (scws.stat_err > 0).all()
    assert (scws.rate != plain.rate).any(axis=1).all()
