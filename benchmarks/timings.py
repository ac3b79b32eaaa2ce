"""Fill the tables of docs/timings.md: python benchmarks/timings.py [--quick] [--markdown docs/timings.md].

Each row is a fit from the command line with the defaults, in a process of its own; wall time is that of the
whole command, peak memory what `run.toml` tells. What is in --out already is not measured again, so that an
interrupted series goes on. Let nothing else run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

DEMO = Path(__file__).parents[1] / "data" / "demo.fits"
ALL = 0  # every revolution of the simulated mission
SIZES = ((60, 1), (60, 3), (300, 3), (1000, 3), (ALL, 3), (300, 10))
QUICK = ((10, 1),)
MODELS = (
    ("regions", ()),
    ("regions", ("outliers",)),
    ("regions", ("correlated_noise",)),
    ("regions", ("free_latitude", "smooth_crab")),
    ("template", ()),
    ("profile", ()),
    ("spectrum", ()),
    ("whitedwarf", ()),
    ("background", ()),
    ("crab", ()),
)
HEADS = {
    "size": ("ScWs", "revolutions", "bands", "wall time", "peak memory"),
    "model": ("model", "extras", "wall time", "peak memory"),
}


class Fit(NamedTuple):
    """A row: its table, name of its files, simulation of the data (None: the demo), options of the fit."""

    table: str
    name: str
    simulate: tuple[str, ...] | None
    options: tuple[str, ...]


def rows(quick: bool) -> list[Fit]:
    """All fits, the smallest missions first."""
    found = []
    for revolutions, bands in QUICK if quick else SIZES:
        simulate = ("--revolutions", str(revolutions)) if revolutions != ALL else ()
        if bands != 3:
            simulate += ("--n-bands", str(bands))
        found.append(Fit("size", f"size_{revolutions or 'all'}_{bands}", simulate, ()))
    for model, extras in MODELS[:1] if quick else MODELS:
        options = ("--model", model, *(word for extra in extras for word in ("--extra", extra)))
        found.append(Fit("model", "_".join((model, *extras)), None, options))
    return found


def measure(fit: Fit, folder: Path, more: list[str]) -> dict[str, Any]:
    """Make the data, fit them, and return a row."""
    data = DEMO if fit.simulate is None else folder / f"{fit.name}.fits"
    if not data.exists():
        ridgebayes("simulate", *(fit.simulate or ()), "--out", str(data))
    run = folder / fit.name
    began = time.monotonic()
    ridgebayes("fit", str(data), *fit.options, *more, "--out", str(run), "--overwrite", "--quiet")
    seconds = time.monotonic() - began
    record = tomllib.loads((run / "run.toml").read_text(encoding="utf-8"))
    told = record["data"]
    return {
        "table": fit.table,
        "name": fit.name,
        "machine": machine(record),
        "commit": record["git_commit"],
        "ScWs": told["scws"],
        "revolutions": told["revolutions"],
        "bands": len(told["bands"]),
        "model": record["model"]["name"],
        "extras": ", ".join(record["model"]["extras"]) or "none",
        "seconds": round(seconds, 1),
        "gib": record["peak_memory_gib"],
    }


def ridgebayes(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "ridgebayes", *words], check=True, stdout=subprocess.DEVNULL)


def machine(record: dict[str, Any]) -> str:
    """Describe the hardware of the chains."""
    device = record["sampling"]["device"].split(",")[0]
    return f"{os.cpu_count()} cores, {platform.machine()}" if device == "cpu" else device


def table(name: str, found: list[dict[str, Any]]) -> str:
    """Format the rows of one table in Markdown."""
    head = HEADS[name]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in found:
        shown = row | {"wall time": wall(row["seconds"]), "peak memory": f"{row['gib']:.1f} GiB"}
        lines.append(f"| {' | '.join(str(shown[column]) for column in head)} |")
    machines = "; ".join(dict.fromkeys(row["machine"] for row in found))
    return "\n".join([*lines, "", f"Machine: {machines}."])


def wall(seconds: float) -> str:
    """Format a duration for reading."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def fill(page: Path, found: list[dict[str, Any]]) -> None:
    """Insert the tables between their marks in a page."""
    text = page.read_text(encoding="utf-8")
    for name in HEADS:
        begin, end = f"<!-- timings by {name}: begin -->\n", f"<!-- timings by {name}: end -->"
        before, rest = text.split(begin)
        after = rest.split(end)[1]
        own = [row for row in found if row["table"] == name]
        text = f"{before}{begin}{table(name, own)}\n{end}{after}"
    page.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small fits: does the script work?")
    parser.add_argument("--out", type=Path, default=Path("runs/timings"), help="folder of the runs")
    parser.add_argument("--markdown", type=Path, help="fill the tables of this page")
    parser.add_argument("--fit", default="", help="more options of each fit, such as '--draws 100'")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / "results.jsonl"
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    known = {row["name"]: row for row in map(json.loads, lines)}
    wanted = rows(given.quick)
    for fit in wanted:
        if fit.name not in known:
            known[fit.name] = measure(fit, given.out, given.fit.split())
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[fit.name]) + "\n")
        print(json.dumps(known[fit.name]), flush=True)
    found = [known[fit.name] for fit in wanted]
    print("\n\n".join(table(name, [row for row in found if row["table"] == name]) for name in HEADS))
    if given.markdown:
        fill(given.markdown, found)


if __name__ == "__main__":
    main()
