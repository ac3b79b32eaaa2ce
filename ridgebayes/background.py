"""What changes slowly over the mission: the background level and the Crab rate of every draw."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import xarray as xr
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes import parts

_DRIFT = ("background.level", "background.drift", "background.drift_sd", "background.drift_length")
_CRAB = ("crab.rate", "crab.shape")
_AXES = {name: parameter.dims for name, parameter in {**parts.BACKGROUND, **parts.CRAB}.items()}


def level_history(tree: xr.DataTree, bands: Sequence[str] | None = None) -> xr.DataArray:
    """Background level in each revolution, cts/s: without the tracer and the terms of single revolutions.

    The reference level times (level + drift), as `ridgebayes.parts.background` has it.

    Parameters
    ----------
    tree
        Groups of a run.
    bands
        Only these; a long mission in many bands takes much memory.

    Returns
    -------
    xarray.DataArray
        Axes chain, draw, band, revolution.
    """
    constant = _constant(tree, bands)
    data: Any = SimpleNamespace(
        drift_basis=constant["drift_basis"].transpose("revolution", "mode").values,
        drift_frequency=constant["drift_frequency"].values,
    )
    level = constant["level"].transpose("band", "revolution")

    def history(p):
        return level.values * (p("background.level")[:, None] + parts.drift(p, data))

    return _each_draw(history, _DRIFT, tree, level).rename("level")


def crab_history(tree: xr.DataTree, bands: Sequence[str] | None = None) -> xr.DataArray:
    """Detector rate of the Crab in each revolution, cts/s per Crab.

    Parameters
    ----------
    tree
        Groups of a run.
    bands
        Only these.

    Returns
    -------
    xarray.DataArray
        Axes chain, draw, band, revolution.
    """
    constant = _constant(tree, bands)
    data: Any = SimpleNamespace(
        crab_rate=constant["crab_rate"].values,
        crab_basis=constant["crab_basis"].transpose("degree", "revolution").values,
    )
    like = constant["level"].transpose("band", "revolution")
    return _each_draw(lambda p: parts.crab_rate(p, data), _CRAB, tree, like).rename("crab_rate")


def years(tree: xr.DataTree) -> NDArray[np.float64]:
    """Middle of each revolution as a year with decimals, (revolution,)."""
    return Time(tree["constant_data"]["mjd"].values, format="mjd", scale="tt").decimalyear


def _each_draw(history, names: Sequence[str], tree: xr.DataTree, like: xr.DataArray) -> xr.DataArray:
    """Evaluate a function of parameters, which returns (band, revolution), for every draw."""
    bands = like["band"].values
    values = [_draws(tree, name, bands) for name in names]
    chains, draws = values[0].shape[:2]
    flat = [x.reshape(chains * draws, *x.shape[2:]) for x in values]
    one = jax.jit(jax.vmap(lambda *p: history(dict(zip(names, p, strict=True)).__getitem__)))
    result = np.asarray(one(*flat)).reshape(chains, draws, *like.shape)
    coords = {axis: tree["posterior"][axis] for axis in ("chain", "draw")} | dict(like.coords)
    return xr.DataArray(result, coords, ("chain", "draw", *like.dims))


def _draws(tree: xr.DataTree, name: str, bands: NDArray) -> NDArray[np.float64]:
    """Draws of a parameter, (chain, draw, *its axes); one that is fixed is repeated."""
    posterior, constant = tree["posterior"], tree["constant_data"]
    value = posterior[name] if name in posterior else constant[name]
    sizes = {"order": constant.sizes["degree"] - 1, "mode": constant.sizes["mode"], **posterior.sizes}
    if "band" in value.dims:
        value = value.sel(band=bands)
    sizes["band"] = len(bands)
    missing = {axis: sizes[axis] for axis in ("chain", "draw", *_AXES[name]) if axis not in value.dims}
    return value.expand_dims(missing).transpose("chain", "draw", *_AXES[name]).values


def _constant(tree: xr.DataTree, bands: Sequence[str] | None) -> xr.Dataset:
    dataset = tree["constant_data"].to_dataset()
    return dataset if bands is None else dataset.sel(band=list(bands))
