"""Free width and position of the sky in latitude, for skies that differ much from the template.

All models have `sky.latitude`, which describes small changes by linear terms.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from ridgebayes.likelihood.design import SHIFT_DEG, WIDTHS
from ridgebayes.model.extensions.base import Extension, FindingMessages
from ridgebayes.priors import Parameter


def shape_weights(width: ArrayLike, shift: ArrayLike) -> Array:
    """Weight of each of `SHAPES` for a width (over that of the regions) and a shift (deg): (..., shape).

    Interpolates in the logarithm of the width (Lagrange's polynomial), and adds the change for a shift at the
    nominal width (a parabola).
    """
    nodes = np.log(WIDTHS)
    at, shift = jnp.log(jnp.asarray(width))[..., None], jnp.asarray(shift) / SHIFT_DEG
    weights = [
        jnp.prod((at - np.delete(nodes, k)) / (nodes[k] - np.delete(nodes, k)), -1) for k in range(nodes.size)
    ]
    weights[0] -= shift**2
    south, north = shift * (shift - 1) / 2, shift * (shift + 1) / 2
    return jnp.stack([*weights, south, north], -1)


FREE_LATITUDE = Extension(
    "free_latitude",
    {
        "sky.width": Parameter(
            dist.LogNormal(0.0, 0.3),
            "",
            ("band",),
            "width in latitude over that of the regions",
            nonlinear=True,
        ),
        "sky.shift": Parameter(
            dist.Normal(0.0, 0.5), "deg", ("band",), "shift in latitude of the regions", nonlinear=True
        ),
    },
    needs="response.solid_angle",
    subject="latitude",
    messages=FindingMessages(
        "the sky has another width or position in latitude than its template",
        "the sky is as wide and where its template says",
        "try other regions (--sky) or widen the priors sky.width and sky.shift",
    ),
    data=("reshaped",),
    shape_weights=lambda p: shape_weights(p("sky.width"), p("sky.shift")),
    instead_of=("sky.latitude",),
)
