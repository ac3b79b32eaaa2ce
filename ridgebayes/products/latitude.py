"""FOV flux against latitude across the Galactic plane, with starlight and averages of the ScWs."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack

from ridgebayes.errors import InputError
from ridgebayes.products.profile import scaled_starlight
from ridgebayes.products.residuals import residual_table
from ridgebayes.products.skydraws import exposures, shape_draws, solid_angle, spread
from ridgebayes.runs.convergence import mark
from ridgebayes.runs.intensity import CI_KIND, CXB_NOTE, INNER_PROB, MCRAB, interval_columns, provenance
from ridgebayes.runs.run import Run

REACH, STEP = 40.0, 1.0
"""Largest latitude of a cut, and its step, degrees."""
WIDTH, BIN = 5.0, 2.0
"""Largest distance in longitude of ScWs that are averaged, and size of the latitude bins; degrees."""
_FEWEST = 3  # ScWs in a bin


def latitude_profile(run: Run, lon: float = 0.0, *, reach: float = REACH, step: float = STEP) -> QTable:
    """FOV flux of pointings at one longitude, against latitude.

    Parameters
    ----------
    run
        The run.
    lon
        Galactic longitude, degrees.
    reach, step
        Largest latitude, and step, degrees.

    Returns
    -------
    astropy.table.QTable
        lat (deg, ascending), band; mean, sd, lo68, hi68, lo94, hi94 (mCrab); template_mean, template_sd
        (mCrab: starlight scaled to the regions near the plane).

    Raises
    ------
    InputError
        If the run has no regions near the plane, or reach or step are invalid.
    """
    if not (0 < reach <= 90 and 0 < step <= reach):
        raise InputError(f"reach={reach:g}, step={step:g}: give degrees, reach up to 90 and step below it")
    lat = np.linspace(-reach, reach, 2 * round(reach / step) + 1)
    seen = exposures(run, np.full(lat.size, float(lon)), lat)
    templates = scaled_starlight(run)
    parts = []
    for band in (str(name) for name in run.record["data"]["bands"]):
        columns: dict[str, Any] = {
            "lat": lat * u.deg,
            "band": np.full(lat.size, band),
            **interval_columns(shape_draws(run, band, as_seen=True) @ seen.T, MCRAB),
        }
        if band in templates:
            norm = (templates[band].norm * solid_angle(run))[:, None]
            draws = spread(run, band, norm * templates[band].brightness) @ seen.T
            columns |= {"template_mean": draws.mean(0) * MCRAB, "template_sd": draws.std(0, ddof=1) * MCRAB}
        parts.append(QTable(columns))
    table = vstack(parts, metadata_conflicts="error")
    mark(run, table)
    table["mean"].info.description = f"flux in the field of view of a pointing at ({lon:g}, lat)"
    table.meta = provenance(run) | {
        "ci_kind": CI_KIND,
        "longitude": float(lon),
        "columns": f"lo68 … hi94: {INNER_PROB:.0%} and 94% intervals of the posterior; its shape in latitude "
        "is that of the model's regions seen through the response; template: starlight times a norm fitted "
        "to the posterior of the intensities",
        "starlight": {band: str(template) for band, template in templates.items()},
        "note": CXB_NOTE,
    }
    return table


def latitude_points(run: Run, lon: float = 0.0, *, width: float = WIDTH, size: float = BIN) -> QTable:
    """Background-subtracted rates of the ScWs near a longitude, averaged in bins of latitude.

    The model corrects each ScW to the longitude of the cut: the difference between the expected flux there
    and at the pointing is added.

    Parameters
    ----------
    run
        The run.
    lon, width
        Longitude, and largest distance of the pointings from it, degrees.
    size
        Size of the bins, degrees.

    Returns
    -------
    astropy.table.QTable
        lat (deg, mean of the pointings), band, scws (number), flux, error (mCrab; counting noise, scatter and
        uncertainty of the background). The ScWs of a revolution share the background, so errors of
        neighbouring bins are correlated. Bins of fewer than three ScWs are left out.
    """
    table = residual_table(run)
    away = np.abs((table["LON"].to_value(u.deg) - lon + 180) % 360 - 180)
    table = table[(away <= width) & ~np.asarray(table["CRAB"])]
    lat = table["LAT"].to_value(u.deg)
    profile = latitude_profile(run, lon, reach=90.0)
    place = np.floor(lat / size).astype(int)
    rows = []
    for band in table.meta["bands"]:
        own = profile[profile["band"] == band]
        there = np.interp(lat, own["lat"].to_value(u.deg), own["mean"].to_value(MCRAB))
        value = (table[f"RES_{band}"] - table[f"SKY_{band}"]).to_value(MCRAB).astype(float) + there
        weight = table[f"ERR_{band}"].to_value(MCRAB).astype(float) ** -2
        for at in np.unique(place):
            own = (place == at) & np.isfinite(value) & np.isfinite(weight)
            if own.sum() >= _FEWEST:
                total = weight[own].sum()
                rows.append(
                    (np.average(lat[own], weights=weight[own]), str(band), int(own.sum()),
                     np.average(value[own], weights=weight[own]), total**-0.5)
                )  # fmt: skip
    names = ("lat", "band", "scws", "flux", "error")
    columns = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    units = {"lat": u.deg, "flux": MCRAB, "error": MCRAB}
    found = QTable({n: np.array(c) * units[n] if n in units else c for n, c in columns.items()})
    found.meta = table.meta | {"longitude": float(lon), "width": float(width), "bin": float(size)}
    return found
