"""The response of a spectrum in mCrab: it folds the assumed Crab spectrum to 1000 in every channel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum
from ridgebayes.instrument.ogip.header import INSTRUMENT, primary, stamped, write_all
from ridgebayes.table.scw import Band
from ridgebayes.table.validation import check_bands
from ridgebayes.typing import Floats

_BIN = 0.01
"""Width of the energy bins in ln E: exp(-E/8 keV) taken at their centres is true to 1e-3 at 100 keV."""
_MIN_BINS = 20  # a channel


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
    write_all({path: response(path, bands, crab, simulated, comments)}, overwrite)


def response(
    path: Path, bands: Sequence[Band], crab: CrabSpectrum, simulated: bool, comments: Sequence[str]
) -> fits.HDUList:
    """Return the HDUs of a response: matrix and channels, for the file `path`."""
    edges = channels(path, bands)
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
        **INSTRUMENT,
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
    return fits.HDUList(
        [
            primary("RESPONSE", simulated),
            stamped(path, matrix, keys, simulated, notes),
            stamped(path, *_ebounds(bands, edges), simulated, []),
        ]
    )


def _ebounds(bands: Sequence[Band], edges: Floats) -> tuple[fits.BinTableHDU, dict]:
    """Channels and their bands, and the keywords of this extension."""
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "I", array=np.arange(1, len(edges) + 1)),
            fits.Column("E_MIN", "E", unit="keV", array=edges[:, 0]),
            fits.Column("E_MAX", "E", unit="keV", array=edges[:, 1]),
            fits.Column("BAND", f"{max(len(b.name) for b in bands)}A", array=[b.name for b in bands]),
        ],
        name="EBOUNDS",
    )
    keys = {
        "HDUCLASS": "OGIP",
        "HDUCLAS1": "RESPONSE",
        "HDUCLAS2": "EBOUNDS",
        "HDUVERS": "1.2.0",
        "RMFVERSN": "1992a",
        **INSTRUMENT,
        "CHANTYPE": "PI",
        "DETCHANS": len(edges),
        "TLMIN1": 1,
        "TLMAX1": len(edges),
    }
    return hdu, keys


def _energies(edges: Floats) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.bool_]]:
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


def channels(path: Path, bands: Sequence[Band]) -> Floats:
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
