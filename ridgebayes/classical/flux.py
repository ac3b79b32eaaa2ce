"""Mean residual over the pointings in a region, or in a bin of longitude, as a FOV flux at its centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike

from ridgebayes.classical.calibration import Calibration
from ridgebayes.classical.statistics import robust_fit
from ridgebayes.errors import InputError
from ridgebayes.robust import sd_about_zero
from ridgebayes.sky import Region, Sky
from ridgebayes.typing import Bools, Floats
from ridgebayes.units import MCRAB

_METHOD = (
    "classical: Krivonos et al. 2012, A&A 537, A92, appendix A: background from tracer and orbital phase by "
    "revolution, from ScWs off the plane; cubic Crab rate; weighted mean over revolutions of the residuals "
    "of the pointings inside, with an error that includes the scatter between revolutions"
)
_TEMPLATE = (
    "; each revolution's mean is brought to the centre by what the template '{name}' shows there over what "
    "it shows to its pointings: the template's shape is assumed, its norm is not"
)
_FEW = 3  # revolutions; the scatter of fewer is uncertain


@dataclass(frozen=True)
class _Place:
    """A region or bin, and the pointings inside."""

    lon: float
    lat: float
    inside: Bools


@dataclass(frozen=True)
class _Mean:
    """FOV flux and its error, mCrab, and the data used."""

    flux: float
    error: float
    n_scws: int
    n_revolutions: int
    note: str


def fluxes(
    calibration: Calibration,
    sky: Sky,
    *,
    template: bool = True,
    bootstrap: int = 0,
    seed: int = 0,
) -> QTable:
    """FOV flux of every region: the flux that a pointing at its centre sees.

    Parameters
    ----------
    calibration
        Result of `calibrate`.
    sky
        Regions. Pointings inside the core of a region are used (for a cell, its longitudes at
        abs(b) < core_lat), except those that contain the Crab.
    template
        Convert the means to the centre of the region with the template; otherwise they are plain means over
        the pointings.
    bootstrap
        Number of bootstrap resamples of revolutions for the error; with 0 it follows from the weights.
    seed
        Seed of the bootstrap.

    Returns
    -------
    astropy.table.QTable
        region, band, E_MIN, E_MAX (keV), flux, error (mCrab, including that of the Crab rate), n_scws,
        n_revolutions, note. A region without pointings has NaN and a note. Metadata: method, numbers of
        excluded ScWs, simulated.

    Examples
    --------
    >>> from ridgebayes import classical, read_scws, sky
    >>> calibration = classical.calibrate(read_scws("mission.fits"))
    >>> table = classical.fluxes(calibration, sky.load("example").select("bulge"))
    >>> table["band"].tolist(), table["flux"].unit
    (['A01', 'A02'], Unit("mCrab"))
    """
    scws = calibration.scws
    places = [
        _Place(region.centre_lon, region.centre_lat, _core(region, scws.lon, scws.lat))
        for region in sky.regions
    ]
    means = _means(calibration, places, template, bootstrap, seed)
    n = len(scws.bands)
    table = QTable(
        {
            "region": np.repeat(np.array(sky.names, dtype=str), n),
            "band": np.tile(np.array(scws.band_names, dtype=str), len(sky)),
            "E_MIN": np.tile([band.e_min for band in scws.bands], len(sky)) * u.keV,
            "E_MAX": np.tile([band.e_max for band in scws.bands], len(sky)) * u.keV,
        }
    )
    return _filled(table, means, calibration, template)


def profile(
    calibration: Calibration,
    edges: ArrayLike,
    *,
    lat_max: float = 5.0,
    template: bool = True,
) -> QTable:
    """FOV flux against galactic longitude, from pointings close to the plane.

    Parameters
    ----------
    calibration
        Result of `calibrate`.
    edges
        Increasing edges of the bins, degrees; a bin includes its lower edge. They may extend beyond ±180, but
        span at most one turn.
    lat_max
        Only pointings at abs(b) < `lat_max` are used, degrees.
    template
        Convert the means to the middle of the bin at b = 0, as in `fluxes`.

    Returns
    -------
    astropy.table.QTable
        lon, lon_width (deg), band, flux, error (mCrab), n_scws, n_revolutions, note; bins without pointings
        are NaN.

    Raises
    ------
    InputError
        If edges do not increase, or span more than a turn.

    Examples
    --------
    >>> from ridgebayes import classical, read_scws
    >>> calibration = classical.calibrate(read_scws("mission.fits"))
    >>> table = classical.profile(calibration, [-15, -5, 5, 15])
    >>> table["lon"][table["band"] == "A01"]
    <Quantity [-10.,   0.,  10.] deg>
    """
    bounds = np.asarray(edges, float)
    if bounds.ndim != 1 or bounds.size < 2 or not (np.diff(bounds) > 0).all() or np.ptp(bounds) > 360:
        raise InputError(
            "longitude profile: give at least two rising edges in degrees, over at most one turn"
        )
    scws = calibration.scws
    low, width = bounds[:-1], np.diff(bounds)
    places = [
        _Place(start + size / 2, 0.0, (np.mod(scws.lon - start, 360) < size) & (np.abs(scws.lat) < lat_max))
        for start, size in zip(low, width, strict=True)
    ]
    means = _means(calibration, places, template, 0, 0)
    n = len(scws.bands)
    table = QTable(
        {
            "lon": np.repeat(low + width / 2, n) * u.deg,
            "lon_width": np.repeat(width, n) * u.deg,
            "band": np.tile(np.array(scws.band_names, dtype=str), low.size),
        }
    )
    return _filled(table, means, calibration, template)


def _core(region: Region, lon: Floats, lat: Floats) -> Bools:
    return (
        region.contains(lon, lat)
        if region.radius
        else replace(region, lat=region.core_lat).contains(lon, lat)
    )


def _filled(table: QTable, means: list[_Mean], calibration: Calibration, template: bool) -> QTable:
    table["flux"] = np.array([m.flux for m in means]) * MCRAB
    table["error"] = np.array([m.error for m in means]) * MCRAB
    table["n_scws"] = np.array([m.n_scws for m in means], int)
    table["n_revolutions"] = np.array([m.n_revolutions for m in means], int)
    table["note"] = np.array([m.note for m in means], dtype=str)
    settings = {name: float(value) for name, value in vars(calibration.settings).items()}
    table.meta = {
        "simulated": bool(calibration.scws.meta["simulated"]),
        "data": str(calibration.scws.meta["path"] or ""),
        "method": _METHOD + (_TEMPLATE.format(name=calibration.template.name) if template else ""),
        "left_out": dict(calibration.left_out),
        "settings": settings,
    }
    return table


def _means(
    calibration: Calibration, places: Sequence[_Place], template: bool, bootstrap: int, seed: int
) -> list[_Mean]:
    """Return means by place, then by band."""
    centre = calibration.template.fov_exposure(
        np.array([p.lon for p in places]), np.array([p.lat for p in places]), calibration.response
    )[:, 0]
    rng = np.random.default_rng(seed)
    return [
        _mean(calibration, place.inside & ~calibration.scws.crab, k, at if template else None, bootstrap, rng)
        for place, at in zip(places, centre, strict=True)
        for k in range(len(calibration.scws.bands))
    ]


def _mean(
    calibration: Calibration,
    inside: Bools,
    k: int,
    centre: float | None,
    bootstrap: int,
    rng: np.random.Generator,
) -> _Mean:
    """Return the weighted mean of one place in one band over revolutions."""
    if not inside.any():
        return _Mean(np.nan, np.nan, 0, 0, "no pointing in the region")
    rows = np.flatnonzero(inside & np.isfinite(calibration.residual[:, k]))
    if rows.size == 0:
        return _Mean(np.nan, np.nan, 0, 0, "no pointing in a revolution with a background")
    notes = []
    value, sigma = calibration.residual[rows, k], calibration.error[rows, k]
    common = 1000 * calibration.background_err[rows, k] / calibration.crab_rate[rows, k]
    factor = np.ones(rows.size)
    if centre is not None:
        seen = calibration.seen[rows]
        if centre > 0 and (seen > 0).all():
            factor = centre / seen
        else:
            notes.append("the template is dark here: plain mean over the pointings")
    clip = calibration.settings.clip

    # Clip ScWs about the median; the width is the scatter, but at least the errors.
    scaled = value * factor
    pull = (scaled - np.median(scaled)) / (sigma * factor)
    kept = np.abs(pull) <= clip * max(1.0, float(sd_about_zero(pull)))
    rows, value, sigma, common, factor = (x[kept] for x in (rows, value, sigma, common, factor))

    # Average ScWs within revolutions: this reduces independent noise, not the error of the background.
    _, rho = np.unique(calibration.scws.revolution[rows], return_inverse=True)
    weight = 1 / (sigma**2 - common**2)
    norm = np.bincount(rho, weight)

    def average(x: Floats) -> Floats:
        return np.bincount(rho, weight * x) / norm

    # Ratio of means: template flux at the centre over its weighted mean over these pointings.
    ratio = 1 / average(1 / factor)
    mean = average(value) * ratio
    variance = (1 / norm + average(common) ** 2) * ratio**2
    fit = robust_fit(np.ones((mean.size, 1)), mean, variance, clip)
    flux, error = float(fit.coefficients[0]), float(np.sqrt(fit.covariance[0, 0]))
    if bootstrap and fit.used.sum() > 1:
        w, x = 1 / (variance[fit.used] + fit.excess), mean[fit.used]
        pick = rng.integers(0, x.size, (bootstrap, x.size))
        error = float(np.std((w[pick] * x[pick]).sum(1) / w[pick].sum(1), ddof=1))
    relative = calibration.crab_rate_err[rows, k] / calibration.crab_rate[rows, k]
    error = float(np.hypot(error, flux * np.average(relative, weights=weight)))
    count = int(fit.used.sum())
    if count < _FEW:
        notes.append(f"{count} revolution{'s' * (count != 1)}: too few to show their scatter")
    return _Mean(flux, error, int(fit.used[rho].sum()), count, "; ".join(notes))
