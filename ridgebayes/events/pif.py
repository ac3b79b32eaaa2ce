"""Pixel illumination fractions of sources, and removal of sources from detector images."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from astropy.io import fits

from ridgebayes.errors import InputError
from ridgebayes.events.reading import SHAPE
from ridgebayes.io.bounded import one_line, open_fits
from ridgebayes.table.scw import CRAB
from ridgebayes.typing import Bools, Floats

PIF = "ISGR-PIF.-SHD"
_ROWS, _COLUMNS = (32, 66, 100), (64,)  # gaps between the eight modules start here
_Z, _Y = np.divmod(np.arange(SHAPE[0] * SHAPE[1]), SHAPE[1])
MODULES = (2 * np.digitize(_Z, _ROWS) + np.digitize(_Y, _COLUMNS) == np.arange(8)[:, np.newaxis]).astype(
    float
)
"""Return True for the pixels of each module, (8, P)."""

_DISTINCT = 1e-8  # eigenvalue of the Gram matrix below which sources count as indistinguishable


@dataclass(frozen=True, eq=False)
class Illumination:
    """Pixel illumination fraction of one source in one ScW.

    Parameters
    ----------
    scw_id, name
        ScW (12 digits) and source.
    fraction
        (P,) from 0 to 1, P = 134 × 130 pixels.
    is_crab
        True if the source is at the position of the Crab.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.events import Illumination
    >>> lit = Illumination("010000010010", "Crab", np.full(134 * 130, 0.5), is_crab=True)
    >>> float(lit.fraction.mean())
    0.5
    """

    scw_id: str
    name: str
    fraction: Floats
    is_crab: bool


def read_pifs(path: str | PathLike[str]) -> list[Illumination]:
    """Read pixel illumination fractions of OSA's ii_pif: images ISGR-PIF.-SHD with SWID and NAME.

    Raises
    ------
    InputError
        If the file or such an image is missing, an image has another shape, values outside 0–1 or no SWID.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from ridgebayes.events import read_pifs
    >>> image = fits.ImageHDU(np.full((134, 130), 0.5), name="ISGR-PIF.-SHD")
    >>> image.header.update(SWID="010000010010", NAME="Crab", RA_OBJ=83.633, DEC_OBJ=22.014)
    >>> fits.HDUList([fits.PrimaryHDU(), image]).writeto("pif.fits", overwrite=True)
    >>> [(pif.name, pif.is_crab) for pif in read_pifs("pif.fits")]
    [('Crab', True)]
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: no such file: check the name")
    with one_line(path, "a PIF file in FITS"), open_fits(path) as hdus:
        images = [hdu for hdu in hdus if hdu.name.upper() == PIF and isinstance(hdu, fits.ImageHDU)]
        if not images:
            raise InputError(
                f"{path}: no image extension {PIF}: give the model file that OSA's ii_pif writes"
            )
        return [_illumination(path, hdu, number) for number, hdu in enumerate(images, start=1)]


def _illumination(path: Path, hdu: fits.ImageHDU, number: int) -> Illumination:
    where = f"{path}: image {number}"
    data = None if hdu.data is None else np.asarray(hdu.data, np.float64)
    if data is None or data.shape != SHAPE:
        shape = "empty" if data is None else f"of shape {data.shape}"
        raise InputError(f"{where} is {shape}, not {SHAPE}: make the PIF again")
    if not ((data >= 0) & (data <= 1.0001)).all():
        raise InputError(f"{where} has values outside 0 to 1: make the PIF again")
    scw_id = str(hdu.header.get("SWID", "")).strip()
    if not scw_id:
        raise InputError(f"{where} has no keyword SWID to say of which ScW it is: add it")
    ra, dec = hdu.header.get("RA_OBJ"), hdu.header.get("DEC_OBJ")
    crab = False
    if isinstance(ra, float | int) and isinstance(dec, float | int):
        crab = bool(np.hypot((ra - CRAB.ra.deg) * np.cos(CRAB.dec.rad), dec - CRAB.dec.deg) < 0.1)
    name = str(hdu.header.get("NAME") or hdu.header.get("SOURCEID") or f"source {number}").strip()
    return Illumination(scw_id, name, data.reshape(-1), crab)


@dataclass(frozen=True, eq=False)
class SourceFit:
    """Least squares of a detector image on sources and a background that is flat in each module.

    Parameters
    ----------
    background
        (8,) counts per pixel of each module without sources; 0 for a module that is off.
    sources, sources_err
        (S,) counts of each source in a fully illuminated pixel, and 1σ errors.
    cleaned, cleaned_err
        Sum of counts over used pixels without the removed sources, and its 1σ error.
    model
        (P,) expected counts of all pixels.
    """

    background: Floats
    sources: Floats
    sources_err: Floats
    cleaned: float
    cleaned_err: float
    model: Floats


def fit_sources(image: Floats, used: Bools, pifs: Floats, removed: Bools | None = None) -> SourceFit:
    """Fit an image as ``background of the module + Σ source × PIF`` and remove sources from its sum.

    Each of the eight modules has its own level. Levels differ by some per cent; with a common level the fit
    would mistake these differences for sources with PIFs that differ from module to module.

    Least squares are unweighted: weights from the counts themselves would bias the background low at low
    counts. Every result is a linear combination Σ w·n of the counts, so its error follows from the Poisson
    variance n of each pixel. Pixels also differ by more than Poisson noise, for example by their thresholds.
    This excess variance s² affects the fit but not the sum of counts; it enters as Σ (w − 1)² s², which is 0
    without sources.

    Parameters
    ----------
    image
        (P,) counts.
    used
        (P,) True for pixels to use.
    pifs
        (S, P) illumination fractions, S may be 0.
    removed
        (S,) True for sources to remove from the sum; by default all.

    Raises
    ------
    InputError
        If sources cannot be separated: two have the same PIF, or one is flat over the used pixels.
    """
    counts, n_sources = image[used], pifs.shape[0]
    lit = MODULES[:, used].any(axis=1)
    design = np.concatenate([MODULES[lit][:, used], pifs[:, used]]).T
    n_modules = int(lit.sum())
    gram = design.T @ design / counts.size
    if counts.size <= design.shape[1] or np.linalg.eigvalsh(gram)[0] < _DISTINCT:
        raise InputError("sources cannot be told apart by their PIFs: leave out faint ones close to others")
    solve = np.linalg.solve(gram, design.T) / counts.size  # (modules + S, N): estimates are solve @ counts
    estimate = solve @ counts
    fitted = design @ estimate
    excess = max(float(np.sum((counts - fitted) ** 2 - counts)) / (counts.size - design.shape[1]), 0.0)
    gone = np.ones(n_sources, np.bool_) if removed is None else removed
    weights = 1.0 - (gone * design[:, n_modules:].sum(axis=0)) @ solve[n_modules:]
    variance = weights**2 @ counts + excess * np.sum((weights - 1.0) ** 2)
    background = np.zeros(lit.size)
    background[lit] = estimate[:n_modules]
    sources = estimate[n_modules:]
    return SourceFit(
        background=background,
        sources=sources,
        sources_err=np.sqrt(solve[n_modules:] ** 2 @ (counts + excess)),
        cleaned=float(weights @ counts),
        cleaned_err=float(np.sqrt(variance)),
        model=background @ MODULES + sources @ pifs,
    )
