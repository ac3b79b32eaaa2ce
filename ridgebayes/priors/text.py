"""Priors as text: reading without executing code, exact writing, and short descriptions.

A prior is written as in Python: ``Normal(0, 2)``, ``TruncatedNormal(0, 1, low=0)``,
``MultivariateNormal([0, 0], [[1, 0.5], [0.5, 1]])``, ``Normal(0, 1).expand([3]).to_event(1)``,
``Shared(HalfNormal(0.02), band)``; a number or a list of numbers fixes the parameter.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array

from ridgebayes.errors import InputError, nearest

MAX_LENGTH = 300_000
"""Maximum length of the text of a prior, enough for a fixed value per revolution of a long mission."""
MAX_DEPTH = 6
MAX_WHOLE = 10_000

# Distributions that wrap others or need functions have another notation, or none.
_UNSPOKEN = {
    "CAR", "Distribution", "EulerMaruyama", "ExpandedDistribution", "ImproperUniform", "Independent",
    "MaskedDistribution", "TransformedDistribution", "Unit",
}  # fmt: skip
NAMES = tuple(name for name in dist.__all__ if name[0].isupper() and name not in _UNSPOKEN)
"""Distributions that can be written as text."""

# Arguments that are whole numbers, or shapes.
_WHOLE = {"dimension", "num_steps", "event_shape", "event_dim", "total_count_max"}
# Of equivalent matrices, the one that NumPyro stores is reproduced bit for bit.
_KEPT = {
    "covariance_matrix": "scale_tril",
    "precision_matrix": "scale_tril",
    "scale_matrix": "scale_tril",
    "rate_matrix": "scale_tril",
    "correlation_matrix": "correlation_cholesky",
    "covariance_row": "covariance_rfft",
}
_TRUNCATED = (
    dist.LeftTruncatedDistribution, dist.RightTruncatedDistribution, dist.TwoSidedTruncatedDistribution,
    dist.LeftTruncatedGamma, dist.RightTruncatedGamma, dist.TwoSidedTruncatedGamma,
)  # fmt: skip
_SHORT_LIST = 6


@dataclass(frozen=True)
class Shared:
    """A prior of one common value along some axes of a parameter, such as one scatter for all bands.

    Attributes
    ----------
    prior
        Distribution of the common value.
    axes
        Axes along which the value is common, as in `Parameter.dims`; by default all.

    Examples
    --------
    >>> import numpyro.distributions as dist
    >>> import ridgebayes as rb
    >>> model = rb.models.regions(rb.sky.load("coarse"))
    >>> model = model.with_priors({"background.scatter": rb.Shared(dist.HalfNormal(0.02), "band")})
    """

    prior: dist.Distribution
    axes: tuple[str, ...] = ()

    def __init__(self, prior: dist.Distribution | str, *axes: str) -> None:
        parsed = parse_prior(prior) if isinstance(prior, str) else prior
        if not isinstance(parsed, dist.Distribution):
            raise InputError(
                f"prior 'Shared({prior}, ...)': only a distribution can be shared; a number is one anyway"
            )
        object.__setattr__(self, "prior", parsed)
        object.__setattr__(self, "axes", tuple(axes))


Prior: TypeAlias = "dist.Distribution | Shared | float | Array"
"""A NumPyro distribution, a `Shared` prior, or a number or array that fixes the parameter."""


class _NotTextError(Exception):
    """A text is not a prior, or a prior has no text."""


def parse_prior(text: str) -> Prior:
    """Read a prior such as ``Normal(0, 2)`` or ``0.5`` without executing code.

    It accepts names of NumPyro distributions, `Shared`, numbers (including inf), lists of numbers, and the
    methods ``expand`` and ``to_event``.

    Raises
    ------
    InputError
        If the text is anything else.

    Examples
    --------
    >>> from ridgebayes.priors import describe, parse_prior
    >>> describe(parse_prior("Shared(HalfNormal(0.02), band)")), parse_prior("0.5")
    ('Shared(HalfNormal(0.02), band)', 0.5)
    """
    try:
        if len(text) > MAX_LENGTH:
            raise _NotTextError(f"longer than {MAX_LENGTH} characters")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise _NotTextError("not of the form HalfNormal(0.02), or a number") from None
        if isinstance(tree, ast.Call):
            return _call(tree, 0, shared=True)
        value = _numbers(tree)
        if not np.isfinite(value).all():
            raise _NotTextError("a fixed value must be finite")
        return _plain(value)
    except _NotTextError as error:
        raise InputError(f"prior '{_clip(text)}': {error}") from None


def _call(node: ast.Call, depth: int, *, shared: bool = False) -> Any:
    """Build the distribution of a call."""
    if depth >= MAX_DEPTH:
        raise _NotTextError(f"distributions within distributions more than {MAX_DEPTH} deep")
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        return _method(node, _call(node.func.value, depth + 1))
    name = _clip(ast.unparse(node.func))
    if shared and name == "Shared":
        return _shared(node)
    if not isinstance(node.func, ast.Name) or name not in NAMES:
        hint = nearest(name, [*NAMES, "Shared"]) if shared else nearest(name, NAMES)
        raise _NotTextError(f"NumPyro has no distribution '{name}'{hint}")
    make = getattr(dist, name)
    signature = inspect.signature(make)
    try:
        bound = signature.bind(
            *node.args, **{str(k.arg): k.value for k in node.keywords}, validate_args=ast.Constant(True)
        )
    except TypeError as error:
        wanted = ", ".join(p for p in signature.parameters if p != "validate_args")
        raise _NotTextError(f"{name}: {error} (its arguments: {wanted})") from None
    arguments = {
        key: True if key == "validate_args" else _argument(key, value, depth)
        for key, value in bound.arguments.items()
    }
    return _built(lambda: make(**arguments), name)


def _built(make: Callable[[], Any], name: str) -> dist.Distribution:
    """Build a distribution; convert errors of NumPyro or JAX to one line."""
    try:
        prior = make()
        if isinstance(prior, dist.Distribution):
            return prior
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise _NotTextError(f"{name}: {lines[0]}") from None
    raise _NotTextError(f"{name} is not a distribution")


def _method(node: ast.Call, prior: dist.Distribution) -> dist.Distribution:
    assert isinstance(node.func, ast.Attribute)
    name = node.func.attr
    if name not in ("expand", "to_event") or len(node.args) != 1 or node.keywords:
        raise _NotTextError(
            f"'.{_clip(name)}' is not understood: only .expand([sizes]) and .to_event(number of axes) are"
        )
    value = _whole(node.args[0])
    if name == "expand" and not isinstance(value, tuple):
        value = (value,)
    return _built(lambda: getattr(prior, name)(value), name)


def _shared(node: ast.Call) -> Shared:
    if not node.args or not isinstance(node.args[0], ast.Call) or node.keywords:
        raise _NotTextError("not of the form Shared(HalfNormal(0.02), band)")
    axes = []
    for axis in node.args[1:]:
        if isinstance(axis, ast.Name):
            axes.append(axis.id)
        elif isinstance(axis, ast.Constant) and isinstance(axis.value, str):
            axes.append(axis.value)
        else:
            raise _NotTextError(f"'{_clip(ast.unparse(axis))}' is not the name of an axis, such as band")
    return Shared(_call(node.args[0], 0), *axes)


def _argument(name: str, node: ast.expr, depth: int) -> Any:
    if "dist" not in name:
        return _whole(node) if name in _WHOLE else _plain(_numbers(node))
    if isinstance(node, ast.Call):
        return _call(node, depth + 1)
    if isinstance(node, ast.List | ast.Tuple):
        return [_argument(name, x, depth) for x in node.elts]
    raise _NotTextError(f"'{_clip(ast.unparse(node))}' is not a distribution, such as Normal(0, 1)")


def _plain(value: np.ndarray) -> Any:
    """Convert to a Python number, or to a JAX array if there are several numbers."""
    return value.item() if value.ndim == 0 else jnp.asarray(value)


def _whole(node: ast.expr) -> int | tuple[int, ...]:
    value = _numbers(node)
    if value.ndim > 1 or (value != np.floor(value)).any() or not (np.abs(value) <= MAX_WHOLE).all():
        raise _NotTextError(
            f"'{_clip(ast.unparse(node))}' is not a whole number (or list of them) up to {MAX_WHOLE}"
        )
    return int(value) if value.ndim == 0 else tuple(int(x) for x in value)


def _numbers(node: ast.expr) -> np.ndarray:
    try:
        value = np.array(_nested(node), float)
        if value.size:
            return value
        raise ValueError
    except (ValueError, TypeError, OverflowError):  # ragged, not a number, or out of range
        raise _NotTextError(f"'{_clip(ast.unparse(node))}' is not a number or list of numbers") from None


def _nested(node: ast.expr) -> Any:
    if isinstance(node, ast.List | ast.Tuple):
        return [_nested(x) for x in node.elts]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _nested(node.operand)
        if isinstance(value, float):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name) and node.id == "inf":
        return np.inf
    raise ValueError


def _clip(text: str, length: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def spell(prior: Prior) -> str | None:
    """Write a prior exactly: `parse_prior` of the text returns the same distribution, bit for bit.

    Returns
    -------
    str or None
        None if a prior has no text, for example one of a user's class or one transformed by an arbitrary
        function. The text is checked by parsing it.

    Examples
    --------
    >>> import numpyro.distributions as dist
    >>> from ridgebayes.priors import spell
    >>> spell(dist.Uniform(0.0, 10.0).expand((3,)))
    'Uniform(0, 10).expand([3])'
    """
    try:
        text = _write(prior, _exact)
        return text if _same(parse_prior(text), prior) else None
    except (_NotTextError, InputError):
        return None


def describe(prior: Prior) -> str:
    """Describe a prior in short form: ``Normal(0, 2)``, or ``fixed 1``.

    Examples
    --------
    >>> import numpyro.distributions as dist
    >>> from ridgebayes.priors import describe
    >>> describe(dist.Normal(0.0, 2.0)), describe(1.0)
    ('Normal(0, 2)', 'fixed 1')
    """
    if not isinstance(prior, dist.Distribution | Shared):
        return f"fixed {_short(prior)}"
    try:
        return _write(prior, _short)
    except _NotTextError:
        return f"{type(prior).__name__}(…)"


def _write(prior: Any, number: Callable[[Any], str]) -> str:
    """Write a prior; `number` formats its numbers."""
    if isinstance(prior, Shared):
        return f"Shared({', '.join([_write(prior.prior, number), *prior.axes])})"
    if not isinstance(prior, dist.Distribution):
        return number(prior)
    if isinstance(prior, dist.Independent):
        return f"{_write(prior.base_dist, number)}.to_event({prior.reinterpreted_batch_ndims})"
    if isinstance(prior, dist.ExpandedDistribution):
        return f"{_write(prior.base_dist, number)}.expand({list(prior.batch_shape)})"
    name, arguments = _spoken(prior, number is _exact)
    if name not in NAMES:
        raise _NotTextError(f"{name} has no text")
    each = [
        (f"{key}=" if keyword else "")
        + ("[" + ", ".join(_write(x, number) for x in value) + "]" if _many(value) else _write(value, number))
        for key, value, keyword in arguments
    ]
    return f"{name}({', '.join(each)})"


def _many(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(x, dist.Distribution) for x in value)


def _spoken(prior: dist.Distribution, exact: bool) -> tuple[str, list[tuple[str, Any, bool]]]:
    """Return name and arguments (name, value, True if by keyword) of a distribution."""
    kind = type(prior)
    if getattr(dist, kind.__name__, None) is not kind:
        raise _NotTextError(f"{kind.__name__} is none of NumPyro's")
    if kind is dist.CategoricalProbs:
        return "Categorical", [("probs", prior.probs, False)]
    if kind is dist.MultivariateNormal and not exact:
        return kind.__name__, [("loc", prior.loc, False), ("", prior.covariance_matrix, False)]
    if isinstance(prior, _TRUNCATED):
        base: Any = prior.base_dist
        limits = [(key, getattr(prior, key), True) for key in ("low", "high") if hasattr(prior, key)]
        name = {dist.Normal: "Normal", dist.Cauchy: "Cauchy", dist.Gamma: "Gamma"}.get(type(base))
        if name is None:
            return "TruncatedDistribution", [("base_dist", base, False), *limits]
        return f"Truncated{name}", [*_spoken(base, exact)[1], *limits]
    parameters = inspect.signature(kind).parameters
    skipped = {"validate_args", "support", *(key for key, kept in _KEPT.items() if kept in parameters)}
    arguments, keyword = [], False
    for key, parameter in parameters.items():
        value = getattr(prior, key, None)
        if key in skipped or value is None:
            keyword = keyword or key in skipped
            continue
        arguments.append((key, value, keyword or parameter.kind is parameter.KEYWORD_ONLY))
    return kind.__name__, arguments


def _exact(value: Any) -> str:
    """Write a number or array with all digits."""
    array = _array(value)
    if array.ndim:
        return "[" + ", ".join(_exact(x) for x in array) + "]"
    return repr(float(array)).removesuffix(".0")


def _short(value: Any) -> str:
    """Write a number with four digits; for long arrays, both ends and the length."""
    array = _array(value)
    if array.ndim == 0:
        return f"{float(array):.4g}"
    if array.ndim > 1 and array.size > _SHORT_LIST**2 / 4:
        return f"[… {' × '.join(map(str, array.shape))} values]"
    if len(array) > _SHORT_LIST:
        return f"[{_short(array[0])}, … {len(array)} values …, {_short(array[-1])}]"
    return "[" + ", ".join(_short(x) for x in array) + "]"


def _array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value, float)
    except (TypeError, ValueError):
        raise _NotTextError(f"{type(value).__name__} has no text") from None


def _same(a: Any, b: Any) -> bool:
    """Return True if two priors are the same distribution with the same numbers."""
    if isinstance(a, Shared) and isinstance(b, Shared):
        return a.axes == b.axes and _same(a.prior, b.prior)
    if isinstance(a, dist.Distribution) and isinstance(b, dist.Distribution):
        fields = {*type(a).gather_pytree_data_fields(), *type(a).gather_pytree_aux_fields(), "_batch_shape"}
        derived = {"_validate_args"} | ({"_support"} if {"low", "high"} & fields else set())
        return type(a) is type(b) and all(
            _same(vars(a).get(key), vars(b).get(key)) for key in fields - derived
        )
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    (x, first), (y, second) = jax.tree.flatten(a), jax.tree.flatten(b)
    return str(first) == str(second) and all(
        np.shape(m) == np.shape(n) and np.array_equal(m, n) for m, n in zip(x, y, strict=True)
    )
