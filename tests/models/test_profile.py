"""A smooth longitude profile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ridgebayes import models, sample, sky
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare
from ridgebayes.models.profile import profile_of_longitude
from ridgebayes.priors import Parameters
from ridgebayes.runs.fitted import sites

SD, LENGTH = 0.7, 40.0


@pytest.mark.slow
def test_the_intensities_are_recovered(starry_mission, three_regions, pull):
    model = models.profile(three_regions).with_priors({"sky.profile_length": 25.0})
    assert model.bands_apart
    run = sample(model, starry_mission.take_bands(["A01"]), seed=1, chains=2, warmup=150, draws=200)
    truth = run.tree["constant_data"]["true_intensity"]
    assert np.abs(pull(run.intensity(), truth)).max() < 4
    assert run.tree["posterior"]["sky.profile"].dims == ("chain", "draw", "band", "harmonic")


def test_faint_sources_are_part_of_what_is_smooth(starry_mission, three_regions):
    """Their mean is taken from the intensities and changes no rate: it cannot stand in for a bulge."""
    model = models.profile(three_regions).with_extras("transients").with_priors({"crab.rate": 1.0})
    model = model.with_priors({"response.solid_angle": 1.0})
    data = prepare(starry_mission.take_bands(["A01"]), three_regions, opened=model.asks_for).data
    seen = {}
    for peak in (5.0, 10.0):
        posterior = Posterior(model.with_priors({"plane.flares": 4.0, "plane.peak": peak}), data)
        seen[peak] = sites(posterior, jnp.zeros(posterior.size), data)
    np.testing.assert_allclose(seen[5.0]["rate"].loc, seen[10.0]["rate"].loc, rtol=1e-12)
    less = 4.0**2 * (1 / 5.0 - 1 / 10.0) * np.asarray(data.leftover)
    found = seen[10.0]["sky.intensity"] - seen[5.0]["sky.intensity"]
    np.testing.assert_allclose(found, less[None], atol=1e-12)


@pytest.fixture(scope="module")
def coarse(starry_mission):
    return prepare(starry_mission.take_bands(["A01"]), sky.load("coarse"), cache=False)


def test_covariance_is_that_of_matern_around_the_circle(coarse):
    """What the waves give is Matérn 5/2 summed over all ways around."""
    data = coarse.data
    fixed = {"sky.profile_sd": SD, "sky.profile_length": LENGTH, "crab.rate": 1.0}
    model = models.profile(coarse.sky).with_priors(fixed)

    def intensity(key):
        seeded = jax.tree_util.Partial(lambda k: _draw(model, data, k), key)
        return seeded()

    draws = np.asarray(jax.jit(jax.vmap(intensity))(jax.random.split(jax.random.key(0), 40_000)))
    found = np.cov(draws[:, 0].T)
    lon = coarse.sky.centre_lon
    apart = np.abs(lon[:, None] - lon + 360 * np.arange(-3, 4)[:, None, None]) * np.sqrt(5) / LENGTH
    wanted = SD**2 * ((1 + apart + apart**2 / 3) * np.exp(-apart)).sum(0)
    np.testing.assert_allclose(found, wanted, atol=0.03 * SD**2)


def _draw(model, data, key):
    from numpyro import handlers

    p = Parameters(model.parameters, model.sizes(data))
    return handlers.seed(lambda: profile_of_longitude(p, data), key)()


@pytest.mark.slow
def test_latitude_can_be_freed(starry_mission, three_regions):
    model = models.profile(three_regions).with_extras("free_latitude")
    data = prepare(starry_mission.take_bands(["A01"]), three_regions, opened=model.asks_for).data
    flux = []
    for width in (1.0, 1.4):
        posterior = Posterior(model.with_priors({"sky.width": width, "sky.shift": 0.0}), data)
        z = jnp.full(posterior.size, 0.1)
        flux.append(np.asarray(jax.jit(lambda z, d, q=posterior: sites(q, z, d)["sky.fov_flux"])(z, data)))
    # The core keeps its intensity, so that a wider sky has more flux in all.
    assert (np.abs(flux[1]) > 1.02 * np.abs(flux[0])).all()


def test_regions_off_the_plane_are_refused():
    with pytest.raises(InputError, match=r"'Off' is 45 degrees off"):
        models.profile(sky.build("off", [sky.Region.box("Off", (0, 20), (40, 50))]))
