"""Spectrum of the simulated sky that the tests of models share."""

import numpy as np
from scipy import integrate

from ridgebayes.instrument.crab_spectrum import CRAB, DEG2_PER_SR

TRUE = {"thermal": 18.0, "temperature": 9.0, "hard": 6.5, "index": 1.55}


def band_intensity(band, true=TRUE):
    """Intensity where stars are brightest, mCrab/deg², by adaptive quadrature."""
    t, h, kt, index = true["thermal"], true["hard"], true["temperature"], true["index"]
    spectrum = lambda e: (  # noqa: E731  # E² dN/dE over E²
        t * np.exp((35 - e) / kt) * (e / 35) / e**2 + h * (e / 60) ** (2 - index) / e**2
    )
    photons, crab = (integrate.quad(f, band.e_min, band.e_max)[0] for f in (spectrum, CRAB.photons))
    return photons / crab * 1000 / DEG2_PER_SR
