"""Check a run: replicate, fit again, compare."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ridgebayes.checks.background import background
from ridgebayes.checks.bands import bands
from ridgebayes.checks.crab import crab
from ridgebayes.checks.design import Design, Residuals, design, residuals
from ridgebayes.checks.galaxy import galaxy
from ridgebayes.checks.noise import noise
from ridgebayes.checks.pvalues import compared, limit
from ridgebayes.checks.refit import Around, Recipe
from ridgebayes.checks.results import QUANTILES, Checks, CurveResult, Result
from ridgebayes.checks.statistic import Curve, Statistic, Views
from ridgebayes.comparison.trials import Trial, Trials
from ridgebayes.errors import InputError
from ridgebayes.runs.intensity import CI_PROB, provenance
from ridgebayes.runs.reload import Reopened, reopen
from ridgebayes.runs.run import Run
from ridgebayes.table.scw import ScWTable

logger = logging.getLogger(__name__)

DRAWS = 100
_FEWEST = 20


def check(
    run: Run,
    scws: ScWTable | str | Path | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    trials: bool = True,
    progress: bool = False,
) -> Checks:
    """Compare the data of a run with data that its posterior would give.

    Parameters
    ----------
    run
        The run.
    scws
        The ScW table that was fitted, or where it is now; by default where it was.
    draws
        Replicates, each from another draw of the posterior.
    seed
        Everything random follows from it.
    trials
        Where something is found, try the extras that are not open (`ridgebayes.comparison.trials`): findings
        are ranked and worded by what helps.
    progress
        Show a progress bar on stderr.

    Raises
    ------
    InputError
        When the table is not there or not the same, there are too few draws, or the revolution terms of the
        run were sampled.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> checks = rb.check(rb.Run.open("runs/first"), draws=30)
    >>> checks.found  # subjects in which something was found
    ()
    """
    again = reopen(run, scws)
    found = compare(again, draws=draws, seed=seed, progress=progress, meta=provenance(run))
    return replace(found, trials=_trials(run, again, progress=progress)) if trials and found.found else found


def _trials(run: Run, again: Reopened, *, progress: bool) -> tuple[Trial, ...]:
    """Try the extras of a run, where these can be tried."""
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
) -> Checks:
    """Check what was reopened; arguments as those of `check`.

    Parameters
    ----------
    recipe
        Compiled for the same model and data of the same shapes.
    meta
        Where the run comes from.
    """
    flat = again.z.reshape(len(again.parts), -1, again.z.shape[-1])
    if draws < _FEWEST:
        raise InputError(f"draws = {draws}: a check needs at least {_FEWEST}")
    if flat.shape[1] < draws:
        raise InputError(f"draws = {draws}: the run has {flat.shape[1]}; ask for fewer, or fit with more")
    recipe = recipe or Recipe(again.posterior)
    around = [Around.of(z) for z in flat]
    prepared = again.prepared
    known = design(prepared, [recipe.expected(*pair) for pair in zip(again.parts, around, strict=True)])
    statistics, curves = views(known)
    every = list(zip(again.parts, around, strict=True))
    left = [recipe.left(part.rate, part, near) for part, near in every]
    observed = _evaluate(residuals(prepared, known, left), statistics, curves)

    rows = np.linspace(0, flat.shape[1] - 1, draws).round().astype(int)
    keys = jax.random.split(jax.random.key(seed), (draws, len(every)))
    replicated = []
    pace = 0.2 if sys.stderr.isatty() else 30.0
    for number in tqdm(range(draws), disable=not progress, desc="replicates", unit="", mininterval=pace):
        left = [
            recipe.left(recipe.replicate(flat[k, rows[number]], keys[number, k], part), part, near)
            for k, (part, near) in enumerate(every)
        ]
        replicated.append(_evaluate(residuals(prepared, known, left), statistics, curves))
    names = tuple(band.name for band in prepared.scws.bands)
    results = _results(statistics, names, observed[0], [values for values, _ in replicated])
    drawn = {
        curve.name: _curve(curve, observed[1][i], [values[i] for _, values in replicated])
        for i, curve in enumerate(curves)
    }
    model = again.model
    return Checks(results, drawn, names, model.extras, draws, limit(len(results)), meta or {})


def views(known: Design) -> Views:
    """All statistics and curves that a design allows."""
    each = [make(known) for make in (noise, background, galaxy, crab, bands)]
    return [s for some, _ in each for s in some], [c for _, some in each for c in some]


def _evaluate(
    r: Residuals, statistics: Sequence[Statistic], curves: Sequence[Curve]
) -> tuple[list[NDArray], list[NDArray]]:
    return [s.value(r) for s in statistics], [c.value(r) for c in curves]


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
        warnings.simplefilter("ignore", RuntimeWarning)  # bins that hold no ScW
        quantiles = np.nanquantile(np.stack(replicated), QUANTILES, axis=0)
    return CurveResult(curve.name, curve.x, curve.x_label, curve.y_label, observed, quantiles)
