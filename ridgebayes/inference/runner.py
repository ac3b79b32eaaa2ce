"""Run the chains of all parts of a fit: threads, progress, checkpoints."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from ridgebayes.errors import InputError, command
from ridgebayes.inference.kernels import Draws, Progress, freeze
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mixing import JUDGED, mixed
from ridgebayes.inference.mode import Gaussian, Potential
from ridgebayes.inference.progress import ProgressBar, wanted
from ridgebayes.inference.sampler import Sampler, Start
from ridgebayes.inference.settings import TIMES, Device, Settings
from ridgebayes.inference.sharding import several
from ridgebayes.inference.store import Store
from ridgebayes.inference.tuning import MOVES
from ridgebayes.likelihood.design import FitData
from ridgebayes.parallel.cores import one_blas_thread

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 5.0
"""Time between checkpoints of a chain."""
MIN_DRAWS = 50
"""Fewest draws of each chain for a run whose chains were stopped."""
_MARGIN = 1.2
"""Chains count as converged if R-hat and ESS are better than their limits by this factor."""


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
    """Draws of all chains.

    Attributes
    ----------
    z
        Unconstrained draws, (part, chain, draw, parameter).
    statistics
        Sample statistics, (part, chain, draw).
    times
        Factor by which the chains of each part were lengthened; also the thinning interval.
    dropped
        First draws of the chains of each part that are left out, as the proposal was changed after them.
    stopped
        When the chains were stopped early, in words; empty if they were not.
    """

    z: NDArray
    statistics: dict[str, NDArray]
    times: tuple[float, ...]
    dropped: tuple[int, ...]
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

    Chains of proposals that have not converged are lengthened up to eight times (`TIMES`). Where that helps,
    the proposal is first widened or refitted to the draws so far (`Sampler.refitted`), which are then
    dropped. With outliers the first `MOVES.look` draws tell already whether it is too narrow.

    Parameters
    ----------
    posterior, parts, settings, device
        Posterior, data of each part, and how and where to sample.
    clock
        Records the time of each stage.
    progress
        Show a progress bar; by default in terminals and notebooks.
    checkpoint
        Where progress is kept. Chains continue from what it has.
    near
        Approximations of each part, near which the search for its mode starts.
    max_time
        Minutes after which all chains stop; the run then has as many draws as the shortest chain.
    only
        Numbers of the parts to run; by default all.
    sampler
        Sampler that `sampler_of` made for these parts, which saves a second compilation.

    Raises
    ------
    InputError
        If chains are stopped before each has `MIN_DRAWS` draws.
    """
    if max_time is not None and not max_time > 0:
        raise InputError(f"max_time = {max_time}: must be more than 0 minutes")
    deadline = None if max_time is None else time.monotonic() + 60 * max_time
    potential, shared = several(posterior, parts, settings.devices)
    numbers = only or range(len(parts))
    iterations = len(numbers) * settings.chains * (_least_warmup(settings) + settings.draws)
    if sampler is None:
        sampler = sampler_of(
            posterior,
            parts,
            settings,
            potential if settings.devices > 1 else None,
            threads=device.workers,
            fits=len(numbers),
        )
    with (
        ProgressBar(len(numbers), iterations, shown=wanted(progress)) as bar,
        ThreadPoolExecutor(device.workers) as pool,
    ):
        run = _Chains(sampler, shared, settings, pool, bar, checkpoint, near, deadline)
        try:
            running = run.begin(numbers)
            clock.lap("mode")
            kept, times, dropped, cut = _until_converged(run, running)
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
    return Chains(z, statistics, tuple(times), tuple(dropped), stopped)


def sampler_of(
    posterior: Posterior,
    parts: Sequence[FitData],
    settings: Settings,
    potential: Potential | None = None,
    *,
    threads: int = 1,
    fits: int = 1,
) -> Sampler:
    """Make the sampler for all parts of a fit; give `potential` if devices share it."""
    return Sampler(
        posterior,
        parts[0],
        warmup=settings.warmup,
        target_accept=settings.target_accept,
        max_tree_depth=settings.max_tree_depth,
        method=settings.sampler,
        potential=potential,
        threads=threads,
        fits=fits,
    )


def _until_converged(
    run: _Chains, running: dict[int, list[Future[list[Draws]]]]
) -> tuple[list[Draws], list[float], list[int], bool]:
    """Wait for the chains of all parts, and lengthen those that have not converged.

    Returns
    -------
    list
        Draws of each chain, part by part, thinned to the number that the settings ask for.
    list
        Factor by which the chains of each part were lengthened, (part,).
    list
        First draws of the chains of each part that are left out, (part,).
    bool
        Whether chains were stopped while they were being lengthened.
    """
    draws = run.settings.draws
    times, found = dict.fromkeys(running, TIMES[0]), dict[int, list[list[Draws]]]()
    waiting, cut = deque(running.items()), False

    def dropped(part: int) -> int:
        """Drop no more draws than chains that were stopped made afterwards."""
        first = run.starts[part].dropped
        return first if min(map(_length, found[part])) >= 2 * first else 0

    def kept(part: int) -> list[Draws]:
        return [_thinned(chain, dropped(part), draws, times[part]) for chain in found[part]]

    while waiting:
        part, chains = waiting.popleft()
        found[part] = [chain.result() for chain in chains]
        length = min(map(_length, found[part]))
        if length < run.goals[part]:
            cut |= length >= draws
            times[part] = TIMES[max(TIMES.index(times[part]) - 1, 0)]
        elif run.goals[part] < draws:
            z = np.stack([_thinned(chain, 0, run.goals[part], 1).z for chain in found[part]])
            run.change(part, z, run.sampler.widened)
            waiting.append((part, run.go_on(part, draws)))
        elif run.may_go_on(part) and times[part] < TIMES[-1]:
            z = np.stack([chain.z for chain in kept(part)])
            if not mixed(z, margin=_MARGIN):
                if times[part] > 1 or not run.change(part, z, run.sampler.refitted):
                    times[part] = TIMES[TIMES.index(times[part]) + 1]
                waiting.append((part, run.go_on(part, int(times[part] * draws))))
    first = [dropped(part) for part in running]
    return [chain for part in running for chain in kept(part)], list(times.values()), first, cut


