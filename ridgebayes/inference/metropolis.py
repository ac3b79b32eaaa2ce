"""Chains of the nonlinear parameters by Metropolis and Hastings' rule, with exact draws of all others.

Three kinds of proposals change the nonlinear parameters, all in the coordinates of the fitted `Proposal`:

- a draw of the fitted proposal, independent of the state of the chain;
- new values of some whitened coordinates, which are accepted more often if parameters are many;
- a local step, which leads the chain out of regions where the fitted proposal is poor.

The linear parameters are drawn from their Gaussian. In a model with outliers the indicators of outliers and
their share are drawn after each proposal (`ridgebayes.inference.indicators`); proposals leave them as they
are.

The chain itself is plain NumPy; only densities are compiled, each once. A compiled kernel for a block of
draws would take minutes to compile for correlated noise with outliers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from ridgebayes.inference.indicators import Fixed, Indicators
from ridgebayes.inference.kernels import Draws, Progress, Warmed, exact_statistics, in_blocks
from ridgebayes.inference.marginal import Conditional, Given, Marginal, draw
from ridgebayes.inference.mode import differences
from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.tuning import CHOICE, MOVES


class Pace(NamedTuple):
    """Number and kinds of proposals.

    Attributes
    ----------
    tries
        Proposals of the nonlinear parameters for each draw.
    whole, some
        Share that are draws of the fitted proposal, and share that are new values of some coordinates. The
        others are local steps.
    coordinates
        Share of the coordinates that get new values.
    """

    tries: int = 1
    whole: float = 0.9
    some: float = 0.05
    coordinates: float = 0.35


class _State(NamedTuple):
    theta: NDArray  # nonlinear parameters
    conditional: Conditional  # and the Gaussian of the linear ones
    hit: Any  # indicators (band, block, width); None without outliers


class _Start(NamedTuple):
    """What a chain of a model with outliers keeps from its beginning."""

    hit: NDArray  # indicators for which the proposal was fitted; with others, it is shifted
    slope: NDArray  # derivatives of the log odds of each indicator, which shift it
    fixed: Fixed


class _Moves(NamedTuple):
    """Random numbers for the proposals of several draws, each (draw, try, …); u of what is proposed."""

    whole: NDArray  # True: a draw of the fitted proposal
    some: NDArray  # otherwise, True: new values of some coordinates
    independent: NDArray  # draws of the fitted proposal, in u
    local: NDArray  # local steps, in u
    changed: NDArray  # True: the coordinate gets a new value
    fresh: NDArray  # new values of coordinates
    log_uniform: NDArray  # a proposal is accepted if its log ratio exceeds this


class _Place(NamedTuple):
    """A vector of the nonlinear parameters and its density in the coordinates of the proposal."""

    u: NDArray
    theta: NDArray
    conditional: Conditional
    log_density: float  # in u


class Metropolis:
    """Chains of a posterior with its linear parameters integrated out; compiled once for data of one shape.

    Parameters
    ----------
    marginal
        Density of the nonlinear parameters, given the indicators in the data.

    Attributes
    ----------
    proposed
        Indices of the nonlinear parameters that are proposed. The others are drawn with the indicators.
    """

    def __init__(self, marginal: Marginal) -> None:
        self.marginal, self._posterior = marginal, marginal.posterior
        self.indicators = Indicators(marginal)
        self.proposed = np.flatnonzero(~self.indicators.own)

    def chain(
        self,
        key: Array,
        given: Given,
        proposal: Proposal,
        draws: int,
        *,
        pace: Pace,
        after: Progress | None = None,
    ) -> Iterator[Draws | Warmed]:
        """Run one chain: yields the blocks of its warm-up, then blocks of draws.

        Parameters
        ----------
        key
            Random key of the chain.
        given
            Data of the part.
        proposal
            Proposal of the nonlinear parameters.
        draws
            Number of draws to keep.
        pace
            Number and kinds of proposals for each draw.
        after
            Progress of an interrupted chain, which continues bit for bit.
        """
        seed = np.asarray(jax.random.key_data(key)).tolist()
        if after is None:
            state = self._begun(given, proposal, seed)
        else:
            theta, log_density, mean, factor, *hit = after.state
            state = _State(theta, Conditional(log_density, mean, factor), hit[0] if hit else None)
        start = self._start(given, proposal)
        take = lambda state, n, seed: self._block(state, given, proposal, start, n, pace, seed)  # noqa: E731
        warmup = settling(given.data.hit)
        yield from in_blocks(take, state, after, warmup=warmup, draws=draws, block=MOVES.block, seed=seed)

    def drawn(self, given: Given, proposal: Proposal, seed: int) -> tuple[NDArray, Proposal, float]:
        """Draw indicators of outliers by a short first chain, and move the proposal to match them.

        The proposal follows every few draws, because in a long mission the outliers of a draw move the
        posterior by many sd from where it is with the most probable outliers.

        Also returns the acceptance in the last block of that chain.
        """
        state, aim = self._begun(given, proposal, [seed]), self._marginal_slope(given, proposal)
        start = self._start(given, proposal)
        assert start is not None
        for number in range(MOVES.pilot_rounds + 1):
            draws = MOVES.pilot_draws if number < MOVES.pilot_rounds else MOVES.block
            state, _, found = self._block(state, given, proposal, start, draws, Pace(), [seed, 2, number])
            given = given._replace(data=replace(given.data, hit=jnp.asarray(state.hit)))
            proposal, start = self._recentred(proposal, given, aim), start._replace(hit=state.hit)
        return state.hit, proposal, float(found["acceptance_rate"].mean())

    def acceptance(self, given: Given, proposal: Proposal, paces: Sequence[Pace], seed: int) -> list[float]:
        """Return the acceptance at each pace, measured by short chains one after the other."""
        start, accepted = self._start(given, proposal), []
        state = self._begun(given, proposal, [seed])
        for number, pace in enumerate(paces):
            state, _, found = self._block(state, given, proposal, start, MOVES.block, pace, [seed, 3, number])
            accepted.append(float(found["acceptance_rate"].mean()))
        return accepted

    def _begun(self, given: Given, proposal: Proposal, seed: list[int]) -> _State:
        theta = proposal.skewed(proposal.draw(np.random.default_rng(seed), 1)[0])
        hit = None if given.data.hit is None else np.asarray(given.data.hit)
        return _State(theta, next(self._each(theta[None], given)), hit)

    def _block(
        self,
        state: _State,
        given: Given,
        proposal: Proposal,
        start: _Start | None,
        n: int,
        pace: Pace,
        seed: list[int],
    ) -> tuple[_State, NDArray, dict[str, NDArray]]:
        """Take `n` draws. Random numbers are made for a whole block, and the first `n` of them are used."""
        rng, of_rest = np.random.default_rng(seed), proposal.of(self.proposed)
        moves = _moves(of_rest, pace, rng)
        noise = rng.normal(size=(MOVES.block, self.marginal.linear.size))
        seeds = rng.integers(2**31, size=MOVES.block)
        z, lp, accepted = np.empty((n, self._posterior.size)), np.empty(n), np.empty(n)
        q, own = of_rest, given
        if start is None:
            ahead = self._each(q.skewed(moves.independent[:n][moves.whole[:n]]), given)
        for i in range(n):
            now, (theta, conditional, hit) = _Moves(*(x[i] for x in moves)), state
            if start is not None:
                # The density depends on the indicators.
                own = given._replace(data=replace(given.data, hit=hit))
                q = of_rest._replace(mean=of_rest.mean + _shift(of_rest, hit, start))
                now = now._replace(independent=now.independent + q.mean - of_rest.mean)
                whole = self._with(theta, q.skewed(now.independent[now.whole]))
                ahead = self._each(np.concatenate([theta[None], whole]), own)
                conditional = next(ahead)
            (theta, conditional), accepted[i] = self._moved(theta, conditional, q, now, own, ahead)
            beta, lp[i] = draw(conditional, noise[i])
            z[i] = self.marginal.joined(theta, beta)
            if start is not None:
                hit, z[i] = self.indicators.drawn(seeds[i], z[i], start.fixed, own.data)
                theta = z[i, self.marginal.nonlinear]
            state = _State(theta, conditional, hit)
        return state, z, exact_statistics(lp, accepted, z.shape[1], rng)

    def _moved(
        self,
        theta: NDArray,
        conditional: Conditional,
        q: Proposal,
        moves: _Moves,
        given: Given,
        ahead: Iterator[Conditional],
    ) -> tuple[tuple[NDArray, Conditional], float]:
        """Accept or reject the proposals of one draw; return the new state and the mean acceptance.

        Draws of the fitted proposal do not depend on the chain, so their conditionals come from `ahead`.
        """
        here, accepted = _placed(q, q.even(theta[self.proposed]), theta, conditional), []
        for whole, some, independent, local, changed, fresh, log_uniform in zip(*moves, strict=True):
            if whole:
                u = independent
                log_ratio = float(np.subtract(*q.log_density(np.stack([here.u, u]))))
            elif some:
                white, log_ratio = renewed(q.white(here.u), changed, fresh)
                u = q.mean + q.root @ white
            else:
                u, log_ratio = here.u + local, 0.0
            moved = self._with(theta, q.skewed(u))
            there = _placed(q, u, moved, next(ahead if whole else self._each(moved[None], given)))
            log_ratio += there.log_density - here.log_density
            accepted.append(chance(log_ratio))
            if log_uniform < log_ratio:
                here = there
        return (here.theta, here.conditional), float(np.mean(accepted))

    def _each(self, thetas: NDArray, given: Given) -> Iterator[Conditional]:
        """Yield the Gaussian of the linear parameters for each nonlinear vector of (n, nonlinear)."""
        for first in range(0, len(thetas), self.marginal.at_a_time):
            found = self.marginal.conditionals(thetas[first : first + self.marginal.at_a_time], given)
            yield from (Conditional(*each) for each in zip(*found, strict=True))

    def _with(self, theta: NDArray, proposed: NDArray) -> NDArray:
        """Insert proposed values (…, proposed) into a vector of the nonlinear parameters."""
        vectors = np.broadcast_to(theta, (*proposed.shape[:-1], theta.size)).copy()
        vectors[..., self.proposed] = proposed
        return vectors

    def _recentred(self, proposal: Proposal, given: Given, aim: NDArray) -> Proposal:
        """Move the centre towards where the gradient of the density is `aim`, but never to a lower density.

        It takes one step of Newton's method, or as much of it as leads highest. The proposal keeps its width,
        so where the density is narrower, whole steps would lead further away each time.
        """
        step = np.zeros(proposal.mean.size)
        step[self.proposed] = self._newton(proposal, self._marginal_slope(given, proposal) - aim)
        means = proposal.mean + np.multiply.outer(MOVES.pilot_steps, np.nan_to_num(step))
        density = self.marginal.log_densities(proposal.skewed(means), given)
        highest = np.argmax(density + np.log(proposal.slope(means)).sum(-1))
        return proposal._replace(mean=means[highest])

    def _marginal_slope(self, given: Given, proposal: Proposal) -> NDArray:
        """Gradient at the centre of the proposal, the linear parameters integrated out."""
        centre, root = proposal.skewed(proposal.mean), proposal.gaussian.root
        if centre.size > CHOICE.max_differences:
            return self.marginal.slopes(centre[None], given)[0]
        density = lambda u: self.marginal.log_densities(centre + u @ root.T, given)  # noqa: E731
        return np.linalg.solve(root.T, differences(density, np.zeros(centre.size)))

    def _newton(self, proposal: Proposal, gradient: NDArray) -> NDArray:
        """One step of Newton's method from the centre of the proposal, in u."""
        by_mean = (proposal.slope(proposal.mean) * gradient)[self.proposed]
        root = proposal.root[self.proposed]
        return root @ (root.T @ by_mean)

    def _start(self, given: Given, proposal: Proposal) -> _Start | None:
        """Prepare a chain; None in a model without outliers."""
        if given.data.hit is None:
            return None
        own = self.indicators
        return _Start(np.asarray(given.data.hit), own.slope(proposal, given), own.fixed(proposal, given))


