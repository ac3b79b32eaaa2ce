"""PyMC's model, sampled by nutpie."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt

from peer_models.problem import Problem


def build(given: Problem, *, centred: bool, dense: bool) -> pm.Model:
    """Write the model down; `dense` multiplies by all regions in place of picking those that are seen."""
    rev, level = given.revolution, given.level
    with pm.Model() as model:
        crab_rate = pm.LogNormal("crab_rate", 0.0, 0.3)
        intensity = pm.Normal("intensity", 0.0, 2.0 / crab_rate, shape=given.regions)
        mean = pm.Normal("level", 1.0, 0.1)
        drift = pm.Normal("drift", 0.0, 1.0, shape=given.drift_basis.shape[1])
        tracer = pm.Normal("tracer", 0.5, 1.0)
        tau = pm.HalfNormal("revolution_sd", 0.05, shape=3)
        scatter = pm.HalfNormal("scatter", 0.03)
        crab_shape = pm.Normal("crab_shape", 0.0, 0.3, shape=3)
        crab_scatter = pm.LogNormal("crab_scatter", np.log(0.005), 0.5)
        shape = (level.size, 3)
        terms = pm.Normal("terms", 0.0, tau if centred else 1.0, shape=shape)  # over the level
        terms = terms if centred else terms * tau

        crab = given.crab_level * crab_rate * pm.math.exp(given.crab_basis @ crab_shape)
        if dense:
            seen = pt.dot(given.dense_exposure, intensity)
        else:
            seen = (given.exposure * intensity[given.region]).sum(1)
        background = level[rev] * (
            (mean + pt.dot(given.drift_basis, drift))[rev]
            + tracer * given.tracer
            + (terms[rev] * given.basis).sum(1)
        )
        rate = background + crab[rev] * (seen / 1000.0 + given.crab_response)
        variance = (
            given.stat_variance
            + (scatter * level[rev]) ** 2
            + (crab_scatter * crab[rev] * given.crab_response) ** 2
        )
        pm.Normal("rate", rate, pt.sqrt(variance), observed=given.rate)
    return model


def log_density(given: Problem, point: dict[str, Any], *, centred: bool, dense: bool) -> float:
    """Log density of parameters in their own units."""
    model = build(given, centred=centred, dense=dense)
    positive = ("revolution_sd", "scatter", "crab_rate", "crab_scatter")
    values = {(f"{name}_log__" if name in positive else name): x for name, x in point.items()}
    logged = {name: np.log(x) if name.endswith("_log__") else np.asarray(x) for name, x in values.items()}
    known = {v.name for v in model.value_vars}
    return float(model.compile_logp(jacobian=False)({n: x for n, x in logged.items() if n in known}))


def sample(
    given: Problem, settings: Any, *, centred: bool, dense: bool, backend: str = "numba"
) -> dict[str, Any]:
    """Compile and sample."""
    start = time.perf_counter()
    options = {"gradient_backend": "jax"} if backend == "jax" else {}
    compiled = nutpie.compile_pymc_model(
        build(given, centred=centred, dense=dense), backend=backend, **options
    )
    ready = time.perf_counter()
    trace = nutpie.sample(
        compiled,
        draws=settings.draws,
        tune=settings.warmup,
        chains=settings.chains,
        cores=settings.cores,
        seed=settings.seed,
        progress_bar=False,
    )
    done = time.perf_counter()
    statistics = trace["sample_stats"]
    return {
        "compile_s": ready - start,
        "sample_s": done - ready,
        "intensity": np.asarray(trace["posterior"]["intensity"]),
        "steps": float(np.asarray(statistics["n_steps"]).mean()),
        "divergences": int(np.asarray(statistics["diverging"]).sum()),
    }
