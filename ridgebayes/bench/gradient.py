"""Time of one gradient of the log posterior, and of its lower limit: reading the arrays of the fit once.

``python -m ridgebayes.bench.gradient RESULT.json RUN_DIRECTORY``

JAX computes asynchronously, so every timing waits for the result.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare
from ridgebayes.runs.metadata import recorded_model, recorded_response
from ridgebayes.runs.run import Run

ROUNDS = 7
"""Number of rounds. Gradient and floor alternate, so that other load on the machine affects both."""
SECONDS = 0.4
"""Approximate time of each per round, s."""


def measure(run: Run) -> dict[str, Any]:
    """Time gradient and floor of one band of a run, and add its sampling diagnostics."""
    record = run.record
    model = recorded_model(record, run.path)
    scws = run.data()
    prepared = prepare(
        scws,
        model.sky,
        response=recorded_response(record, run.path),
        crab_rate=record["data"]["crab_rate"] or None,
        opened=model.asks_for,
        chosen=model.chosen,
    )
    apart = model.bands_apart
    data = prepared.data.band(0) if apart else prepared.data
    posterior = Posterior(model, data)
    z = jnp.asarray(posterior.start(jax.random.key(0), data))

    start = time.perf_counter()
    lowered = jax.jit(jax.value_and_grad(posterior.potential)).lower(z, data)
    traced = time.perf_counter()
    gradient = lowered.compile()
    compiled = time.perf_counter()

    arrays = columns_read(posterior, z, data, len(scws))
    readers = [jax.jit(read).lower(arrays).compile() for read in (_total, _by_row)]
    seconds = in_turn([lambda: gradient(z, data), *(lambda read=read: read(arrays) for read in readers)])
    at = np.argmin(np.median(seconds[1:], axis=1)) + 1
    best, floor = seconds.min(1), np.median(seconds[at])
    size = sum(x.nbytes for x in arrays)
    return {
        "scws": len(scws),
        "revolutions": int(prepared.layout.revolutions.size),
        "parameters": posterior.size * (len(scws.bands) if apart else 1),
        "gradient_ms": 1e3 * float(np.median(seconds[0])),
        "gradient_best_ms": 1e3 * float(best[0]),
        "floor_ms": 1e3 * float(floor),
        "floor_best_ms": 1e3 * float(best[at]),
        "read_mb": size / 1e6,
        "gb_per_s": size / 1e9 / float(best[at]),
        "gradient_trace_s": traced - start,
        "gradient_compile_s": compiled - traced,
        "lowered_chars": len(lowered.as_text()),
        **quality(run),
    }


def columns_read(posterior: Posterior, z: Array, data: Any, n_scws: int) -> list[Array]:
    """Arrays with at least one element per ScW that the density reads."""
    traced = jax.make_jaxpr(posterior.potential)(z, data).jaxpr
    used = {id(v) for equation in traced.eqns for v in equation.invars}
    given = jax.tree.leaves((z, data))
    return [x for x, v in zip(given, traced.invars, strict=True) if id(v) in used and x.size >= n_scws]


def _total(arrays: list[Array]) -> list[Array]:
    return [x.sum() for x in arrays]


def _by_row(arrays: list[Array]) -> list[Array]:
    return [x.sum(-1) for x in arrays]


def in_turn(calls: list[Callable[[], Any]]) -> np.ndarray:
    """Seconds per call, (call, round); calls alternate, and each result is waited for."""
    repeats = []
    for call in calls:
        jax.block_until_ready(call())
        start = time.perf_counter()
        jax.block_until_ready(call())
        repeats.append(max(1, int(SECONDS / ROUNDS / (time.perf_counter() - start))))
    seconds = np.empty((len(calls), ROUNDS))
    for turn in range(ROUNDS):
        for i, (call, n) in enumerate(zip(calls, repeats, strict=True)):
            start = time.perf_counter()
            for _ in range(n):
                jax.block_until_ready(call())
            seconds[i, turn] = (time.perf_counter() - start) / n
    return seconds


def quality(run: Run) -> dict[str, Any]:
    """Return steps, effective sample sizes and R-hat of a run."""
    statistics = run.tree["sample_stats"].to_dataset()
    apart = "n_steps_band" in statistics
    steps = statistics["n_steps_band" if apart else "n_steps"]
    sampling = run.record["sampling"]
    r_hat, ess, _ = run.diagnosis.worst
    return {
        "steps_a_draw": float(steps.mean()),
        "worst_ess_sky": float(run.diagnosis.ess_bulk["sky.intensity"].min()),
        "worst_ess": ess,
        "worst_r_hat": r_hat,
        "divergences": run.diagnosis.divergences,
        "stages_s": dict(run.record["seconds"]),
        "sampling": {key: sampling[key] for key in ("chains", "warmup", "draws", "device")},
    }


if __name__ == "__main__":
    found = measure(Run.open(sys.argv[2]))
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
