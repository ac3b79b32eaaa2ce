r"""All bands together: a thermal part with a cut-off that follows starlight, and a hard power law.

For ScW i and band k, with the background B and the Crab rate C of `ridgebayes.models.regions`:

.. math::

    rate_{ik} \sim N(B_{ik} + C_k(t_i) S_{ik},\; …), \quad S_{ik} = Ω Σ_m A_{im} I_{mk} + 1000 R_i

    I_{mk} = ∫_k [(T s_m + D_m) f_T(E) + (H s_m + G_m) f_H(E)] \, dE \,/\, ∫_k F_{mCrab}(E) \, dE

    f_T = (E/35)^{-1} e^{-(E - 35)/kT} / 35^2, \quad f_H = (E/60)^{-Γ} / 60^2

E and kT in keV. T and H are E² dN/dE at 35 and at 60 keV, in keV² ph/cm²/s/keV/sr, of the region brightest in
starlight, so the parameters are physical. Intensities in mCrab/deg² follow from the Crab spectrum of
`ridgebayes.instrument.crab_spectrum`. exp(−E/kT)/E is the spectrum of hot plasma well above its lines.

s is the starlight of the core of each region over that of the brightest region. The thermal part is tied to
s, because three bands of a dim region cannot separate two amplitudes. D is the departure of each region from
this tie, because the share of starlight in the bar is uncertain; its scale is fitted (see
`ridgebayes.model.components.departure`). The hard part is H s_m + G_m, with its own departures G. (A hard
part with a wide prior in each region would determine Γ and the temperature by the priors alone: each region
adds to the volume of amplitudes that fit, which grows as the hard part shrinks in the soft, well-known band.)
With one or two bands the posteriors of kT and Γ are their priors, which include the published values: a soft
component that ends near 30 keV and Γ ≈ 1.55 (Bouchet et al. 2008, ApJ 679, 1315), Γ ≈ 1.39 (Siegert et al.
2022, A&A 660, A130).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array

from ridgebayes.instrument import redistribution as energies
from ridgebayes.instrument.crab_spectrum import DEG2_PER_SR
from ridgebayes.likelihood.design import FitData
from ridgebayes.model import Model, components, folding
from ridgebayes.priors import Parameter, Parameters
from ridgebayes.sky import Sky, load
from ridgebayes.spectra.components import cutoff as thermal
from ridgebayes.spectra.components import powerlaw as hard

E2 = "keV / (cm2 s sr)"
PRIORS = {
    "sky.thermal": Parameter(
        dist.Normal(0.0, 100.0), E2, (), "E² dN/dE of the thermal part at 35 keV where stars are brightest"
    ),
    "sky.departure": Parameter(
        dist.Normal(0.0, 1.0),
        E2,
        ("region",),
        "departure of each region from starlight, over the root of its brightness; prior: over its sd",
    ),
    "sky.departure_sd": Parameter(
        dist.HalfNormal(10.0), E2, (), "sd of the departures in the brightest region"
    ),
    "sky.temperature": Parameter(
        dist.LogNormal(np.log(12.0), 0.5), "keV", (), "energy over which the thermal part is cut off"
    ),
    "sky.hard": Parameter(
        dist.Normal(0.0, 100.0), E2, (), "E² dN/dE of the hard part at 60 keV where stars are brightest"
    ),
    "sky.hard_departure": Parameter(
        dist.Normal(0.0, 1.0),
        E2,
        ("region",),
        "departure of the hard part of each region from starlight, as sky.departure",
    ),
    "sky.hard_departure_sd": Parameter(
        dist.HalfNormal(10.0), E2, (), "sd of the departures of the hard part in the brightest region"
    ),
    "sky.index": Parameter(dist.Normal(1.5, 0.2), "", (), "photon index of the hard part", nonlinear=True),
    "response.solid_angle": components.SKY["response.solid_angle"],
    **components.BACKGROUND,
    **components.CRAB,
    **folding.CRAB_SPECTRUM,
}


def by_starlight(p: Parameters, data: FitData) -> Array:
    """Thermal part of each region, E² dN/dE at 35 keV, (region,)."""
    return components.measured(p, "sky.thermal") * data.stars + components.departure(p, data.stars)


def hard_part(p: Parameters, data: FitData) -> Array:
    """Hard part of each region, E² dN/dE at 60 keV, (region,)."""
    departure = components.departure(p, data.stars, "sky.hard_departure")
    return components.measured(p, "sky.hard") * data.stars + departure


def rates(p: Parameters, data: FitData, *, redistribution: str = "") -> None:
    """Rates of all ScWs in all bands."""
    two_parts(p, data, lambda energy: thermal(energy, p("sky.temperature")), redistribution)


def two_parts(p: Parameters, data: FitData, soft: Callable[[Array], Array], redistribution: str) -> None:
    """Rates for a thermal part with the photon spectrum `soft`, and the hard power law."""
    spread = energies.redistribution(redistribution) if redistribution else None
    fold = lambda photons: folding.fold(photons, data, p, spread)[:, None]  # noqa: E731
    of_thermal, of_hard = fold(soft), fold(lambda energy: hard(energy, p("sky.index")))
    parts = of_thermal * by_starlight(p, data) + of_hard * hard_part(p, data)
    components.observe_sky(p, data, numpyro.deterministic("sky.intensity", parts / DEG2_PER_SR))


def spectrum(sky: Sky | str | Path, *, redistribution: str = "") -> Model:
    """Build the model of all bands together.

    Parameters
    ----------
    sky
        The sky regions, or their name or file.
    redistribution
        Energy redistribution of the detector (see `ridgebayes.instrument.redistribution`); by default none.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> model = rb.models.spectrum("example", redistribution="fwhm=0.08")
    >>> model.options, model.bands_apart
    ({'redistribution': 'fwhm=0.08,at=60,power=-0.5'}, False)
    """
    sky = load(sky)
    options = {"redistribution": energies.redistribution(redistribution).spec} if redistribution else {}
    parameters = PRIORS if len(sky) > 1 else components.exact(PRIORS)
    return Model("spectrum", rates, parameters, sky, options, factorises=False)
