"""The Crab's rate over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ridgebayes.outputs.product import Figure, File, Message, Part, Product, Writes

if TYPE_CHECKING:
    from ridgebayes.outputs.steps import Options, Step
    from ridgebayes.runs.run import Run

NAME = "crab_history"


def crab_history(run: Run, scws: Path | None = None) -> Iterator[Part]:
    """Rate of the Crab over time, with the ScWs that contain the Crab, and their residuals.

    If the data are simulated and the fitted table is available, the true rate is also drawn.

    \b
    Example:  ridgebayes crab-history runs/first
    """
    import numpy as np

    from ridgebayes.plots import crab as plots
    from ridgebayes.plots import residuals as distributions
    from ridgebayes.products.crab import crab_table
    from ridgebayes.products.residuals import fit_residuals
    from ridgebayes.products.truth import read_truth

    yield Writes([f"{NAME}.ecsv"])
    truth = read_truth(run, scws)
    table = crab_table(run, truth)
    yield File(f"{NAME}.ecsv", table)
    rows = np.asarray(run.scws["CRAB"])
    pulls = fit_residuals(run, rows)
    yield Figure(NAME, lambda: plots.history_figure(run, truth))
    if rows.any():
        yield Figure(f"{NAME}_residuals", lambda: plots.residual_figure(run))
    if rows.any() and distributions.needs_overview(run):
        title = plots.RESIDUAL_TITLE
        yield Figure(f"{NAME}_residuals_bands", lambda: distributions.spread_figure(run, title, pulls))
    if not rows.any():
        note = "no ScW contains the Crab: its rate is held as given, and there are no residuals to draw"
        yield Message(note, marked=False)
    yield Message(_summary(table, pulls))


def _summary(table: Any, pulls: dict[str, Any]) -> str:
    """Lay out the rate at the beginning and the end of the mission, and the spread of the residuals."""
    from ridgebayes.products.residuals import spread

    lines = [
        f"{'band':<8}{'first [cts/s]':>18}{'last [cts/s]':>18}{'Crab ScWs':>11}{'rms residual / sd':>19}"
    ]
    for band, pull in pulls.items():
        own = table[table["band"] == band]
        ends = (f"{own['mean'][i].value:.2f} ± {own['sd'][i].value:.2f}" for i in (0, -1))
        rms = f"{spread(pull).rms:.2f}" if pull.size else "-"
        lines.append(f"{band:<8}" + "".join(f"{end:>18}" for end in ends) + f"{pull.size:>11}{rms:>19}")
    return "\n".join(lines)


def _exported(run: Run, options: Options) -> Iterable[Step]:
    from ridgebayes.outputs.steps import table
    from ridgebayes.products.crab import crab_table

    what = "rate of the Crab in every revolution, cts/s"
    return [table(run, "crab_rate", what, lambda: crab_table(run))]


CRAB_HISTORY = Product(
    "crab-history",
    "Rate of the Crab over time",
    crab_history,
    ("scws",),
    next=("ridgebayes background-history {run}", "the background over time"),
    calibrated=False,
    figures="png",
    section="Detector",
    exported=_exported,
)
