"""``ridgebayes sensitivity``: what the priors do to the answer."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import out_option, run_argument, scws_option

NAME = "sensitivity"


@click.command()
@run_argument
@scws_option
@out_option
def sensitivity(run: Path, scws: Path | None, out: Path) -> None:
    """Say how much each parameter would move with a weaker or stronger prior, or likelihood.

    By power scaling: the draws are reweighted, nothing is fitted again. Above 0.05 a prior matters.

    \b
    Example:  ridgebayes sensitivity runs/first
    """
    from ridgebayes.comparison import sensitivity
    from ridgebayes.comparison.powerscaling import format_sensitivity
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.plots.sensitivity import sensitivity_figure
    from ridgebayes.plots.style import write_figure
    from ridgebayes.runs.run import Run
    from ridgebayes.runs.sampling import use_compilation_cache

    use_compilation_cache()
    opened = Run.open(run)
    table, fits = sensitivity(opened, scws)
    figure = write_figure(lambda: sensitivity_figure(opened, table, fits), out / f"{NAME}.png")
    table.remove_columns(["fit", "place"])
    write_ecsv(table, out / f"{NAME}.ecsv")
    click.echo(out / f"{NAME}.ecsv")
    click.echo(figure)
    click.echo(format_sensitivity(table, simulated=opened.simulated))
    for warning in table.meta["warnings"]:
        click.echo(f"WARNING: {warning}")
