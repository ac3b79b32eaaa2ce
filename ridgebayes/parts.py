"""Building blocks of models: each term of the rate, as a function of parameters `p` and data.

Slow quantities have axes (band, revolution); a rate is a list of terms, each a coefficient for every block of
ScWs times a fixed column (see `total`).
"""

from __future__ import annotations

import operator
from functools import reduce

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import Array
from jax.custom_derivatives import linear_call
from numpyro.contrib.hsgp.spectral_densities import spectral_density_matern

from ridgebayes.fitdata import FitData
from ridgebayes.priors import Parameter, Parameters
from ridgebayes.revolution import RevolutionNormal, block_sums, revolution_terms

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
    "background.drift_sd": Parameter(0.05, "", ("band",), "sd of the drift over the level"),
    "background.drift_length": Parameter(2.5, "yr", ("band",), "time scale of the drift"),
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
        dist.LogNormal(jnp.log(0.005), 0.5),
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


Terms = list[tuple[Array, Array]]
"""Terms of a rate: coefficient of each block, (band, block), and what it multiplies, (block, width)."""


def total(terms: Terms) -> Array:
    """Add the terms up, (band, block, width).

    Whatever the model, its rate is a few coefficients a block times fixed columns: the derivative of any of
    them is a sum along the block, and all these sums are taken in one pass over the ScWs.
    """
    columns = tuple(column for _, column in terms)
    coefficients = jnp.stack([coefficient for coefficient, _ in terms], 1)
    return linear_call(_combine, _project, columns, coefficients)


def _combine(columns: tuple[Array, ...], coefficients: Array) -> Array:
    each = [coefficients[:, t, :, None] * column for t, column in enumerate(columns)]
    return reduce(operator.add, each)


def _project(columns: tuple[Array, ...], rate: Array) -> Array:
    """Transpose of `_combine`."""
    one_band = lambda x: jnp.stack(block_sums(tuple(x * column for column in columns)))  # noqa: E731
    return jax.vmap(one_band)(rate)


def in_blocks(per_revolution: Array, data: FitData) -> Array:
    """Give each block the value of its revolution, (..., revolution) → (..., block)."""
    return per_revolution[..., data.block_revolution]


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


def background(p: Parameters, data: FitData) -> Terms:
    """Background without the revolution terms, cts/s."""
    level = data.level * (p("background.level")[:, None] + drift(p, data))
    numpyro.deterministic("background.history", level)
    tracer = data.level * p("background.tracer")[:, None]
    return [(in_blocks(level, data), jnp.ones(data.filled.shape)), (in_blocks(tracer, data), data.tracer)]


def crab_rate(p: Parameters, data: FitData) -> Array:
    """Detector rate of the Crab C(t), a cubic in time, cts/s per Crab, (band, revolution)."""
    shape = 1.0 + p("crab.shape") @ data.crab_basis[1:]
    rate = (data.crab_rate * p("crab.rate"))[:, None] * shape
    numpyro.deterministic("crab.history", rate)
    return rate


def crab(rate: Array, data: FitData) -> Terms:
    """Crab where it was not removed, cts/s, for its rate (band, revolution)."""
    return [(in_blocks(rate, data), data.crab_response)]


def sky(intensity: Array, crab_rate: Array, data: FitData) -> Terms:
    """Sky C(t)/1000 · Σ_m A_im I_m, cts/s, for intensities (band, region) in mCrab/deg²."""
    per_mcrab = in_blocks(crab_rate, data) / 1000.0
    seen = zip(data.region, data.exposure, strict=True)
    return [(per_mcrab * intensity[:, region], exposure) for region, exposure in seen]


def observe(
    p: Parameters,
    data: FitData,
    background: Terms,
    seen: Terms,
    crab_rate: Array,
    *,
    marginal: bool = True,
) -> None:
    """Compare with the observed rates: counting noise, scatter, revolution terms.

    Parameters
    ----------
    p
        Parameters.
    data
        Arrays of the fit.
    background, seen
        Terms of the background without the revolution terms, and of what is seen of the sky, cts/s.
    crab_rate
        Rate of the Crab, cts/s, (band, revolution), which scatters by `crab.scatter`.
    marginal
        Integrate the revolution terms out exactly; otherwise sample them too.
    """
    # Nothing reads it while sampling, so it costs nothing there; what is made of a fit does.
    numpyro.deterministic("background.rate", total(background))
    rate = total(background + seen)
    scatter = (p("background.scatter")[:, None] * data.level) ** 2
    crab = (p("crab.scatter")[:, None] * crab_rate) ** 2
    excess = [
        (in_blocks(scatter, data), jnp.ones(data.filled.shape)),
        (in_blocks(crab, data), data.crab_response**2),
    ]
    variance = data.stat_variance + total(excess)
    sd = p("background.revolution_sd")[:, :, None] * data.level[:, None, :]
    if marginal:
        observed = RevolutionNormal(rate, variance, sd, data.basis, data.block_revolution, data.filled)
    else:
        coefficients = numpyro.deterministic("background.terms", sd * p("background.coefficients"))
        terms = revolution_terms(coefficients, data.basis, data.block_revolution)
        observed = dist.Normal(rate + terms, jnp.sqrt(variance)).mask(data.filled).to_event(2)
    numpyro.sample("rate", observed.to_event(1), obs=data.rate)
