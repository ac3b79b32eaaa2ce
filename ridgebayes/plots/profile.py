"""Longitude profiles of the Galactic plane: posterior, scaled starlight, classical points, truth."""

from __future__ import annotations

from functools import partial

import astropy.units as u
import numpy as np
from astropy.table import QTable
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ridgebayes.plots.fit import longitude_profile
from ridgebayes.plots.style import (
    BLUE,
    GREY,
    LIGHT,
    MIDDLE,
    ORANGE,
    VERMILLION,
    band_title,
    each_band,
    finish,
    group,
    known_band,
    known_range,
    longitude_axis,
)
from ridgebayes.products.profile import near_plane
from ridgebayes.runs.intensity import INNER_PROB, MCRAB
from ridgebayes.runs.run import Run

STARLIGHT = "starlight, scaled (±2 sd)"


def intensity_figure(run: Run, table: QTable) -> Figure:
    """Draw the intensity of the regions against longitude.

    Parameters
    ----------
    run, table
        The run, and its table of `products.profile.intensity_profile`.
    """
    return each_band("Intensity along the Galactic plane", partial(draw_intensity, table=table))(run)


def fov_figure(run: Run, table: QTable, classical: QTable | None = None) -> Figure:
    """Draw the FOV flux of pointings along the plane.

    Parameters
    ----------
    run, table
        The run, and its table of `products.profile.fov_profile`.
    classical
        Columns lon (deg), band, flux, error (mCrab): finite values are drawn as points.
    """
    panel = partial(draw_fov, table=table, classical=classical)
    return each_band("FOV flux along the Galactic plane", panel)(run)


def draw_intensity(run: Run, band: str, ax: Axes, *, table: QTable) -> Axes:
    """Draw the intensity of the regions near the plane, and starlight scaled to it, into `ax`."""
    longitude_profile(run, band, ax)
    rows = table[table["band"] == band]
    if "template_mean" in table.colnames:
        lon, value, sd = (
            rows[name].to_value(unit)
            for name, unit in (
                ("lon", u.deg),
                ("template_mean", MCRAB / u.deg**2),
                ("template_sd", MCRAB / u.deg**2),
            )
        )
        ax.errorbar(lon, value, 2 * sd, fmt="D", ms=2.6, lw=0.8, mfc="white", color=VERMILLION, zorder=4,
                    label=STARLIGHT)  # fmt: skip
        _reach(ax, value)
    return _note(ax, table, band)


def draw_fov(run: Run, band: str, ax: Axes, *, table: QTable, classical: QTable | None = None) -> Axes:
    """Draw the FOV flux of pointings along the plane, and starlight scaled to it, into `ax`."""
    band = known_band(run, band)
    rows = table[table["band"] == band]
    lon, seen = rows["lon"].to_value(u.deg), np.asarray(rows["seen"])
    value = {name: rows[name].to_value(MCRAB) for name in rows.colnames if rows[name].unit == MCRAB}
    posterior = {name: np.where(seen, column, np.nan) for name, column in value.items()}
    ax.axhline(0.0, color=GREY, lw=0.6, zorder=1.5)
    pieces = np.split(np.arange(lon.size), np.flatnonzero(np.diff(lon) > 1.5 * np.diff(lon).min()) + 1)
    for first, piece in enumerate(pieces):
        for low, high, colour, label in (
            ("lo94", "hi94", LIGHT, "94% interval"),
            ("lo68", "hi68", MIDDLE, f"{INNER_PROB:.0%} interval"),
        ):
            ax.fill_between(lon[piece], posterior[low][piece], posterior[high][piece], color=colour, lw=0,
                            label=None if first else label)  # fmt: skip
        ax.plot(lon[piece], posterior["mean"][piece], color=BLUE, lw=1.0, label=None if first else "mean")
        if "template_mean" in value:
            ends = (value["template_mean"] + sign * 2 * value["template_sd"] for sign in (-1, 1))
            ax.fill_between(lon[piece], *(end[piece] for end in ends), color=VERMILLION, alpha=0.3, lw=0)
            ax.plot(lon[piece], value["template_mean"][piece], color=VERMILLION, lw=0.9, ls=(0, (4, 1.5)),
                    label=None if first else STARLIGHT)  # fmt: skip
    if not seen.all():
        grey = ax.fill_between(lon, 0, 1, where=~seen, transform=ax.get_xaxis_transform(), color="#E4E4E4")
        grey.set(lw=0, zorder=0.5, label="a region in view is seen by no ScW")
    # Weakly constrained values must not set the scale.
    used = seen if seen.any() else np.ones(lon.size, bool)
    ax.set_ylim(*known_range(value["lo94"], value["hi94"], 0.0, value.get("template_mean", []), seen=used))
    _truth(run, band, ax)
    notes = [] if classical is None else _classical(ax, classical[classical["band"] == band])
    ax.set(xlabel="Galactic longitude [deg]", ylabel="FOV flux [mCrab]")
    longitude_axis(ax)
    finish(run, ax, band_title(run, band, *notes))
    return _note(ax, table, band)


def _truth(run: Run, band: str, ax: Axes) -> None:
    """Mark the true FOV flux of pointings at the centres of the regions near the plane."""
    constant = group(run, "constant_data").sel(band=band)
    if not run.simulated or "true_fov_flux" not in constant:
        return
    names = np.array(run.sky.names)[near_plane(run)]
    true = constant["true_fov_flux"].sel(region=names).values
    ax.plot(constant["lon"].sel(region=names), true, "o", ms=3.2, mfc="none", mec="black", mew=0.8, zorder=5,
            label="truth")  # fmt: skip
    _reach(ax, true)


def _classical(ax: Axes, rows: QTable) -> list[str]:
    """Draw the classical estimate with its error; return a note if values lie beyond the axis.

    An estimate whose error is larger than a third of the axis does not extend it.
    """
    lon, flux = rows["lon"].to_value(u.deg), rows["flux"].to_value(MCRAB)
    error = rows["error"].to_value(MCRAB)
    there = np.isfinite(flux) & np.isfinite(error)
    lon = 180 - (180 - lon[there]) % 360
    ax.errorbar(lon, flux[there], error[there], fmt="s", ms=3, lw=0.9, color=ORANGE, zorder=4,
                label="classical")  # fmt: skip
    low, high = ax.get_ylim()
    sure = there & (np.nan_to_num(error) <= (high - low) / 3)
    _reach(ax, flux[sure])
    low, high = ax.get_ylim()
    beyond = int(((flux[there] < low) | (flux[there] > high)).sum())
    return [f"{beyond} classical beyond the axis"] if beyond else []


def _note(ax: Axes, table: QTable, band: str) -> Axes:
    """Write the norm of the starlight above the panel, where it covers nothing."""
    note = table.meta["starlight"].get(band, "").replace(", χ²", "\nχ²")
    ax.set_title(note, loc="right", fontsize=7, color=VERMILLION)
    return ax


def _reach(ax: Axes, values: np.ndarray) -> None:
    """Extend the vertical axis to include some values."""
    if values.size:
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, _with_room(values, values)[0]), max(high, _with_room(values, values)[1]))


def _with_room(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Find the ends of an axis that includes zero and some intervals."""
    bottom, top = min(low.min(), 0.0), max(high.max(), 0.0)
    room = 0.05 * (top - bottom) or 1.0
    return bottom - room, top + room
