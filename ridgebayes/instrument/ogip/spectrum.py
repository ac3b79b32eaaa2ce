"""The PHA file, type I: a spectrum in mCrab, with the covariance between its channels."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum
from ridgebayes.instrument.ogip.header import INSTRUMENT, primary, set_keyword, stamped, write_all
from ridgebayes.instrument.ogip.response import channels, response
from ridgebayes.table.scw import Band
from ridgebayes.typing import Floats


def write_spectrum(
    path: str | os.PathLike[str],
    bands: Sequence[Band],
    mean: ArrayLike,
    covariance: ArrayLike,
    *,
    simulated: bool,
    crab: CrabSpectrum = CRAB,
    region: str = "",
    comments: Sequence[str] = (),
    keywords: Mapping[str, str] | None = None,
    exposure: float = 1.0,
    overwrite: bool = False,
) -> tuple[Path, Path]:
    """Write a spectrum and its response side by side.

    Parameters
    ----------
    path
        The PHA file, by custom ``*.pha``; the response has the same name with ``.rsp``.
    bands
        K bands in the order of energy, not overlapping; gaps are allowed.
    mean, covariance
        (K,) in mCrab and (K, K) in mCrab²: of the FOV flux of a region, or of its intensity (mCrab/deg²)
        times a solid angle, which is for `comments` to say.
    simulated
        Whether the data are simulated: the keyword SIMUL of both files.
    crab
        Spectrum assumed for the Crab.
    region
        Its name: keyword OBJECT.
    comments
        Lines in plain ASCII, e.g. what the spectrum is of.
    keywords
        More keywords for the header of every extension, e.g. the run that the spectrum is from.
    exposure
        Live time in s. Nothing in a fit depends on it, as errors are given.
    overwrite
        Replace files that exist.

    Returns
    -------
    tuple of Path
        PHA file and response.

    Raises
    ------
    InputError
        Bands that overlap or do not increase, wrong lengths, values that are not finite, a covariance that is
        none, text that is not ASCII, files that exist or cannot be written.
    """
    pha = Path(path).expanduser()
    beside = pha.with_suffix(".rsp")
    if pha == beside:
        raise InputError(f"{pha}: .rsp is the response beside it: name the spectrum .pha")
    spectrum = _pha(
        pha,
        bands,
        mean,
        None,
        covariance,
        respfile=beside.name,
        exposure=exposure,
        region=region,
        simulated=simulated,
        comments=(*comments, f"The response has: {crab.describe()}"),
    )
    files = {beside: response(beside, bands, crab, simulated, comments), pha: spectrum}
    for file, hdus in files.items():
        for hdu, (key, value) in itertools.product(hdus, (keywords or {}).items()):
            set_keyword(file, hdu.header, key, value)
    write_all(files, overwrite)
    return pha, beside


def write_pha(
    path: str | os.PathLike[str],
    bands: Sequence[Band],
    rate: ArrayLike,
    error: ArrayLike | None = None,
    *,
    respfile: str,
    simulated: bool,
    covariance: ArrayLike | None = None,
    exposure: float = 1.0,
    region: str = "",
    comments: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write the PHA file alone; parameters as in :func:`write_spectrum` but for these.

    Parameters
    ----------
    path
        File to write.
    bands
        K bands.
    rate, error
        (K,) mCrab; without `error` it follows from the covariance.
    respfile
        Name of the response, in the same folder.
    simulated, exposure, region, comments, overwrite
        See :func:`write_spectrum`.
    covariance
        (K, K) mCrab², optional; its diagonal is the square of `error`.

    Raises
    ------
    InputError
        As :func:`write_spectrum`; neither error nor covariance, or two that contradict each other.
    """
    path = Path(path).expanduser()
    hdus = _pha(
        path,
        bands,
        rate,
        error,
        covariance,
        respfile=respfile,
        exposure=exposure,
        region=region,
        simulated=simulated,
        comments=comments,
    )
    write_all({path: hdus}, overwrite)