def _moves(proposal: Proposal, pace: Pace, rng: np.random.Generator) -> _Moves:
    """Draw the random numbers of a block."""
    size, shape = proposal.mean.size, (MOVES.block, pace.tries)
    independent = proposal.draw(rng, MOVES.block * pace.tries).reshape(*shape, size)
    length = step_lengths(rng, (*shape, 1), size)
    local = length * rng.normal(size=(*shape, size)) @ proposal.root.T
    kind = rng.uniform(size=shape)
    changed = rng.uniform(size=(*shape, size)) < pace.coordinates
    fresh = rng.standard_t(MOVES.tail_degrees, size=(*shape, size))
    log_uniform = np.log(rng.uniform(size=shape))
    whole, some = kind < pace.whole, kind < pace.whole + pace.some
    return _Moves(whole, some, independent, local, changed, fresh, log_uniform)


def _shift(q: Proposal, hit: NDArray, start: _Start) -> NDArray:
    """Shift of a proposal that follows a change of the indicators: one step of Newton's method, in u.

    A changed indicator adds the derivative of its log odds to the gradient of the density. What two of them
    do together is left out. The shift depends on the indicators alone, so the rule of Metropolis and Hastings
    holds.
    """
    changed = hit != start.hit
    sign = np.where(hit[changed], 1.0, -1.0)
    return q.root @ (start.slope[:, changed] @ sign)


