"""``ridgebayes loo``: leave-one-out prediction of revolutions."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import (
    leave_out_options,
    run_argument,
)
from ridgebayes.cli.ending import Products
from ridgebayes.cli.wording import say_in_options
from ridgebayes.errors import InputError
from ridgebayes.outputs.product import FOLDER

NAME = "loo"


@click.command(short_help="Predict each revolution from all others")
@run_argument
@leave_out_options
def loo(
    run: Path,
    refit: bool,
    folds: int | None,
    scws: Path | None,
    scheduler: str,
    out: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Compute the log predictive density of each revolution, given all others (leave-one-out).

    Uses importance sampling of the draws (seconds); k̂ shows for which revolutions it fails. --folds checks it
    with refits, one per fold and band.

    \b
    Examples:
      ridgebayes loo runs/first
      ridgebayes loo runs/first --folds 10
    """
    from ridgebayes.comparison.leaveout import format_loo, kfold, loo, pointwise_table
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.runs.run import Run

    files = Products(out or run / FOLDER, f"{NAME}.ecsv", overwrite=overwrite)
    opened = Run.open(run)
    n = int(opened.record["data"]["revolutions"])
    if folds is not None and not 2 <= folds <= n:
        raise InputError(f"--folds {folds}: give from 2 to {n}, the number of revolutions")
    use_compilation_cache()
    found = [loo(opened, scws, refit=refit, progress=not quiet, scheduler=scheduler)]
    if folds is not None:
        found.append(kfold(opened, folds, scws, progress=not quiet, scheduler=scheduler))
    table = pointwise_table(opened, found)
    files.table(f"{NAME}.ecsv", table)
    say_in_options(format_loo(opened, found))
    files.end((f"ridgebayes compare {run} OTHER", "which of two models predicts better"))
