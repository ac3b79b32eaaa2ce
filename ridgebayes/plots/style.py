"""Common style of all figures: colours, layout of panels, marks; writing of figures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import matplotlib.style
import numpy as np
import xarray as xr
from astropy.time import Time
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from ridgebayes.errors import InputError, nearest
from ridgebayes.io.atomic import whole_file
from ridgebayes.runs.convergence import not_converged, words
from ridgebayes.runs.intensity import CI_PROB
from ridgebayes.runs.run import Run

# Okabe & Ito's colours and tints of them, told apart by colour-blind readers: blue is the posterior, black
# the truth or the expectation, orange the classical estimate.
BLUE, MIDDLE, LIGHT, PALE = "#0072B2", "#67ACD2", "#C7E1F0", "#E8F3F9"
ORANGE, VERMILLION = "#E69F00", "#D55E00"
CHAINS = ("#0072B2", "#56B4E9", "#003A5C", "#8FA9B8")
GREY = "#777777"

WIDTH_MM = 180.0  # width of two columns of a journal page; text of at least 7 pt is legible
MAX_BANDS = 6
DPI = 200.0
LOOSE = 5.0
"""Intervals wider than the well-constrained ones by this factor are ignored for the scale of an axis."""
STYLE = {
    "font.size": 8.0,
    "font.family": "DejaVu Sans",  # is part of Matplotlib, so figures look the same everywhere
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "figure.titlesize": 9.0,
    "axes.titley": 1.0,  # Matplotlib would choose the same place after a long search
    "axes.linewidth": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "savefig.dpi": DPI,
    "pdf.fonttype": 42,  # embedded TrueType: journals reject the default type 3 fonts
    "ps.fonttype": 42,
}

P = ParamSpec("P")
Panel = Callable[[Run, str, Axes], Axes]
"""Function that draws one band of a run into axes and returns them."""


def write_figure(make: Callable[[], Figure], path: Path) -> Path:
    """Make a figure in the common style and write it.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    path = Path(path)
    with _style(), whole_file(path) as scratch:
        figure = make()
        if path.suffix.lower() == ".png":
            figure.set_dpi(DPI)
            # As savefig, which draws all of it twice; the usual compression takes longer for little.
            FigureCanvasAgg(figure).print_png(scratch, pil_kwargs={"compress_level": 3})
        else:
            figure.savefig(scratch)
    return path


def _style() -> AbstractContextManager[None]:
    return matplotlib.style.context(STYLE, after_reset=True)


