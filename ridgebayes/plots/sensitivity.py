"""Changes of the posteriors that are most sensitive to the priors."""

from __future__ import annotations

import numpy as np
import xarray as xr
from astropy.table import QTable, Row
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import gaussian_kde

from ridgebayes.comparison.powerscaling import SHIFT, prior_weights
from ridgebayes.plots.style import BLUE, VERMILLION, finish, in_style, legend_below, new_figure
from ridgebayes.runs.run import Run

_PANELS = 6
_GRID = 200
_STYLES = (VERMILLION, "--"), (BLUE, "-.")
_WORDS = {SHIFT[0]: f"weaker prior (power {SHIFT[0]:g})", SHIFT[1]: f"stronger prior (power {SHIFT[1]:g})"}


@in_style
def sensitivity_figure(run: Run, table: QTable, fits: list[xr.DataTree]) -> Figure:
    """Draw posteriors, and the same reweighted to weaker and stronger priors of the most influential group.

    Parameters
    ----------
    run
        The run.
    table, fits
        Result of `ridgebayes.comparison.sensitivity`: the first rows are drawn.
    """
    rows = table[:_PANELS]
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    figure = new_figure("Posteriors that are most sensitive to their priors", height_mm=24 + 48 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for row, ax in zip(rows, panels, strict=False):
        draw_posterior(row, fits[row["fit"]], ax)
    for ax in panels[len(rows) :]:
        ax.set_axis_off()
    finish(run, panels[0], panels[0].get_title("left"))
    legend_below(figure)
    return figure


def draw_posterior(row: Row, fit: xr.DataTree, ax: Axes) -> Axes:
    """Draw one posterior, a row of the table of `ridgebayes.comparison.sensitivity`, into `ax`."""
    draws = fit["posterior"][row["parameter"]]
    labels = dict(zip([a for a in draws.dims if a not in ("chain", "draw")], row["place"], strict=True))
    values = draws.isel(labels).transpose("chain", "draw").values.ravel()
    low, high = np.quantile(values, [0.001, 0.999])
    grid = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), _GRID)
    ax.fill_between(grid, gaussian_kde(values)(grid), color="0.85", lw=0, label="posterior")
    for alpha, (colour, dash) in zip(SHIFT, _STYLES, strict=True):
        weight, _ = prior_weights(fit, row["strongest"], alpha)
        density = gaussian_kde(values, weights=weight)(grid)
        ax.plot(grid, density, color=colour, ls=dash, lw=1.1, label=_WORDS[alpha])
    name = " ".join(part for part in (row["parameter"], row["element"], row["band"]) if part)
    ax.set_title(name, loc="left")
    unit = f" [{row['unit'].replace(' / ', '/').replace('deg2', 'deg²')}]" if row["unit"] else ""
    ax.set_xlabel(f"{row['parameter'].split('.')[-1]}{unit}")
    ax.xaxis.set_major_locator(MaxNLocator(3, min_n_ticks=3))  # labels such as 0.0025 are long
    ax.set_yticks([])
    ax.set_ylim(0, 1.35 * ax.get_ylim()[1])  # room for the note
    ax.text(
        0.97, 0.95, f"prior {row['prior']:.2f}\nlikelihood {row['likelihood']:.2f}",
        transform=ax.transAxes, ha="right", va="top", fontsize=7,
    )  # fmt: skip
    return ax