def _pha(
    path: Path,
    bands: Sequence[Band],
    rate: ArrayLike,
    error: ArrayLike | None,
    covariance: ArrayLike | None,
    *,
    respfile: str,
    exposure: float,
    region: str,
    simulated: bool,
    comments: Sequence[str],
) -> fits.HDUList:
    count = len(channels(path, bands))
    value = _array(path, "rate", rate, (count,))
    covar = None if covariance is None else _covariance(path, covariance, count)
    sigma = _errors(path, bands, error, covar)
    if not (np.isfinite(exposure) and exposure > 0):
        raise InputError(f"{path}: exposure {exposure:g} s must be above 0: give the live time")
    columns = [
        fits.Column("CHANNEL", "I", array=np.arange(1, count + 1)),
        fits.Column("RATE", "E", unit="count/s", array=value),
        fits.Column("STAT_ERR", "E", unit="count/s", array=sigma),
        fits.Column("SYS_ERR", "E", array=np.zeros(count)),
        fits.Column("QUALITY", "I", array=np.zeros(count, int)),
        fits.Column("GROUPING", "I", array=np.ones(count, int)),
    ]
    hdu = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    keys = {
        "HDUCLASS": "OGIP",
        "HDUCLAS1": "SPECTRUM",
        "HDUCLAS2": ("NET", "background has been subtracted"),
        "HDUCLAS3": "RATE",
        "HDUCLAS4": "TYPE:I",
        "HDUVERS": "1.2.1",
        "PHAVERSN": "1992a",
        **INSTRUMENT,
        "CHANTYPE": "PI",
        "DETCHANS": count,
        "TLMIN1": 1,
        "TLMAX1": count,
        "EXPOSURE": (float(exposure), "s; of no consequence, errors are given"),
        "POISSERR": (False, "errors are in STAT_ERR"),
        "AREASCAL": 1.0,
        "BACKSCAL": 1.0,
        "CORRSCAL": 0.0,
        "BACKFILE": "NONE",
        "CORRFILE": "NONE",
        "RESPFILE": respfile,
        "ANCRFILE": "NONE",
    }
    if region:
        keys["OBJECT"] = region
    notes = ["RATE and STAT_ERR are in mCrab, which the response takes for counts/s.", *comments]
    if covar is not None:
        notes.append("Extension COVMAT: covariance between the channels, mCrab squared. Readers ignore it.")
    hdus = [primary("SPECTRUM", simulated), stamped(path, hdu, keys, simulated, notes)]
    if covar is not None:
        image = fits.ImageHDU(covar, name="COVMAT")
        note = ["Covariance between the channels of SPECTRUM, mCrab squared."]
        hdus.append(stamped(path, image, {"BUNIT": "(count/s)2"}, simulated, note))
    return fits.HDUList(hdus)


def _array(path: Path, name: str, values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(values, float)
    if array.shape != shape:
        raise InputError(f"{path}: {name} has shape {array.shape}, the bands ask for {shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: {name} is not finite everywhere: drop the bands where it is not")
    return array


def _covariance(path: Path, covariance: ArrayLike, count: int) -> Floats:
    covar = _array(path, "covariance", covariance, (count, count))
    scale = np.abs(covar).max()
    if not np.allclose(covar, covar.T, rtol=0, atol=1e-9 * scale):
        raise InputError(f"{path}: covariance is not symmetric: give the covariance of the draws")
    if np.linalg.eigvalsh(covar).min() < -1e-9 * scale:
        raise InputError(f"{path}: covariance has negative eigenvalues: give the covariance of the draws")
    return covar


def _errors(path: Path, bands: Sequence[Band], error: ArrayLike | None, covar: Floats | None) -> Floats:
    if error is not None:
        sigma = _array(path, "error", error, (len(bands),))
    elif covar is not None:
        sigma = np.sqrt(np.maximum(np.diag(covar), 0))
    else:
        raise InputError(f"{path}: neither error nor covariance is given: a fit needs one")
    for band, value in zip(bands, sigma, strict=True):
        if not value > 0:
            raise InputError(f"{path}: error of band {band.name} is {value:g} mCrab: it must be above 0")
    if covar is not None and not np.allclose(sigma**2, np.diag(covar), rtol=1e-3, atol=0):
        raise InputError(f"{path}: error is not the root of the diagonal of covariance: give one of them")
    return sigma
