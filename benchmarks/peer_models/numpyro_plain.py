"""NumPyro's model with nothing integrated out, sampled by its NUTS with the standard adaptation."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import log_density as numpyro_log_density

from peer_models.problem import Problem
from ridgebayes.bench.compilations import Compilations


def model(given: Problem, regions: int, *, centred: bool) -> None:
    """Write the model down; arrays are arguments, so that they are not compiled in."""
    rev, level = given.revolution, given.level
    crab_rate = numpyro.sample("crab_rate", dist.LogNormal(0.0, 0.3))
    wide = dist.Normal(0.0, 2.0 / crab_rate)
    intensity = numpyro.sample("intensity", wide.expand([regions]).to_event(1))
    mean = numpyro.sample("level", dist.Normal(1.0, 0.1))
    modes = given.drift_basis.shape[1]
    drift = numpyro.sample("drift", dist.Normal(0.0, 1.0).expand([modes]).to_event(1))
    tracer = numpyro.sample("tracer", dist.Normal(0.5, 1.0))
    tau = numpyro.sample("revolution_sd", dist.HalfNormal(0.05).expand([3]).to_event(1))
    scatter = numpyro.sample("scatter", dist.HalfNormal(0.03))
    crab_shape = numpyro.sample("crab_shape", dist.Normal(0.0, 0.3).expand([3]).to_event(1))
    crab_scatter = numpyro.sample("crab_scatter", dist.LogNormal(jnp.log(0.005), 0.5))
    sd = tau if centred else jnp.ones(3)
    terms = numpyro.sample("terms", dist.Normal(0.0, sd).expand([level.size, 3]).to_event(2))
    terms = terms if centred else terms * tau  # over the level

    crab = given.crab_level * crab_rate * jnp.exp(given.crab_basis @ crab_shape)
    seen = (given.exposure * intensity[given.region]).sum(1)
    background = level[rev] * (
        (mean + given.drift_basis @ drift)[rev] + tracer * given.tracer + (terms[rev] * given.basis).sum(1)
    )
    rate = background + crab[rev] * (seen / 1000.0 + given.crab_response)
    variance = (
        given.stat_variance
        + (scatter * level[rev]) ** 2
        + (crab_scatter * crab[rev] * given.crab_response) ** 2
    )
    numpyro.sample("rate", dist.Normal(rate, jnp.sqrt(variance)).to_event(1), obs=given.rate)


def log_density(given: Problem, point: dict[str, Any], *, centred: bool) -> float:
    """Log density of parameters in their own units."""
    bound = lambda g: model(g, given.regions, centred=centred)  # noqa: E731
    return float(numpyro_log_density(bound, (given,), {}, point)[0])


def sample(given: Problem, settings: Any, *, centred: bool) -> dict[str, Any]:
    """Compile and sample, chains one after the other: each gradient uses all cores."""
    bound = lambda g: model(g, given.regions, centred=centred)  # noqa: E731
    mcmc = MCMC(
        NUTS(bound),
        num_warmup=settings.warmup,
        num_samples=settings.draws,
        num_chains=settings.chains,
        chain_method="sequential",
        progress_bar=False,
    )
    start = time.perf_counter()
    arrays = Problem(*(jnp.asarray(x) for x in given))
    with Compilations() as compilations:
        mcmc.run(jax.random.key(settings.seed), arrays, extra_fields=("num_steps", "diverging"))
        found = jax.block_until_ready(mcmc.get_samples(group_by_chain=True))
    seconds = time.perf_counter() - start
    extra = mcmc.get_extra_fields(group_by_chain=True)
    return {
        "compile_s": compilations.seconds,
        "sample_s": seconds - compilations.seconds,
        "intensity": np.asarray(found["intensity"]),
        "steps": float(extra["num_steps"].mean()),
        "divergences": int(extra["diverging"].sum()),
    }
