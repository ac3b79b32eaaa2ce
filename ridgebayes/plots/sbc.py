"""Simulation-based calibration: deviation of the ranks of each parameter from uniform."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ridgebayes.plots.style import BLUE, GREY, LIGHT, VERMILLION, in_style, legend_below, new_figure
from ridgebayes.sbc import Band, Ranks, simultaneous_band, uniformity
from ridgebayes.sbc.uniformity import counts_below

_COLUMNS = 3


@in_style
def sbc_figure(ranks: Ranks) -> Figure:
    """Draw the difference between the rank distribution of each quantity and the uniform one.

    There is one panel per parameter. The band contains the whole curve of a single quantity with 95 %
    probability, so some of many curves are outside. Curves that deviate significantly after correction for
    their number are drawn thick and dashed, and named.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.plots.sbc import sbc_figure
    >>> from ridgebayes.sbc import Ranks
    >>> record = {"sbc": {"draws": 9}, "model": {"name": "crab", "extras": []}}
    >>> ranks = Ranks(record, ("crab.rate[A01]",), (np.arange(200) % 10)[:, None], results=())
    >>> sbc_figure(ranks).axes[0].get_title(loc="left")
    'crab.rate'
    """
    found = uniformity(ranks)
    band = simultaneous_band(found.simulations, ranks.draws, found.prob)
    wrong = found.departures
    rows = -(-len(ranks.parameters) // _COLUMNS)
    model = ranks.record["model"]
    name = " + ".join([model["name"], *model["extras"]])
    verdict = "uniform" if found.uniform else f"NOT uniform: {len(wrong)} of {len(found.table)} quantities"
    figure = new_figure(
        f"Simulation-based calibration of {name}: {found.simulations} simulations, {verdict}", 24 + 42 * rows
    )
    axes = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for place, (ax, parameter) in enumerate(zip(axes, ranks.parameters, strict=False)):
        draw_parameter(ax, ranks, parameter, band, wrong)
        if place % _COLUMNS == 0:
            ax.set_ylabel("Share of ranks below,\nminus uniform")
        if place + _COLUMNS >= len(ranks.parameters):
            ax.set_xlabel(f"Rank of the truth, over {ranks.draws + 1}")
            ax.tick_params(labelbottom=True)
    for ax in axes[len(ranks.parameters) :]:
        ax.set_axis_off()
    figure.text(0.995, 0.995, "simulated data", color=VERMILLION, ha="right", va="top", gid="mark")
    legend_below(figure)
    return figure


def draw_parameter(ax: Axes, ranks: Ranks, parameter: str, band: Band, wrong: Collection[str] = ()) -> Axes:
    """Draw all elements of one parameter and the band of a single curve; emphasise the `wrong` ones.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from ridgebayes.plots.sbc import draw_parameter
    >>> from ridgebayes.sbc import Ranks, simultaneous_band
    >>> ranks = Ranks({"sbc": {"draws": 9}}, ("crab.rate[A01]",), (np.arange(200) % 10)[:, None], results=())
    >>> ax = draw_parameter(Figure().add_subplot(), ranks, "crab.rate", simultaneous_band(200, 9))
    >>> ax.get_legend_handles_labels()[1][0]
    '95% band of one curve, everywhere at once'
    """
    z = np.concatenate([[0.0], band.z, [1.0]])

    def difference(counts: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.concatenate([[0.0], counts / band.simulations - band.z, [0.0]])

    label = f"{band.coverage:.0%} band of one curve, everywhere at once"
    ax.fill_between(z, difference(band.lower), difference(band.upper), color=LIGHT, lw=0, label=label)
    ax.axhline(0.0, color=GREY, lw=0.6)
    elements = ranks.of(parameter)
    for name, values in elements.items():
        style: dict[str, Any] = (
            {"color": VERMILLION, "lw": 1.6, "ls": (0, (4, 1.5)), "zorder": 3, "label": "not uniform"}
            if name in wrong
            else {"color": BLUE, "lw": 0.6, "alpha": 0.8, "label": "a parameter or derived quantity"}
        )
        ax.plot(z, difference(counts_below(values, band.draws)), **style)
    ax.set_title(parameter + (f" ({len(elements)})" if len(elements) > 1 else ""), loc="left")
    bad = [name.removeprefix(parameter) or parameter for name in elements if name in wrong]
    if bad:
        text = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
        ax.text(0.03, 0.03, text, transform=ax.transAxes, color=VERMILLION, fontsize=7, zorder=4)
    ax.set_xlim(0, 1)
    return ax
