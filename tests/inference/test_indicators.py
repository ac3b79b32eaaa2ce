"""Draws of the indicators of outliers: against the change of one indicator, and all sets of them."""

from dataclasses import replace
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

from ridgebayes import models
from ridgebayes.inference.indicators import Fixed, Indicators, log_odds_alone
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.marginal import Marginal, linear_parameters
from ridgebayes.runs.sampling import meet
from tests.helpers.dense_algebra import few_scws


def prepared(model, scws):
    """Marginal density of a model with outliers, and data without any."""
    model, made = meet(model, scws)
    posterior = Posterior(model, made.data)
    data = replace(made.data, hit=jnp.zeros(made.data.rate.shape, bool))
    return Marginal(posterior, linear_parameters(posterior, data), data), data


def a_vector(posterior, data):
    """Near the start, where nothing is zero."""
    start = np.asarray(posterior.start(jax.random.key(0), data))
    return start + 0.3 * posterior.scale * np.random.default_rng(4).normal(size=posterior.size)


EXTRAS = [
    ("outliers",),
    pytest.param(("outliers", "correlated_noise", "transients"), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("extras", EXTRAS)
def test_odds_of_one_are_the_change_of_the_density(small_mission, three_regions, extras):
    model = models.regions(three_regions).with_extras(*extras)
    marginal, data = prepared(model, few_scws(small_mission).take_bands(["A01", "A02"]))
    posterior = marginal.posterior
    filled = np.broadcast_to(data.filled, data.rate.shape)
    hit = (np.random.default_rng(1).uniform(size=data.rate.shape) < 0.2) & filled
    z, rate = a_vector(posterior, data), jnp.asarray(data.rate)
    rates = posterior.rates(z, replace(data, hit=jnp.asarray(hit)))
    odds, shared = (np.asarray(x) for x in jax.jit(log_odds_alone)(rates, rate))

    @jax.jit
    def density(hit):
        with_hits = posterior.rates(z, replace(data, hit=hit))
        return with_hits.log_prob(rate).sum() + with_hits.log_prob_of_hits()

    curvature = jax.jit(
        lambda at, usual: jax.jvp(jax.grad(lambda x: usual.log_prob(x).sum()), (rate,), (at,))
    )
    checked = np.argwhere(filled)[::7]
    assert len(checked) > 10
    for at in map(tuple, checked):
        yes, no = (jnp.asarray(hit).at[at].set(one) for one in (True, False))
        assert odds[at] == pytest.approx(float(density(yes) - density(no)), abs=1e-6)
        unit = jnp.zeros(rate.shape).at[at].set(1.0)
        q = -curvature(unit, rates.with_hits(no))[1][at]
        assert shared[at] == pytest.approx(
            float(1.0 / (q * rates.usual_variance[at]) - 1.0), rel=1e-6, abs=1e-9
        )


@pytest.mark.slow
def test_only_scatters_and_outliers_are_drawn_given_the_white_noise(small_mission, three_regions):
    """Not the latitude of the sky, whose shape changes columns rather than coefficients."""
    everything = ("outliers", "correlated_noise", "transients", "smooth_crab", "free_latitude")
    marginal, data = prepared(models.regions(three_regions).with_extras(*everything), few_scws(small_mission))
    posterior = marginal.posterior
    found = Indicators(marginal)._of_white_noise(a_vector(posterior, data), data)
    drawn = np.zeros(posterior.size, bool)
    drawn[marginal.nonlinear[found]] = True
    assert {name for name in posterior.shapes if posterior.named(name)[drawn].any()} == {
        "background.scatter", "crab.scatter", "outlier.fraction",
    }  # fmt: skip
    assert found.sum() == 3 * 2


def test_draws_against_all_sets(small_mission):
    """Eight ScWs, one far off: probabilities of the indicators, share of outliers, and scatter.

    All else is kept. A revolution term of 3 % explains the ScWs that are off as well as outliers do.
    """
    quiet = small_mission.select((small_mission.lat > 40) & ~small_mission.crab).take_bands(["A01"])
    scws = quiet.select(np.arange(8))
    rate = scws.rate.copy()
    rate[3, 0] *= 1.06
    rate[6, 0] *= 0.975
    a, b = 1.5, 4.0
    model = models.background().with_extras("outliers").with_priors({
        "background.drift": 0.0, "background.tracer": 0.0, "background.revolution_sd": 0.03,
        "background.scatter": dist.HalfNormal(0.02), "outlier.size": 6.0, "outlier.fraction": dist.Beta(a, b),
    })  # fmt: skip
    marginal, data = prepared(model, replace(scws, rate=rate))
    posterior, at = marginal.posterior, np.argwhere(np.asarray(data.filled))
    assert len(at) == 8
    start = np.asarray(posterior.start(jax.random.key(0), data))
    scatter, share = (
        np.flatnonzero(posterior.named(n))[0] for n in ("background.scatter", "outlier.fraction")
    )

    def density(value, hit):
        z = jnp.asarray(start).at[scatter].set(value)
        rates = posterior.rates(z, replace(data, hit=hit))
        prior = -posterior.prior_potential(z, replace(data, hit=hit)) - rates.log_prob_of_hits()
        return prior + rates.log_prob(data.rate).sum()

    sets = np.array(list(product((False, True), repeat=8)))
    hits = np.zeros((len(sets), *data.rate.shape), bool)
    hits[:, 0, *at.T] = sets
    grid = np.linspace(-8.0, 270.0, 1200)
    each = jax.jit(jax.vmap(jax.vmap(density, (None, 0)), (0, None)))(grid, hits)
    counts = sets.sum(1)
    # The share integrated over its prior.
    of_share = stats.betabinom(8, a, b).logpmf(counts) - np.log(stats.binom(8, 0.5).pmf(counts) * 2**8)
    weight = np.exp(np.asarray(each) + of_share - np.asarray(each).max())
    weight /= weight.sum()
    probability, mean_scatter = weight.sum(0) @ sets, weight.sum(1) @ grid
    assert weight[[0, -1]].sum() < 1e-6
    mean_share = weight.sum(0) @ ((a + counts) / (a + b + 8))
    assert ((probability > 0.2) & (probability < 0.9)).any()

    indicators, draws = Indicators(marginal), 6000
    spread = np.zeros((2, marginal.nonlinear.size))
    spread[[0, 1], np.searchsorted(marginal.nonlinear, [share, scatter])] = 1.5, 5.0
    fixed = Fixed(spread, np.where(np.asarray(data.filled), 0.0, -np.inf)[None])
    z, drawn, kept = start, np.asarray(data.hit), []
    for seed in range(draws):
        drawn, z = indicators.drawn(seed, z, fixed, replace(data, hit=drawn))
        kept.append([*drawn[0, *at.T], z[scatter], 1.0 / (1.0 + np.exp(-z[share]))])
    kept = np.array(kept, float)[200:]
    expected = np.array([*probability, mean_scatter, mean_share])
    means = kept.reshape(20, -1, 10).mean(1)
    error = means.std(0, ddof=1) / np.sqrt(20)
    assert (error[:8] < 0.02).all()
    assert (np.abs(kept.mean(0) - expected) < 4.5 * error).all()
