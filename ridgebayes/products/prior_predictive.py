"""Prior predictive distribution of a model, in physical units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from astropy.table import QTable
from jax import Array
from numpy.typing import NDArray
from numpyro import handlers

from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Response
from ridgebayes.likelihood.design import FitData, Prepared
from ridgebayes.markup import marked
from ridgebayes.model import Model
from ridgebayes.products.profile import PLANE_LAT
from ridgebayes.products.published import published_fov, published_source
from ridgebayes.runs.assemble import true_sky
from ridgebayes.runs.fitted import DERIVED, HISTORIES, revolution_means
from ridgebayes.runs.intensity import CI_PROB, CXB_NOTE
from ridgebayes.runs.sampling import meet
from ridgebayes.table.formats import as_scws
from ridgebayes.table.scw import ScWTable

SCATTER = "background.scatter"
_UNITS = {"revolution_rate": "ct / s", "background.history": "ct / s", "crab.history": "ct / s",
          "sky.intensity": "mCrab / deg2", "sky.fov_flux": "mCrab", SCATTER: ""}  # fmt: skip
_FEWEST_SCWS = 5  # ScWs of a revolution needed to measure their scatter


def prior_predictive(
    model: Model,
    scws: ScWTable | str | Path,
    draws: int = 200,
    seed: int = 0,
    *,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
) -> xr.DataTree:
    """Draw parameters from the prior, and data from them for the pointings of a ScW table.

    Parameters
    ----------
    model
        Such as ``ridgebayes.models.regions(sky)``.
    scws
        The ScW rate table or its file. Pointings, times and errors are used for the replicated data; rates
        are only compared with, and give the two reference levels (background and Crab rate).
    draws
        Number of draws from the prior: ``--prior-draws`` of ``ridgebayes prior``.
    seed
        Random seed.
    response, crab_rate
        As in `ridgebayes.sample`.

    Returns
    -------
    xarray.DataTree
        Groups ``prior`` (the parameters), ``prior_predictive`` (revolution_rate: replicated mean rates of the
        revolutions, cts/s, background.history and crab.history, cts/s; sky.intensity, mCrab/deg²;
        sky.fov_flux, mCrab; quantities that the model does not compute are missing), ``observed_data`` and
        ``constant_data``. Every quantity has its unit as an attribute.

    Raises
    ------
    InputError
        If there are fewer than two draws, a prior is invalid, or there is no Crab calibration.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> model = rb.models.regions(rb.sky.load("coarse"))
    >>> drawn = rb.prior_predictive(model, rb.read_scws("mission.fits"), draws=50)
    >>> drawn["prior_predictive"]["revolution_rate"].dims
    ('chain', 'draw', 'band', 'revolution')
    """
    if draws < 2 or seed < 0:
        raise InputError(f"draws = {draws}, seed = {seed}: at least 2 draws, and a seed of 0 or more")
    scws = as_scws(scws)
    model, prepared = meet(model, scws, response=response, crab_rate=crab_rate)
    drawn = _draw(model, prepared.data, draws, seed)
    prior, predictive = _with_axes(model, drawn, model.sizes(prepared.data), draws)
    observed = {"revolution_rate": (("band", "revolution"), revolution_means(prepared.data))}
    groups = {
        "prior": prior,
        "prior_predictive": predictive,
        "observed_data": xr.Dataset(observed),
        "constant_data": _constant(model, prepared),
    }
    for name, group in groups.items():
        coords = {axis: labels for axis, labels in prepared.coords.items() if axis in group.dims}
        groups[name] = group.assign_coords(coords)
    tree = xr.DataTree.from_dict(groups)
    simulated = int(bool(scws.meta["simulated"]))
    tree.attrs.update(model=model.name, extras=list(model.extras), simulated=simulated)
    return tree


def _with_axes(
    model: Model, drawn: Mapping[str, NDArray], sizes: Mapping[str, int], draws: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the parameters, and the quantities that follow from them, with axes and units."""
    axes = ("chain", "draw")
    prior: dict[str, Any] = {}
    predictive: dict[str, Any] = {}
    for name, value in drawn.items():
        if name in model.parameters:
            dims = model.parameters[name].dims
            full = (draws, *(sizes[axis] for axis in dims))
            unit = {"units": model.parameters[name].unit}
            prior[name] = ((*axes, *dims), np.broadcast_to(value, full)[None], unit)
        if name in _UNITS and name != SCATTER:
            last = "region" if name in DERIVED else "revolution"
            predictive[name] = ((*axes, "band", last), value[None], {"units": _UNITS[name]})
    for name in DERIVED:
        if name in prior and prior[name][0] == (*axes, "band", "region"):
            predictive[name] = prior[name]
    return xr.Dataset(prior), xr.Dataset(predictive)


