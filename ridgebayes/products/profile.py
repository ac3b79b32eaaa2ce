"""Longitude profiles of the Galactic plane: intensities, FOV flux on a fine grid, and scaled starlight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from numpy.typing import NDArray
from scipy.stats import chi2

from ridgebayes.errors import InputError
from ridgebayes.products.skydraws import (
    exposures,
    region_draws,
    shape_draws,
    shaped_skies,
    solid_angle,
    spread,
)
from ridgebayes.runs.convergence import mark
from ridgebayes.runs.intensity import (
    CI_KIND,
    CI_PROB,
    CXB_NOTE,
    INNER_PROB,
    MCRAB,
    interval_columns,
    need_sky,
    provenance,
)
from ridgebayes.runs.run import Run
from ridgebayes.sky import Shape, Sky
from ridgebayes.sky.skymap import core_brightness
from ridgebayes.typing import Floats

PLANE_LAT = 5.0
"""Largest latitude of the centre of regions that are shown against longitude, degrees."""

STEP_DEG = 1.0
_RIDGE = 1e-6
_TINY = 1e-3  # fraction of the largest exposure to the sky model below which a pointing sees no region


def near_plane(run: Run) -> NDArray[np.int64]:
    """Return the indices of the regions near the plane, which are shown against longitude.

    Raises
    ------
    InputError
        If there are none.
    """
    need_sky(run)
    rows = np.flatnonzero(np.abs(run.sky.centre_lat) <= PLANE_LAT)
    if not rows.size:
        raise InputError(
            f"{run.path or 'the run'}: no region within {PLANE_LAT:g} degrees of the Galactic plane, so no "
            "longitude profile: fit with a sky that has some"
        )
    return rows


@dataclass(frozen=True, eq=False)
class Template:
    """Starlight scaled to the posterior of one band.

    The norm of each draw is fitted by generalised least squares with the posterior covariance C of the
    intensities: n = tᵀC⁻¹I / tᵀC⁻¹t. If the posterior is Gaussian, n has the same distribution as the norm
    in a model whose sky is the template times a norm.

    Attributes
    ----------
    brightness
        Starlight in the core of every region of the sky, 1 towards the Galactic centre.
    norm
        mCrab/deg² per unit of starlight, (draw,).
    misfit, dof
        χ² of the posterior mean about the scaled template, and the number of regions minus one. If χ² is much
        larger than `dof`, the sky is not a multiple of the template; the interval of the norm does not
        include this.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.products.profile import Template
    >>> scaled = Template(np.ones(5), np.full(100, 0.7), misfit=4.0, dof=4)
    >>> round(float(scaled.p_value), 2)
    0.41
    """

    brightness: Floats
    norm: Floats
    misfit: float
    dof: int

    @property
    def p_value(self) -> float:
        """Probability of a larger χ² if the sky is a multiple of the template; NaN for one region."""
        return float(chi2.sf(self.misfit, self.dof)) if self.dof else np.nan

    def __str__(self) -> str:
        sd = self.norm.std(ddof=1)
        digits = int(np.clip(1 - np.floor(np.log10(sd)), 0, 9)) if sd > 0 else 3
        text = f"starlight × ({self.norm.mean():.{digits}f} ± {sd:.{digits}f}) mCrab/deg²"
        return text + (f", χ² {self.misfit:.0f} of {self.dof}" if self.dof else "")


def scaled_starlight(run: Run, shape: Shape | None = None) -> dict[str, Template]:
    """Scale the starlight, for each band, to the regions near the plane that a ScW sees.

    Parameters
    ----------
    run
        The run.
    shape
        Another map than starlight; brightness is then in the unit of the map.

    Returns
    -------
    dict
        Band → template; empty if no ScW sees a region near the plane.

    Raises
    ------
    InputError
        If no region is near the plane.
    """
    rows = near_plane(run)
    rows = rows[~_hidden(run)[rows]]
    bright = core_brightness(run.sky.regions, shape or Shape("starlight"))
    if not np.isfinite(bright[rows]).all():
        raise InputError(f"{shape.file if shape else 'starlight'}: has no data in regions near the plane")
    shape_here = bright[rows]
    if not shape_here.any():
        return {}
    found = {}
    for band in _bands(run):
        draws = region_draws(run, band)[:, rows]
        covariance = np.atleast_2d(np.cov(draws.T))
        if len(draws) < 2 * rows.size:  # too few draws for the covariance of the regions
            covariance = np.diag(np.diag(covariance))
        # C is singular if regions are fully correlated, as in a model that ties them.
        covariance[np.diag_indices_from(covariance)] *= 1 + _RIDGE
        weighted = np.linalg.solve(covariance, shape_here)
        norm = draws @ weighted / (shape_here @ weighted)
        off = draws.mean(axis=0) - norm.mean() * shape_here
        misfit = float(off @ np.linalg.solve(covariance, off))
        found[band] = Template(bright, norm, misfit, rows.size - 1)
    return found


def intensity_profile(run: Run) -> QTable:
    """Intensity of the regions near the plane, one row per region and band.

    Returns
    -------
    astropy.table.QTable
        region, lon, lon_width (deg), band; mean, sd, lo68, hi68, lo94, hi94 (mCrab/deg²); the same with the
        prefix ``per_degree_`` (mCrab/deg: flux of the whole region over its width in longitude);
        template_mean, template_sd (mCrab/deg²: starlight scaled to the band); seen; truth if the data are
        simulated and it is known.

    Raises
    ------
    InputError
        If no region is near the plane.
    """
    rows = near_plane(run)
    sky = run.sky
    rows = rows[np.argsort(sky.centre_lon[rows], kind="stable")]
    names, width = np.array(sky.names)[rows], widths(sky)[rows]
    constant = run.tree["constant_data"].dataset
    solid_angles = np.concatenate([shaped.solid_angles for shaped in shaped_skies(run)])
    parts, templates = [], scaled_starlight(run)
    for band in _bands(run):
        draws = region_draws(run, band)
        flux = (shape_draws(run, band) * solid_angles).reshape(len(draws), -1, len(sky)).sum(axis=1)
        columns = {
            "region": names,
            "lon": sky.centre_lon[rows] * u.deg,
            "lon_width": width * u.deg,
            "band": np.full(rows.size, band),
            **interval_columns(draws[:, rows], MCRAB / u.deg**2),
            **interval_columns(flux[:, rows] / width, MCRAB / u.deg, "per_degree_"),
            "seen": ~_hidden(run)[rows],
        }
        if band in templates:
            template = templates[band]
            columns |= _scaled(template.norm[:, None] * template.brightness[rows], MCRAB / u.deg**2)
        if run.simulated and "true_intensity" in constant:
            columns["truth"] = (
                constant["true_intensity"].sel(band=band, region=names).values * MCRAB / u.deg**2
            )
        parts.append(columns)
    table = _stack(run, parts, templates)
    note = "flux of the whole region, its part outside the core included, over its width in longitude"
    for name in table.colnames:
        if name.startswith("per_degree_"):
            table[name].info.description = note
    table["mean"].info.description = "mean surface brightness of the region's core"
    return table


def fov_profile(run: Run, *, step: float = STEP_DEG) -> QTable:
    """FOV flux along the plane: flux of the whole sky model in pointings at b = 0.

    Parameters
    ----------
    run
        The run.
    step
        Step in longitude, degrees.

    Returns
    -------
    astropy.table.QTable
        lon (deg, ascending), band; mean, sd, lo68, hi68, lo94, hi94, template_mean, template_sd (mCrab);
        seen: False if the field of view contains a region that no ScW sees. Longitudes without any region in
        the field of view are left out.

    Raises
    ------
    InputError
        If no region is near the plane.
    """
    near_plane(run)
    lon = np.linspace(-180.0, 180.0, round(360 / step) + 1)
    seen_of = exposures(run, lon, np.zeros(lon.size))
    total = seen_of[:, : len(run.sky)].sum(axis=1)
    there = total > _TINY * total.max()
    lon, seen_of = lon[there], seen_of[there]
    seen = seen_of[:, np.flatnonzero(_hidden(run))].sum(axis=1) <= _TINY * total.max()
    parts, templates = [], scaled_starlight(run)
    for band in _bands(run):
        columns = {
            "lon": lon * u.deg,
            "band": np.full(lon.size, band),
            **interval_columns(shape_draws(run, band, as_seen=True) @ seen_of.T, MCRAB),
            "seen": seen,
        }
        if band in templates:
            template = templates[band]
            norm = (template.norm * solid_angle(run))[:, None]
            columns |= _scaled(spread(run, band, norm * template.brightness) @ seen_of.T, MCRAB)
        parts.append(columns)
    table = _stack(run, parts, templates)
    table["mean"].info.description = "flux in the field of view of a pointing at (lon, 0), averaged over roll"
    return table


def widths(sky: Sky) -> Floats:
    """Width of each region in longitude, degrees; for a circle: diameter over cosine of latitude.

    Examples
    --------
    >>> from ridgebayes import sky
    >>> from ridgebayes.products.profile import widths
    >>> widths(sky.load("example")).round(1)
    array([30., 45., 45., 12., 50.])
    """
    return np.array(
        [
            region.lon[1] - region.lon[0]
            if region.radius is None
            else min(2 * region.radius / np.cos(np.deg2rad(region.centre_lat)), 360.0)
            for region in sky.regions
        ]
    )


def _hidden(run: Run) -> NDArray[np.bool_]:
    """Tell which regions no ScW sees, (region,)."""
    return np.isin(run.sky.names, run.record["data"].get("unseen_regions", []))


def _bands(run: Run) -> list[str]:
    return [str(band) for band in run.record["data"]["bands"]]


def _scaled(draws: Floats, unit: u.UnitBase) -> dict[str, Any]:
    """Columns with mean and sd of a scaled template over draws (draw, row)."""
    return {"template_mean": draws.mean(axis=0) * unit, "template_sd": draws.std(axis=0, ddof=1) * unit}


def _stack(run: Run, parts: list[dict[str, Any]], templates: dict[str, Template]) -> QTable:
    """Stack the tables of all bands, and add the provenance."""
    table = vstack([QTable(columns) for columns in parts], metadata_conflicts="error")
    mark(run, table)
    table.meta = provenance(run) | {
        "ci_kind": CI_KIND,
        "columns": f"lo68 … hi94: {INNER_PROB:.0%} and {CI_PROB:.0%} intervals of the posterior; template: "
        "starlight times a norm fitted to the posterior of the intensities, weighted by its covariance",
        "starlight": {band: str(template) for band, template in templates.items()},
        "note": CXB_NOTE,
    }
    return table
