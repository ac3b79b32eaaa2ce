"""Building blocks of models: each term of the rate, as a function of parameters `p` and data.

Slowly varying quantities have axes (band, revolution). A rate is a list of terms, each a coefficient for
every revolution times fixed columns (see `ridgebayes.likelihood.linear_terms`).
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.linear_terms import Indicated, Term, Terms, TermsNormal, total
from ridgebayes.likelihood.revolution import revolution_terms
from ridgebayes.model.extensions import opened
from ridgebayes.model.extensions.base import Noise
from ridgebayes.model.processes import gaussian_process
from ridgebayes.model.scaling import scaled
from ridgebayes.priors import Parameter, Parameters

SKY = {
    "sky.intensity": Parameter(
        dist.Normal(0.0, 2.0),
        "mCrab / deg2",
        ("band", "region"),
        "mean surface brightness of each region's core; prior: times the Crab rate over its reference",
    ),
    "response.solid_angle": Parameter(1.0, "", (), "effective solid angle over the nominal one"),
    "sky.latitude": Parameter(
        dist.Normal(0.0, 1.0),
        "mCrab / deg2",
        ("band", "latitude"),
        "what a sky 1.4 times as wide in latitude adds where stars are brightest, and one a degree north; "
        "prior: times the Crab rate",
    ),
}
SHARED_BY_SKIES = {name: SKY[name] for name in ("response.solid_angle", "sky.latitude")}
"""Parameters that all skies with independent bands have."""

DEPARTURE = ("sky.departure", "sky.departure_sd", "sky.hard_departure", "sky.hard_departure_sd")
"""Parameters of departures of the sky from a map (see `departure`)."""
_NO_DEPARTURE = 1e-4
_DARKEST = 0.01

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
        dist.HalfNormal(0.03),
        "",
        ("band",),
        "scatter from ScW to ScW beyond counting, over the level",
        width=0.03,
    ),
}

CRAB = {
    "crab.rate": Parameter(
        dist.LogNormal(0.0, 0.3),
        "",
        ("band",),
        "mean Crab rate over its reference",
        within=(-np.inf, np.inf),
        nonlinear=True,
    ),
    "crab.shape": Parameter(
        dist.Normal(0.0, 0.3), "", ("band", "order"), "change of the log Crab rate with time", nonlinear=True
    ),
    "crab.scatter": Parameter(
        dist.LogNormal(np.log(0.005), 0.5),
        "",
        ("band",),
        "scatter of the Crab's rate from ScW to ScW, relative",
    ),
}

TRACER_BANDS = {
    "background.tracer_bands": Parameter(
        dist.Normal(0.5, 1.0),
        "",
        ("band", "tracer_column"),
        "relative change of the background for one of a band without sky",
    ),
}

COEFFICIENTS = {
    "background.coefficients": Parameter(
        dist.Normal(0.0, 1.0),
        "",
        ("band", "revolution_term", "revolution"),
        "constant and phase terms of each revolution, over their sd",
    ),
}


def drift(p: Parameters, data: FitData) -> Array:
    """Slow drift of the background level relative to its reference, (band, revolution).

    A Gaussian process in time (Matérn 5/2) in the Hilbert-space form of Riutort-Mayol et al. 2023.
    """
    sd, length = p("background.drift_sd"), p("background.drift_length")
    return gaussian_process(
        p("background.drift"), sd, length, data.drift_frequency, data.drift_basis, smoothness=2.5
    )


def measured(p: Parameters, name: str, sd: ArrayLike = 1.0) -> Array:
    """Return a parameter of the sky with a prior on what is measured: its value times the Crab rate.

    Data constrain the rate of the sky, the product of intensity and Crab rate. With a flat prior on m
    intensities the prior volume that fits the data would grow as the m-th power of the inverse Crab rate, and
    pull a poorly known Crab rate towards zero.

    Parameters
    ----------
    p
        Parameters; ``crab.rate`` is relative to its reference.
    name
        The parameter. If it has no axis of bands, the mean Crab rate of all bands is used.
    sd
        Further factor on the prior.
    """
    dims, crab = p.dims(name), p("crab.rate")
    each = crab.reshape(-1, *[1] * (len(dims) - 1)) if "band" in dims else jnp.exp(jnp.log(crab).mean())
    with scaled(name, sd / each):
        return p(name)


def exact(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Remove the parameters of departures, for a sky in which no two regions share a map.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.model.components import exact
    >>> parameters = rb.models.spectrum("example").parameters
    >>> sorted(parameters.keys() - exact(parameters).keys())
    ['sky.departure', 'sky.departure_sd', 'sky.hard_departure', 'sky.hard_departure_sd']
    """
    return {name: parameter for name, parameter in parameters.items() if name not in DEPARTURE}


