"""``ridgebayes compare``: which model predicts better."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import out_option, scws_option

NAME = "compare"


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--refit", is_flag=True, help="Fit again without each revolution whose k̂ is too high.")
@click.option("--folds", type=int, help="Refit to all but a share of the revolutions, in place of PSIS.")
@scws_option
@out_option
def compare(runs: tuple[Path, ...], refit: bool, folds: int | None, scws: Path | None, out: Path) -> None:
    """Compare fits of one table: which predicts revolutions that it has not seen better, and by how much.

    \b
    Example:  ridgebayes compare runs/regions runs/starlight
    """
    from ridgebayes.comparison import compare
    from ridgebayes.comparison.models import format_comparison
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.plots.compare import difference_figure
    from ridgebayes.plots.style import write_figure
    from ridgebayes.runs.run import Run
    from ridgebayes.runs.sampling import use_compilation_cache

    use_compilation_cache()
    opened = [Run.open(path) for path in runs]
    comparison = compare(opened, scws, folds=folds, refit=refit, progress=True)
    for name, table in ((NAME, comparison.table), (f"{NAME}_revolutions", comparison.pointwise_table())):
        write_ecsv(table, out / f"{name}.ecsv")
        click.echo(out / f"{name}.ecsv")
    click.echo(write_figure(lambda: difference_figure(comparison), out / f"{NAME}.png"))
    click.echo(format_comparison(comparison))
