"""The background: level over the years, phase curves, scatter."""

from __future__ import annotations

import numpy as np
from astropy.time import Time
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ridgebayes.plots.residuals import band_axis, distribution_figure
from ridgebayes.plots.style import (
    BLUE,
    GREY,
    LIGHT,
    MIDDLE,
    band_title,
    draw_history,
    each_band,
    finish,
    group,
    history,
    in_style,
    known_band,
    legend_below,
    new_figure,
    year_axis,
    years,
)
from ridgebayes.products.background import (
    follows,
    phase_curves,
    quiet_residuals,
    revolution_level,
    scatter_table,
)
from ridgebayes.products.monitor import Monitor
from ridgebayes.products.residuals import LATITUDE, in_region
from ridgebayes.products.truth import Truth
from ridgebayes.runs.intensity import INNER_PROB
from ridgebayes.runs.run import Run

GREEN = "#009E73"  # of Okabe & Ito, for external data


def level_figure(run: Run, truth: Truth | None = None, monitor: Monitor | None = None) -> Figure:
    """Draw the level over the years with its interval, the revolutions, and a monitor if given."""

    def panel(run: Run, band: str, ax: Axes) -> Axes:
        return draw_level(run, band, ax, truth, monitor)

    return each_band("Background level over the years", panel)(run)


def phase_figure(run: Run) -> Figure:
    """Draw the background against orbital phase."""
    title = f"Phase curves: median and {INNER_PROB:.0%} of revolutions"
    return each_band(title, draw_phase, narrow=True)(run)


def residual_figure(run: Run) -> Figure:
    """Draw the normalised residuals of the ScWs off the plane, with a unit Gaussian."""
    title = f"Normalised residuals of the ScWs at |b| > {LATITUDE:g}°"
    return distribution_figure(run, title, quiet_residuals(run))


@in_style
def scatter_figure(run: Run, truth: Truth | None = None) -> Figure:
    """Draw the scatter from ScW to ScW of every band."""
    table = scatter_table(run, truth)
    value = {name: table[name].value for name in table.colnames if name not in ("band", "E_MIN", "E_MAX")}
    figure = new_figure("Scatter of the background from ScW to ScW, beyond counting noise", height_mm=75)
    ax = figure.add_subplot()
    place = np.arange(len(table))
    ax.vlines(place, value["lo94"], value["hi94"], MIDDLE, lw=1.2, label="94% interval")
    ax.vlines(place, value["lo68"], value["hi68"], BLUE, lw=3.0, label="68% interval")
    ax.plot(place, value["mean"], "o", ms=3, mfc="white", color=BLUE, label="mean")
    if "truth" in value:
        ax.hlines(value["truth"], place - 0.3, place + 0.3, "black", lw=0.9, ls=(0, (2, 1)), label="truth")
    band_axis(ax, [str(band) for band in table["band"]])
    ax.set_ylabel("Scatter [% of the level]")
    finish(run, ax, "" if (value["sd"] > 0).any() else "held")
    legend_below(figure)
    return figure


def draw_level(
    run: Run, band: str, ax: Axes, truth: Truth | None = None, monitor: Monitor | None = None
) -> Axes:
    """Draw the level of one band over the years into `ax`, and a monitor on a second axis.

    The level and its truth are the background of an average revolution whose tracer is at its slow trend. The
    points include the constant terms of the revolutions. Filled points are revolutions with ScWs off the
    plane, which measure the background directly.
    """
    band = known_band(run, band)
    constant = group(run, "constant_data").sel(band=band)
    when, summary, level = years(run), history(run, "background_history", band), revolution_level(constant)
    scws = run.scws
    quiet = np.asarray(scws["REVOL"])[in_region(scws, "BKG") & ~np.asarray(scws["CRAB"])]
    own = np.isin(constant["revolution"].values, quiet)
    for mask, face, label in (
        (own, GREY, "revolution"),
        (~own, "white", f"revolution, no ScW at |b| > {LATITUDE:g}°"),
    ):
        if mask.any():
            ax.plot(
                when[mask], level[mask], "o", ms=2.4, mfc=face, mec=GREY, mew=0.5, zorder=1.5, label=label
            )
    draw_history(ax, when, summary, "level")
    # A single outlying revolution must not set the scale.
    off_level = np.abs(level - summary["mean"].values)
    shown = level[off_level <= 8 * np.median(off_level)]
    low, high = min(shown.min(), float(summary["lo"].min())), max(shown.max(), float(summary["hi"].max()))
    if truth is not None and band in truth.level:
        at = Time(truth.mjd, format="mjd", scale="tt").decimalyear
        ax.plot(at, truth.level[band], color="black", lw=0.9, ls=(0, (4, 2)), label="truth")
        low, high = min(low, *truth.level[band]), max(high, *truth.level[band])
    room = 0.06 * (high - low) or 1.0
    ax.set(ylabel="Rate [cts/s]", ylim=(low - room, high + room))
    off = int(((level < low - room) | (level > high + room)).sum())
    notes = [f"{off} of {level.size} revolutions beyond the axis"] if off else []
    if monitor is not None:
        _draw_monitor(ax, monitor, when)
        correlation = follows(run, band, monitor)
        if np.isfinite(correlation):
            notes.append(f"rank correlation with {monitor.name[:12]} {correlation:+.2f}".replace("-", "−"))
    year_axis(ax)
    return finish(run, ax, band_title(run, band, *notes))


def draw_phase(run: Run, band: str, ax: Axes) -> Axes:
    """Draw the phase curves of the revolutions in one band into `ax`."""
    curves = phase_curves(run, known_band(run, band))
    for low, high, middle, shade, line, what in (
        (curves.lo, curves.hi, curves.median, LIGHT, (0, (4, 2)), "all terms"),
        (curves.shape_lo, curves.shape_hi, curves.shape, MIDDLE, "-", "phase terms"),
    ):
        ax.fill_between(curves.phase, low, high, color=shade, lw=0, label=f"{INNER_PROB:.0%}, {what}")
        ax.plot(curves.phase, middle, color=BLUE, lw=1.0, ls=line, label=f"median, {what}")
    ax.axhline(0.0, color=GREY, lw=0.6)
    for first, ends in enumerate(((0.0, curves.seen[0]), (curves.seen[1], 1.0))):
        ax.axvspan(*ends, color="#E4E4E4", lw=0, zorder=3, label=None if first else "no ScW")
    ax.set(xlabel="Orbital phase (0: perigee)", ylabel="Background − level [% of level]", xlim=(0, 1))
    return finish(run, ax, band_title(run, band))


def _draw_monitor(ax: Axes, monitor: Monitor, when: np.ndarray) -> None:
    """Draw the part of a series that lies within the mission, with its axis on the right."""
    at = Time(monitor.mjd, format="mjd", scale="utc").decimalyear
    inside = (at >= when.min() - 0.5) & (at <= when.max() + 0.5)
    right = ax.twinx()
    right.plot(at[inside], monitor.value[inside], color=GREEN, lw=0.9, label=f"monitor: {monitor.name}")
    right.set_ylabel(f"{monitor.name} [its own unit]", color=GREEN)
    right.tick_params(axis="y", colors=GREEN, direction="in")
    ax.tick_params(axis="y", right=False)
    # Keep the posterior in front.
    ax.set_zorder(right.get_zorder() + 1)
    ax.patch.set_visible(False)