def _placed(q: Proposal, u: NDArray, theta: NDArray, conditional: Conditional) -> _Place:
    return _Place(u, theta, conditional, float(conditional.log_density + np.log(q.slope(u)).sum()))


def renewed(white: NDArray, changed: NDArray, fresh: NDArray) -> tuple[NDArray, float]:
    """Give the whitened coordinates that are `changed` new values, `fresh` draws of a Student t.

    Returns the new coordinates, and the log ratio of the proposal densities, back over forth.
    """
    log_ratio = np.where(changed, _log_tail(white) - _log_tail(fresh), 0.0).sum()
    return np.where(changed, fresh, white), float(log_ratio)


def chance(log_ratio: float) -> float:
    """Probability that Metropolis and Hastings' rule accepts a proposal."""
    return 0.0 if np.isnan(log_ratio) else float(np.exp(min(log_ratio, 0.0)))


def step_lengths(rng: np.random.Generator, shape: tuple[int, ...], size: int) -> NDArray:
    """Draw lengths of local steps of `size` parameters, scattered about the best length for a Gaussian."""
    return MOVES.step / np.sqrt(max(size, 1)) * np.exp(MOVES.log_step_sd * rng.normal(size=shape))


def _log_tail(u: NDArray) -> NDArray:
    """Log density of a Student t, up to a constant."""
    return -0.5 * (MOVES.tail_degrees + 1.0) * np.log1p(u**2 / MOVES.tail_degrees)


def settling(hit: Any) -> int:
    """Return the draws of warm-up; `hit` are the indicators of outliers, None for a model without."""
    return MOVES.settling if hit is None else MOVES.settling_outliers
