"""Run the chains of all parts of a fit: threads, progress, checkpoints."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from threading import Event
from typing import Any

import jax
import numpy as np
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ridgebayes.errors import InputError
from ridgebayes.inference.batched import Values
from ridgebayes.inference.independence import with_proposal
from ridgebayes.inference.kernels import Draws, Progress, Sampler, freeze
from ridgebayes.inference.laplace import Curvature, Laplace, Potential
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.sharding import several
from ridgebayes.inference.store import Store
from ridgebayes.likelihood.design import FitData
from ridgebayes.parallel.cores import cores

logger = logging.getLogger(__name__)

SAMPLERS = ("auto", "nuts")
CHECKPOINT_SECONDS = 5.0
"""So often is kept how far a chain has come."""
LEAST_WORTH = 0.1
"""Chains whose draws by proposals are worth less, over independent ones, run again with NUTS alone."""
_FEW = 50  # draws, of which the effective number says little


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
        ``nuts``: all draws are those of NUTS. ``auto``: most are independent proposals, at a tenth of the
        cost, where they would be accepted often enough (`ridgebayes.inference.independence`): the same
        posterior in less time.
    devices
        Devices among which the revolutions are shared (`ridgebayes.inference.sharding`).
    """

    chains: int = 4
    warmup: int = 150
    draws: int = 700
    seed: int = 0
    target_accept: float = 0.9
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

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Settings:
        """Return those of a run's record, which says more of the sampling than these."""
        return cls(**{field.name: record["sampling"][field.name] for field in fields(cls)})


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
    # On an accelerator two chains at a time keep it busy while the host prepares the next block.
    limit = cores() if device.platform == "cpu" else 2
    workers = max(1, min(tasks, workers or limit))
    return Device(
        device.device_kind, "chains in threads" if workers > 1 else "chains one after the other", workers
    )


