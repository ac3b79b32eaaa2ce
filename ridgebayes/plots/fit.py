"""Plots of a run. Each function takes an `ax`, draws into it and returns it.

They need only the run directory, not the fitted table. A figure that shows simulated data, or draws for which
the sampler gave a warning, is marked in its upper right corner. An unknown band raises `InputError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from numpy.typing import NDArray
from scipy import stats

from ridgebayes.plots.style import (
    BLUE,
    CHAINS,
    GREY,
    LIGHT,
    MIDDLE,
    PALE,
    VERMILLION,
    band_title,
    draw_history,
    finish,
    group,
    history,
    known_band,
    known_range,
    longitude_axis,
    mark_beyond,
    year_axis,
    years,
)
from ridgebayes.products.draws import told
from ridgebayes.products.profile import PLANE_LAT
from ridgebayes.runs.intensity import CI_PROB, INNER_PROB, fov_flux, summarise
from ridgebayes.runs.run import Run
from ridgebayes.sky.regions import tiling_names, wrap

Quantity = Literal["intensity", "fov_flux"]
_AXIS = {"intensity": "Intensity [mCrab/deg²]", "fov_flux": "FOV flux [mCrab]"}
_DERIVED = {"sky.intensity": "mCrab / deg2", "sky.fov_flux": "mCrab"}
_TRUTH = {"intensity": "true_intensity", "fov_flux": "true_fov_flux"}


def longitude_profile(run: Run, band: str, ax: Axes, *, quantity: Quantity = "intensity") -> Axes:
    """Draw the regions near the plane against Galactic longitude, which increases to the left.

    Shows the mean (as in the intensity table) with the 68 % and 94 % intervals, across the width of each
    region if that is known, and the truth if the data are simulated and it is known. The number of regions
    off the plane is given under the axis (see `other_regions`).

    Parameters
    ----------
    run, band, ax
        The run, the name of a band, and the axes to draw into.
    quantity
        ``intensity`` (mCrab/deg²) or ``fov_flux`` (mCrab: flux of a pointing at the region's centre).
    """
    summary = _summary(run, band, quantity)
    near = ~off_plane(run)
    shown = summary.isel(region=near)
    width = _widths(run)[near]
    _intervals(ax, shown, shown["lon"].values, width)
    off = int((~near).sum())
    note = f", {off} off the plane not shown" if off else ""
    ax.set(xlabel=f"Galactic longitude [deg]{note}", ylabel=_AXIS[quantity])
    longitude_axis(ax)
    return finish(run, ax, band_title(run, band, *_limit(ax, shown)))


def other_regions(run: Run, band: str, ax: Axes, *, quantity: Quantity = "intensity") -> Axes:
    """Draw the regions off the plane by name, in the style of `longitude_profile`."""
    summary = _summary(run, band, quantity)
    shown = summary.isel(region=off_plane(run))
    place = np.arange(shown.sizes["region"], dtype=float)
    _intervals(ax, shown, place, np.full(place.size, np.nan))
    every = max(1, -(-place.size // 40))
    names = shown["region"].values[::every]
    crowded = sum(len(name) + 2 for name in names) > 60
    ax.set_xticks(place[::every], names, rotation=90 if crowded else 0)
    ax.set(ylabel=_AXIS[quantity], xlabel=f"Region (|b| > {PLANE_LAT:g}°)", xlim=(-0.7, place.size - 0.3))
    return finish(run, ax, band_title(run, band, *_limit(ax, shown)))


def residuals(run: Run, band: str, ax: Axes) -> Axes:
    """Draw the histogram of the normalised residuals of the ScWs, with the unit Gaussian of the same area.

    The first and last bin include all values beyond the axis and are drawn in another colour.
    """
    constant = group(run, "constant_data").sel(band=known_band(run, band))
    centre, count = constant["residual_bin"].values, constant["residual_histogram"].values
    width = centre[1] - centre[0]
    low, high = centre[0] - width / 2, centre[-1] + width / 2
    ends = np.isin(np.arange(centre.size), (0, centre.size - 1))
    edges = np.append(centre - width / 2, high)
    ax.stairs(count[1:-1], edges[1:-1], fill=True, color=MIDDLE, label="ScWs")
    if count[ends].any():
        label = f"ScWs beyond ±{high - width:.3g}"
        ax.bar(centre[ends], count[ends], width, color=VERMILLION, label=label)
    gaussian = count.sum() * width * stats.norm.pdf(centre)
    label = f"unit Gaussian ({2 * stats.norm.sf(3):.2%} beyond ±3)"
    ax.plot(centre, gaussian, color="black", lw=1.0, label=label)
    ax.set_yscale("log")
    ax.set_ylim(0.5, 2 * max(count.max(), gaussian.max(), 1))
    ax.set(
        xlabel="(rate − fit) / sd", ylabel=f"ScWs in bins of {width:.2g}", xlim=(low - width, high + width)
    )
    ax.set_xticks(range(-6, 7, 2))
    share = count[np.abs(centre) > 3].sum() / max(count.sum(), 1)
    note = f"{share:.2%}\nbeyond ±3"
    ax.text(0.03, 0.97, note, transform=ax.transAxes, va="top")
    return finish(run, ax, band_title(run, band))


def background(run: Run, band: str, ax: Axes) -> Axes:
    """Draw the background level over the years, and the observed mean rate of every revolution.

    The level excludes the tracer term and the terms of single revolutions. The observed means include them,
    the sky and the Crab, so they may lie far from the level; triangles mark means beyond the axis.
    """
    band = known_band(run, band)
    when = years(run)
    level = history(run, "background_history", band)
    rate = group(run, "observed_data")["revolution_rate"].sel(band=band).values
    low, high = (float(x) for x in (level["lo"].min(), level["hi"].max()))
    room = max(high - low, 0.05 * abs(high))
    # A revolution without fitted ScWs has no mean.
    low = min(low, max(np.nanmin(rate), low - room)) - 0.1 * room
    high = max(high, min(np.nanmax(rate), high + 1.5 * room)) + 0.1 * room
    off = (rate < low) | (rate > high)
    label = "revolution means, sky included"
    ax.plot(when[~off], rate[~off], ".", ms=2.5, color=GREY, label=label)
    mark_beyond(ax, when, rate, (low, high))
    draw_history(ax, when, level, "background level without tracer term")
    year_axis(ax)
    ax.set(ylabel="Rate [cts/s]", ylim=(low, high))
    note = f"{off.sum()} of {off.size} revolutions beyond the axis"
    return finish(run, ax, band_title(run, band, *([note] if off.any() else [])))


def predictive(run: Run, band: str, ax: Axes) -> Axes:
    """Draw (observed − mean of the replicates) / sd of the replicates of the mean rates of revolutions."""
    band = known_band(run, band)
    observed = group(run, "observed_data")["revolution_rate"].sel(band=band)
    own = np.isfinite(observed.values)  # revolutions with fitted ScWs
    observed = observed[own]
    replicates = group(run, "posterior_predictive")["revolution_rate"].sel(band=band).isel(revolution=own)
    over = ("chain", "draw")
    pull = ((observed - replicates.mean(over)) / replicates.std(over, ddof=1)).values
    for limit, colour in ((2, PALE), (1, LIGHT)):
        ax.axhspan(-limit, limit, color=colour, lw=0, zorder=0, label=f"±{limit} sd")
    ax.plot(years(run)[own], pull, ".", ms=3, color="black", label="a revolution")
    reach = max(3.5, 1.1 * np.nanmax(np.abs(pull)))
    year_axis(ax)
    ax.set(ylabel="(observed − predicted) / sd", ylim=(-reach, reach))
    share = np.mean(np.abs(pull) < 2)
    expected = 1 - 2 * stats.norm.sf(2)
    return finish(run, ax, band_title(run, band, f"{share:.0%} within ±2 sd (Gaussian {expected:.0%})"))


class Scalar(NamedTuple):
    """One scalar of the posterior and its diagnostics.

    Examples
    --------
    >>> from ridgebayes.plots.fit import Scalar
    >>> slow, good = Scalar("crab.rate", {"band": "A01"}, 1.2, 20.0), Scalar("sky.norm", {}, 1.0, 900.0)
    >>> str(slow), slow.badness > good.badness
    ('crab.rate[A01]', True)
    """

    name: str
    where: dict[str, Any]
    r_hat: float
    ess: float

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.where.values()))}]" if self.where else self.name

    @property
    def badness(self) -> float:
        """Sort key that increases with R-hat and autocorrelation; infinite if there are too few draws."""
        value = max((self.r_hat - 1) / 0.01, 400 / max(self.ess, 1e-9))
        return value if np.isfinite(value) else np.inf


def worth_tracing(run: Run, n: int = 8) -> list[Scalar]:
    """Choose scalars: half of them with the worst diagnostics, then the worst of each hyperparameter."""
    every = sorted(_scalars(run), key=lambda s: -s.badness)
    chosen = every[: (n + 1) // 2]
    many = {"sky.intensity", "sky.fov_flux", "background.drift", "background.coefficients"}
    for scalar in every:
        if scalar.name not in many | {s.name for s in chosen}:
            chosen.append(scalar)
    rest = [s for s in every if s not in chosen]
    return [*chosen, *rest][:n]


def trace(run: Run, scalar: Scalar, ax: Axes, side: Axes | None = None) -> Axes:
    """Draw the chains of one scalar, and their histograms into `side`; mark divergent draws at the bottom.

    By hand, because bands are sampled one by one: a divergence is marked only in the band that diverged.
    """
    every = told(run, group(run, "posterior")[scalar.name])
    draws = every.sel(scalar.where).transpose("chain", "draw").values
    edges = np.histogram_bin_edges(draws, 30)
    for number, chain in enumerate(draws):
        colour = CHAINS[number % len(CHAINS)]
        ax.plot(chain, lw=0.4, color=colour, label=f"chain {number + 1}")
        if side is not None:
            density, _ = np.histogram(chain, edges)
            side.stairs(density, edges, orientation="horizontal", color=colour, lw=0.7)
    diverging = np.flatnonzero(_diverging(run, scalar).any("chain").values)
    if diverging.size:
        # Vertical axes coordinates place the marks at the bottom.
        foot = np.zeros(diverging.size)
        ax.plot(diverging, foot, "|", ms=7, mew=0.8, color=VERMILLION, label="divergent draw",
                transform=ax.get_xaxis_transform(), clip_on=False, zorder=5)  # fmt: skip
    unit = str(every.attrs.get("units", _DERIVED.get(scalar.name, "")))
    unit = unit.replace(" / ", "/").replace("deg2", "deg²")
    ax.set(xlabel="Draw", ylabel=f"[{unit}]" if unit else "", xlim=(0, max(draws.shape[1] - 1, 1)))
    if side is not None:
        side.set(ylim=ax.get_ylim(), xlabel="Draws", xlim=(0, None))
        side.tick_params(labelleft=False)
    return finish(run, ax, f"{scalar}\nR-hat {scalar.r_hat:.3f}, ESS {scalar.ess:.0f}")


def off_plane(run: Run) -> NDArray[np.bool_]:
    """Tell which regions are too far from the plane for a longitude axis, (region,)."""
    return np.abs(group(run, "constant_data")["lat"].values) > PLANE_LAT


def _scalars(run: Run) -> list[Scalar]:
    found = []
    for name, r_hat in run.diagnosis.r_hat.items():
        labels = [r_hat[axis].values.tolist() for axis in r_hat.dims]
        ess = run.diagnosis.ess_bulk[name].transpose(*r_hat.dims).values
        for index in np.ndindex(r_hat.shape):
            where = {str(axis): values[i] for axis, values, i in zip(r_hat.dims, labels, index, strict=True)}
            found.append(Scalar(str(name), where, float(r_hat.values[index]), float(ess[index])))
    return found


def _diverging(run: Run, scalar: Scalar) -> xr.DataArray:
    """Tell which draws diverged, (chain, draw): only in its own band if bands were sampled independently."""
    statistics = group(run, "sample_stats")
    if "band" in scalar.where and "diverging_band" in statistics:
        return statistics["diverging_band"].sel(band=scalar.where["band"])
    return statistics["diverging"]


def _summary(run: Run, band: str, quantity: Quantity) -> xr.Dataset:
    """Mean and intervals of every region, its longitude, whether a ScW sees it, and the truth if known."""
    band = known_band(run, band)
    posterior, constant = (group(run, name).sel(band=band) for name in ("posterior", "constant_data"))
    if quantity == "intensity":
        draws = posterior["sky.intensity"]
    else:  # only this band: thirty bands take long
        draws = fov_flux(xr.DataTree.from_dict({"posterior": posterior, "constant_data": constant}))
    tail = (1 - INNER_PROB) / 2
    unseen = run.record["data"].get("unseen_regions", [])
    summary = summarise(draws).assign(
        inner_lo=draws.quantile(tail, ("chain", "draw")).drop_vars("quantile"),
        inner_hi=draws.quantile(1 - tail, ("chain", "draw")).drop_vars("quantile"),
        lon=constant["lon"],
        seen=("region", ~np.isin(draws["region"].values, unseen)),
    )
    if run.simulated and _TRUTH[quantity] in constant:
        summary["truth"] = constant[_TRUTH[quantity]]
    return summary


def _widths(run: Run) -> NDArray[np.float64]:
    """Width of each region in longitude, deg, (region,); NaN if unknown."""
    constant = group(run, "constant_data")
    if "lon_width" in constant:
        return constant["lon_width"].values
    names, lon = constant["region"].values.tolist(), constant["lon"].values
    # The cells of a shipped tiling are named after their centres; their width is the distance of the centres.
    tiling = {name: wrap(centre) for name, centre in tiling_names(360 / len(names))}
    known = set(tiling) == set(names) and np.allclose([tiling[n] for n in names], lon)
    return np.full(lon.size, 360 / len(names) if known else np.nan)


def _intervals(ax: Axes, summary: xr.Dataset, place: Sequence[float] | NDArray, width: NDArray) -> None:
    """Draw regions of known width as cells, others as error bars."""
    inner, outer = f"{INNER_PROB:.0%} interval", f"{CI_PROB:.0%} interval"
    cell = np.flatnonzero(np.isfinite(width))
    point = np.flatnonzero(~np.isfinite(width))
    place = np.asarray(place)
    ax.axhline(0.0, color=GREY, lw=0.6, zorder=1.5)
    value = {name: array.values for name, array in summary.items()}
    if not value["seen"].all():
        ax.plot([], [], "s", color="#C8C8C8", label="seen by no ScW: prior only")
    colours = [(LIGHT, MIDDLE, BLUE) if seen else ("#E4E4E4", "#C8C8C8", GREY) for seen in value["seen"]]
    if cell.size:
        row, left, right = _pieces(cell, place, width)
        for low, high, shade, label in (("lo", "hi", 0, outer), ("inner_lo", "inner_hi", 1, inner)):
            bottom, top = value[low][row], value[high][row]
            corners = np.array([[left, bottom], [right, bottom], [right, top], [left, top]])
            tint = [colours[i][shade] for i in row]
            # One artist for all, because hundreds of bars take seconds to draw.
            ax.add_collection(PolyCollection(list(np.moveaxis(corners, -1, 0)), facecolors=tint, label=label))
        ax.hlines(value["mean"][row], left, right, [colours[i][2] for i in row], lw=1.0, label="mean")
        if "truth" in value:
            ax.hlines(value["truth"][row], left, right, "black", lw=0.8, ls=(0, (2, 1)), label="truth")
    if point.size:
        at, tint = place[point], [colours[i][2] for i in point]
        ax.vlines(at, value["lo"][point], value["hi"][point], tint, lw=0.7, label=outer)
        ax.vlines(at, value["inner_lo"][point], value["inner_hi"][point], tint, lw=2.2, label=inner)
        ax.scatter(at, value["mean"][point], s=14, c=tint, zorder=3, label="mean")
        if "truth" in value:
            style: dict[str, Any] = {"s": 22, "marker": "D", "facecolors": "none", "edgecolors": "black"}
            ax.scatter(at, value["truth"][point], zorder=4, label="truth", **style)


def _pieces(rows: NDArray, centre: NDArray, width: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Row, left and right end of each cell within −180…180; a cell across ±180° is split into two."""
    pieces = []
    for row in rows:
        low, high = centre[row] - width[row] / 2, centre[row] + width[row] / 2
        for turn in (-360.0, 0.0, 360.0):
            left, right = max(low + turn, -180.0), min(high + turn, 180.0)
            if left < right:
                pieces.append((row, left, right))
    row, left, right = zip(*pieces, strict=True)
    return np.array(row), np.array(left), np.array(right)


def _limit(ax: Axes, summary: xr.Dataset) -> list[str]:
    """Scale the axis without weakly constrained regions; return a note if intervals run beyond it."""
    low, high, seen = (summary[name].values for name in ("lo", "hi", "seen"))
    truth = summary["truth"].values if "truth" in summary else np.empty(0)
    bottom, top = ax.set_ylim(*known_range(low, high, 0.0, truth, seen=seen))
    beyond = int(((low < bottom) | (high > top)).sum())
    return [f"{beyond} interval{'s' * (beyond > 1)} beyond the axis"] if beyond else []
