"""``ridgebayes compare``: which model predicts better."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import (
    FILE,
    leave_out_options,
)
from ridgebayes.cli.ending import Products
from ridgebayes.cli.wording import say_in_options
from ridgebayes.outputs.product import FOLDER

NAME = "compare"


@click.command(short_help="Compare models by how well they predict revolutions")
@click.argument("runs", type=FILE, nargs=-1, required=True, metavar="RUN RUN...")
@leave_out_options
def compare(
    runs: tuple[Path, ...],
    refit: bool,
    folds: int | None,
    scws: Path | None,
    scheduler: str,
    out: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Compare how well fits of one table predict revolutions that were left out.

    The default folder is RUN/products of the first run. --folds replaces importance sampling by refits.

    \b
    Example:  ridgebayes compare runs/regions runs/starlight
    """
    from ridgebayes.comparison import compare
    from ridgebayes.comparison.models import format_comparison
    from ridgebayes.plots.compare import difference_figure
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.runs.run import Run

    files = Products(out or runs[0] / FOLDER, f"{NAME}.ecsv", overwrite=overwrite)
    use_compilation_cache()
    opened = [Run.open(path) for path in runs]
    comparison = compare(opened, scws, folds=folds, refit=refit, progress=not quiet, scheduler=scheduler)
    for name, table in ((NAME, comparison.table), (f"{NAME}_revolutions", comparison.pointwise_table())):
        files.table(f"{name}.ecsv", table)
    files.figure(f"{NAME}.png", lambda: difference_figure(comparison))
    say_in_options(format_comparison(comparison))
    files.end(*((f"ridgebayes check {run}", "does this one describe the data?") for run in runs[:2]))
