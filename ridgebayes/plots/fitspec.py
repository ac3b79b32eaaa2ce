"""A spectral model, the spectrum it was fitted to, and the posteriors of its parameters."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ridgebayes.instrument.crab_spectrum import ERG_PER_KEV, mean_energy
from ridgebayes.plots.style import (
    BLUE,
    GREY,
    LIGHT,
    MIDDLE,
    ORANGE,
    VERMILLION,
    finish,
    in_style,
    legend_below,
    new_figure,
)
from ridgebayes.products.fitspec import RegionFit
from ridgebayes.products.spectrum import interval
from ridgebayes.runs.intensity import CI_PROB, INNER_PROB
from ridgebayes.runs.run import Run
from ridgebayes.typing import Floats

_COLOURS = (ORANGE, VERMILLION, GREY)
_LEGEND = {"whitedwarf": "white dwarfs", "cutoff": "cut-off power law", "powerlaw": "power law"}
_LABEL = {
    "whitedwarf.mass": "White-dwarf mass [solar masses]",
    "cutoff.temperature": "kT of the cut-off [keV]",
    "powerlaw.index": "Photon index Γ",
}
_E2 = {"fov": "E² dN/dE in the field of view\n[keV/cm²/s]", "intensity": "E² dN/dE per sr\n[keV/cm²/s/sr]"}
_REACH = 6.0  # sd shown to either side of a posterior that is much narrower than its prior
_BOTTOM = 0.03  # fraction of the largest value at which the axis of E² dN/dE ends
_ENERGIES = 120
_TICKS = np.array([10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000])


@in_style
def fitspec_figure(run: Run, result: RegionFit) -> Figure:
    """Draw E² dN/dE with its components, the bands, their pulls, and shape parameters over their priors."""
    spectrum, fit = result.spectrum, result.fit
    name = {"fov": "FOV flux", "intensity": "intensity"}[spectrum.quantity]
    figure = new_figure(f"{spectrum.region}, {name}: {result.model.replace('+', ' + ')}", height_mm=125)
    free = [c.shape_name for c in fit.model if not fit.parameters[c.shape_name].fixed]
    # The two sides have separate layouts, so that labels on the right leave no gap on the left.
    sides = figure.subfigures(1, 2, width_ratios=[1.9, 1], squeeze=False)[0] if free else [figure]
    panels = [(draw_model, 3), (draw_bands, 2)] + ([] if result.joint else [(draw_pulls, 1)])
    axes = sides[0].subplots(len(panels), 1, sharex=True, height_ratios=[height for _, height in panels])
    for (draw, _), ax in zip(panels, axes, strict=True):
        draw(run, result, ax)
    *others, bottom = axes
    for ax in others:
        ax.tick_params(labelbottom=False)
        ax.set_xlabel("")
    low, high = spectrum.edges.min(), spectrum.edges.max()
    bottom.set_xlabel("Energy [keV]")
    energy_axis(bottom, low, high)
    for side in sides[1:]:
        for parameter, ax in zip(free, side.subplots(len(free), 1, squeeze=False)[:, 0], strict=True):
            draw_parameter(run, result, parameter, ax)
    legend_below(figure)
    return figure


def energy_axis(ax: Axes, low: float, high: float) -> None:
    """Label a logarithmic axis of energies, keV, with plain numbers.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from ridgebayes.plots.fitspec import energy_axis
    >>> ax = Figure().add_subplot(xscale="log")
    >>> energy_axis(ax, 25.0, 200.0)
    >>> ax.get_xticks()
    array([ 30,  50,  70, 100, 150, 200])
    """
    ax.set_xlim(low / 1.05, high * 1.05)
    ax.set_xticks([tick for tick in _TICKS if low / 1.05 < tick < high * 1.05])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def draw_model(run: Run, result: RegionFit, ax: Axes) -> Axes:
    """Draw E² dN/dE of the model and its components, and the bands unfolded through the model.

    A band is drawn at the mean of the model's E² dN/dE over it, times the ratio of measured to predicted
    mCrab.
    """
    spectrum, fit = result.spectrum, result.fit
    edges = spectrum.edges
    energy = np.geomspace(edges.min(), edges.max(), _ENERGIES)
    parts = np.stack([fit.photons(c, energy) * energy**2 for c in fit.model])
    total = parts.sum(0)
    low, high = interval(total, CI_PROB)
    ax.fill_between(energy, low, high, color=LIGHT, lw=0, label=f"{CI_PROB:.0%} interval of the model")
    ax.plot(energy, np.median(total, 0), color=BLUE, lw=1.2, label="model")
    if len(fit.model) > 1:
        for component, part, colour in zip(fit.model, parts, _COLOURS, strict=False):
            low, high = interval(part, INNER_PROB)
            ax.fill_between(energy, low, high, color=colour, alpha=0.2, lw=0)
            ax.plot(energy, np.median(part, 0), color=colour, lw=1.0, ls="--",
                    label=f"{_LEGEND[component.name]} ({INNER_PROB:.0%})")  # fmt: skip
    width = np.log(edges[1] / edges[0])
    mean = np.array(
        [sum(fit.energy_flux(c, *pair).mean() for c in fit.model) for pair in edges.T]
    ) / ERG_PER_KEV / width  # fmt: skip
    factor = mean / fit.folded.sum(0).mean(0)
    sd = np.sqrt(np.diag(fit.covariance))
    _points(ax, edges, fit.mean * factor, sd * factor)
    top = max(np.max(interval(total, CI_PROB)[1]), np.max((fit.mean + sd) * factor))
    bottom = max(_BOTTOM * top, min(np.min(np.median(total, 0)), np.median(parts, 1).max(0).min()) / 3)
    ax.set(xscale="log", yscale="log", ylim=(bottom, top * 1.3))
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel(_E2[spectrum.quantity])
    failed = ", chains not converged" if result.warnings else ""
    return finish(run, ax, "" if result.joint else f"Posterior predictive p = {fit.p_value:.2f}{failed}")


def draw_bands(run: Run, result: RegionFit, ax: Axes) -> Axes:
    """Draw the fitted spectrum and the model in each band, relative to the Crab."""
    spectrum, fit = result.spectrum, result.fit
    low, high = interval(fit.folded.sum(0), CI_PROB)
    edges = spectrum.edges
    for k in range(len(low)):
        ax.fill_between(edges[:, k], low[k], high[k], color=LIGHT, lw=0)
        ax.plot(edges[:, k], [fit.folded.sum(0)[:, k].mean()] * 2, color=BLUE, lw=1.2)
    if spectrum.truth is not None:
        ax.hlines(spectrum.truth, *edges, color="black", lw=1.0, ls=(0, (2, 1)), label="truth", zorder=5)
    _points(ax, edges, fit.mean, np.sqrt(np.diag(fit.covariance)))
    ax.set_ylabel("Relative to the Crab\n[mCrab" + ("]" if spectrum.quantity == "fov" else "/deg²]"))
    ax.set(xscale="log", ylim=(min(0.0, ax.get_ylim()[0]), None))
    return finish(run, ax, "")


def draw_pulls(run: Run, result: RegionFit, ax: Axes) -> Axes:
    """Draw (mean − model) / posterior sd of each band."""
    fit, edges = result.fit, result.spectrum.edges
    pull = (fit.mean - fit.folded.sum(0).mean(0)) / np.sqrt(np.diag(fit.covariance))
    energy = mean_energy(*edges)
    ax.axhline(0.0, color=GREY, lw=0.6)
    ax.errorbar(energy, pull, 1.0, xerr=[energy - edges[0], edges[1] - energy], fmt="o", ms=2.6, lw=1.0,
                color=BLUE)  # fmt: skip
    reach = max(2.5, 1.2 * np.abs(pull).max() + 1)
    ax.set(xscale="log", ylim=(-reach, reach), ylabel="Pull [sd]")
    return finish(run, ax, "")


def draw_parameter(run: Run, result: RegionFit, name: str, ax: Axes) -> Axes:
    """Draw the posterior of a parameter over its prior."""
    fit = result.fit
    draws, prior = fit.draws[name], fit.prior_draws[name]
    low, high = np.quantile(np.concatenate([prior, draws]), [0.002, 0.998])
    mean, reach = draws.mean(), _REACH * draws.std()
    if 2 * reach < high - low:  # much narrower than the prior: zoom in
        low, high = mean - reach, mean + reach
    bins = np.linspace(low, high, 41).tolist()
    share = [np.full(x.size, 1 / (x.size * (bins[1] - bins[0]))) for x in (prior, draws)]
    ax.hist(prior, bins, weights=share[0], histtype="step", color=GREY, lw=1.0, label="prior")
    ax.hist(draws, bins, weights=share[1], color=MIDDLE, label="posterior")
    ax.axvline(draws.mean(), color=BLUE, lw=1.0)
    ax.set(xlabel=_LABEL[name], yticks=[], xlim=(low, high))
    text = f"{draws.mean():.3g} ± {draws.std(ddof=1):.2g}"
    note = fit.constraint(name).split(":")[0]
    return finish(run, ax, f"{text}, {note}" if note else text)


def _points(ax: Axes, edges: Floats, value: Floats, sd: Floats) -> None:
    energy = mean_energy(*edges)
    ax.errorbar(energy, value, sd, xerr=[energy - edges[0], edges[1] - energy], fmt="o", ms=2.6, lw=1.0,
                color="black", label="region (mean, sd)", zorder=4)  # fmt: skip
