"""Simulation-based calibration: how far the ranks of each parameter are from uniform."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ridgebayes.plots.style import GREY, LIGHT, MIDDLE, VERMILLION, legend_below, new_figure
from ridgebayes.sbc import Band, Ranks, uniformity
from ridgebayes.sbc.uniformity import counts_below, simultaneous_band

_COLUMNS = 4


def sbc_figure(ranks: Ranks) -> Figure:
    """Draw the difference of each quantity's distribution of ranks from the uniform one, a panel a parameter.

    The band holds the whole curve of one quantity with a probability of 95 %; of many, some are outside.
    Those that are further off than chance allows among all of them are drawn thick.
    """
    found = uniformity(ranks)
    band = simultaneous_band(found.simulations, ranks.draws, found.prob)
    wrong = found.departures
    rows = -(-len(ranks.parameters) // _COLUMNS)
    verdict = "uniform" if found.uniform else f"NOT uniform: {len(wrong)} of {len(found.table)} quantities"
    model = ranks.record["model"]
    name = " + ".join([model["name"], *model["extras"]])
    figure = new_figure(
        f"Simulation-based calibration of {name}: {found.simulations} simulations, {verdict}", 22 + 42 * rows
    )
    axes = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for place, (ax, parameter) in enumerate(zip(axes, ranks.parameters, strict=False)):
        draw_parameter(ax, ranks, parameter, band, list(wrong))
        if place % _COLUMNS == 0:
            ax.set_ylabel("Difference of the\ndistribution of ranks")
        if place + _COLUMNS >= len(ranks.parameters):
            ax.set_xlabel("Rank of the truth")
            ax.tick_params(labelbottom=True)
    for ax in axes[len(ranks.parameters) :]:
        ax.set_axis_off()
    figure.text(0.995, 0.995, "simulated data", color=VERMILLION, ha="right", va="top", gid="mark")
    legend_below(figure)
    return figure


def draw_parameter(ax: Axes, ranks: Ranks, parameter: str, band: Band, wrong: list[str]) -> Axes:
    """Draw all elements of one parameter over the band of one."""
    n, z = band.simulations, np.concatenate([[0.0], band.z, [1.0]])

    def difference(counts):
        return np.concatenate([[0.0], counts / n - band.z, [0.0]])

    ax.fill_between(
        z,
        difference(band.lower),
        difference(band.upper),
        step=None,
        color=LIGHT,
        lw=0,
        label=f"{band.coverage:.0%} band, everywhere at once",
    )
    ax.axhline(0.0, color=GREY, lw=0.6)
    elements = ranks.of(parameter)
    for name, values in elements.items():
        bad = name in wrong
        ax.plot(
            z,
            difference(counts_below(values, band.draws)),
            color=VERMILLION if bad else MIDDLE,
            lw=1.6 if bad else 0.7,
            zorder=3 if bad else 2,
            label="not uniform" if bad else "one quantity",
        )
    ax.set_title(f"{parameter} ({len(elements)})" if len(elements) > 1 else parameter, loc="left")
    ax.set_xlim(0, 1)
    return ax
