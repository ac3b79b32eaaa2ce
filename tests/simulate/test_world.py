"""Every switch changes what it says, and nothing else."""

from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix

from ridgebayes import simulate
from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.simulate import World
from ridgebayes.simulate.truesky import true_sky
from ridgebayes.sky import Freudenreich, load
from ridgebayes.table.scw import CRAB
from tests.helpers.cli import call

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
    assert World.on("everything") == World.everything()
    assert World.everything().names == simulate.SWITCHES
    assert World().names == ()
    told = World(outliers=simulate.Outliers(size=5)).as_dict()
    assert told == {"outliers": {"fraction": 0.005, "size": 5, "together": True}}
    with pytest.raises(InputError, match=r"unknown switch 'outlier' \(did you mean 'outliers'"):
        World.on("outlier")
    with pytest.raises(InputError, match=r"unknown switch 'all'"):
        World.on("all")


def test_the_command_lists_them_with_a_line_each():
    lines = [line.split(maxsplit=1) for line in call("simulate", "--help").output.splitlines()]
    told = {words[0]: words[1] for words in lines if len(words) == 2}
    assert all(len(told[name]) > 15 for name in (*simulate.SWITCHES, simulate.EVERYTHING))
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in (*simulate.SWITCHES, simulate.EVERYTHING))


@pytest.mark.parametrize(
    ("switch", "arguments", "message"),
    [
        (simulate.Outliers, {"fraction": 2}, "outliers.fraction is 2: give 0 to 1"),
        (simulate.CorrelatedNoise, {"coefficient": 1}, "correlated_noise.coefficient is 1"),
        (simulate.SharedNoise, {"correlation": 1.1}, "shared_noise.correlation is 1.1: give 0 to 1"),
        (simulate.WrongTemplate, {"stretch": 0}, "wrong_template.stretch is 0"),
        (simulate.StrongBar, {"factor": -1}, "strong_bar.factor is -1"),
        (simulate.Transients, {"decay_d": np.nan}, "transients.decay_d is nan"),
        (simulate.CrabStep, {"size": -1}, "crab_step.size is -1"),
    ],
)
def test_sizes_without_sense(switch, arguments, message):
    with pytest.raises(InputError, match=message):
        switch(**arguments)


@pytest.mark.parametrize("world", [World(), World.on("crab_step"), World.on("noisy_tracer", "transients")])
@pytest.mark.slow
def test_streams_of_noise_stay_what_they_are(staring, world):
    """Numbers of the random streams are written out: a mission of a seed is the same in later versions."""
    stare = staring(184.557, -5.784, revolutions=5, phases=(0.2, 0.4))  # the Crab
    truth = simulate.Truth()
    common = {"sky": load("coarse"), "response": Trapezoid(), "world": world, "seed": SEED}
    scws = simulate.mission(stare, truth, **common)
    parts = simulate.expected(stare, truth, **common)

    def normal(stream, *shape):
        edges = [[25_000, 60_000], [60_000, 80_000], [80_000, 200_000]]
        draws = [np.random.default_rng([SEED, stream, *e]).standard_normal(shape) for e in edges]
        return np.stack(draws, axis=-1)

    coefficients = truth.values().tau * np.moveaxis(normal(14, 5, 3), -1, 1)
    np.testing.assert_array_equal(parts.coefficients, coefficients)
    rate = parts.rate + truth.values().sigma * parts.level * normal(15, 10)
    rate += scws.stat_err * normal(16, 10)
    rate += truth.crab_scatter * (parts.crab_rate * parts.crab_response[:, None]) * normal(19, 10)
    np.testing.assert_array_equal(scws.rate, rate)


@pytest.mark.slow
def test_outliers(fly, plain):
    scws = fly(World(outliers=simulate.Outliers(fraction=0.03, size=8.0)))
    shift = (scws.rate - plain.rate) / noise_sd(plain, simulate.Truth())
    hit = np.abs(shift[:, 0]) > 1
    np.testing.assert_allclose(hit.mean(), 0.03, atol=4 * np.sqrt(0.03 / len(scws)))
    np.testing.assert_allclose(np.abs(shift[hit & ~plain.crab]), 8.0, rtol=1e-9)
    assert np.ptp(np.sign(shift[hit]), axis=1).max() == 0  # all bands alike
    assert 0.3 < (shift[hit, 0] > 0).mean() < 0.7
    np.testing.assert_array_equal(scws.rate[~hit], plain.rate[~hit])
    np.testing.assert_array_equal(scws.stat_err, plain.stat_err)
    told = {"fraction": 0.03, "size": 8.0, "together": True}
    assert scws.truth["world"] == {"outliers": told}


