"""Unbounded coordinates in which parameters are sampled."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import Array
from jax.scipy.special import log_ndtr, ndtr
from jax.scipy.stats import norm
from numpyro.distributions import biject_to, constraints
from numpyro.distributions.transforms import IdentityTransform, Transform

_STEPS = 60


class FromZero(Transform):
    """Positive numbers x = s g(z), g(z) = z Φ(z) + φ(z), so that dx/dz = s Φ(z).

    For parameters that may be zero. A density that is finite at x = 0 has a Gaussian tail in z, whereas it
    has a long tail in log x. Far above s, x grows linearly with z.

    Parameters
    ----------
    scale
        s, of a shape that broadcasts to that of x; best about as large as the width of the density. In z a
        much narrower density has a long tail towards zero, and a much wider one an edge there.
    """

    domain = constraints.real
    codomain = constraints.positive

    def __init__(self, scale: Any) -> None:
        self.scale = scale

    def __call__(self, x: Array) -> Array:
        """Transform z to x."""
        return self.scale * _g(x)

    def _inverse(self, y: Array) -> Array:
        """Transform x to z, by Newton's method for log g, which is concave."""
        wanted = jnp.log(y / self.scale)

        def step(_: int, z: Array) -> Array:
            g = _g(z)
            return jnp.where(wanted > 3.0, jnp.exp(wanted), z - (jnp.log(g) - wanted) * g / ndtr(z))

        return jax.lax.fori_loop(0, _STEPS, step, -jnp.sqrt(2.0 * jnp.maximum(-wanted, 0.0)))

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        """Return log dx/dz."""
        return log_ndtr(x) + jnp.log(self.scale)

    def tree_flatten(self) -> tuple:
        """Leaves and structure for JAX."""
        return (self.scale,), (("scale",), {})


def may_vanish(prior: Any) -> bool:
    """Tell whether a prior of a positive parameter has a finite density at zero."""
    while isinstance(prior, dist.ExpandedDistribution | dist.Independent | dist.MaskedDistribution):
        prior = prior.base_dist
    return isinstance(prior, dist.HalfNormal | dist.Exponential)


def coordinates(prior: Any, scale: Any = None) -> Transform:
    """Choose the coordinates of a parameter: `FromZero` if a scale is given."""
    return biject_to(prior.support) if scale is None else FromZero(scale)


def is_real(transform: Any) -> bool:
    """Tell whether a transform is the identity."""
    while hasattr(transform, "base_transform"):
        transform = transform.base_transform
    return isinstance(transform, IdentityTransform)


def _g(z: Array) -> Array:
    return z * ndtr(z) + norm.pdf(z)
