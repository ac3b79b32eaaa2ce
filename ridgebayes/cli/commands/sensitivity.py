"""``ridgebayes sensitivity``: sensitivity of the posterior to the priors."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import out_option, run_argument, scws_option
from ridgebayes.cli.ending import Products
from ridgebayes.outputs.product import FOLDER

NAME = "sensitivity"


@click.command(short_help="Estimate the effect of weaker or stronger priors")
@run_argument
@scws_option
@out_option()
def sensitivity(run: Path, scws: Path | None, out: Path | None, overwrite: bool) -> None:
    """Estimate how each posterior would change with a weaker or stronger prior or likelihood.

    Power scaling reweights the draws without a new fit. A value above 0.05 shows that a prior matters.

    \b
    Example:  ridgebayes sensitivity runs/first
    """
    from ridgebayes.comparison import sensitivity
    from ridgebayes.comparison.powerscaling import format_sensitivity
    from ridgebayes.plots.sensitivity import sensitivity_figure
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.runs.run import Run

    files = Products(out or run / FOLDER, f"{NAME}.ecsv", overwrite=overwrite)
    use_compilation_cache()
    opened = Run.open(run)
    table, fits = sensitivity(opened, scws)
    files.figure(f"{NAME}.png", lambda: sensitivity_figure(opened, table, fits))
    table.remove_columns(["fit", "place"])
    files.table(f"{NAME}.ecsv", table)
    click.echo(format_sensitivity(table, simulated=opened.simulated))
    for warning in table.meta["warnings"]:
        click.echo(f"WARNING: {warning}")
    files.end((f"ridgebayes report {run}", "one page about the run"))
