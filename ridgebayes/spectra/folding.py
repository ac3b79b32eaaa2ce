"""Fold photon spectra into bands, in mCrab."""

from __future__ import annotations

import numpy as np

from ridgebayes.instrument.crab_spectrum import CrabSpectrum
from ridgebayes.instrument.redistribution import Redistribution, check_bands, mcrab_weights
from ridgebayes.typing import Floats

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def fold(
    edges: Floats,
    crab: CrabSpectrum,
    per_mcrab: float = 1.0,
    redistribution: Redistribution | None = None,
) -> tuple[Floats, Floats]:
    """Return energies, keV, and weights that fold photons into mCrab.

    Parameters
    ----------
    edges
        (2, K) edges of the bands, keV.
    crab
        What the Crab is assumed to be.
    per_mcrab
        Unit of the photons over that of the folded values.
    redistribution
        Energy redistribution of the detector. By default none, and the efficiency is assumed constant within
        a band.

    Returns
    -------
    energy
        (K, node), or (1, node) with a redistribution, for which energies are common to all bands.
    weight
        (K, node).
    """
    if redistribution is None:
        energy, width = integral_nodes(edges)
        return energy, width / crab.photons_per_mcrab(*edges)[:, None] / per_mcrab
    check_bands(redistribution, edges)
    energy = redistribution.energy[None]
    return energy, np.asarray(mcrab_weights(redistribution, edges[0], edges[1], crab)) / per_mcrab


def integral_nodes(edges: Floats) -> tuple[Floats, Floats]:
    """Return energies in each band and weights for integrals, keV, (K, node): Gauss-Legendre in ln E."""
    low, high = np.log(edges)
    energy = np.exp((low + high)[:, None] / 2 + (high - low)[:, None] / 2 * _NODES)
    return energy, energy * _WEIGHTS * (high - low)[:, None] / 2
