"""A campaign of simulation-based calibration: run remaining simulations and store their results."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ridgebayes.errors import InputError
from ridgebayes.inference.progress import tqdm, wanted
from ridgebayes.inference.settings import Device, Settings
from ridgebayes.instrument.response import Response
from ridgebayes.model import Model
from ridgebayes.parallel.scheduler import Scheduler
from ridgebayes.parallel.tasks import run
from ridgebayes.runs.metadata import record_of
from ridgebayes.runs.sampling import independent, meet
from ridgebayes.sbc.base import base_mission
from ridgebayes.sbc.folder import Folder, Ranks, read_ranks
from ridgebayes.sbc.task import Task
from ridgebayes.table.scw import ScWTable

SIMULATIONS, DRAWS = 200, 99


def run_sbc(
    model: Model,
    simulations: int = SIMULATIONS,
    *,
    out: str | Path,
    scws: ScWTable | None = None,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    draws: int = DRAWS,
    settings: Settings | None = None,
    scheduler: str | None = None,
    progress: bool | None = None,
) -> Ranks:
    """Simulate data from the prior of a model, fit them, and rank the truths among posterior draws.

    Simulations in `out` are reused, so a campaign can be resumed or extended. Ranks depend only on the seed
    and the number of a simulation.

    Parameters
    ----------
    model
        Model, such as ``ridgebayes.models.regions(sky)``. Truths are drawn from its priors.
    simulations
        Total number of simulations.
    out
        Folder of the campaign.
    scws
        Table with pointings, times and errors; its rates are used only for the two reference scales. By
        default a small simulated mission.
    response, crab_rate
        As in `ridgebayes.sample`.
    draws
        Number of posterior draws for the ranks: ``--rank-draws`` of ``ridgebayes sbc``. Chains are at least
        five times longer.
    settings
        Seed, warm-up, and acceptance and tree depth of NUTS.
    scheduler
        Where simulations run: ``"local"`` (the default), a process on every core of this machine;
        ``"local:4"``, four processes; or the address of a Dask scheduler. Processes are spawned, so scripts
        must call this function under ``if __name__ == "__main__"``.
    progress
        Show a progress bar on stderr; by default in a terminal and in a notebook.

    Returns
    -------
    Ranks
        Ranks of all simulations of the campaign.

    Raises
    ------
    InputError
        If `out` contains a campaign of another model, other data or other versions of the software.
    """
    if simulations < 1 or draws < 1:
        raise InputError(f"simulations = {simulations}, draws = {draws}: must be at least 1")
    place = Scheduler.of(scheduler)
    task = make_task(model, scws, response=response, crab_rate=crab_rate, draws=draws, settings=settings)
    folder = Folder(Path(out), task.record)
    try:
        done = folder.done()
        left = [number for number in range(simulations) if number not in done]
        pace = 0.2 if sys.stderr.isatty() else 30.0
        with tqdm(
            total=simulations,
            initial=simulations - len(left),
            disable=not wanted(progress),
            desc="simulations",
            unit="it",
            mininterval=pace,
        ) as bar:
            for _, result in run(task, left, place):
                folder.add(result)
                bar.update()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped: {len(folder.done())} simulations are kept in {out}: run again to go on"
        ) from None
    finally:
        folder.close()
    return read_ranks(out)


def make_task(
    model: Model,
    scws: ScWTable | None = None,
    *,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    draws: int = DRAWS,
    settings: Settings | None = None,
) -> Task:
    """Prepare a campaign for workers; arguments as in `run_sbc`."""
    settings = settings or Settings()
    table = base_mission(model) if scws is None else scws
    model, prepared = meet(model, table, response=response, crab_rate=crab_rate)
    record: dict[str, Any] = record_of(model, prepared, settings, Device("", "", 1))
    del record["sampling"], record["warnings"]
    record["sbc"] = {
        "draws": draws,
        **{n: getattr(settings, n) for n in ("warmup", "seed", "target_accept", "max_tree_depth")},
    }
    parts = tuple(jax.tree.map(np.asarray, part) for part in independent(model, prepared.data))
    labels = {
        "coords": {axis: [str(name) for name in names] for axis, names in prepared.coords.items()},
        "dims": {name: parameter.dims for name, parameter in model.parameters.items()},
    }
    return Task(record, model.sky, parts, labels)
