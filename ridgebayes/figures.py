"""The figures of a run directory: which there are, how panels are laid out, and writing them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ridgebayes import plots
from ridgebayes.errors import InputError
from ridgebayes.run import Run

WIDTH_MM = 180.0  # both columns of a journal page; text of 7 pt and more stays legible
MAX_BANDS = 6
_STYLE = {
    "font.size": 8.0,
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so figures look alike everywhere
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "figure.titlesize": 9.0,
    "axes.linewidth": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "savefig.dpi": 200,
}

Panel = Callable[[Run, str, Axes], Axes]


def write_figures(run: Run, folder: Path) -> list[Path]:
    """Write all figures of a run as PNG.

    Parameters
    ----------
    run
        The run.
    folder
        Where to; made where it is missing.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    folder = Path(folder)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with matplotlib.style.context(_STYLE, after_reset=True):
            for name, make in _figures(run).items():
                path = folder / f"{name}.png"
                make(run).savefig(path)
                written.append(path)
    except OSError as error:
        raise InputError(f"{folder}: figures cannot be written ({error.strerror or error})") from error
    return written


def _figures(run: Run) -> dict[str, Callable[[Run], Figure]]:
    """Name of each file and what makes it."""
    off = plots.off_plane(run)
    figures: dict[str, Callable[[Run], Figure]] = {}
    if not off.all():
        profile = plots.longitude_profile
        flux = partial(profile, quantity="fov_flux")
        figures["longitude_profile"] = _each_band("Intensity along the Galactic plane", profile)
        figures["longitude_profile_fov"] = _each_band("FOV flux along the Galactic plane", flux)
    if off.any():
        other = plots.other_regions
        flux = partial(other, quantity="fov_flux")
        figures["other_regions"] = _each_band("Intensity off the Galactic plane", other)
        figures["other_regions_fov"] = _each_band("FOV flux off the Galactic plane", flux)
    return figures | {
        "residuals": _each_band("Normalised residuals of the ScWs", plots.residuals, narrow=True),
        "background": _each_band("Background over the years", plots.background),
        "crab": _each_band("Rate of the Crab over the years", plots.crab),
        "predictive": _each_band("Mean rates of revolutions: observed and predicted", plots.predictive),
        "traces": _traces,
    }


def chosen_bands(run: Run, most: int = MAX_BANDS) -> list[str]:
    """Return all bands, or `most` of them, evenly chosen."""
    bands = list(run.record["data"]["bands"])
    rows = np.unique(np.linspace(0, len(bands) - 1, min(most, len(bands))).round().astype(int))
    return [bands[i] for i in rows]


def _each_band(title: str, panel: Panel, *, narrow: bool = False) -> Callable[[Run], Figure]:
    """Return what makes a figure with one panel a band; narrow panels stand side by side."""

    def make(run: Run) -> Figure:
        bands, total = chosen_bands(run), len(run.record["data"]["bands"])
        columns = min(len(bands), 3) if narrow else 1 if len(bands) <= 3 else 2
        rows = -(-len(bands) // columns)
        figure = _figure(title + (f" ({len(bands)} of {total} bands)" if len(bands) < total else ""),
                         height_mm=22 + (68 if rows == 1 else 52) * rows)  # fmt: skip
        for place, band in enumerate(bands):
            ax = panel(run, band, figure.add_subplot(rows, columns, place + 1))
            if place + columns < len(bands):
                ax.set_xlabel("")
            if place % columns:
                ax.set_ylabel("")
        _legend(figure)
        return figure

    return make


def _traces(run: Run) -> Figure:
    """Trace and histogram of the worst sampled parameters and of the hyperparameters."""
    scalars = plots.worth_tracing(run)
    rows = -(-len(scalars) // 2)
    figure = _figure("Chains: worst sampled parameters, then hyperparameters", height_mm=22 + 40 * rows)
    grid = figure.add_gridspec(rows, 4, width_ratios=(4, 1, 4, 1))
    for place, scalar in enumerate(scalars):
        row, column = divmod(place, 2)
        ax = figure.add_subplot(grid[row, 2 * column])
        side = figure.add_subplot(grid[row, 2 * column + 1])
        plots.trace(run, scalar, ax, side)
        if place + 2 < len(scalars):
            ax.set_xlabel("")
            side.set_xlabel("")
    _legend(figure)
    return figure


def _figure(title: str, height_mm: float) -> Figure:
    figure = Figure(figsize=(WIDTH_MM / 25.4, height_mm / 25.4), layout="constrained")
    figure.suptitle(title, x=0.005, ha="left")
    return figure


def _legend(figure: Figure) -> None:
    """One legend for all panels, below them, where it covers nothing."""
    handles: dict[str, Artist] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    labels = sorted(handles, key=lambda label: label if "interval" in label else "")
    figure.align_ylabels()
    figure.legend([handles[n] for n in labels], labels, loc="outside lower center", ncols=len(labels))
