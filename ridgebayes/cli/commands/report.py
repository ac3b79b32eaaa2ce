"""``ridgebayes report``: all about a run on one page."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import run_argument


@click.command()
@run_argument
@click.option("--out", type=click.Path(path_type=Path), help="File to write [default: RUN/report.html].")
def report(run: Path, out: Path | None) -> None:
    """One self-contained HTML page: verdicts, intensities, sky, checks, diagnostics, provenance.

    \b
    Example:  ridgebayes report runs/first
    """
    from ridgebayes.report import write_report
    from ridgebayes.runs.run import Run

    click.echo(write_report(Run.open(run), out))
