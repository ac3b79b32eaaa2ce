"""The class of extensions of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jax import Array

from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.linear_terms import Terms
from ridgebayes.priors import Parameter, Parameters


@dataclass(frozen=True)
class Extension:
    """An optional part of models (an *extra*): its parameters, and its contribution to the rates.

    Attributes
    ----------
    name
        Name, as on the command line.
    parameters
        Name → parameter.
    needs
        Name of a parameter that a model must have; empty if the extra works with any model.
    subject
        Subject of the posterior predictive checks that suggest it (`ridgebayes.checks`); empty for none.
    crab_shape
        Function for the change of the Crab rate relative to its mean, (band, revolution).
    intensity
        Function for additional intensities, mCrab/deg², (band, region).
    scatter
        Function for terms of the scatter from ScW to ScW, cts/s, which are added in quadrature. Its last
        argument is the Crab rate (None without a Crab).
    revolution_sd
        Function for the sd among revolutions, cts/s, (band, revolution), of the term that the extra adds to
        `FitData.basis`. Its last argument is the Crab rate.
    exposure
        Function for weights (band, shape), exposures (shape, seen, block, width) and FOV fluxes (shape,
        region, region) of a sky with a free shape.
    instead_of
        Parameters of models that it replaces.
    without_crab
        Values at which its parameters are fixed if no ScW contains the Crab.
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
        """Tell whether a model has its parameters."""
        return all(name in p for name in self.parameters)
