r"""The sky as templates with a norm in each band: starlight, its bar and disc, or maps of your own.

For ScW i and band k, with the background B and the Crab rate C of `ridgebayes.models.regions`:

.. math::

    rate_{ik} \sim N(B_{ik} + C_k(t_i) S_{ik},\; …), \quad S_{ik} = Ω Σ_m A_{im} I_{mk} + 1000 R_i

    I_{mk} = Σ_t N_{kt} T_{tm} + D_{km}, \quad D_{km} \sim N(0,\; s_k^2 \, Σ_t T_{tm})

T is the brightness of template t in the core of region m over that in its brightest region, so that the norm
N is the intensity of the map in this region, mCrab/deg². No map is exact: D is the departure of a region from
its map, with a scale s that is fitted (see `ridgebayes.model.components.departure`; for an exact map fix
``sky.departure_sd`` at 0). All regions of one map form one template. The cells of ``milkyway``, for example,
are parts of one map of starlight, with the intensity ratios of this map except for departures. The sky
``starlight`` is the same map as one region, ``bar_disc`` has its two components, and a region file can add
maps of your own. If every region is a template of its own, there is no departure. Norms may be negative, so
that the norm of an absent template is not biased upwards.
"""

from __future__ import annotations

from pathlib import Path

import numpyro
import numpyro.distributions as dist

from ridgebayes.likelihood.design import FitData
from ridgebayes.model import Model, components
from ridgebayes.priors import Parameter, Parameters
from ridgebayes.sky import Sky, load

PRIORS = {
    "sky.norm": Parameter(
        dist.Normal(0.0, 2.0),
        "mCrab / deg2",
        ("band", "template"),
        "intensity of each template in its brightest region; prior: times the Crab rate",
    ),
    "sky.departure": Parameter(
        dist.Normal(0.0, 1.0),
        "mCrab / deg2",
        ("band", "region"),
        "departure of each region from its map, over the root of its brightness; prior: over its sd",
    ),
    "sky.departure_sd": Parameter(
        dist.HalfNormal(0.3), "mCrab / deg2", ("band",), "sd of the departures in the brightest region"
    ),
    **components.SHARED_BY_SKIES,
    **components.BACKGROUND,
    **components.CRAB,
}


def rates(p: Parameters, data: FitData) -> None:
    """Rates of all ScWs in all bands."""
    of_maps = components.measured(p, "sky.norm") @ data.template
    departure = components.departure(p, data.template.sum(0))
    intensity = numpyro.deterministic("sky.intensity", of_maps + departure)
    components.observe_sky(p, data, intensity)


def template(sky: Sky | str | Path) -> Model:
    """Build the model with a sky of templates times norms.

    Parameters
    ----------
    sky
        The sky regions, or their name or file; `Sky.templates` are their templates.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> list(rb.models.template("example").parameters)[:3]
    ['sky.norm', 'response.solid_angle', 'sky.latitude']
    """
    sky = load(sky)
    parameters = PRIORS if len(sky.templates) < len(sky) else components.exact(PRIORS)
    return Model("template", rates, parameters, sky, factorises=True)
