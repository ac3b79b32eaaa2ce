"""Draws of the sky: intensities of regions, and exposures of pointings to them."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from ridgebayes.likelihood.design import LATITUDE, LATITUDE_SHAPES, SHAPES
from ridgebayes.model.extensions import EXTRAS, Extension
from ridgebayes.runs.run import Run
from ridgebayes.sky import Sky
from ridgebayes.typing import Floats


def region_draws(run: Run, band: str, *, as_seen: bool = False) -> Floats:
    """Intensity of every region, mCrab/deg², (draw, region), regions in the order of `run.sky`.

    Parameters
    ----------
    run, band
        The run, the name of a band.
    as_seen
        Multiply by the effective solid angle over its nominal value, as a detector would measure it.
    """
    draws = run.intensity().sel(band=band, region=list(run.sky.names)).transpose("chain", "draw", "region")
    values = np.asarray(draws.values, float).reshape(-1, len(run.sky))
    return values * solid_angle(run)[:, None] if as_seen else values


def solid_angle(run: Run) -> Floats:
    """Effective solid angle over its nominal value, (draw,), chains concatenated."""
    values = _parameter(run, "response.solid_angle")
    return _draws(run, xr.DataArray(1.0) if values is None else values)


def parameter_draws(run: Run, name: str, default: ArrayLike | None = None) -> Floats:
    """Draws of a parameter, sampled or fixed, (draw, …), chains concatenated.

    Parameters
    ----------
    run, name
        The run, and the parameter; regions are in the order of `run.sky`.
    default
        Value if the run does not have the parameter.
    """
    values = _parameter(run, name)
    if values is None:
        values = xr.DataArray(np.asarray(default, float))
    if "region" in values.dims:
        values = values.sel(region=list(run.sky.names))
    return _draws(run, values)


def shapes(run: Run) -> tuple[tuple[float, float], ...]:
    """Stretch and shift in latitude of each sky that the model combines; one sky if its shape is fixed."""
    if _free_shape(run) is not None:
        return SHAPES
    return ((1.0, 0.0),) if _latitude(run) is None else LATITUDE_SHAPES


def shaped_skies(run: Run) -> list[Sky]:
    """Return the sky in each of `shapes`."""
    return [run.sky if shape == (1.0, 0.0) else run.sky.reshaped(*shape) for shape in shapes(run)]


def shape_draws(run: Run, band: str, *, as_seen: bool = False) -> Floats:
    """Intensities of `region_draws` in each of `shapes`, (draw, shape × region), grouped by shape."""
    intensity = spread(run, band, region_draws(run, band, as_seen=as_seen))
    latitude = _latitude(run)
    if latitude is None:
        return intensity
    weights = _draws(run, latitude.sel(band=band)) @ LATITUDE
    if as_seen:
        weights = weights * solid_angle(run)[:, None]
    return intensity + (weights[:, :, None] * run.sky.stars).reshape(intensity.shape)


def spread(run: Run, band: str, intensity: Floats) -> Floats:
    """Divide any intensities, (draw, region), among `shapes`: (draw, shape × region).

    If the model's sky departs from its profile in latitude (`sky.latitude`), they stay in the first shape.
    """
    if _latitude(run) is not None:
        return np.pad(intensity, ((0, 0), (0, (len(LATITUDE_SHAPES) - 1) * len(run.sky))))
    free = _free_shape(run)
    if free is None or free.shape_weights is None:
        return intensity

    def of_band(name: str) -> Floats:
        values = _parameter(run, name)
        assert values is not None
        return _draws(run, values.sel(band=band))

    weights = free.shape_weights(of_band)
    return np.concatenate([weight[:, None] * intensity for weight in np.asarray(weights).T], axis=1)


def exposures(run: Run, lon: Floats, lat: Floats) -> Floats:
    """Return the exposure of pointings to the regions in each of `shapes`, deg², (pointing, shape × region).

    Multiplied by `shape_draws` it gives the FOV flux.
    """
    return np.concatenate([sky.fov_exposure(lon, lat, run.response) for sky in shaped_skies(run)], axis=1)


def _free_shape(run: Run) -> Extension | None:
    """Return the extension that frees the shape in latitude; None if the model has none."""
    for extra in EXTRAS.values():
        if extra.shape_weights and all(_parameter(run, name) is not None for name in extra.parameters):
            return extra
    return None


def _latitude(run: Run) -> xr.DataArray | None:
    """Departure from the profile in latitude; None if the model has none, or it is fixed at zero."""
    values = _parameter(run, "sky.latitude")
    return values if values is not None and bool((values != 0).any()) else None


def _parameter(run: Run, name: str) -> xr.DataArray | None:
    """Parameter of the model, sampled or fixed; None if the model does not have it."""
    posterior, constant = (run.tree[group].dataset for group in ("posterior", "constant_data"))
    return posterior.get(name, constant.get(name))


def _draws(run: Run, values: xr.DataArray) -> Floats:
    """Draws, or copies of a fixed value, (draw, …), chains concatenated."""
    if "chain" in values.dims:
        found = np.asarray(values.transpose("chain", "draw", ...).values, float)
        return found.reshape(-1, *found.shape[2:])
    sizes = run.tree["posterior"].dataset.sizes
    return np.full((sizes["chain"] * sizes["draw"], *values.shape), values.values)
