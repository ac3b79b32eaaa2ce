"""The background over time: level, terms of the revolutions, scatter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ridgebayes.outputs.product import Figure, File, Message, Part, Product, Writes

if TYPE_CHECKING:
    from ridgebayes.outputs.steps import Options, Step
    from ridgebayes.runs.run import Run

NAME = "background_history"


def background_history(
    run: Run, monitor: Path | None = None, monitor_column: str | None = None, scws: Path | None = None
) -> Iterator[Part]:
    """Background over time: level, terms of the revolutions, phase curves, scatter, residuals off the plane.

    Off the plane means |b| > 20 deg, as for BKG of `ridgebayes residuals`. If the data are simulated and the
    fitted table is available, the truth is also drawn.

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

    if monitor_column and not monitor:
        raise InputError(f"monitor_column='{monitor_column}': of which file? give monitor=... FILE too")
    yield Writes([f"{NAME}.ecsv"])
    series = read_monitor(monitor, monitor_column) if monitor else None
    if series is not None:
        products.check_monitor(run, series, monitor)
    truth = read_truth(run, scws)
    scatter = products.scatter_table(run, truth)
    yield File(f"{NAME}.ecsv", products.coefficient_table(run))
    yield File(f"{NAME}_scatter.ecsv", scatter)
    quiet = products.quiet_residuals(run)
    yield Figure(NAME, lambda: plots.level_figure(run, truth, series))
    yield Figure(f"{NAME}_phase", lambda: plots.phase_figure(run))
    yield Figure(f"{NAME}_scatter", lambda: plots.scatter_figure(run, truth))
    seen = all(pull.size for pull in quiet.values())
    if seen:
        yield Figure(f"{NAME}_residuals", lambda: plots.residual_figure(run))
    if seen and distributions.needs_overview(run):
        title = "Normalised residuals of the ScWs off the plane"
        yield Figure(f"{NAME}_residuals_bands", lambda: distributions.spread_figure(run, title, quiet))
    if not seen:
        note = "no ScW is pointed off the plane (|b| > 20 deg): there are no residuals to draw"
        yield Message(note, marked=False)
    yield Message(_summary(run, scatter, quiet, series))


def _summary(run: Run, scatter: Any, quiet: dict[str, Any], monitor: Any) -> str:
    """Lay out level, scatter and residuals of each band."""
    from ridgebayes.products.background import follows
    from ridgebayes.products.residuals import spread

    constant = run.tree["constant_data"].dataset
    head = f"{'band':<8}{'level [cts/s]':>20}{'scatter [% of level]':>24}{'rms off plane':>15}"
    lines = [head + (f"{'rank correlation with ' + monitor.name:>34}" if monitor else "")]
    for row in scatter:
        band = str(row["band"])
        level = constant["background_history_mean"].sel(band=band).values
        spread_of = f"{row['mean'].value:.3f} ± {row['sd'].value:.3f}"
        rms = f"{spread(quiet[band]).rms:.2f}" if quiet[band].size else "-"
        line = f"{band:<8}{f'{level.min():.2f} … {level.max():.2f}':>20}{spread_of:>24}{rms:>15}"
        lines.append(line + (f"{follows(run, band, monitor):>+34.2f}" if monitor else ""))
    return "\n".join(lines)


def _exported(run: Run, options: Options) -> Iterable[Step]:
    from ridgebayes.outputs.steps import table
    from ridgebayes.products.background import coefficient_table

    what = "background level and terms of every revolution, cts/s"
    return [table(run, "background", what, lambda: coefficient_table(run))]


BACKGROUND_HISTORY = Product(
    "background-history",
    "Background over time and orbital phase",
    background_history,
    (
        click.option(
            "--monitor",
            type=click.Path(path_type=Path),
            help="Series to compare with the level: a CSV with date, mjd, or year and month, and values.",
        ),
        click.option("--monitor-column", metavar="NAME", help="Column of its values [default: the first]."),
        "scws",
    ),
    next=("ridgebayes residuals {run}", "rate less background of every ScW"),
    calibrated=False,
    figures="png",
    section="Detector",
    exported=_exported,
)
