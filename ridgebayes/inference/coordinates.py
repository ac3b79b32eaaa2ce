"""Coordinates without bounds in which the parameters of a posterior are sampled."""

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
_OVER_MEAN = 0.1
"""Scale of the coordinates of what may vanish, over the mean of its prior: most posteriors are so narrow.
One that is much narrower than the scale has a long tail towards zero in these coordinates."""


class FromZero(Transform):
    """Positive numbers x = s g(z), g(z) = z Φ(z) + φ(z), so that dx/dz = s Φ(z).

    For scales that may be zero. There g falls like a Gaussian, so a density that is finite at x = 0 has a
    Gaussian tail in z, where it has a long one in log x; far above s, x grows evenly with z.

    Parameters
    ----------
    scale
        s, of a shape that broadcasts to that of the numbers.
    """

    domain = constraints.real
    codomain = constraints.positive

    def __init__(self, scale: Any) -> None:
        self.scale = scale

    def __call__(self, x: Array) -> Array:
        """From coordinates to numbers."""
        return self.scale * _g(x)

    def _inverse(self, y: Array) -> Array:
        """From numbers to coordinates, by Newton's method in log g, which is concave."""
        wanted = jnp.log(y / self.scale)

        def step(_: int, z: Array) -> Array:
            g = _g(z)
            return jnp.where(wanted > 3.0, jnp.exp(wanted), z - (jnp.log(g) - wanted) * g / ndtr(z))

        return jax.lax.fori_loop(0, _STEPS, step, -jnp.sqrt(2.0 * jnp.maximum(-wanted, 0.0)))

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: Any = None) -> Array:
        """Return log dx/dz."""
        return log_ndtr(x) + jnp.log(self.scale)

    def tree_flatten(self) -> tuple:
        """Parts of the transform, as JAX takes it apart."""
        return (self.scale,), (("scale",), {})


def may_vanish(prior: Any) -> bool:
    """Tell whether a prior is of a positive number that may as well be zero."""
    while isinstance(prior, dist.ExpandedDistribution | dist.Independent | dist.MaskedDistribution):
        prior = prior.base_dist
    return isinstance(prior, dist.HalfNormal | dist.Exponential)


def scale_of(prior: Any) -> Array:
    """Scale of the coordinates of what may vanish."""
    return _OVER_MEAN * prior.mean


def coordinates(prior: Any, scale: Any = None) -> Transform:
    """Choose the coordinates of a parameter: `scale` is that of a prior that may vanish, else None."""
    return biject_to(prior.support) if scale is None else FromZero(scale)


def is_real(transform: Any) -> bool:
    """Tell whether coordinates are the numbers themselves."""
    while hasattr(transform, "base_transform"):
        transform = transform.base_transform
    return isinstance(transform, IdentityTransform)


def _g(z: Array) -> Array:
    return z * ndtr(z) + norm.pdf(z)
