"""The independent fits of a run (one for each band) as tasks for other processes and machines.

A worker runs one fit as a single process would, and sends back the contents of its checkpoint. The run is
then assembled like a resumed run whose chains have all ended. So draws are the same bit for bit, and an
interrupted run can be resumed here or elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ridgebayes.errors import command
from ridgebayes.inference.kernels import Progress
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mode import Gaussian
from ridgebayes.inference.progress import tqdm, wanted
from ridgebayes.inference.runner import Chains, Clock, run_chains, sampler_of
from ridgebayes.inference.sampler import Sampler, Start
from ridgebayes.inference.settings import Device, Settings, resolve_device
from ridgebayes.inference.store import Store
from ridgebayes.likelihood.design import FitData
from ridgebayes.parallel.scheduler import Scheduler
from ridgebayes.parallel.tasks import GO_ON, run
from ridgebayes.runs.sent import Sent


@dataclass
class Kept:
    """A checkpoint of some parts, in memory.

    Attributes
    ----------
    starts
        Part → start of its chains.
    chains
        (Part, number) → progress of that chain.
    """

    starts: dict[int, Start] = field(default_factory=dict)
    chains: dict[tuple[int, int], Progress] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        """No run directory."""
        return Path("run in memory")

    def start(self, part: int) -> Start | None:
        """Return the start of the chains of a part; None if it is not known yet."""
        return self.starts.get(part)

    def save_start(self, part: int, start: Start) -> None:
        """Keep the start of the chains of a part."""
        self.starts[part] = start

    def chain(self, part: int, number: int) -> Progress | None:
        """Return the progress of a chain; None if it has not started."""
        return self.chains.get((part, number))

    def save_chain(self, part: int, number: int, progress: Progress) -> None:
        """Keep the progress of a chain."""
        self.chains[part, number] = progress


@dataclass(frozen=True)
class Part:
    """One of the fits, as a task.

    Attributes
    ----------
    number
        Number of the fit.
    name
        Name of its band.
    kept
        Its progress.
    """

    number: int
    name: str
    kept: Kept

    def __str__(self) -> str:
        return f"fit of {self.name}"


@dataclass(frozen=True)
class Fits:
    """The work on the fits of a run, which is sent to workers.

    Attributes
    ----------
    sent
        Model and data.
    settings
        How to sample.
    workers
        Chains at a time; by default as many as cores.
    near
        Approximations near which the modes are searched.
    """

    sent: Sent
    settings: Settings
    workers: int | None = None
    near: Sequence[Gaussian] = ()

    def __call__(self, part: Part) -> Kept:
        """Run the chains of one part to their end."""
        posterior, sampler, parts = self.sent.made(self._compiled)
        run_chains(
            posterior,
            parts,
            self.settings,
            resolve_device(self.settings.chains, self.workers),
            Clock(),
            progress=False,
            checkpoint=part.kept,
            near=self.near,
            only=[part.number],
            sampler=sampler,
        )
        return part.kept

    def _compiled(
        self, posterior: Posterior, parts: list[FitData]
    ) -> tuple[Posterior, Sampler, list[FitData]]:
        return posterior, sampler_of(posterior, parts, self.settings), parts


def fit_elsewhere(
    fits: Fits, names: Sequence[str], store: Store, scheduler: Scheduler, *, progress: bool
) -> None:
    """Run the chains of all fits, and store the results of each as it ends.

    Parameters
    ----------
    fits
        The work.
    names
        Names of the fits.
    store
        Earlier progress, to which results are added.
    scheduler
        Where the fits run.
    progress
        Show a progress bar on stderr.

    Raises
    ------
    InputError
        If workers were lost, or refused the work.
    """
    numbers = range(fits.settings.chains)
    tasks = []
    for k, name in enumerate(names):
        kept = Kept()
        if (start := store.start(k)) is not None:
            kept.save_start(k, start)
        for number in numbers:
            if (chain := store.chain(k, number)) is not None:
                kept.save_chain(k, number, chain)
        tasks.append(Part(k, name, kept))
    kept_somewhere = not isinstance(store, Kept)
    resume = f"go on with `{command('resume', store.run)}`"
    done = 0
    with tqdm(total=len(tasks), disable=not progress, desc="fits", unit="fit") as bar:
        try:
            for part, kept in run(fits, tasks, scheduler, go_on=resume if kept_somewhere else GO_ON):
                store.save_start(part.number, kept.starts[part.number])
                for number in numbers:
                    store.save_chain(part.number, number, kept.chains[part.number, number])
                done += 1
                bar.update()
        except KeyboardInterrupt:
            if not kept_somewhere:
                raise
            raise KeyboardInterrupt(
                f"stopped after {done} of {len(tasks)} fits, which are kept: {resume}"
            ) from None


def run_anywhere(
    posterior: Posterior,
    parts: list[FitData],
    settings: Settings,
    device: Device,
    clock: Clock,
    *,
    place: Scheduler,
    fits: Callable[[], Fits],
    names: Sequence[str],
    checkpoint: Store | None = None,
    near: Sequence[Gaussian] = (),
    progress: bool | None = None,
    max_time: float | None = None,
) -> Chains:
    """Run the chains of all parts, in this process or elsewhere.

    Parameters
    ----------
    posterior, parts, settings, device, clock, near, progress, max_time
        As in `ridgebayes.inference.runner.run_chains`.
    place
        Where the fits run.
    fits, names
        Makes the work for workers elsewhere; names of the fits.
    checkpoint
        Where progress is kept; by default in memory, and only if fits run elsewhere.
    """
    if not place.here:
        checkpoint = checkpoint or Kept()
        fit_elsewhere(fits(), names, checkpoint, place, progress=wanted(progress))
        clock.lap("elsewhere")
    return run_chains(
        posterior,
        parts,
        settings,
        device,
        clock,
        checkpoint=checkpoint,
        near=near,
        progress=progress,
        max_time=max_time,
    )
