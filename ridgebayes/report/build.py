"""Collect what a report says, and lay it out."""

from __future__ import annotations

import datetime
from itertools import product
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from astropy.table import QTable

from ridgebayes.checks.automatic import AUTO
from ridgebayes.checks.automatic import words as way_to_extras
from ridgebayes.errors import command
from ridgebayes.inference.diagnostics import MAX_R_HAT, MIN_BFMI, MIN_ESS
from ridgebayes.io.atomic import whole_file
from ridgebayes.report.checks import checks_of
from ridgebayes.report.figures import fit_figures, product_figures
from ridgebayes.report.verdict import Verdict
from ridgebayes.runs.intensity import CI_PROB, CXB_NOTE, best_first
from ridgebayes.runs.run import Run

NAME = "report.html"
WORST = 12
"""Parameters listed under diagnostics, worst first."""


def write_report(run: Run, path: Path | None = None) -> Path:
    """Write the report of a run.

    Parameters
    ----------
    run
        A run that lives in a directory.
    path
        File to write; by default ``report.html`` in the run directory.

    Raises
    ------
    InputError
        When it cannot be written.
    """
    assert run.path is not None
    path = run.path / NAME if path is None else Path(path)
    checks = checks_of(run)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ridgebayes.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    text = environment.get_template("template.html").render(
        run=run,
        record=run.record,
        simulated=run.simulated,
        fitted=_readable(str(run.record["created"])),
        made=_readable(datetime.datetime.now(datetime.UTC).isoformat()),
        verdicts=[_sampler(run), *_data(run), *checks.verdicts],
        way=way_to_extras(run.record.get(AUTO, ())),
        table=_rows(best_first(run.table())) if "sky.intensity" in run.tree["posterior"] else [],
        ci=f"{CI_PROB:.0%}",
        note=CXB_NOTE,
        product_figures=product_figures(run),
        checks=checks,
        fit_figures=list(fit_figures(run)),
        diagnostics=_diagnostics(run),
        limits={"r_hat": MAX_R_HAT, "ess": MIN_ESS, "bfmi": MIN_BFMI},
        seconds=sum(run.record["seconds"].values()),
        commands=_commands(run),
    )
    with whole_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")
    return path


def _readable(time: str) -> str:
    return f"{time[:10]} {time[11:16]} UTC"


def _sampler(run: Run) -> Verdict:
    diagnosis = run.diagnosis
    if diagnosis.failures:
        return Verdict("bad", "Sampler", "; ".join([run.verdict, *diagnosis.warnings]))
    if diagnosis.warnings:
        return Verdict("open", "Sampler", "; ".join([run.verdict, *diagnosis.warnings]))
    r_hat, ess, _ = diagnosis.worst
    return Verdict(
        "good",
        "Sampler",
        f"the chains agree: worst R-hat {r_hat:.4f}, worst bulk ESS {ess:.0f}, no divergences",
    )


def _data(run: Run) -> list[Verdict]:
    unseen = run.record["data"]["unseen_regions"]
    if not unseen:
        return []
    return [Verdict("open", "Coverage", f"no ScW sees {', '.join(unseen)}: prior only")]


def _rows(table: QTable) -> list[dict[str, Any]]:
    rows = []
    for row in table:
        value = {name: getattr(row[name], "value", row[name]) for name in table.colnames}
        value["truth"] = value.get("truth", np.nan)
        value["fov_truth"] = value.get("fov_truth", np.nan)
        rows.append(value)
    return rows


def _diagnostics(run: Run) -> list[tuple[str, float, float, float]]:
    """R-hat, bulk and tail ESS of the parameters sampled worst."""
    diagnosis = run.diagnosis
    found = []
    for name, r_hat in diagnosis.r_hat.items():
        stacked = (
            np.ravel(d[name].values) for d in (diagnosis.r_hat, diagnosis.ess_bulk, diagnosis.ess_tail)
        )
        labels = [r_hat[axis].values for axis in r_hat.dims]
        names = [f"{name}[{', '.join(map(str, at))}]" if at else str(name) for at in product(*labels)]
        found += list(zip(names, *stacked, strict=True))
    return sorted(found, key=lambda row: row[2])[:WORST]


def _commands(run: Run) -> list[str]:
    """Commands that make this run and its report again."""
    program, *words = run.record["command"].split(" ")
    return [" ".join([Path(program).name, *words]), command("check", run.path), command("report", run.path)]