def _check_enough(draws: int, stopped: str, checkpoint: Store | None) -> None:
    if draws >= MIN_DRAWS:
        return
    if checkpoint is None:
        raise InputError(f"stopped {stopped}, too few for a run: give more max_time=...")
    go_on = command("resume", checkpoint.run)
    raise InputError(f"stopped {stopped}, too few for a run; all are kept: go on with `{go_on}`")


class _Chains:
    """The chains of all parts, run by a pool of threads until `stop` is set."""

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
        self.goals: dict[int, int] = {}  # draws of each chain of a part when it next ends
        self.progress: dict[tuple[int, int], Progress] = {}
        self.root, self.stop = jax.random.key(settings.seed), Event()

    def begin(self, parts: Sequence[int]) -> dict[int, list[Future[list[Draws]]]]:
        """Find the modes. Chains of a part start as soon as its mode is found, so that no core waits."""
        started = {part: self.pool.submit(self._begin_part, part) for part in parts}
        return {part: future.result() for part, future in started.items()}

    def _begin_part(self, part: int) -> list[Future[list[Draws]]]:
        start = self.starts[part] = self._start(part)
        chains, draws = range(self.settings.chains), start.dropped + self.settings.draws
        looks = start.hit is not None and not start.dropped and self.may_go_on(part)
        self.goals[part] = min(MOVES.look, draws) if looks else draws
        warmup = self.sampler.warmup_of(start) - _least_warmup(self.settings)
        self.bar.begins(len(chains) * (warmup + start.dropped))
        return [self._submit(part, number, self.goals[part]) for number in chains]

    def may_go_on(self, part: int) -> bool:
        """Tell whether chains of a part may be lengthened: those of NUTS would take too long."""
        judged = self.settings.chains > 1 and self.settings.chains * self.settings.draws >= JUDGED
        return judged and not self.stop.is_set() and self.starts[part].proposes

    def change(
        self, part: int, z: NDArray, by: Callable[[Start, NDArray, FitData, int], Start | None]
    ) -> bool:
        """Change the proposal of a part, once, by draws (chain, draw, parameter), if they call for it."""
        if self.starts[part].dropped:
            return False
        start = by(self.starts[part], z, self.shared[part], self.settings.seed)
        if start is None:
            return False
        self.starts[part] = start
        if self.checkpoint:
            self.checkpoint.save_start(part, start)
        return True

    def go_on(self, part: int, draws: int) -> list[Future[list[Draws]]]:
        """Continue the chains of a part until each has `draws` draws after those that are dropped."""
        before, goal = self.goals[part], self.starts[part].dropped + draws
        self.goals[part] = goal
        chains = range(self.settings.chains)
        planned = max(before, self.settings.draws)
        if goal > planned:
            self.bar.grows(len(chains) * (goal - planned), judged=before >= self.settings.draws)
        return [self._submit(part, number, goal) for number in chains]

    def _submit(self, part: int, number: int, draws: int) -> Future[list[Draws]]:
        """Run a chain to its end; with a deadline, run blocks of all chains in turn, so that none lags."""
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
        """Return start and method of the chains of a part, from the checkpoint if it has them."""
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
        """Run one chain until it has `draws` draws or all chains stop, with regular checkpoints.

        Yields after each block all draws so far, and whether the chain has ended.
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


def _least_warmup(settings: Settings) -> int:
    """Return the iterations of warm-up of a chain before it is known whether it needs those of NUTS."""
    return min(settings.warmup, MOVES.settling)


def _length(blocks: Sequence[Draws]) -> int:
    """Draws of a chain."""
    return sum(len(block.z) for block in blocks)


def _to_the_end(chain: Iterator[tuple[list[Draws], bool]]) -> list[Draws]:
    return next(blocks for blocks, ended in chain if ended)


def _thinned(blocks: Sequence[Draws], first: int, draws: int, times: float) -> Draws:
    """Join the blocks of a chain, leave out its `first` draws, and keep one of every `times` others."""
    if not blocks:
        return Draws(np.zeros((0, 0)), {})
    kept = first + (times * np.arange(1, draws + 1)).astype(int) - 1
    kept = kept[kept < _length(blocks)]
    statistics = {name: np.concatenate([b.statistics[name] for b in blocks]) for name in blocks[0].statistics}
    return _taken(Draws(np.concatenate([b.z for b in blocks]), statistics), kept)


def _taken(chain: Draws, which: slice | NDArray) -> Draws:
    return Draws(chain.z[which], {name: x[which] for name, x in chain.statistics.items()})
