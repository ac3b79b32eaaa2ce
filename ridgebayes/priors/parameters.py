"""Parameters of a model: priors, units and shapes; changes of priors."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array

from ridgebayes.errors import InputError, nearest
from ridgebayes.priors.text import Prior, Shared, describe, parse_prior

_COLUMNS = 110


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model.

    Attributes
    ----------
    prior
        A NumPyro distribution, a `Shared` prior, or a number, which fixes the parameter.
    unit
        Unit in the notation of astropy; empty for a dimensionless parameter.
    dims
        Axes, among band, region, revolution, term, order and mode.
    meaning
        Short description.
    within
        Range of allowed values. By default positive numbers or 0 to 1 if the first prior has this support,
        as for scales and shares; otherwise any number.
    nonlinear
        True for a parameter with unbounded support in which the rates are not linear, for example because it
        multiplies others as the Crab rate does. It affects only the speed of sampling.
    width
        Expected width of the posterior of a scale that may be zero, over the mean of its prior. It affects
        only the speed of sampling.

    Examples
    --------
    >>> import numpyro.distributions as dist
    >>> from ridgebayes.priors import Parameter
    >>> flux = Parameter(dist.HalfNormal(2.0), "mCrab", ("band",), "flux of a source")
    >>> flux.within, flux.fixed  # no negative flux, because the first prior has none
    ((0.0, inf), False)
    """

    prior: Prior
    unit: str
    dims: tuple[str, ...]
    meaning: str
    within: tuple[float, float] | None = None
    nonlinear: bool = False
    width: float = 0.1

    def __post_init__(self) -> None:
        if self.within is None:
            low, high = _range(self.prior)
            # Without a distribution: a positive number is taken for a scale; others may have any value.
            positive = low > 0 if self.fixed else low >= 0
            share = not self.fixed and (low, high) == (0.0, 1.0)
            within = (0.0 if positive else -np.inf, 1.0 if share else np.inf)
            object.__setattr__(self, "within", within)

    @property
    def fixed(self) -> bool:
        """True if the prior is a number."""
        return not isinstance(self.prior, dist.Distribution | Shared)


def _range(prior: Prior) -> tuple[float, float]:
    """Return the smallest and largest value that a prior allows for any of its elements."""
    if isinstance(prior, Shared):
        return _range(prior.prior)
    if not isinstance(prior, dist.Distribution):
        return float(np.min(prior)), float(np.max(prior))
    support: Any = prior.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    if support is dist.constraints.simplex:
        return 0.0, 1.0
    low, high = getattr(support, "lower_bound", -np.inf), getattr(support, "upper_bound", np.inf)
    return float(np.min(low)), float(np.max(high))


def with_priors(parameters: Mapping[str, Parameter], changes: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return `parameters` with changed priors.

    Parameters
    ----------
    parameters
        Name → parameter.
    changes
        Name → NumPyro distribution, `Shared`, number or array, or text such as ``"HalfNormal(0.02)"``.

    Raises
    ------
    InputError
        If a name is unknown (the message gives the nearest one), a prior is invalid, or it allows values that
        the parameter cannot have.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.priors import describe, with_priors
    >>> changed = with_priors(rb.models.crab().parameters, {"background.scatter": "HalfNormal(0.01)"})
    >>> describe(changed["background.scatter"].prior)
    'HalfNormal(0.01)'
    """
    changed = dict(parameters)
    for name, prior in changes.items():
        if name not in changed:
            raise InputError(f"prior '{name}': the model has no such parameter{nearest(name, changed)}")
        if isinstance(prior, str):
            prior = parse_prior(prior)
        elif not isinstance(prior, dist.Distribution | Shared):
            prior = fixed_value(name, prior)
        _check(name, changed[name], prior)
        changed[name] = replace(changed[name], prior=prior)
    return changed


def _check(name: str, parameter: Parameter, prior: Prior) -> None:
    """Raise if a prior allows values, or has axes, that the parameter cannot have."""
    start = f"prior '{name}' = {describe(prior)}:"
    if isinstance(prior, Shared):
        for axis in prior.axes:
            if axis not in parameter.dims:
                known = nearest(axis, parameter.dims) or " (it has none: leave Shared away)"
                raise InputError(f"{start} the parameter has no axis '{axis}'{known}")
    inner = prior.prior if isinstance(prior, Shared) else prior
    if isinstance(inner, dist.Delta):
        raise InputError(f"{start} give the number itself to fix the parameter")
    if isinstance(inner, dist.Distribution) and inner.support.is_discrete:
        raise InputError(f"{start} only continuous distributions can be sampled")
    assert parameter.within is not None
    low, high = parameter.within
    least, most = _range(inner)
    if least < low or most > high:
        limits = (
            f"must lie between {low:g} and {high:g}" if np.isfinite(high) else f"must not be below {low:g}"
        )
        remedy = "give another number"
        if isinstance(inner, dist.Distribution):
            end = f", high={high:g}" if np.isfinite(high) else ""
            other = "HalfNormal or LogNormal"
            if np.isfinite(high):
                other = "Beta(1, 9)" if (low, high) == (0, 1) else f"Uniform({low:g}, {high:g})"
            remedy = f"take TruncatedNormal(mean, sd, low={low:g}{end}), or another such as {other}"
        raise InputError(f"{start} {name} {limits}: {remedy}")


def fixed_value(name: str, value: Any) -> Prior:
    """Return a number or array as the prior that fixes a parameter.

    Raises
    ------
    InputError
        If `value` is no number, or not finite.
    """
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        raise InputError(
            f"prior '{name}': {value!r} is neither a NumPyro distribution nor a number"
        ) from None
    if not np.isfinite(array).all() or not array.size:
        raise InputError(f"prior '{name}': {value!r} is not finite")
    return array.item() if array.ndim == 0 else jnp.asarray(array)


class Parameters:
    """Parameters of a model: ``p("background.scatter")`` returns an array with the shape of its dims.

    ``"plane.flares" in p`` is True if the model has this parameter. Each parameter is drawn once, at its
    first use.

    Parameters
    ----------
    parameters
        Name → parameter.
    sizes
        Axis → length.
    known
        Values that were drawn before.

    Examples
    --------
    >>> from numpyro.handlers import seed
    >>> from ridgebayes.priors import Parameter, Parameters, parse_prior
    >>> flux = Parameter(parse_prior("HalfNormal(2)"), "mCrab", ("band",), "flux of a source")
    >>> p = Parameters({"flux": flux}, {"band": 3})
    >>> with seed(rng_seed=0):
    ...     drawn = p("flux")
    >>> drawn.shape, "index" in p
    ((3,), False)
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        sizes: Mapping[str, int],
        *,
        known: Mapping[str, Array] | None = None,
    ) -> None:
        self._parameters, self._sizes = parameters, sizes
        self._drawn: dict[str, Array] = dict(known or {})

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    def dims(self, name: str) -> tuple[str, ...]:
        """Axes of a parameter."""
        return self._parameters[name].dims

    def __call__(self, name: str) -> Array:
        """Draw a parameter, or return the value at which it is fixed."""
        if name not in self._drawn:
            self._drawn[name] = self._draw(name, self._parameters[name])
        return self._drawn[name]

    def _draw(self, name: str, parameter: Parameter) -> Array:
        prior, dims = parameter.prior, parameter.dims
        full = tuple(self._sizes[axis] for axis in dims)
        if isinstance(prior, Shared):
            common = prior.axes or dims
            shape = tuple(1 if axis in common else size for axis, size in zip(dims, full, strict=True))
            return jnp.broadcast_to(numpyro.sample(name, _spread(name, prior.prior, shape, dims)), full)
        if isinstance(prior, dist.Distribution):
            return numpyro.sample(name, _spread(name, prior, full, dims))
        if not _fits(np.shape(prior), full):
            wanted = f"does not fit the parameter's {_axes(dims, full)}"
            raise InputError(f"prior '{name}' = {describe(prior)}: its shape {np.shape(prior)} {wanted}")
        return jnp.broadcast_to(jnp.asarray(prior, float), full)