@pytest.mark.slow
def test_outliers_hit_scws_of_the_crab(fly):
    """There the Crab's own scatter counts: with all of it the shift is 8 standard deviations."""
    truth = simulate.Truth(crab_scatter=0.05)
    scws = fly(World(outliers=simulate.Outliers(fraction=0.2, size=8.0)), crab_scatter=0.05)
    plain = fly(crab_scatter=0.05)
    sd = np.hypot(noise_sd(plain, truth), 0.05 * truth.crab_mjd(plain.mjd))
    off = np.abs(scws.rate - plain.rate) / sd
    on_crab = plain.crab & plain.near(CRAB, 3)  # R is 1 there
    hit = on_crab & (off[:, 0] > 1)
    share = hit.sum() / on_crab.sum()
    np.testing.assert_allclose(share, 0.2, atol=4 * np.sqrt(0.16 / on_crab.sum()))
    np.testing.assert_allclose(off[hit], 8.0, rtol=1e-6)


def test_outliers_of_each_band(fly, plain):
    """Each band has its own, at the stated rate; where two bands are off at once it is by chance."""
    spec = simulate.Outliers(fraction=0.1, size=6.0, together=False)
    off = (fly(World(outliers=spec)).rate - plain.rate) / noise_sd(plain, simulate.Truth())
    hit = np.abs(off) > 1
    n = len(plain)
    np.testing.assert_allclose(hit.mean(axis=0), 0.1, atol=4 * np.sqrt(0.09 / n))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        np.testing.assert_allclose((hit[:, a] & hit[:, b]).mean(), 0.01, atol=4 * np.sqrt(0.01 / n))
    np.testing.assert_allclose(np.abs(off[hit & ~plain.crab[:, None]]), 6.0, rtol=1e-9)


@pytest.mark.parametrize("memory", [None, 0.7])
@pytest.mark.slow
def test_shared_noise(staring, memory):
    """Bands are correlated in scatter and revolution terms; variances and memory stay what they were."""
    tau = (0.03, 0.015, 0.01)
    truth = simulate.Truth(template=None, tracer=None, solar=0, ageing=0, tau=tau)
    phases = np.linspace(0.05, 0.95, 40)
    stare = staring(40, 60, revolutions=1500, phases=phases, exposure=1e12)  # no counting noise
    correlated = simulate.CorrelatedNoise(memory) if memory else None
    world = World(shared_noise=simulate.SharedNoise(0.8), correlated_noise=correlated)
    scws = simulate.mission(stare, truth, world=world, seed=SEED)
    coefficients = simulate.expected(
        stare, truth, sky=load("coarse"), response=Trapezoid(), world=world, seed=SEED
    ).coefficients
    sd = np.full((3, 3), 0.8) + 0.2 * np.eye(3)
    for j in range(3):
        of_revolutions = coefficients[:, :, j]
        np.testing.assert_allclose(np.corrcoef(of_revolutions.T), sd, atol=0.05)
        np.testing.assert_allclose(of_revolutions.std(axis=0), tau[j], rtol=0.08)
    # The rates themselves: least squares on the phase curve leaves the scatter of each revolution.
    relative = (scws.rate / truth.values().level - 1).reshape(1500, 40, 3)
    curve = np.polynomial.legendre.legvander(2 * phases - 1, 2)
    found = np.einsum("ji,rik->rjk", np.linalg.pinv(curve), relative)
    np.testing.assert_allclose(found, np.moveaxis(coefficients, 1, 2), atol=0.03)
    scatter = relative - np.einsum("ij,rkj->rik", curve, coefficients)
    scatter /= truth.values().sigma
    for lag in range(3):
        moment = np.einsum("rik,ril->kl", scatter[:, : 40 - lag], scatter[:, lag:]) / (1500 * (40 - lag))
        np.testing.assert_allclose(moment, (memory or 0.0) ** lag * sd, atol=0.05)


