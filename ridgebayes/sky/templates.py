"""A user's map of the sky, HEALPix or WCS image, as a HEALPix map in the galactic frame."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS, BaseCoordinateFrame, Galactic, SkyCoord
from astropy.io import fits
from astropy.nddata import block_reduce
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales, wcs_to_celestial_frame
from astropy_healpix import HEALPix
from astropy_healpix.core import ring_to_nested
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ridgebayes.errors import InputError, nearest
from ridgebayes.io.bounded import one_line, open_fits
from ridgebayes.io.fits_table import stored_nulls
from ridgebayes.sky.vectors import unit_vectors
from ridgebayes.table.missing import no_value
from ridgebayes.typing import Floats

log = logging.getLogger(__name__)


_UNSEEN = -1.6375e30  # HEALPix's mark for "no data"
_FRAMES = {"G": "galactic", "C": "icrs", "Q": "icrs"}
_CYLINDRICAL = ("CAR", "CEA", "CYP", "MER")
_CUBES = ("CSC", "TSC", "QSC")  # their faces may lie on either side of the middle one
_NEAR = 4.0  # largest distance of neighbours in the image, pixels: all-sky projections stretch pixels
_NSIDE_OF_IMAGES = (64, 256)


def read_template(path: str | Path) -> Floats:
    """Read a map of surface brightness (any unit per solid angle; only its shape is used).

    Parameters
    ----------
    path
        A FITS file: a HEALPix table (full sky, first column, ORDERING RING or NESTED, COORDSYS galactic or
        celestial; galactic where the header does not say), or an image with celestial WCS in any projection
        and frame.

    Returns
    -------
    ndarray
        HEALPix map, RING order, galactic frame. A HEALPix file keeps its nside; an image is sampled
        bilinearly at nside 64 to 256, finer than its own pixels where 256 allows (finer images are averaged
        in blocks first). Pixels without data (NaN, null, UNSEEN, outside the image) are NaN, negative ones 0.

    Raises
    ------
    InputError
        If the file is missing, not FITS, neither HEALPix nor a celestial image, or has no positive pixel.

    Examples
    --------
    >>> from astropy.io import fits
    >>> from ridgebayes import sky
    >>> column = fits.Column("brightness", "D", array=sky.starlight(32))
    >>> hdu = fits.BinTableHDU.from_columns([column])
    >>> hdu.header.update(ORDERING="RING", COORDSYS="G", NSIDE=32)
    >>> hdu.writeto("starlight.fits", overwrite=True)
    >>> sky.read_template("starlight.fits").size  # 12 nside²
    12288
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a HEALPix or WCS image in FITS")
    with one_line(path, "a HEALPix map or WCS image in FITS"), open_fits(path) as hdus:
        values = _read(path, hdus)
    if (values < 0).any():
        log.warning("%s: %.2g %% of the pixels are negative and count as 0", path, 100 * (values < 0).mean())
        values = np.maximum(values, 0.0)
    if not np.any(values > 0):
        raise InputError(f"{path}: the map is zero everywhere; give one with positive surface brightness")
    return values


def _read(path: Path, hdus: fits.HDUList) -> Floats:
    for hdu in hdus:
        if isinstance(hdu, fits.BinTableHDU) and "ORDERING" in hdu.header:
            return _healpix(path, hdu)
        shape = np.shape(hdu.data) if hdu.is_image else ()
        if len(shape) > 1 and all(size == 1 for size in shape[:-2]):  # further axes of one element
            image = np.array(hdu.data, float).reshape(shape[-2:])
            return _image(path, image, hdu.header)  # astropy converts BLANK integers to NaN
    raise InputError(f"{path}: no HEALPix table (with ORDERING) and no two-dimensional image in it")


