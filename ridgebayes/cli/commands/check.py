"""``ridgebayes check``: posterior predictive checks of a run."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import (
    out_option,
    quiet_option,
    run_argument,
    scheduler_option,
    scws_option,
    seed_option,
)
from ridgebayes.cli.ending import Products

CHECKS = "checks"


@click.command(short_help="Posterior predictive checks: do the data fit the model?")
@run_argument
@scws_option
@click.option(
    "--replicates", default=100, show_default=True, help="Number of replicated data sets to compare with."
)
@click.option(
    "--trials/--no-trials",
    default=True,
    show_default=True,
    help="If a check fails, try which extra helps.",
)
@seed_option
@scheduler_option
@out_option(CHECKS)
@quiet_option
def check(
    run: Path,
    scws: Path | None,
    replicates: int,
    trials: bool,
    seed: int,
    scheduler: str,
    out: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Compare the data of a run with replicated data of its posterior (posterior predictive checks).

    Describes what does not fit, tries which extras help (--extra of `ridgebayes fit`), and recommends some.
    Writes checks.ecsv and checks.json (every statistic, its p-value, the verdicts), overview.png and a figure
    for each subject. docs/checks.md explains how to read them.

    \b
    Examples:
      ridgebayes check runs/first
      ridgebayes check runs/first --replicates 200 --overwrite
    """
    import sys

    from ridgebayes.checks import check as compare
    from ridgebayes.checks.results import TABLE
    from ridgebayes.markup import marked
    from ridgebayes.plots.checks import figures
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.runs.run import Run

    files = Products(out or run / CHECKS, TABLE, overwrite=overwrite)
    opened = Run.open(run)
    use_compilation_cache()
    progress = not quiet and sys.stderr.isatty()
    checks = compare(
        opened,
        scws,
        draws=replicates,
        seed=seed,
        trials=trials,
        progress=progress,
        scheduler=scheduler,
    )
    files.written += checks.save(files.folder)
    for name, make in figures(opened, checks).items():
        files.figure(f"{name}.png", make)
    click.echo(marked(str(checks), opened.simulated))
    files.end((f"ridgebayes report {run}", "one page about the run, with these checks"))