def _draw(model: Model, data: FitData, draws: int, seed: int) -> dict[str, NDArray]:
    """Site → (draw, ...) of parameters and derived quantities; replicated means of the revolutions."""

    @jax.jit
    def each(keys: Array, data: FitData) -> dict[str, Array]:
        def one(key: Array) -> dict[str, Array]:
            own, noise = jax.random.split(key)
            trace = handlers.trace(handlers.seed(model, own)).get_trace(data)
            found = {n: s["value"] for n, s in trace.items() if n in model.parameters}
            found |= {n: trace[n]["value"] for n in (*HISTORIES, *DERIVED) if n in trace}
            rate = trace["rate"]["fn"].base_dist.sample(noise)
            return found | {"revolution_rate": _means(rate, data)}

        return jax.lax.map(one, keys)

    keys = jax.random.split(jax.random.key(seed), draws)
    return {name: np.asarray(value) for name, value in each(keys, data).items()}


def _means(rate: Array, data: FitData) -> Array:
    """Mean of each revolution, (band, block, width) → (band, revolution), inside compiled code."""
    revolutions = data.level.shape[1]
    add = lambda x: jax.ops.segment_sum(x, data.block_revolution, revolutions)  # noqa: E731
    return jax.vmap(add)((rate * data.filled).sum(-1)) / add(data.filled.sum(-1).astype(float))


def _constant(model: Model, prepared: Prepared) -> xr.Dataset:
    """Collect the observed quantities for comparison, and the axes."""
    data, scws = prepared.data, prepared.scws
    names, bands = prepared.sky.names, scws.bands
    published = np.array([published_fov(name, bands) for name in names])
    values: dict[str, Any] = {
        "e_min": ("band", [band.e_min for band in bands]),
        "e_max": ("band", [band.e_max for band in bands]),
        "mjd": ("revolution", prepared.revolution_mjd),
        "lon": ("region", [region.centre_lon for region in prepared.sky.regions]),
        "lat": ("region", [region.centre_lat for region in prepared.sky.regions]),
        "level": (("band", "revolution"), data.level),
        "crab_rate": ("band", data.crab_rate, {"given": int(prepared.crab_given)}),
        "observed_scatter": ("band", observed_scatter(scws)),
        "published": (("band", "region"), published[:, 0].T),
        "published_error": (("band", "region"), published[:, 1].T),
    }
    if SCATTER in model.parameters and model.parameters[SCATTER].fixed:
        fixed = np.asarray(model.parameters[SCATTER].prior, float)
        values["fixed_scatter"] = ("band", np.broadcast_to(fixed, len(bands)))
    truth = true_sky(prepared)
    if truth is not None:
        values["true_fov_flux"] = (("band", "region"), truth[1])
    return xr.Dataset(values)


def observed_scatter(scws: ScWTable) -> NDArray[np.float64]:
    """Spread of the ScWs within a revolution in excess of counting noise, over their mean rate, (band,).

    The median of all revolutions with at least five ScWs without the Crab; NaN if there is none. It includes
    all changes within a revolution (phase, sky), so it is larger than the scatter of the model.
    """
    found = []
    for number in np.unique(scws.revolution[~scws.crab]):
        rows = (scws.revolution == number) & ~scws.crab
        if rows.sum() >= _FEWEST_SCWS:
            beyond = scws.rate[rows].var(axis=0, ddof=1) - (scws.stat_err[rows] ** 2).mean(axis=0)
            found.append(np.sqrt(np.maximum(beyond, 0.0)) / np.abs(scws.rate[rows].mean(axis=0)))
    return np.median(found, axis=0) if found else np.full(scws.rate.shape[1], np.nan)


def scatter_draws(tree: xr.DataTree) -> NDArray | None:
    """Draws of the scatter from ScW to ScW in excess of counting noise, per cent, (draw, band), or None."""
    constant, prior = tree["constant_data"].dataset, tree["prior"].dataset
    if SCATTER in prior and prior[SCATTER].dims == ("chain", "draw", "band"):
        return 100 * prior[SCATTER].values[0]
    if "fixed_scatter" in constant:
        return 100 * constant["fixed_scatter"].values[None]
    return None


def plane_regions(tree: xr.DataTree) -> NDArray[np.intp]:
    """Regions on the Galactic plane from west to east (−180° to 180°), as indices."""
    constant = tree["constant_data"].dataset
    lon = (constant["lon"].values + 180) % 360 - 180
    near = np.flatnonzero(np.abs(constant["lat"].values) <= PLANE_LAT)
    return near[np.argsort(lon[near], kind="stable")]


