"""Assemble a `Run` from raw draws: named groups with coordinates, and the record of the fit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ridgebayes.environment import peak_memory_gib
from ridgebayes.inference.calibration import MIN_REVOLUTIONS, Calibrator, least_draws
from ridgebayes.inference.log_density import Posterior
from ridgebayes.instrument.response import ImageResponse
from ridgebayes.likelihood.design import FitData, Prepared
from ridgebayes.model import Model
from ridgebayes.runs.convergence import KEY, not_converged
from ridgebayes.runs.fitted import (
    DERIVED,
    HISTORIES,
    Fitted,
    fitted,
    left_sites,
    revolution_means,
    revolution_replicates,
)
from ridgebayes.runs.fitted_scws import scw_fit
from ridgebayes.runs.intensity import CALIBRATED, summarise
from ridgebayes.runs.metadata import record_of
from ridgebayes.runs.run import Run

if TYPE_CHECKING:
    from ridgebayes.inference.runner import Chains
    from ridgebayes.inference.settings import Device, Settings

logger = logging.getLogger(__name__)

PRIOR_DRAWS = 500
RESIDUAL_EDGES = np.linspace(-6, 6, 121)
REPLICATES = 50
"""Draws for which replicated revolution means are kept; replicates of every ScW would fill the disk."""

HISTORY_DRAWS = 500
"""Draws that give the intervals of level and Crab rate."""

# How statistics of independent bands combine to those of the joint draw.
_COMBINE: dict[str, Any] = {
    "diverging": np.any,
    "reached_max_treedepth": np.any,
    "energy": np.sum,
    "lp": np.sum,
    "n_steps": np.sum,
    "acceptance_rate": np.mean,
    "step_size": np.mean,
}


def build_run(
    model: Model,
    prepared: Prepared,
    posterior: Posterior,
    parts: Sequence[FitData],
    chains: Chains,
    settings: Settings,
    device: Device,
    seconds: dict[str, float],
) -> Run:
    """Name the draws and record how they were made.

    Parameters
    ----------
    model, prepared, posterior, parts
        The model, its data, and the independent fits (bands).
    chains
        Draws of their chains.
    settings, device, seconds
        How and where the model was sampled, and the time of each stage.
    """
    z, statistics, times, dropped, stopped = chains
    groups = {
        "posterior": _named_draws(model, prepared, posterior, parts, z),
        "sample_stats": _sample_stats(statistics, apart=len(parts) > 1),
        "prior": _prior(model, prepared.data, posterior, parts, settings.seed),
    }
    calibration = not_calibrated(model, prepared, z.shape)
    if not calibration:
        moved = Calibrator(posterior, device.workers).moved(z, parts)
        groups[CALIBRATED] = _named_draws(model, prepared, posterior, parts, moved)
    means = [revolution_means(part) for part in parts]
    replicates = [
        revolution_replicates(posterior, part, _thinned(z[k]), jax.random.key(settings.seed + 1 + k))
        for k, part in enumerate(parts)
    ]
    axes = ("band", "revolution")
    groups["observed_data"] = xr.Dataset({"revolution_rate": (axes, np.concatenate(means))})
    groups["posterior_predictive"] = xr.Dataset(
        {"revolution_rate": (("chain", "draw", *axes), np.concatenate(replicates, 1)[None])}
    )
    fits = [fitted(posterior, part, _thinned(z[k])) for k, part in enumerate(parts)]
    fit = Fitted(*(np.concatenate(field) for field in zip(*fits, strict=True)))
    groups["constant_data"] = _constant(model, prepared).assign(
        residual_histogram=(("band", "bin"), _residual_histogram(prepared, fit)),
        residual_bin=("bin", (RESIDUAL_EDGES[1:] + RESIDUAL_EDGES[:-1]) / 2),
        coefficient=(("band", "term", "revolution"), fit.coefficients),
        coefficient_sd=(("band", "term", "revolution"), fit.coefficients_sd),
        **_histories(posterior, parts, z),
    )
    coords = prepared.coords
    tree = xr.DataTree.from_dict(
        {name: _with_coords(dataset, coords, prepared) for name, dataset in groups.items()}
    )
    record = record_of(model, prepared, settings, device)
    record["seconds"] = {stage: round(value, 1) for stage, value in seconds.items()}
    if max(times) > 1:
        record["sampling"]["times_as_long"] = list(times)
    if max(dropped):
        record["sampling"]["dropped"] = list(dropped)
    record["peak_memory_gib"] = round(peak_memory_gib(), 2)
    tree.attrs.update(
        creator=f"ridgebayes {record['ridgebayes']}", simulated=int(record["data"]["simulated"])
    )
    run = Run(tree, record, fit=scw_fit(prepared, fit))
    if stopped:
        record["stopped"] = stopped
    record["calibration"] = calibration or "by revolution"
    record["warnings"] = list(run.diagnosis.warnings)
    record[KEY] = not_converged(run)
    return run


def not_calibrated(model: Model, prepared: Prepared, shape: tuple[int, ...]) -> str:
    """Return why intervals cannot be calibrated by revolution; empty if they can.

    `shape` is that of the draws, (part, chain, draw, parameter).
    """
    if any("revolution" in parameter.dims for parameter in model.parameters.values()):
        return "none: the revolution terms are sampled"
    revolutions = _fitted_revolutions(prepared)
    if revolutions < MIN_REVOLUTIONS:
        return f"none: {revolutions} revolutions are fitted, at least {MIN_REVOLUTIONS} are needed"
    few = few_draws(prepared, shape)
    return f"none: {few}" if few else ""


def few_draws(prepared: Prepared, shape: tuple[int, ...]) -> str:
    """Return how many draws a calibration needs; empty if they suffice, or if revolutions are too few."""
    (parts, chains, draws, parameters), revolutions = shape, _fitted_revolutions(prepared)
    least = least_draws(parameters, revolutions)
    if chains * draws >= least or revolutions < MIN_REVOLUTIONS:
        return ""
    more = f"{chains * draws} draws, at least {least} are needed (--draws {-(-least // chains)})"
    if parts == len(prepared.scws.bands):
        return more
    return (
        f"{more}; noise that bands share would make them too narrow: beside it fit regions, then run fitspec"
    )


def _fitted_revolutions(prepared: Prepared) -> int:
    return np.unique(np.asarray(prepared.layout.block_revolution)[prepared.data.filled.any(1)]).size


def _named_draws(
    model: Model, prepared: Prepared, posterior: Posterior, parts: Sequence[FitData], z: NDArray
) -> xr.Dataset:
    """Parameters, intensities and FOV fluxes of unconstrained draws (part, chain, draw, parameter)."""
    named = _broadcast(_join_bands(posterior.constrain(z)), model, prepared.data)
    dims = {name: parameter.dims for name, parameter in model.parameters.items()}
    derived = _join_bands(_derived(posterior, parts, z)) | _fixed_sky(model, prepared.data, z)
    dims |= {name: ("band", "region") for name in derived}
    return xr.Dataset({n: (("chain", "draw", *dims[n]), x) for n, x in (named | derived).items()})


def _join_bands(named: dict[str, NDArray]) -> dict[str, NDArray]:
    """(part, chain, draw, band, ...) → (chain, draw, band, ...): the parts are the bands, or there is one."""
    return {name: np.concatenate(list(x), axis=2) if x.shape[0] > 1 else x[0] for name, x in named.items()}


def _fixed_sky(model: Model, data: FitData, z: NDArray) -> dict[str, NDArray]:
    """Draws (chain, draw, band, region) of a fixed intensity, which products read like sampled ones."""
    parameter = model.parameters.get("sky.intensity")
    if parameter is None or not parameter.fixed:
        return {}
    shape = tuple(model.sizes(data)[axis] for axis in ("band", "region"))
    return {"sky.intensity": np.broadcast_to(np.asarray(parameter.prior, float), (*z.shape[1:3], *shape))}


def _broadcast(named: dict[str, NDArray], model: Model, data: FitData) -> dict[str, NDArray]:
    """Repeat values that are shared along an axis, so that every parameter has all its axes."""
    sizes = model.sizes(data)
    return {
        name: np.broadcast_to(x, x.shape[:2] + tuple(sizes[axis] for axis in model.parameters[name].dims))
        for name, x in named.items()
    }


def _sample_stats(statistics: dict[str, NDArray], *, apart: bool) -> xr.Dataset:
    axes = ("chain", "draw")
    joint: dict[str, Any] = {name: (axes, _COMBINE[name](x, axis=0)) for name, x in statistics.items()}
    if apart:
        by_band = {f"{name}_band": ((*axes, "band"), np.moveaxis(x, 0, -1)) for name, x in statistics.items()}
        joint |= by_band
    return xr.Dataset(joint)


def _prior(
    model: Model, data: FitData, posterior: Posterior, parts: Sequence[FitData], seed: int
) -> xr.Dataset:
    draws = [posterior.prior(jax.random.key(seed + k), part, PRIOR_DRAWS) for k, part in enumerate(parts)]
    joined = {
        name: np.concatenate([d[name] for d in draws], axis=1) if len(parts) > 1 else draws[0][name]
        for name in draws[0]
    }
    named = _broadcast({name: x[None] for name, x in joined.items()}, model, data)
    return xr.Dataset(
        {name: (("chain", "draw", *model.parameters[name].dims), x) for name, x in named.items()}
    )


def _residual_histogram(prepared: Prepared, fit: Fitted) -> NDArray:
    """Count ScWs by normalised residual, (band, bin); the outer bins contain those beyond the range."""
    data = prepared.data
    normalised = ((np.asarray(data.rate) - fit.rate) / fit.noise)[:, np.asarray(data.filled)]
    inside = np.clip(normalised, RESIDUAL_EDGES[0] + 1e-9, RESIDUAL_EDGES[-1] - 1e-9)
    return np.array([np.histogram(row, RESIDUAL_EDGES)[0] for row in inside])


def _histories(posterior: Posterior, parts: Sequence[FitData], z: NDArray) -> dict[str, Any]:
    """Mean, sd and interval of level and Crab rate over the mission, each (band, revolution)."""
    found = [
        left_sites(posterior, part, _thinned(z[k], HISTORY_DRAWS), HISTORIES) for k, part in enumerate(parts)
    ]
    variables: dict[str, Any] = {}
    for site in found[0]:
        draws = np.concatenate([f[site] for f in found], axis=1)
        summary = summarise(xr.DataArray(draws[None], dims=("chain", "draw", "band", "revolution")))
        name = site.replace(".", "_")
        variables |= {f"{name}_{key}": (value.dims, value.values) for key, value in summary.items()}
    return variables


def _derived(posterior: Posterior, parts: Sequence[FitData], z: NDArray) -> dict[str, NDArray]:
    """Return the derived sites for every draw, each (part, chain, draw, band, region)."""
    flat = z.reshape(len(parts), -1, z.shape[-1])
    found = [left_sites(posterior, part, flat[k], DERIVED) for k, part in enumerate(parts)]
    stacked = {n: np.stack([f[n] for f in found]) for n in found[0]}
    return {n: x.reshape(*z.shape[:3], *x.shape[2:]) for n, x in stacked.items()}


def _thinned(z: NDArray, n: int = REPLICATES) -> NDArray:
    flat = z.reshape(-1, z.shape[-1])
    return flat[np.linspace(0, len(flat) - 1, min(n, len(flat))).astype(int)]


def _constant(model: Model, prepared: Prepared) -> xr.Dataset:
    """Collect the constants that products need: scales, matrices, axes in physical units, the truth."""
    data, scws = prepared.data, prepared.scws
    angle = np.linspace(0.0, prepared.response.radius_deg, 1001)
    values: dict[str, Any] = {
        "e_min": ("band", [band.e_min for band in scws.bands]),
        "e_max": ("band", [band.e_max for band in scws.bands]),
        "fov": (("pointing", "region"), data.fov),
        "level": (("band", "revolution"), data.level),
        "crab_rate": ("band", data.crab_rate),
        "mjd": ("revolution", prepared.revolution_mjd),
        "tracer_trend": ("revolution", prepared.scales.trend),
        "tracer_level": (("tracer_band", "revolution"), prepared.scales.tracers.level),
        "tracer_crab": (("tracer_band", "crab_order"), prepared.scales.tracers.crab),
        "clock": ("clock_axis", [prepared.scales.middle, prepared.scales.half_span]),
        "modes": ("clock_axis", list(prepared.scales.modes)),
        "response_angle": ("angle", angle),
        "response_averaged": ("angle", prepared.response.averaged(angle)),
        "lon": ("region", [region.centre_lon for region in prepared.sky.regions]),
        "lat": ("region", [region.centre_lat for region in prepared.sky.regions]),
    }
    sizes = model.sizes(data)
    for name, parameter in model.parameters.items():
        if parameter.fixed:
            shape = tuple(sizes[axis] for axis in parameter.dims)
            values[name] = (parameter.dims, np.broadcast_to(np.asarray(parameter.prior, float), shape))
    if isinstance(prepared.response, ImageResponse):
        image = prepared.response
        attributes = {"scale_deg": image.scale_deg, "centre": list(image.centre)}
        values["response_image"] = (("response_y", "response_x"), image.image, attributes)
    truth = true_sky(prepared)
    if truth is not None:
        values["true_intensity"] = (("band", "region"), truth[0])
        values["true_fov_flux"] = (("band", "region"), truth[1])
    return xr.Dataset(values)


def true_sky(prepared: Prepared) -> tuple[NDArray, NDArray] | None:
    """Return true intensity and FOV flux (band, region) of a mission simulated with this sky; else None."""
    truth = prepared.scws.truth or {}
    if not {"intensity", "fov", "bands"} <= set(truth):
        return None
    names, bands = prepared.sky.names, [band.name for band in prepared.scws.bands]
    if not (set(names) <= set(truth["intensity"]) and set(bands) <= set(truth["bands"])):
        return None
    rows = [truth["bands"].index(band) for band in bands]
    tables = (np.array([np.asarray(truth[key][n])[rows] for n in names]).T for key in ("intensity", "fov"))
    intensity, flux = tables
    return intensity, flux


def _with_coords(dataset: xr.Dataset, coords: dict[str, list], prepared: Prepared) -> xr.Dataset:
    named = {axis: labels for axis, labels in coords.items() if axis in dataset.dims}
    for axis in ("chain", "draw"):
        if axis in dataset.dims:
            named[axis] = list(range(dataset.sizes[axis]))
    if "pointing" in dataset.dims:
        named["pointing"] = coords["region"]
    dataset.attrs["simulated"] = int(bool(prepared.scws.meta["simulated"]))
    return dataset.assign_coords(named)
