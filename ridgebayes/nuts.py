"""NUTS in whitened coordinates, advanced in short blocks.

Blocks of a few dozen iterations let a progress bar move, draws leave for disk and an interruption keep what
there is. Data and whitening are arguments of the compiled code: bands and chains of one shape share it.

Where a posterior is nearly known (`ridgebayes.proposal`) a block is one transition of NUTS, which goes
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

from ridgebayes.laplace import Curvature, Laplace, Proposal
from ridgebayes.proposal import draw, log_density

BLOCK = 25
"""Iterations a block; twice as many where most of them are proposals."""
_WARMUP_STILL = 50
"""Most iterations of warm-up among proposals: they forget the start at once, and nothing adapts."""

_STILL = 1.6
"""Step size of NUTS among proposals, times the fourth root of the number of parameters. For a round target
that gives an acceptance near 0.8, so nothing is left to adapt."""

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


class Proposals(NamedTuple):
    """Independent proposals of a block, and what decides on them.

    Attributes
    ----------
    us, log_density
        Whitened vectors (draw, proposal, parameter) and their log density (draw, proposal).
    log_uniform
        Below the log of the ratio of Metropolis and Hastings a proposal is accepted, (draw, proposal).
    kinetic
        Kinetic energy of a new momentum, (draw, proposal): with it the energies are as those of NUTS.
    """

    us: NDArray
    log_density: NDArray
    log_uniform: NDArray
    kinetic: NDArray


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
    """

    def __init__(
        self, curvature: Curvature, *, warmup: int, target_accept: float = 0.8, max_tree_depth: int = 10
    ) -> None:
        def whitened(data: Any, mode: Array, root: Array) -> Callable[[Array], Array]:
            return lambda u: curvature.potential(mode + root @ u, data)

        init, step = hmc(potential_fn_gen=whitened, algo="NUTS")
        self.warmup = warmup
        self.max_tree_depth = max_tree_depth

        def start(key: Array, info: ParamInfo, args: tuple) -> HMCState:
            return init(
                info,
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

        init_still, step_still = hmc(potential_fn_gen=whitened, algo="NUTS")

        def start_still(key: Array, info: ParamInfo, args: tuple) -> HMCState:
            return init_still(
                info,
                num_warmup=0,
                step_size=_STILL / info.z.size**0.25,
                adapt_step_size=False,
                adapt_mass_matrix=False,
                max_tree_depth=max_tree_depth,
                model_args=args,
                rng_key=key,
            )

        def propose(state: HMCState, args: tuple, proposals: Proposals) -> tuple[HMCState, tuple]:
            *given, nearly = args
            state = step_still(state, tuple(given))
            density = whitened(*given)

            def one(current: tuple, x: tuple) -> tuple[tuple, tuple]:
                u, energy, log_q = current
                new, new_log_q, log_uniform, kinetic = x
                new_energy = density(new)
                log_ratio = energy + log_q - new_energy - new_log_q
                accepted = log_uniform < log_ratio  # not where it is not a number
                keep = lambda a, b: jnp.where(accepted, a, b)  # noqa: E731
                u, energy = keep(new, u), keep(new_energy, energy)
                statistics = {
                    "diverging": False,
                    "energy": energy + kinetic,
                    "num_steps": 0,
                    "accept_prob": jnp.nan_to_num(jnp.exp(jnp.minimum(log_ratio, 0.0))),
                    "potential_energy": energy,
                }
                found = u, tuple(statistics[name] for name in STATISTICS)
                return (u, energy, keep(new_log_q, log_q)), found

            def several(current: tuple, x: tuple) -> tuple[tuple, tuple]:
                current, found = jax.lax.scan(one, current, x)
                return current, jax.tree.map(lambda each: each[-1], found)

            first = state.z, tuple(getattr(state, name) for name in STATISTICS)
            begin = (state.z, state.potential_energy, log_density(nearly, state.z))
            (u, energy, _), rest = jax.lax.scan(several, begin, proposals)
            state = state._replace(z=u, potential_energy=energy)
            both = lambda x, y: jnp.concatenate([jnp.asarray(x, jnp.asarray(y).dtype)[None], y])  # noqa: E731
            return state, jax.tree.map(both, first, rest)

        self._curvature = curvature
        self._start, self._start_still = jax.jit(start), jax.jit(start_still)
        self._jit_advance, self._jit_propose = jax.jit(advance, static_argnums=2), jax.jit(propose)
        self._compiled: dict[Any, Callable[..., tuple[HMCState, tuple]]] = {}
        self._lock = Lock()

    def warmup_of(self, approximation: Laplace) -> int:
        """Return the iterations of warm-up of a chain."""
        return self.warmup if approximation.proposal is None else min(_WARMUP_STILL, self.warmup)

    def _advance(self, state: HMCState, args: tuple, n: int, block: int, seed: list[int]) -> tuple:
        """Run n iterations; the first call of a kind compiles, once for all chains and bands."""
        key: tuple = ("nuts", n)
        if args[-1] is None:
            given: tuple = (state, args[:-1], n)
            how, dynamic = self._jit_advance, given[:2]
        else:
            rng = np.random.default_rng([*seed, block])
            given = dynamic = (state, args, _proposals(args[-1], rng, n - 1))
            how, key = self._jit_propose, ("proposals", n, int(args[-1].each))
        with self._lock:
            if key not in self._compiled:
                self._compiled[key] = how.lower(*given).compile()
        state, found = self._compiled[key](*dynamic)
        if args[-1] is not None:
            state = state._replace(z_grad=self._info(state.z, args[:-1]).z_grad)
        return state, found

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
        alone = approximation.proposal is None
        start = self._start if alone else self._start_still
        args = jax.tree.map(jnp.asarray, tuple(approximation))
        seed = np.asarray(jax.random.key_data(key_chain)).tolist()
        if approximation.proposal is None:
            u = 1.5 * jax.random.normal(key_start, approximation.mode.shape)
        else:
            u = jnp.asarray(draw(approximation.proposal, np.random.default_rng(seed), 1)[0][0])
        warmed = kept = 0
        info = self._info(u, (data, *args[:2]))
        begin = (key_chain, info, (data, *args[:2]))
        if after is None:
            state = start(*begin)
        else:
            state = _thaw(after.state, jax.eval_shape(start, *begin))
            warmed, kept = after.warmed, sum(len(d.z) for d in after.draws)
        block, warmup = BLOCK if alone else 2 * BLOCK, self.warmup_of(approximation)
        for first, n in _blocks(warmed, warmup, block):
            state, _ = jax.block_until_ready(self._advance(state, (data, *args), n, first, seed))
            yield Warmed(n, state)
        for first, n in _blocks(kept, draws, block):
            state, (us, found) = self._advance(state, (data, *args), n, warmup + first, seed)
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


def _proposals(nearly: Proposal, rng: np.random.Generator, n: int) -> Proposals:
    """Draw the proposals of `n` draws."""
    each = int(nearly.each)
    us, log_q = draw(nearly, rng, n * each)
    size = us.shape[1]
    flat = (us, log_q, np.log(rng.uniform(size=n * each)), 0.5 * rng.chisquare(size, n * each))
    return Proposals(*(x.reshape(n, each, *x.shape[1:]) for x in flat))
