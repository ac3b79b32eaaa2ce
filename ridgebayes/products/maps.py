"""Sky maps of a run: posterior intensity, and observed and expected residuals of the ScWs.

Maps are HEALPix, RING order, galactic frame. A pixel of the intensity map is the mean over the pixel, so the
map has exactly the flux of the regions, and pixels at the edge of a region are fainter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy_healpix import HEALPix
from astropy_healpix.core import ring_to_nested
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from ridgebayes.errors import InputError, nearest
from ridgebayes.products.skydraws import exposures, region_draws, shape_draws, shapes
from ridgebayes.runs.fitted_scws import residuals
from ridgebayes.runs.intensity import need_sky
from ridgebayes.runs.run import Run
from ridgebayes.sky import Sky, build
from ridgebayes.sky.vectors import unit_vectors
from ridgebayes.typing import Floats

RADIUS_DEG = 2.0
_FINER = 8  # points across a pixel, to find the fraction that a region covers
_LOOSE = 5.0  # times the sd of the better-known regions
_TOO_WIDE = 15.0  # a field of view: pointings further apart do not see the same sky


@dataclass(frozen=True, eq=False)
class BandMap:
    """Maps of one band; each array has the 12 nside² pixels of a HEALPix map, RING order, galactic frame.

    Attributes
    ----------
    band, e_min, e_max
        Name, and energies in keV.
    intensity, intensity_sd
        Posterior mean and sd, mCrab/deg²; NaN outside the regions and in regions that no ScW sees.
    centre_sd
        Posterior sd of the intensity at the centre of the pixel, mCrab/deg². Unlike `intensity_sd` it is not
        averaged across the border of two regions, which lowers the sd.
    unseen, loose
        Whether the pixel belongs to a region that no ScW sees, or to a weakly constrained one: the sd of its
        intensity is at least five times the lower quartile of all regions.
    residual, residual_error
        Weighted mean of the residuals of the ScWs that point near the pixel, and its error, mCrab; NaN if
        there are none. See `residual_map`.
    scws
        Number of these ScWs.
    expected, expected_sd
        Posterior mean and sd of the FOV flux of the same ScWs, at their pointings and rolls, mCrab; NaN if
        there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.products.maps import BandMap
    >>> mean, sd, no = np.linspace(-0.1, 0.7, 48), np.full(48, 0.1), np.zeros(48, bool)
    >>> number = np.full(48, 9)  # of ScWs near each pixel
    >>> BandMap("A01", 25.0, 60.0, mean, sd, sd, no, no, mean, sd, number, mean, sd).nside
    2
    """

    band: str
    e_min: float
    e_max: float
    intensity: Floats
    intensity_sd: Floats
    centre_sd: Floats
    unseen: NDArray[np.bool_]
    loose: NDArray[np.bool_]
    residual: Floats
    residual_error: Floats
    scws: NDArray[np.int64]
    expected: Floats
    expected_sd: Floats

    @property
    def nside(self) -> int:
        """HEALPix nside."""
        return round((self.intensity.size / 12) ** 0.5)


def sky_maps(
    run: Run, *, nside: int = 64, bands: Sequence[str] = (), radius: float = RADIUS_DEG
) -> list[BandMap]:
    """Make the maps of a run.

    Parameters
    ----------
    run
        The run; its ScWs (`run.scws`) are needed.
    nside
        Nside of the maps: a power of 2 up to 128.
    bands
        Names of the bands; all of them by default.
    radius
        Residuals are averaged over the ScWs that point within this distance of a pixel's centre, degrees.

    Returns
    -------
    list of BandMap
        One per band, in the order of the run.

    Raises
    ------
    InputError
        If a band is unknown, nside or radius is invalid, or the run has no table of fitted ScWs.
    """
    need_sky(run)
    known = [str(band) for band in run.record["data"]["bands"]]
    for band in bands:
        if band not in known:
            raise InputError(f"{run.path or 'the run'}: has no band '{band}'{nearest(band, known)}")
    if not 0 < radius <= _TOO_WIDE:
        raise InputError(f"radius {radius:g}: must be above 0 and at most {_TOO_WIDE:g} degrees")
    return list(_each_band(run, nside, [band for band in known if not bands or band in bands], radius))


def _each_band(run: Run, nside: int, bands: Sequence[str], radius: float) -> Iterator[BandMap]:
    sky = run.sky
    each = [brightness(sky, nside, *shape) for shape in shapes(run)]
    by_pixel = sparse.hstack([one.T for one in each], format="csr")
    central = [brightness(sky, nside, *shape, at_centre=True) for shape in shapes(run)]
    by_centre = sparse.hstack([one.T for one in central], format="csr")
    outside = (
        np.asarray(by_centre.sum(axis=1)).ravel() == 0
    )  # pixels at the edge, whose centre is in no region
    bright = sum(each[1:], start=each[0])
    no_region = np.asarray(bright.sum(axis=0)).ravel() == 0
    hidden = np.isin(sky.names, run.record["data"].get("unseen_regions", []))
    unseen = np.asarray(bright[np.flatnonzero(hidden)].sum(axis=0)).ravel() > 0
    near = pointings_near(run, nside, radius)
    table = run.scws
    seen = exposures(run, table["LON"].to_value(u.deg), table["LAT"].to_value(u.deg))
    constant = run.tree["constant_data"].dataset
    for band in bands:
        own = region_draws(run, band).std(axis=0)
        usual = np.quantile(own[~hidden], 0.25) if not hidden.all() else np.inf
        loose = np.asarray(bright[np.flatnonzero(own > _LOOSE * usual)].sum(axis=0)).ravel() > 0
        draws = shape_draws(run, band)
        mean, sd = moments(by_pixel, draws)
        centre_sd = np.where(outside, sd, moments(by_centre, draws)[1])
        mean[no_region | unseen] = sd[no_region | unseen] = centre_sd[no_region | unseen] = np.nan
        residual = residual_map(run, band, near, seen)
        low, high = (float(constant[name].sel(band=band)) for name in ("e_min", "e_max"))
        yield BandMap(band, low, high, mean, sd, centre_sd, unseen, loose, *residual)


def centres(nside: int) -> tuple[Floats, Floats]:
    """Galactic longitudes and latitudes of the centres of the pixels, degrees."""
    grid = HEALPix(nside, order="ring")
    lon, lat = grid.healpix_to_lonlat(np.arange(grid.npix))
    return lon.to_value(u.deg), lat.to_value(u.deg)


def brightness(
    sky: Sky, nside: int, stretch: float = 1.0, shift: float = 0.0, *, at_centre: bool = False
) -> sparse.csr_array:
    """Surface brightness of every region for a unit intensity, averaged over each pixel.

    The flux of a sky in a pixel is proportional to the number of patches there, which scatters by 10 %. It is
    therefore divided by the area of those patches and multiplied by the covered fraction of the pixel.

    Parameters
    ----------
    sky
        M regions.
    nside
        Nside of the map.
    stretch, shift
        In latitude, as in `ridgebayes.sky.build`.
    at_centre
        Return the brightness at the pixel's centre: a pixel on a border then belongs to one region only.

    Returns
    -------
    sparse array
        (M, 12 nside²); a row times the area of a pixel sums to the region's solid angle.

    Raises
    ------
    InputError
        If nside is not a power of 2 up to 128.
    """
    if (sky.nside, stretch, shift) != (nside, 1.0, 0.0):
        sky = build(sky.name, sky.regions, nside=nside, stretch=stretch, shift=shift)
    grid = HEALPix(nside, order="ring")
    fine = HEALPix(nside * _FINER, order="nested")
    pixel_area = grid.pixel_area.to_value(u.deg**2)
    weights = sky.weights
    values = []
    for region, total, start, stop in zip(
        sky.regions, sky.solid_angles, weights.indptr[:-1], weights.indptr[1:], strict=True
    ):
        pixels = weights.indices[start:stop]
        if region.radius is None and region.shape.kind != "uniform":
            low, high = (float(np.clip(end * stretch + shift, -90, 90)) for end in region.lat)
            region = replace(region, lat=(low, high))
        patch = region.sample()
        inside = grid.lonlat_to_healpix(patch.lon * u.deg, patch.lat * u.deg)
        area = np.bincount(inside, patch.area, minlength=grid.npix)[pixels]
        children = ring_to_nested(pixels, nside)[:, None] * _FINER**2 + np.arange(_FINER**2)
        lon, lat = fine.healpix_to_lonlat(children)
        covered = region.contains(lon.to_value(u.deg), lat.to_value(u.deg)).mean(axis=1)
        if not covered.any():  # a region smaller than the distance between the points
            covered = np.ones(pixels.size)
        value = weights.data[start:stop] / area
        value *= total / ((value * covered).sum() * pixel_area)
        if at_centre:
            centre_lon, centre_lat = grid.healpix_to_lonlat(pixels)
            inside = region.contains(centre_lon.to_value(u.deg), centre_lat.to_value(u.deg))
            covered = np.where(inside.any(), inside, covered)
        values.append(value * covered)
    return sparse.csr_array((np.concatenate(values), weights.indices, weights.indptr), shape=weights.shape)


def pointings_near(run: Run, nside: int, radius: float) -> sparse.csr_array:
    """Tell which ScWs without the Crab point within `radius` degrees of each pixel, (pixel, scw) of ones."""
    table = run.scws
    plain = np.flatnonzero(~np.asarray(table["CRAB"]))
    lon, lat = (table[name][plain].to_value(u.deg) for name in ("LON", "LAT"))
    shape = (12 * nside**2, len(table))
    if not plain.size:
        return sparse.csr_array(shape)
    chord = 2 * np.sin(np.deg2rad(radius) / 2)
    pixels, pointings = cKDTree(unit_vectors(*centres(nside))), cKDTree(unit_vectors(lon, lat))
    pairs = pixels.sparse_distance_matrix(pointings, chord, output_type="ndarray")
    ones = np.ones(len(pairs))
    return sparse.coo_array((ones, (pairs["i"], plain[pairs["j"]])), shape).tocsr()


def residual_map(
    run: Run, band: str, near: sparse.csr_array, seen: Floats
) -> tuple[Floats, Floats, NDArray[np.int64], Floats, Floats]:
    """Average the residuals (rate minus background) of the ScWs that point near each pixel.

    A ScW sees 29° of sky. The map therefore shows the FOV flux of a pointing at each pixel, and neighbouring
    pixels share ScWs. Weights are 1 / error². Counting noise and scatter are independent between ScWs; the
    error of the background is fully correlated within a revolution and independent between revolutions. The
    expected FOV flux is averaged over the same ScWs, because near the bulge it changes much within a degree.
    The background was fitted together with the sky, so the map is not an independent measurement: it shows
    where the data need flux that the regions do not have.

    Parameters
    ----------
    run, band
        The run, the name of a band.
    near
        Matrix of `pointings_near`.
    seen
        (scw, shape × region) deg²: `exposures` of the ScWs, for the sd of the expected flux.

    Returns
    -------
    residual, error, scws, expected, expected_sd
        As in `BandMap`, (pixel,) each.
    """
    table, names = run.scws, run.scws.meta["BAND"]
    row = names.index(band)
    revolution = np.asarray(table["REVOL"])
    history = run.tree["constant_data"].dataset["crab_history_mean"]
    crab = history.sel(revolution=revolution, band=names).transpose(..., "band").values
    value, error = (x[:, row] for x in residuals(table, crab))
    noise, shared, sky = (
        table[name].to_value(u.ct / u.s)[:, row] * 1000 / crab[:, row]
        for name in ("NOISE", "BACKGROUND_SD", "SKY")
    )
    counts = np.diff(near.indptr)
    full = np.flatnonzero(counts)
    near = near[full]
    weight = 1 / error**2
    total = near @ weight
    revolutions, of_scw = np.unique(revolution, return_inverse=True)
    together = sparse.csr_array(
        (weight * shared, (np.arange(len(table)), of_scw)), shape=(len(table), revolutions.size)
    )
    variance = near @ (weight * noise) ** 2 + np.asarray(((near @ together) ** 2).sum(axis=1)).ravel()
    exposure = near @ (weight[:, None] * seen) / total[:, None]
    draws = shape_draws(run, band, as_seen=True)
    _, expected_sd = moments(sparse.csr_array(exposure), draws)
    maps = np.full((4, counts.size), np.nan)
    maps[:, full] = (
        near @ (weight * value) / total,
        np.sqrt(variance) / total,
        near @ (weight * sky) / total,
        expected_sd,
    )
    mean, sd, expected, expected_sd = maps
    return mean, sd, counts, expected, expected_sd


class Reprojection:
    """Bilinear interpolation of maps at fixed galactic positions; NaN pixels are ignored.

    Parameters
    ----------
    nside
        Nside of the maps, RING order.
    lon, lat
        Degrees, arrays of one shape; the result is NaN where they are.
    """

    def __init__(self, nside: int, lon: Floats, lat: Floats) -> None:
        self._there = np.isfinite(lon) & np.isfinite(lat)
        # astropy_healpix 2.0 interpolates to NaN at negative longitudes.
        at = (np.asarray(lon)[self._there] % 360 * u.deg, np.asarray(lat)[self._there] * u.deg)
        self._pixels, self._weights = HEALPix(nside, order="ring").bilinear_interpolation_weights(*at)

    def __call__(self, values: Floats) -> Floats:
        """Interpolate a map (12 nside²,); NaN where more than half of the weight lies on NaN."""
        around = values[self._pixels]
        weights = np.where(np.isfinite(around), self._weights, 0.0)
        share = weights.sum(axis=0)
        total = (weights * np.nan_to_num(around)).sum(axis=0)
        out = np.full(self._there.shape, np.nan)
        out[self._there] = np.where(share > 0.5, total / np.maximum(share, 0.5), np.nan)
        return out


def moments(design: sparse.csr_array, draws: Floats) -> tuple[Floats, Floats]:
    """Mean and sd of design @ draw over draws (draw, region), including the covariance of regions."""
    covariance = np.atleast_2d(np.cov(draws.T))
    variance = design.multiply(design @ covariance).sum(axis=1)
    return design @ draws.mean(axis=0), np.sqrt(np.maximum(np.asarray(variance).ravel(), 0.0))
