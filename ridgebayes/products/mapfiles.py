"""Write sky maps: HEALPix for the whole sky, WCS images for the Galactic plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from ridgebayes.io.bounded import write_fits
from ridgebayes.products.files import ascii_only, fits_provenance, whole_file
from ridgebayes.products.maps import BandMap, Reprojection
from ridgebayes.runs.run import Run

UNSEEN = -1.6375e30
"""Value of HEALPix pixels without data."""

# Column in the files → attribute of a BandMap, unit, meaning.
COLUMNS = {
    "INTENSITY": ("intensity", "mCrab/deg2", "posterior mean"),
    "INTENSITY_SD": ("intensity_sd", "mCrab/deg2", "posterior sd"),
    "RESIDUAL": ("residual", "mCrab", "rate less background, nearby ScWs"),
    "RESIDUAL_ERR": ("residual_error", "mCrab", "its error"),
    "N_SCW": ("scws", None, "ScWs in it"),
    "EXPECTED": ("expected", "mCrab", "what the posterior expects of them"),
    "EXPECTED_SD": ("expected_sd", "mCrab", "its posterior sd"),
}


def write_maps(run: Run, maps: Sequence[BandMap], path: Path, radius: float) -> None:
    """Write maps as HEALPix FITS: one extension per band, named after it.

    Parameters
    ----------
    run
        Run of the maps, for the header.
    maps
        Maps of `sky_maps`.
    path
        The file, replaced whole or not at all.
    radius
        Radius of the residual maps, degrees, for the header.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    hdus = fits.HDUList([fits.PrimaryHDU(header=fits_provenance(run))])
    for one in maps:
        columns = [
            fits.Column(name, "J" if unit is None else "E", array=_unseen(getattr(one, attribute)))
            for name, (attribute, unit, _) in COLUMNS.items()
        ]
        hdu = fits.BinTableHDU.from_columns(columns, name=ascii_only(one.band))
        hdu.header.extend(
            [
                ("PIXTYPE", "HEALPIX", "HEALPix pixels"),
                ("ORDERING", "RING", "order of the pixels"),
                ("COORDSYS", "G", "galactic"),
                ("NSIDE", one.nside, "resolution"),
                ("FIRSTPIX", 0),
                ("LASTPIX", one.intensity.size - 1),
                ("INDXSCHM", "IMPLICIT", "all pixels, in order"),
                ("OBJECT", "FULLSKY"),
                ("BAD_DATA", UNSEEN, "pixel without a value"),
                *_band_cards(one, radius),
            ]
        )
        hdu.header.extend(fits_provenance(run, one.band))
        for number, (_, unit, comment) in enumerate(COLUMNS.values(), start=1):
            # Not TUNIT: mCrab is not a unit of the FITS standard, and readers warn.
            hdu.header.comments[f"TTYPE{number}"] = f"[{unit}] {comment}" if unit else comment
        hdus.append(hdu)
    with whole_file(path) as scratch:
        write_fits(hdus, scratch)


def write_plane(run: Run, maps: Sequence[BandMap], path: Path, radius: float) -> None:
    """Write the Galactic plane (|b| ≤ 30°) of the maps as WCS images, plate carrée, one extension each.

    Parameters and errors as of `write_maps`.
    """
    wcs, (rows, columns) = plane_wcs()
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    project = Reprojection(maps[0].nside, *wcs.wcs_pix2world(x, y, 0))
    hdus = fits.HDUList([fits.PrimaryHDU(header=fits_provenance(run))])
    for one in maps:
        for name, (attribute, unit, comment) in COLUMNS.items():
            if unit is None:
                continue
            image = project(getattr(one, attribute)).astype(np.float32)
            hdu = fits.ImageHDU(image, wcs.to_header(), name=f"{ascii_only(one.band)} {name}")
            hdu.header.extend([("BUNIT", unit, comment), *_band_cards(one, radius)])
            hdu.header.extend(fits_provenance(run, one.band))
            hdus.append(hdu)
    with whole_file(path) as scratch:
        write_fits(hdus, scratch)


def plane_wcs(
    half_lon: float = 180.0, half_lat: float = 30.0, step: float = 0.5
) -> tuple[WCS, tuple[int, int]]:
    """Plate carrée of the plane around l = 0, longitude increasing to the left: WCS, rows, columns."""
    columns, rows = round(2 * half_lon / step), round(2 * half_lat / step)
    return galactic_wcs("CAR", step, rows, columns), (rows, columns)


def galactic_wcs(projection: str, step: float, rows: int, columns: int) -> WCS:
    """Galactic WCS of an image centred on l = b = 0; `step` in degrees per pixel."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"GLON-{projection}", f"GLAT-{projection}"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [0.0, 0.0]
    wcs.wcs.crpix = [(columns + 1) / 2, (rows + 1) / 2]
    wcs.wcs.cdelt = [-step, step]
    wcs.wcs.set()
    return wcs


def _band_cards(one: BandMap, radius: float) -> list[tuple]:
    return [
        ("BAND", ascii_only(one.band), "energy band"),
        ("E_MIN", one.e_min, "[keV]"),
        ("E_MAX", one.e_max, "[keV]"),
        ("RADIUS", radius, "[deg] residuals: ScWs that point within it"),
    ]


def _unseen(values: NDArray) -> NDArray:
    """Replace NaN by the HEALPix value for no data; leave integers unchanged."""
    if values.dtype.kind == "i":
        return values.astype(np.int32)
    return np.where(np.isfinite(values), values, UNSEEN).astype(np.float32)
