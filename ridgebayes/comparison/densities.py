"""Log likelihood of each revolution and log prior of each parameter for posterior draws.

The unit to leave out is a revolution: its ScWs share its terms, and given the parameters revolutions are
independent. With the terms integrated out its density is exact. Draws are evaluated in sequence and summed
over ScWs, which saves memory.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import Array
from jax.typing import ArrayLike
from numpyro import handlers
from numpyro.distributions import Distribution, TransformedDistribution

from ridgebayes.inference.compiling import compiled_quickly
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData
from ridgebayes.model.scaling import Scaling

LogLikelihood = Callable[[ArrayLike, FitData], Array]
"""Unconstrained draws (draw, parameter), data → log likelihood summed over bands, (draw, revolution)."""


def log_likelihood(posterior: Posterior) -> LogLikelihood:
    """Return the compiled log likelihood of each revolution under each draw, revolution terms integrated out.

    Raises
    ------
    InputError
        When called, if the model samples the revolution terms.
    """
    return jax.jit(posterior.log_likelihoods)


def log_prior(posterior: Posterior, z: Array, data: FitData) -> dict[str, Array]:
    """Return the log prior density of every parameter, name → (draw,).

    It is the density of the quantity that has the prior. For the sky that is intensity times Crab rate (all
    parameters of `ridgebayes.model.scaling.scaled`): the density of the intensity itself contains the Crab
    rate to the power of the number of regions, and to scale it would act as a strong prior on the Crab rate.

    Parameters
    ----------
    posterior, data
        Fitted posterior and its data.
    z
        Unconstrained draws, (draw, parameter).
    """

    @compiled_quickly
    def each(z: Array, data: FitData) -> dict[str, Array]:
        def one(z: Array) -> dict[str, Array]:
            fixed = handlers.substitute(posterior.model, data=posterior.constrain_one(z))
            trace = handlers.trace(handlers.seed(fixed, jax.random.key(0))).get_trace(data)
            prior = {n: s for n, s in trace.items() if s["type"] == "sample" and n != "rate"}
            return {n: _declared(s["fn"], s["value"]) for n, s in prior.items()}

        return jax.lax.map(one, z)

    return each(z, data)


def _declared(fn: Distribution, value: Array) -> Array:
    """Log density of a parameter before it is scaled, if it is."""
    density = fn.log_prob(value).sum()
    last = fn.transforms[-1] if isinstance(fn, TransformedDistribution) else None
    return density + last.log_abs_det_jacobian(value, value).sum() if isinstance(last, Scaling) else density
