"""Chains of the nonlinear parameters: against a Gaussian in closed form, NUTS, and all sets of outliers."""

import logging
from dataclasses import replace
from itertools import product

import arviz_stats  # noqa: F401 (the accessor `azstats`)
import jax
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr
from numpyro.infer import MCMC, NUTS, init_to_median
from scipy import stats

from ridgebayes import models
from ridgebayes.inference.kernels import Draws
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.metropolis import Metropolis, _shift
from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.sampler import BY_BAND, MARGINAL, METROPOLIS, Sampler
from ridgebayes.inference.tuning import CHOICE, PROPOSAL
from ridgebayes.model import components
from ridgebayes.runs.fitted import sites
from ridgebayes.runs.sampling import meet
from tests.helpers.dense_algebra import few_scws


def prepared(model, scws):
    model, made = meet(model, scws)
    return Posterior(model, made.data), made


def drawn(posterior, data, draws, *, chains=1, seed=0, method="auto", warmup=200):
    """Unconstrained draws (chain, draw, parameter), their statistics, and how the chains began."""
    sampler = Sampler(posterior, data, warmup=warmup, method=method)
    start = sampler.begin(jax.random.key(seed), data, np.random.default_rng(seed))
    made = []
    for number in range(chains):
        key = jax.random.fold_in(jax.random.key(seed), number)
        made.append([b for b in sampler.chain(key, data, start, draws) if isinstance(b, Draws)])
    z = np.stack([np.concatenate([b.z for b in chain]) for chain in made])
    statistics = {
        n: np.stack([np.concatenate([b.statistics[n] for b in chain]) for chain in made])
        for n in made[0][0].statistics
    }
    return z, statistics, start


def ess(z):
    """Bulk ESS of each parameter of chains (chain, draw, parameter)."""
    return xr.DataArray(z, dims=("chain", "draw", "parameter")).azstats.ess().values


CLOSED = {
    "background.drift": 0.0, "background.tracer": 0.4, "background.revolution_sd": 0.03,
    "background.scatter": 0.016, "crab.rate": 1.0, "crab.scatter": 0.0,
}  # fmt: skip
"""With these fixed, and a Crab rate that is itself a cubic in time, the rates are linear in what is left."""


def cubic_crab_rate(p, data):
    return (data.crab_rate * p("crab.rate"))[:, None] * (1.0 + p("crab.shape") @ data.crab_basis[1:])


QUICK, *SLOW = ("auto", 60, 1, 500), ("auto", 2, 1, 500), ("auto", 2, 2, 500), ("nuts", 60, 1, 500)
LONG = ("auto", 60, 1, 6000), ("auto", 2, 1, 6000), ("auto", 2, 2, 6000), ("nuts", 60, 1, 6000)


@pytest.mark.parametrize(
    ("method", "too_many", "bands", "draws"),
    [
        QUICK,
        *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW),
        *(pytest.param(*case, marks=pytest.mark.long) for case in LONG),
    ],
)
def test_of_a_gaussian_in_closed_form(small_mission, monkeypatch, method, too_many, bands, draws):
    """Level and cubic of the Crab's rate: the cubic is proposed, the level drawn given it.

    Whole; or where there are too many, some of its coefficients at a time, or those of one of two bands.
    """
    monkeypatch.setattr("ridgebayes.inference.sampler.CHOICE", CHOICE._replace(max_at_once=too_many))
    monkeypatch.setattr(components, "crab_rate", cubic_crab_rate)
    few = few_scws(small_mission).take_bands(["A01", "A02"][:bands])
    model = models.crab().with_priors(CLOSED)
    posterior, made = prepared(model, few)
    data, chosen = made.data, few.crab
    rows = lambda x: made.layout.unpack(np.asarray(x))[:, chosen]  # noqa: E731
    vectors = np.vstack([np.zeros(posterior.size), np.eye(posterior.size)])
    found = [sites(posterior, z, data)["rate"] for z in vectors]
    loc = np.array([rows(x.loc) for x in found])
    position = np.searchsorted(made.layout.revolutions, few.revolution)[chosen]
    level = posterior.named("background.level")
    prior_mean, prior_sd = np.where(level, 1.0, 0.0), np.where(level, 0.1, 0.3)
    precision, vector = np.diag(prior_sd**-2), prior_mean / prior_sd**2
    for band in range(bands):
        design, y = (loc[1:, band] - loc[0, band]).T, few.rate[chosen, band] - loc[0, band]
        terms = np.asarray(found[0].coef_sd)[band][:, position] * rows(data.basis)
        noise = np.diag(rows(found[0].noise_variance)[band])
        noise = noise + np.einsum("jn,jm->nm", terms, terms) * (position[:, None] == position)
        precision = precision + design.T @ np.linalg.solve(noise, design)
        vector = vector + design.T @ np.linalg.solve(noise, y)
    covariance = np.linalg.inv(precision)
    mean = covariance @ vector

    z, statistics, start = drawn(posterior, data, draws, method=method)
    assert start.method == {"nuts": MARGINAL}.get(method, METROPOLIS if bands == 1 else BY_BAND)
    assert start.method != METROPOLIS or (start.pace.whole > 0) == (too_many == 60)
    z, sd, worth = z[0], np.sqrt(np.diag(covariance)), ess(z)
    assert worth.min() > draws / 6
    assert (np.abs(z.mean(0) - mean) < 4.5 * sd / np.sqrt(worth)).all()
    scale = np.outer(sd, sd)
    np.testing.assert_allclose(np.cov(z.T) / scale, covariance / scale, atol=6 / np.sqrt(worth.min()))
    # The log density that is kept is that of all parameters together, up to a constant.
    expected = -0.5 * np.einsum("di,ij,dj->d", z - mean, precision, z - mean)
    off = statistics["lp"][0] - expected
    np.testing.assert_allclose(off, off[0], atol=1e-5)


