"""Chains of NUTS in short blocks, and functions that chains of any kind share.

After each block of a few dozen draws the progress bar moves, and draws can be written to disk, so that an
interruption loses little. Data are arguments of the compiled code, so bands and chains of one shape share it.
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

from ridgebayes.inference.marginal import Conditional, Given, Marginal, draw
from ridgebayes.inference.mode import Gaussian, Potential

BLOCK = 25
"""Draws in a block of NUTS."""

STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "num_steps": "n_steps",
    "accept_prob": "acceptance_rate",
    "potential_energy": "lp",
}
"""NumPyro's name → ArviZ's name of the statistics that are kept for every draw."""


class Draws(NamedTuple):
    """A block of draws of one chain.

    Attributes
    ----------
    z
        Unconstrained vectors, (draw, parameter).
    statistics
        ArviZ name → (draw,).
    state
        State of the chain after the last draw.
    """

    z: NDArray
    statistics: dict[str, NDArray]
    state: Any = None


class Warmed(NamedTuple):
    """A block of warm-up: number of iterations, and state of the chain after them."""

    n: int
    state: Any


class Progress(NamedTuple):
    """Progress of a chain.

    Attributes
    ----------
    warmed
        Iterations of warm-up so far.
    draws
        Blocks of draws so far.
    state
        State of the chain after the last iteration (see `freeze`).
    """

    warmed: int
    draws: list[Draws]
    state: list[NDArray]


class Nuts:
    """NUTS in whitened coordinates, compiled once for all data of one shape.

    Parameters
    ----------
    potential
        Minus log density of (vector, data).
    warmup
        Iterations in which the step size adapts; not kept.
    target_accept
        Acceptance that the step size aims at.
    max_tree_depth
        A draw takes at most 2**max_tree_depth − 1 steps.
    """

    def __init__(
        self, potential: Potential, *, warmup: int, target_accept: float, max_tree_depth: int
    ) -> None:
        self.warmup, self.max_tree_depth = warmup, max_tree_depth
        self._value_and_gradient = jax.jit(jax.value_and_grad(potential))

        def whitened(data: Any, mode: Array, root: Array) -> Callable[[Array], Array]:
            return lambda u: potential(mode + root @ u, data)

        init, step = hmc(potential_fn_gen=whitened, algo="NUTS")

        def start(key: Array, info: ParamInfo, args: tuple) -> HMCState:
            return init(
                info,
                num_warmup=warmup,
                step_size=0.5,
                target_accept_prob=target_accept,
                max_tree_depth=max_tree_depth,
                adapt_mass_matrix=False,  # the whitening has, better than a short warm-up could
                model_args=args,
                rng_key=key,
            )

        def advance(state: HMCState, args: tuple, n: int) -> tuple[HMCState, tuple]:
            def one(state: HMCState, _: None) -> tuple[HMCState, tuple]:
                state = step(state, args)
                return state, (state.z, tuple(getattr(state, name) for name in STATISTICS))

            return jax.lax.scan(one, state, None, length=n)

        self._start = jax.jit(start)
        self._advance = jax.jit(advance, static_argnums=2)
        self._compiled: dict[int, Callable[..., tuple[HMCState, tuple]]] = {}
        self._lock = Lock()

    def chain(
        self, key: Array, data: Any, around: Gaussian, draws: int, after: Progress | None = None
    ) -> Iterator[Draws | Warmed]:
        """Run one chain: yields the blocks of its warm-up, then blocks of draws.

        Parameters
        ----------
        key
            Random key of the chain.
        data
            Second argument of the potential.
        around
            Gaussian that whitens the parameters; the chain starts at a draw from it.
        draws
            Number of draws to keep.
        after
            Progress of an interrupted chain, which continues bit for bit.
        """
        key_start, key_chain = jax.random.split(key)
        args = (data, jnp.asarray(around.mode), jnp.asarray(around.root))
        u = jax.random.normal(key_start, around.mode.shape)
        value, gradient = self._value_and_gradient(args[1] + args[2] @ u, data)
        begin = (key_chain, ParamInfo(u, value, args[2].T @ gradient), args)
        warmed = kept = 0
        if after is None:
            state = self._start(*begin)
        else:
            state = _thaw(after.state, jax.eval_shape(self._start, *begin))
            warmed, kept = after.warmed, sum(len(d.z) for d in after.draws)
        for _, n in blocks(warmed, self.warmup, BLOCK):
            state, *_ = self._run(state, args, n)
            yield Warmed(n, state)
        for _, n in blocks(kept, draws, BLOCK):
            state, us, found = self._run(state, args, n)
            statistics = {STATISTICS[name]: values for name, values in found.items()}
            statistics["lp"] = -statistics["lp"]
            statistics["reached_max_treedepth"] = statistics["n_steps"] >= 2**self.max_tree_depth - 1
            statistics["step_size"] = np.full(n, float(state.adapt_state.step_size))
            yield Draws(around.mode + us @ around.root.T, statistics, state)

    def _run(self, state: HMCState, args: tuple, n: int) -> tuple[HMCState, NDArray, dict[str, NDArray]]:
        """Run n iterations; return state, draws and statistics. Only one thread at a time compiles."""
        with self._lock:
            if n not in self._compiled:
                self._compiled[n] = self._advance.lower(state, args, n).compile()
        state, (us, found) = self._compiled[n](state, args)
        return state, np.asarray(us), dict(zip(STATISTICS, map(np.asarray, found), strict=True))


def exact_statistics(
    lp: NDArray, accepted: NDArray, size: int, rng: np.random.Generator
) -> dict[str, NDArray]:
    """Fill the statistics of NUTS for draws that are not trajectories: name → (draw,)."""
    n = lp.size
    return {
        "diverging": np.zeros(n, bool),
        "energy": -lp + 0.5 * rng.chisquare(size, n),
        "n_steps": np.ones(n, int),
        "acceptance_rate": accepted,
        "lp": lp,
        "reached_max_treedepth": np.zeros(n, bool),
        "step_size": np.zeros(n),
    }


def in_blocks(
    take: Callable[[Any, int, list[int]], tuple[Any, NDArray, dict[str, NDArray]]],
    state: Any,
    after: Progress | None,
    *,
    warmup: int,
    draws: int,
    block: int,
    seed: list[int],
) -> Iterator[Draws | Warmed]:
    """Run a chain other than NUTS: yields the blocks of its warm-up, then blocks of draws.

    Parameters
    ----------
    take
        Function of a state, a number of draws and a seed: returns the new state, the draws and their
        statistics.
    state
        Where the chain starts or continues.
    after
        Progress of an interrupted chain.
    warmup, draws
        Iterations of the whole chain.
    block
        Largest number of draws in a block.
    seed
        Seed of the chain.
    """
    warmed, kept = (after.warmed, sum(len(d.z) for d in after.draws)) if after else (0, 0)
    for first, n in blocks(warmed, warmup, block):
        state, *_ = take(state, n, [*seed, 0, first])
        yield Warmed(n, state)
    for first, n in blocks(kept, draws, block):
        state, z, statistics = take(state, n, [*seed, 1, first])
        yield Draws(z, statistics, state)


def with_linear(
    blocks: Iterator[Draws | Warmed], marginal: Marginal, given: Given, seed: list[int], done: int
) -> Iterator[Draws | Warmed]:
    """Add exact draws of the linear parameters to blocks of draws of the nonlinear ones.

    `done` is the number of draws made before.
    """
    for block in blocks:
        if isinstance(block, Warmed):
            yield block
            continue
        rng = np.random.default_rng([*seed, done])
        found = marginal.conditionals(block.z, given)
        noise = rng.normal(size=(len(block.z), marginal.linear.size))
        drawn = [draw(Conditional(*each), e) for *each, e in zip(*found, noise, strict=True)]
        beta, lp = (np.array(x) for x in zip(*drawn, strict=True))
        z = marginal.joined(block.z, beta)
        statistics = block.statistics | {
            "lp": lp,
            "energy": block.statistics["energy"] + found.log_density - lp,
        }
        done += len(z)
        yield Draws(z, statistics, block.state)


def freeze(state: Any) -> list[NDArray]:
    """Convert the state of a chain to arrays that can be written."""
    return [np.asarray(jax.random.key_data(x) if _is_key(x) else x) for x in jax.tree.leaves(state)]


def _thaw(arrays: Sequence[NDArray], like: HMCState) -> HMCState:
    """Undo `freeze`; `like` has the shapes and types."""
    leaves, structure = jax.tree.flatten(like)
    thawed = [
        jax.random.wrap_key_data(jnp.asarray(x)) if _is_key(leaf) else jnp.asarray(x, leaf.dtype)
        for x, leaf in zip(arrays, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, thawed)


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def blocks(done: int, total: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield first iteration and length of the remaining blocks."""
    for first in range(done, total, length):
        yield first, min(length, total - first)
