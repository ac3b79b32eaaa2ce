"""Vectors of a posterior: they stand for the same parameters with the same density."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats
from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn

from ridgebayes import sky
from ridgebayes.errors import InputError
from ridgebayes.inference.coordinates import FromZero
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.sampler import Sampler
from ridgebayes.likelihood.design import prepare
from ridgebayes.model.extensions import EXTRAS
from ridgebayes.models import background, regions
from ridgebayes.priors import Shared
from ridgebayes.runs.sampling import meet
from ridgebayes.sbc.base import base_mission, campaign_priors
from ridgebayes.sbc.one import Fitter
from tests.helpers.dense_algebra import few_scws

WITH_TRANSIENTS = {"crab.rate", "sky.latitude", *EXTRAS["transients"].data}


@pytest.fixture(scope="module")
def data(small_mission, three_regions):
    return prepare(small_mission, three_regions, opened=WITH_TRANSIENTS).data


OPENED = {
    "free": {},
    "solid angle too": {"response.solid_angle": "LogNormal(0, 0.1)"},
    "fixed": {"plane.peak": 10.0},
    "one intensity for all": {"sky.intensity": Shared(dist.Normal(0.0, 10.0), "region")},
    "no negative sky": {"sky.intensity": "TruncatedNormal(0.5, 1, low=0)"},
}


@pytest.fixture(
    params=["free", *(pytest.param(name, marks=pytest.mark.slow) for name in OPENED if name != "free")]
)
def posterior(request, data, three_regions):
    model = regions(three_regions).with_extras("transients").with_priors(OPENED[request.param])
    return Posterior(model, data)


def some(posterior, seed=0):
    return np.random.default_rng(seed).normal(size=(3, posterior.size))


def test_a_model_without_a_free_parameter_is_refused(small_mission):
    model, made = meet(background(), small_mission.take_bands(["A01"]))
    fixed = model.with_priors(dict.fromkeys(model.parameters, 0.5))
    with pytest.raises(InputError, match="every parameter is fixed: leave one free"):
        Posterior(fixed, made.data)


def test_coordinates_of_what_may_vanish_are_as_wide_as_the_parameter_says(posterior):
    """s φ(0) at zero, with s the width times the mean of the prior."""
    here = {n: x[0] for n, x in posterior.constrain(np.zeros((1, posterior.size))).items()}
    for name, width in (("background.scatter", 0.03), ("background.revolution_sd", 0.1)):
        mean = posterior.model.parameters[name].prior.mean
        np.testing.assert_allclose(here[name], width * mean * scipy.stats.norm.pdf(0.0), rtol=1e-6)


def test_the_scale_is_half_the_central_68_percent_of_the_prior(data, three_regions):
    priors = {"sky.intensity": "Normal(1, 2)", "sky.latitude": "StudentT(1, 0, 0.3)"}
    posterior = Posterior(regions(three_regions).with_priors(priors), data)
    expected = {
        "sky.intensity": 2 * scipy.stats.norm.ppf(0.84),
        "sky.latitude": 0.3 * scipy.stats.cauchy.ppf(0.84),
    }
    for name, scale in expected.items():
        found = posterior.scale[posterior.named(name)]
        np.testing.assert_allclose(found, scale, rtol=0.25, err_msg=name)  # of 400 draws
        np.testing.assert_allclose(found.mean(), scale, rtol=0.15, err_msg=name)


@pytest.mark.slow
def test_vectors_and_parameters_stand_for_each_other(posterior):
    z = some(posterior)
    np.testing.assert_allclose(posterior.unconstrain(posterior.constrain(z)), z, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_the_density_is_numpyros_own(posterior, data):
    """At the same parameters; NumPyro samples the logarithm of what may vanish."""
    density = jax.jit(posterior.potential)
    plain = jax.jit(lambda named, data: potential_energy(posterior.model, (data,), {}, named))

    def other(named):
        """Log d log x / dz of all that has a half-normal or exponential prior."""
        slope = 0.0
        for name, parameter in posterior.model.parameters.items():
            if isinstance(parameter.prior, dist.HalfNormal | dist.Exponential):
                x, scale = np.asarray(named[name]), parameter.width * float(parameter.prior.mean)
                h = 1e-6
                up, down = (FromZero(scale).inv(x * np.exp(s * h)) for s in (1, -1))
                slope += np.log(2 * h / np.asarray(up - down)).sum()
        return slope

    # Far from the start the density is so low that its rounding hides these slopes.
    for z in posterior.start(jax.random.key(0), data) + 0.1 * posterior.scale * some(posterior):
        named = {name: value[0] for name, value in posterior.constrain(z[None]).items()}
        raw = unconstrain_fn(posterior.model, (data,), {}, named)
        np.testing.assert_allclose(density(z, data), plain(raw, data) - other(named), rtol=1e-8)
        back = constrain_fn(posterior.model, (data,), {}, raw)
        np.testing.assert_allclose(back["sky.intensity"], named["sky.intensity"], rtol=1e-9)


@pytest.mark.slow
def test_threads_may_compile_at_once(data, three_regions):
    """NumPyro's handlers stand on one stack for all threads: each would find those of another."""
    posterior = Posterior(regions(three_regions).with_extras("transients"), data)
    z = posterior.start(jax.random.key(0), data)

    def density(number):
        once_more = jax.jit(lambda z, data: posterior.potential(z, data) + number)
        return float(once_more(posterior.start(jax.random.key(0), data), data)) - number

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(density, range(8)))
    np.testing.assert_allclose(found, float(jax.jit(posterior.potential)(z, data)), rtol=1e-12)


