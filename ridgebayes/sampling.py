"""Sample a model: start, chains, progress, warnings; the result is a `Run`."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ridgebayes.checkpoint import Checkpoint
from ridgebayes.devices import several
from ridgebayes.errors import InputError
from ridgebayes.fitdata import FitData, Prepared, prepare
from ridgebayes.laplace import Curvature, Laplace, laplace
from ridgebayes.model import Model
from ridgebayes.nuts import Draws, Progress, Sampler, freeze
from ridgebayes.posterior import Posterior
from ridgebayes.proposal import Values, with_proposal
from ridgebayes.record import record_of, recorded_model, recorded_response
from ridgebayes.response import Response
from ridgebayes.results import build_run
from ridgebayes.run import Run, check_free, read_fitted
from ridgebayes.scales import Scales
from ridgebayes.scw import ScWTable
from ridgebayes.sky.cache import cache_dir

logger = logging.getLogger(__name__)

SAMPLERS = ("auto", "nuts", "proposals")
PROPOSALS_FROM = 20_000
"""ScWs from which on independent proposals are tried by default."""

CHECKPOINT_SECONDS = 5.0
"""So often is kept how far a chain has come."""


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
    sampler
        ``nuts``: all draws are those of NUTS. ``proposals``: most are independent proposals, at a tenth of
        the cost, where they would be accepted often enough (`ridgebayes.proposal`): the same posterior in
        less time. ``auto``: proposals from 20,000 ScWs on; below, NUTS is done before their code is compiled.
    devices
        Devices among which the revolutions are shared (`ridgebayes.devices`).
    """

    chains: int = 4
    warmup: int = 150
    draws: int = 700
    seed: int = 0
    target_accept: float = 0.8
    max_tree_depth: int = 10
    sampler: str = "auto"
    devices: int = 1

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise InputError(f"sampler = '{self.sampler}': must be one of {', '.join(SAMPLERS)}")
        for name in ("chains", "warmup", "draws", "max_tree_depth", "devices"):
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


def resolve_device(tasks: int, workers: int | None = None, devices: int = 1) -> Device:
    """Choose how to run `tasks` chains on the default JAX device, or several of its kind."""
    if devices > 1:
        return Device(f"{devices} × {jax.devices()[0].device_kind}", "chains one after the other", 1)
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
        Run directory to write; None keeps the run in memory. While it is sampled it keeps how far the chains
        have come, for `resume`.
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
    clock = Clock()
    if out is not None:
        check_free(Path(out), overwrite=overwrite)
    model, prepared = meet(model, scws, response=response, crab_rate=crab_rate)
    if out is None:
        return _sampled(model, prepared, settings, clock, workers=workers, progress=progress)
    device = resolve_device(
        settings.chains * len(independent(model, prepared.data)), workers, settings.devices
    )
    checkpoint = Checkpoint.begin(Path(out), record_of(model, prepared, settings, device), prepared.response)
    return _kept(checkpoint, model, prepared, settings, clock, workers=workers, progress=progress)


