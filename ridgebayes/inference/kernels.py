"""NUTS in whitened coordinates, advanced in short blocks.

Blocks of a few dozen iterations let a progress bar move, draws leave for disk and an interruption keep what
there is. Data and whitening are arguments of the compiled code: bands and chains of one shape share it.

Where a posterior is nearly known (`ridgebayes.inference.independence`) a block is one transition of NUTS,
which goes
anywhere, and independent proposals after it, which cost one value of the density instead of a trajectory of
gradients. Both leave the posterior unchanged, so their sequence does.
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
from numpyro.infer.util import ParamInfo

from ridgebayes.inference.batched import Values
from ridgebayes.inference.independence import draw, log_density
from ridgebayes.inference.laplace import Curvature, Laplace, Proposal

BLOCK = 25
"""Iterations a block of NUTS alone."""
_WARMUP_STILL = 25
"""Most iterations of warm-up among proposals: they forget the start at once, and nothing adapts."""

_STEP_STILL = 1.6
"""Step size of NUTS among proposals, times the fourth root of the number of parameters. For a round target
that gives an acceptance near 0.8, so nothing is left to adapt."""
_DEPTH_STILL = 2
"""Tree depth of NUTS among proposals: three such steps are a quarter of a turn, after which nothing is left
of where a chain was."""

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


class _Kernel:
    """A transition of NUTS for a whitened potential, compiled once for all data of one shape."""

    def __init__(self, curvature: Curvature, step_size: Callable[[int], float], **options: Any) -> None:
        def whitened(data: Any, mode: Array, root: Array) -> Callable[[Array], Array]:
            return lambda u: curvature.potential(mode + root @ u, data)

        init, step = hmc(potential_fn_gen=whitened, algo="NUTS")

        def start(key: Array, info: ParamInfo, args: tuple) -> HMCState:
            # The whitening has adapted the mass matrix, better than a short warm-up could.
            return init(
                info,
                step_size=step_size(info.z.size),
                adapt_mass_matrix=False,
                model_args=args,
                rng_key=key,
                **options,
            )

        def advance(state: HMCState, args: tuple, n: int) -> tuple[HMCState, tuple]:
            def one(state: HMCState, _: None) -> tuple[HMCState, tuple]:
                state = step(state, args)
                return state, (state.z, tuple(getattr(state, name) for name in STATISTICS))

            return jax.lax.scan(one, state, None, length=n)

        self.start = jax.jit(start)
        self._advance = jax.jit(advance, static_argnums=2)
        self._compiled: dict[int, Callable[..., tuple[HMCState, tuple]]] = {}
        self._lock = Lock()

    def advance(self, state: HMCState, args: tuple, n: int) -> tuple[HMCState, NDArray, dict[str, NDArray]]:
        """Run n iterations: the chain after them, draws and statistics; compiles in one thread alone."""
        with self._lock:
            if n not in self._compiled:
                self._compiled[n] = self._advance.lower(state, args, n).compile()
        state, (us, found) = self._compiled[n](state, args)
        return state, np.asarray(us), dict(zip(STATISTICS, map(np.asarray, found), strict=True))


class Sampler:
    """NUTS for a potential with whitening; compiled once for all data of one shape.

    Parameters
    ----------
    curvature
        The potential with its gradient.
    warmup
        Iterations in which the step size adapts; not kept.
    target_accept
        Acceptance that the step size aims at.
    max_tree_depth
        A draw takes at most 2**max_tree_depth − 1 steps.
    values
        The same potential of many vectors, for proposals; made of `curvature` by default.
    """

    def __init__(
        self,
        curvature: Curvature,
        *,
        warmup: int,
        target_accept: float = 0.9,
        max_tree_depth: int = 10,
        values: Values | None = None,
    ) -> None:
        self.warmup, self.max_tree_depth = warmup, max_tree_depth
        self._curvature, self._values = curvature, values or Values(curvature)
        self._adaptive = _Kernel(
            curvature,
            lambda size: 0.5,
            num_warmup=warmup,
            target_accept_prob=target_accept,
            max_tree_depth=max_tree_depth,
        )
        self._still = _Kernel(
            curvature,
            lambda size: _STEP_STILL / size**0.25,
            num_warmup=0,
            adapt_step_size=False,
            max_tree_depth=min(_DEPTH_STILL, max_tree_depth),
        )

    def warmup_of(self, approximation: Laplace) -> int:
        """Return the iterations of warm-up of a chain."""
        return self.warmup if approximation.proposal is None else min(_WARMUP_STILL, self.warmup)

    def _advance(
        self, state: HMCState, args: tuple, nearly: Proposal | None, n: int, seed: list[int]
    ) -> tuple[HMCState, NDArray, dict[str, NDArray]]:
        """Run n iterations: of NUTS, or one of NUTS and then proposals by Metropolis and Hastings' rule."""
        if nearly is None:
            return self._adaptive.advance(state, args, n)
        state, first, statistics = self._still.advance(state, args, 1)
        rng, each, size = np.random.default_rng(seed), int(nearly.each), first.shape[1]
        proposed, log_q = draw(nearly, rng, (n - 1) * each)
        energies = self._values.of(*args)(proposed)
        log_uniform = np.log(rng.uniform(size=energies.size))
        us = np.concatenate([first, np.empty((n - 1, size))])
        found = {name: np.concatenate([x, np.zeros(n - 1, x.dtype)]) for name, x in statistics.items()}
        u, energy, log_here = first[0], float(state.potential_energy), float(log_density(nearly, first)[0])
        for k in range(energies.size):
            log_ratio = energy + log_here - energies[k] - log_q[k]
            if log_uniform[k] < log_ratio:
                u, energy, log_here = proposed[k], energies[k], log_q[k]
            row = 1 + k // each
            us[row], found["potential_energy"][row] = u, energy
            found["accept_prob"][row] = np.exp(min(log_ratio, 0.0))
        # With a new momentum, so that the energies are as those of NUTS.
        found["energy"][1:] = found["potential_energy"][1:] + 0.5 * rng.chisquare(size, n - 1)
        at = self._info(jnp.asarray(u), args)
        return state._replace(z=at.z, potential_energy=at.potential_energy, z_grad=at.z_grad), us, found

    def _info(self, u: Array, args: tuple) -> ParamInfo:
        """Potential and gradient at a whitened vector, by the code that has found the mode."""
        data, mode, root = args
        value, gradient = self._curvature.value_and_gradient(mode + root @ u, data)
        return ParamInfo(u, value, root.T @ gradient)

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
            Mode, root and, where proposals are used, their tables. The chain starts at a draw from it, one
            and a half times as wide; at a proposal where these are used, which would not bring it back soon.
        draws
            Number of draws to keep.
        after
            How far it has come; it goes on from there as if it had never stopped.
        """
        key_start, key_chain = jax.random.split(key)
        nearly = approximation.proposal
        args = (data, jnp.asarray(approximation.mode), jnp.asarray(approximation.root))
        seed = np.asarray(jax.random.key_data(key_chain)).tolist()
        if nearly is None:
            kernel, u = self._adaptive, 1.5 * jax.random.normal(key_start, approximation.mode.shape)
        else:
            kernel, u = self._still, jnp.asarray(draw(nearly, np.random.default_rng(seed), 1)[0][0])
        warmed = kept = 0
        begin = (key_chain, self._info(u, args), args)
        if after is None:
            state = kernel.start(*begin)
        else:
            state = _thaw(after.state, jax.eval_shape(kernel.start, *begin))
            warmed, kept = after.warmed, sum(len(d.z) for d in after.draws)

        block, warmup = BLOCK if nearly is None else int(nearly.block), self.warmup_of(approximation)
        for first, n in _blocks(warmed, warmup, block):
            state, *_ = self._advance(state, args, nearly, n, [*seed, first])
            yield Warmed(n, state)
        for first, n in _blocks(kept, draws, block):
            state, us, found = self._advance(state, args, nearly, n, [*seed, warmup + first])
            z = approximation.mode + us @ approximation.root.T
            statistics = {STATISTICS[name]: values for name, values in found.items()}
            statistics["lp"] = -statistics["lp"]
            steps = statistics["n_steps"]
            statistics["reached_max_treedepth"] = steps >= 2**self.max_tree_depth - 1
            statistics["step_size"] = np.full(n, float(state.adapt_state.step_size))
            yield Draws(z, statistics, state)


def freeze(state: HMCState) -> list[NDArray]:
    """Take the state of a chain apart into arrays that can be written."""
    return [np.asarray(jax.random.key_data(x) if _is_key(x) else x) for x in jax.tree.leaves(state)]


def _thaw(arrays: Sequence[NDArray], like: HMCState) -> HMCState:
    """Undo `freeze`; `like` tells shapes and types."""
    leaves, structure = jax.tree.flatten(like)
    thawed = [
        jax.random.wrap_key_data(jnp.asarray(x)) if _is_key(leaf) else jnp.asarray(x, leaf.dtype)
        for x, leaf in zip(arrays, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, thawed)


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _blocks(done: int, total: int, length: int) -> Iterator[tuple[int, int]]:
    """First iteration and length of the blocks that are left."""
    for first in range(done, total, length):
        yield first, min(length, total - first)
