"""Values of a potential at many vectors: piece by piece of the mission, each of which stays in the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from ridgebayes.inference.laplace import Curvature
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.partition import nothing, piece, shares

Potentials = Callable[[NDArray], NDArray]
"""Potentials (n,) of whitened vectors (n, parameter); infinite where they are not a number."""

AT_A_TIME = 25
"""Vectors that one call of the compiled code takes."""
_PIECE = 1600
"""Blocks of a piece: about two megabytes. Smaller ones cost more calls than they save in reading."""
_SAME = 1e-9
"""So close, relatively, the sum over the pieces must be to the whole."""


class Values:
    """Compiled potential of many vectors; data are arguments, so bands share the code.

    Parameters
    ----------
    curvature
        The potential, with its derivatives.
    in_pieces
        Whether a mission may be gone through piece by piece, each with all vectors before the next: where
        no parameter belongs to single revolutions, on a CPU.
    """

    def __init__(self, curvature: Curvature, *, in_pieces: bool = False) -> None:
        self.curvature, self._in_pieces, self._checked = curvature, in_pieces, False
        self._whole = jax.jit(self._of_whole)
        self._pieces = jax.jit(self._of_pieces, static_argnames="size")

    def of(self, data: Any, mode: Array | NDArray, root: Array | NDArray) -> Potentials:
        """Return the potential as a function of the whitened vectors u, of mode + root u."""
        whole = lambda us: self._whole(us, data, mode, root)  # noqa: E731
        pieces = self._cut(data) if self._in_pieces else None
        if pieces is None:
            return lambda us: _by_chunks(whole, us)
        bounds, size = pieces
        divided = lambda us: self._pieces(us, data, mode, root, bounds, size=size)  # noqa: E731
        if not self._checked:
            # A model of a user's may look across revolutions: then the pieces do not add up.
            here = float(self.curvature.value_and_gradient(mode, data)[0])
            there = float(divided(np.zeros((AT_A_TIME, mode.size)))[0])
            self._in_pieces = abs(there - here) <= _SAME * max(1.0, abs(here))
            self._checked = True
        return lambda us: _by_chunks(divided if self._in_pieces else whole, us)

    def _of_whole(self, us: Array, data: Any, mode: Array, root: Array) -> Array:
        return jax.lax.map(lambda z: self.curvature.potential(z, data), mode + us @ root.T)

    def _of_pieces(
        self, us: Array, data: FitData, mode: Array, root: Array, bounds: Array, *, size: tuple[int, int]
    ) -> Array:
        zs = mode + us @ root.T

        def of_one(bound: Array) -> Array:
            mine = piece(data, bound, size)
            return jax.lax.map(lambda z: self.curvature.potential(z, mine), zs)

        prior = jax.lax.map(lambda z: self.curvature.potential(z, nothing(data)), zs)
        return jax.lax.map(of_one, bounds).sum(0) - (len(bounds) - 1) * prior

    @staticmethod
    def _cut(data: FitData) -> tuple[Array, tuple[int, int]] | None:
        """Where each piece begins and ends (see `piece`); None where one is enough."""
        n = min(data.block_revolution.size // _PIECE, data.time.size)
        if n < 2 or data.sequence is not None:
            return None
        revolution, block = shares(np.asarray(data.block_revolution), data.time.size, n)
        size = int(np.diff(block).max()), int(np.diff(revolution).max())
        return jnp.stack([block[:-1], block[1:], revolution[:-1]], 1), size


def _by_chunks(function: Callable[[NDArray], Array], us: NDArray) -> NDArray[np.float64]:
    padded = np.concatenate([us, np.zeros((-len(us) % AT_A_TIME, us.shape[1]))])
    found = [function(chunk) for chunk in padded.reshape(-1, AT_A_TIME, us.shape[1])]
    potential = np.asarray(found).reshape(-1)[: len(us)]
    return np.where(np.isfinite(potential), potential, np.inf)
