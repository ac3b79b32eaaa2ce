"""NUTS in whitened coordinates, advanced in short blocks.

Blocks of a few dozen iterations let a progress bar move, draws leave for disk and an interruption keep what
there is. Data and whitening are arguments of the compiled code: bands and chains of one shape share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """

    z: NDArray
    statistics: dict[str, NDArray]


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

    def chain(self, key: Array, data: Any, approximation: Laplace, draws: int) -> Iterator[Draws | int]:
        """Run one chain: yields the number of iterations of each warm-up block, then blocks of draws.

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
        """
        key_start, key_chain = jax.random.split(key)
        args = (data, jnp.asarray(approximation.mode), jnp.asarray(approximation.root))
        u = 1.5 * jax.random.normal(key_start, approximation.mode.shape)
        state = self._start(key_chain, u, args)
        for n in _blocks(self.warmup):
            state, _ = jax.block_until_ready(self._advance(state, args, n))
            yield n
        for n in _blocks(draws):
            state, (us, kept) = self._advance(state, args, n)
            z = approximation.mode + np.asarray(us) @ approximation.root.T
            statistics = {
                name: np.asarray(values) for name, values in zip(STATISTICS.values(), kept, strict=True)
            }
            statistics["lp"] = -statistics["lp"]
            steps = statistics["n_steps"]
            statistics["reached_max_treedepth"] = steps >= 2**self.max_tree_depth - 1
            statistics["step_size"] = np.full(n, float(state.adapt_state.step_size))
            yield Draws(z, statistics)


def _blocks(total: int) -> Iterator[int]:
    for done in range(0, total, BLOCK):
        yield min(BLOCK, total - done)
