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
CAPTION = (
    "Observed (points) and replicated data of the model (bands holding 50 % and 94 % of the replicates): "
    "{name}."
)


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
    figures = [Figure(p.stem, CAPTION.format(name=p.stem.replace("_", " ")), embedded(p)) for p in pictures]
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
