"""Spectrum of a region: E² dN/dE, ratio to the Crab, and correlation between bands."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from ridgebayes.instrument.crab_spectrum import CrabSpectrum, mean_energy
from ridgebayes.plots.style import BLUE, GREY, MIDDLE, ORANGE, finish, in_style, legend_below, new_figure
from ridgebayes.products.spectrum import Kind, Spectrum, interval
from ridgebayes.runs.intensity import CI_PROB, INNER_PROB
from ridgebayes.runs.run import Run
from ridgebayes.typing import Floats

_WORDS = {"fov": {"mean": ", mean of FOV", "per": ""}, "intensity": {"mean": "", "per": "/deg²"}}
_LABEL: dict[Kind, str] = {
    "e2": "E² dN/dE per sr{mean}\n[keV² ph/cm²/s/keV/sr]",
    "energy_flux": "Energy flux in the band\n[erg/s/cm²{per}]",
    "mcrab": "Relative to the Crab\n[mCrab{per}]",
    "crab": "Fraction of the Crab{per}",
}
_ASIDE = 0.12  # offset of published values from the posterior, as a fraction of the band's width in ln E
_SHORT, _LONG = 4.0, 300.0  # ratio of top to bottom of an axis
_ARROW = 11  # length of the arrow of a limit, pt
_FALL = 0.2  # fraction of the smallest value at which a logarithmic axis ends
_NAMED = 4  # bands; more of them are labelled by their energies only


@in_style
def spectrum_figure(run: Run, spectrum: Spectrum) -> Figure:
    """Draw a spectrum in E² dN/dE and relative to the Crab, and the correlation between its bands."""
    name = {"fov": "FOV flux", "intensity": "intensity"}[spectrum.quantity]
    unseen = "" if spectrum.seen else " (no ScW sees it: prior only)"
    figure = new_figure(f"Spectrum of {spectrum.region}: {name}{unseen}", height_mm=125)
    several = len(spectrum.bands) > 1
    grid = figure.add_gridspec(2, 2 if several else 1, width_ratios=[2.1, 1] if several else None,
                               height_ratios=[1.4, 1])  # fmt: skip
    top = draw_spectrum(run, spectrum, figure.add_subplot(grid[0, 0]))
    draw_spectrum(run, spectrum, figure.add_subplot(grid[1, 0], sharex=top), kind="mcrab")
    top.tick_params(labelbottom=False)
    top.set_xlabel("")
    if several:
        draw_correlation(run, spectrum, figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1]))
    legend_below(figure)
    return figure


def draw_spectrum(run: Run, spectrum: Spectrum, ax: Axes, *, kind: Kind = "e2") -> Axes:
    """Draw a spectrum into axes, which are logarithmic if all values are positive.

    Horizontal bars are the bands. If the 94 % interval includes zero, its upper end, the 97 % quantile, is
    drawn as an upper limit. The truth is drawn if it is known, and published values of the same region and
    bands.

    Parameters
    ----------
    run, spectrum, ax
        The run, its spectrum, and the axes to draw into.
    kind
        Unit of the spectrum (see :meth:`Spectrum.expressed`).
    """
    draws, _, factor = spectrum.expressed(kind)
    low, high = spectrum.edges
    energy = mean_energy(low, high)
    limit, there = spectrum.limits, ~spectrum.limits
    mean = draws.mean(axis=0)
    inner, outer = interval(draws, INNER_PROB), interval(draws, CI_PROB)
    truth = None if spectrum.truth is None else spectrum.truth * factor
    published, error = spectrum.published.value * factor, spectrum.published.error * factor
    # On a logarithmic axis, an interval that almost reaches zero must not set the scale.
    values = np.concatenate([mean[there], outer[1], [] if truth is None else truth, published])
    ends = np.concatenate([values, outer[0][there], published - error, published + error])
    values, ends = values[np.isfinite(values)], ends[np.isfinite(ends)]
    log = bool((ends > 0).all())
    bottom = max(ends.min(), _FALL * values.min()) if log else min(ends.min(), 0.0)
    _axes(ax, spectrum, bottom, ends.max(), log=log)
    if truth is not None:
        ax.hlines(truth, low, high, color="black", lw=1.1, ls=(0, (2, 1)), zorder=5, label="truth")
    if there.any():
        width = np.array([energy - low, high - energy])[:, there]
        ax.vlines(energy[there], outer[0][there], outer[1][there], color=BLUE, lw=0.9, zorder=3,
                  label=f"{CI_PROB:.0%} interval")  # fmt: skip
        ax.vlines(energy[there], inner[0][there], inner[1][there], color=MIDDLE, lw=3.0, zorder=3,
                  label=f"{INNER_PROB:.0%} interval")  # fmt: skip
        ax.errorbar(energy[there], mean[there], xerr=width, fmt="o", ms=2.6, lw=1.0, color=BLUE, zorder=4,
                    label="mean")  # fmt: skip
    if limit.any():
        _limits(ax, low[limit], high[limit], outer[1][limit])
    title = _crab(spectrum.crab) if kind in ("e2", "energy_flux") else ""
    if spectrum.published.source:
        aside = energy * (high / low) ** _ASIDE
        ax.errorbar(aside, published, error, fmt="D", ms=3.4, lw=0.9, mfc="white", color=ORANGE, zorder=5,
                    label="published (1σ)")  # fmt: skip
        title = title or f"Published: {spectrum.published.source}"
    ax.set(xlabel="Energy [keV]", ylabel=_LABEL[kind].format_map(_WORDS[spectrum.quantity]))
    return finish(run, ax, title)


def draw_correlation(run: Run, spectrum: Spectrum, ax: Axes, bar: Axes) -> Axes:
    """Draw the posterior correlation between the bands of a spectrum into `ax`, its colour bar into `bar`."""
    count = len(spectrum.bands)
    values = spectrum.correlation
    image = ax.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, origin="lower")
    low, high = spectrum.edges
    if count <= _NAMED:
        names = [f"{band.name}\n{band.e_min:g}–{band.e_max:g}" for band in spectrum.bands]
        ticks = np.arange(count)
        for i, j in np.ndindex(count, count):
            light = abs(values[i, j]) > 0.6
            ax.text(
                j,
                i,
                f"{values[i, j]:.2f}".replace("-", "−"),
                ha="center",
                va="center",
                color="w" if light else "k",
            )
    else:
        ticks = np.unique(np.linspace(0, count - 1, 6).round().astype(int))
        names = [f"{energy:.0f}" for energy in mean_energy(low, high)[ticks]]
    ax.set_xticks(ticks, names)
    ax.set_yticks(ticks, names, rotation=90 if count <= _NAMED else 0, va="center")
    ax.tick_params(length=0)
    ax.set_xlabel("Band [keV]" if count <= _NAMED else "Middle of the band [keV]")
    ax.figure.colorbar(image, cax=bar, orientation="horizontal")
    bar.set(box_aspect=0.06, anchor="N")
    how = "sampled independently: 0 expected" if spectrum.apart else "sampled jointly"
    noise = f"±{len(spectrum.draws) ** -0.5:.1g} or more from {len(spectrum.draws)} draws"
    bar.set_xlabel(f"Posterior correlation\n({how},\n{noise})")
    return finish(run, ax, "Correlation between bands")


def _axes(ax: Axes, spectrum: Spectrum, bottom: float, top: float, *, log: bool) -> None:
    """Scale the axes to the drawn values, with room for the arrows of upper limits below."""
    low, high = spectrum.edges
    room = (high.max() / low.min()) ** 0.03
    ax.set(xscale="log", xlim=(low.min() / room, high.max() * room))
    below, above = 0.15 if spectrum.limits.any() else 0.06, 0.06
    if log:
        span = max(top / bottom, 1.5)
        ax.set(yscale="log", ylim=(bottom / span**below, top * span**above))
        _plain_ticks(ax.yaxis)
    else:
        span = max(top, 0.0) - bottom
        ax.set_ylim(bottom - below * span, max(top, 0.0) + above * span)
        ax.axhline(0.0, color=GREY, lw=0.6, zorder=1)
    _plain_ticks(ax.xaxis)


def _limits(ax: Axes, low: Floats, high: Floats, value: Floats) -> None:
    """Draw upper limits across their bands, with an arrow."""
    style: dict[str, Any] = {"color": BLUE, "lw": 1.0}
    ax.hlines(value, low, high, **style, zorder=3)
    label = f"upper limit ({(1 + CI_PROB) / 2:.0%})"
    ax.plot([], [], ls="none", marker=r"$\downarrow$", ms=7, color=BLUE, mew=0.2, label=label)
    for at, top in zip(mean_energy(low, high), value, strict=True):
        ax.annotate("", (at, top), (0, -_ARROW), textcoords="offset points", zorder=3,
                    arrowprops={"arrowstyle": "<-", "shrinkA": 0, "shrinkB": 0, **style})  # fmt: skip


def _plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers if it is short."""
    low, high = axis.get_view_interval()
    if high / low > _LONG:
        return
    if high / low < _SHORT:
        axis.set_minor_locator(NullLocator())
    axis.set_major_locator(MaxNLocator(5) if high / low < _SHORT else LogLocator(subs=(1, 2, 3, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _crab(crab: CrabSpectrum) -> str:
    above = "" if crab.e_break is None else f", index {crab.index2:g} above {crab.e_break:g} keV"
    return f"Crab: {crab.norm:.4g} (E/keV)^{-crab.index:g} ph/cm²/s/keV{above}"
