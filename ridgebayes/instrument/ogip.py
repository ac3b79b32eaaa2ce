"""A spectrum for XSPEC, Sherpa and 3ML: OGIP PHA file of type I with its response.

A band is a channel and its value in mCrab stands as RATE, with mCrab in the place of counts/s. The response
carries what that means: its area in channel c is constant, A_c = 1000 / ∫_c N_Crab dE in "cm²", so that the
assumed Crab spectrum N_Crab folds to 1000 in every channel, and f of it to 1000 f. A model in ph/cm²/s/keV
then has its usual units: for a FOV flux in mCrab those of a source, for an intensity in mCrab/deg² per deg².

- Every channel has many energy bins, so that a model may be as steep as it likes. Photons stay in the channel
  of their energy, and the response covers the bands and nothing else. Area and redistribution are in one file
  (SPECRESP MATRIX); there is no ARF. 3ML refuses channels with a gap between them; the others do not.
- A flat area neglects how the detector's efficiency changes within a band. With the efficiency that the
  simulator assumes, a model of photon index 1.55 folds 0.5 % too high in 25–60 keV and 4 % in 80–200 keV,
  less in narrower bands.
- Bands are correlated through what they share (solid angle, Crab). Readers take STAT_ERR, the square root of
  the diagonal; the full covariance is in the image extension COVMAT of the PHA file, which they pass over.

Formats: OGIP/92-007 (HDUVERS 1.2.1) and CAL/GEN/92-002 (HDUVERS 1.3.0).
"""

from __future__ import annotations

import itertools
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum
from ridgebayes.io.atomic import whole_files
from ridgebayes.io.bounded import write_fits
from ridgebayes.table.scw import Band
from ridgebayes.table.validation import check_bands

Array = NDArray[np.float64]

_BIN = (
    0.01  # width of the energy bins in ln E: exp(-E/8 keV) taken at their centres is true to 1e-3 at 100 keV
)
_MIN_BINS = 20  # a channel
_INSTRUMENT = {"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", "FILTER": "NONE"}


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
    response = pha.with_suffix(".rsp")
    if pha == response:
        raise InputError(f"{pha}: .rsp is the response beside it: name the spectrum .pha")
    spectrum = _pha(
        pha,
        bands,
        mean,
        None,
        covariance,
        respfile=response.name,
        exposure=exposure,
        region=region,
        simulated=simulated,
        comments=(*comments, f"The response has: {crab.describe()}"),
    )
    files = {response: _response(response, bands, crab, simulated, comments), pha: spectrum}
    for file, hdus in files.items():
        for hdu, (key, value) in itertools.product(hdus, (keywords or {}).items()):
            _set(file, hdu.header, key, value)
    _write_all(files, overwrite)
    return pha, response


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
    _write_all({path: hdus}, overwrite)


