"""A model: a NumPyro function, its parameters and its sky."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
from numpy.typing import NDArray

from ridgebayes import markup
from ridgebayes.errors import InputError, counted, nearest
from ridgebayes.likelihood.design import CRAB_ORDER, LATITUDE, TERMS, FitData
from ridgebayes.model.components import TRACER_BANDS
from ridgebayes.model.extensions import EXTRAS, opened
from ridgebayes.priors import Parameter, Parameters, Shared, format_parameters, parameter_rows, with_priors
from ridgebayes.sky import Sky
from ridgebayes.table.scw import ScWTable

Rates = Callable[..., None]
"""The function of a model: ``rates(p, data, **options)`` samples parameters through `p`, and the site
"rate"."""


@dataclass(frozen=True)
class Model:
    """A model to sample, print and change.

    Attributes
    ----------
    name
        Name, as on the command line.
    rates
        The NumPyro function.
    parameters
        Name → parameter, for all parameters that the function uses with its options.
    sky
        The sky regions.
    options
        Keywords for the function.
    factorises
        True if bands share no parameter, so that each may be sampled separately.
    extras
        Names of the extras that are used.
    source
        Text of the user's file that defines it; empty for shipped models.
    chosen
        Function that selects the ScWs of a table to fit, (scw,); None for all. A run predicts the rates of
        the others, too.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> model = rb.models.regions("example")
    >>> changed = model.with_extras("outliers").with_priors({"background.scatter": "HalfNormal(0.02)"})
    >>> changed.name, changed.extras
    ('regions', ('outliers',))
    """

    name: str
    rates: Rates
    parameters: Mapping[str, Parameter]
    sky: Sky
    options: Mapping[str, Any] = field(default_factory=dict)
    factorises: bool = False
    extras: tuple[str, ...] = ()
    source: str = ""
    chosen: Callable[[ScWTable], NDArray[np.bool_]] | None = None

    def __call__(self, data: FitData) -> None:
        """Run the NumPyro function on the arrays of a fit."""
        self.rates(Parameters(self.parameters, self.sizes(data)), data, **self.options)

    def sizes(self, data: FitData) -> dict[str, int]:
        """Length of every axis that parameters can have."""
        return {
            "band": data.rate.shape[0],
            "region": len(self.sky.names),
            "revolution": data.level.shape[1],
            "term": len(TERMS),
            "revolution_term": data.basis.shape[0],
            "order": data.crab_basis.shape[0] - 1,
            "mode": data.drift_frequency.shape[0],
            "crab_mode": data.smooth_frequency.shape[0],
            "latitude": len(data.latitude),
            "template": data.template.shape[0],
            "harmonic": data.harmonic_frequency.shape[0],
            "tracer_column": data.tracer_bands.shape[0],
        }

    def priors(self) -> dict[str, Any]:
        """Name → prior."""
        return {name: parameter.prior for name, parameter in self.parameters.items()}

    def with_priors(self, changes: Mapping[str, Any]) -> Model:
        """Return the model with other priors (see `ridgebayes.priors.with_priors`).

        Examples
        --------
        >>> import ridgebayes as rb
        >>> model = rb.models.crab().with_priors({"background.level": 1})
        >>> model.priors()["background.level"]  # a number fixes the parameter
        1.0
        """
        return replace(self, parameters=with_priors(self.parameters, changes))

    def with_extras(self, *names: str) -> Model:
        """Return the model with extras (see `ridgebayes.model.extensions`).

        Raises
        ------
        InputError
            If a name is unknown (the message has the nearest known one), or if an extra changes a sky or Crab
            that the model does not have.

        Examples
        --------
        >>> import ridgebayes as rb
        >>> model = rb.models.regions("example")
        >>> outliers = model.with_extras("outliers")
        >>> [name for name in outliers.parameters if name not in model.parameters]
        ['outlier.fraction', 'outlier.size']
        """
        added: dict[str, Parameter] = {}
        replaced: set[str] = set()
        for name in (name for name in names if name not in self.extras):
            if name not in EXTRAS:
                raise InputError(f"extra '{name}': there is none of this name{nearest(name, EXTRAS)}")
            needs = EXTRAS[name].needs
            if needs and needs not in self.parameters:
                what = "Crab" if needs.startswith("crab.") else "sky"
                raise InputError(f"extra '{name}': model '{self.name}' has no {what} that it could change")
            added |= EXTRAS[name].parameters
            replaced |= set(EXTRAS[name].instead_of)
        extras = tuple(dict.fromkeys((*self.extras, *names)))
        for name in extras:
            others = [other for other in extras if other in EXTRAS[name].not_with]
            if others:
                raise InputError(f"extra '{name}': cannot be joined with {', '.join(others)}: leave one away")
        of_noise = [name for name, extra in EXTRAS.items() if extra.noise]
        if "background.coefficients" in self.parameters and set(of_noise) & set(extras):
            raise InputError(
                f"extras: {' and '.join(of_noise)} need the revolution terms integrated out: leave "
                "marginal=False away"
            )
        kept = {name: parameter for name, parameter in self.parameters.items() if name not in replaced}
        return replace(self, parameters={**kept, **added}, extras=extras)

    def with_tracer_bands(self) -> Model:
        """Return the model with a background that also follows the rates of bands without sky.

        A fit to a table with tracer bands does this automatically (`ScWTable.with_tracer_bands`).

        Raises
        ------
        InputError
            If the background of the model does not follow a tracer.
        """
        if "background.tracer" not in self.parameters:
            raise InputError(f"tracer bands: model '{self.name}' has no background that follows a tracer")
        return replace(self, parameters={**TRACER_BANDS, **self.parameters})

    @property
    def asks_for(self) -> set[str]:
        """Parameters, and what the extras need of the data: for `ridgebayes.likelihood.design.prepare`."""
        return {*self.parameters, *(name for extra in opened(self.parameters) for name in extra.data)}

    @property
    def indicated(self) -> set[str]:
        """Parameters that chains draw together with indicators of outliers; empty without these."""
        return {n for extra in opened(self.parameters) if extra.indicators for n in extra.parameters}

    @property
    def bands_apart(self) -> bool:
        """True if each band may be sampled separately: no shared parameter, no prior across bands."""
        return self.factorises and not any(_spans_bands(p) for p in self.parameters.values())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        title, *_, axes = str(self).splitlines()
        head, *rows = parameter_rows(self.parameters)
        return markup.page(title, markup.table(head, rows), markup.lines([axes]))

    def __str__(self) -> str:
        title = f"{self.name}: {counted(len(self.sky.names), 'sky region')} ({self.sky.name})"
        extras = f", with {', '.join(self.extras)}" if self.extras else ""
        sizes = {
            "region": len(self.sky.names),
            "template": len(self.sky.templates),
            "term": len(TERMS),
            "latitude": len(LATITUDE),
            "order": CRAB_ORDER,
        }
        used = dict.fromkeys(axis for p in self.parameters.values() for axis in p.dims)
        known = ", ".join(f"{axis} {sizes[axis]}" for axis in used if axis in sizes)
        others = ", ".join(axis for axis in used if axis not in sizes)
        axes = f"axes: {known}; as many as the data call for: {others}"
        return f"{title}{extras}\n{format_parameters(self.parameters)}\n{axes}"


def _spans_bands(parameter: Parameter) -> bool:
    """Tell whether bands share a parameter, or its prior differs between them."""
    if "band" not in parameter.dims:
        return not parameter.fixed
    prior = parameter.prior
    if isinstance(prior, Shared):
        if "band" in (prior.axes or parameter.dims):
            return True
        prior = prior.prior
    shape = (
        prior.batch_shape + prior.event_shape
        if isinstance(prior, dist.Distribution)
        else jax.numpy.shape(prior)
    )
    place = len(parameter.dims) - parameter.dims.index("band")
    return len(shape) >= place and shape[-place] != 1
