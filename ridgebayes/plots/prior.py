"""Prior predictive distributions, with data and published values: rates, sky, Crab, scatter."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from astropy.time import Time
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ridgebayes.plots.style import (
    BLUE,
    GREY,
    LIGHT,
    MIDDLE,
    ORANGE,
    VERMILLION,
    in_style,
    legend_below,
    longitude_axis,
    new_figure,
    year_axis,
)
from ridgebayes.products.prior_predictive import interval, plane_regions, scatter_draws
from ridgebayes.runs.intensity import CI_PROB

_COLUMNS = 3
_INNER = 0.5


@in_style
def prior_figure(tree: xr.DataTree) -> Figure:
    """Draw the quantities of the model for up to three bands side by side.

    Parameters
    ----------
    tree
        Result of `ridgebayes.prior_predictive`.
    """
    constant, predictive = tree["constant_data"].dataset, tree["prior_predictive"].dataset
    total = constant.sizes["band"]
    chosen = np.unique(np.linspace(0, total - 1, min(_COLUMNS, total)).round().astype(int))
    panels = [draw_rates]
    if "sky.fov_flux" in predictive and plane_regions(tree).size:
        panels.append(draw_flux)
    if "crab.history" in predictive:
        panels.append(draw_crab)
    if scatter_draws(tree) is not None:
        panels.append(draw_scatter)
    note = f" ({chosen.size} of {total} bands)" if chosen.size < total else ""
    extras = f" with {', '.join(tree.attrs['extras'])}" if len(tree.attrs["extras"]) else ""
    title = f"What the prior of {tree.attrs['model']}{extras} expects{note}"
    figure = new_figure(title, height_mm=22 + 48 * len(panels))
    grid = figure.subplots(len(panels), chosen.size, squeeze=False)
    for column, k in enumerate(chosen):
        for draw, ax in zip(panels, grid[:, column], strict=True):
            draw(tree, int(k), ax)
            if chosen.size > 1 and ax.get_xlim() == (180, -180):
                ax.set_xticks(range(-180, 181, 90))  # labels of closer ticks would overlap
            if column:
                ax.set_ylabel("")
        low, high = float(constant["e_min"][k]), float(constant["e_max"][k])
        grid[0, column].set_title(f"{constant['band'].values[k]}: {low:g}–{high:g} keV", loc="left")
    if tree.attrs["simulated"]:
        figure.text(0.995, 0.995, "simulated data", color=VERMILLION, ha="right", va="top", gid="mark")
    legend_below(figure)
    return figure


def _bands(ax: Axes, x: NDArray, draws: NDArray, step: Literal["mid"] | None = None) -> None:
    """Fill the intervals of draws (draw, place) and draw their median."""
    for prob, colour in ((CI_PROB, LIGHT), (_INNER, MIDDLE)):
        label = f"prior, {prob:.0%} interval"
        low, high = interval(draws, prob)
        ax.fill_between(x, low, high, color=colour, lw=0, step=step, label=label)
    median = np.median(draws, axis=0)
    if step:
        ax.step(x, median, where=step, color=BLUE, lw=1.0, label="prior, median")
    else:
        ax.plot(x, median, color=BLUE, lw=1.0, label="prior, median")


def _years(tree: xr.DataTree) -> NDArray:
    return Time(tree["constant_data"].dataset["mjd"].values, format="mjd", scale="tt").decimalyear


def draw_rates(tree: xr.DataTree, k: int, ax: Axes) -> Axes:
    """Draw mean rates of the revolutions over the years in band `k`, replicated and observed, into `ax`."""
    when = _years(tree)
    _bands(ax, when, tree["prior_predictive"].dataset["revolution_rate"].values[0, :, k])
    observed = tree["observed_data"].dataset["revolution_rate"].values[k]
    ax.plot(when, observed, ".", ms=2, color="black", label="observed")
    ax.set_ylabel("Mean rate of a revolution\n[cts/s]")
    year_axis(ax)
    return ax


def draw_flux(tree: xr.DataTree, k: int, ax: Axes) -> Axes:
    """Draw the FOV flux along the plane in band `k`, with published values and the truth, into `ax`."""
    constant, where = tree["constant_data"].dataset, plane_regions(tree)
    lon = (constant["lon"].values[where] + 180) % 360 - 180
    around = lon.size > 2 and lon[0] + 360 - lon[-1] < 2 * np.diff(lon).max()
    if around:  # the first follows the last
        where, lon = where[[-1, *range(lon.size), 0]], np.array([lon[-1] - 360, *lon, lon[0] + 360])
    draws = tree["prior_predictive"].dataset["sky.fov_flux"].values[0, :, k][:, where]
    ends = (3 * lon[[0, -1]] - lon[[min(1, lon.size - 1), max(-2, -lon.size)]]) / 2 if lon.size > 1 else lon
    wide = np.array([min(ends[0], lon[0] - 5), *lon, max(ends[1], lon[-1] + 5)])
    _bands(ax, wide, draws[:, [0, *range(lon.size), -1]], step="mid")
    if "true_fov_flux" in constant:
        truth = constant["true_fov_flux"].values[k, where]
        ax.plot(lon, truth, "D", ms=3, mfc="none", color="black", label="truth")
    value, error = (constant[key].values[k, where] for key in ("published", "published_error"))
    if np.isfinite(value).any():
        ax.errorbar(lon, value, error, fmt="o", ms=3.5, color=ORANGE, capsize=2, label="published", zorder=4)
    ax.axhline(0.0, color=GREY, lw=0.6)
    ax.set(xlabel="Galactic longitude [deg]", ylabel="FOV flux on the plane\n[mCrab]")
    if around:
        longitude_axis(ax)
    else:
        ax.set_xlim(min(180.0, wide[-1]), max(-180.0, wide[0]))
    return ax


def draw_crab(tree: xr.DataTree, k: int, ax: Axes) -> Axes:
    """Draw the rate of the Crab over the years in band `k`, and that of the data or as given, into `ax`."""
    _bands(ax, _years(tree), tree["prior_predictive"].dataset["crab.history"].values[0, :, k])
    reference = tree["constant_data"].dataset["crab_rate"]
    label = "given Crab" if reference.attrs["given"] else "Crab in the data"
    ax.axhline(float(reference[k]), color="black", ls="--", lw=1.0, label=label)
    ax.set_ylabel("Crab rate\n[cts/s per Crab]")
    year_axis(ax)
    return ax


def draw_scatter(tree: xr.DataTree, k: int, ax: Axes) -> Axes:
    """Draw the excess scatter from ScW to ScW in band `k`, and that of the data, into `ax`."""
    draws = scatter_draws(tree)
    assert draws is not None
    observed = 100 * float(tree["constant_data"].dataset["observed_scatter"][k])
    if len(draws) > 1:
        top = max(np.quantile(draws[:, k], 0.99), 1.1 * np.nan_to_num(observed))
        bins = np.linspace(0, top, 21).tolist()
        ax.hist(draws[:, k], bins, color=MIDDLE, label="prior draws")
    else:
        ax.axvline(draws[0, k], color=BLUE, lw=1.2, label="fixed")
        ax.set_xlim(0, 1.3 * max(draws[0, k], np.nan_to_num(observed), 1e-3))
        ax.set_yticks([])
    if np.isfinite(observed):
        label = "spread in a revolution"
        ax.axvline(observed, color="black", ls=":", lw=1.2, label=label)
    ax.set(xlabel="Scatter beyond counting [%]", ylabel="Draws" if len(draws) > 1 else "")
    return ax
