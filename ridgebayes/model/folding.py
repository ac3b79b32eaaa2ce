"""Photon spectra folded into the bands, in mCrab; the spectrum of the Crab may be uncertain."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ridgebayes.instrument.crab_spectrum import CRAB as CRAB_PHOTONS
from ridgebayes.instrument.redistribution import Redistribution, mcrab_weights
from ridgebayes.likelihood.design import FitData
from ridgebayes.priors import Parameter, Parameters

CRAB_SPECTRUM = {
    "crab_spectrum.norm": Parameter(1.0, "", (), "photons of the Crab at 50 keV over those that are assumed"),
    "crab_spectrum.tilt": Parameter(
        0.0, "", (), "photon index of the Crab less the one that is assumed", nonlinear=True
    ),
}
"""Uncertainty of the spectrum of the Crab; fixed at the assumed spectrum unless a prior is given."""
CRAB_PIVOT_KEV = 50.0


def fold(
    photons: Callable[[Array], Array],
    data: FitData,
    p: Parameters | None = None,
    redistribution: Redistribution | None = None,
) -> Array:
    """Fold a photon spectrum into the bands: its photons in a band over those of 1 mCrab, (band,) mCrab.

    The Crab is `ridgebayes.instrument.crab_spectrum.CRAB`.

    Parameters
    ----------
    photons
        Function of energies (band, node) in keV that returns ph/cm²/s/keV of the same shape.
    data
        Arrays of the fit.
    p
        Parameters, among them those of `CRAB_SPECTRUM`; by default the Crab has the assumed spectrum.
    redistribution
        Energy redistribution of the detector. By default there is none, and the efficiency is constant within
        a band.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.instrument.crab_spectrum import CRAB
    >>> from ridgebayes.likelihood.design import prepare
    >>> from ridgebayes.model.folding import fold
    >>> data = prepare(rb.read_scws("mission.fits"), rb.sky.load("example").select("bulge")).data
    >>> fold(CRAB.photons, data).round(1)  # the Crab itself, mCrab in each band
    Array([1000., 1000.], dtype=float64)
    """
    if redistribution is None:
        energy, weight = data.energy, data.fold
    else:
        energy = jnp.asarray(redistribution.energy)[None]
        weight = mcrab_weights(redistribution, data.e_min, data.e_max, CRAB_PHOTONS)
    folded = (photons(energy) * weight).sum(-1)
    if p is None:
        return folded
    of_crab = weight * energy**-CRAB_PHOTONS.index  # the default has no break
    share = of_crab / of_crab.sum(-1, keepdims=True)
    return folded / crab_change(p("crab_spectrum.norm"), p("crab_spectrum.tilt"), energy, share)


def crab_change(norm: Array, tilt: Array, energy: ArrayLike, weight: ArrayLike) -> Array:
    """Return photons of the Crab in each band over those of the assumed spectrum, (band,).

    Parameters
    ----------
    norm, tilt
        Parameters of `CRAB_SPECTRUM`.
    energy, weight
        Energies, keV, and share of the photons of the assumed Crab at each, (band, node).

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.model.folding import crab_change
    >>> energy, weight = np.array([[30.0, 50.0], [90.0, 150.0]]), np.full((2, 2), 0.5)
    >>> crab_change(1.0, 0.1, energy, weight).round(3)  # a softer Crab
    Array([1.026, 0.919], dtype=float64)
    """
    at = jnp.asarray(energy) / CRAB_PIVOT_KEV
    return norm * (jnp.asarray(weight) * at**-tilt).sum(-1)
