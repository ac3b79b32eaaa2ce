"""Fluxes of a known spectrum in bands, for simulations: white dwarfs of one mass and a power law."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum
from ridgebayes.instrument.redistribution import Redistribution
from ridgebayes.priors import with_priors
from ridgebayes.spectra.components import COMPONENTS
from ridgebayes.spectra.fitting import SHARE_BAND
from ridgebayes.spectra.folding import fold, integral_nodes
from ridgebayes.table.scw import Band
from ridgebayes.typing import Floats

REFERENCE = (25.0, 60.0)
"""Band of the given flux of the bulge, keV."""


def bulge(
    bands: Sequence[Band],
    flux: float,
    *,
    mass: float,
    index: float,
    share: float,
    crab: CrabSpectrum = CRAB,
    redistribution: Redistribution | None = None,
) -> Floats:
    """FOV flux in bands of a Galactic bulge that consists of white dwarfs and a power law.

    Parameters
    ----------
    bands
        K bands.
    flux
        FOV flux in 25-60 keV, mCrab.
    mass, index
        Mass of the white dwarfs, solar masses; photon index of the power law.
    share
        Share of the white dwarfs in the energy flux in 30-80 keV.
    crab
        Crab spectrum.
    redistribution
        Energy redistribution of the detector; by default none.

    Returns
    -------
    ndarray
        (K,) mCrab.

    Raises
    ------
    InputError
        If the mass is outside the table, or index or share are out of range.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share={share:g}: give the part of white dwarfs, from 0 to 1")
    if not -5 <= index <= 5:
        raise InputError(f"index={index:g}: give a photon index from -5 to 5")
    shapes = {"whitedwarf": mass, "powerlaw": index}
    with_priors({"mass": COMPONENTS["whitedwarf"].shape[1]}, {"mass": mass})  # raises for values out of range

    def folded(edges: Floats) -> Floats:
        """(component, band) for an energy flux of 1 in `SHARE_BAND`."""
        energy, weight = fold(edges, crab, redistribution=redistribution)
        at, width = integral_nodes(np.reshape(SHARE_BAND, (2, 1)))
        out = []
        for name, shape in shapes.items():
            photons = COMPONENTS[name].photons
            inside = (np.asarray(photons(jnp.asarray(at), jnp.asarray(shape))) * at * width).sum()
            out.append(
                (np.asarray(photons(jnp.asarray(energy), jnp.asarray(shape))) * weight).sum(-1) / inside
            )
        return np.array(out)

    parts = np.array([share, 1 - share])
    edges = np.array([[band.e_min for band in bands], [band.e_max for band in bands]])
    return parts @ folded(edges) * flux / (parts @ folded(np.reshape(REFERENCE, (2, 1))))