def test_noise_is_shared_by_any_bands():
    """A band's noise depends on its own stream and the common one: other bands change nothing."""
    programme = simulate.programme(5, stop=2740, seed=8)
    given = {"sky": load("coarse"), "world": World.on("shared_noise"), "seed": SEED}
    three = simulate.mission(programme, simulate.Truth(), **given)
    one = simulate.mission(programme, simulate.Truth(bands=simulate.BANDS[1:2]), **given)
    np.testing.assert_allclose(one.rate[:, 0], three.rate[:, 1], rtol=1e-12)


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


@pytest.mark.slow
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
        world = World(wrong_template=wrong)
        sky, intensity = true_sky(simulate.Truth(**given), coarse, Trapezoid(), world).components[0]
        flux = np.repeat(intensity[:, 0], np.diff(sky.weights.indptr)) * sky.weights.data
        lat = np.rad2deg(np.arcsin(sky.nodes[:, 2]))
        mean = np.average(lat, weights=flux)
        return mean, np.sqrt(np.average((lat - mean) ** 2, weights=flux))

    (mean, width), (new_mean, new_width) = moments(None), moments(simulate.WrongTemplate(1.3, 2.0))
    np.testing.assert_allclose(new_mean, 1.3 * mean + 2.0, atol=0.15)  # meridians converge
    np.testing.assert_allclose(new_width, 1.3 * width, rtol=0.03)


@pytest.mark.slow
def test_strong_bar(fly, plain, coarse):
    """The map is that of bar and disc apart, the bar twice as bright; the bulge keeps its flux."""
    world = World(strong_bar=simulate.StrongBar(factor=2.0))
    scws = fly(world)
    np.testing.assert_allclose(scws.truth["gb_fov"], plain.truth["gb_fov"], rtol=1e-7)
    assert all(
        new < 0.75 * old
        for name in ("L+60", "L-60")
        for new, old in zip(scws.truth["fov"][name], plain.truth["fov"][name], strict=True)
    )
    # Ratios of FOV fluxes, with the response summed over the pixels of a map.
    grid = HEALPix(64, order="ring")
    lon, lat = (v.to_value(u.deg) for v in grid.healpix_to_lonlat(np.arange(grid.npix)))
    model = Freudenreich()
    bright = 2.0 * model.brightness(lon, lat, "bar") + model.brightness(lon, lat, "disc")
    bright[np.abs(lat) > 30] = 0
    pixels = SkyCoord(lon, lat, unit="deg")

    def seen(name):
        at = SkyCoord(
            *((coarse.centre_lon, coarse.centre_lat)[i][coarse.index(name)] for i in (0, 1)), unit="deg"
        )
        return bright @ Trapezoid().averaged(at.separation(pixels).deg)

    for name in ("L+20", "L-60"):
        told = scws.truth["fov"][name][0] / scws.truth["fov"]["GB"][0]
        np.testing.assert_allclose(told, seen(name) / seen("GB"), rtol=0.01)
    high = np.abs(plain.lat) > 30 + 21
    np.testing.assert_array_equal(scws.rate[high], plain.rate[high])
    same = fly(World(strong_bar=simulate.StrongBar(factor=1.0)))
    np.testing.assert_array_equal(same.rate, plain.rate)
    with pytest.raises(InputError, match=r"strong_bar changes the template, and the truth has none"):
        fly(world, template=None)


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


@pytest.mark.slow
def test_everything_at_once(fly, plain):
    scws = fly(World.everything())
    assert tuple(scws.truth["world"]) == simulate.SWITCHES
    assert (scws.stat_err > 0).all()
    assert (scws.rate != plain.rate).any(axis=1).all()
    # Outliers apart, all of the noise is there: that of bands together is what is shared.
    still = fly(replace(World.everything(), outliers=None))
    shift = (scws.rate - still.rate)[:, 0]
    np.testing.assert_allclose((shift != 0).mean(), 0.005, atol=4 * np.sqrt(0.005 / len(scws)))
    apart = fly(replace(World.everything(), outliers=None, shared_noise=simulate.SharedNoise(0.0)))
    noise = (still.rate - apart.rate) / noise_sd(plain, simulate.Truth())
    assert np.corrcoef(noise.T)[0, 1] > 0.5
