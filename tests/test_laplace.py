"""The mode and the curvature there."""

import jax
import jax.numpy as jnp
import numpy as np

from ridgebayes import models, simulate, sky
from ridgebayes.fitdata import prepare
from ridgebayes.laplace import Curvature, laplace
from ridgebayes.posterior import Posterior


def test_a_line_in_closed_form(rng):
    x, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    potential = lambda z, data: 0.5 * ((data[1] - data[0] @ z) ** 2).sum() + 0.5 * (z**2).sum()  # noqa: E731
    data = jnp.asarray(x), jnp.asarray(y)
    found = laplace(Curvature(potential), np.zeros(3), data, np.ones(3, bool), np.ones(3))
    covariance = np.linalg.inv(x.T @ x + np.eye(3))
    np.testing.assert_allclose(found.mode, covariance @ x.T @ y, atol=1e-4)
    np.testing.assert_allclose(found.root @ found.root.T, covariance, rtol=1e-4, atol=1e-7)


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
    modes = [laplace(curvature, z, data, posterior.locations, posterior.scale).mode for z in (start, near)]
    far, close = (float(curvature.value_and_gradient(mode, data)[0]) for mode in modes)
    assert far < close + 0.1
