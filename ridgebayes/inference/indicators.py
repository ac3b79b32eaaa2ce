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

    def chain(
        self, key: Array, given: Given, proposal: Proposal, draws: int, after: Progress | None = None
    ) -> Iterator[Draws | Warmed]:
        """Run one chain; arguments as those of `ridgebayes.inference.kernels.Nuts.chain`."""
        seed = np.asarray(jax.random.key_data(key)).tolist()
        warmed = kept = 0
        if after is None:
            theta = proposal.draw(np.random.default_rng(seed), 1)
            state = _State(jnp.asarray(theta[0]), jnp.asarray(proposal.log_density(theta)[0]), given.data.hit)
        else:
            state = _State(*(jnp.asarray(x) for x in after.state))
            warmed, kept = after.warmed, sum(len(d.z) for d in after.draws)
        for first, n in blocks(warmed, SETTLING, PROPOSALS):
            state, *_ = self._block(state, given, proposal, n, [*seed, 0, first])
            yield Warmed(n, state)
        for first, n in blocks(kept, draws, PROPOSALS):
            state, z, statistics = self._block(state, given, proposal, n, [*seed, 1, first])
            yield Draws(z, statistics, state)

    def _block(
        self, state: _State, given: Given, proposal: Proposal, n: int, seed: list[int]
    ) -> tuple[_State, NDArray, dict[str, NDArray]]:
        rng = np.random.default_rng(seed)
        thetas = proposal.draw(rng, PROPOSALS)
        noise = rng.normal(size=(PROPOSALS, self._marginal.linear.size))
        steps = thetas, proposal.log_density(thetas), np.log(rng.uniform(size=PROPOSALS)), noise
        keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), PROPOSALS)
        # Always as many steps, so that one code serves; a last block that is shorter takes the first of them.
        used = np.arange(PROPOSALS) < n
        state, found = self._run(state, (*steps, keys, used), given)
        z, lp, accepted = (np.asarray(x)[:n] for x in found)
        return state, z, exact_statistics(lp, accepted, z.shape[1], rng)

    def _steps(self, state: _State, steps: Any, given: Given) -> tuple[_State, Any]:
        def step(state: _State, now: Any) -> tuple[_State, Any]:
            theta, log_q, log_uniform, noise, key, used = now
            data = given.data._replace(hit=state.hit)
            own = given._replace(data=data)
            both = jax.lax.map(lambda x: self._marginal.conditional(x, own), jnp.stack([state.theta, theta]))
            log_ratio = both.log_density[1] - log_q - both.log_density[0] + state.log_q
            log_ratio = jnp.where(jnp.isfinite(log_ratio), log_ratio, -jnp.inf)
            taken = log_uniform < log_ratio
            chosen = jax.tree.map(lambda x: jnp.where(taken, x[1], x[0]), both)
            beta = chosen.mean + solve_triangular(chosen.factor.T, noise)
            at = jnp.where(taken, theta, state.theta)
            z = self._marginal.join(at, beta)
            new = _State(at, jnp.where(taken, log_q, state.log_q), self._redrawn(key, z, data))
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