def in_style(make: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorate a function to make its figure in the common style, whatever the style of the caller."""

    @wraps(make)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _style():
            figure = make(*args, **kwargs)
            for ax in figure.axes:
                for axis in (ax.xaxis, ax.yaxis):
                    # Matplotlib creates these ticks at the first access, and copies them later.
                    _ = axis.majorTicks, axis.minorTicks
            return figure

    return styled


def new_figure(title: str, height_mm: float) -> Figure:
    """Return an empty figure of the width of a journal page."""
    figure = Figure(figsize=(WIDTH_MM / 25.4, height_mm / 25.4), layout="constrained")
    figure.suptitle(title, x=0.005, ha="left")
    return figure


def legend_below(figure: Figure, most: int = 5) -> None:
    """Put one legend for all panels below them, with at most `most` columns."""
    handles: dict[str, Artist] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    labels = sorted(handles, key=lambda label: label if "interval" in label else "")
    figure.align_ylabels()
    if labels:
        columns = min(len(labels), most)
        figure.legend([handles[n] for n in labels], labels, loc="outside lower center", ncols=columns)


def each_band(title: str, panel: Panel, *, narrow: bool = False) -> Callable[[Run], Figure]:
    """Return a function that makes a figure with one panel per band; narrow panels stand side by side."""

    @in_style
    def make(run: Run) -> Figure:
        bands, total = chosen_bands(run), len(run.record["data"]["bands"])
        columns = min(len(bands), 3) if narrow else 1 if len(bands) <= 3 else 2
        rows = -(-len(bands) // columns)
        figure = new_figure(title + (f" ({len(bands)} of {total} bands)" if len(bands) < total else ""),
                            height_mm=22 + (68 if rows == 1 else 52) * rows)  # fmt: skip
        for place, band in enumerate(bands):
            ax = panel(run, band, figure.add_subplot(rows, columns, place + 1))
            if place + columns < len(bands):
                ax.set_xlabel("")
            if place % columns:
                ax.set_ylabel("")
        legend_below(figure)
        return figure

    return make


def chosen_bands(run: Run, most: int = MAX_BANDS) -> list[str]:
    """Return all bands, or `most` of them, evenly chosen."""
    bands = list(run.record["data"]["bands"])
    rows = np.unique(np.linspace(0, len(bands) - 1, min(most, len(bands))).round().astype(int))
    return [bands[i] for i in rows]


def group(run: Run, name: str) -> xr.Dataset:
    """One group of a run as a dataset."""
    return run.tree[name].to_dataset()


def known_band(run: Run, band: str) -> str:
    """Return the name of a band; for an unknown name raise an InputError that suggests the nearest."""
    known = [str(name) for name in group(run, "constant_data")["band"].values]
    if band not in known:
        raise InputError(f"{run.path or 'the run'}: has no band '{band}'{nearest(band, known)}")
    return band


def band_title(run: Run, band: str, *notes: str) -> str:
    """Title of a panel: the band, its energies, notes."""
    constant = group(run, "constant_data").sel(band=known_band(run, band))
    energies = f"{float(constant['e_min']):g}–{float(constant['e_max']):g} keV"
    return ", ".join([f"{band}: {energies}", *notes])


def years(run: Run) -> NDArray[np.float64]:
    """Middle of each revolution as a decimal year, (revolution,)."""
    return Time(group(run, "constant_data")["mjd"].values, format="mjd", scale="tt").decimalyear


def history(run: Run, what: str, band: str) -> xr.Dataset:
    """Mean, sd and interval in each revolution of ``background_history`` or ``crab_history``, cts/s."""
    constant = group(run, "constant_data").sel(band=band)
    return xr.Dataset({key: constant[f"{what}_{key}"] for key in ("mean", "sd", "lo", "hi")})


def known_range(
    low: NDArray, high: NDArray, *values: ArrayLike, seen: NDArray | None = None
) -> tuple[float, float]:
    """Find the ends of an axis from the well-constrained intervals.

    Parameters
    ----------
    low, high
        Ends of the intervals. Intervals `LOOSE` times wider than the lower quartile of widths are ignored.
    *values
        Other values that the axis must include; NaN is ignored.
    seen
        False for intervals that are always ignored.

    Returns
    -------
    bottom, top
        Ends of the axis, with a margin of 5 %.
    """
    width = high - low
    usable = np.isfinite(width) & (True if seen is None else seen)
    tight = usable & (width <= LOOSE * np.quantile(width[usable], 0.25)) if usable.any() else usable
    ends = np.concatenate([low[tight], high[tight], *(np.ravel(v) for v in values)])
    ends = ends[np.isfinite(ends)]
    bottom, top = (float(ends.min()), float(ends.max())) if ends.size else (0.0, 1.0)
    room = 0.05 * (top - bottom) or 1.0
    return bottom - room, top + room


def longitude_axis(ax: Axes) -> None:
    """Let Galactic longitude increase to the left, from 180° to −180°."""
    ax.set_xlim(180, -180)
    ax.set_xticks(range(-180, 181, 60))
    ax.set_xticks(range(-180, 181, 20), minor=True)


def year_axis(ax: Axes) -> None:
    """Label the horizontal axis as years."""
    ax.set_xlabel("Year")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def draw_history(ax: Axes, when: NDArray, summary: xr.Dataset, what: str) -> None:
    """Draw mean and 94 % interval against time."""
    ax.fill_between(
        when, summary["lo"], summary["hi"], color=MIDDLE, lw=0, alpha=0.8, label=f"{CI_PROB:.0%} interval"
    )
    ax.plot(when, summary["mean"], color=BLUE, lw=1.0, label=what)


def mark_beyond(ax: Axes, x: NDArray, y: NDArray, ends: tuple[float, float]) -> int:
    """Draw triangles on the edges of a vertical axis for points beyond its ends; return their number."""
    for end, marker, beyond in ((ends[1], "^", y > ends[1]), (ends[0], "v", y < ends[0])):
        if beyond.any():
            ax.plot(x[beyond], np.full(beyond.sum(), end), marker, ms=4, color=ORANGE, mec="none",
                    clip_on=False, zorder=5, label="beyond the axis")  # fmt: skip
    return int(((y < ends[0]) | (y > ends[1])).sum())


def finish(run: Run, ax: Axes, title: str) -> Axes:
    """Set the title of the panel, and mark its figure once as simulated or not converged."""
    ax.set_title(title, loc="left")
    marks = ["simulated data"] if run.simulated else []
    failed = not_converged(run)
    # A title and four names do not fit in one line.
    many = f"{len(failed)} bands not converged"
    marks += [words(failed) if len(failed) <= 3 else many] if failed else []
    figure = ax.figure.figure
    if marks and not any(text.get_gid() == "mark" for text in figure.texts):
        figure.text(0.995, 0.995, ", ".join(marks), color=VERMILLION, ha="right", va="top", gid="mark")
    return ax
