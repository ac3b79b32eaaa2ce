"""A model of three parameters that compiles in seconds, optionally with an error in its density."""

SIMULATIONS = 8

_TEXT = """
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from ridgebayes.model import Model
from ridgebayes.priors import Parameter
from ridgebayes.likelihood.revolution import RevolutionNormal
from ridgebayes.sky import build

FACTOR = 1.0
PRIORS = {
    "level": Parameter(dist.Normal(1.0, 0.1), "", ("band",), "mean over the reference"),
    "spread": Parameter(dist.LogNormal(-4.0, 0.5), "", ("band",), "of revolutions, over the level"),
    "scatter": Parameter(dist.LogNormal(-4.5, 0.5), "", ("band",), "of ScWs, over the level"),
}


class Observed(RevolutionNormal):
    def log_prob(self, value):
        spread = FACTOR * self.coef_sd
        given = (self.basis, self.block_revolution, self.filled)
        return RevolutionNormal(self.loc, self.noise_variance, spread, *given).log_prob(value)


def rates(p, data):
    level = (data.level * p("level")[:, None])[:, data.block_revolution, None] * jnp.ones(data.filled.shape)
    scatter = ((p("scatter")[:, None] * data.level) ** 2)[:, data.block_revolution, None]
    spread = jnp.repeat((p("spread")[:, None] * data.level)[:, None], 3, axis=1)
    given = (data.basis, data.block_revolution, data.filled)
    observed = Observed(level, data.stat_variance + scatter, spread, *given)
    numpyro.sample("rate", observed.to_event(1), obs=data.rate)


def model(sky):
    return Model("quick", rates, PRIORS, build("none", []), factorises=True)
"""


def write(path, factor=1.0):
    """Write the model file; a factor other than 1 makes the spread of revolutions in its density wrong."""
    path.write_text(_TEXT.replace("FACTOR = 1.0", f"FACTOR = {factor}"))
    return path


def load(factor=1.0):
    from ridgebayes.models import from_source

    return from_source(_TEXT.replace("FACTOR = 1.0", f"FACTOR = {factor}"), "quick.py")(None)