class Clock:
    """Wall time of each stage, s."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.monotonic()
        self.laps[stage], self._last = now - self._last, now


def values_of(posterior: Posterior, curvature: Curvature, *, devices: int = 1) -> Values:
    """Values of a posterior at many vectors, piece by piece of the mission where that is possible."""
    whole = devices > 1 or jax.default_backend() != "cpu" or posterior.by_revolution
    return Values(curvature, in_pieces=not whole)


def run_chains(
    posterior: Posterior,
    parts: list[FitData],
    settings: Settings,
    device: Device,
    clock: Clock,
    *,
    progress: bool,
    checkpoint: Store | None = None,
    near: Sequence[Laplace] = (),
) -> tuple[NDArray, dict[str, NDArray]]:
    """Run all chains of all parts: (part, chain, draw, parameter) and statistics (part, chain, draw).

    With a checkpoint they go on from what it keeps. The search for approximations of the parts begins `near`
    those that are given.
    """
    potential, shared = several(posterior, parts, settings.devices)
    # In a log file a line every half minute is enough.
    pace = 0.2 if sys.stderr.isatty() else 30.0
    with (
        tqdm(
            disable=not progress,
            desc="finding the mode",
            unit="it",
            mininterval=pace,
            total=len(parts) * settings.chains * (settings.warmup + settings.draws),
        ) as bar,
        ThreadPoolExecutor(device.workers) as pool,
    ):
        run = _Chains(posterior, potential, parts, shared, settings, pool, bar, checkpoint, near)
        try:
            modes, running = run.begin()
            clock.lap("mode")
            chains = [chain for of_part in run.finish(modes, running) for chain in of_part]
            clock.lap("sampling")
        except BaseException as error:
            run.stop.set()
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


Running = list[Future[list[Draws]]]
"""Chains of one part."""


class _Chains:
    """The chains of all parts at work in a pool of threads, until `stop` is set."""

    def __init__(
        self,
        posterior: Posterior,
        potential: Potential,
        parts: list[FitData],
        shared: list[FitData],
        settings: Settings,
        pool: ThreadPoolExecutor,
        bar: Any,
        checkpoint: Store | None,
        near: Sequence[Laplace],
    ) -> None:
        self.posterior, self.parts, self.shared, self.settings = posterior, parts, shared, settings
        self.pool, self.bar, self.checkpoint, self.near = pool, bar, checkpoint, near
        self.curvature = Curvature(potential)
        self.values = values_of(posterior, self.curvature, devices=settings.devices)
        self.sampler = Sampler(
            self.curvature,
            warmup=settings.warmup,
            target_accept=settings.target_accept,
            max_tree_depth=settings.max_tree_depth,
            values=self.values,
        )
        self.root, self.stop = jax.random.key(settings.seed), Event()

    def begin(self) -> tuple[Sequence[Laplace], Sequence[Running]]:
        """Find the modes; chains of a part begin when its own is found, so that no core waits."""
        started = [self.pool.submit(self._begin_part, part) for part in range(len(self.parts))]
        modes, running = zip(*(future.result() for future in started), strict=True)
        return modes, running

    def finish(self, modes: Sequence[Laplace], running: Sequence[Running]) -> list[list[Draws]]:
        """Wait for all chains, run those again that stood still, and return the chains of each part."""
        joined = [[_join(future.result()) for future in futures] for futures in running]
        stuck = [k for k, found in enumerate(modes) if found.proposal is not None and _stuck(joined[k])]
        once_more = {part: self._alone(part, modes[part]) for part in stuck}
        for part, futures in once_more.items():
            joined[part] = [_join(future.result()) for future in futures]
        return joined

    def _begin_part(self, part: int) -> tuple[Laplace, Running]:
        found = self._mode(part)
        with self.bar.get_lock():
            self.bar.total -= self.settings.chains * (self.settings.warmup - self.sampler.warmup_of(found))
        self.bar.set_description("sampling")
        return found, self._chains_of(part, found)

    def _alone(self, part: int, found: Laplace) -> Running:
        """Run the chains of a part again, with NUTS alone."""
        logger.info(
            "fit %d of %d: proposals left chains where they were; again, with NUTS alone",
            part + 1, len(self.parts),
        )  # fmt: skip
        found = found._replace(proposal=None)
        if self.checkpoint:
            self.checkpoint.forget_chains(part)
            self.checkpoint.save_mode(part, found)
        self.bar.total += self.settings.chains * (self.settings.warmup + self.settings.draws)
        return self._chains_of(part, found)

    def _chains_of(self, part: int, found: Laplace) -> Running:
        numbers = range(self.settings.chains)
        return [self.pool.submit(self._chain, part, number, found) for number in numbers]

    def _mode(self, part: int) -> Laplace:
        """Approximation of a part, with the proposal that it allows."""
        known = self.checkpoint.mode(part) if self.checkpoint else None
        if known is not None:
            return known
        data, shared = self.parts[part], self.shared[part]
        start, close = self.posterior.start(self.root, data), self.near[part] if self.near else None
        found = self.posterior.approximate(self.curvature, start, data, shared, near=close)
        if self.settings.sampler == "auto":
            rng = np.random.default_rng([self.settings.seed, part])
            found = with_proposal(self.values, found, self.posterior.leading, shared, rng)
        if self.checkpoint:
            self.checkpoint.save_mode(part, found)
        return found

    def _chain(self, part: int, number: int, approximation: Laplace) -> list[Draws]:
        """Run one chain to its end, or until all stop; what there is of it is kept now and then."""
        key = jax.random.fold_in(jax.random.fold_in(self.root, part), number)
        draws, checkpoint = self.settings.draws, self.checkpoint
        before = checkpoint.chain(part, number) if checkpoint else None
        warmed, blocks = (before.warmed, before.draws) if before else (0, [])
        self.bar.update(warmed + sum(len(block.z) for block in blocks))
        saved = time.monotonic()
        for block in self.sampler.chain(key, self.shared[part], approximation, draws, before):
            if isinstance(block, Draws):
                blocks.append(block)
            else:
                warmed += block.n
            self.bar.update(len(block.z) if isinstance(block, Draws) else block.n)
            due = self.stop.is_set() or time.monotonic() - saved > CHECKPOINT_SECONDS
            done = sum(len(b.z) for b in blocks) == draws
            if checkpoint and (due or done):
                checkpoint.save_chain(part, number, Progress(warmed, blocks, freeze(block.state)))
                saved = time.monotonic()
            if self.stop.is_set():
                break
        return blocks


def _stuck(chains: Sequence[Draws]) -> bool:
    """Tell whether chains hardly moved: proposals that are right give draws that are worth half and more.

    How often proposals are accepted, and left from afar, is measured before, but in few places.
    """
    z = np.stack([chain.z for chain in chains])
    if z.shape[1] < _FEW:
        return False
    return bool(array_stats.ess(z, chain_axis=0, draw_axis=1).min() < LEAST_WORTH * z.shape[0] * z.shape[1])


def _join(blocks: Iterable[Draws]) -> Draws:
    blocks = list(blocks)
    names = blocks[0].statistics
    return Draws(
        np.concatenate([b.z for b in blocks]),
        {name: np.concatenate([b.statistics[name] for b in blocks]) for name in names},
    )
