"""Figures for a journal: one or two columns wide, without titles, legible text, embedded fonts."""

from __future__ import annotations

from typing import Literal

import astropy.units as u
import numpy as np
from astropy.table import QTable
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ridgebayes.instrument.crab_spectrum import ERG_PER_KEV, CrabSpectrum, mean_energy
from ridgebayes.plots.fitspec import draw_model, energy_axis
from ridgebayes.plots.profile import STARLIGHT, draw_fov
from ridgebayes.plots.style import (
    BLUE,
    GREY,
    LIGHT,
    MIDDLE,
    VERMILLION,
    Panel,
    chosen_bands,
    finish,
    group,
    in_style,
    known_band,
    known_range,
    legend_below,
)
from ridgebayes.products.fitspec import RegionFit
from ridgebayes.products.published import published_indices, published_points
from ridgebayes.runs.intensity import INNER_PROB, MCRAB
from ridgebayes.runs.run import Run

Column = Literal["single", "double"]

WIDTHS_MM = {"single": 88.0, "double": 180.0}
"""Width of the figures, mm; columns of Astronomy & Astrophysics, MNRAS and ApJ are 84 to 90 mm wide."""
_SHORT = {
    "94% interval of the model": "model, 94%",
    "white dwarfs (68%)": "white dwarfs, 68%",
    "power law (68%)": "power law, 68%",
    "cut-off power law (68%)": "cut-off, 68%",
    "region (mean, sd)": "posterior of the bands",
}
"""Label → short label that fits into a legend of two columns."""
_DASHES = ((0, (1, 1)), (0, (3, 1, 1, 1)))
_SLOPE_KEV = (60.0, 200.0)
_MARK_MM = 4.2
"""Height of the mark of a simulation."""


@in_style
def longitude_figure(
    run: Run, band: str, table: QTable, points: QTable | None = None, column: Column = "single"
) -> Figure:
    """Draw the FOV flux along the plane in one band.

    Parameters
    ----------
    run, band
        The run, and the band.
    table
        Table of `products.profile.fov_profile`.
    points
        Classical estimates: lon, band, flux, error.
    column
        Width of the figure.
    """
    figure, ax = _figure(column, 82.0)
    draw_fov(run, band, ax, table=table, classical=points)
    if column == "single":
        ax.set_xticks(range(-180, 181, 90))
    return _finished(run, band, figure, ax)


@in_style
def latitude_figure(
    run: Run, band: str, table: QTable, points: QTable | None = None, column: Column = "single"
) -> Figure:
    """Draw the FOV flux across the plane in one band.

    Parameters
    ----------
    run, band, column
        As for `longitude_figure`.
    table, points
        Tables of `products.latitude`: the posterior, and averages of the ScWs.
    """
    figure, ax = _figure(column, 82.0)
    draw_latitude(run, band, ax, table=table, points=points)
    return _finished(run, band, figure, ax)


def draw_latitude(run: Run, band: str, ax: Axes, *, table: QTable, points: QTable | None = None) -> Axes:
    """Draw a cut across the plane, starlight scaled to it, and averages of the ScWs, into `ax`."""
    band = known_band(run, band)
    rows = table[table["band"] == band]
    lat = rows["lat"].to_value(u.deg)
    value = {name: rows[name].to_value(MCRAB) for name in rows.colnames if rows[name].unit == MCRAB}
    ax.axhline(0.0, color=GREY, lw=0.6, zorder=1.5)
    ax.fill_between(lat, value["lo94"], value["hi94"], color=LIGHT, lw=0, label="94% interval")
    ax.fill_between(lat, value["lo68"], value["hi68"], color=MIDDLE, lw=0,
                    label=f"{INNER_PROB:.0%} interval")  # fmt: skip
    ax.plot(lat, value["mean"], color=BLUE, lw=1.0, label="mean")
    if "template_mean" in value:
        ends = (value["template_mean"] + sign * 2 * value["template_sd"] for sign in (-1, 1))
        ax.fill_between(lat, *ends, color=VERMILLION, alpha=0.3, lw=0)
        ax.plot(lat, value["template_mean"], color=VERMILLION, lw=0.9, ls=(0, (4, 1.5)), label=STARLIGHT)
    shown = [value["lo94"], value["hi94"]]
    if points is not None and len(points):
        own = points[points["band"] == band]
        flux, error = own["flux"].to_value(MCRAB), own["error"].to_value(MCRAB)
        ax.errorbar(own["lat"].to_value(u.deg), flux, error, fmt="s", ms=2.6, lw=0.8, color="black", zorder=4,
                    label="ScWs less background, averaged")  # fmt: skip
        shown += [flux - error, flux + error]
    ax.set_ylim(*known_range(value["lo94"], value["hi94"], *shown, 0.0))
    ax.set(
        xlim=(lat.min(), lat.max()),
        xlabel=f"Galactic latitude at l = {table.meta['longitude']:g}° [deg]",
        ylabel="FOV flux [mCrab]",
    )
    return finish(run, ax, "")


@in_style
def history_figure(run: Run, draw: Panel, column: Column = "single") -> Figure:
    """Draw the history of the Crab or the background, one panel per band, stacked, for at most six bands.

    Parameters
    ----------
    run, column
        As for `longitude_figure`.
    draw
        Function that draws one band into axes.
    """
    bands = chosen_bands(run)
    figure = _blank(column, 30.0 + 42.0 * len(bands))
    panels = figure.subplots(len(bands), 1, sharex=True, squeeze=False)[:, 0]
    for band, ax in zip(bands, panels, strict=True):
        draw(run, band, ax)
        _named(run, band, ax)
        ax.label_outer()
    legend_below(figure, 2 if column == "single" else 4)
    return figure


