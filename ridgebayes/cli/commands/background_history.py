"""``ridgebayes background-history``: level, terms of the revolutions, scatter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import (
    FILE,
    PRODUCTS,
    format_option,
    out_option,
    run_argument,
    scws_option,
)
from ridgebayes.cli.ending import Products

NAME = "background_history"


@click.command("background-history")
@run_argument
@click.option(
    "--monitor",
    type=FILE,
    help="Series to draw beside the level: a CSV with date, mjd, or year and month, and values.",
)
@click.option("--monitor-column", metavar="NAME", help="Its column of values [default: the first].")
@scws_option
@format_option()
@out_option()
def background_history(
    run: Path,
    monitor: Path | None,
    monitor_column: str | None,
    scws: Path | None,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Background over time: level, terms of the revolutions, phase curves, scatter, residuals off the plane.

    Off the plane is |b| > 20 deg, as in the BKG of `ridgebayes residuals`. Where the data are simulated and
    the fitted table is at hand, the truth is drawn too.

    \b
    Examples:
      ridgebayes background-history runs/first
      ridgebayes background-history runs/first --monitor neutrons.csv --monitor-column OULU
    """
    from ridgebayes.errors import InputError
    from ridgebayes.plots import background as plots
    from ridgebayes.plots import residuals as distributions
    from ridgebayes.products import background as products
    from ridgebayes.products.monitor import read_monitor
    from ridgebayes.products.truth import read_truth
    from ridgebayes.runs.run import Run

    if monitor_column and not monitor:
        raise InputError(f"--monitor-column {monitor_column}: of which file? give --monitor FILE too")
    files = Products(out or run / PRODUCTS, f"{NAME}.ecsv", overwrite=overwrite)
    series = read_monitor(monitor, monitor_column) if monitor else None
    opened = Run.open(run)
    if series is not None:
        products.check_monitor(opened, series, monitor)
    truth = read_truth(opened, scws)
    scatter = products.scatter_table(opened, truth)
    for name, table in ((NAME, products.coefficient_table(opened)), (f"{NAME}_scatter", scatter)):
        files.table(f"{name}.ecsv", table)
    quiet = products.quiet_residuals(opened)
    figures = {
        "": lambda: plots.level_figure(opened, truth, series),
        "_phase": lambda: plots.phase_figure(opened),
        "_scatter": lambda: plots.scatter_figure(opened, truth),
    }
    seen = all(pull.size for pull in quiet.values())
    if seen:
        figures["_residuals"] = lambda: plots.residual_figure(opened)
    if seen and distributions.needs_overview(opened):
        title = "Normalised residuals of the ScWs off the plane"
        figures["_residuals_bands"] = lambda: distributions.spread_figure(opened, title, quiet)
    for name, make in figures.items():
        files.figure(f"{NAME}{name}.png", make)
    if not seen:
        click.echo("no ScW is pointed off the plane (|b| > 20 deg): there are no residuals to draw")
    click.echo(_summary(opened, scatter, quiet, series))
    files.end((f"ridgebayes residuals {run}", "rate less background of every ScW"))


def _summary(run: Any, scatter: Any, quiet: dict[str, Any], monitor: Any) -> str:
    """Lay out level, scatter and residuals of each band."""
    from ridgebayes.products.background import follows
    from ridgebayes.products.residuals import spread

    constant = run.tree["constant_data"].dataset
    lines = ["SIMULATED data"] if run.simulated else []
    head = f"{'band':<8}{'level [cts/s]':>20}{'scatter [% of level]':>24}{'rms off plane':>15}"
    lines.append(head + (f"{'rank correlation with ' + monitor.name:>34}" if monitor else ""))
    for row in scatter:
        band = str(row["band"])
        level = constant["background_history_mean"].sel(band=band).values
        spread_of = f"{row['mean'].value:.3f} ± {row['sd'].value:.3f}"
        rms = f"{spread(quiet[band]).rms:.2f}" if quiet[band].size else "-"
        line = f"{band:<8}{f'{level.min():.2f} … {level.max():.2f}':>20}{spread_of:>24}{rms:>15}"
        lines.append(line + (f"{follows(run, band, monitor):>+34.2f}" if monitor else ""))
    return "\n".join(lines)
