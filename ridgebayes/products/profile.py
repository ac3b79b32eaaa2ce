"""The Galactic plane along longitude: intensities, FOV flux on a fine grid, and starlight scaled to them."""

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
"""Regions centred further from the plane than this, in degrees, have no place on a longitude axis."""

STEP_DEG = 1.0
_RIDGE = 1e-6
_TINY = 1e-3  # of the largest exposure to the sky model: a pointing below it sees no region


def near_plane(run: Run) -> NDArray[np.int64]:
    """Numbers of the regions that have a place on a longitude axis.

    Raises
    ------
    InputError
        When there is none.
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

    The norm of a draw is its regression on the template by generalised least squares, weighted by the
    posterior covariance C of the intensities: n = tᵀC⁻¹I / tᵀC⁻¹t. Where the posterior is Gaussian, these n
    are distributed as the norm would be in a model whose sky is the template times a norm.

    Attributes
    ----------
    brightness
        Starlight in the core of every region of the sky, 1 towards the Galactic centre.
    norm
        mCrab/deg² per unit of starlight, (draw,).
    misfit, dof
        χ² of the posterior mean about the scaled template, and the regions it is made of less one. Much above
        `dof`, the sky is no multiple of the template, and the norm's interval does not say how far it is.

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
        """Probability of a larger χ² if the sky is a multiple of the template; NaN of one region."""
        return float(chi2.sf(self.misfit, self.dof)) if self.dof else np.nan

    def __str__(self) -> str:
        sd = self.norm.std(ddof=1)
        digits = int(np.clip(1 - np.floor(np.log10(sd)), 0, 9)) if sd > 0 else 3
        text = f"starlight × ({self.norm.mean():.{digits}f} ± {sd:.{digits}f}) mCrab/deg²"
        return text + (f", χ² {self.misfit:.0f} of {self.dof}" if self.dof else "")


def scaled_starlight(run: Run, shape: Shape | None = None) -> dict[str, Template]:
    """Scale the starlight to the regions near the plane that some ScW sees, for each band.

    Parameters
    ----------
    run
        The run.
    shape
        Another map than starlight: its brightness is then in the unit of the map.

    Returns
    -------
    dict
        Band → template; empty where no ScW sees a region near the plane.

    Raises
    ------
    InputError
        When no region is near the plane.
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
        if len(draws) < 2 * rows.size:  # too few to tell how regions go together
            covariance = np.diag(np.diag(covariance))
        # Regions that move together exactly, as in a model that ties them, leave C without an inverse.
        covariance[np.diag_indices_from(covariance)] *= 1 + _RIDGE
        weighted = np.linalg.solve(covariance, shape_here)
        norm = draws @ weighted / (shape_here @ weighted)
        off = draws.mean(axis=0) - norm.mean() * shape_here
        misfit = float(off @ np.linalg.solve(covariance, off))
        found[band] = Template(bright, norm, misfit, rows.size - 1)
    return found


def intensity_profile(run: Run) -> QTable:
    """Intensity of the regions near the plane, a row for each region and band.

    Returns
    -------
    astropy.table.QTable
        region, lon, lon_width (deg), band; mean, sd, lo68, hi68, lo94, hi94 (mCrab/deg²); the same with
        ``per_degree_`` before it (mCrab/deg: flux of the whole region over its width in longitude);
        template_mean, template_sd (mCrab/deg²: starlight scaled to the band); seen; truth where the data are
        simulated and it is known.

    Raises
    ------
    InputError
        When no region is near the plane.
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
    """FOV flux along the plane: what pointings at b = 0 see of the whole sky model.

    Parameters
    ----------
    run
        The run.
    step
        Between the longitudes, degrees.

    Returns
    -------
    astropy.table.QTable
        lon (deg, rising), band; mean, sd, lo68, hi68, lo94, hi94, template_mean, template_sd (mCrab); seen:
        False where the field of view holds a region that no ScW sees. Longitudes from which no region is
        seen are left out.

    Raises
    ------
    InputError
        When no region is near the plane.
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
    """Extent of each region in longitude, degrees; a circle's is its diameter over the cosine of latitude.

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
    """Columns of mean and sd of a scaled template over draws (draw, row)."""
    return {"template_mean": draws.mean(axis=0) * unit, "template_sd": draws.std(axis=0, ddof=1) * unit}


def _stack(run: Run, parts: list[dict[str, Any]], templates: dict[str, Template]) -> QTable:
    """One table of all bands, with where it comes from."""
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
