"""``ridgebayes crab-history``: the Crab's rate over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import PRODUCTS, format_option, out_option, run_argument, scws_option
from ridgebayes.cli.ending import Products

NAME = "crab_history"


@click.command("crab-history")
@run_argument
@scws_option
@format_option()
@out_option()
def crab_history(run: Path, scws: Path | None, out: Path | None, overwrite: bool) -> None:
    """Rate of the Crab over time, over the ScWs that contain the Crab, and their residuals.

    Where the data are simulated and the fitted table is at hand, the true rate is drawn too.

    \b
    Example:  ridgebayes crab-history runs/first
    """
    import numpy as np

    from ridgebayes.plots import crab as plots
    from ridgebayes.plots import residuals as distributions
    from ridgebayes.products.crab import crab_table
    from ridgebayes.products.residuals import fit_residuals
    from ridgebayes.products.truth import read_truth
    from ridgebayes.runs.run import Run

    files = Products(out or run / PRODUCTS, f"{NAME}.ecsv", overwrite=overwrite)
    opened = Run.open(run)
    truth = read_truth(opened, scws)
    table = crab_table(opened, truth)
    files.table(f"{NAME}.ecsv", table)
    rows = np.asarray(opened.scws["CRAB"])
    pulls = fit_residuals(opened, rows)
    figures = {"": lambda: plots.history_figure(opened, truth)}
    if rows.any():
        figures["_residuals"] = lambda: plots.residual_figure(opened)
    if rows.any() and distributions.needs_overview(opened):
        figures["_residuals_bands"] = lambda: distributions.spread_figure(opened, plots.RESIDUAL_TITLE, pulls)
    for name, make in figures.items():
        files.figure(f"{NAME}{name}.png", make)
    if not rows.any():
        click.echo("no ScW contains the Crab: its rate is held as given, and there are no residuals to draw")
    click.echo(_summary(opened, table, pulls))
    files.end((f"ridgebayes background-history {run}", "the background over time"))


def _summary(run: Any, table: Any, pulls: dict[str, Any]) -> str:
    """Lay out the rate at the beginning and the end of the mission, and the spread of the residuals."""
    from ridgebayes.products.residuals import spread

    lines = ["SIMULATED data"] if run.simulated else []
    lines.append(
        f"{'band':<8}{'first [cts/s]':>18}{'last [cts/s]':>18}{'Crab ScWs':>11}{'rms residual / sd':>19}"
    )
    for band, pull in pulls.items():
        own = table[table["band"] == band]
        ends = (f"{own['mean'][i].value:.2f} ± {own['sd'][i].value:.2f}" for i in (0, -1))
        rms = f"{spread(pull).rms:.2f}" if pull.size else "-"
        lines.append(f"{band:<8}" + "".join(f"{end:>18}" for end in ends) + f"{pull.size:>11}{rms:>19}")
    return "\n".join(lines)
