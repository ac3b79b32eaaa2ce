"""Variable sources near the plane that are too faint for source cleaning.

Outbursts start at random, ν per day in a view of the plane, decay within τ days, and have exponentially
distributed peak fluxes of mean P. This is shot noise with mean ν P τ and variance ν P² τ (Campbell's
theorem), so its mean is the variance over P. Data constrain the variance from revolution to revolution; P
depends on the threshold of source cleaning.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array

from ridgebayes.likelihood.design import FitData
from ridgebayes.model.extensions.base import Extension, FindingMessages
from ridgebayes.priors import Parameter, Parameters


def leftover(p: Parameters, data: FitData) -> Array:
    """Mean intensity of the faint sources, mCrab/deg², (band, region)."""
    mean = p("plane.flares") ** 2 / p("plane.peak")
    return mean[:, None] * data.leftover / p("response.solid_angle")


def flares(p: Parameters, data: FitData, crab_rate: Array | None) -> Array:
    """Sd of their rate from revolution to revolution, cts/s; zero without a Crab."""
    if crab_rate is None:
        return jnp.zeros_like(data.level)
    return p("plane.flares")[:, None] * crab_rate / 1000.0


TRANSIENTS = Extension(
    "transients",
    {
        "plane.flares": Parameter(
            dist.Exponential(0.7),
            "mCrab",
            ("band",),
            "sd from revolution to revolution of what is seen of the plane",
            nonlinear=True,
        ),
        "plane.peak": Parameter(
            dist.LogNormal(np.log(10.0), 0.5),
            "mCrab",
            ("band",),
            "mean peak flux of the faint sources that are left",
            nonlinear=True,
        ),
    },
    needs="response.solid_angle",
    subject="variable",
    messages=FindingMessages(
        "the Galactic plane changes with time: sources that cleaning left",
        "the Galactic plane is steady",
        "fluxes near the plane hold these sources: leave out the half years that stand out, or widen the "
        "priors plane.flares and plane.peak",
    ),
    data=("flares",),
    intensity=leftover,
    revolution_sd=flares,
)
