"""Chains of the nonlinear parameters by Metropolis and Hastings' rule, with exact draws of all others.

A proposal of the nonlinear parameters is one of three: a draw of the fitted `Proposal`, wherever the chain
is; new values of some of its whitened coordinates, which are accepted more often where there are many
parameters; a step from where the chain is, which leads back from places that the fit covers poorly. All three
are made in the coordinates of the fit. The linear parameters are drawn from their Gaussian. In a model with
outliers every ScW has an indicator that says whether it is one. Given the indicators all else is Gaussian,
and given the parameters they are drawn each by itself: Gibbs sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from numpy.typing import NDArray

from ridgebayes.inference.kernels import Draws, Progress, Warmed, blocks, exact_statistics
from ridgebayes.inference.marginal import Conditional, Given, Marginal
from ridgebayes.inference.proposal import Proposal
from ridgebayes.likelihood.design import FitData

BLOCK = 50
"""Draws a block."""
SETTLING, SETTLING_OUTLIERS = 20, 50
"""Draws that a chain leaves out: it begins at a draw of the proposal; indicators take longer to settle."""
PILOT = 2
"""Blocks of a first chain, after which the indicators are as probable as any."""
_TAIL = 4.0  # degrees of freedom of these
_STEP = 2.4  # length of a step over the square root of the number of parameters (Gelman et al. 1996)
_SCALES = 0.8  # spread of the logarithm of its length


class Pace(NamedTuple):
    """How many proposals are made.

    Attributes
    ----------
    tries
        Proposals of the nonlinear parameters that a draw takes.
    whole, some
        Shares of them that are whole draws of the fit, and new values of some coordinates. The others are
        steps from where the chain is.
    coordinates
        Share of the coordinates that get new values.
    """

    tries: int = 1
    whole: float = 0.9
    some: float = 0.05
    coordinates: float = 0.35


class _State(NamedTuple):
    theta: Array  # nonlinear parameters
    conditional: Conditional  # and the Gaussian of the linear ones
    hit: Any  # indicators (band, block, width); None without outliers


class _Aim(NamedTuple):
    """What tells how other indicators move the density of the nonlinear parameters (`Metropolis._aimed`)."""

    residual: Array  # of the rates, at the first indicators (band, block, width)
    slope: Array  # of the log density of the noise by the nonlinear parameters there


class Metropolis:
    """Chains of a posterior whose linear parameters are integrated out; compiled once for data of one shape.

    Parameters
    ----------
    marginal
        Density of the nonlinear parameters, given the indicators that stand in the data.
    """

    def __init__(self, marginal: Marginal) -> None:
        self._marginal, self._posterior = marginal, marginal.posterior
        self._run = jax.jit(self._draws)
        self._probable = jax.jit(self._most_probable)
        self._aim = jax.jit(self._first_aim)

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
            Of the nonlinear parameters.
        draws
            Number of draws to keep.
        pace
            How many proposals are made.
        after
            How far it has come; it goes on from there as if it had never stopped.
        """
        seed = np.asarray(jax.random.key_data(key)).tolist()
        warmed = kept = 0
        if after is None:
            state = self._begun(given, proposal, seed)
        else:
            theta, log_density, mean, factor, *hit = (jnp.asarray(x) for x in after.state)
            state = _State(theta, Conditional(log_density, mean, factor), hit[0] if hit else None)
            warmed, kept = after.warmed, sum(len(d.z) for d in after.draws)
        aim = self._aim(given, proposal) if given.data.hit is not None else None
        for first, n in blocks(warmed, settling(given.data), BLOCK):
            state, *_ = self._block(state, given, proposal, aim, n, pace, [*seed, 0, first])
            yield Warmed(n, state)
        for first, n in blocks(kept, draws, BLOCK):
            state, z, statistics = self._block(state, given, proposal, aim, n, pace, [*seed, 1, first])
            yield Draws(z, statistics, state)

    def probable(self, z: Any, data: FitData) -> NDArray[np.bool_]:
        """Return which ScWs are more probably outliers than not, at an unconstrained vector."""
        return np.asarray(self._probable(z, data))

    def drawn(self, given: Given, proposal: Proposal, seed: int) -> NDArray[np.bool_]:
        """Draw indicators of outliers, by a first short chain."""
        state, aim = self._begun(given, proposal, [seed]), self._aim(given, proposal)
        for number in range(PILOT):
            state, *_ = self._block(state, given, proposal, aim, BLOCK, Pace(), [seed, 2, number])
        return np.asarray(state.hit)

    def acceptance(self, given: Given, proposal: Proposal, paces: Sequence[Pace], seed: int) -> list[float]:
        """Return the share of accepted proposals at each pace, by short chains, one after the other."""
        state, accepted = self._begun(given, proposal, [seed]), []
        for number, pace in enumerate(paces):
            state, _, found = self._block(state, given, proposal, None, BLOCK, pace, [seed, 3, number])
            accepted.append(float(found["acceptance_rate"].mean()))
        return accepted

    def _begun(self, given: Given, proposal: Proposal, seed: list[int]) -> _State:
        theta = jnp.asarray(proposal.skewed(proposal.draw(np.random.default_rng(seed), 1)[0]))
        found = self._marginal.conditionals(theta[None], given)
        conditional = Conditional(*(jnp.asarray(x[0]) for x in found))
        return _State(theta, conditional, given.data.hit)

    def _block(
        self,
        state: _State,
        given: Given,
        proposal: Proposal,
        aim: _Aim | None,
        n: int,
        pace: Pace,
        seed: list[int],
    ) -> tuple[_State, NDArray, dict[str, NDArray]]:
        """Take `n` draws; the compiled code always takes a whole block, of which the first count."""
        rng = np.random.default_rng(seed)
        size, shape = proposal.mean.size, (BLOCK, pace.tries)
        independent = proposal.draw(rng, BLOCK * pace.tries).reshape(*shape, size)
        length = _STEP / np.sqrt(max(size, 1)) * np.exp(_SCALES * rng.normal(size=(*shape, 1)))
        local = length * rng.normal(size=(*shape, size)) @ proposal.root.T
        kind = rng.uniform(size=shape)
        changed = rng.uniform(size=(*shape, size)) < pace.coordinates
        fresh = rng.standard_t(_TAIL, size=(*shape, size))
        noise = rng.normal(size=(BLOCK, self._marginal.linear.size))
        keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), BLOCK)
        uniform = np.log(rng.uniform(size=shape))
        is_whole, is_some = kind < pace.whole, kind < pace.whole + pace.some
        moves = independent, local, is_whole, is_some, changed, fresh, uniform
        steps = *moves, noise, keys, np.arange(BLOCK) < n
        state, found = self._run(state, steps, given, proposal, aim)
        z, lp, accepted = (np.asarray(x)[:n] for x in found)
        return state, z, exact_statistics(lp, accepted, z.shape[1], rng)

    def _draws(
        self, state: _State, steps: Any, given: Given, proposal: Proposal, aim: _Aim | None
    ) -> tuple[_State, Any]:
        def draw(state: _State, now: Any) -> tuple[_State, Any]:
            *moves, noise, key, used = now
            data = replace(given.data, hit=state.hit)
            own = given._replace(data=data)
            here, q = (state.theta, state.conditional), proposal
            if aim is not None:
                # New indicators make it another density.
                q = self._aimed(proposal, own, aim)
                here = state.theta, self._marginal.conditional(state.theta, own)

            def move(here: tuple[Array, Conditional], by: Any) -> tuple[Any, Array]:
                independent, local, whole, some, changed, fresh, log_uniform = by
                old = q.even(here[0], jnp)
                white = solve_triangular(q.root, old - q.mean, lower=True)
                partly = q.mean + q.root @ jnp.where(changed, fresh, white)
                u = jnp.where(
                    whole, independent + q.mean - proposal.mean, jnp.where(some, partly, old + local)
                )
                theta = q.skewed(u, jnp)
                there = theta, self._marginal.conditional(theta, own)
                log_ratio = there[1].log_density - here[1].log_density
                log_ratio += jnp.log(q.slope(u, jnp) / q.slope(old, jnp)).sum()
                of_whole = q.log_density_of(u) - q.log_density_of(old)
                of_some = jnp.where(changed, _log_tail(fresh) - _log_tail(white), 0.0).sum()
                log_ratio -= jnp.where(whole, of_whole, jnp.where(some, of_some, 0.0))
                log_ratio = jnp.where(jnp.isfinite(log_ratio), log_ratio, -jnp.inf)
                taken = log_uniform < log_ratio
                return jax.tree.map(lambda a, b: jnp.where(taken, a, b), there, here), log_ratio

            (theta, chosen), log_ratio = jax.lax.scan(move, here, tuple(moves))
            beta = chosen.mean + solve_triangular(chosen.factor.T, noise)
            z = self._marginal.join(theta, beta)
            hit = None if state.hit is None else self._redrawn(key, z, data)
            lp = chosen.log_density + jnp.log(jnp.diag(chosen.factor)).sum() - 0.5 * noise @ noise
            new = jax.tree.map(lambda a, b: jnp.where(used, a, b), _State(theta, chosen, hit), state)
            return new, (z, lp, jnp.exp(jnp.minimum(log_ratio, 0.0)).mean())

        return jax.lax.scan(draw, state, steps)

    def _aimed(self, proposal: Proposal, given: Given, aim: _Aim) -> Proposal:
        """Move a proposal to where other indicators have moved the density: one step of Newton's method.

        The shift depends on nothing but the indicators, so the rule of acceptance holds.
        """
        theta, slope = proposal.skewed(proposal.mean, jnp), proposal.slope(proposal.mean, jnp)
        slope *= self._slope(theta, given, aim.residual) - aim.slope
        return proposal._replace(mean=proposal.mean + proposal.root @ (proposal.root.T @ slope))

    def _first_aim(self, given: Given, proposal: Proposal) -> _Aim:
        theta = proposal.skewed(proposal.mean, jnp)
        z = self._marginal.join(theta, self._marginal.conditional(theta, given).mean)
        residual = self._posterior.rates(z, given.data).white_noise(given.data.rate)
        return _Aim(residual, self._slope(theta, given, residual))

    def _slope(self, theta: Array, given: Given, residual: Array) -> Array:
        """Gradient of the log density by the nonlinear parameters, up to what no indicator changes.

        Indicators change the noise of a few ScWs, whose white noise stays nearly what it was at the first
        ones. Not so where noise is correlated too: one then makes up for the other.
        """
        if given.data.sequence is None:
            return jax.grad(self._noise)(theta, given, residual)
        return -jax.grad(self._marginal.potential)(theta, given)

    def _noise(self, theta: Array, given: Given, residual: Array) -> Array:
        """Log density of given residuals and of the indicators."""
        rates = self._posterior.rates(self._marginal.join(theta, given.reference), given.data)
        each = -0.5 * (residual**2 / rates.noise_variance + jnp.log(rates.noise_variance))
        return jnp.where(given.data.filled, each, 0.0).sum() + rates.log_prob_of_hits()

    def _redrawn(self, key: Array, z: Array, data: FitData) -> Array:
        """Draw the indicators given the parameters, and white noise drawn given these."""
        rates = self._posterior.rates(z, data)
        key_noise, key_hit = jax.random.split(key)
        odds = rates.log_odds(rates.draw_white_noise(key_noise, data.rate))
        drawn = jax.random.uniform(key_hit, odds.shape) < jax.nn.sigmoid(odds)
        return drawn & data.filled

    def _most_probable(self, z: Array, data: FitData) -> Array:
        rates = self._posterior.rates(z, data)
        return (rates.log_odds(rates.white_noise(data.rate)) > 0) & data.filled


def _log_tail(u: Array) -> Array:
    """Log density of a Student t, up to a constant."""
    return -0.5 * (_TAIL + 1.0) * jnp.log1p(u**2 / _TAIL)


def settling(data: FitData) -> int:
    """Return the draws that a chain leaves out."""
    return SETTLING if data.hit is None else SETTLING_OUTLIERS
