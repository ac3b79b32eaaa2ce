"""Distributions of normalised residuals, compared with the unit Gaussian."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from ridgebayes.plots.style import (
    BLUE,
    GREY,
    MAX_BANDS,
    MIDDLE,
    VERMILLION,
    band_title,
    each_band,
    finish,
    in_style,
    legend_below,
    new_figure,
)
from ridgebayes.products.residuals import spread
from ridgebayes.runs.run import Run
from ridgebayes.typing import Floats

REACH = 6.0  # half-width of the axis, at least, sd
_MOST = 40.0  # half-width of the axis, at most, sd: a bright source is in the bin at the edge


def distribution_figure(
    run: Run,
    title: str,
    values: Mapping[str, Floats],
    *,
    with_sky: Mapping[str, Floats] | None = None,
    what: str = "(rate − fit) / sd",
) -> Figure:
    """Draw normalised residuals of each band.

    Parameters
    ----------
    run, title
        The run, and the title.
    values
        Band → normalised residuals.
    with_sky
        The same without subtraction of the sky; drawn as an outline.
    what
        Label of the horizontal axis.
    """

    def panel(run: Run, band: str, ax: Axes) -> Axes:
        draw_distribution(ax, values[band], None if with_sky is None else with_sky[band])
        ax.set_xlabel(what)
        return finish(run, ax, band_title(run, band))

    return each_band(title, panel, narrow=True)(run)


@in_style
def spread_figure(run: Run, title: str, values: Mapping[str, Floats]) -> Figure:
    """Draw mean and root mean square of the normalised residuals of all bands, however many."""
    figure = new_figure(title, height_mm=70)
    ax = figure.add_subplot()
    found = [spread(each) for each in values.values()]
    place = np.arange(len(found))
    for level in (0, 1):
        ax.axhline(level, color="black", lw=0.8, label=None if level else "unit Gaussian")
    ax.plot(place, [one.rms for one in found], "o", ms=4, color=BLUE, label="root mean square")
    ax.plot(place, [one.mean for one in found], "D", ms=3.5, mfc="white", color=GREY, label="mean")
    band_axis(ax, list(values))
    ax.set_ylabel("Residual / error")
    finish(run, ax, f"all {len(found)} bands")
    legend_below(figure)
    return figure


def draw_distribution(ax: Axes, values: Floats, with_sky: Floats | None = None) -> Axes:
    """Draw the histogram of normalised residuals with the unit Gaussian of the same area.

    Values beyond the axis are in the first or last bin, in another colour.

    Parameters
    ----------
    ax
        Axes to draw into.
    values
        Normalised residuals.
    with_sky
        Residuals without subtraction of the sky, drawn as an outline.
    """
    every = [values] if with_sky is None else [values, with_sky]
    low, high = _ends(np.concatenate(every))
    width = 0.5 if with_sky is not None or values.size < 1000 else 0.25
    edges = np.arange(low, high + width / 2, width)
    centre = (edges[1:] + edges[:-1]) / 2
    count = _counts(values, edges)
    beyond = np.array([(values < low).any(), *np.zeros(centre.size - 2, bool), (values > high).any()])
    ax.bar(centre[~beyond], count[~beyond], width, color=MIDDLE,
           label="sky taken off" if with_sky is not None else "ScWs")  # fmt: skip
    if beyond.any():
        ax.bar(centre[beyond], count[beyond], width, color=VERMILLION, label="and beyond the axis")
    top = float(count.max())
    if with_sky is not None:
        outline = _counts(with_sky, edges)
        ax.stairs(outline, edges, color=GREY, lw=1.0, label="sky in it")
        top = max(top, float(outline.max()))
    x = np.linspace(-REACH, REACH, 241)
    gaussian = values.size * width * stats.norm.pdf(x)
    ax.plot(x, gaussian, color="black", lw=1.0, label="unit Gaussian")
    found = spread(values)
    mean = f"{round(found.mean, 2) + 0.0:.2f}".replace("-", "−")  # + 0.0 makes zero of -0.0
    note = f"rms {found.rms:.2f}\nmean {mean}\n{found.beyond:.1%} beyond ±3"
    # Room for the note at the top: a decade on a logarithmic axis.
    ax.set_yscale("log")
    ax.set(ylim=(0.5, 12 * max(top, gaussian.max(), 1.0)), xlim=(low, high))
    ax.text(0.03, 0.97, note, transform=ax.transAxes, va="top", fontsize=7.5)
    side = f"{values.size} ScWs"
    if with_sky is not None and (off := int(((with_sky < low) | (with_sky > high)).sum())):
        side += f",\nsky in it: {off} beyond"
    ax.text(0.97, 0.97, side, transform=ax.transAxes, va="top", ha="right", fontsize=7.5)
    ax.set_ylabel(f"ScWs in bins of {width:g}")
    return ax


def band_axis(ax: Axes, bands: list[str]) -> None:
    """Label the horizontal axis with the bands."""
    most = max(len(band) for band in bands)
    crowded = len(bands) * (most + 1) > 100
    every = max(1, -(-len(bands) // 60))
    ax.set_xticks(range(0, len(bands), every), bands[::every], rotation=90 if crowded else 0)
    ax.set(xlabel="Band", xlim=(-0.7, len(bands) - 0.3))


def needs_overview(run: Run) -> bool:
    """Tell whether there are more bands than panels in a figure."""
    return len(run.record["data"]["bands"]) > MAX_BANDS


def _ends(values: Floats) -> tuple[float, float]:
    """Find the ends of the axis, in whole sd and at least ±`REACH`, that include nearly all values."""
    low, high = np.quantile(values, [0.0005, 0.9995])
    low, high = np.floor(min(low, -REACH)), np.ceil(max(high, REACH))
    return float(max(low, -_MOST)), float(min(high, _MOST))


def _counts(values: Floats, edges: Floats) -> Floats:
    inside = np.clip(values, edges[0] + 1e-9, edges[-1] - 1e-9)
    return np.histogram(inside, edges)[0].astype(float)