def write_rmf(
    path: str | os.PathLike[str],
    bands: Sequence[Band],
    *,
    simulated: bool,
    crab: CrabSpectrum = CRAB,
    comments: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write the response alone; parameters and errors as in :func:`write_spectrum`."""
    path = Path(path).expanduser()
    _write_all({path: _response(path, bands, crab, simulated, comments)}, overwrite)


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
    count = len(_channels(path, bands))
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
        **_INSTRUMENT,
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
    hdus = [_primary("SPECTRUM", simulated), _stamped(path, hdu, keys, simulated, notes)]
    if covar is not None:
        image = fits.ImageHDU(covar, name="COVMAT")
        note = ["Covariance between the channels of SPECTRUM, mCrab squared."]
        hdus.append(_stamped(path, image, {"BUNIT": "(count/s)2"}, simulated, note))
    return fits.HDUList(hdus)


def _response(
    path: Path, bands: Sequence[Band], crab: CrabSpectrum, simulated: bool, comments: Sequence[str]
) -> fits.HDUList:
    edges = _channels(path, bands)
    low, high, channel, inside = _energies(edges)
    area = 1.0 / crab.photons_per_mcrab(edges[:, 0], edges[:, 1])
    count, bins = len(edges), len(low)
    # Full rows, and of variable length though one length would do: the matrix is small, and readers differ in
    # the short cuts that they understand (3ML 2.6 cannot index rows of a single element otherwise).
    rows = np.where(inside, area[channel], 0.0)[:, None] * np.eye(count)[channel]
    columns = [
        fits.Column("ENERG_LO", "E", unit="keV", array=low),
        fits.Column("ENERG_HI", "E", unit="keV", array=high),
        fits.Column("N_GRP", "I", array=np.ones(bins)),
        fits.Column("F_CHAN", "I", array=np.ones(bins)),
        fits.Column("N_CHAN", "I", array=np.full(bins, count)),
        fits.Column("MATRIX", f"PE({count})", unit="cm2", array=rows.astype(np.float32)),
    ]
    keys = {
        "HDUCLASS": "OGIP",
        "HDUCLAS1": "RESPONSE",
        "HDUCLAS2": "RSP_MATRIX",
        "HDUCLAS3": ("FULL", "area and redistribution"),
        "HDUVERS": "1.3.0",
        "RMFVERSN": "1992a",
        **_INSTRUMENT,
        "CHANTYPE": "PI",
        "DETCHANS": count,
        "NUMGRP": bins,
        "NUMELT": bins * count,
        "LO_THRES": 0.0,
        "TLMIN4": (1, "first channel"),
        "TLMAX4": (count, "last channel"),
    }
    notes = [
        crab.describe(),
        "That spectrum folds to 1000 (mCrab) in every channel. The area is constant within a channel.",
        *comments,
    ]
    matrix = fits.BinTableHDU.from_columns(columns, name="SPECRESP MATRIX")
    ebounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "I", array=np.arange(1, count + 1)),
            fits.Column("E_MIN", "E", unit="keV", array=edges[:, 0]),
            fits.Column("E_MAX", "E", unit="keV", array=edges[:, 1]),
            fits.Column("BAND", f"{max(len(b.name) for b in bands)}A", array=[b.name for b in bands]),
        ],
        name="EBOUNDS",
    )
    of_ebounds = {
        "HDUCLASS": "OGIP",
        "HDUCLAS1": "RESPONSE",
        "HDUCLAS2": "EBOUNDS",
        "HDUVERS": "1.2.0",
        "RMFVERSN": "1992a",
        **_INSTRUMENT,
        "CHANTYPE": "PI",
        "DETCHANS": count,
        "TLMIN1": 1,
        "TLMAX1": count,
    }
    return fits.HDUList(
        [
            _primary("RESPONSE", simulated),
            _stamped(path, matrix, keys, simulated, notes),
            _stamped(path, ebounds, of_ebounds, simulated, []),
        ]
    )


def _energies(edges: Array) -> tuple[Array, Array, NDArray[np.int64], NDArray[np.bool_]]:
    """Bins of the energy axis without a gap: edges in keV, channel, and whether they lie inside it.

    A reader expects adjoining bins: a gap between two bands is one bin of no area, booked to the lower one.
    """
    grid: list[float] = []
    channel: list[int] = []
    inside: list[bool] = []
    for c, (low, high) in enumerate(edges):
        if grid and low > grid[-1]:
            channel.append(c - 1)
            inside.append(False)
        bins = max(_MIN_BINS, int(np.ceil(np.log(high / low) / _BIN)))
        start = 1 if grid and low == grid[-1] else 0
        # Ends exact: the edges of EBOUNDS and of the matrix must be the same numbers.
        grid += [low, *np.geomspace(low, high, bins + 1)[1:-1], high][start:]
        channel += [c] * bins
        inside += [True] * bins
    axis = np.array(grid)
    return axis[:-1], axis[1:], np.array(channel), np.array(inside)


def _channels(path: Path, bands: Sequence[Band]) -> Array:
    """Edges (K, 2) of the channels in keV, as the float32 that a file holds."""
    check_bands(str(path), bands)
    edges = np.array([[b.e_min, b.e_max] for b in bands]).astype(np.float32).astype(float)
    for band, (low, high) in zip(bands, edges, strict=True):
        if not 0 < low < high:
            raise InputError(
                f"{path}: band {band.name} {band.e_min:g}-{band.e_max:g} keV: give 0 < E_MIN < E_MAX"
            )
    for before, after, (_, high), (low, _) in zip(bands, bands[1:], edges, edges[1:], strict=False):
        if low < high:
            raise InputError(
                f"{path}: bands {before.name} ({before.e_min:g}-{before.e_max:g} keV) and {after.name} "
                f"({after.e_min:g}-{after.e_max:g} keV) overlap or do not increase: order or drop bands"
            )
    return edges


def _array(path: Path, name: str, values: ArrayLike, shape: tuple[int, ...]) -> Array:
    array = np.asarray(values, float)
    if array.shape != shape:
        raise InputError(f"{path}: {name} has shape {array.shape}, the bands ask for {shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: {name} is not finite everywhere: drop the bands where it is not")
    return array


def _covariance(path: Path, covariance: ArrayLike, count: int) -> Array:
    covar = _array(path, "covariance", covariance, (count, count))
    scale = np.abs(covar).max()
    if not np.allclose(covar, covar.T, rtol=0, atol=1e-9 * scale):
        raise InputError(f"{path}: covariance is not symmetric: give the covariance of the draws")
    if np.linalg.eigvalsh(covar).min() < -1e-9 * scale:
        raise InputError(f"{path}: covariance has negative eigenvalues: give the covariance of the draws")
    return covar


def _errors(path: Path, bands: Sequence[Band], error: ArrayLike | None, covar: Array | None) -> Array:
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


def _primary(content: str, simulated: bool) -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU()
    hdu.header["CONTENT"] = content
    hdu.header["SIMUL"] = (bool(simulated), "simulated data")
    return hdu


def _stamped(
    path: Path, hdu: fits.hdu.base.ExtensionHDU, keys: dict, simulated: bool, notes: Iterable[str]
) -> fits.hdu.base.ExtensionHDU:
    """Give an extension its keywords, who wrote it, whether it is simulated, and comments."""
    stamp = {
        "CREATOR": f"ridgebayes {metadata.version('ridgebayes')}",
        "SIMUL": (bool(simulated), "simulated data"),
    }
    for key, value in {**keys, **stamp}.items():
        _set(path, hdu.header, key, value)
    if simulated:
        _set(path, hdu.header, "COMMENT", "SIMULATED data")
    for note in notes:
        for line in textwrap.wrap(note, 72) if note.isprintable() else [note]:
            _set(path, hdu.header, "COMMENT", line)
    return hdu


def _set(path: Path, header: fits.Header, key: str, value: object) -> None:
    text = value[0] if isinstance(value, tuple) else value
    plain = not isinstance(text, str) or (text.isascii() and text.isprintable())
    # A string that does not fit its card would be continued on the next, which not every reader follows.
    if not plain or (key != "COMMENT" and isinstance(text, str) and len(text.replace("'", "''")) > 68):
        raise InputError(f"{path}: {key} {text!r} in FITS must be plain ASCII, a keyword of up to 68 letters")
    header[key] = value


def _write_all(files: dict[Path, fits.HDUList], overwrite: bool) -> None:
    """Write files of one folder, whole or not at all."""
    for path in files:
        if path.is_dir():
            raise InputError(f"{path}: is a directory: name a file to write")
        if path.exists() and not overwrite:
            raise InputError(f"{path}: exists already: choose another name or set overwrite")
        if not path.parent.is_dir():
            raise InputError(f"{path}: folder {path.parent} does not exist: create it first")
    with whole_files(*files) as scratch:
        for new, hdus in zip(scratch, files.values(), strict=True):
            write_fits(hdus, new)
