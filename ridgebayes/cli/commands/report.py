"""``ridgebayes report``: one page about a run."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import FILE, overwrite_option, run_argument
from ridgebayes.cli.ending import check_new, say_next, say_written


@click.command(short_help="One HTML page about a run")
@run_argument
@click.option("--out", type=FILE, help="File to write [default: RUN/report.html].")
@overwrite_option
def report(run: Path, out: Path | None, overwrite: bool) -> None:
    """Write one self-contained HTML page: verdicts, intensities, sky, checks, diagnostics, provenance.

    \b
    Example:  ridgebayes report runs/first
    """
    from ridgebayes.report import write_report
    from ridgebayes.runs.run import Run

    out = out or run / "report.html"
    check_new([out], overwrite=overwrite)
    say_written([write_report(Run.open(run), out)])
    steps = [(str(out), "open it in a browser")]
    if not (run / "checks").is_dir():
        steps.append(
            (f"ridgebayes check {run}", "do the data look like data of the model? then report again")
        )
    say_next(*steps)
