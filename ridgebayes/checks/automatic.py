"""Fit with an automatic choice of extras (``--extra auto``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ridgebayes.checks.checking import check
from ridgebayes.checks.results import Checks
from ridgebayes.comparison.trials import FEWEST_REVOLUTIONS, MOST_SCWS, Trial, Trials
from ridgebayes.inference.progress import wanted
from ridgebayes.instrument.response import Response
from ridgebayes.model import Model
from ridgebayes.runs.run import Run
from ridgebayes.runs.sampling import sample
from ridgebayes.table.formats import as_scws
from ridgebayes.table.scw import ScWTable

AUTO = "auto"
"""Value of `--extra`, and key of the selection steps in the record of a run."""


def sample_auto(
    model: Model,
    scws: ScWTable | str | Path,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    most_scws: int = MOST_SCWS,
    **options: Any,
) -> Run:
    """Sample a model with the extras that improve its prediction of left-out revolutions.

    Extras are tried (`ridgebayes.comparison.trials`) on a subset of revolutions and added if they help. Then
    the model is sampled and the run checked. If the check has a finding, the remaining extras are tried on
    all revolutions; if one helps, the model is sampled again with it.

    Parameters
    ----------
    model
        The model; its existing extras are kept.
    scws
        The ScW rate table, or its file.
    out, overwrite, progress, response, crab_rate
        As in `ridgebayes.sample`.
    most_scws
        Maximum number of ScWs in the first trials.
    **options
        Other arguments of `ridgebayes.sample`.

    Returns
    -------
    Run
        Its record contains the selection under ``auto``: for each round the tried extras and the number of
        revolutions, the added extras, and the findings of the check.

    Raises
    ------
    InputError
        As in `ridgebayes.sample`, and if no parameter of the model can be integrated out.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> model = rb.models.regions(rb.sky.load("milkyway"))
    >>> run = rb.sample_auto(model, rb.read_scws("mission.fits"), out="runs/auto")  # doctest: +SKIP
    >>> [once["opened"] for once in run.record["auto"]]  # minutes  # doctest: +SKIP
    [['outliers'], []]
    """
    scws = as_scws(scws)
    how: dict[str, Any] = {"response": response, "crab_rate": crab_rate}
    way: list[dict[str, Any]] = []
    for most in (most_scws, len(scws)):
        tried, opened = _tried(model, scws, most, progress=wanted(progress), **how)
        if way and not opened:
            way.append(_round(tried, opened, None))
            break
        model = model.with_extras(*opened)
        again = overwrite or bool(way)
        run = sample(model, scws, out=out, overwrite=again, progress=progress, **how, **options)
        checks = check(run, scws, trials=False, progress=wanted(progress))
        way.append(_round(tried, opened, checks))
        if not checks.found or len(scws) <= most:
            break
    return run.noted(AUTO, way)


def words(way: Sequence[Mapping[str, Any]]) -> list[str]:
    """Describe the selection of the extras of a run, one line per step."""
    lines = []
    for told in way:
        for step in told["tried"]:
            trials = "; ".join(str(Trial(**trial)) for trial in step)
            beside = f" beside {', '.join(step[0]['beside'])}" if step[0]["beside"] else ""
            lines.append(f"tried on {step[0]['revolutions']} revolutions{beside}: {trials}")
        lines.append(f"added: {', '.join(told['opened']) or 'nothing'}")
        if told["check"]:
            lines.append(f"check: {told['check']}")
    return lines


def _tried(
    model: Model, scws: ScWTable, most: int, *, progress: bool, **how: Any
) -> tuple[list[list[Trial]], list[str]]:
    """Try extras until none helps; return the steps and the extras that helped."""
    if np.unique(scws.revolution).size < FEWEST_REVOLUTIONS:
        return [], []
    steps = list(Trials(model, scws, most_scws=most, **how).steps(progress=progress))
    return steps, [step[0].extra for step in steps if step[0].helps]


def _round(tried: list[list[Trial]], opened: list[str], checks: Checks | None) -> dict[str, Any]:
    return {
        "tried": [[trial.recorded() for trial in step] for step in tried],
        "opened": opened,
        "found": list(checks.found) if checks else [],
        "check": checks.verdict if checks else "",
    }
