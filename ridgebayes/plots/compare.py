"""Where the difference between models comes from: revolution by revolution, over the years."""

from __future__ import annotations

import numpy as np
from astropy.time import Time
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator

from ridgebayes.comparison import Comparison
from ridgebayes.plots.style import (
    CHAINS,
    GREY,
    ORANGE,
    VERMILLION,
    finish,
    legend_below,
    new_figure,
    year_axis,
)

_COLOURS = (CHAINS[0], VERMILLION, CHAINS[2], ORANGE, CHAINS[1], GREY)
_MARKS = "osD^v<"
_HEAVY = 20  # a linear axis shows nothing where the largest difference is so many times the typical one


def difference_figure(comparison: Comparison) -> Figure:
    """Draw the log predictive densities of the models less those of the best, summed up and one by one.

    A difference that all revolutions share grows steadily; one that a few make, in steps.
    """
    best, others = comparison.names[0], comparison.names[1 : 1 + len(_COLOURS)]
    left = len(comparison.names) - 1 - len(others)
    note = f" ({left} more are not drawn)" if left else ""
    figure = new_figure(f"Predicting a revolution left out: models against {best}{note}", height_mm=120)
    top, bottom = figure.subplots(2, 1, sharex=True)
    when = Time(comparison.loos[0].table["mjd"].values, format="mjd", scale="tt").decimalyear
    order = np.argsort(when)
    typical = []
    for i, (name, colour, mark) in enumerate(zip(others, _COLOURS, _MARKS, strict=False), start=1):
        difference = comparison.difference(i)[order]
        typical.append(np.median(np.abs(difference)))
        top.step(when[order], difference.cumsum(), where="post", color=colour, lw=1.1, label=name)
        bottom.plot(when[order], difference, mark, ms=2.5, mew=0.6, mfc="none", color=colour)
    for ax in (top, bottom):
        ax.axhline(0.0, color=GREY, lw=0.6)
    largest = max(np.abs(comparison.difference(i + 1)).max() for i in range(len(others)))
    if largest > _HEAVY * max(min(typical), 1e-3):
        linear = max(min(typical), 0.1)
        bottom.set_yscale("symlog", linthresh=linear)
        bottom.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=linear))
    top.set_ylabel("Difference of elpd,\nsummed up to here")
    bottom.set_ylabel("Difference of log predictive\ndensity, each revolution")
    year_axis(bottom)
    top.set_title(f"below zero {best} is ahead ({comparison.loos[0].method})", loc="right")
    finish(comparison.runs[0], top, "")
    legend_below(figure)
    return figure