@in_style
def spectrum_figure(run: Run, result: RegionFit, column: Column = "single") -> Figure:
    """Draw E² dN/dE of a region with its components, published fluxes, and published slopes."""
    figure, ax = _figure(column, 92.0)
    draw_model(run, result, ax)
    ax.set_title("", loc="left")
    edges = result.spectrum.edges
    if result.spectrum.quantity == "fov":
        draw_published(ax, result.spectrum.region, result.spectrum.crab)
    _draw_slopes(ax, result)
    low, high = edges.min(), edges.max()
    ax.set(xlabel="Energy [keV]", ylabel=" ".join(ax.get_ylabel().split()))
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
        handle.set_label(_SHORT.get(label, label))
    energy_axis(ax, low, high)
    _name(ax, result.spectrum.region)
    legend_below(figure, 2 if column == "single" else 4)
    return figure


def draw_published(ax: Axes, region: str, crab: CrabSpectrum) -> Axes:
    """Draw published FOV fluxes of a region as E² dN/dE, for the spectral shape of the Crab in each band.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from ridgebayes.instrument.crab_spectrum import CRAB
    >>> from ridgebayes.plots.paper import draw_published
    >>> ax = draw_published(Figure().add_subplot(), "GB", CRAB)
    >>> ax.get_legend_handles_labels()[1]
    ['Krivonos 2024']
    """
    table = published_points(region)
    if not len(table):
        return ax
    low, high = (np.asarray(table[name].to_value(u.keV)) for name in ("E_MIN", "E_MAX"))
    factor = crab.erg_per_mcrab(low, high) / ERG_PER_KEV / np.log(high / low)
    energy = mean_energy(low, high)
    source = "; ".join(dict.fromkeys(f"{str(s).split(',')[0]} {_year(str(s))}" for s in table["source"]))
    value, error = np.asarray(table["value"]) * factor, np.asarray(table["error"]) * factor
    ax.errorbar(energy, value, error, xerr=[energy - low, high - energy], fmt="D", ms=3.0, lw=0.8,
                mfc="white", color=GREY, zorder=3.5, label=source)  # fmt: skip
    bottom, top = ax.get_ylim()
    ax.set_ylim(min(bottom, float((value - error).min()) * 0.8), max(top, float((value + error).max()) * 1.2))
    return ax


def _draw_slopes(ax: Axes, result: RegionFit) -> None:
    """Draw published photon indices through the hard component at 100 keV: slopes, not fluxes."""
    hard = next((c for c in result.fit.model if c.name == "powerlaw"), None)
    high = result.spectrum.edges.max()
    if hard is None or high <= _SLOPE_KEV[0]:
        return
    at = float(np.clip(100.0, *(_SLOPE_KEV[0], high)))
    level = float(np.median(result.fit.photons(hard, np.array([at]))[:, 0])) * at**2
    energy = np.array([_SLOPE_KEV[0], min(_SLOPE_KEV[1], high)])
    for (index, source), dashes in zip(published_indices(), _DASHES, strict=False):
        ax.plot(energy, level * (energy / at) ** (2 - index), color="black", lw=0.8, ls=dashes, zorder=3,
                label=f"Γ = {index:g}, {source.split()[0]} {_year(source)}")  # fmt: skip


def _figure(column: Column, height_mm: float) -> tuple[Figure, Axes]:
    """Return a figure of a column's width with one empty panel."""
    figure = _blank(column, height_mm)
    return figure, figure.add_subplot()


def _blank(column: Column, height_mm: float) -> Figure:
    """Return an empty figure of a column's width, with room for the mark of a simulation."""
    figure = Figure(figsize=(WIDTHS_MM[column] / 25.4, height_mm / 25.4), layout="constrained")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, 0, 1, 1 - _MARK_MM / height_mm), w_pad=0.02, h_pad=0.02)  # type: ignore[call-arg]
    return figure


def _finished(run: Run, band: str, figure: Figure, ax: Axes) -> Figure:
    """Name the band in place of a title, and put the legend below."""
    _named(run, band, ax)
    legend_below(figure, 2 if figure.get_figwidth() < 5 else 4)
    return figure


def _named(run: Run, band: str, ax: Axes) -> None:
    """Replace the title of a panel by its energies and notes."""
    _, *notes = ax.get_title(loc="left").split(", ")
    for side in ("left", "right"):
        ax.set_title("", loc=side)
    constant = group(run, "constant_data").sel(band=known_band(run, band))
    _name(ax, ", ".join([f"{float(constant['e_min']):g}–{float(constant['e_max']):g} keV", *notes]))


def _name(ax: Axes, text: str) -> None:
    """Write the content of a panel above it, because error bars may be anywhere inside."""
    ax.text(0.0, 1.015, text, transform=ax.transAxes, va="bottom")


def _year(source: str) -> str:
    """First year in the text of a source."""
    return next((word.strip(",;()") for word in source.split() if word.strip(",;()").isdigit()
                 and len(word.strip(",;()")) == 4), "")  # fmt: skip
