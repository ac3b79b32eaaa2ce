"""The mode and the curvature there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from ridgebayes import models, simulate, sky
from ridgebayes.inference.laplace import Curvature, laplace
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare


def test_a_line_in_closed_form(rng):
    x, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    potential = lambda z, data: 0.5 * ((data[1] - data[0] @ z) ** 2).sum() + 0.5 * (z**2).sum()  # noqa: E731
    data = jnp.asarray(x), jnp.asarray(y)
    found = laplace(Curvature(potential), np.zeros(3), data, np.ones(3, bool), np.ones(3))
    covariance = np.linalg.inv(x.T @ x + np.eye(3))
    np.testing.assert_allclose(found.mode, covariance @ x.T @ y, atol=1e-4)
    np.testing.assert_allclose(found.root @ found.root.T, covariance, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
def test_outliers_do_not_catch_the_mode():
    """From the middle of the prior the same mode as from the truth; here another lies on the way."""
    coarse = sky.load("coarse")
    mission = simulate.mission(
        simulate.programme(60, stop=2740, seed=11),
        simulate.Truth(bands=simulate.BANDS[:1]),
        sky=coarse,
        world=simulate.World.on("outliers"),
        seed=20,
    )
    model = models.regions(coarse).with_extras("outliers")
    data = prepare(mission, coarse, opened=model.parameters.keys()).data
    posterior = Posterior(model, data)
    curvature = Curvature(posterior.potential)
    start = posterior.start(jax.random.key(20), data)

    named = {name: value[0] for name, value in posterior.constrain(start[None]).items()}
    named["sky.intensity"] = np.array([list(mission.truth["intensity"].values())]).reshape(1, -1)
    named["background.scatter"] = np.array([mission.truth["sigma"][0]])
    named["background.revolution_sd"] = np.array([mission.truth["tau"][0]])
    near = posterior.unconstrain(named)
    modes = [posterior.approximate(curvature, z, data).mode for z in (start, near)]
    far, close = (float(curvature.value_and_gradient(mode, data)[0]) for mode in modes)
    assert far < close + 0.1


def test_hyperparameters_are_settled_with_the_rest_integrated_out(rng):
    """Twelve amplitudes of unknown spread: together they have a spike at zero, the spread alone a mode."""
    y = rng.normal(0.0, np.sqrt(1.0 + 0.7**2), 12)

    def potential(z, y):
        log_sd, x = z[0], z[1:]
        prior = 0.5 * jnp.sum((x / jnp.exp(log_sd)) ** 2) + x.size * log_sd + 0.5 * log_sd**2
        return prior + 0.5 * jnp.sum((y - x) ** 2)

    curvature, hyper = Curvature(potential), np.arange(13) == 0
    given = curvature, np.zeros(13), y, ~hyper, np.ones(13)
    assert laplace(*given).mode[0] < -3.0

    def marginal(log_sd):
        variance = 1.0 + np.exp(2 * log_sd)
        return 0.5 * (np.sum(y**2) / variance + y.size * np.log(variance) + log_sd**2)

    best = minimize_scalar(marginal, bounds=(-3, 3), method="bounded").x
    width = 0.5 / np.sqrt(marginal(best + 0.5) + marginal(best - 0.5) - 2 * marginal(best))
    found = laplace(*given, hyper)
    assert found.mode[0] == pytest.approx(best, abs=0.1)
    shrunk = 1 / (1 + np.exp(-2 * found.mode[0]))
    np.testing.assert_allclose(found.mode[1:], shrunk * y, atol=1e-3)
    np.testing.assert_allclose(found.root[1:, 1:] @ found.root[1:, 1:].T, shrunk * np.eye(12), atol=1e-3)
    assert abs(found.root[0, 0]) == pytest.approx(width, rel=0.2)
    np.testing.assert_allclose(found.root[0, 1:], 0.0)
    # The amplitudes move along with their spread.
    slope = 2 * shrunk * (1 - shrunk) * y
    np.testing.assert_allclose(found.root[1:, 0], slope * found.root[0, 0], atol=1e-2)
    # From nearby one Newton step does what the search did.
    near = laplace(curvature, np.zeros(13), 1.2 * y, ~hyper, np.ones(13), hyper)
    again = laplace(*given, hyper, near=near)
    assert abs(near.mode[0] - best) > 0.1
    assert again.mode[0] == pytest.approx(best, abs=0.1)
    np.testing.assert_allclose(again.root[0, 0], found.root[0, 0], rtol=0.1)


@pytest.mark.parametrize("build", [models.regions, pytest.param(models.profile, marks=pytest.mark.slow)])
def test_some_revolutions_first_and_then_all_find_the_same(small_mission, build, monkeypatch):
    """Of a long mission: the mode, and the widths there."""
    coarse = sky.load("coarse")
    model = build(coarse)
    data = prepare(small_mission.take_bands(["A01"]), coarse, opened=model.parameters.keys()).data
    posterior = Posterior(model, data)
    curvature = Curvature(posterior.potential)
    start = posterior.start(jax.random.key(0), data)
    at_once = posterior.approximate(curvature, start, data)
    sizes = []
    one_by_one = curvature.value_and_gradient
    curvature.value_and_gradient = lambda z, d: sizes.append(d.filled.shape[0]) or one_by_one(z, d)
    monkeypatch.setattr("ridgebayes.inference.log_density._FEW_BLOCKS", data.filled.shape[0] // 4)
    by_parts = posterior.approximate(curvature, start, data)
    assert len(set(sizes)) == 2
    assert min(sizes) < data.filled.shape[0] / 3
    assert sizes.count(max(sizes)) < 0.6 * len(sizes)
    widths = [np.sqrt((found.root**2).sum(1)) for found in (at_once, by_parts)]
    apart = np.abs(by_parts.mode - at_once.mode) / widths[0]
    # Hyperparameters are settled to a part of their width, from values of their density half a prior away.
    profile = build is models.profile
    assert apart.max() < (0.5 if profile else 0.05)
    np.testing.assert_allclose(widths[1], widths[0], rtol=0.4 if profile else 0.02)


def test_which_scales_are_hyperparameters(small_mission):
    """Those of the profile, whose waves they are the spread of; not those of noise."""
    coarse = sky.load("coarse")
    few = small_mission.take_bands(["A01"])
    for model, expected in (
        (models.profile(coarse), {"sky.profile_sd", "sky.profile_length"}),
        (models.regions(coarse), set()),
    ):
        data = prepare(few, coarse, opened=model.parameters.keys()).data
        posterior = Posterior(model, data)
        hyper = posterior._unravel(jnp.asarray(posterior._find_hyper(data), float))
        assert {name for name, flag in hyper.items() if flag.any()} == expected
