"""Priors whose width is another parameter."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.typing import ArrayLike
from numpyro.distributions.transforms import AffineTransform
from numpyro.primitives import Messenger

from ridgebayes.errors import InputError


class scaled(Messenger):
    """Context in which the prior of one parameter is scaled: ``with scaled(name, sd): p(name)``.

    For a parameter whose spread is another parameter. The parameter itself is sampled, not its ratio to the
    spread: if data constrain it well, only then is the posterior nearly round. NumPyro's reparametrisations
    (`LocScaleReparam`, `TransformReparam`) go the other way, from a parameter to its ratio.

    Parameters
    ----------
    name
        The parameter; its declared prior is that of its ratio to `sd`.
    sd
        Factor, of a shape that broadcasts to that of the parameter.

    Examples
    --------
    >>> import numpyro
    >>> import numpyro.distributions as dist
    >>> from numpyro.handlers import substitute, trace
    >>> from ridgebayes.model.scaling import scaled
    >>> with trace() as sites, substitute(data={"flux": 0.0}), scaled("flux", 3.0):
    ...     _ = numpyro.sample("flux", dist.Normal(0.0, 1.0))
    >>> sites["flux"]["fn"].transforms[0].scale
    Array(3., dtype=float64)
    """

    def __init__(self, name: str, sd: ArrayLike) -> None:
        super().__init__(None)
        self.name, self.sd = name, sd

    def process_message(self, msg: dict[str, Any]) -> None:
        """Put the factor into the distribution of the site."""
        if msg["type"] == "sample" and msg["name"] == self.name:
            fn, sd = msg["fn"], jnp.asarray(self.sd)
            # Where the parameter is shared along an axis, the factor is the geometric mean along it.
            shape = fn.batch_shape + fn.event_shape
            shared = tuple(k for k in range(-sd.ndim, 0) if shape[k] == 1)
            sd = jnp.exp(jnp.log(sd).mean(shared, keepdims=True))
            msg["fn"] = dist.TransformedDistribution(fn, Scaling(0.0, sd, _of_each(fn.support)))


class Scaling(AffineTransform):
    """Multiplication by positive factors, which keeps the support: real or positive numbers.

    Examples
    --------
    >>> from numpyro.distributions import HalfNormal, TransformedDistribution, constraints
    >>> from ridgebayes.model.scaling import Scaling
    >>> flux = TransformedDistribution(HalfNormal(1.0), Scaling(0.0, 3.0, domain=constraints.positive))
    >>> flux.support
    Positive(lower_bound=0.0)
    """

    @property
    def codomain(self) -> Any:
        """Support of the products."""
        return self.domain


def _of_each(support: Any) -> Any:
    """Support of each element of a parameter."""
    while isinstance(support, dist.constraints.independent):
        support = support.base_constraint
    positive = getattr(support, "lower_bound", None) == 0.0 and not hasattr(support, "upper_bound")
    if support is dist.constraints.real or positive:
        return support
    raise InputError("the prior of a sky must allow any number, or any positive one")