def _spread(name: str, prior: dist.Distribution, shape: tuple[int, ...], dims: tuple[str, ...]):
    """Expand a prior over the axes of its parameter; axes of the prior itself match the last ones."""
    own, event = prior.batch_shape + prior.event_shape, prior.event_shape
    if not _fits(own, shape) or event != shape[len(shape) - len(event) :]:
        raise InputError(
            f"prior '{name}' = {describe(prior)}: its shape {own} does not fit the parameter's "
            f"{_axes(dims, shape)}"
        )
    batch = shape[: len(shape) - prior.event_dim]
    return prior.expand(batch).to_event(len(batch))


def _fits(shape: tuple[int, ...], full: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, full) == full
    except ValueError:
        return False


def _axes(dims: tuple[str, ...], shape: tuple[int, ...]) -> str:
    each = [f"{axis} {size}" for axis, size in zip(dims, shape, strict=True)]
    return f"axes ({', '.join(each)})" if each else "single number"


def parameter_rows(parameters: Mapping[str, Parameter]) -> list[tuple[str, str, str, str, str]]:
    """Return the names of the columns, then name, prior, unit, axes and meaning of each parameter.

    Examples
    --------
    >>> from ridgebayes.priors import Parameter, parameter_rows, parse_prior
    >>> flux = Parameter(parse_prior("HalfNormal(2)"), "mCrab", ("band",), "flux of a source")
    >>> parameter_rows({"flux": flux})[1]
    ('flux', 'HalfNormal(2)', 'mCrab', 'band', 'flux of a source')
    """
    return [("parameter", "prior", "unit", "axes", "meaning")] + [
        (name, describe(p.prior), p.unit.replace(" / ", "/"), "×".join(p.dims) or "-", p.meaning)
        for name, p in parameters.items()
    ]


def format_parameters(parameters: Mapping[str, Parameter], width: int = _COLUMNS) -> str:
    """Format parameters in columns: name, prior, unit, axes, meaning; wrap long texts.

    Parameters
    ----------
    parameters
        Name → parameter.
    width
        Width of the terminal, characters.

    Examples
    --------
    >>> from ridgebayes.priors import Parameter, format_parameters, parse_prior
    >>> flux = Parameter(parse_prior("HalfNormal(2)"), "mCrab", ("band",), "flux of a source")
    >>> print(format_parameters({"flux": flux}))
    parameter  prior          unit   axes  meaning
    flux       HalfNormal(2)  mCrab  band  flux of a source
    """
    rows = parameter_rows(parameters)
    most = (40, 30, 12, 20)
    widths = [min(max(len(row[i]) for row in rows), most[i]) for i in range(4)]
    widths.append(max(width - sum(widths) - 2 * len(widths), 20))
    lines = []
    for row in rows:
        cells = [textwrap.wrap(text, w) or [""] for text, w in zip(row, widths, strict=True)]
        for k in range(max(map(len, cells))):
            parts = [(c[k] if k < len(c) else "").ljust(w) for c, w in zip(cells, widths, strict=True)]
            lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)
