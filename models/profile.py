r"""A smooth longitude profile times the latitude shape of the regions.

For ScW i and band k, with the background B and the Crab rate C of `ridgebayes.models.regions`:

.. math::

    rate_{ik} \sim N(B_{ik} + C_k(t_i) S_{ik},\; …), \quad S_{ik} = Ω Σ_m A_{im} I_k(l_m) + 1000 R_i

    I_k \sim GP(0,\; s_k^2 \, κ(l - l'; λ_k)), \quad
    I_k(l) = Σ_n (u_{kn} \cos nl + v_{kn} \sin nl) / \sqrt{π}, \quad u, v \sim N(0,\; S_n(s_k, λ_k))

κ is the Matérn 5/2 covariance wrapped around the circle, and S its spectral density at n cycles per turn; by
Poisson's summation both describe the same process. l_m are the centres of the regions. s (mCrab/deg²) is the
size of the profile, and λ (deg) the length over which it changes. The prior of λ is centred on the most
likely one of starlight, 15° in regions 10° wide: a longer one would flatten the bulge in bands that cannot
tell. The profile constrains regions that few ScWs see by their neighbours.

The coefficients u, v are sampled themselves, not their ratios to their sd. Data constrain them to a few per
cent, but s and λ only to 20 %; whitened NUTS then takes ten to twenty steps for each draw instead of a
thousand.

Intensities may be negative, so that they are linear in the coefficients and the posterior is close to
Gaussian. A prior with a limit at zero would also bias dark longitudes upwards. ``free_latitude`` frees the
width and position in latitude. Use regions all along the plane, such as ``milkyway``.
"""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array

from ridgebayes.errors import InputError
from ridgebayes.likelihood.design import FitData
from ridgebayes.model import Model, components
from ridgebayes.model.processes import wave_sd
from ridgebayes.priors import Parameter, Parameters
from ridgebayes.sky import Sky, load

PLANE_LAT = 5.0  # degrees

PRIORS = {
    "sky.profile": Parameter(
        dist.Normal(0.0, 1.0),
        "mCrab / deg2",
        ("band", "harmonic"),
        "waves of the longitude profile; prior: over what its size and length let them be",
    ),
    "sky.profile_sd": Parameter(
        dist.LogNormal(np.log(0.5), 1.0), "mCrab / deg2", ("band",), "size of the longitude profile"
    ),
    "sky.profile_length": Parameter(
        dist.LogNormal(np.log(15.0), 0.3), "deg", ("band",), "length over which it changes"
    ),
    **components.SHARED_BY_SKIES,
    **components.BACKGROUND,
    **components.CRAB,
}


def profile_of_longitude(p: Parameters, data: FitData) -> Array:
    """Intensity at the centre of each region, (band, region), mCrab/deg²."""
    sd, length = p("sky.profile_sd"), jnp.deg2rad(p("sky.profile_length"))
    spread = wave_sd(sd, length, data.harmonic_frequency, smoothness=2.5)
    return components.measured(p, "sky.profile", spread) @ data.harmonic


def rates(p: Parameters, data: FitData) -> None:
    """Rates of all ScWs in all bands."""
    # The smooth profile is that of diffuse emission and faint sources together. If only the diffuse emission
    # were smooth, the mean of faint sources, which follows starlight, would absorb a bulge.
    diffuse = profile_of_longitude(p, data) - components.beside_diffuse(p, data)
    intensity = numpyro.deterministic("sky.intensity", diffuse)
    components.observe_sky(p, data, intensity)


def profile(sky: Sky | str | Path) -> Model:
    """Build the model with a smooth longitude profile.

    Parameters
    ----------
    sky
        The sky regions, or their name or file; all along the Galactic plane.

    Raises
    ------
    InputError
        If a region is off the plane.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> inner = rb.sky.load("example").select(["fourth quadrant", "bulge", "first quadrant"])
    >>> list(rb.models.profile(inner).parameters)[:3]
    ['sky.profile', 'sky.profile_sd', 'sky.profile_length']
    """
    sky = load(sky)
    for name, lat in zip(sky.names, sky.centre_lat, strict=True):
        if abs(lat) > PLANE_LAT:
            raise InputError(
                f"model 'profile': region '{name}' is {abs(lat):g} degrees off the plane: take a sky "
                "along the plane, such as milkyway, or the model regions"
            )
    return Model("profile", rates, PRIORS, sky, factorises=True)
