"""Sample a model: start, chains, progress, warnings; the result is a `Run`."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ridgebayes.errors import InputError
from ridgebayes.fitdata import FitData, prepare
from ridgebayes.laplace import Curvature, Laplace, laplace
from ridgebayes.model import Model
from ridgebayes.nuts import Draws, Sampler
from ridgebayes.posterior import Posterior
from ridgebayes.response import Response
from ridgebayes.results import build_run
from ridgebayes.run import Run, check_free
from ridgebayes.scw import ScWTable
from ridgebayes.sky.cache import cache_dir

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How to sample.

    Attributes
    ----------
    chains, warmup, draws
        Chains, adaptive iterations and kept draws of each.
    seed
        Everything random follows from it.
    target_accept, max_tree_depth
        Of NUTS.
    """

    chains: int = 4
    warmup: int = 150
    draws: int = 700
    seed: int = 0
    target_accept: float = 0.8
    max_tree_depth: int = 10

    def __post_init__(self) -> None:
        for name in ("chains", "warmup", "draws", "max_tree_depth"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)}: must be at least 1")
        if not 0 < self.target_accept < 1:
            raise InputError(f"target_accept = {self.target_accept}: must lie between 0 and 1")
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: must not be negative")


@dataclass(frozen=True)
class Device:
    """Where the chains run.

    Attributes
    ----------
    name
        Such as ``cpu`` or ``NVIDIA H100``.
    method
        ``threads`` (each chain a thread, as many at a time as cores) or ``one after the other``.
    workers
        Chains at a time.
    """

    name: str
    method: str
    workers: int

    def __str__(self) -> str:
        return f"{self.name}, {self.method}" + (f" ({self.workers} at a time)" if self.workers > 1 else "")


def resolve_device(tasks: int, workers: int | None = None) -> Device:
    """Choose how to run `tasks` chains on the default JAX device."""
    device = jax.devices()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # On an accelerator two chains at a time keep it busy while the host prepares the next block.
    limit = cores if device.platform == "cpu" else 2
    workers = max(1, min(tasks, workers or limit))
    return Device(
        device.device_kind, "chains in threads" if workers > 1 else "chains one after the other", workers
    )


def sample(
    model: Model,
    scws: ScWTable,
    *,
    out: str | Path | None = None,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    settings: Settings | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
    **changes: Any,
) -> Run:
    """Sample the posterior of a model.

    Parameters
    ----------
    model
        Such as ``ridgebayes.models.regions(sky)``.
    scws
        The ScW rate table.
    out
        Run directory to write; None keeps the run in memory.
    response
        Response of the instrument; the trapezoid by default.
    crab_rate
        Crab rate by band in cts/s, where no ScW contains the Crab.
    settings
        Chains, draws, seed; or give them as keywords: ``sample(..., chains=4, draws=500, seed=1)``.
    workers
        Chains at a time; by default as many as cores.
    overwrite
        Replace an existing run directory.
    progress
        Show a progress bar on stderr.

    Returns
    -------
    Run
        Posterior, diagnostics and products.

    Raises
    ------
    InputError
        Bad settings, an existing run directory, no Crab calibration.
    """
    settings = Settings(**{**vars(settings or Settings()), **changes})
    clock = _Clock()
    if out is not None:
        check_free(Path(out), overwrite=overwrite)
    prepared = prepare(
        scws, model.sky, response=response, crab_rate=crab_rate, opened=model.parameters.keys()
    )
    if prepared.crab_given:
        logger.info("no ScW contains the Crab: its rate is held at the given one")
        held = {"crab.rate": 1.0, "crab.shape": 0.0, "crab.scatter": 0.0, "crab.smooth": 0.0}
        model = model.with_priors({n: v for n, v in held.items() if n in model.parameters})
    parts = _independent(model, prepared.data)
    device = resolve_device(len(parts) * settings.chains, workers)
    logger.info(
        "%d independent fits of %d chains on %s, seed %d", len(parts), settings.chains, device, settings.seed
    )
    posterior = Posterior(model, parts[0])
    clock.lap("prepare")
    z, statistics = _run(posterior, parts, settings, device, clock, progress=progress)
    run = build_run(model, prepared, posterior, parts, z, statistics, settings, device, clock.laps)
    clock.lap("finish")
    run.record["seconds"]["finish"] = round(clock.laps["finish"], 1)
    return run if out is None else run.save(out, overwrite=overwrite)


class _Clock:
    """Wall time of each stage, s."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.laps[stage], self._last = now - self._last, now


def _independent(model: Model, data: FitData) -> list[FitData]:
    """Split into the fits that share no parameter: one a band where the model allows it."""
    bands = range(data.rate.shape[0])
    return [data.band(k) for k in bands] if model.bands_apart else [data]


def _run(
    posterior: Posterior,
    parts: list[FitData],
    settings: Settings,
    device: Device,
    clock: _Clock,
    *,
    progress: bool,
) -> tuple[NDArray, dict[str, NDArray]]:
    """Run all chains of all parts: (part, chain, draw, parameter) and statistics (part, chain, draw)."""
    curvature = Curvature(posterior.potential)
    sampler = Sampler(
        posterior.potential,
        warmup=settings.warmup,
        target_accept=settings.target_accept,
        max_tree_depth=settings.max_tree_depth,
    )
    root = jax.random.key(settings.seed)
    stop = Event()
    total = len(parts) * settings.chains * (settings.warmup + settings.draws)
    # In a log file a line every half minute is enough.
    pace = 0.2 if sys.stderr.isatty() else 30.0
    with (
        tqdm(total=total, disable=not progress, desc="finding the mode", unit="it", mininterval=pace) as bar,
        ThreadPoolExecutor(device.workers) as pool,
    ):

        def mode(part: int) -> Laplace:
            start = posterior.start(root, parts[part])
            return laplace(curvature, start, parts[part], posterior.locations)

        def chain(part: int, number: int, approximation: Laplace) -> list[Draws]:
            key = jax.random.fold_in(jax.random.fold_in(root, part), number)
            blocks = []
            for block in sampler.chain(key, parts[part], approximation, settings.draws):
                if stop.is_set():
                    break
                if isinstance(block, Draws):
                    blocks.append(block)
                bar.update(block if isinstance(block, int) else len(block.z))
            return blocks

        try:
            modes = list(pool.map(mode, range(len(parts))))
            clock.lap("mode")
            bar.set_description("sampling")
            futures = [
                pool.submit(chain, part, number, modes[part])
                for part in range(len(parts))
                for number in range(settings.chains)
            ]
            chains = [_join(future.result()) for future in futures]
            clock.lap("sampling")
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    shape = (len(parts), settings.chains, settings.draws)
    z = np.stack([c.z for c in chains]).reshape(*shape, -1)
    statistics = {
        name: np.stack([c.statistics[name] for c in chains]).reshape(shape) for name in chains[0].statistics
    }
    return z, statistics


def _join(blocks: Iterable[Draws]) -> Draws:
    blocks = list(blocks)
    names = blocks[0].statistics
    return Draws(
        np.concatenate([b.z for b in blocks]),
        {name: np.concatenate([b.statistics[name] for b in blocks]) for name in names},
    )


def use_compilation_cache() -> None:
    """Keep compiled code on disk, so that the next process of the same shapes starts at once."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = cache_dir() / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
