"""What posterior predictive checks left in a run directory, for its report."""

from __future__ import annotations

from dataclasses import dataclass, field

from astropy.table import Table

from ridgebayes.report.figures import Figure, embedded
from ridgebayes.report.verdict import Verdict
from ridgebayes.run import Run

FOLDER, TABLE = "checks", "checks.ecsv"


@dataclass(frozen=True)
class Checked:
    """Verdicts, table and figures of the checks; `missing` says how to get them."""

    verdicts: list[Verdict]
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    missing: str = ""


def checks_of(run: Run) -> Checked:
    """Read the checks of a run from its directory."""
    assert run.path is not None
    folder = run.path / FOLDER
    if not (folder / TABLE).is_file():
        words = f"not made yet: ridgebayes check {run.path}"
        return Checked([Verdict("open", "Checks", words)], missing=f"The checks were {words}")
    table = Table.read(folder / TABLE, format="ascii.ecsv")
    columns = [name for name in table.colnames if table[name].dtype.kind != "O"]
    rows = [[_text(row[name]) for name in columns] for row in table]
    pictures = [Figure(p.stem, p.stem.replace("_", " "), embedded(p)) for p in sorted(folder.glob("*.png"))]
    return Checked(
        [Verdict("open", "Checks", str(table.meta.get("verdict", "see below")))], columns, rows, pictures
    )


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
