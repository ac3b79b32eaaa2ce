"""Rate of the Crab over time, with the ScWs that contain the Crab."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ridgebayes.plots.residuals import distribution_figure
from ridgebayes.plots.style import (
    GREY,
    band_title,
    draw_history,
    each_band,
    finish,
    history,
    known_band,
    mark_beyond,
    year_axis,
    years,
)
from ridgebayes.products.crab import BIN_YEARS, binned, crab_points, holds_scws, rate_is_given
from ridgebayes.products.residuals import fit_residuals
from ridgebayes.products.truth import Truth
from ridgebayes.runs.run import Run

MANY = 60
"""Above this number, ScWs are drawn without error bars, and their means in bins of time with error bars."""

RESIDUAL_TITLE = "Normalised residuals of ScWs with the Crab"
_CTS = u.ct / u.s
_DARK = "#3A3A3A"


def history_figure(run: Run, truth: Truth | None = None) -> Figure:
    """Draw the rate of the Crab over the years with its interval, the ScWs with the Crab, and the truth."""

    def panel(run: Run, band: str, ax: Axes) -> Axes:
        return draw_crab(run, band, ax, truth)

    return each_band("Rate of the Crab over the years", panel)(run)


def residual_figure(run: Run) -> Figure:
    """Draw the normalised residuals of the ScWs that contain the Crab, with a unit Gaussian."""
    values = fit_residuals(run, np.asarray(run.scws["CRAB"]))
    return distribution_figure(run, RESIDUAL_TITLE, values)


def draw_crab(run: Run, band: str, ax: Axes, truth: Truth | None = None) -> Axes:
    """Draw the rate of the Crab in one band into `ax`."""
    band = known_band(run, band)
    summary = history(run, "crab_history", band)
    points = crab_points(run, band) if holds_scws(run) else None
    beyond = 0
    if points is not None and len(points):
        beyond = _draw_points(ax, points, float(summary["lo"].min()), float(summary["hi"].max()))
    draw_history(ax, years(run), summary, "Crab rate")
    if truth is not None and band in truth.crab_rate:
        when = Time(truth.mjd, format="mjd", scale="tt").decimalyear
        ax.plot(when, truth.crab_rate[band], color="black", lw=0.9, ls=(0, (4, 2)), label="truth")
    year_axis(ax)
    ax.set_ylabel("Crab rate [cts/s]")
    notes = ["held at the given rate"] if rate_is_given(run) else []
    if points is not None and not len(points):
        notes += ["no ScW contains the Crab"]
    elif points is not None and beyond:
        notes += [f"{beyond} of {len(points)} ScWs beyond the axis"]
    return finish(run, ax, band_title(run, band, *notes))


def _draw_points(ax: Axes, points: QTable, low: float, high: float) -> int:
    """Draw the ScWs and, if there are many, their means; return the number beyond the axis."""
    when = Time(points["MJD"].to_value(u.d), format="mjd", scale="tt").decimalyear
    rate, error = points["rate"].to_value(_CTS), points["error"].to_value(_CTS)
    many = len(points) > MANY
    ax.errorbar(when, rate, None if many else error, fmt=".", ms=3 if many else 4, lw=0.7, color="#A0A0A0",
                mec="none" if many else GREY, zorder=1, label="ScW, less all but the Crab")  # fmt: skip
    sure = error <= 3 * np.median(error)
    ends = [np.quantile(rate[sure], [0.005, 0.995])] if many else [(rate - error)[sure], (rate + error)[sure]]
    if many:
        means = binned(points)
        at = Time(means["MJD"].to_value(u.d), format="mjd", scale="tt").decimalyear
        mean, sd = means["rate"].to_value(_CTS), means["error"].to_value(_CTS)
        ax.errorbar(at, mean, sd, fmt="s", ms=3, lw=0.9, color=_DARK, zorder=4,
                    label=f"their means in {BIN_YEARS:g} yr")  # fmt: skip
        ends += [(mean - sd)[sd <= 3 * np.median(sd)], (mean + sd)[sd <= 3 * np.median(sd)]]
    bottom, top = min(low, *(e.min() for e in ends)), max(high, *(e.max() for e in ends))
    room = 0.05 * (top - bottom) or 1.0
    ax.set_ylim(bottom - room, top + room)
    return mark_beyond(ax, when, rate, (bottom - room, top + room))
