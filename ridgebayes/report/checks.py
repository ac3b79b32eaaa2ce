"""What posterior predictive checks left in a run directory, for its report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from ridgebayes.checks.results import JSON
from ridgebayes.errors import InputError, command
from ridgebayes.report.figures import Figure, embedded
from ridgebayes.report.verdict import Verdict
from ridgebayes.runs.convergence import KEY
from ridgebayes.runs.run import Run

FOLDER = "checks"
CAPTIONS = {
    "overview": "All statistics: data (points), and 94 % of the replicated data of the model (blue).",
    "crab": "Residual of the Crab over the years.",
    "distribution": "How often residuals of each size occur.",
    "latitude": "Residual by Galactic latitude.",
    "level": "Constants of the revolutions over the years.",
    "longitude": "Residual near the plane by Galactic longitude.",
    "neighbours": "Correlation of the residuals of ScWs of one revolution, by their distance in ScWs.",
    "phase": "Residual by orbital phase.",
    "pit": "Probability of a rate below the observed one, given the fit: uniform for a right noise model.",
    "scatter_level": "Scatter of the residuals by rate.",
    "scatter_years": "Scatter of the residuals over the years.",
    "tracer": "Residual by tracer.",
    "variable": "Scatter of half years near the plane, by Galactic longitude: flaring sources stand out.",
}
"""Figure of the checks → its caption; its legend says what points and bars are."""


@dataclass(frozen=True)
class Checked:
    """Verdicts, table and figures of the checks; `missing` says how to get them."""

    verdicts: list[Verdict]
    columns: tuple[str, ...] = ()
    rows: list[list[str]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    missing: str = ""


def checks_of(run: Run) -> Checked:
    """Read the checks of a run from its directory.

    Raises
    ------
    InputError
        When they are there and cannot be read.
    """
    assert run.path is not None
    folder = run.path / FOLDER
    if not (folder / JSON).is_file():
        words = f"not made yet: {command('check', run.path)}"
        return Checked([Verdict("open", "Checks", words)], missing=f"The checks were {words}")
    try:
        told = json.loads((folder / JSON).read_text(encoding="utf-8"))
        found = any(verdict["found"] for verdict in told["verdicts"]) or bool(told.get("meta", {}).get(KEY))
        verdicts = [Verdict("bad" if found else "good", "Checks", told["verdict"])]
        rows = [_row(result) for result in told["results"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / JSON}: cannot be read ({error}): {command('check', run.path)}"
        ) from error
    rows.sort(key=lambda row: row[-1] == "")
    pictures = sorted(folder.glob("*.png"), key=lambda path: (path.stem != "overview", path.stem))
    figures = [
        Figure(p.stem, CAPTIONS.get(p.stem, p.stem.replace("_", " ").capitalize()), embedded(p))
        for p in pictures
    ]
    return Checked(
        verdicts, ("Statistic", "Band", "Observed", "Replicated (94 %)", "p", "Finding"), rows, figures
    )


def _row(result: dict) -> list[str]:
    interval = f"{result['mean']:.3g} ({result['lo']:.3g} … {result['hi']:.3g})"
    found = "found" if result["found"] else ""
    return [
        result["what"],
        result["band"],
        f"{result['observed']:.3g}",
        interval,
        f"{result['p']:.2g}",
        found,
    ]