def resume(
    out: str | Path,
    *,
    scws: ScWTable | str | Path | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Run:
    """Go on with a run that was interrupted; the result is that of a run which never was, bit for bit.

    Parameters
    ----------
    out
        Its run directory.
    scws
        The ScW table that is fitted, or where it is now; by default where it was.
    workers, progress
        As those of `sample`.

    Raises
    ------
    InputError
        When there is nothing to resume, the data are not the same, or other versions of the software would
        give other numbers.
    """
    out, clock = Path(out), Clock()
    checkpoint = Checkpoint.open(out)
    try:
        record = checkpoint.record
        _check_versions(record, out)
        table = scws if isinstance(scws, ScWTable) else read_fitted(record, scws)
        model, prepared = meet(
            recorded_model(record, out),
            table,
            response=recorded_response(record, out, checkpoint.response),
            crab_rate=record["data"]["crab_rate"] or None,
        )
        names = [field.name for field in dataclasses.fields(Settings)]
        settings = Settings(**{name: record["sampling"][name] for name in names})
        _check_same(record, record_of(model, prepared, settings, Device("", "", 1)), out)
    except BaseException:
        checkpoint.close()
        raise
    return _kept(checkpoint, model, prepared, settings, clock, workers=workers, progress=progress)


def _check_versions(record: Mapping[str, Any], out: Path) -> None:
    """Refuse where other software would go on with other numbers."""
    now = {"ridgebayes": version("ridgebayes")} | {
        p: version(p) for p in ("jax", "jaxlib", "numpyro", "numpy")
    }
    then = {"ridgebayes": record["ridgebayes"]} | record["versions"]
    for package, number in now.items():
        if then[package] != number:
            raise InputError(
                f"{out}: was begun with {package} {then[package]}, and this is {number}: install that one, "
                "or fit again with --overwrite"
            )


def _check_same(then: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    """Refuse where the recorded model or data have come back as others."""
    for what in ("model", "sky", "response", "data"):
        if what == "data":
            same = then[what]["fingerprint"] == now[what]["fingerprint"]
        else:
            same = then[what] == now[what]
        if not same:
            raise InputError(f"{out}: was begun with another {what}: fit again with --overwrite")


def _kept(checkpoint: Checkpoint, model: Model, prepared: Prepared, *given: Any, **options: Any) -> Run:
    """Sample with a checkpoint, which the finished run replaces."""
    try:
        run = _sampled(model, prepared, *given, checkpoint=checkpoint, **options)
        saved = run.save(checkpoint.run, overwrite=True)
    except BaseException:
        checkpoint.close()
        raise
    checkpoint.close(remove=True)
    return saved


def _sampled(
    model: Model,
    prepared: Prepared,
    settings: Settings,
    clock: Clock,
    *,
    workers: int | None,
    progress: bool,
    checkpoint: Checkpoint | None = None,
) -> Run:
    parts = independent(model, prepared.data)
    device = resolve_device(len(parts) * settings.chains, workers, settings.devices)
    logger.info(
        "%d independent fits of %d chains on %s, seed %d", len(parts), settings.chains, device, settings.seed
    )
    posterior = Posterior(model, parts[0])
    clock.lap("prepare")
    z, statistics = run_chains(
        posterior, parts, settings, device, clock, checkpoint=checkpoint, progress=progress
    )
    run = build_run(model, prepared, posterior, parts, z, statistics, settings, device, clock.laps)
    clock.lap("finish")
    run.record["seconds"]["finish"] = round(clock.laps["finish"], 1)
    return run


class Clock:
    """Wall time of each stage, s."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.monotonic()
        self.laps[stage], self._last = now - self._last, now


def meet(
    model: Model,
    scws: ScWTable,
    *,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    scales: Scales | None = None,
) -> tuple[Model, Prepared]:
    """Prepare the data for a model, and hold what they say nothing about.

    Arguments as those of `sample` and, for the scales, of `prepare`.
    """
    prepared = prepare(
        scws,
        model.sky,
        response=response,
        crab_rate=crab_rate,
        opened=model.parameters.keys(),
        chosen=model.chosen,
        scales=scales,
    )
    if prepared.unseen:
        logger.warning("no ScW sees %s: their intensity is prior only", ", ".join(prepared.unseen))
    if prepared.crab_given:
        logger.info("no ScW contains the Crab: its rate is held at the given one")
        held = {"crab.rate": 1.0, "crab.shape": 0.0, "crab.scatter": 0.0, "crab.smooth": 0.0}
        model = model.with_priors({n: v for n, v in held.items() if n in model.parameters})
    return model, prepared


def independent(model: Model, data: FitData) -> list[FitData]:
    """Split into the fits that share no parameter: one a band where the model allows it."""
    bands = range(data.rate.shape[0])
    return [data.band(k) for k in bands] if model.bands_apart else [data]


def run_chains(
    posterior: Posterior,
    parts: list[FitData],
    settings: Settings,
    device: Device,
    clock: Clock,
    *,
    progress: bool,
    checkpoint: Checkpoint | None = None,
    modes: Sequence[Laplace] = (),
) -> tuple[NDArray, dict[str, NDArray]]:
    """Run all chains of all parts: (part, chain, draw, parameter) and statistics (part, chain, draw).

    With a checkpoint they go on from what it keeps. Approximations of the parts (`modes`) are searched for
    where they are not given.
    """
    potential, shared = several(posterior, parts, settings.devices)
    curvature = Curvature(potential)
    sampler = Sampler(
        curvature,
        warmup=settings.warmup,
        target_accept=settings.target_accept,
        max_tree_depth=settings.max_tree_depth,
    )
    values = Values(curvature)
    many = int(parts[0].filled.sum()) >= PROPOSALS_FROM
    propose = settings.sampler == "proposals" or (settings.sampler == "auto" and many)
    root = jax.random.key(settings.seed)
    stop = Event()
    # In a log file a line every half minute is enough.
    pace = 0.2 if sys.stderr.isatty() else 30.0
    with (
        tqdm(disable=not progress, desc="finding the mode", unit="it", mininterval=pace) as bar,
        ThreadPoolExecutor(device.workers) as pool,
    ):

        def mode(part: int) -> Laplace:
            known = checkpoint.mode(part) if checkpoint else None
            if known is not None:
                return known
            if modes:
                found = modes[part]
            else:
                start = posterior.start(root, parts[part])
                found = laplace(curvature, start, shared[part], posterior.locations, posterior.scale)
            if propose:
                rng = np.random.default_rng([settings.seed, part])
                scales = int((~posterior.locations).sum())
                found = with_proposal(values, found, scales, shared[part], rng)
            if checkpoint:
                checkpoint.save_mode(part, found)
            return found

        def chain(part: int, number: int, approximation: Laplace) -> list[Draws]:
            key = jax.random.fold_in(jax.random.fold_in(root, part), number)
            before = checkpoint.chain(part, number) if checkpoint else None
            warmed, blocks = (before.warmed, before.draws) if before else (0, [])
            bar.update(warmed + sum(len(block.z) for block in blocks))
            saved = time.monotonic()
            for block in sampler.chain(key, shared[part], approximation, settings.draws, before):
                if isinstance(block, Draws):
                    blocks.append(block)
                else:
                    warmed += block.n
                bar.update(len(block.z) if isinstance(block, Draws) else block.n)
                due = stop.is_set() or time.monotonic() - saved > CHECKPOINT_SECONDS
                done = sum(len(b.z) for b in blocks) == settings.draws
                if checkpoint and (due or done):
                    checkpoint.save_chain(part, number, Progress(warmed, blocks, freeze(block.state)))
                    saved = time.monotonic()
                if stop.is_set():
                    break
            return blocks

        try:
            found = list(pool.map(mode, range(len(parts))))
            clock.lap("mode")
            bar.set_description("sampling")
            bar.total = settings.chains * sum(sampler.warmup_of(a) + settings.draws for a in found)
            bar.refresh()
            futures = [
                pool.submit(chain, part, number, found[part])
                for part in range(len(parts))
                for number in range(settings.chains)
            ]
            chains = [_join(future.result()) for future in futures]
            clock.lap("sampling")
        except BaseException as error:
            stop.set()
            pool.shutdown(cancel_futures=True)
            if checkpoint and isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(
                    f"stopped after {bar.n} of {bar.total} iterations, which are kept: go on with "
                    f"`ridgebayes resume {checkpoint.run}`"
                ) from None
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
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