@pytest.mark.long
def test_integrating_the_revolution_coefficients_out_is_exact(small_mission, three_regions):
    """They are Gaussian given all else: Laplace's approximation of the integral has no error."""
    few = few_scws(small_mission).take_bands(["A01"])
    marginal, explicit = (regions(three_regions, marginal=m) for m in (True, False))
    data = prepare(few, three_regions, opened={"crab.rate", "sky.latitude"}).data
    short, long = Posterior(marginal, data), Posterior(explicit, data)
    c = np.flatnonzero(long.named("background.coefficients"))
    z = short.start(jax.random.key(0), data) + 0.3 * short.scale * some(short)
    named = short.constrain(z)
    named["background.coefficients"] = np.zeros((3, *long.shapes["background.coefficients"]))

    @jax.jit
    def integrated(z):
        potential = lambda x: long.potential(z.at[c].set(x), data)  # noqa: E731
        zero = np.zeros(c.size)
        curvature = jax.hessian(potential)(zero)
        lowest = -jnp.linalg.solve(curvature, jax.grad(potential)(zero))
        return potential(lowest) + 0.5 * jnp.linalg.slogdet(curvature / (2 * np.pi))[1]

    density = jax.jit(short.potential)
    for one, other in zip(z, long.unconstrain(named), strict=True):
        np.testing.assert_allclose(density(one, data), integrated(jnp.asarray(other)), rtol=1e-10)


@pytest.mark.slow
def test_of_several_modes_of_the_shape_of_the_sky_the_lowest_is_found():
    """Where regions are bright and dark in turn, a narrow sky comes near to what a wide one looks like."""
    model = campaign_priors(regions(sky.load("coarse")).with_extras("free_latitude"))
    scws = base_mission(model)
    data = prepare(scws, model.sky, opened=model.asks_for).data.band(0)
    fitter = Fitter(model, data, warmup=1, draws=1)
    posterior, sampler = fitter.posterior, Sampler(fitter.posterior, data, warmup=1)
    for number in (6, 79):  # of a campaign of simulation-based calibration with seed 0
        own = jax.random.split(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), number), 0), 3)[0]
        truth, simulated = fitter.simulate(own, data)
        begun = sampler.begin(jax.random.key(0), simulated, np.random.default_rng(0))
        width = posterior.constrain(begun.reference[None])["sky.width"]
        np.testing.assert_allclose(width[0], truth["sky.width"], rtol=0.05)
