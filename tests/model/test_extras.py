"""Known unknowns that a model can open: what each changes, and that it changes nothing where it is shut."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from ridgebayes import simulate
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.likelihood.design import SHAPES, prepare
from ridgebayes.likelihood.linear_terms import Term
from ridgebayes.model.extensions import EXTRAS, Extension
from ridgebayes.models import regions
from ridgebayes.priors import Parameter
from ridgebayes.runs.fitted import sites
from ridgebayes.sky import exposure

SHUT = {
    "correlated_noise": {"background.correlated": 0.0},
    "outliers": {"outlier.fraction": 0.0},
    "transients": {"plane.flares": 0.0, "plane.peak": 10.0},
    "smooth_crab": {"crab.smooth": 0.0},
    "free_latitude": {"sky.width": 1.0, "sky.shift": 0.0},
}


OPEN = {"smooth_crab": {"crab.smooth": 0.5}, "free_latitude": {"sky.width": 1.3, "sky.shift": 0.3}}
"""Where a parameter of the real line would be shut at zero."""


@pytest.fixture(scope="module")
def prepared(small_mission, three_regions):
    return prepare(small_mission, three_regions, opened={"reshaped", "sequence", "crab.rate"})


@pytest.fixture(scope="module")
def opened(prepared, small_mission, three_regions):
    """Data for each extra."""
    needed = {"crab.rate", *EXTRAS["transients"].data}
    with_flares = prepare(small_mission, three_regions, opened=needed)
    return {**dict.fromkeys(EXTRAS, prepared), "transients": with_flares}


def log_likelihood(model, prepared, values):
    """Log density of the rates with some parameters fixed and the others at zero (positive ones at one)."""
    posterior = Posterior(model.with_priors(values), prepared.data)
    z = jnp.zeros(posterior.size)
    found = jax.jit(lambda z, data: sites(posterior, z, data)["rate"].log_prob(data.rate))
    return np.asarray(found(z, prepared.data))


PLAIN = {
    "sky.intensity": 0.4,
    "background.level": 1.0,
    "background.tracer": 0.3,
    "background.revolution_sd": 0.02,
    "background.scatter": 0.01,
    "crab.rate": 1.0,
    "crab.shape": [-0.1, 0.02, 0.01],
    "crab.scatter": 0.005,
}
"""Everything but the drift."""


@pytest.fixture(scope="module")
def plain(prepared, three_regions):
    found = log_likelihood(regions(three_regions), prepared, PLAIN)
    assert np.isfinite(found).all()
    return found


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.slow
def test_shut_it_changes_nothing(name, opened, three_regions, plain):
    model = regions(three_regions).with_extras(name)
    shut = log_likelihood(model, opened[name], {**PLAIN, **SHUT[name]})
    np.testing.assert_allclose(shut, plain, rtol=1e-9)


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.slow
def test_opened_it_changes_the_density(name, opened, three_regions, plain):
    model = regions(three_regions).with_extras(name)
    found = log_likelihood(model, opened[name], {**PLAIN, **OPEN.get(name, {})})
    assert np.isfinite(found).all()
    assert (np.abs(found - plain) > 1e-3).all()


@pytest.mark.slow
def test_flares_are_a_term_of_each_revolution(opened, three_regions):
    """Their mean and covariance are those of shot noise, built here ScW by ScW."""
    prepared, sd, peak = opened["transients"], 4.0, 8.0
    data = prepared.data
    fixed = {
        **PLAIN,
        "plane.flares": sd,
        "plane.peak": peak,
        "response.solid_angle": 1.0,
    }
    model = regions(three_regions).with_extras("transients")
    posterior, calm = (
        Posterior(model.with_priors({**fixed, "plane.flares": value}), data) for value in (sd, 0.0)
    )
    found = sites(posterior, jnp.zeros(posterior.size), data)
    rate, steady = found["rate"], sites(calm, jnp.zeros(calm.size), data)["rate"]

    a = exposure(prepared.scws, three_regions, prepared.response) @ three_regions.stars
    largest = (three_regions.fov_matrix(prepared.response) @ three_regions.stars).max()
    seen = prepared.layout.pack(a / largest)  # of the plane, at most about one
    per_mcrab = np.asarray(found["crab.history"])[:, data.block_revolution, None] / 1000
    np.testing.assert_allclose(rate.loc - steady.loc, sd**2 / peak * per_mcrab * seen, atol=1e-12)
    added = rate.variance - steady.variance
    np.testing.assert_allclose(added, (sd * per_mcrab) ** 2 * seen, atol=1e-12)


@pytest.mark.parametrize("name", EXTRAS)
def test_every_parameter_is_documented(name, three_regions):
    model = regions(three_regions).with_extras(name)
    assert model.extras == (name,)
    for parameter in EXTRAS[name].parameters:
        assert parameter in str(model)
        assert model.parameters[parameter].meaning


def test_names_and_combinations_are_checked(three_regions):
    model = regions(three_regions)
    with pytest.raises(InputError, match=r"extra 'smoth_crab': .*'smooth_crab'"):
        model.with_extras("smoth_crab")
    assert model.with_extras("outliers").with_extras("correlated_noise").extras == (
        "outliers",
        "correlated_noise",
    )
    with pytest.raises(InputError, match="integrated out"):
        regions(three_regions, marginal=False).with_extras("outliers")
    assert model.with_extras("smooth_crab", "transients").extras == ("smooth_crab", "transients")
    fixed = model.with_extras("outliers").with_priors({"outlier.size": 5.0})
    assert fixed.with_extras("outliers").parameters == fixed.parameters


@pytest.mark.parametrize(("stretch", "shift"), SHAPES)
@pytest.mark.slow
def test_free_latitude_meets_the_sky_that_was_built(stretch, shift, prepared, small_mission, three_regions):
    """At its nodes the interpolated exposure is that of a sky with this shape."""
    fixed = {**PLAIN, "sky.width": stretch, "sky.shift": shift}
    found = seen(regions(three_regions).with_extras("free_latitude"), prepared, fixed)
    sky = three_regions.reshaped(stretch, shift)
    a = exposure(prepared.scws, sky, Trapezoid(), cache=False)
    shut = seen(regions(three_regions), prepared, {**PLAIN, "sky.intensity": 0.0})
    per_mcrab = seen(regions(three_regions), prepared, PLAIN) - shut
    plain = exposure(prepared.scws, three_regions, Trapezoid(), cache=False)
    some = plain.sum(1) > 10
    ratio = (found - shut)[:, some] / per_mcrab[:, some]
    np.testing.assert_allclose(ratio, np.tile(a.sum(1)[some] / plain.sum(1)[some], (2, 1)), rtol=1e-6)


@pytest.mark.parametrize(("departure", "shape"), [([0.4, 0.0], (1.4, 0.0)), ([0.0, 0.0], (1.0, 0.0))])
@pytest.mark.slow
def test_a_sky_of_starlight_may_be_as_wide_as_another(departure, shape, small_mission, three_regions):
    """Where intensities are in proportion to starlight, the columns of `sky.latitude` make it another sky."""
    made = prepare(small_mission, three_regions, opened={"sky.latitude", "crab.rate"})
    stars = 0.4 * np.tile(three_regions.stars, (2, 1))
    fixed = {**PLAIN, "sky.intensity": stars, "sky.latitude": np.tile(departure, (2, 1))}
    found = seen(regions(three_regions), made, fixed)
    shut = seen(regions(three_regions), made, fixed | {"sky.intensity": 0.0, "sky.latitude": 0.0})
    a = exposure(made.scws, three_regions.reshaped(*shape), Trapezoid(), cache=False)
    plain = exposure(made.scws, three_regions, Trapezoid(), cache=False)
    some = plain.sum(1) > 10
    even = (seen(regions(three_regions), made, PLAIN | {"sky.latitude": 0.0}) - shut)[:, some]
    expected = even * (a @ three_regions.stars / np.maximum(plain.sum(1), 10))[some]
    np.testing.assert_allclose((found - shut)[:, some], expected, rtol=1e-9)


def test_free_latitude_takes_the_place_of_the_linear_one(three_regions):
    opened = regions(three_regions).with_extras("free_latitude").parameters
    assert "sky.latitude" in regions(three_regions).parameters
    assert "sky.latitude" not in opened


def seen(model, prepared, values):
    """Mean rate of every ScW, cts/s, (band, scw)."""
    posterior = Posterior(model.with_priors(values), prepared.data)
    z = jnp.zeros(posterior.size)
    found = jax.jit(lambda z, data: sites(posterior, z, data)["rate"].loc)
    return prepared.layout.unpack(found(z, prepared.data))


def test_between_its_nodes_too(prepared, three_regions):
    """Interpolation errs by less than a hundredth of the flux, 1.2 wide and 0.4 degrees off."""
    model = regions(three_regions).with_extras("free_latitude")
    posterior = Posterior(model.with_priors({**PLAIN, "sky.width": 1.2, "sky.shift": 0.4}), prepared.data)
    z = jnp.zeros(posterior.size)
    fov = np.asarray(jax.jit(lambda z, d: sites(posterior, z, d)["sky.fov_flux"])(z, prepared.data))
    direct = three_regions.reshaped(1.2, 0.4).fov_matrix(Trapezoid()) @ np.full(3, 0.4)
    np.testing.assert_allclose(fov, np.tile(direct, (2, 1)), rtol=0.01)


def test_a_stretched_sky_keeps_its_intensity(three_regions):
    """Twice as wide, the same mean over the core: more flux in all, none of it lost at the edges."""
    wide = three_regions.reshaped(2.0, 0.0)
    assert (wide.solid_angles > 1.2 * three_regions.solid_angles).all()
    same = three_regions.reshaped(1.0, 0.0)
    assert same.key == three_regions.key


@pytest.mark.slow
def test_crab_follows_a_step(three_regions):
    """The smooth part can hold a change of the Crab's rate that a cubic cannot."""
    programme = simulate.programme(40, stop=2740, seed=2)
    truth = simulate.Truth(bands=simulate.BANDS[:1], template=None, intensity={"GB": [0.7]})
    mission = simulate.mission(programme, truth, sky=three_regions, world=simulate.World.on("crab_step"))
    data = prepare(mission, three_regions).data
    target = np.where(np.asarray(data.time) > 0.35, 0.04, 0.0)
    cubic = np.asarray(data.crab_basis).T
    both = np.hstack([cubic, np.asarray(data.smooth_basis)])
    left = [target - b @ np.linalg.lstsq(b, target, rcond=None)[0] for b in (cubic, both)]
    assert jnp.std(left[1]) < 0.7 * jnp.std(left[0])


def test_an_extension_may_add_scatter(prepared, three_regions, monkeypatch):
    def scatter(p, data, crab_rate):
        return [Term(p("background.more")[:, None] * data.level, data.tracer)]

    prior = Parameter(dist.HalfNormal(0.05), "", ("band",), "scatter for a tracer of one, over the level")
    more = Extension("more", {"background.more": prior}, subject="scatter", scatter=scatter)
    monkeypatch.setitem(EXTRAS, "more", more)
    model, data = regions(three_regions).with_extras("more"), prepared.data
    variance = []
    for value in (0.0, 0.5):
        posterior = Posterior(model.with_priors({"background.more": value}), data)
        variance.append(np.asarray(posterior.rates(np.zeros(posterior.size), data).noise_variance))
    level = np.asarray(data.level)[:, np.asarray(data.block_revolution), None]
    wanted = (0.5 * level * np.asarray(data.tracer)) ** 2
    np.testing.assert_allclose(variance[1] - variance[0], wanted, rtol=1e-6, atol=1e-9 * wanted.max())
