"""What source cleaning leaves near the plane: sources too faint to be found, each alight for some days.

Outbursts begin at random, ν a day in a view of the plane, decay in τ days and peak at exponentially
distributed fluxes of mean P. Such shot noise (Campbell's theorem) has the mean ν P τ and the variance ν P² τ:
its mean is the variance over P. The variance from revolution to revolution is seen, P is what source cleaning
misses.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array

from ridgebayes.likelihood.design import FitData
from ridgebayes.model.extensions.base import Extension
from ridgebayes.priors import Parameter, Parameters


def leftover(p: Parameters, data: FitData) -> Array:
    """Intensity as which the mean of faint sources is seen, mCrab/deg², (band, region)."""
    mean = p("plane.flares") ** 2 / p("plane.peak")
    return mean[:, None] * data.leftover / p("response.solid_angle")


def flares(p: Parameters, data: FitData, crab_rate: Array | None) -> Array:
    """Sd from revolution to revolution of what is seen of the plane, cts/s; zero without a Crab."""
    if crab_rate is None:
        return jnp.zeros_like(data.level)
    return p("plane.flares")[:, None] * jnp.abs(crab_rate) / 1000.0  # far out its cubic is negative


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
    intensity=leftover,
    revolution_sd=flares,
)
