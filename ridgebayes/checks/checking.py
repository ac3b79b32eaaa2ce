"""Check a run: simulate replicates, refit, compare."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ridgebayes.checks.pvalues import compared, limit
from ridgebayes.checks.refit import Recipe
from ridgebayes.checks.replicates import Replicates, views
from ridgebayes.checks.results import QUANTILES, Checks, CurveResult, Result
from ridgebayes.checks.statistic import Curve, Statistic
from ridgebayes.comparison.trials import Trial, Trials
from ridgebayes.errors import InputError
from ridgebayes.inference.progress import tqdm, wanted
from ridgebayes.parallel.tasks import run as run_tasks
from ridgebayes.runs.intensity import CI_PROB, provenance
from ridgebayes.runs.reload import Reopened, reopen
from ridgebayes.runs.run import Run, as_run
from ridgebayes.table.scw import ScWTable

logger = logging.getLogger(__name__)

DRAWS = 100
_FEWEST = 20


def check(
    run: Run | str | Path,
    scws: ScWTable | str | Path | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    trials: bool = True,
    progress: bool | None = None,
    scheduler: str | None = None,
) -> Checks:
    """Compare the data of a run with replicates from its posterior.

    Parameters
    ----------
    run
        The run, or its directory.
    scws
        The fitted ScW table, or its current path; by default its original path.
    draws
        Number of replicates, each from a different draw of the posterior: ``--replicates`` of
        ``ridgebayes check``.
    seed
        Seed of all random draws.
    trials
        If there are findings, try extras that the model does not have
        (`ridgebayes.comparison.trials`); verdicts are sorted by, and mention, those that help.
    progress
        Show a progress bar on stderr; by default in a terminal and in a notebook.
    scheduler
        Where replicates are fitted, as in `ridgebayes.sample`; trials run in this process.

    Raises
    ------
    InputError
        If the table is missing or differs, there are too few draws, or the run sampled the revolution terms.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> checks = rb.check(rb.open_run("runs/first"), draws=30)
    >>> checks.found  # subjects in which something was found
    ()
    """
    run, progress = as_run(run), wanted(progress)
    again = reopen(run, scws)
    found = compare(
        again,
        draws=draws,
        seed=seed,
        progress=progress,
        meta=provenance(run),
        record=run.record,
        scheduler=scheduler,
    )
    return replace(found, trials=_trials(run, again, progress=progress)) if trials and found.found else found


def _trials(run: Run, again: Reopened, *, progress: bool) -> tuple[Trial, ...]:
    """Try the extras of a run, if possible."""
    prepared = again.prepared
    rates = run.record["data"]["crab_rate"] or None
    how: dict[str, Any] = {"response": prepared.response, "crab_rate": rates, "scales": prepared.scales}
    try:
        return tuple(Trials(again.model, prepared.scws, **how).ranked(progress=progress))
    except InputError as error:
        logger.info("extras were not tried: %s", error)
        return ()


def compare(
    again: Reopened,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    progress: bool = False,
    recipe: Recipe | None = None,
    meta: dict[str, Any] | None = None,
    record: dict[str, Any] | None = None,
    scheduler: str | None = None,
) -> Checks:
    """Check a reloaded run; arguments as in `check`.

    Parameters
    ----------
    recipe
        Recipe compiled for the same model and shapes.
    meta
        Origin of the run.
    record
        Record of the run, from which other processes build its model; required with a scheduler.
    """
    flat = again.z.reshape(len(again.parts), -1, again.z.shape[-1])
    if draws < _FEWEST:
        raise InputError(f"draws = {draws}: a check needs at least {_FEWEST}")
    if flat.shape[1] < draws:
        raise InputError(f"draws = {draws}: the run has {flat.shape[1]}; ask for fewer, or fit with more")
    work = Replicates.of(again, recipe or Recipe(again.posterior), draws, seed, record)
    statistics, curves = views(work.known)
    observed = work.observed()
    pace = 0.2 if sys.stderr.isatty() else 30.0
    ended = run_tasks(work, range(draws), scheduler, threaded=True)
    shown = tqdm(ended, total=draws, disable=not progress, desc="replicates", unit="", mininterval=pace)
    replicated = [values for _, values in sorted(shown, key=lambda one: one[0])]
    names = tuple(band.name for band in again.prepared.scws.bands)
    results = _results(statistics, names, observed[0], [values for values, _ in replicated])
    drawn = {
        curve.name: _curve(curve, observed[1][i], [values[i] for _, values in replicated])
        for i, curve in enumerate(curves)
    }
    model = again.model
    return Checks(results, drawn, names, model.extras, draws, limit(len(results)), meta or {})


def _results(
    statistics: Sequence[Statistic],
    bands: Sequence[str],
    observed: list[NDArray],
    replicated: list[list[NDArray]],
) -> tuple[Result, ...]:
    rows = []
    for i, statistic in enumerate(statistics):
        values = np.stack([each[i] for each in replicated])
        for k, band in enumerate(bands):
            if not (np.isfinite(observed[i][k]) and np.isfinite(values[:, k]).all()):
                continue
            found = compared(
                float(statistic.score(observed[i][k])),
                statistic.score(values[:, k]),
                statistic.sides,
                statistic.least_sd,
            )
            lo, hi = np.quantile(values[:, k], [(1 - CI_PROB) / 2, (1 + CI_PROB) / 2])
            told = (float(observed[i][k]), float(values[:, k].mean()), float(lo), float(hi))
            rows.append(Result(statistic.name, statistic.what, band, *told, found.p, found.z, False))
    bound = limit(len(rows))
    return tuple(row._replace(found=row.p < bound) for row in rows)


def _curve(curve: Curve, observed: NDArray, replicated: list[NDArray]) -> CurveResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # bins without ScWs
        quantiles = np.nanquantile(np.stack(replicated), QUANTILES, axis=0)
    return CurveResult(curve.name, curve.x, curve.x_label, curve.y_label, observed, quantiles)
