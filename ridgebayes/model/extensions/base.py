"""What an extension of a model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jax import Array

from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.linear_terms import Terms
from ridgebayes.priors import Parameter, Parameters


@dataclass(frozen=True)
class Extension:
    """A known unknown that any model can open (an *extra*): its parameters, and what it adds to the rates.

    Attributes
    ----------
    name
        As on the command line.
    parameters
        Name → parameter.
    needs
        A parameter without which a model has nothing that it could change; empty where any model will do.
    subject
        Subject of the posterior predictive checks that ask for it (`ridgebayes.checks`); empty for none.
    crab_shape
        Change of the Crab's rate relative to its mean, (band, revolution).
    intensity
        What is added to the intensities, mCrab/deg², (band, region).
    scatter
        Terms of the scatter from ScW to ScW, cts/s, added in quadrature, for the Crab's rate (None without
        a Crab).
    revolution_sd
        Sd among revolutions, cts/s, (band, revolution), of the term that its parameters add to
        `FitData.basis`, for the Crab's rate.
    exposure
        Weights (band, shape), exposures (shape, seen, block, width) and FOV fluxes (shape, region, region)
        of a sky whose shape is free.
    instead_of
        Parameters of models that it takes the place of.
    without_crab
        Values at which its parameters are held where no ScW contains the Crab.
    """

    name: str
    parameters: Mapping[str, Parameter]
    needs: str = ""
    subject: str = ""
    crab_shape: Callable[[Parameters, FitData], Array] | None = None
    intensity: Callable[[Parameters, FitData], Array] | None = None
    scatter: Callable[[Parameters, FitData, Array | None], Terms] | None = None
    revolution_sd: Callable[[Parameters, FitData, Array | None], Array] | None = None
    exposure: Callable[[Parameters, FitData], tuple[Array, Array, Array]] | None = None
    instead_of: tuple[str, ...] = ()
    without_crab: Mapping[str, float] = field(default_factory=dict)

    def is_open(self, p: Parameters) -> bool:
        """Whether a model has its parameters."""
        return all(name in p for name in self.parameters)
