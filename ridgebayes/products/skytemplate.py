"""The posterior sky as a diffuse model for other software: differential flux per sr against energy.

The file is a FITS cube in the format of the Fermi diffuse models: an image with an energy axis, energies in
the extension ENERGIES, values in ph/cm²/s/MeV/sr. Gammapy reads it as a WcsNDMap for its
TemplateSpatialModel, and interpolates it as a power law in energy. Each band has nodes at its edges (and one
at a break of the Crab spectrum). Between them the brightness has the spectral shape assumed for the Crab; its
integral over the band is that of the posterior. Where two bands touch, two nodes with a relative distance of
2e-6 allow a jump. Values in a gap between bands are interpolated, not measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy import sparse

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB, DEG2_PER_SR, CrabSpectrum
from ridgebayes.products.files import ascii_only, fits_provenance, whole_file
from ridgebayes.products.mapfiles import plane_wcs
from ridgebayes.products.maps import moments
from ridgebayes.products.skydraws import shape_draws, shapes
from ridgebayes.runs.intensity import need_sky
from ridgebayes.runs.run import Run
from ridgebayes.sky.image import image_brightness
from ridgebayes.typing import Floats

STEP_DEG = 0.5
UNIT = "cm-2 s-1 MeV-1 sr-1"
_APART = 1e-6  # relative distance of the nodes where two bands touch
_KEV = 1e-3  # MeV


class SkyTemplate(NamedTuple):
    """A diffuse model.

    Attributes
    ----------
    energy
        Nodes, keV, ascending.
    mean, sd
        Posterior mean and sd, ph/cm²/s/MeV/sr, (node, row, column); 0 outside the regions and in regions that
        no ScW sees.
    wcs
        WCS of the image.
    crab
        Spectrum assumed for the Crab.
    """

    energy: Floats
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    wcs: WCS
    crab: CrabSpectrum


def sky_template(run: Run, crab: CrabSpectrum = CRAB, *, step: float = STEP_DEG) -> SkyTemplate:
    """Make the diffuse model of a run.

    Parameters
    ----------
    run
        The run.
    crab
        Spectrum assumed for the Crab.
    step
        Size of a pixel, degrees.

    Raises
    ------
    InputError
        If the model has no sky, bands overlap, or a band begins at 0 keV.
    """
    need_sky(run)
    constant = run.tree["constant_data"].dataset
    order = np.lexsort((constant["e_max"].values, constant["e_min"].values))
    low, high = (constant[name].values[order].astype(float) for name in ("e_min", "e_max"))
    bands = [str(band) for band in constant["band"].values[order]]
    for k in np.flatnonzero(low[1:] < high[:-1]).tolist():
        raise InputError(
            f"{run.path or 'the run'}: bands {bands[k]} and {bands[k + 1]} overlap: no one spectrum for a "
            "sky model; fit bands that do not"
        )
    crab.photons_per_mcrab(low, high)  # raises an error if a band has no valid edges
    reach = 5 * np.ceil(max(_reach(run)) / 5)
    wcs, shape = plane_wcs(180.0, float(min(reach, 90.0)), step)
    bright = [image_brightness(run.sky, wcs, shape, stretch=s, shift=d) for s, d in shapes(run)]
    hidden = np.isin(run.sky.names, run.record["data"].get("unseen_regions", []))
    seen = sparse.diags_array((~hidden).astype(float))
    by_pixel = sparse.hstack([(seen @ one).T for one in bright], format="csr")
    energy, mean, sd = [], [], []
    for k, band in enumerate(bands):
        touches = [k > 0 and low[k] == high[k - 1], k + 1 < len(bands) and high[k] == low[k + 1]]
        nodes = [low[k] * (1 + _APART * touches[0]), high[k] * (1 - _APART * touches[1])]
        if crab.e_break is not None and nodes[0] < crab.e_break < nodes[1]:
            nodes.insert(1, crab.e_break)
        value, spread_of = (x.reshape(shape) for x in moments(by_pixel, shape_draws(run, band)))
        for node, photons in zip(nodes, crab.photons(nodes), strict=True):
            factor = 1e-3 * photons * DEG2_PER_SR / _KEV  # from mCrab/deg²
            energy.append(node)
            mean.append((value * factor).astype(np.float32))
            sd.append((spread_of * factor).astype(np.float32))
    return SkyTemplate(np.array(energy), np.stack(mean), np.stack(sd), wcs, crab)


def write_template(run: Run, template: SkyTemplate, path: Path) -> None:
    """Write a diffuse model as FITS: mean, ENERGIES (MeV) and SD; whole or not at all."""
    header = template.wcs.to_header()
    notes = [
        "Posterior mean; extension SD: its posterior sd, pixel by pixel. Energies: extension ENERGIES.",
        "Within a band the spectrum has the shape of the Crab assumed; between bands it is interpolated.",
        template.crab.describe(),
    ]
    negative = int((template.mean < 0).any(axis=0).sum())
    if negative:
        notes.append(f"{negative} pixels are negative in some band; Gammapy takes them for zero.")
    hdus = fits.HDUList([fits.PrimaryHDU(template.mean, header)])
    hdus.append(
        fits.BinTableHDU.from_columns(
            [fits.Column("Energy", "D", "MeV", array=template.energy * _KEV)], name="ENERGIES"
        )
    )
    hdus.append(fits.ImageHDU(template.sd, header, name="SD"))
    for hdu in hdus:
        if hdu.is_image:
            hdu.header["BUNIT"] = UNIT
        hdu.header.extend(fits_provenance(run))
        for note in notes:
            hdu.header["COMMENT"] = ascii_only(note)
    with whole_file(path) as scratch:
        hdus.writeto(scratch)


def _reach(run: Run) -> list[float]:
    """Largest distance of each region from the plane, degrees."""
    return [
        max(abs(end * stretch + shift) for end in region.lat for stretch, shift in shapes(run))
        if region.radius is None
        else abs(region.centre_lat) + region.radius
        for region in run.sky.regions
    ]
