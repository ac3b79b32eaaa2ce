"""Difference between models for each revolution, over the years."""

from __future__ import annotations

import numpy as np
from astropy.time import Time
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator
from numpy.typing import NDArray

from ridgebayes.comparison import Comparison
from ridgebayes.plots.style import (
    CHAINS,
    GREY,
    ORANGE,
    VERMILLION,
    finish,
    in_style,
    legend_below,
    new_figure,
    year_axis,
)

_COLOURS = (CHAINS[0], VERMILLION, CHAINS[2], ORANGE, CHAINS[1], GREY)
_MARKS = "osD^v<"
_HEAVY = 20  # largest over typical difference above which a linear axis would show nothing


@in_style
def difference_figure(comparison: Comparison) -> Figure:
    """Draw log predictive densities relative to the best model: cumulative, and for each revolution.

    The cumulative difference grows steadily if all revolutions contribute, and in steps if only a few do.
    """
    best, others = comparison.names[0], comparison.names[1 : 1 + len(_COLOURS)]
    left = len(comparison.names) - 1 - len(others)
    note = f" ({left} more are not drawn)" if left else ""
    figure = new_figure(f"Predicting a revolution left out: models against “{best}”{note}", height_mm=120)
    top, bottom = figure.subplots(2, 1, sharex=True)
    draw_summed(comparison, top)
    draw_each(comparison, bottom)
    top.tick_params(labelbottom=False)
    top.set_xlabel("")
    legend_below(figure)
    return figure


def draw_summed(comparison: Comparison, ax: Axes) -> Axes:
    """Draw the cumulative differences of elpd from the best model over the years into `ax`."""
    when, order = _years(comparison)
    for i, (name, colour) in enumerate(zip(comparison.names[1:], _COLOURS, strict=False), start=1):
        summed = comparison.difference(i)[order].cumsum()
        ax.step(when[order], summed, where="post", color=colour, lw=1.1, label=name)
    ax.axhline(0.0, color=GREY, lw=0.6)
    ax.set_ylabel("Difference of elpd,\nsummed up to here")
    year_axis(ax)
    best, method = comparison.names[0], comparison.loos[0].method
    ax.set_title(f"below zero “{best}” is ahead ({method})", loc="right")
    return finish(comparison.runs[0], ax, "")


def draw_each(comparison: Comparison, ax: Axes) -> Axes:
    """Draw the difference of log predictive density from the best model for each revolution into `ax`."""
    when, order = _years(comparison)
    typical, largest = [], 0.0
    styles = zip(comparison.names[1:], _COLOURS, _MARKS, strict=False)
    for i, (_, colour, mark) in enumerate(styles, start=1):
        difference = comparison.difference(i)[order]
        typical.append(np.median(np.abs(difference)))
        largest = max(largest, np.abs(difference).max())
        ax.plot(when[order], difference, mark, ms=2.5, mew=0.6, mfc="none", color=colour)
    ax.axhline(0.0, color=GREY, lw=0.6)
    if largest > _HEAVY * max(min(typical), 1e-3):
        linear = max(min(typical), 0.1)
        ax.set_yscale("symlog", linthresh=linear)
        ax.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=linear))
        # Matplotlib's margin, a fraction of the values, is invisible at the end of a logarithmic axis.
        scale, ends = ax.yaxis.get_transform(), ax.dataLim.intervaly
        low, high = scale.transform(ends)
        room = 0.05 * (high - low)
        ax.set_ylim(*scale.inverted().transform([low - room, high + room]))
    ax.set_ylabel("Difference of log predictive\ndensity, each revolution")
    year_axis(ax)
    return finish(comparison.runs[0], ax, "")


def _years(comparison: Comparison) -> tuple[NDArray, NDArray]:
    """Middle of each revolution as a decimal year, and the indices that sort them."""
    when = Time(comparison.loos[0].table["mjd"].values, format="mjd", scale="tt").decimalyear
    return when, np.argsort(when)
