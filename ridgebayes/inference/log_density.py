"""The posterior of a model as a function of one flat, unconstrained vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray
from numpyro import handlers
from numpyro.infer import init_to_median
from numpyro.infer.util import log_density, transform_fn

from ridgebayes.errors import InputError
from ridgebayes.inference.compiling import compiled_quickly
from ridgebayes.inference.coordinates import FromZero, coordinates, is_real, may_vanish
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.revolution import RevolutionNormal
from ridgebayes.model import Model

_MODEL = RLock()
"""Only one thread at a time may trace a model, because all threads share NumPyro's stack of handlers."""
_DRAWS = 400  # draws of the prior that give its spread


class Posterior:
    """Log density of a model, a starting point, and the transformation to named parameters.

    Parameters
    ----------
    model
        The model.
    data
        Arrays of the fit, or others of the same sky and shapes.

    Attributes
    ----------
    size
        Number of free scalars.
    shapes
        Name → shape of every sampled parameter.
    locations
        True for parameters with a prior on the whole real line, shape (size,); the others are scales.
    linear_by_name
        True for parameters that are declared linear in the rates and have a prior on the whole real line,
        shape (size,); `ridgebayes.inference.marginal` tests whether they are.
    sky_shape
        True for positive parameters of the shape of the sky, in which a posterior may have several modes.
    by_revolution
        Names of parameters that belong to single revolutions.
    band
        Number of the band of each parameter, −1 if bands share it, shape (size,).
    scale
        Unconstrained spread of each parameter under its prior, shape (size,).
    """

    def __init__(self, model: Model, data: FitData) -> None:
        self.model = model
        kinds: dict[str, Any] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

        def medians(key: Array, data: FitData) -> tuple[dict[str, Array], ...]:
            # Nothing here depends on the likelihood, so jit leaves it out.
            start = init_to_median(num_samples=15)
            seeded = handlers.substitute(handlers.seed(model, key), substitute_fn=start)
            trace = handlers.trace(seeded).get_trace(data)
            sites = {n: s for n, s in trace.items() if s["type"] == "sample" and not s["is_observed"]}
            scales = {
                n: model.parameters[n].width * s["fn"].mean for n, s in sites.items() if may_vanish(s["fn"])
            }
            transforms = {n: coordinates(s["fn"], scales.get(n)) for n, s in sites.items()}
            kinds.update({n: t for n, t in transforms.items() if n not in scales})
            self.shapes.update({n: jnp.shape(s["value"]) for n, s in sites.items()})
            middle = {n: transforms[n].inv(s["value"]) for n, s in sites.items()}
            draws = {n: _unconstrained(s["fn"], transforms[n], key) for n, s in sites.items()}
            return middle, draws, scales

        self._medians, self._prior = compiled_quickly(medians), compiled_quickly(self._draw_prior)
        example, draws, scales = self._medians(jax.random.key(0), data)
        transforms = kinds | {n: FromZero(np.asarray(scale)) for n, scale in scales.items()}
        flat, self._unravel = ravel_pytree(example)
        self._transforms = transforms
        self.size = flat.size
        if not self.size:
            raise InputError(f"model '{model.name}': every parameter is fixed: leave one free")
        real = {n: np.full(np.shape(z), is_real(transforms[n])) for n, z in example.items()}
        self.locations = np.asarray(ravel_pytree(real)[0])
        nonlinear = {n for n, parameter in model.parameters.items() if parameter.nonlinear}
        bends = {n: np.full(np.shape(z), n in nonlinear) for n, z in example.items()}
        bent = np.asarray(ravel_pytree(bends)[0])
        of_sky = {n: np.full(np.shape(z), n.startswith("sky.")) for n, z in example.items()}
        self.sky_shape = ~self.locations & bent & (np.asarray(ravel_pytree(of_sky)[0]))
        self.linear_by_name = self.locations & ~bent
        each = {n: _band_of(model.parameters[n].dims, shape) for n, shape in self.shapes.items()}
        self.band = np.asarray(ravel_pytree(each)[0])
        self.by_revolution = [n for n, p in model.parameters.items() if "revolution" in p.dims]
        # Half the central 68 % interval, because a prior may have no variance.
        ends = {n: np.quantile(x, [0.16, 0.84], 0) for n, x in draws.items()}
        self.scale = np.asarray(ravel_pytree({n: (high - low) / 2 for n, (low, high) in ends.items()})[0])

    def potential(self, z: Array, data: FitData) -> Array:
        """Minus log posterior density of the unconstrained vector `z`, Jacobians included."""
        return self._potential(self.model, z, data)

    def prior_potential(self, z: Array, data: FitData) -> Array:
        """Minus log prior density of the unconstrained vector `z`, Jacobians included."""
        hidden = lambda site: site["name"] == "rate"  # noqa: E731
        return self._potential(handlers.block(self.model, hidden), z, data)

    def _potential(self, model: Any, z: Array, data: FitData) -> Array:
        free = self._unravel(z)
        named = {n: t(free[n]) for n, t in self._transforms.items()}
        jacobian = sum(t.log_abs_det_jacobian(free[n], named[n]).sum() for n, t in self._transforms.items())
        with _MODEL:
            return -log_density(model, (data,), {}, named)[0] - jacobian

    def rates(self, z: Array, data: FitData, band: Array | None = None) -> Any:
        """Distribution of the rates given the unconstrained vector `z`; of one band if `data` are its own."""
        named = self.constrain_one(z)
        if band is not None:
            named = {n: self._of_band(n, x, band) for n, x in named.items()}
        with _MODEL:
            given = handlers.substitute(self.model, data=named)
            return handlers.trace(given).get_trace(data)["rate"]["fn"].base_dist

    def _of_band(self, name: str, value: Array, band: Array) -> Array:
        axis = _band_axis(self.model.parameters[name].dims, value.shape)
        return value if axis is None else jax.lax.dynamic_slice_in_dim(value, band, 1, axis)

    def log_likelihood(self, z: Array, data: FitData) -> Array:
        """Log likelihood of each revolution at one vector, the bands of the data together, (revolution,).

        Raises
        ------
        InputError
            If the model samples the revolution terms.
        """
        rates = self.rates(z, data)
        if not isinstance(rates, RevolutionNormal):
            raise InputError(
                f"model '{self.model.name}': samples the revolution terms, which a revolution left "
                "out cannot have: fit it with them integrated out (leave marginal=False away)"
            )
        return rates.log_prob_by_revolution(data.rate).sum(0)

    def log_likelihoods(self, z: Array, data: FitData) -> Array:
        """As `log_likelihood`, for vectors (draw, size) one by one: (draw, revolution)."""
        return jax.lax.map(lambda one: self.log_likelihood(one, data), jnp.asarray(z))

    def start(self, key: Array, data: FitData) -> NDArray:
        """Return the prior medians, unconstrained."""
        return np.asarray(ravel_pytree(self._medians(key, data)[0])[0])

    def named(self, name: str) -> NDArray[np.bool_]:
        """Return True for the elements of a vector that belong to a parameter, (size,)."""
        return np.asarray(ravel_pytree({n: np.full(s, n == name) for n, s in self.shapes.items()})[0])

    def constrain(self, z: NDArray) -> dict[str, NDArray]:
        """Transform vectors (..., size) to named parameters (..., *shape) in their own units."""
        named = compiled_quickly(jax.vmap(self.constrain_one))(jnp.reshape(z, (-1, self.size)))
        return {n: np.asarray(x).reshape(*z.shape[:-1], *x.shape[1:]) for n, x in named.items()}

    def constrain_one(self, z: Array) -> dict[str, Array]:
        """Transform one vector (size,) to named parameters, inside compiled code."""
        return transform_fn(self._transforms, self._unravel(z))

    def unconstrain(self, named: Mapping[str, NDArray]) -> NDArray:
        """Transform named parameters (..., *shape) to vectors (..., size)."""
        first = next(iter(self.shapes))
        leading = np.shape(named[first])[: np.ndim(named[first]) - len(self.shapes[first])]

        @compiled_quickly
        @jax.vmap
        def one(values: dict[str, Array]) -> Array:
            return ravel_pytree({n: t.inv(values[n]) for n, t in self._transforms.items()})[0]

        rows = {n: jnp.reshape(named[n], (-1, *shape)) for n, shape in self.shapes.items()}
        return np.asarray(one(rows)).reshape(*leading, self.size)

    def prior(self, key: Array, data: FitData, n: int) -> dict[str, NDArray]:
        """Draw `n` sets of parameters from the prior; the likelihood is never computed."""
        return {name: np.asarray(x) for name, x in self._prior(jax.random.split(key, n), data).items()}

    def _draw_prior(self, keys: Array, data: FitData) -> dict[str, Array]:
        def one(key: Array) -> dict[str, Array]:
            trace = handlers.trace(handlers.seed(self.model, key)).get_trace(data)
            return {name: trace[name]["value"] for name in self._transforms}

        return jax.lax.map(one, keys)


def _band_axis(dims: Sequence[str], shape: tuple[int, ...]) -> int | None:
    """Return the band axis of a parameter; None if bands share it."""
    axis = dims.index("band") if "band" in dims else None
    return None if axis is None or shape[axis] == 1 else axis


def _band_of(dims: Sequence[str], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Band of each element of a parameter, −1 if bands share it."""
    axis = _band_axis(dims, shape)
    return np.full(shape, -1) if axis is None else np.indices(shape)[axis]


def _unconstrained(prior: Any, transform: Any, key: Array) -> Array:
    """Draws of a prior, unconstrained, (draw, ...)."""
    return jax.vmap(transform.inv)(prior.sample(key, (_DRAWS,)))
