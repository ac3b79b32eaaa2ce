"""Surface brightness of the regions of a sky in the pixels of an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.wcs import WCS
from scipy import sparse

from ridgebayes.sky.skymap import Lookup, Sky

_FINER = 5  # points along each side of a pixel


def image_brightness(
    sky: Sky, wcs: WCS, shape: tuple[int, int], *, stretch: float = 1.0, shift: float = 0.0
) -> sparse.csr_array:
    """Surface brightness of every region for a unit intensity, averaged over each pixel of an image.

    Parameters
    ----------
    sky
        M regions.
    wcs
        WCS of the image, galactic, degrees.
    shape
        Rows and columns of the image.
    stretch, shift
        Stretch and shift in latitude, as in `ridgebayes.sky.build`.

    Returns
    -------
    sparse array
        (M, rows × columns), pixels in C order.
    """
    rows, columns = shape
    fine = (np.arange(_FINER) + 0.5) / _FINER - 0.5
    x = np.add.outer(np.arange(columns), fine).ravel()
    y = np.add.outer(np.arange(rows), fine).ravel()
    lon, lat = (np.ravel(world) for world in wcs.wcs_pix2world(*np.meshgrid(x, y), 0))
    column, row = np.meshgrid(np.arange(x.size) // _FINER, np.arange(y.size) // _FINER)
    pixel = (row * columns + column).ravel()
    lookup, found = Lookup(), []
    for region in sky.regions:
        own_stretch, own_shift = stretch, shift
        if region.radius is None and region.shape.kind != "uniform":
            low, high = (float(np.clip(end * stretch + shift, -90, 90)) for end in region.lat)
            region = replace(region, lat=(low, high))
        else:
            own_stretch, own_shift = 1.0, 0.0
        patch = region.sample()
        core = region.shape.profile(
            patch.lon[patch.core], (patch.lat[patch.core] - own_shift) / own_stretch, lookup
        )
        mean = float(np.average(core, weights=patch.area[patch.core]))
        inside = np.flatnonzero(region.contains(lon, lat))
        bright = region.shape.profile(lon[inside], (lat[inside] - own_shift) / own_stretch, lookup) / mean
        total = np.bincount(pixel[inside], bright, minlength=rows * columns) / _FINER**2
        found.append(sparse.csr_array(total[None]))
    return sparse.vstack(found, format="csr")
