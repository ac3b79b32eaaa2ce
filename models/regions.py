r"""Free intensity in every sky region and band.

For ScW i of revolution ρ, band k:

.. math::

    rate_{ik} \sim N(B_{ik} + C_k(t_i) S_{ik} / 1000,\; stat\_err_{ik}^2 + (σ_k L_k)^2 + (σ^C_k C_k R_i)^2)

    B_{ik} = L_k(t) [level_k + drift_k(t) + a_k \, δtracer_i + Σ_j c_{ρkj} φ_j(phase_i)],
    \quad c_{ρkj} \sim N(0, τ_{kj}^2)

    S_{ik} = Ω Σ_m A_{im} I_{mk} + 1000 R_i \quad (R_i: response at the Crab where it was not removed)

with L the reference level (cts/s), C the Crab rate (cts/s per Crab), A in deg² and I in mCrab/deg². The c
are integrated out exactly unless ``marginal=False``.
"""

from __future__ import annotations

from pathlib import Path

from ridgebayes.likelihood.design import FitData
from ridgebayes.model import Model, components
from ridgebayes.priors import Parameters
from ridgebayes.sky import Sky, load

PRIORS = {**components.SKY, **components.BACKGROUND, **components.CRAB}


def rates(p: Parameters, data: FitData, *, marginal: bool = True) -> None:
    """Rates of all ScWs in all bands."""
    crab_rate = components.crab_rate(p, data)
    intensity = components.measured(p, "sky.intensity")
    seen = components.sky(p, intensity, crab_rate, data) + components.crab(crab_rate, data)
    components.observe(p, data, components.background(p, data), seen, crab_rate, marginal=marginal)


def regions(sky: Sky | str | Path, *, marginal: bool = True) -> Model:
    """Build the model with free intensities.

    Parameters
    ----------
    sky
        The sky regions, or their name or file.
    marginal
        Integrate the revolution coefficients out exactly. False samples them, which is slow: use it for
        checks, and for coefficients with priors that are not Gaussian.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> model = rb.models.regions("example")
    >>> model.parameters["sky.intensity"].dims, model.sky.names[:2]
    (('band', 'region'), ('bulge', 'first quadrant'))
    """
    sky = load(sky)
    parameters = PRIORS if marginal else {**PRIORS, **components.COEFFICIENTS}
    return Model("regions", rates, parameters, sky, {"marginal": marginal}, factorises=True)
