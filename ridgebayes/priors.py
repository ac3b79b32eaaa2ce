"""Parameters of a model: their priors, units and shapes; and priors written as text."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import Array

from ridgebayes.errors import InputError, nearest

Prior: TypeAlias = "dist.Distribution | float | Array"
"""A NumPyro distribution, or a number (or array) that fixes the parameter."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model.

    Attributes
    ----------
    prior
        A NumPyro distribution, or a number: the parameter is then fixed.
    unit
        Its unit, as astropy spells it; empty for a pure number.
    dims
        Its axes, among band, region, revolution, term, order and mode.
    meaning
        What it is, in a few words.
    """

    prior: Prior
    unit: str
    dims: tuple[str, ...]
    meaning: str

    @property
    def fixed(self) -> bool:
        """True where the parameter is a number."""
        return not isinstance(self.prior, dist.Distribution)


def with_priors(parameters: Mapping[str, Parameter], changes: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return `parameters` with other priors.

    Parameters
    ----------
    parameters
        Name → parameter.
    changes
        Name → NumPyro distribution, number, or text such as ``"HalfNormal(0.02)"``.

    Raises
    ------
    InputError
        For an unknown name (with the nearest real one) or a prior that is none.
    """
    changed = dict(parameters)
    for name, prior in changes.items():
        if name not in changed:
            raise InputError(f"prior '{name}': the model has no such parameter{nearest(name, changed)}")
        if isinstance(prior, str):
            prior = parse_prior(prior)
        elif not isinstance(prior, dist.Distribution):
            prior = _number(name, prior)
        changed[name] = replace(changed[name], prior=prior)
    return changed


class Parameters:
    """How a model asks for its parameters: ``p("background.scatter")``, shaped by its dims.

    ``"plane.scatter" in p`` tells whether the model has a parameter. Each is drawn once, however often it is
    asked for.

    Parameters
    ----------
    parameters
        Name → parameter.
    sizes
        Axis → length.
    """

    def __init__(self, parameters: Mapping[str, Parameter], sizes: Mapping[str, int]) -> None:
        self._parameters, self._sizes = parameters, sizes
        self._drawn: dict[str, Array] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    def __call__(self, name: str) -> Array:
        """Draw a parameter, or return the value at which it is fixed."""
        if name not in self._drawn:
            self._drawn[name] = self._draw(name, self._parameters[name])
        return self._drawn[name]

    def _draw(self, name: str, parameter: Parameter) -> Array:
        shape = tuple(self._sizes[axis] for axis in parameter.dims)
        if not isinstance(parameter.prior, dist.Distribution):
            return jnp.broadcast_to(jnp.asarray(parameter.prior, float), shape)
        return numpyro.sample(name, _spread(name, parameter.prior, shape, parameter.dims))


def _spread(name: str, prior: dist.Distribution, shape: tuple[int, ...], dims: tuple[str, ...]):
    """Repeat the prior over the parameter's axes; a prior with axes of its own fits the last ones."""
    full = prior.batch_shape + prior.event_shape
    try:
        fits = np.broadcast_shapes(full, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise InputError(f"prior '{name}': its shape {full} does not fit the parameter's {shape} {dims}")
    batch = shape[: len(shape) - prior.event_dim]
    return prior.expand(batch).to_event(len(batch))


def parse_prior(text: str) -> Prior:
    """Read a prior such as ``Normal(0, 2)`` or ``0.5``, running no code.

    Only the names of NumPyro distributions, numbers and lists of numbers are understood.

    Raises
    ------
    InputError
        When the text is anything else.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"prior '{text}': not of the form HalfNormal(0.02), or a number") from None
    if not isinstance(tree, ast.Call):
        return _number(text, _literal(tree, text))
    known = [n for n in dist.__all__ if n[0].isupper()]
    if not isinstance(tree.func, ast.Name) or tree.func.id not in known:
        name = ast.unparse(tree.func)
        raise InputError(f"prior '{text}': NumPyro has no distribution '{name}'{nearest(name, known)}")
    arguments = [_literal(node, text) for node in tree.args]
    keywords = {k.arg: _literal(k.value, text) for k in tree.keywords if k.arg}
    try:
        prior = getattr(dist, tree.func.id)(*arguments, **keywords, validate_args=True)
    except Exception as error:
        raise InputError(f"prior '{text}': {str(error).splitlines()[0]}") from None
    if not isinstance(prior, dist.Distribution):
        raise InputError(f"prior '{text}': {tree.func.id} is not a distribution")
    return prior


def _literal(node: ast.expr, text: str) -> Any:
    try:
        value = np.asarray(ast.literal_eval(node), float)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise InputError(
            f"prior '{text}': '{ast.unparse(node)}' is not a number or list of numbers"
        ) from None
    return value.item() if value.ndim == 0 else jnp.asarray(value)


def _number(name: str, value: Any) -> Prior:
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        raise InputError(
            f"prior '{name}': {value!r} is neither a NumPyro distribution nor a number"
        ) from None
    if not np.isfinite(array).all():
        raise InputError(f"prior '{name}': {value!r} is not finite")
    return array.item() if array.ndim == 0 else jnp.asarray(array)


def describe(prior: Prior) -> str:
    """Write a prior as it would be given: ``Normal(0, 2)``, or ``fixed 1``."""
    if not isinstance(prior, dist.Distribution):
        return f"fixed {_short(prior)}"
    base: Any = prior
    while isinstance(base, dist.Independent | dist.ExpandedDistribution):
        base = base.base_dist
    arguments = [_short(getattr(base, name)) for name in base.arg_constraints if hasattr(base, name)]
    return f"{type(base).__name__}({', '.join(arguments)})"


def _short(value: Any) -> str:
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{float(array):.4g}"
    return "[" + ", ".join(_short(x) for x in array) + "]"