def departure(p: Parameters, brightness: Array, name: str = "sky.departure") -> Array:
    """Return the departure of each region from its map, with a scale that is fitted.

    No map is exact. The departure of region m is D_m √b_m. D is normal with an sd of s over the Crab rate
    (see `measured`); b is the brightness of the map over that of its brightest region. The root is right for
    light that is a sum of independent pieces, of which bright regions have more.

    Parameters
    ----------
    p
        Parameters, among them D of each region, and s under the same name with _sd appended.
    brightness
        b, (region,); values below 0.01 count as 0.01, because dark parts of a map may be wrong, too.
    name
        Name of D; every component of a spectrum has its own.

    Returns
    -------
    Array
        With the unit and axes of D; zero if the model has no departures.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from ridgebayes.model.components import departure
    >>> from ridgebayes.priors import Parameters
    >>> departure(Parameters({}, {}), jnp.ones(3))  # a model without departures
    Array([0., 0., 0.], dtype=float64)
    """
    if name not in p:
        return jnp.zeros_like(brightness)
    # With a smaller sd departures are negligible, and matrices would be singular.
    sd = jnp.maximum(p(f"{name}_sd"), _NO_DEPARTURE)[..., None]
    return measured(p, name, sd) * departure_scale(brightness)


def departure_scale(brightness: ArrayLike) -> Array:
    """Return √b of `departure`, for the brightness b of the map in each region.

    Examples
    --------
    >>> from ridgebayes.model.components import departure_scale
    >>> departure_scale([1.0, 0.25, 0.0]).round(3)  # no region counts as darker than 0.01
    Array([1. , 0.5, 0.1], dtype=float64)
    """
    return jnp.sqrt(jnp.maximum(jnp.asarray(brightness), _DARKEST))


def background(p: Parameters, data: FitData) -> Terms:
    """Background without the revolution terms, cts/s."""
    level = data.level * (p("background.level")[:, None] + drift(p, data))
    numpyro.deterministic("background.history", level)
    tracer = data.level * p("background.tracer")[:, None]
    terms = [Term(level), Term(tracer, data.tracer)]
    if "background.tracer_bands" in p:
        slopes = p("background.tracer_bands").T
        terms += [Term(data.level * a[:, None], x) for a, x in zip(slopes, data.tracer_bands, strict=True)]
    return terms


def crab_rate(p: Parameters, data: FitData) -> Array:
    """Rate of the Crab C(t), cts/s per Crab, (band, revolution): log C(t) is a cubic plus extras."""
    shape = p("crab.shape") @ data.crab_basis[1:]
    for extra in opened(p):
        if extra.crab_shape:
            shape += extra.crab_shape(p, data)
    # With the logarithm, ridges are straight in missions that see the Crab only a few times.
    rate = (data.crab_rate * p("crab.rate"))[:, None] * jnp.exp(shape)
    numpyro.deterministic("crab.history", rate)
    return rate


def crab(rate: Array, data: FitData) -> Terms:
    """Crab in ScWs from which it was not removed, cts/s; its rate (band, revolution) is in cts/s per Crab."""
    return [Term(rate, data.crab_response)]


