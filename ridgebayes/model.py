"""A model: a NumPyro function, its parameters, and the sky it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpyro.distributions as dist

from ridgebayes.errors import InputError, nearest
from ridgebayes.fitdata import FitData
from ridgebayes.parts import EXTRAS
from ridgebayes.priors import Parameter, Parameters, describe, with_priors
from ridgebayes.sky import Sky

Rates = Callable[..., None]
"""A model's function: ``rates(p, data, **options)`` samples parameters through `p` and the site "rate"."""


@dataclass(frozen=True)
class Model:
    """A model to sample, print and change.

    Attributes
    ----------
    name
        As on the command line.
    rates
        The NumPyro function.
    parameters
        Name → parameter; those that the function does not ask for under its options are not listed.
    sky
        The sky regions.
    options
        Keywords for the function.
    factorises
        True where bands share no parameter, so that each may be sampled by itself.
    extras
        Known unknowns that were opened.
    """

    name: str
    rates: Rates
    parameters: Mapping[str, Parameter]
    sky: Sky
    options: Mapping[str, Any] = field(default_factory=dict)
    factorises: bool = False
    extras: tuple[str, ...] = ()

    def __call__(self, data: FitData) -> None:
        """Run the NumPyro function on the arrays of a fit."""
        self.rates(Parameters(self.parameters, self.sizes(data)), data, **self.options)

    def sizes(self, data: FitData) -> dict[str, int]:
        """Length of every axis a parameter can have."""
        return {
            "band": data.rate.shape[0],
            "region": len(self.sky.names),
            "revolution": data.level.shape[1],
            "term": data.basis.shape[0],
            "order": data.crab_basis.shape[0] - 1,
            "mode": data.drift_frequency.shape[0],
            "crab_mode": data.smooth_frequency.shape[0],
        }

    def priors(self) -> dict[str, Any]:
        """Name → prior."""
        return {name: parameter.prior for name, parameter in self.parameters.items()}

    def with_priors(self, changes: Mapping[str, Any]) -> Model:
        """Return the model with other priors (see `ridgebayes.priors.with_priors`)."""
        return replace(self, parameters=with_priors(self.parameters, changes))

    def with_extras(self, *names: str) -> Model:
        """Return the model with known unknowns opened (see `ridgebayes.parts.EXTRAS`).

        Raises
        ------
        InputError
            An unknown name, with the nearest real one; two descriptions of the noise at once.
        """
        added: dict[str, Parameter] = {}
        for name in names:
            if name not in EXTRAS:
                raise InputError(f"extra '{name}': there is none of this name{nearest(name, EXTRAS)}")
            added |= EXTRAS[name]
        extras = tuple(dict.fromkeys((*self.extras, *names)))
        if {"correlated_noise", "outliers"} <= set(extras):
            raise InputError("extras: correlated_noise and outliers cannot be had together: leave out one")
        if "background.coefficients" in self.parameters and {"correlated_noise", "outliers"} & set(extras):
            raise InputError(
                "extras: correlated_noise and outliers need the revolution terms integrated out: leave "
                "marginal=False away"
            )
        return replace(self, parameters={**self.parameters, **added}, extras=extras)

    @property
    def bands_apart(self) -> bool:
        """True where each band may be sampled by itself: no shared parameter, no prior spanning bands."""
        return self.factorises and not any(_spans_bands(p) for p in self.parameters.values())

    def __str__(self) -> str:
        rows = [("parameter", "prior", "unit", "axes", "meaning")]
        rows += [
            (name, describe(p.prior), p.unit, " × ".join(p.dims), p.meaning)
            for name, p in self.parameters.items()
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(row[:4], widths, strict=True)) + "  " + row[4]
            for row in rows
        ]
        title = f"{self.name}: {len(self.sky.names)} sky regions ({self.sky.name})"
        return "\n".join([title, *(line.rstrip() for line in lines)])


def _spans_bands(parameter: Parameter) -> bool:
    """Tell whether bands share a parameter, or its prior has an axis of its own along them."""
    if "band" not in parameter.dims:
        return not parameter.fixed
    prior = parameter.prior
    shape = (
        prior.batch_shape + prior.event_shape
        if isinstance(prior, dist.Distribution)
        else jax.numpy.shape(prior)
    )
    return (
        len(shape) > len(parameter.dims) - 1 - parameter.dims.index("band")
        and shape[-len(parameter.dims)] != 1
    )