def _healpix(path: Path, hdu: fits.BinTableHDU) -> Floats:
    header = hdu.header
    if str(header.get("INDXSCHM", "IMPLICIT")).strip().upper() != "IMPLICIT":
        raise InputError(
            f"{path}: INDXSCHM {header['INDXSCHM']}: write the map with all its pixels (IMPLICIT)"
        )
    order = str(header["ORDERING"]).strip().upper()
    order = {"NEST": "NESTED"}.get(order, order)
    if order not in ("RING", "NESTED"):
        raise InputError(f"{path}: ORDERING {order} is unknown{nearest(order, ['RING', 'NESTED'])}")
    values = np.ravel(np.array(hdu.data.field(0), float))
    nulls = stored_nulls(hdu, hdu.columns.names[0])
    if nulls is not None:
        values = np.where(np.ravel(nulls), np.nan, values)
    nside = int(header.get("NSIDE", round((values.size / 12) ** 0.5)))
    if nside < 1 or nside & (nside - 1) or 12 * nside**2 != values.size:
        raise InputError(f"{path}: {values.size} pixels do not make a full HEALPix map of NSIDE {nside}")
    values = _known(values)
    frame = str(header.get("COORDSYS", "")).strip().upper()
    if not frame:
        log.warning("%s: no COORDSYS in the header: taken as galactic", path)
    if frame and frame[0] not in _FRAMES:
        raise InputError(f"{path}: COORDSYS {frame} is not supported: use G (galactic) or C (celestial)")
    grid = HEALPix(nside, order="ring", frame=Galactic())
    ring = np.arange(values.size)
    if frame and _FRAMES[frame[0]] == "icrs":
        source = HEALPix(nside, order=order.lower(), frame=ICRS())
        where = grid.healpix_to_skycoord(ring)
        return interpolated(values, *source.bilinear_interpolation_weights(where.icrs.ra, where.icrs.dec))
    return values if order == "RING" else values[ring_to_nested(ring, nside)]


def _known(values: Floats) -> Floats:
    """Replace values without data by NaN: not finite, UNSEEN, or another mark for "no data"."""
    return np.where(np.isfinite(values) & ~no_value(values) & (values > 0.99 * _UNSEEN), values, np.nan)


def interpolated(values: Floats, neighbours: NDArray[np.int64], weights: Floats) -> Floats:
    """Weighted mean of neighbours that have data.

    Parameters
    ----------
    values
        (P,) with NaN where there are no data.
    neighbours, weights
        (4, N) indices and weights; a weight of 0 leaves a neighbour out.

    Returns
    -------
    ndarray
        (N,), NaN where a quarter or less of the weight has data.
    """
    found = values[neighbours]
    share = np.where(np.isnan(found), 0.0, weights)
    total = share.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0.25, np.sum(np.nan_to_num(found) * share, axis=0) / total, np.nan)


