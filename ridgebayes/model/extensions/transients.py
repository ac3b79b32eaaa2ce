"""What source cleaning leaves near the plane: scatter, and a mean flux.

The mean flux cannot be told from diffuse emission and is what its prior says.
"""

from __future__ import annotations

import numpyro.distributions as dist
from jax import Array

from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.linear_terms import Term, Terms
from ridgebayes.model.extensions.base import Extension
from ridgebayes.priors import Parameter, Parameters


def leftover(p: Parameters, data: FitData) -> Array:
    """Intensity as which faint sources left near the plane are seen, mCrab/deg², (band, region)."""
    return p("plane.leftover")[:, None] * data.leftover / p("response.solid_angle")


def scatter(p: Parameters, data: FitData, crab_rate: Array | None) -> Terms:
    """Scatter of what is seen of the plane, cts/s; none without a Crab, which gives its scale."""
    if crab_rate is None:
        return []
    return [Term(p("plane.scatter")[:, None] * crab_rate / 1000.0, data.plane)]


TRANSIENTS = Extension(
    "transients",
    {
        "plane.scatter": Parameter(
            dist.HalfNormal(3.0), "mCrab", ("band",), "scatter from ScW to ScW of what is seen of the plane"
        ),
        "plane.leftover": Parameter(
            dist.HalfNormal(1.5),
            "mCrab",
            ("band",),
            "flux of faint sources left in a view of the plane",
        ),
    },
    needs="response.solid_angle",
    subject="variable",
    intensity=leftover,
    scatter=scatter,
)