def chosen_region(tree: xr.DataTree) -> int:
    """Return the region shown in the table: GB, or the one nearest to the Galactic centre."""
    constant = tree["constant_data"].dataset
    lon = (constant["lon"].values + 180) % 360 - 180
    return int(np.argmin(np.hypot(lon, constant["lat"].values)))


def prior_table(tree: xr.DataTree) -> QTable:
    """Prior ranges of each quantity, and the values to compare them with.

    Parameters
    ----------
    tree
        Result of `prior_predictive`.

    Returns
    -------
    astropy.table.QTable
        Columns band, quantity, unit, lo, median, hi (94 % of the draws lie between lo and hi), compared and
        error (value to compare with; NaN if there is none), with (source of that value).
    """
    constant, predictive = tree["constant_data"].dataset, tree["prior_predictive"].dataset
    observed = tree["observed_data"].dataset["revolution_rate"].values
    rates = predictive["revolution_rate"].values[0]
    low, high = interval(rates)
    inside = ((observed >= low) & (observed <= high)).mean(1)
    region, scatter = chosen_region(tree), scatter_draws(tree)
    name = str(constant["region"].values[region])
    bands = [str(band) for band in constant["band"].values]
    rows: list[tuple] = []

    def add(k: int, quantity: str, unit: str, draws: NDArray, value: float, error: float, what: str) -> None:
        low, high = interval(draws)
        rows.append((bands[k], quantity, unit, low, np.median(draws), high, value, error, what))

    for k in range(len(bands)):
        what = f"median of the observed ({inside[k]:.0%} of the revolutions lie in their own range)"
        middle = float(np.median(observed[k]))
        add(k, "mean rate of a revolution", "ct/s", rates[:, k].ravel(), middle, np.nan, what)
        if "sky.fov_flux" in predictive:
            value, error, what = _sky_comparison(constant, k, region)
            draws = predictive["sky.fov_flux"].values[0, :, k, region]
            add(k, f"FOV flux of {name}", "mCrab", draws, value, error, what)
        if "crab.history" in predictive:
            what = "the given rate" if constant["crab_rate"].attrs["given"] else "the ScWs with the Crab"
            draws = predictive["crab.history"].values[0, :, k].mean(-1)
            add(k, "Crab rate", "ct/s", draws, float(constant["crab_rate"][k]), np.nan, what)
        if scatter is not None:
            what = "spread within a revolution, all causes: an upper limit"
            beyond = 100 * float(constant["observed_scatter"][k])
            add(k, "scatter beyond counting", "%", scatter[:, k], beyond, np.nan, what)
    names = ("band", "quantity", "unit", "lo", "median", "hi", "compared", "error", "with")
    table = QTable(rows=rows, names=names)
    table.meta = {
        "model": tree.attrs["model"],
        "extras": list(tree.attrs["extras"]),
        "simulated": bool(tree.attrs["simulated"]),
        "ci_prob": CI_PROB,
        "ci_kind": "eti",
        "columns": "lo, median, hi: of the draws from the prior; compared: what the column 'with' says",
        "note": CXB_NOTE,
    }
    return table


def interval(draws: NDArray, prob: float = CI_PROB) -> NDArray:
    """Equal-tailed interval over the first axis: low and high."""
    return np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)


def _sky_comparison(constant: xr.Dataset, k: int, region: int) -> tuple[float, float, str]:
    """Return value, error and source of the flux to compare with the FOV flux of a region."""
    at = {"band": k, "region": region}
    if np.isfinite(constant["published"].isel(at)):
        value, error = (float(constant[key].isel(at)) for key in ("published", "published_error"))
        return value, error, published_source(str(constant["region"].values[region]))
    if "true_fov_flux" in constant:
        return float(constant["true_fov_flux"].isel(at)), np.nan, "the truth of the simulation"
    return np.nan, np.nan, "nothing: none is published for this band"


def format_prior_table(table: QTable) -> str:
    """Format the table of `prior_table` for the terminal."""
    head = f"{'band':<8}{'quantity':<28}{'94 % of the prior':>26}  {'unit':<6}"
    lines = [f"{head}{'compared':>18}  with"]
    for row in table:
        span = f"{row['lo']:.4g} … {row['hi']:.4g}"
        value = f"{row['compared']:.4g}" if np.isfinite(row["compared"]) else "-"
        value += f" ± {row['error']:.2g}" if np.isfinite(row["error"]) else ""
        start = f"{row['band']:<8}{row['quantity']:<28}{span:>26}  {row['unit']:<6}"
        lines.append(f"{start}{value:>18}  {row['with']}")
    return marked("\n".join(lines), table.meta["simulated"])
