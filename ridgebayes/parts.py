"""Building blocks of models: each term of the rate, as a function of parameters `p` and data.

Axes: band, block, width for ScWs; band, revolution for slow quantities. Per-revolution values become per-ScW
ones with `at_scws`.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import Array
from numpyro.contrib.hsgp.spectral_densities import spectral_density_matern

from ridgebayes.fitdata import FitData
from ridgebayes.priors import Parameter, Parameters
from ridgebayes.revolution import RevolutionNormal, revolution_terms

SKY = {
    "sky.intensity": Parameter(
        dist.Normal(0.0, 10.0),
        "mCrab / deg2",
        ("band", "region"),
        "mean surface brightness of each region's core",
    ),
    "response.solid_angle": Parameter(1.0, "", (), "effective solid angle over the nominal one"),
}

BACKGROUND = {
    "background.level": Parameter(dist.Normal(1.0, 0.1), "", ("band",), "mean level over its reference"),
    "background.drift": Parameter(
        dist.Normal(0.0, 1.0), "", ("band", "mode"), "slow drift of the level: weights of its modes"
    ),
    "background.drift_sd": Parameter(0.1, "", ("band",), "sd of the drift over the level"),
    "background.drift_length": Parameter(1.5, "yr", ("band",), "time scale of the drift"),
    "background.tracer": Parameter(
        dist.Normal(0.5, 1.0), "", ("band",), "relative change of the background for one of the tracer"
    ),
    "background.revolution_sd": Parameter(
        dist.HalfNormal(0.05),
        "",
        ("band", "term"),
        "sd of the constant and phase terms among revolutions, over the level",
    ),
    "background.scatter": Parameter(
        dist.HalfNormal(0.03), "", ("band",), "scatter from ScW to ScW beyond counting, over the level"
    ),
}

CRAB = {
    "crab.rate": Parameter(dist.Normal(1.0, 0.3), "", ("band",), "mean Crab rate over its reference"),
    "crab.shape": Parameter(
        dist.Normal(0.0, 0.3), "", ("band", "order"), "change of the Crab rate with time"
    ),
    "crab.scatter": Parameter(
        dist.LogNormal(jnp.log(0.005), 1.0),
        "",
        ("band",),
        "scatter of the Crab's rate from ScW to ScW, relative",
    ),
}

COEFFICIENTS = {
    "background.coefficients": Parameter(
        dist.Normal(0.0, 1.0),
        "",
        ("band", "term", "revolution"),
        "constant and phase terms of each revolution, over their sd",
    ),
}


def at_scws(per_revolution: Array, data: FitData) -> Array:
    """Spread values per revolution over its ScWs, (..., revolution) → (..., block, 1)."""
    return per_revolution[..., data.block_revolution, None]


def drift(p: Parameters, data: FitData) -> Array:
    """Slow drift of the background level relative to its reference, (band, revolution).

    A Gaussian process in time (Matérn 5/2) in the Hilbert-space form of Riutort-Mayol et al. 2023.
    """
    density = spectral_density_matern(
        1,
        2.5,
        data.drift_frequency[None, :, None],
        p("background.drift_sd")[:, None] ** 2,
        p("background.drift_length")[:, None, None],
    )
    return (jnp.sqrt(density) * p("background.drift")) @ data.drift_basis.T


def background(p: Parameters, data: FitData) -> Array:
    """Background without the revolution terms, cts/s, (band, block, width)."""
    slow = p("background.level")[:, None] + drift(p, data)
    fast = p("background.tracer")[:, None, None] * data.tracer
    return at_scws(data.level, data) * (at_scws(slow, data) + fast)


def crab_rate(p: Parameters, data: FitData) -> Array:
    """Detector rate of the Crab C(t), a cubic in time, cts/s per Crab, (band, revolution)."""
    shape = 1.0 + p("crab.shape") @ data.crab_basis[1:]
    return (data.crab_rate * p("crab.rate"))[:, None] * shape


def sky_flux(intensity: Array, data: FitData) -> Array:
    """Flux Σ_m A_im I_m in the field of view of every ScW, mCrab, (band, block, width)."""
    seen = range(data.region.shape[0])
    return sum(intensity[:, data.region[s], None] * data.exposure[s] for s in seen)


def observe(p: Parameters, data: FitData, mean: Array, crab: Array, *, marginal: bool = True) -> None:
    """Compare with the observed rates: counting noise, scatter, revolution terms.

    Parameters
    ----------
    p
        Parameters.
    data
        Arrays of the fit.
    mean
        Mean rate without the revolution terms, cts/s, (band, block, width).
    crab
        Rate of the Crab where it was not removed, cts/s, (band, block, width).
    marginal
        Integrate the revolution terms out exactly; otherwise sample them too.
    """
    level = at_scws(data.level, data)
    scatter = p("background.scatter")[:, None, None] * level
    variance = data.stat_variance + scatter**2 + (p("crab.scatter")[:, None, None] * crab) ** 2
    sd = p("background.revolution_sd")[:, :, None] * data.level[:, None, :]
    if marginal:
        rate = RevolutionNormal(mean, variance, sd, data.basis, data.block_revolution, data.filled)
    else:
        terms = revolution_terms(sd * p("background.coefficients"), data.basis, data.block_revolution)
        rate = dist.Normal(mean + terms, jnp.sqrt(variance)).mask(data.filled).to_event(2)
    numpyro.sample("rate", rate.to_event(1), obs=data.rate)
