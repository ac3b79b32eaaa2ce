"""NUTS in whitened coordinates, advanced in short blocks.

Blocks of a few dozen iterations let a progress bar move, draws leave for disk and an interruption keep what
there is. Data and whitening are arguments of the compiled code: bands and chains of one shape share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray
from numpyro.infer.hmc import HMCState, hmc

from ridgebayes.laplace import Laplace, Potential

BLOCK = 25
"""Iterations a block."""

STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "num_steps": "n_steps",
    "accept_prob": "acceptance_rate",
    "potential_energy": "lp",
}
"""NumPyro's name → ArviZ's name of the statistics kept of every draw."""


class Draws(NamedTuple):
    """A block of draws of one chain.

    Attributes
    ----------
    z
        Unconstrained vectors, (draw, parameter).
    statistics
        ArviZ name → (draw,).
    state
        The chain after the last of them.
    """

    z: NDArray
    statistics: dict[str, NDArray]
    state: HMCState | None = None


class Warmed(NamedTuple):
    """A block of warm-up: the number of its iterations, and the chain after them."""

    n: int
    state: HMCState


class Progress(NamedTuple):
    """How far a chain has come.

    Attributes
    ----------
    warmed
        Iterations of warm-up.
    draws
        Blocks of draws.
    state
        The chain after the last iteration (see `freeze`).
    """

    warmed: int
    draws: list[Draws]
    state: list[NDArray]


class Sampler:
    """NUTS for a potential with whitening; compiled once for all data of one shape.

    Parameters
    ----------
    potential
        Minus log density of (flat vector, data).
    warmup
        Iterations in which the step size adapts; not kept.
    target_accept
        Acceptance that the step size aims at.
    max_tree_depth
        A draw takes at most 2**max_tree_depth − 1 steps.
    """

    def __init__(
        self, potential: Potential, *, warmup: int, target_accept: float = 0.8, max_tree_depth: int = 10
    ) -> None:
        def whitened(data: Any, mode: Array, root: Array) -> Callable[[Array], Array]:
            return lambda u: potential(mode + root @ u, data)

        init, step = hmc(potential_fn_gen=whitened, algo="NUTS")
        self.warmup = warmup
        self.max_tree_depth = max_tree_depth

        def start(key: Array, u: Array, args: tuple) -> HMCState:
            return init(
                u,
                num_warmup=warmup,
                step_size=0.5,
                target_accept_prob=target_accept,
                adapt_mass_matrix=False,  # the whitening has done it, better than a short warm-up could
                max_tree_depth=max_tree_depth,
                model_args=args,
                rng_key=key,
            )

        def advance(state: HMCState, args: tuple, n: int) -> tuple[HMCState, tuple]:
            def one(state: HMCState, _: None) -> tuple[HMCState, tuple]:
                state = step(state, args)
                return state, (state.z, tuple(getattr(state, name) for name in STATISTICS))

            return jax.lax.scan(one, state, None, length=n)

        self._start = jax.jit(start)
        self._step_block = jax.jit(advance, static_argnums=2)
        self._compiled: dict[int, Callable[[HMCState, tuple], tuple[HMCState, tuple]]] = {}
        self._lock = Lock()

    def _advance(self, state: HMCState, args: tuple, n: int) -> tuple[HMCState, tuple]:
        """Run n iterations; the first call for this n compiles, once for all chains and bands."""
        with self._lock:
            if n not in self._compiled:
                self._compiled[n] = self._step_block.lower(state, args, n).compile()
        return self._compiled[n](state, args)

    def chain(
        self, key: Array, data: Any, approximation: Laplace, draws: int, after: Progress | None = None
    ) -> Iterator[Draws | Warmed]:
        """Run one chain: yields the blocks of its warm-up, then blocks of draws.

        Parameters
        ----------
        key
            Random key of the chain.
        data
            Second argument of the potential.
        approximation
            Mode and root; the chain starts at a draw from it, one and a half times as wide.
        draws
            Number of draws to keep.
        after
            How far it has come; it goes on from there as if it had never stopped.
        """
        key_start, key_chain = jax.random.split(key)
        args = (data, jnp.asarray(approximation.mode), jnp.asarray(approximation.root))
        u = 1.5 * jax.random.normal(key_start, approximation.mode.shape)
        warmed = kept = 0
        if after is None:
            state = self._start(key_chain, u, args)
        else:
            state = _thaw(after.state, jax.eval_shape(self._start, key_chain, u, args))
            warmed, kept = after.warmed, sum(len(d.z) for d in after.draws)
        for n in _blocks(warmed, self.warmup):
            state, _ = jax.block_until_ready(self._advance(state, args, n))
            yield Warmed(n, state)
        for n in _blocks(kept, draws):
            state, (us, found) = self._advance(state, args, n)
            z = approximation.mode + np.asarray(us) @ approximation.root.T
            statistics = {
                name: np.asarray(values) for name, values in zip(STATISTICS.values(), found, strict=True)
            }
            statistics["lp"] = -statistics["lp"]
            steps = statistics["n_steps"]
            statistics["reached_max_treedepth"] = steps >= 2**self.max_tree_depth - 1
            statistics["step_size"] = np.full(n, float(state.adapt_state.step_size))
            yield Draws(z, statistics, state)


def freeze(state: HMCState) -> list[NDArray]:
    """Take the state of a chain apart into arrays that can be written."""
    return [np.asarray(jax.random.key_data(x) if _is_key(x) else x) for x in jax.tree.leaves(state)]


def _thaw(arrays: Sequence[NDArray], like: HMCState) -> HMCState:
    """Undo `freeze`."""
    leaves, structure = jax.tree.flatten(like)
    thawed = [
        jax.random.wrap_key_data(jnp.asarray(x)) if _is_key(leaf) else jnp.asarray(x, leaf.dtype)
        for x, leaf in zip(arrays, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, thawed)


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _blocks(done: int, total: int) -> Iterator[int]:
    for first in range(done, total, BLOCK):
        yield min(BLOCK, total - first)