@pytest.mark.slow
def test_where_nothing_is_nonlinear_every_draw_is_exact(small_mission):
    """The level alone: no proposal, independent draws."""
    few = few_scws(small_mission).take_bands(["A01"])
    fixed = CLOSED | {"crab.shape": 0.0, "background.level": "Normal(1, 0.1)"}
    posterior, made = prepared(models.crab().with_priors(fixed), few)
    z, statistics, _ = drawn(posterior, made.data, 500)
    assert posterior.size == 1
    assert (statistics["acceptance_rate"] == 1.0).all()
    assert stats.kstest(z[0, :, 0], stats.norm(z.mean(), z.std()).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(z[0, 1:, 0], z[0, :-1, 0])[0, 1]) < 0.15


OUTLIERS = {
    "background.drift": 0.0, "background.tracer": 0.0, "background.revolution_sd": 0.01,
    "background.scatter": 0.01, "outlier.size": 6.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("bands", "draws", "share"),
    [
        *(pytest.param(bands, 500, None, marks=pytest.mark.slow) for bands in (1, 2)),
        *(pytest.param(bands, 6000, None, marks=pytest.mark.long) for bands in (1, 2)),
        pytest.param(1, 1000, 0.2, marks=pytest.mark.slow),
    ],
)
def test_outliers_against_all_sets_of_them(small_mission, monkeypatch, bands, draws, share):
    """Nine ScWs, two of them far off: the share of outliers, and which they are, from all 512 sets.

    Of one band, or of the first of two that are sampled in turn. With a known share nothing is nonlinear.
    """
    choice = CHOICE._replace(max_at_once={1: 60, 2: 0}[bands])
    monkeypatch.setattr("ridgebayes.inference.sampler.CHOICE", choice)
    quiet = small_mission.select((small_mission.lat > 40) & ~small_mission.crab)
    quiet = quiet.take_bands(["A01", "A02"][:bands])
    first = quiet.select(np.arange(len(quiet)) % (len(quiet) // 8) == 0)
    scws = first.select(np.arange(9))
    rate = scws.rate.copy()
    rate[3, 0] *= 1.06
    rate[6, 0] *= 0.97
    scws = replace(scws, rate=rate)
    a, b = 1.5, 4.0
    model = models.background().with_extras("outliers")
    model = model.with_priors(OUTLIERS | {"outlier.fraction": share or dist.Beta(a, b)})
    posterior, made = prepared(model, scws)
    data, n = made.data, len(scws)
    assert np.asarray(data.filled).sum() == n
    usual, level = (made.layout.unpack(np.asarray(x))[0] for x in _variance_and_level(posterior, data))
    position = np.searchsorted(made.layout.revolutions, made.scws.revolution)
    terms = 0.01 * level * made.layout.unpack(np.asarray(data.basis))
    shared = np.einsum("jn,jm->nm", terms, terms) * (position[:, None] == position)
    shared = shared + 0.1**2 * np.outer(level, level)  # of the level, whose prior is Normal(1, 0.1)
    log_weight = {}
    for hit in product((0, 1), repeat=n):
        k = sum(hit)
        variance = usual * np.where(hit, 36.0, 1.0)
        of_rates = stats.multivariate_normal(level, np.diag(variance) + shared).logpdf(made.scws.rate[:, 0])
        # The share known, or integrated over its prior.
        number = stats.binom(n, share) if share else stats.betabinom(n, a, b)
        log_weight[hit] = of_rates + number.logpmf(k) - np.log(stats.binom(n, 0.5).pmf(k) * 2**n)
    every, weight = np.array(list(log_weight)), np.exp(np.array(list(log_weight.values())))
    weight /= weight.sum()
    probability, counts = weight @ every, every.sum(1)
    mean = weight @ ((a + counts) / (a + b + n))
    square = weight @ ((a + counts) * (a + counts + 1) / ((a + b + n) * (a + b + n + 1)))
    assert 0.2 < probability[np.argsort(probability)[-2]] < 1.0

    z, _, start = drawn(posterior, data, draws, chains=2)
    assert start.method == {1: METROPOLIS, 2: BY_BAND}[bands]
    if not share:
        fraction = posterior.constrain(z)["outlier.fraction"][..., :1]
        worth = ess(fraction).min()
        sd = np.sqrt(square - mean**2)
        assert worth > draws / 12
        assert abs(fraction.mean() - mean) < 4.5 * sd / np.sqrt(worth)
        assert fraction.std() == pytest.approx(sd, rel=6 / np.sqrt(worth))
    # The level given each set, mixed over the sets.
    levels = z[..., posterior.named("background.level")][..., :1]
    expected = second = 0.0
    for hit, w in zip(every, weight, strict=True):
        variance = usual * np.where(hit, 36.0, 1.0)
        noise = np.diag(variance) + shared - 0.1**2 * np.outer(level, level)
        solved = np.linalg.solve(noise, level)
        precision = level @ solved + 100.0
        given = (solved @ made.scws.rate[:, 0] + 100.0) / precision
        expected, second = expected + w * given, second + w * (given**2 + 1.0 / precision)
    worth = ess(levels).min()
    assert abs(levels.mean() - expected) < 4.5 * levels.std() / np.sqrt(worth)
    assert levels.std() == pytest.approx(np.sqrt(second - expected**2), rel=6 / np.sqrt(worth))


def _variance_and_level(posterior, data):
    """Usual variance of each ScW, and the reference level."""
    rate = sites(posterior, np.zeros(posterior.size), data)["rate"]
    level = np.asarray(data.level)[:, np.asarray(data.block_revolution), None] * np.ones(data.filled.shape)
    return rate.noise_variance, level


@pytest.mark.long
def test_the_posterior_is_that_of_numpyros_nuts(small_mission, three_regions, caplog):
    """Of all parameters together, none integrated out, with NumPyro's own adaptation.

    It begins at medians of the prior: from a random start a chain was caught where the Crab changes
    several-fold and everything else is scatter.
    """
    caplog.set_level(logging.INFO)
    scws = small_mission.take_bands(["A01"])
    keep = np.unique(scws.revolution)[::2]
    scws = scws.select(np.isin(scws.revolution, keep))
    posterior, made = prepared(models.regions(three_regions), scws)
    z, _, start = drawn(posterior, made.data, 2000, chains=4)
    assert start.method == METROPOLIS
    own = posterior.constrain(z)
    plain = MCMC(
        NUTS(posterior.model, target_accept_prob=0.9, dense_mass=True, init_strategy=init_to_median),
        num_warmup=1000, num_samples=2000, num_chains=2, chain_method="sequential", progress_bar=False,
    )  # fmt: skip
    plain.run(jax.random.key(1), made.data)
    theirs = plain.get_samples(group_by_chain=True)
    for name in posterior.shapes:
        a, b = (np.asarray(x[name]).reshape(*x[name].shape[:2], -1) for x in (own, theirs))
        worth = np.minimum(ess(a), ess(b))
        assert worth.min() > 400, name
        sd = b.std((0, 1))
        assert (np.abs(a.mean((0, 1)) - b.mean((0, 1))) < 4.5 * sd * np.sqrt(2 / worth)).all(), name
        np.testing.assert_allclose(a.std((0, 1)), sd, rtol=6 / np.sqrt(worth.min()), err_msg=name)


def test_the_proposal_follows_the_outliers(small_mission, three_regions):
    """With other outliers its centre moves to where the gradient of the density is nearly as before."""
    posterior, made = prepared(models.regions(three_regions).with_extras("outliers"), small_mission)
    sampler = Sampler(posterior, made.data, warmup=0)
    z = posterior.start(jax.random.key(0), made.data)
    around, given = sampler.search.mode(z, made.data)
    metropolis, proposal = Metropolis(sampler.marginal), Proposal.about(around, PROPOSAL.guess_degrees)
    aim, start = metropolis._marginal_slope(given, proposal), metropolis._start(given, proposal)
    other = np.zeros(given.data.hit.shape, bool)
    other.flat[np.flatnonzero(made.data.filled)[::40]] = True
    given = given._replace(data=replace(given.data, hit=other))

    def step(proposal):
        """Step of Newton's method in sd of the parameters that are proposed."""
        step = metropolis._newton(proposal, metropolis._marginal_slope(given, proposal) - aim)
        return np.linalg.solve(of_rest.root, step)

    of_rest = proposal.of(metropolis.proposed)
    whole = step(proposal)
    assert np.linalg.norm(step(metropolis._recentred(proposal, given, aim))) < 0.3 * np.linalg.norm(whole)
    # What shifts the proposal in chains adds up the effects of single outliers.
    shift = np.linalg.solve(of_rest.root, _shift(of_rest, other, start))
    assert np.linalg.norm(shift - whole) < 0.1 * np.linalg.norm(whole)

    # Steps of a proposal that is far too wide would lead further away each time.
    wide = proposal._replace(root=5.0 * proposal.root)
    height = lambda q: sampler.marginal.log_densities(q.skewed(q.mean)[None], given)[0]  # noqa: E731
    heights = [height(wide)]
    for _ in range(4):
        wide = metropolis._recentred(wide, given, aim)
        heights.append(height(wide))
    assert (np.diff(heights) >= 0.0).all()


def test_with_outliers_a_proposal_is_widened_or_refitted(small_mission, three_regions, monkeypatch):
    model = models.regions(three_regions).with_extras("outliers")
    posterior, made = prepared(model, small_mission.take_bands(["A01"]))
    sampler, rng = Sampler(posterior, made.data, warmup=0), np.random.default_rng(0)
    start = sampler.begin(jax.random.key(0), made.data, rng)
    before, proposed = start.proposal, sampler._metropolis.proposed

    def refitted(width):
        """To draws, without long tails, whose parameters spread by `width` times the proposal."""
        u = before.mean + width * (rng.normal(size=(2000, before.mean.size)) @ before.root.T)
        z = sampler.marginal.joined(before.skewed(u), np.zeros((2000, sampler.marginal.linear.size)))
        return sampler.refitted(start, z.reshape(4, 500, -1), made.data, 0)

    def wider(again, of):
        return np.linalg.norm(of(again.proposal), axis=1) / np.linalg.norm(of(before), axis=1)

    root = lambda proposal: proposal.root  # noqa: E731
    one = np.arange(before.mean.size) == proposed[2]
    assert refitted(1.0) is None
    assert refitted(np.where(one, 1.4, 1.0)).dropped == 500
    np.testing.assert_allclose(
        wider(refitted(np.where(one, 1.4, 1.0)), root), np.where(one, 1.4, 1.0), rtol=0.1
    )
    # No more than by half, and only parameters that are proposed.
    expected = np.where(np.isin(np.arange(one.size), proposed), 1.5, 1.0)
    np.testing.assert_allclose(wider(refitted(15.0), root), expected)
    # Fewer of these are accepted, so there are more proposals for a draw.
    assert refitted(15.0).pace.tries > start.pace.tries

    # Not too narrow, but parameters mix far worse than most.
    monkeypatch.setattr("ridgebayes.inference.sampler.sticks", lambda z: True)
    again = refitted(np.where(one, 0.5, 1.0))
    sd = lambda proposal: proposal.gaussian.root  # noqa: E731
    np.testing.assert_allclose(wider(again, sd), np.where(one, 0.5, 1.0), rtol=0.25)
    assert again.hit is start.hit
    too_few = CHOICE._replace(min_acceptance_refitted=1.0)
    monkeypatch.setattr("ridgebayes.inference.sampler.CHOICE", too_few)
    assert refitted(np.where(one, 0.5, 1.0)) is None
