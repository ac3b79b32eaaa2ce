"""``ridgebayes loo``: how well a model predicts a revolution left out."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import out_option, run_argument, scws_option
from ridgebayes.errors import InputError

NAME = "loo"


@click.command()
@run_argument
@click.option("--refit", is_flag=True, help="Fit again without each revolution whose k̂ is too high.")
@click.option(
    "--folds", type=int, help="Also leave out a share of the revolutions at a time, so many times, and refit."
)
@scws_option
@out_option
def loo(run: Path, refit: bool, folds: int | None, scws: Path | None, out: Path) -> None:
    """Leave one revolution out: the log predictive density of each, given all others.

    By importance sampling from the draws (seconds); k̂ tells where that fails. --folds is the check: as many
    fits as folds, a band.

    \b
    Examples:
      ridgebayes loo runs/first
      ridgebayes loo runs/first --folds 10
    """
    from ridgebayes.comparison.leaveout import format_loo, kfold, loo, pointwise_table
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.runs.run import Run
    from ridgebayes.runs.sampling import use_compilation_cache

    opened = Run.open(run)
    n = int(opened.record["data"]["revolutions"])
    if folds is not None and not 2 <= folds <= n:
        raise InputError(f"--folds {folds}: give from 2 to {n}, the number of revolutions")
    use_compilation_cache()
    found = [loo(opened, scws, refit=refit, progress=True)]
    if folds is not None:
        found.append(kfold(opened, folds, scws, progress=True))
    table = pointwise_table(opened, found)
    write_ecsv(table, out / f"{NAME}.ecsv")
    click.echo(out / f"{NAME}.ecsv")
    click.echo(format_loo(opened, found))
