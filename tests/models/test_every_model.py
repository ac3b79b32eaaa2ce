"""What holds for every shipped model: extras, priors, and that data stay arguments."""

import jax
import numpy as np
import pytest

from ridgebayes import models
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare
from ridgebayes.model.extensions import EXTRAS
from ridgebayes.sky import load

QUICK = {"background", "crab", "regions"}
"""The others have the same terms and another sky; each has tests of its own."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in models.MODELS]
)
@pytest.mark.slow
def test_density_is_finite_with_the_extras_that_it_can_have(name, starry_mission, three_regions):
    none = {
        "background": {"free_latitude", "transients", "smooth_crab"},
        "crab": {"free_latitude", "transients"},
    }
    extras = [e for e in EXTRAS if e != "outliers" and e not in none.get(name, ())]
    model = models.find(name)(three_regions).with_extras(*extras)
    parameters = model.parameters
    prepared = prepare(starry_mission, model.sky, opened=model.asks_for, chosen=model.chosen, cache=False)
    posterior = Posterior(model, prepared.data)
    # Nothing is declared and then not asked for.
    assert set(posterior.shapes) == {n for n, p in parameters.items() if not p.fixed}
    start = posterior.start(jax.random.key(0), prepared.data)
    value, gradient = jax.jit(jax.value_and_grad(posterior.potential))(start, prepared.data)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["regions", "template", "profile", "spectrum", "whitedwarf"])
def test_a_name_stands_for_its_sky(name):
    assert models.find(name)("coarse").sky.names == load("coarse").names
    with pytest.raises(InputError, match="did you mean 'milkyway'"):
        models.find(name)("milkway")
