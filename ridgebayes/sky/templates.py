"""A user's map of the sky, HEALPix or WCS image, as a HEALPix map in the galactic frame."""

from __future__ import annotations

import logging
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
from scipy.ndimage import map_coordinates

from ridgebayes.errors import InputError, nearest
from ridgebayes.io.bounded import one_line, open_fits

log = logging.getLogger(__name__)

Array = NDArray[np.float64]

_UNSEEN = -1.6375e30  # HEALPix's mark for "no data"
_FRAMES = {"G": "galactic", "C": "icrs", "Q": "icrs"}
_NSIDE_OF_IMAGES = (64, 256)


def read_template(path: str | Path) -> Array:
    """Read a map of surface brightness (any unit per solid angle; only its shape will count).

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
        in blocks first). Pixels without data (NaN, UNSEEN, outside the image) and negative ones are 0.

    Raises
    ------
    InputError
        No such file, not FITS, neither HEALPix nor celestial image, nothing positive in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a HEALPix or WCS image in FITS")
    with one_line(path, "a HEALPix map or WCS image in FITS"), open_fits(path) as hdus:
        values = _read(path, hdus)
    if (values < 0).any():
        log.warning("%s: %.2g %% of the pixels are negative and count as 0", path, 100 * (values < 0).mean())
        values = np.maximum(values, 0.0)
    if not values.any():
        raise InputError(f"{path}: the map is zero everywhere; give one with positive surface brightness")
    return values


def _read(path: Path, hdus: fits.HDUList) -> Array:
    for hdu in hdus:
        if isinstance(hdu, fits.BinTableHDU) and "ORDERING" in hdu.header:
            return _healpix(path, hdu)
        if hdu.is_image and np.ndim(hdu.data) == 2:
            return _image(path, np.array(hdu.data, float), hdu.header)
    raise InputError(f"{path}: no HEALPix table (with ORDERING) and no two-dimensional image in it")


def _healpix(path: Path, hdu: fits.BinTableHDU) -> Array:
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
    nside = int(header.get("NSIDE", round((values.size / 12) ** 0.5)))
    if nside < 1 or nside & (nside - 1) or 12 * nside**2 != values.size:
        raise InputError(f"{path}: {values.size} pixels do not make a full HEALPix map of NSIDE {nside}")
    values[~np.isfinite(values) | (values <= 0.99 * _UNSEEN)] = 0.0
    frame = str(header.get("COORDSYS", "")).strip().upper()
    if not frame:
        log.warning("%s: no COORDSYS in the header: taken as galactic", path)
    if frame and frame[0] not in _FRAMES:
        raise InputError(f"{path}: COORDSYS {frame} is not supported: use G (galactic) or C (celestial)")
    grid = HEALPix(nside, order="ring", frame=Galactic())
    ring = np.arange(values.size)
    if frame and _FRAMES[frame[0]] == "icrs":
        source = HEALPix(nside, order=order.lower(), frame=ICRS())
        return np.asarray(source.interpolate_bilinear_skycoord(grid.healpix_to_skycoord(ring), values))
    return values if order == "RING" else values[ring_to_nested(ring, nside)]


def _image(path: Path, image: Array, header: fits.Header) -> Array:
    wcs = WCS(header).celestial
    if not wcs.has_celestial:
        raise InputError(f"{path}: the image has no celestial WCS (CTYPE): add one or give a HEALPix map")
    frame: BaseCoordinateFrame = wcs_to_celestial_frame(wcs)
    image = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)
    scale = float(np.mean(np.abs(proj_plane_pixel_scales(wcs))))
    coarsest, finest = _NSIDE_OF_IMAGES
    block = int(HEALPix(finest).pixel_resolution.to_value(u.deg) // scale)
    if block > 1:
        rows, columns = (size // block * block for size in image.shape)
        image = np.asarray(block_reduce(image[:rows, :columns], block, func=np.mean))
        wcs = wcs[:rows:block, :columns:block]
        scale *= block
    nside = coarsest
    while nside < finest and HEALPix(nside).pixel_resolution.to_value(u.deg) > scale:
        nside *= 2
    where = HEALPix(nside, order="ring", frame=Galactic()).healpix_to_skycoord(np.arange(12 * nside**2))
    x, y = wcs.world_to_pixel(SkyCoord(where).transform_to(frame))
    if str(wcs.wcs.ctype[0]).endswith("CAR"):
        # A plate carrée may start anywhere in longitude: bring what lies a turn away into the image, and let
        # an image of a full turn continue on its other side.
        turn = 360 / np.abs(proj_plane_pixel_scales(wcs)[0])
        x = np.mod(x + 0.5, turn) - 0.5
        if abs(image.shape[1] - turn) < 0.01:
            image, x = np.pad(image, ((0, 0), (1, 1)), mode="wrap"), x + 1
    rows, columns = image.shape
    with np.errstate(invalid="ignore"):
        inside = (x >= -0.5) & (x < columns - 0.5) & (y >= -0.5) & (y < rows - 0.5)
    values = np.zeros(x.shape)
    values[inside] = map_coordinates(image, [y[inside], x[inside]], order=1, mode="nearest")
    return values
