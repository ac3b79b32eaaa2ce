"""Figures of posterior predictive checks: the data and replicates of the model."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ridgebayes.checks.results import Checks, CurveResult, Result
from ridgebayes.checks.verdicts import SUBJECTS, p_words
from ridgebayes.plots.style import (
    BLUE,
    LIGHT,
    MIDDLE,
    VERMILLION,
    band_title,
    chosen_bands,
    each_band,
    finish,
    in_style,
    known_range,
    legend_below,
    longitude_axis,
    new_figure,
    year_axis,
)
from ridgebayes.runs.run import Run

SUBJECT_OF = {
    "distribution": "tails",
    "pit": "shape",
    "scatter_years": "scatter",
    "scatter_level": "scatter",
}
"""Curve → subject whose verdict is its title, if their names differ."""

_REACH = 8.0  # largest value of the overview, in standard deviations of the replicates
_WRAP = 66  # characters in a line of a title, without the marks
_HALF, _MOST = 0.674, 1.881  # half-widths of the 50 % and 94 % intervals of a normal distribution


def figures(run: Run, checks: Checks) -> dict[str, Callable[[], Figure]]:
    """Return all figures of a check: name → function that draws it, the overview first."""
    made: dict[str, Callable[[], Figure]] = {"overview": lambda: overview(run, checks)}
    return made | {name: lambda name=name: curve_figure(run, checks, name) for name in checks.curves}


@in_style
def overview(run: Run, checks: Checks) -> Figure:
    """Draw the deviation of every statistic of each band, in standard deviations of the replicates."""
    names = list(dict.fromkeys(result.statistic for result in checks.results))
    figure = new_figure(textwrap.fill(checks.verdict, _WRAP), height_mm=38 + 4.2 * len(names))
    bands = chosen_bands(run)
    shared = None
    for place, band in enumerate(bands):
        ax = shared = figure.add_subplot(1, len(bands), place + 1, sharey=shared)
        draw_overview(ax, names, [result for result in checks.results if result.band == band])
        ax.tick_params(labelleft=place == 0)
        finish(run, ax, band_title(run, band) if len(bands) <= 3 else band)
    legend_below(figure)
    return figure


def draw_overview(ax: Axes, names: list[str], results: list[Result]) -> Axes:
    """Draw the statistics of one band, one row each; an arrow at the edge marks values beyond the axis.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from ridgebayes.checks import Result
    >>> from ridgebayes.plots.checks import draw_overview
    >>> interval = {"mean": 0.0, "lo": -0.2, "hi": 0.2}
    >>> one = Result("neighbours.lag1", "lag 1", "A01", observed=0.6, **interval, p=1e-6, z=6.0, found=True)
    >>> ax = draw_overview(Figure().add_subplot(), ["neighbours.lag1"], [one])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['neighbours: lag1']
    """
    place = {name: -row for row, name in enumerate(names)}
    ax.axvspan(-_MOST, _MOST, color=LIGHT, lw=0, label="94% interval of replicates")
    ax.axvspan(-_HALF, _HALF, color=MIDDLE, lw=0, label="50% interval of replicates")
    for found in (False, True):
        rows = [result for result in results if result.found is found]
        z = np.array([np.clip(result.z, -_REACH, _REACH) for result in rows])
        y = np.array([place[result.statistic] for result in rows])
        colour = VERMILLION if found else "black"
        for marker, which in (("o", np.abs(z) < _REACH), (">", z >= _REACH), ("<", z <= -_REACH)):
            label = "data: found" if found else "data"
            if marker != "o":
                # Matplotlib would put an empty one into the legend.
                label = f"{'found' if found else 'data'}, beyond ±{_REACH:g} sd" if which.any() else "_"
            ax.plot(z[which], y[which], marker, ms=4 if found else 3, color=colour, ls="none", label=label)
    ax.set(xlim=(-_REACH - 0.8, _REACH + 0.8), ylim=(-len(names) + 0.3, 0.7))
    ax.set_xlabel("Distance from the replicates [sd]")
    ax.set_yticks(list(place.values()), [readable(name) for name in place])
    ax.tick_params(axis="y", length=0)
    return ax


def readable(statistic: str) -> str:
    """Convert the name of a statistic to words.

    Examples
    --------
    >>> from ridgebayes.plots.checks import readable
    >>> readable("neighbours.next_scw")
    'neighbours: next scw'
    """
    subject, _, rest = statistic.partition(".")
    return f"{subject}: {rest}".replace("_", " ")


def curve_figure(run: Run, checks: Checks, name: str) -> Figure:
    """Draw one curve of every band; the title gives the test and its outcome."""
    curve = checks.curves[name]
    subject = SUBJECT_OF.get(name, name)
    verdict = next(v for v in checks.verdicts if v.subject == subject)
    bands = list(checks.bands)

    def panel(run: Run, band: str, ax: Axes) -> Axes:
        k = bands.index(band)
        draw_curve(ax, curve, k)
        about = [r for r in checks.results if r.subject == subject and r.band == band]
        note = ("smallest " if len(about) > 1 else "") + p_words(min(r.p for r in about)) if about else ""
        note += " (found)" if any(r.found for r in about) else ""
        return finish(run, ax, band_title(run, band, *([note] if note else [])))

    text = str(verdict)
    nothing = f"Nothing found: no p is below {checks.limit:.1g}"
    outcome = f"Found: {text[0].lower()}{text[1:]}" if verdict.found else nothing
    lines = f"Tested: {SUBJECTS[subject].quiet}", outcome
    return each_band("\n".join(textwrap.fill(line, _WRAP) for line in lines), panel)(run)


def draw_curve(ax: Axes, curve: CurveResult, band: int) -> Axes:
    """Draw the data of a band as points over the intervals of the replicates.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from ridgebayes.checks.results import CurveResult
    >>> from ridgebayes.plots.checks import draw_curve
    >>> quantiles = np.multiply.outer([-2.0, -0.7, 0.0, 0.7, 2.0], np.ones((1, 3)))  # of the replicates
    >>> observed = np.array([[0.1, 3.0, -0.4]])
    >>> curve = CurveResult("phase", np.array([0.2, 0.5, 0.8]), "Phase", "Residual", observed, quantiles)
    >>> draw_curve(Figure().add_subplot(), curve, 0).get_legend_handles_labels()[1][-1]
    'data outside 94%'
    """
    low, lower, middle, upper, high = curve.replicated[:, band]
    observed = curve.observed[band]
    if curve.name == "distribution":
        return _draw_distribution(ax, curve, band)
    known = np.isfinite(observed)
    x = curve.x[known]
    # One bar per bin: values between bins are undefined.
    wide = float(np.clip(300 / max(x.size, 1), 4, 14))
    ax.vlines(x, low[known], high[known], color=LIGHT, lw=wide, label="94% interval of replicates")
    ax.vlines(x, lower[known], upper[known], color=MIDDLE, lw=wide, label="50% interval of replicates")
    ax.plot(x, middle[known], "_", color=BLUE, ms=wide)
    out = known & ((observed < low) | (observed > high))
    ax.plot(x, observed[known], "-", color="black", lw=0.4)
    ax.plot(curve.x[known & ~out], observed[known & ~out], "o", color="black", ms=3, label="data")
    if out.any():
        ax.plot(curve.x[out], observed[out], "D", color=VERMILLION, ms=3.5, label="data outside 94%")
    ax.set(xlabel=curve.x_label, ylabel=curve.y_label)
    if x.size:
        ax.set_ylim(*known_range(low[known], high[known], observed[known]))
    if curve.x_label.startswith("Galactic longitude"):
        longitude_axis(ax)
    if curve.x_label == "Year":
        if x.size:
            ax.set_xlim(x.min() - 1, x.max() + 1)
        year_axis(ax)
    return ax


def _draw_distribution(ax: Axes, curve: CurveResult, band: int) -> Axes:
    """Draw numbers of ScWs on a logarithmic axis; zero is drawn at its lower edge."""
    low, lower, _, upper, high = np.maximum(curve.replicated[:, band], 0.5)
    observed = curve.observed[band]
    ax.fill_between(curve.x, low, high, color=LIGHT, lw=0, label="94% interval of replicates", step="mid")
    ax.fill_between(curve.x, lower, upper, color=MIDDLE, lw=0, label="50% interval of replicates", step="mid")
    out = (observed < curve.replicated[0, band]) | (observed > curve.replicated[-1, band])
    some: NDArray = observed > 0
    ax.plot(curve.x[some & ~out], observed[some & ~out], "o", color="black", ms=3, label="data")
    if (some & out).any():
        ax.plot(
            curve.x[some & out],
            observed[some & out],
            "D",
            color=VERMILLION,
            ms=3.5,
            label="data outside 94%",
        )
    ax.set_yscale("log")
    ax.set(xlabel=f"{curve.x_label}; beyond the axis: in the first and last bin", ylabel=curve.y_label)
    ax.set_ylim(0.5, 3 * max(observed.max(), high.max()))
    return ax
