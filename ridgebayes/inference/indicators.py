"""Draws of the indicators of outliers, given all other parameters.

In a model with outliers every ScW has an indicator: is it one? Given the indicators the rates are Gaussian;
given the white noise the indicators are independent. A draw takes three steps:

1. In each revolution one ScW may become an outlier or a usual one, with all noise integrated out. If a
   revolution term or the correlated noise explains the rate of a ScW as well as an outlier does, it hardly
   changes otherwise: given the white noise, each of the two confirms itself.
2. The white noise is drawn, then the share of the outliers and the scatters, with the indicators summed over:
   given the number of outliers their share could hardly move, nor could the scatter of the Crab given which
   ScWs of the Crab are outliers.
3. All indicators are drawn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from ridgebayes.inference.compiling import compiled_quickly
from ridgebayes.inference.marginal import Given, Marginal
from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.tuning import MOVES
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.linear_terms import CorrelatedTermsNormal, Indicated


class Fixed(NamedTuple):
    """What a chain keeps from its beginning.

    Attributes
    ----------
    spread
        Spread of outliers' own parameters, and of the scatters that only the white noise depends on; zero for
        all others, (2, nonlinear).
    log_weight
        Log of the weight of each ScW, (band, block, width): how often it is the one that may change.
    """

    spread: Any
    log_weight: Any


class Indicators:
    """Draws of the indicators of a posterior.

    Parameters
    ----------
    marginal
        Density of its nonlinear parameters.

    Attributes
    ----------
    own
        True for outliers' own parameters among the nonlinear ones, (nonlinear,).
    """

    def __init__(self, marginal: Marginal) -> None:
        self._marginal, self._posterior = marginal, marginal.posterior
        shapes, indicated = self._posterior.shapes, self._posterior.model.indicated
        names = [name for name in shapes if name in indicated]
        of_outliers = sum(map(self._posterior.named, names), np.zeros(self._posterior.size, bool))
        self.own = of_outliers[marginal.nonlinear]
        self._draw = jax.jit(self._drawn)
        self._others = compiled_quickly(self._beside_white_noise)
        self._probable = compiled_quickly(self._most_probable)
        self._weigh = compiled_quickly(self._log_weights)
        self._alone = jax.jit(lambda z, data: log_odds_alone(self._posterior.rates(z, data), data.rate)[0])

    def probable(self, z: Any, data: FitData) -> NDArray[np.bool_]:
        """Return which ScWs are more probably outliers than not, at an unconstrained vector."""
        return np.asarray(self._probable(z, data))

    def fixed(self, proposal: Proposal, given: Given) -> Fixed:
        """Prepare a chain of a proposal."""
        z = self._marginal.joined(proposal.skewed(proposal.mean), np.asarray(given.reference))
        walks = np.stack([self.own, ~self.own & self._of_white_noise(z, given.data)])
        return Fixed(np.where(walks, proposal.spread_of_each, 0.0), np.asarray(self._weigh(z, given.data)))

    def slope(self, proposal: Proposal, given: Given) -> NDArray[np.float32]:
        """Return derivatives of the log odds of each ScW as an outlier, (direction, band, block, width).

        They are differences across the centre of the proposal, along the whitened directions of the
        parameters that are proposed; the linear parameters are at their mean.
        """
        proposed = np.flatnonzero(~self.own)
        if not proposed.size:
            return np.zeros((0, *given.data.rate.shape), np.float32)
        steps = np.zeros((proposed.size, self.own.size))
        steps[:, proposed] = proposal.of(proposed).root.T / 2
        thetas = proposal.skewed(proposal.mean + np.concatenate([steps, -steps]))
        z = self._marginal.joined(thetas, self._marginal.conditionals(thetas, given).mean)
        odds = (np.asarray(self._alone(each, given.data), np.float32) for each in z)
        slope = np.stack([next(odds) for _ in steps])
        for along in slope:
            along -= next(odds)
        return np.nan_to_num(slope, posinf=0.0, neginf=0.0)

    def _of_white_noise(self, z: NDArray, data: FitData) -> NDArray[np.bool_]:
        """Find the nonlinear parameters that change nothing but the white noise."""
        here, found = self._others(z, data), np.zeros(self.own.size, bool)
        for k, at in enumerate(self._marginal.nonlinear):
            there = z.copy()
            there[at] += self._posterior.scale[at]
            found[k] = all(map(np.array_equal, here, self._others(there, data)))
        return found

    def drawn(self, seed: int, z: NDArray, fixed: Fixed, data: FitData) -> tuple[NDArray, NDArray]:
        """Draw the indicators given all other parameters, and with them those of the white noise."""
        hit, z = self._draw(seed, z, fixed, data)
        return np.asarray(hit), np.asarray(z)

    def _drawn(self, seed: Array, z: Array, fixed: Fixed, data: FitData) -> tuple[Array, Array]:
        key_change, key_noise, key_hit, *keys = jax.random.split(jax.random.key(seed), 6)
        rates = self._posterior.rates(z, data)
        rates = rates.with_hits(_one_changed(key_change, rates, fixed.log_weight, data))
        noise = rates.draw_white_noise(key_noise, data.rate)
        z = self._walked(keys, z, fixed.spread, noise, data)
        odds = self._posterior.rates(z, data).log_odds(noise)
        return (jax.random.uniform(key_hit, odds.shape) < jax.nn.sigmoid(odds)) & data.filled, z

    def _walked(self, keys: list[Array], z: Array, spread: Array, noise: Array, data: FitData) -> Array:
        """Draw the parameters of the white noise given that noise, indicators summed over."""

        def density(z: Array) -> Array:
            # Compiled code computes only what is used of these: the variance, share and size of outliers.
            there = self._posterior.rates(z, data)
            prior = -self._posterior.prior_potential(z, data) - there.log_prob_of_hits()
            return prior + there.log_prob_of_white_noise(noise)

        def step(now: tuple[Array, Array], by: tuple[Array, Array]) -> tuple[Any, None]:
            shock, log_uniform = by
            z = now[0].at[self._marginal.nonlinear].add(shock)
            there = z, density(z)
            taken = log_uniform < there[1] - now[1]
            return jax.tree.map(lambda a, b: jnp.where(taken, a, b), there, now), None

        steps = MOVES.walk_steps
        best = MOVES.step * spread / jnp.sqrt(jnp.maximum((spread > 0.0).sum(1, keepdims=True), 1))
        length = jnp.exp(MOVES.log_step_sd * jax.random.normal(keys[0], (steps, 1)))
        shocks = length * best[jnp.arange(steps) % 2] * jax.random.normal(keys[1], (steps, spread.shape[1]))
        log_uniform = jnp.log(jax.random.uniform(keys[2], (steps,)))
        (z, _), _ = jax.lax.scan(step, (z, density(z)), (shocks, log_uniform))
        return z

    def _beside_white_noise(self, z: Array, data: FitData) -> list[Array]:
        """Return all that the rates depend on beside the white noise."""
        rates = self._posterior.rates(z, data)
        process = [rates.correlated_sd, rates.memory] if isinstance(rates, CorrelatedTermsNormal) else []
        return [rates.loc, rates.coef_sd, *process]

    def _most_probable(self, z: Array, data: FitData) -> Array:
        rates = self._posterior.rates(z, data)
        return (rates.log_odds(rates.white_noise(data.rate)) > 0) & data.filled

    def _log_weights(self, z: Array, data: FitData) -> Array:
        """Weights are high for ScWs in doubt, and for those whose noise is mostly shared with others."""
        rates = self._posterior.rates(z, data)
        odds, shared = log_odds_alone(rates, data.rate)
        doubt = jax.nn.sigmoid(odds) * jax.nn.sigmoid(-odds)
        return jnp.where(data.filled, jnp.log(doubt * shared + MOVES.least_weight), -jnp.inf)


def log_odds_alone(rates: Indicated, value: Array) -> tuple[Array, Array]:
    """Log odds that one ScW is an outlier, given the indicators of all others, with the noise integrated out.

    With V the covariance of the rates if the ScW is a usual one, r the residual and δ the variance that an
    outlier adds to it, the density as an outlier is higher by a factor of
    (1 + δ q)^(-1/2) exp(δ a² / (2 (1 + δ q))), where q = (V⁻¹)ᵢᵢ and a = (V⁻¹r)ᵢ. Both follow from the
    gradient of the log density with respect to the rates and the variances.

    Parameters
    ----------
    rates
        Distribution of the rates.
    value
        The rates, cts/s, (band, block, width).

    Returns
    -------
    log_odds : Array
        Shape (band, block, width).
    shared : Array
        Variance of the noise that a usual ScW shares with others, given their rates, over that of its own.
    """

    def log_density(value: Array, variance: Array) -> Array:
        return rates.with_variance(variance).log_prob(value).sum()

    by_value, by_variance = jax.grad(log_density, (0, 1))(value, rates.noise_variance)
    a, q = -by_value, by_value**2 - 2.0 * by_variance
    usual = rates.usual_variance
    more = usual * (rates.size[:, None, None] ** 2 - 1.0)
    # As a usual ScW: an outlier has `more` in its variance.
    back = jnp.where(rates.hit, 1.0 / (1.0 - more * q), 1.0)
    a, q = a * back, q * back
    gain = 0.5 * more * a**2 / (1.0 + more * q) - 0.5 * jnp.log1p(more * q)
    return rates.log_prior_odds[:, None, None] + gain, jnp.maximum(1.0 / (usual * q) - 1.0, 0.0)


def _one_changed(key: Array, rates: Indicated, log_weight: Array, data: FitData) -> Array:
    """Draw the indicator of one ScW in each revolution, which is chosen by its weight."""
    key_choice, key_change = jax.random.split(key)
    chance = log_weight + jax.random.gumbel(key_choice, log_weight.shape)
    highest = jax.ops.segment_max(chance.max(-1).T, data.block_revolution, data.time.size).T
    chosen = chance == highest[:, data.block_revolution][:, :, None]
    odds, _ = log_odds_alone(rates, data.rate)
    hit = jax.random.uniform(key_change, odds.shape) < jax.nn.sigmoid(odds)
    return jnp.where(chosen & data.filled, hit, rates.hit)