def _image(path: Path, image: Floats, header: fits.Header) -> Floats:
    wcs = WCS(header)
    if not wcs.has_celestial:
        raise InputError(f"{path}: the image has no celestial WCS (CTYPE): add one or give a HEALPix map")
    wcs = wcs if wcs.naxis == 2 else wcs.celestial  # `celestial` puts longitude first
    frame: BaseCoordinateFrame = wcs_to_celestial_frame(wcs)
    image = _known(image)
    scale = float(np.mean(np.abs(proj_plane_pixel_scales(wcs))))
    coarsest, finest = _NSIDE_OF_IMAGES
    block = int(HEALPix(finest).pixel_resolution.to_value(u.deg) // scale)
    if block > 1:
        # Pad the image to whole blocks, so that no pixel is lost.
        short = [-size % block for size in image.shape]
        whole = np.pad(image, [(0, n) for n in short], constant_values=np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # blocks without data
            image = np.asarray(block_reduce(whole, block, func=np.nanmean))
        wcs = wcs[: whole.shape[0] : block, : whole.shape[1] : block]
        scale *= block
    nside = coarsest
    while nside < finest and HEALPix(nside).pixel_resolution.to_value(u.deg) > scale:
        nside *= 2
    where = SkyCoord(
        HEALPix(nside, order="ring", frame=Galactic()).healpix_to_skycoord(np.arange(12 * nside**2))
    )
    where = where.transform_to(frame)
    x, y = (np.asarray(p, float) for p in wcs.world_to_pixel(where))
    turn = _turn(wcs)
    if turn is not None:
        x, y = _in_image(image.shape, x, y, turn)
        if np.abs(np.abs(turn) - [image.shape[1], 0]).max() < 0.01:  # periodic
            image = np.pad(image, ((0, 0), (1, 1)), mode="wrap")
            x, wcs = x + 1, _shifted(wcs)
        lon, _ = _centres(wcs, image.shape)
        if str(wcs.wcs.ctype[wcs.wcs.lng])[-3:] in _CYLINDRICAL and np.isfinite(image[np.isnan(lon)]).any():
            wcs.wcs.bounds_check(False, True)  # accept pixels more than half a turn from CRVAL
    return _sampled(image, wcs, where, x, y, scale)


def _turn(wcs: WCS) -> tuple[float, float] | None:
    """Return the pixels (x, y) of a full turn for a cylindrical projection or a cube; None for others."""
    lon = wcs.wcs.lng
    kind = str(wcs.wcs.ctype[lon])[-3:]
    if kind not in (*_CYLINDRICAL, *_CUBES):
        return None
    stretch = next((value for i, m, value in wcs.wcs.get_pv() if m == 2 and i == wcs.wcs.lat + 1), 1.0)
    turn = np.zeros(2)
    turn[lon] = 360.0 * (stretch if kind == "CYP" else 1.0)
    dx, dy = np.linalg.solve(wcs.pixel_scale_matrix, turn)
    return float(dx), float(dy)


def _in_image(
    shape: tuple[int, ...], x: Floats, y: Floats, turn: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Shift positions by a full turn if this moves them into the image, which may start at any longitude."""
    for k in (-1, 1):
        moved = x + k * turn[0], y + k * turn[1]
        better = ~_inside(shape, x, y) & _inside(shape, *moved)
        x, y = np.where(better, moved[0], x), np.where(better, moved[1], y)
    return x, y


def _shifted(wcs: WCS) -> WCS:
    """Return the WCS of an image with an additional column on the left."""
    wcs = wcs.deepcopy()
    wcs.wcs.crpix += [1.0, 0.0]
    return wcs


def _inside(shape: tuple[int, ...], x: Floats, y: Floats) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return (x >= -0.5) & (x < shape[1] - 0.5) & (y >= -0.5) & (y < shape[0] - 0.5)


def _centres(wcs: WCS, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return longitudes and latitudes of the pixels, in the shape of the image; NaN off the sky."""
    row, column = np.indices(shape)
    world = wcs.wcs_pix2world(column.ravel(), row.ravel(), 0)
    lon, lat = (world[axis].reshape(shape) for axis in (wcs.wcs.lng, wcs.wcs.lat))
    there = np.isfinite(lon) & (np.abs(lat) <= 90)  # a padded image extends beyond the pole
    return np.where(there, lon, np.nan), np.where(there, lat, np.nan)


def _sampled(image: Floats, wcs: WCS, where: SkyCoord, x: Floats, y: Floats, scale: float) -> Floats:
    """Interpolate bilinearly between pixels that are neighbours on the sky as well as in the image."""
    rows, columns = image.shape
    inside = _inside(image.shape, x, y)
    values = np.full(x.shape, np.nan)
    x, y = x[inside], y[inside]
    low_x, low_y = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    centre = unit_vectors(where.spherical.lon.deg[inside], where.spherical.lat.deg[inside])
    neighbours, weights = [], []
    for right, up in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = low_x + right, low_y + up
        weight = np.abs(1 - right - (x - low_x)) * np.abs(1 - up - (y - low_y))
        here = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        world = wcs.wcs_pix2world(column, row, 0)
        lon, lat = world[wcs.wcs.lng], world[wcs.wcs.lat]
        here &= np.abs(lat) <= 90  # a padded image extends beyond the pole
        with np.errstate(invalid="ignore"):
            apart = np.rad2deg(np.linalg.norm(unit_vectors(lon, lat) - centre, axis=-1))
            weight = np.where(here & (apart < _NEAR * scale), weight, 0.0)
        neighbours.append(np.where(here, row * columns + column, 0))
        weights.append(weight)
    values[inside] = interpolated(image.ravel(), np.array(neighbours), np.array(weights))
    return _over_seams(values, inside, image, wcs, where, scale)


def _over_seams(
    values: Floats, inside: NDArray[np.bool_], image: Floats, wcs: WCS, where: SkyCoord, scale: float
) -> Floats:
    """Fill positions at the edge of a projection, where neighbours in the image are off the sky.

    The value is that of the nearest pixel on the sky, also across the seam; NaN if that has no data.
    """
    gaps = np.flatnonzero(inside & np.isnan(values))
    if gaps.size == 0 or np.isnan(image).all():
        return values
    lon, lat = (np.ravel(angle) for angle in _centres(wcs, image.shape))
    real = np.flatnonzero(np.isfinite(lon))
    if real.size == image.size:  # the projection has no edge
        return values
    spherical = where[gaps].spherical
    tree = cKDTree(unit_vectors(lon[real], lat[real]))
    apart, nearest_pixel = tree.query(unit_vectors(spherical.lon.deg, spherical.lat.deg))
    close = apart < 2 * np.sin(np.deg2rad(_NEAR * scale) / 2)
    filled = image.ravel()[real[np.minimum(nearest_pixel, real.size - 1)]]
    values[gaps] = np.where(close, filled, np.nan)
    return values
