"""A run on any sky with given draws and ScWs, so that all results are known."""

import astropy.units as u
import numpy as np
import xarray as xr
from astropy.table import QTable

from ridgebayes.instrument.response import Trapezoid
from ridgebayes.runs.run import Run
from ridgebayes.sky.regions import Shape
from ridgebayes.sky.skymap import core_brightness

CRAB = 100.0  # Crab rate in all bands at all times, cts/s
RESPONSE = Trapezoid()


def core_starlight(sky):
    """Mean starlight over the core of every region, 1 towards the Galactic centre."""
    return core_brightness(sky.regions, Shape("starlight"))


def solid_angle_deg2(response):
    """∫ R dΩ over the sphere, deg²."""
    offset = np.linspace(0.0, response.radius_deg, 3001)
    around = 2 * np.pi * np.sin(np.deg2rad(offset)) * np.rad2deg(1.0)
    return np.trapezoid(response.averaged(offset) * around, offset)


def sky_run(sky, draws, *, scws=None, unseen=(), solid_angle=1.0, truth=None, diagnosed=True):
    """A run with intensities `draws`, (draw, band, region), on a sky.

    `solid_angle` is a number (fixed) or draws; `truth` is (band, region); `scws` is from `scw_columns`.
    `diagnosed` suppresses the sampler warnings for a single chain, which take seconds for many bands.
    """
    draws = np.asarray(draws, float)
    bands = [f"E{k + 1:02d}" for k in range(draws.shape[1])]
    revolution = np.array([100, 110, 120])
    angle = np.linspace(0.0, RESPONSE.radius_deg, 1001)
    coords = {"band": bands, "region": list(sky.names)}
    posterior = xr.Dataset({"sky.intensity": (("chain", "draw", "band", "region"), draws[None])}, coords)
    constant = xr.Dataset(
        {
            "e_min": ("band", 20.0 + 10 * np.arange(len(bands))),
            "e_max": ("band", 30.0 + 10 * np.arange(len(bands))),
            "lon": ("region", sky.centre_lon),
            "lat": ("region", sky.centre_lat),
            "fov": (("pointing", "region"), sky.fov_matrix(RESPONSE)),
            "response_angle": ("angle", angle),
            "response_averaged": ("angle", RESPONSE.averaged(angle)),
            "crab_history_mean": (("band", "revolution"), np.full((len(bands), 3), CRAB)),
        },
        coords | {"pointing": list(sky.names), "revolution": revolution},
    )
    flux = np.reshape(solid_angle, (-1, 1, 1)) * draws @ sky.fov_matrix(RESPONSE).T
    posterior["sky.fov_flux"] = (("chain", "draw", "band", "region"), flux[None])
    if np.ndim(solid_angle):
        posterior["response.solid_angle"] = (("chain", "draw"), np.asarray(solid_angle)[None])
    else:
        constant["response.solid_angle"] = ((), solid_angle)
    if truth is not None:
        constant["true_intensity"] = (("band", "region"), np.asarray(truth, float))
        constant["true_fov_flux"] = (("band", "region"), truth @ sky.fov_matrix(RESPONSE).T)
    record = {
        "ridgebayes": "0", "git_commit": "abc", "sky": sky.record(),
        "data": {"simulated": truth is not None, "bands": bands, "unseen_regions": list(unseen),
                 "path": "no-such-mission.fits", "fingerprint": "f" * 64},
    }  # fmt: skip
    no = xr.DataArray(np.zeros((1, len(draws)), bool), dims=("chain", "draw"))
    statistics = xr.Dataset({"diverging": no, "reached_max_treedepth": no})
    tree = xr.DataTree.from_dict(
        {"posterior": posterior, "constant_data": constant, "sample_stats": statistics}
    )
    fit = None
    if scws is not None:
        fit = QTable(scws, meta={"BAND": bands, "SIMUL": truth is not None})
        fit.meta |= {name.upper(): constant[name].values.tolist() for name in ("e_min", "e_max")}
    run = Run(tree, record, fit=fit)
    if diagnosed:
        object.__setattr__(run.diagnosis, "findings", ())
    return run


def scw_columns(lon, lat, residual, *, revolution=100, noise=5.0, shared=2.0, expected=0.0, crab=False):
    """Columns of `Run.scws`; residuals and errors in mCrab broadcast to (scw, band)."""
    lon = np.asarray(lon, float)
    shape = np.broadcast_shapes(np.shape(residual), (lon.size, 1))
    cts = lambda mcrab: np.broadcast_to(mcrab, shape) * CRAB / 1000 * u.ct / u.s  # noqa: E731
    return {
        "SCW_ID": np.array([f"{i:012d}" for i in range(lon.size)]),
        "REVOL": np.broadcast_to(revolution, lon.size).copy(),
        "LON": lon * u.deg,
        "LAT": np.broadcast_to(np.asarray(lat, float), lon.size) * u.deg,
        "CRAB": np.broadcast_to(crab, lon.size).copy(),
        "RATE": cts(700 + np.asarray(residual, float)),
        "BACKGROUND": cts(700.0),
        "BACKGROUND_SD": cts(shared),
        "NOISE": cts(noise),
        "SKY": cts(expected),
    }
