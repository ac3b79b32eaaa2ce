"""The mode and the curvature there, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from ridgebayes import models, simulate, sky
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mode import Curvature, Gaussian, climb, laplace, refined
from ridgebayes.inference.sampler import Sampler
from ridgebayes.likelihood.design import prepare

EVERY = np.ones(12, bool)


def gaussian(z, data):
    """Minus log density of a Gaussian of given mean and precision."""
    mean, precision = data
    return 0.5 * (z - mean) @ precision @ (z - mean)


@pytest.fixture
def target(rng):
    """Mean and covariance: neighbours correlated, scales from 1e-2 to 1e2."""
    n = EVERY.size
    chol = np.tril(rng.normal(size=(n, n)) * 0.5) + np.eye(n)
    scale = np.diag(np.logspace(-2, 2, n))
    return np.arange(n, dtype=float), scale @ chol @ chol.T @ scale


def test_a_line_in_closed_form(rng):
    x, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    potential = lambda z, data: 0.5 * ((data[1] - data[0] @ z) ** 2).sum() + 0.5 * (z**2).sum()  # noqa: E731
    data = jnp.asarray(x), jnp.asarray(y)
    found = laplace(Curvature(potential), np.zeros(3), data, np.ones(3, bool), np.ones(3))
    covariance = np.linalg.inv(x.T @ x + np.eye(3))
    np.testing.assert_allclose(found.mode, covariance @ x.T @ y, atol=1e-4)
    np.testing.assert_allclose(found.root @ found.root.T, covariance, rtol=1e-4, atol=1e-7)


def test_laplace_is_exact_for_a_gaussian(target):
    mean, covariance = target
    data = (mean, np.linalg.inv(covariance))
    found = laplace(Curvature(gaussian), np.zeros(12), data, EVERY, np.full(12, 100.0))
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found.mode / sd, mean / sd, atol=1e-3)
    np.testing.assert_allclose(
        found.root @ found.root.T / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=1e-6
    )


def test_laplace_stays_within_reach_of_the_prior():
    """A direction that the data leave flat is no wider than a few times what the prior gives it."""
    flat = lambda z, scale: 0.5 * ((z[0] / 3) ** 2 + 1e-14 * z[1] ** 2)  # noqa: E731
    found = laplace(Curvature(flat), np.ones(2), None, np.ones(2, bool), np.array([5.0, 2.0]))
    np.testing.assert_allclose(np.abs(found.root).max(1), [3.0, 2.0 / np.sqrt(0.05)], rtol=1e-6)


def test_a_search_that_begins_nearby_ends_at_the_same_mode(target):
    mean, covariance = target
    data = (mean, np.linalg.inv(covariance))
    curvature, sd = Curvature(gaussian), np.sqrt(np.diag(covariance))
    near = Gaussian(mean + sd, 1.3 * np.linalg.cholesky(covariance))
    found = laplace(curvature, np.zeros(12), data, EVERY, np.full(12, 100.0), near=near)
    np.testing.assert_allclose(found.mode / sd, mean / sd, atol=1e-3)


def test_climb_finds_the_mode_of_gamma_variables():
    """Of their logarithms: at the logarithm of the shape, with curvature equal to the shape."""
    shape = np.array([4.0, 12.0, 40.0])
    log_densities = lambda z: (shape * z - np.exp(z)).sum(1)  # noqa: E731
    found, value = climb(log_densities, Gaussian(np.zeros(3), 0.5 * np.eye(3)))
    # The search ends where the slope is small; what it leaves is far less than a spread.
    assert np.abs((found.mode - np.log(shape)) * np.sqrt(shape)).max() < 0.1
    assert value == pytest.approx(log_densities(np.log(shape)[None])[0], abs=0.01)
    sd = np.sqrt(np.diag(found.root @ found.root.T))
    np.testing.assert_allclose(sd, 1 / np.sqrt(shape), rtol=0.5)


def test_climb_goes_around_what_is_not_a_number():
    def log_densities(z):
        # Steps of the first iteration would end where this has no value.
        return np.where((z > 0).all(1), (12 * np.log(np.maximum(z, 1e-9)) - z).sum(1), -np.inf)

    found, _ = climb(log_densities, Gaussian(np.full(2, 0.1), 3.0 * np.eye(2)))
    np.testing.assert_allclose(found.mode, 12.0, rtol=0.05)


def test_climb_begins_beside_what_is_not_a_number():
    """Differences across the border are huge, but no overflow that would be shown to users."""
    log_densities = lambda x: np.where(x[:, 0] < 1.0, -0.5 * (x**2).sum(1), -np.inf)  # noqa: E731
    found, _ = climb(log_densities, Gaussian(np.array([1.0 - 1e-5, 0.5]), np.eye(2)))
    assert np.isfinite(found.mode).all()
    assert np.isfinite(found.root).all()


def test_climb_begins_anew_where_a_search_stops_early(monkeypatch):
    """The curvature that BFGS has learned may serve no more: with that of the guess it goes on."""
    searches = []

    def stops_early(*given, options, **more):
        searches.append(given[1])
        return minimize(*given, options=options | {"maxiter": 2 if len(searches) == 1 else 200}, **more)

    monkeypatch.setattr("ridgebayes.inference.mode.minimize", stops_early)
    bent = lambda x: -0.5 * (x[:, 0] ** 2 + 100.0 * (x[:, 1] - x[:, 0] ** 2) ** 2)  # noqa: E731
    found, _ = climb(bent, Gaussian(np.array([-1.5, 1.0]), np.eye(2)))
    assert len(searches) == 2
    np.testing.assert_allclose(found.mode, 0.0, atol=0.01)


def test_climb_returns_what_is_known_unless_another_mode_is_higher():
    """Two normal densities apart: the one at 3 is higher than that at −3."""

    def log_densities(z):
        return np.logaddexp(1.0 - 2.0 * ((z - 3.0) ** 2).sum(1), -2.0 * ((z + 3.0) ** 2).sum(1))

    low = climb(log_densities, Gaussian(np.array([-2.5]), np.eye(1)))
    assert low[0].mode[0] == pytest.approx(-3.0, abs=0.05)
    aside = [low[0]._replace(mode=np.array([x])) for x in (-3.5, 2.5)]
    assert climb(log_densities, aside[0], unless=low) is low
    high = climb(log_densities, aside[1], unless=low)
    assert high[0].mode[0] == pytest.approx(3.0, abs=0.05)
    assert high[1] == pytest.approx(1.0, abs=0.01)


def test_climb_is_no_wider_than_the_prior_allows():
    flat = lambda z: -0.5e-8 * (z**2).sum(1)  # noqa: E731
    found, _ = climb(flat, Gaussian(np.ones(2), np.diag([5.0, 2.0])))
    sd = np.sqrt(np.diag(found.root @ found.root.T))
    assert (sd <= 1.5 * np.array([5.0, 2.0]) * (1 + 1e-9)).all()


@pytest.mark.slow
def test_outliers_do_not_catch_the_mode():
    """From the middle of the prior the same indicators as from the truth, and as high a density."""
    coarse = sky.load("coarse")
    mission = simulate.mission(
        simulate.programme(60, stop=2740, seed=11),
        simulate.Truth(bands=simulate.BANDS[:1]),
        sky=coarse,
        world=simulate.World.on("outliers"),
        seed=20,
    )
    model = models.regions(coarse).with_extras("outliers")
    data = prepare(mission, coarse, opened=model.asks_for).data
    posterior = Posterior(model, data)
    sampler = Sampler(posterior, data, warmup=10)
    start = posterior.start(jax.random.key(20), data)

    named = {name: value[0] for name, value in posterior.constrain(start[None]).items()}
    named["sky.intensity"] = np.array([list(mission.truth["intensity"].values())]).reshape(1, -1)
    named["background.scatter"] = np.array([mission.truth["sigma"][0]])
    named["background.revolution_sd"] = np.array([mission.truth["tau"][0]])
    near = Gaussian(posterior.unconstrain(named), np.diag(posterior.scale))
    begun = [
        sampler.begin(jax.random.key(20), data, np.random.default_rng(0), where) for where in (None, near)
    ]
    marked = [one.hit.sum() for one in begun]
    assert marked[0] == pytest.approx(marked[1], rel=0.1)
    potential = Curvature(posterior.potential).value_and_gradient
    far, close = (float(potential(one.reference, data)[0]) for one in begun)
    assert far < close + 1.0


def test_newton_from_nearby_finds_mode_and_curvature(rng):
    """Of a Gaussian in one step, from a guess that is off and three times too wide."""
    size, count = 5, []
    root = np.tril(rng.normal(size=(size, size)) * 0.3) + np.eye(size)
    precision = np.linalg.inv(root @ root.T)

    def log_densities(z):
        count.append(len(z))
        return -0.5 * np.einsum("ni,ij,nj->n", z - 1.0, precision, z - 1.0)

    found = refined(log_densities, Gaussian(np.ones(size) + 2.0 * root[:, 0], 3.0 * root))
    np.testing.assert_allclose(found.mode, 1.0, atol=1e-6)
    np.testing.assert_allclose(found.root @ found.root.T, root @ root.T, rtol=1e-6, atol=1e-8)
    assert set(count) == {1 + 2 * size + size * (size - 1) // 2}
    assert len(count) == 2


def test_newton_from_nearby_of_gamma_variables():
    """Logarithms of gamma variables: mode at the logarithm of the shape, curvature the shape."""
    shape = np.array([4.0, 12.0, 40.0])
    log_densities = lambda z: (shape * z - np.exp(z)).sum(1)  # noqa: E731
    found = refined(log_densities, Gaussian(np.log(shape) + 0.5, np.eye(3) / np.sqrt(shape)))
    assert np.abs((found.mode - np.log(shape)) * np.sqrt(shape)).max() < 0.2
    np.testing.assert_allclose(np.sqrt((found.root**2).sum(1)), 1 / np.sqrt(shape), rtol=0.1)


def test_newton_keeps_what_it_has_where_a_step_leads_nowhere():
    """No number beside the guess; a density without a mode."""
    guess = Gaussian(np.zeros(2), np.eye(2))
    nowhere = lambda z: np.where(np.abs(z).max(1) > 0, -np.inf, 0.0)  # noqa: E731
    assert refined(nowhere, guess) is guess
    cliff = lambda z: np.where(z[:, 0] > 1.0, -1e3, z[:, 0])  # noqa: E731
    found = refined(cliff, guess)
    assert cliff(found.mode[None])[0] >= 0.0