def sky(p: Parameters, intensity: Array, crab_rate: Array, data: FitData) -> Terms:
    """Sky C(t)/1000 · Ω Σ_m A_im I_m, cts/s, for intensities (band, region) in mCrab/deg².

    The rate C of the Crab is (band, revolution), cts/s per Crab.

    No profile in latitude is exact. With `sky.latitude` its width and position are fitted; the change of each
    region is proportional to its starlight.
    """
    exposure, fov = _exposure(p, data)
    omega = p("response.solid_angle")
    latitude = measured(p, "sky.latitude") if "sky.latitude" in p else jnp.zeros((len(intensity), 0))
    flux = jnp.einsum("...pr,...r->...p", fov, intensity) + latitude @ data.latitude_fov.T
    numpyro.deterministic("sky.fov_flux", omega * flux)
    intensity = intensity + beside_diffuse(p, data)
    table = omega * jnp.concatenate([intensity, latitude], -1)
    columns, place = data.slabs(exposure)
    return [Term(crab_rate / 1000.0, columns, table, place)]


def beside_diffuse(p: Parameters, data: FitData) -> Array:
    """Return the intensity that extras add, mCrab/deg²: (band, region), or 0.0 without extras."""
    added = [extra.intensity(p, data) for extra in opened(p) if extra.intensity]
    return sum(added, jnp.zeros(()))


def _exposure(p: Parameters, data: FitData) -> tuple[Array, Array]:
    """Exposure (seen, block, width) and FOV fluxes (region, region); for each band if the shape is free."""
    for extra in opened(p):
        if extra.shape_weights:
            weights = extra.shape_weights(p)
            assert data.reshaped is not None
            exposure = jnp.einsum("bw,wsij->bsij", weights, data.reshaped)
            return exposure, jnp.einsum("bw,wpr->bpr", weights, data.reshaped_fov)
    return data.exposure, data.fov


def observe_sky(p: Parameters, data: FitData, intensity: Array) -> None:
    """Compare observed rates with background, Crab and a sky of intensities (band, region), mCrab/deg²."""
    rate = crab_rate(p, data)
    seen = sky(p, intensity, rate, data) + crab(rate, data)
    observe(p, data, background(p, data), seen, rate)


def observe(
    p: Parameters,
    data: FitData,
    background: Terms,
    seen: Terms,
    crab_rate: Array | None = None,
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
        Terms of the background without the revolution terms, and of the sky, cts/s.
    crab_rate
        Rate of the Crab, cts/s per Crab, (band, revolution), which scatters by `crab.scatter`; None without
        a Crab.
    marginal
        Integrate the revolution terms out exactly; otherwise sample them.
    """
    # Computed only for products, not while sampling.
    cells = data.filled.shape
    numpyro.deterministic("background.rate", total(background, data.block_revolution, cells))
    mean, scatter = background + seen, [Term(p("background.scatter")[:, None] * data.level)]
    if crab_rate is not None:
        scatter.append(Term(p("crab.scatter")[:, None] * crab_rate, data.crab_response))
    for extra in opened(p):
        if extra.scatter:
            scatter += extra.scatter(p, data, crab_rate)
    sd = p("background.revolution_sd")[:, :, None] * data.level[:, None, :]
    own = [extra.revolution_sd(p, data, crab_rate)[:, None] for extra in opened(p) if extra.revolution_sd]
    sd = jnp.concatenate([sd, *own], 1)
    shared = (sd, data.basis, data.block_revolution, data.filled)
    of_terms = (mean, data.stat_variance, scatter, *shared)
    if not marginal:
        coefficients = numpyro.deterministic("background.terms", sd * p("background.coefficients"))
        terms = revolution_terms(coefficients, data.basis, data.block_revolution)
        white = TermsNormal(*of_terms)
        observed = (
            dist.Normal(white.loc + terms, jnp.sqrt(white.noise_variance)).mask(data.filled).to_event(2)
        )
    else:
        noise = Noise(TermsNormal, of_terms)
        for extra in opened(p):
            noise = extra.noise(p, data, noise) if extra.noise else noise
        observed = noise.kind(*noise.arguments)
        if isinstance(observed, Indicated):
            numpyro.factor("outlier.hits", observed.log_prob_of_hits())
    numpyro.sample("rate", observed.to_event(1), obs=data.rate)
