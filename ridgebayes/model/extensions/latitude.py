"""The sky's width and position in latitude, free: for skies far from the template's.

Models have `sky.latitude`, which is linear in small changes, from the start.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from jax.typing import ArrayLike

from ridgebayes.likelihood.design import SHIFT_DEG, WIDTHS, FitData
from ridgebayes.model.extensions.base import Extension
from ridgebayes.priors import Parameter, Parameters


def shape_weights(width: ArrayLike, shift: ArrayLike) -> Array:
    """Weight of each of `SHAPES` for a width (over that of the regions) and a shift (deg): (..., shape).

    Interpolates in the logarithm of the width (Lagrange's polynomial), and adds what a shift changes at the
    width of the regions (a parabola).
    """
    nodes = np.log(WIDTHS)
    at, shift = jnp.log(jnp.asarray(width))[..., None], jnp.asarray(shift) / SHIFT_DEG
    weights = [
        jnp.prod((at - np.delete(nodes, k)) / (nodes[k] - np.delete(nodes, k)), -1) for k in range(nodes.size)
    ]
    weights[0] -= shift**2
    south, north = shift * (shift - 1) / 2, shift * (shift + 1) / 2
    return jnp.stack([*weights, south, north], -1)


def exposure(p: Parameters, data: FitData) -> tuple[Array, Array, Array]:
    """Weights, exposures and FOV fluxes of the shapes in latitude between which a free one interpolates."""
    assert data.reshaped is not None
    assert data.reshaped_fov is not None
    return shape_weights(p("sky.width"), p("sky.shift")), data.reshaped, data.reshaped_fov


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
    exposure=exposure,
    instead_of=("sky.latitude",),
)
