"""The class of extensions of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jax import Array
from jax.typing import ArrayLike

from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.linear_terms import OfTerms, Terms
from ridgebayes.priors import Parameter, Parameters


class Noise(NamedTuple):
    """The distribution of the rates, before it is made: its class, and arguments for it."""

    kind: type[OfTerms]
    arguments: tuple[Any, ...]

    def become(self, kind: type[OfTerms], *more: Any) -> Noise:
        """Return another distribution, which takes more arguments behind these."""
        return Noise(kind, (*self.arguments, *more))


class FindingMessages(NamedTuple):
    """Messages of the posterior predictive checks about one subject.

    Attributes
    ----------
    found, quiet
        Message if something was found, and if nothing was found.
    remedy
        What to do if no extra describes it, or if the model already has that extra.
    """

    found: str
    quiet: str
    remedy: str


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
    messages
        What these say of the subject; None if they know it without the extension.
    data
        What it needs of the data that is computed only on request (`opened` of
        `ridgebayes.likelihood.design.prepare`).
    crab_shape
        Function for the change of the logarithm of the Crab rate, (band, revolution).
    intensity
        Function for additional intensities, mCrab/deg², (band, region).
    scatter
        Function for terms of the scatter from ScW to ScW, cts/s, which are added in quadrature. Its last
        argument is the Crab rate (None without a Crab).
    revolution_sd
        Function for the sd among revolutions, cts/s, (band, revolution), of the term that the extra adds to
        `FitData.basis`. Its last argument is the Crab rate.
    shape_weights
        Function for the weights of `ridgebayes.likelihood.design.SHAPES`, (…, shape), of a sky with a free
        shape. Its argument gives the value of a parameter by name.
    noise
        Function that replaces the distribution of the rates. Its last argument is the one without the extra.
    indicators
        Whether the rates are Gaussian once it is known which ScWs are outliers (`FitData.hit`): chains draw
        these indicators, and the parameters of the extra with them.
    not_with
        Names of extras with which it cannot be combined.
    instead_of
        Parameters of models that it replaces.
    without_crab
        Values at which its parameters are fixed if no ScW contains the Crab.

    Examples
    --------
    >>> from ridgebayes.model.extensions import Extension
    >>> from ridgebayes.priors import Parameter, parse_prior
    >>> share = Parameter(parse_prior("Beta(1, 9)"), "", ("band",), "share of a second source")
    >>> extra = Extension("second", {"second.share": share})
    >>> extra.is_open({"second.share": 0.1}), extra.is_open({})
    (True, False)
    """

    name: str
    parameters: Mapping[str, Parameter]
    needs: str = ""
    subject: str = ""
    messages: FindingMessages | None = None
    data: tuple[str, ...] = ()
    crab_shape: Callable[[Parameters, FitData], Array] | None = None
    intensity: Callable[[Parameters, FitData], Array] | None = None
    scatter: Callable[[Parameters, FitData, Array | None], Terms] | None = None
    revolution_sd: Callable[[Parameters, FitData, Array | None], Array] | None = None
    shape_weights: Callable[[Callable[[str], ArrayLike]], Array] | None = None
    noise: Callable[[Parameters, FitData, Noise], Noise] | None = None
    indicators: bool = False
    not_with: tuple[str, ...] = ()
    instead_of: tuple[str, ...] = ()
    without_crab: Mapping[str, float] = field(default_factory=dict)

    def is_open(self, p: Parameters | Mapping[str, Any]) -> bool:
        """Tell whether a model has its parameters."""
        return all(name in p for name in self.parameters)
