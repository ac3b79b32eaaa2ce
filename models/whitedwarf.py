r"""All bands together: accreting white dwarfs of one mass that follow starlight, and a hard power law.

As `ridgebayes.models.spectrum`, with the spectrum of white dwarfs instead of the thermal part:

.. math::

    I_{mk} = ∫_k [(T s_m + D_m) f_T(E; M) + (H s_m + G_m) f_H(E)] \, dE \,/\, ∫_k F_{mCrab}(E) \, dE

f_T is the spectrum of the post-shock column of a white dwarf of M solar masses
(`ridgebayes.spectra.whitedwarf`; Suleimanov, Revnivtsev & Ritter 2005, A&A 435, 191), scaled to E² dN/dE = 1
at 35 keV; s is the starlight of the core of each region over that of the brightest region, and D and G are
the departures of each region from it. All regions have the same mass, the mean weighted by the spectra, which
must be within the table, 0.3 to 1.35 solar masses.
"""

from __future__ import annotations

from pathlib import Path

import numpyro.distributions as dist
from jax import Array

from ridgebayes.instrument import redistribution as energies
from ridgebayes.likelihood.design import FitData
from ridgebayes.model import Model, components
from ridgebayes.models.spectrum import PRIORS as SPECTRUM
from ridgebayes.models.spectrum import two_parts
from ridgebayes.priors import Parameter, Parameters
from ridgebayes.sky import Sky, load
from ridgebayes.spectra.components import COMPONENTS

WHITE_DWARFS = COMPONENTS["whitedwarf"]

LEAST, MOST = 0.3, 1.35
"""Range of masses in the table, solar masses."""

PRIORS = {
    **{name: parameter for name, parameter in SPECTRUM.items() if name != "sky.temperature"},
    "sky.mass": Parameter(
        dist.Uniform(LEAST, MOST), "solMass", (), "mass of the white dwarfs", within=(LEAST, MOST)
    ),
}


def thermal(energy: Array, mass: Array) -> Array:
    """Photon spectrum of white dwarfs whose E² dN/dE at 35 keV is 1 keV/cm²/s: ph/cm²/s/keV."""
    return WHITE_DWARFS.photons(energy, mass)


def rates(p: Parameters, data: FitData, *, redistribution: str = "") -> None:
    """Rates of all ScWs in all bands."""
    two_parts(p, data, lambda energy: thermal(energy, p("sky.mass")), redistribution)


def whitedwarf(sky: Sky | str | Path, *, redistribution: str = "") -> Model:
    """Build the model of all bands together, with white dwarfs as thermal part.

    Parameters
    ----------
    sky
        The sky regions, or their name or file.
    redistribution
        Energy redistribution of the detector (see `ridgebayes.instrument.redistribution`); by default none.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> rb.models.whitedwarf("example").parameters["sky.mass"].unit
    'solMass'
    """
    sky = load(sky)
    options = {"redistribution": energies.redistribution(redistribution).spec} if redistribution else {}
    parameters = PRIORS if len(sky) > 1 else components.exact(PRIORS)
    return Model("whitedwarf", rates, parameters, sky, options, factorises=False)
