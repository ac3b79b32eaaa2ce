"""Outliers as indicators: given which ScWs are outliers the rates are Gaussian.

Gibbs sampling in two steps (Geweke 1993 and many since): the parameters given the indicators, the nonlinear
ones by Metropolis and Hastings' rule and the linear ones exactly; then the indicators given the parameters
and the revolution terms, exactly and each by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from numpy.typing import NDArray

from ridgebayes.inference.kernels import PROPOSALS, Draws, Progress, Warmed, blocks, exact_statistics
from ridgebayes.inference.marginal import Given, Marginal
from ridgebayes.inference.proposal import Proposal
from ridgebayes.likelihood.design import FitData

TRIES, FEW_TRIES, MANY_CELLS = 8, 3, 60_000
"""Proposals of the nonlinear parameters for each draw of the indicators; and for data of more cells."""
PILOT = 4
"""Blocks of a first chain, which tells how far the nonlinear parameters go as the indicators change."""
_OWN_SHARE = 0.3  # of the covariance given the indicators, in that of the proposal
_DEGREES = 6.0
SETTLING = 50
"""Draws that a chain leaves out while its indicators settle."""


class _State(NamedTuple):
    theta: Array  # nonlinear parameters
    log_q: Array  # log density of the proposal there
    hit: Any  # which ScWs are outliers, (band, block, width)


class Indicated:
    """Chains of parameters and indicators.

    Parameters
    ----------
    marginal
        Density of the nonlinear parameters given the indicators, which are in the data.
    """

    def __init__(self, marginal: Marginal) -> None:
        self._marginal, self._posterior = marginal, marginal.posterior
        self._run = jax.jit(self._steps)
        self._probable = jax.jit(self._most_probable)

    def probable(self, z: Any, data: FitData) -> NDArray[np.bool_]:
        """Return which ScWs are more probably outliers than not, at an unconstrained vector."""
        return np.asarray(self._probable(z, data))

    def typical(self, given: Given, proposal: Proposal, seed: int) -> NDArray[np.bool_]:
        """Return indicators as they are after some steps from those in the data."""
        state = self._begun(given, proposal, [seed])
        state, *_ = self._block(state, given, proposal, PROPOSALS, [seed, 2])
        return np.asarray(state.hit)

    def widened(self, given: Given, proposal: Proposal, seed: int) -> tuple[Proposal, NDArray[np.bool_]]:
        """Fit a proposal, good for some indicators, to all that a first chain meets; and its last ones."""
        state, thetas = self._begun(given, proposal, [seed]), []
        for block in range(PILOT):
            state, z, _ = self._block(state, given, proposal, PROPOSALS, [seed, 3, block])
            thetas.append(z[:, self._marginal.nonlinear])
        later = np.concatenate(thetas[1:])
        own = proposal.root @ proposal.root.T
        covariance = np.cov(later.T) + _OWN_SHARE * own
        found = Proposal(later.mean(0), np.linalg.cholesky(covariance), _DEGREES)
        return found, np.asarray(state.hit)

    def chain(
        self, key: Array, given: Given, proposal: Proposal, draws: int, after: Progress | None = None
    ) -> Iterator[Draws | Warmed]:
        """Run one chain; arguments as those of `ridgebayes.inference.kernels.Nuts.chain`."""
        seed = np.asarray(jax.random.key_data(key)).tolist()
        warmed = kept = 0
        if after is None:
            state = self._begun(given, proposal, seed)
        else:
            state = _State(*(jnp.asarray(x) for x in after.state))
            warmed, kept = after.warmed, sum(len(d.z) for d in after.draws)
        for first, n in blocks(warmed, SETTLING, PROPOSALS):
            state, *_ = self._block(state, given, proposal, n, [*seed, 0, first])
            yield Warmed(n, state)
        for first, n in blocks(kept, draws, PROPOSALS):
            state, z, statistics = self._block(state, given, proposal, n, [*seed, 1, first])
            yield Draws(z, statistics, state)

    def _begun(self, given: Given, proposal: Proposal, seed: list[int]) -> _State:
        theta = proposal.draw(np.random.default_rng(seed), 1)
        return _State(jnp.asarray(theta[0]), jnp.asarray(proposal.log_density(theta)[0]), given.data.hit)

    def _block(
        self, state: _State, given: Given, proposal: Proposal, n: int, seed: list[int]
    ) -> tuple[_State, NDArray, dict[str, NDArray]]:
        rng = np.random.default_rng(seed)
        tries = TRIES if given.data.rate.size <= MANY_CELLS else FEW_TRIES
        thetas = proposal.draw(rng, PROPOSALS * tries)
        noise = rng.normal(size=(PROPOSALS, self._marginal.linear.size))
        in_steps = lambda x: x.reshape(PROPOSALS, tries, *x.shape[1:])  # noqa: E731
        log_uniform = np.log(rng.uniform(size=PROPOSALS * tries))
        steps = in_steps(thetas), in_steps(proposal.log_density(thetas)), in_steps(log_uniform), noise
        keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), PROPOSALS)
        # Always as many steps, so that one code serves; a last block that is shorter takes the first of them.
        used = np.arange(PROPOSALS) < n
        state, found = self._run(state, (*steps, keys, used), given)
        z, lp, accepted = (np.asarray(x)[:n] for x in found)
        return state, z, exact_statistics(lp, accepted, z.shape[1], rng)

    def _steps(self, state: _State, steps: Any, given: Given) -> tuple[_State, Any]:
        def step(state: _State, now: Any) -> tuple[_State, Any]:
            thetas, log_q, log_uniform, noise, key, used = now
            data = given.data._replace(hit=state.hit)
            own = given._replace(data=data)
            thetas = jnp.concatenate([state.theta[None], thetas])
            log_q = jnp.concatenate([state.log_q[None], log_q])
            found = jax.lax.map(lambda x: self._marginal.conditional(x, own), thetas)
            weight = found.log_density - log_q
            weight = jnp.where(jnp.isfinite(weight), weight, -jnp.inf)
            at = jnp.asarray(0)
            for k in range(1, len(thetas)):
                log_ratio = weight[k] - weight[at]
                at = jnp.where(log_uniform[k - 1] < log_ratio, k, at)
            chosen = jax.tree.map(lambda x: x[at], found)
            beta = chosen.mean + solve_triangular(chosen.factor.T, noise)
            z = self._marginal.join(thetas[at], beta)
            new = _State(thetas[at], log_q[at], self._redrawn(key, z, data))
            lp = chosen.log_density + jnp.log(jnp.diag(chosen.factor)).sum() - 0.5 * noise @ noise
            new = jax.tree.map(lambda a, b: jnp.where(used, a, b), new, state)
            return new, (z, lp, jnp.exp(jnp.minimum(log_ratio, 0.0)))

        return jax.lax.scan(step, state, steps)

    def _redrawn(self, key: Array, z: Array, data: FitData) -> Array:
        """Draw the indicators given the parameters, the revolution terms drawn too."""
        rates = self._posterior.rates(z, data)
        key_terms, key_hit = jax.random.split(key)
        terms = rates.revolution_terms(rates.coefficients(key_terms, data.rate))
        odds = rates.log_odds(data.rate - rates.loc - terms)
        drawn = jax.random.uniform(key_hit, odds.shape) < jax.nn.sigmoid(odds)
        return drawn & data.filled

    def _most_probable(self, z: Array, data: FitData) -> Array:
        rates = self._posterior.rates(z, data)
        mean, _ = rates.coefficient_posterior(data.rate)
        terms = rates.revolution_terms(jnp.swapaxes(mean, -1, -2))
        return (rates.log_odds(data.rate - rates.loc - terms) > 0) & data.filled
