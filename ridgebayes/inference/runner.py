"""Run the chains of all parts of a fit: threads, progress, checkpoints."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from ridgebayes.errors import InputError, command
from ridgebayes.inference.kernels import Draws, Progress, freeze
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mixing import mixed, sticks
from ridgebayes.inference.mode import Gaussian, Potential
from ridgebayes.inference.progress import ProgressBar, wanted
from ridgebayes.inference.sampler import Sampler, Start
from ridgebayes.inference.settings import TIMES, Device, Settings
from ridgebayes.inference.sharding import several
from ridgebayes.inference.store import Store
from ridgebayes.likelihood.design import FitData
from ridgebayes.parallel.cores import one_blas_thread

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 5.0
"""So often is kept how far a chain has come."""
MIN_DRAWS = 50
"""Draws a chain without which chains that were stopped make no run."""
_MARGIN = 1.2
"""Beyond the limits of R-hat and ESS, until they count as converged."""
_JUDGED = 1000
"""Draws of all chains of a part together from which on their convergence decides how long they become."""


class Clock:
    """Wall time of each stage, s."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        """End a stage."""
        now = time.monotonic()
        self.laps[stage], self._last = now - self._last, now


class Chains(NamedTuple):
    """What chains have given.

    Attributes
    ----------
    z
        Unconstrained draws, (part, chain, draw, parameter).
    statistics
        Of the draws, (part, chain, draw).
    times
        So many times as long as was asked for the chains of each part became; of every so many draws one is
        kept.
    stopped
        When the chains were stopped before their end, in words; empty where they were not.
    """

    z: NDArray
    statistics: dict[str, NDArray]
    times: tuple[int, ...]
    stopped: str = ""


@one_blas_thread()
def run_chains(
    posterior: Posterior,
    parts: list[FitData],
    settings: Settings,
    device: Device,
    clock: Clock,
    *,
    progress: bool | None,
    checkpoint: Store | None = None,
    near: Sequence[Gaussian] = (),
    max_time: float | None = None,
    only: Sequence[int] = (),
    sampler: Sampler | None = None,
) -> Chains:
    """Run all chains of all parts.

    Chains of independent proposals that have not converged go on, up to eight times as long (`TIMES`).
    Where single parameters stick, the proposal is first fitted to the draws there are; these count no more.
    With a checkpoint they go on from what it keeps. The search for the modes of the parts begins `near` those
    that are given. After `max_time` minutes all chains stop, and give the draws that all of them have. Where
    `only` names parts by their numbers, the others wait for another call. A `sampler` that `sampler_of` made
    for these parts spares a second compilation.

    Raises
    ------
    InputError
        Where they were stopped before they had `MIN_DRAWS` each.
    """
    if max_time is not None and not max_time > 0:
        raise InputError(f"max_time = {max_time}: must be more than 0 minutes")
    deadline = None if max_time is None else time.monotonic() + 60 * max_time
    potential, shared = several(posterior, parts, settings.devices)
    numbers = only or range(len(parts))
    iterations = len(numbers) * settings.chains * (settings.warmup + settings.draws)
    if sampler is None:
        threads = max(device.workers // len(numbers), 1)
        sampler = sampler_of(
            posterior, parts, settings, potential if settings.devices > 1 else None, threads=threads
        )
    with (
        ProgressBar(len(numbers), iterations, shown=wanted(progress)) as bar,
        ThreadPoolExecutor(device.workers) as pool,
    ):
        run = _Chains(sampler, shared, settings, pool, bar, checkpoint, near, deadline)
        try:
            running = run.begin(numbers)
            clock.lap("mode")
            kept, times, cut = _until_converged(run, running)
            clock.lap("sampling")
        except BaseException as error:
            run.stop.set()
            pool.shutdown(cancel_futures=True)
            if checkpoint and isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(
                    f"stopped after {bar.n} of {bar.total} iterations, which are kept: go on with "
                    f"`{command('resume', checkpoint.run)}`"
                ) from None
            raise
    draws = min(settings.draws, *(len(chain.z) for chain in kept))
    stopped = f"after {max_time:g} min, while chains that had not converged went on" if cut else ""
    if draws < settings.draws:
        assert max_time is not None
        stopped = f"after {max_time:g} min with {draws} of {settings.draws} draws a chain"
        _check_enough(draws, stopped, checkpoint)
    chains = [_taken(chain, slice(draws)) for chain in kept]
    shape = (len(numbers), settings.chains, draws)
    z = np.stack([c.z for c in chains]).reshape(*shape, -1)
    statistics = {
        name: np.stack([c.statistics[name] for c in chains]).reshape(shape) for name in chains[0].statistics
    }
    return Chains(z, statistics, tuple(times), stopped)


def sampler_of(
    posterior: Posterior,
    parts: Sequence[FitData],
    settings: Settings,
    potential: Potential | None = None,
    *,
    threads: int = 1,
) -> Sampler:
    """Make the sampler of all parts of a fit; the potential where it is shared among devices."""
    return Sampler(
        posterior,
        parts[0],
        warmup=settings.warmup,
        target_accept=settings.target_accept,
        max_tree_depth=settings.max_tree_depth,
        method=settings.sampler,
        potential=potential,
        threads=threads,
    )


def _until_converged(
    run: _Chains, running: dict[int, list[Future[list[Draws]]]]
) -> tuple[list[Draws], list[int], bool]:
    """Wait for the chains of all parts, and let those go on that have not converged.

    Returns
    -------
    list
        Draws of each chain, part after part: of so many as were asked for at most.
    list
        So many times as long as was asked for they became, (part,).
    bool
        Whether some were stopped while they went on.
    """
    draws = run.settings.draws
    times, found = dict.fromkeys(running, 1), dict[int, list[list[Draws]]]()
    waiting, cut, refitted = deque(running.items()), False, dict.fromkeys(running, False)

    def kept(part: int) -> list[Draws]:
        return [_thinned(chain, draws, times[part], refitted[part]) for chain in found[part]]

    while waiting:
        part, chains = waiting.popleft()
        found[part] = [chain.result() for chain in chains]
        whole = min(map(_length, found[part])) >= draws * times[part]
        if not whole and times[part] > 1:
            times[part] = TIMES[TIMES.index(times[part]) - 1]
            cut = True
        elif whole and times[part] < TIMES[-1] and run.may_go_on(part):
            z = np.stack([chain.z for chain in kept(part)])
            if not mixed(z, margin=_MARGIN):
                if times[part] == 1 and sticks(z):
                    refitted[part] = run.refit(part, z.reshape(-1, z.shape[-1]))
                times[part] = TIMES[TIMES.index(times[part]) + 1]
                waiting.append((part, run.go_on(part, times[part] * draws)))
    return [chain for part in running for chain in kept(part)], list(times.values()), cut


def _check_enough(draws: int, stopped: str, checkpoint: Store | None) -> None:
    if draws >= MIN_DRAWS:
        return
    if checkpoint is None:
        raise InputError(f"stopped {stopped}, too few for a run: give more max_time=...")
    go_on = command("resume", checkpoint.run)
    raise InputError(f"stopped {stopped}, too few for a run; all are kept: go on with `{go_on}`")


class _Chains:
    """The chains of all parts at work in a pool of threads, until `stop` is set."""

    def __init__(
        self,
        sampler: Sampler,
        shared: list[FitData],
        settings: Settings,
        pool: ThreadPoolExecutor,
        bar: ProgressBar,
        checkpoint: Store | None,
        near: Sequence[Gaussian],
        deadline: float | None,
    ) -> None:
        self.sampler, self.shared, self.settings = sampler, shared, settings
        self.pool, self.bar, self.checkpoint, self.near = pool, bar, checkpoint, near
        self.deadline = deadline
        self.starts: dict[int, Start] = {}
        self.progress: dict[tuple[int, int], Progress] = {}
        self.root, self.stop = jax.random.key(settings.seed), Event()

    def begin(self, parts: Sequence[int]) -> dict[int, list[Future[list[Draws]]]]:
        """Find the modes; chains of a part begin when its own is found, so that no core waits."""
        started = {part: self.pool.submit(self._begin_part, part) for part in parts}
        return {part: future.result() for part, future in started.items()}

    def _begin_part(self, part: int) -> list[Future[list[Draws]]]:
        start = self.starts[part] = self._start(part)
        chains = self.settings.chains
        self.bar.begins(chains * (self.settings.warmup - self.sampler.warmup_of(start)))
        return [self._submit(part, number, self.settings.draws) for number in range(chains)]

    def may_go_on(self, part: int) -> bool:
        """Tell whether chains of a part go on where they have not converged: steps of NUTS take too long."""
        judged = self.settings.chains > 1 and self.settings.chains * self.settings.draws >= _JUDGED
        return judged and not self.stop.is_set() and self.starts[part].proposes

    def refit(self, part: int, z: NDArray) -> bool:
        """Fit the proposal of a part to the draws (draw, parameter) of its chains; tell whether it was."""
        start = self.sampler.refitted(self.starts[part], z)
        if start is None:
            return False
        self.starts[part] = start
        if self.checkpoint:
            self.checkpoint.save_start(part, start)
        return True

    def go_on(self, part: int, draws: int) -> list[Future[list[Draws]]]:
        """Let the chains of a part go on until they have so many draws each."""
        chains = range(self.settings.chains)
        self.bar.grows(sum(max(draws - _length(self.progress[part, n].draws), 0) for n in chains))
        return [self._submit(part, number, draws) for number in chains]

    def _submit(self, part: int, number: int, draws: int) -> Future[list[Draws]]:
        """Run a chain to its end; where time is short, a block of each in turn, so that all come as far."""
        chain = self._chain(part, number, draws)
        if self.deadline is None:
            return self.pool.submit(_to_the_end, chain)
        whole: Future[list[Draws]] = Future()

        def go_on() -> None:
            try:
                blocks, ended = next(chain)
                if ended:
                    whole.set_result(blocks)
                else:
                    self.pool.submit(go_on)
            except BaseException as error:
                whole.set_exception(error)

        self.pool.submit(go_on)
        return whole

    def _start(self, part: int) -> Start:
        """Where chains of a part begin, and how they are sampled."""
        known = self.checkpoint.start(part) if self.checkpoint else None
        if known is not None:
            return known
        rng = np.random.default_rng([self.settings.seed, part])
        near = self.near[part] if self.near else None
        found = self.sampler.begin(self.root, self.shared[part], rng, near)
        if self.checkpoint:
            self.checkpoint.save_start(part, found)
        return found

    def _chain(self, part: int, number: int, draws: int) -> Iterator[tuple[list[Draws], bool]]:
        """Run one chain until it has so many draws, or all stop; what there is is kept now and then.

        Yields, after each block, what there is, and whether that is all.
        """
        key = jax.random.fold_in(jax.random.fold_in(self.root, part), number)
        checkpoint = self.checkpoint
        before = self.progress.get((part, number))
        if before is None and checkpoint:
            before = checkpoint.chain(part, number)
            if before:
                self.bar.known(before.warmed + min(_length(before.draws), draws))
        warmed, blocks = (before.warmed, before.draws) if before else (0, [])
        if before and _length(blocks) >= draws:
            self.progress[part, number] = before
            yield blocks, True
            return
        saved = time.monotonic()
        for block in self.sampler.chain(key, self.shared[part], self.starts[part], draws, before):
            if isinstance(block, Draws):
                blocks.append(block)
            else:
                warmed += block.n
            self.bar.done(len(block.z) if isinstance(block, Draws) else block.n)
            if self.deadline is not None and time.monotonic() > self.deadline:
                self.stop.set()
            due = self.stop.is_set() or time.monotonic() - saved > CHECKPOINT_SECONDS
            done = _length(blocks) >= draws
            if done or (checkpoint and due):
                now = Progress(warmed, blocks, freeze(block.state))
                if checkpoint:
                    checkpoint.save_chain(part, number, now)
                    saved = time.monotonic()
                if done:
                    self.progress[part, number] = now
            yield blocks, done or self.stop.is_set()


def _length(blocks: Sequence[Draws]) -> int:
    """Draws of a chain."""
    return sum(len(block.z) for block in blocks)


def _to_the_end(chain: Iterator[tuple[list[Draws], bool]]) -> list[Draws]:
    return next(blocks for blocks, ended in chain if ended)


def _thinned(blocks: Sequence[Draws], draws: int, times: int, refitted: bool) -> Draws:
    """Join the blocks of a chain that became `times` as long; of every so many draws the last one stays.

    Those before the proposal was fitted to them are left out.
    """
    if not blocks:
        return Draws(np.zeros((0, 0)), {})
    first, every = (draws, times - 1) if refitted and times > 1 else (0, times)
    kept = slice(first + every - 1, first + every * draws, every)
    statistics = {name: np.concatenate([b.statistics[name] for b in blocks]) for name in blocks[0].statistics}
    return _taken(Draws(np.concatenate([b.z for b in blocks]), statistics), kept)


def _taken(chain: Draws, which: slice) -> Draws:
    return Draws(chain.z[which], {name: x[which] for name, x in chain.statistics.items()})
