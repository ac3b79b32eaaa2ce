"""Independent proposals: their density, their acceptance, and that draws are those of the posterior."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ridgebayes import models, sample
from ridgebayes.inference.batched import Values
from ridgebayes.inference.independence import MIN_ACCEPTANCE, _schedule, acceptance, draw, with_proposal
from ridgebayes.inference.kernels import Draws, Progress, Sampler, freeze
from ridgebayes.inference.laplace import Curvature, Proposal, laplace

SHAPE, WIDTH = 12.0, 0.1


def potential(z, data):
    """The logarithms of two gamma variables, and three normal ones whose spread follows the first."""
    log_gamma = jnp.sum(jnp.exp(z[:2]) - SHAPE * z[:2])
    sd = jnp.exp(WIDTH * (z[0] - jnp.log(SHAPE)))
    return log_gamma + jnp.sum(0.5 * ((z[2:] - data) / sd) ** 2 + jnp.log(sd))


MEANS = np.array([1.0, -2.0, 3.0])
LOCATIONS = np.array([False, False, True, True, True])
LEADING = ~LOCATIONS


@pytest.fixture(scope="module")
def approximation():
    return laplace(Curvature(potential), np.zeros(5), MEANS, LOCATIONS, np.full(5, 10.0))


@pytest.fixture(scope="module")
def tabled(approximation):
    return with_proposal(
        Values(Curvature(potential)), approximation, LEADING, MEANS, np.random.default_rng(0)
    )


def bend(first):
    return 8.0 * (first - jnp.log(SHAPE)) ** 2


def curved(z, data):
    """That potential with the three others on a curve along the first."""
    return potential(z.at[2:].add(-bend(z[0])), data)


@pytest.fixture(scope="module")
def bent():
    curvature = Curvature(curved)
    found = laplace(curvature, np.zeros(5), MEANS, LOCATIONS, np.full(5, 10.0))
    return with_proposal(Values(curvature), found, LEADING, MEANS, np.random.default_rng(0))


def drawn(approximation, draws=8000, warmup=50, potential=potential):
    sampler = Sampler(Curvature(potential), warmup=warmup)
    blocks = [
        b for b in sampler.chain(jax.random.key(3), MEANS, approximation, draws) if isinstance(b, Draws)
    ]
    return np.concatenate([b.z for b in blocks]), {
        name: np.concatenate([b.statistics[name] for b in blocks]) for name in blocks[0].statistics
    }


def check_posterior(z, least=4000):
    """Compare with the closed form: gamma variables, and normal ones given the first."""
    standard = (z[:, 2:] - MEANS) / np.exp(WIDTH * (z[:, :1] - np.log(SHAPE)))
    few = slice(None, None, max(1, len(z) // least))
    for k in range(2):
        assert stats.kstest(np.exp(z[few, k]), stats.gamma(SHAPE).cdf).pvalue > 1e-3
    for k in range(3):
        assert stats.kstest(standard[few, k], stats.norm.cdf).pvalue > 1e-3


def test_the_first_columns_of_the_root_are_what_leads(approximation, tabled):
    assert (tabled.root[:2, 2:] == 0).all()
    covariance = approximation.root @ approximation.root.T
    np.testing.assert_allclose(tabled.root @ tabled.root.T, covariance, atol=1e-12)


def test_tables_are_the_marginal_density_of_the_scales(tabled):
    rng = np.random.default_rng(1)
    us, _ = draw(tabled.proposal, rng, 20_000)
    z = tabled.mode + us @ tabled.root.T
    assert stats.kstest(np.exp(z[:, 1]), stats.gamma(SHAPE).cdf).statistic < 0.02
    # Without the tables the skewness would be lost.
    plain = tabled.mode[1] + tabled.root[1, 1] * rng.normal(size=20_000)
    assert stats.kstest(np.exp(plain), stats.gamma(SHAPE).cdf).statistic > 0.03


@pytest.mark.parametrize("which", ["tabled", "bent"])
def test_draws_have_the_density_that_is_stated(which, request):
    """The mean of f / density over the draws is the integral of f, here one."""
    proposal = request.getfixturevalue(which).proposal
    us, log_q = draw(proposal, np.random.default_rng(2), 50_000)
    log_density_of_draws = log_q - 1.5 * np.log(2 * np.pi)  # all but the constant of the Gaussian is stated
    inside = stats.norm(0, 0.6).logpdf(us).sum(1)
    np.testing.assert_allclose(np.exp(inside - log_density_of_draws).mean(), 1.0, rtol=0.03)


def test_acceptance_is_that_of_a_chain():
    rng = np.random.default_rng(4)
    log_ratio = rng.normal(size=4000)
    current, accepted = log_ratio[0], 0
    for new, uniform in zip(log_ratio[1:], rng.uniform(size=3999), strict=True):
        if np.log(uniform) < new - current:
            current, accepted = new, accepted + 1
    assert acceptance(log_ratio) == pytest.approx(accepted / 3999, abs=0.04)


def test_draws_are_of_the_posterior(tabled):
    z, statistics = drawn(tabled)
    check_posterior(z)
    assert (statistics["n_steps"] == 0).mean() == pytest.approx(0.99)
    assert statistics["acceptance_rate"].mean() > 0.9
    np.testing.assert_allclose(statistics["lp"][-5:], [-potential(x, MEANS) for x in z[-5:]], rtol=1e-12)


@pytest.mark.slow
def test_draws_are_of_the_posterior_whatever_the_proposal(tabled):
    """Tables, middle and spread that are wrong, on a Gaussian that is too narrow and shifted: none wrong."""
    good, rng = tabled.proposal, np.random.default_rng(7)
    axes = np.array([np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(4)])
    tables = np.stack([good.tables[1], np.roll(good.tables[0], 40)])
    middle = rng.normal(0, 0.2, (2, 13, 5))
    middle[0, :, :1] = middle[1, :, :2] = 0.0  # each moves what comes after it
    wrong = Proposal(tables, middle, axes, rng.normal(0, 0.2, (4, 3)), np.asarray(2), np.asarray(50))
    off = tabled._replace(mode=tabled.mode + 0.3 * tabled.root.sum(1), root=0.9 * tabled.root, proposal=wrong)
    z, statistics = drawn(off, 120_000)
    assert statistics["acceptance_rate"].mean() < 0.8
    check_posterior(z, 1500)


def test_proposals_that_would_be_refused_are_not_used(approximation):
    banana = lambda z, data: potential(z, data) + 500.0 * (z[3] - z[2] ** 2) ** 2  # noqa: E731
    found = laplace(Curvature(banana), np.zeros(5), MEANS, LOCATIONS, np.full(5, 10.0))
    assert (
        with_proposal(Values(Curvature(banana)), found, LEADING, MEANS, np.random.default_rng(0)).proposal
        is None
    )


@pytest.mark.parametrize("where", ["everywhere", "never finite"])
def test_a_hopeless_approximation_is_left_to_nuts(approximation, where):
    """Far too wide: next to the mode the density is nothing, or not a number, along every coordinate."""
    wall = lambda z, data: jnp.where(jnp.abs(z[0] - approximation.mode[0]) > 1.0, jnp.nan, 0.0)  # noqa: E731
    steep = lambda z, data: potential(z, data) + (wall(z, data) if where == "never finite" else 0.0)  # noqa: E731
    wide = approximation._replace(root=1000 * approximation.root)
    assert (
        with_proposal(Values(Curvature(steep)), wide, LEADING, MEANS, np.random.default_rng(0)).proposal
        is None
    )


def test_middle_and_spread_follow_what_leads(bent):
    """Where the rest and its spread change along a curve, a round Gaussian is not enough."""
    assert bent.proposal.each == 1
    # The log of the inverse variance falls on the upper side of the first scale, and grows on the lower.
    np.testing.assert_allclose(bent.proposal.rates[0], -2 * WIDTH * bent.root[0, 0], rtol=0.05)
    np.testing.assert_allclose(bent.proposal.rates[2], 2 * WIDTH * bent.root[0, 0], rtol=0.05)
    straight = bent.proposal._replace(
        middle=np.zeros_like(bent.proposal.middle), rates=np.zeros_like(bent.proposal.rates)
    )
    us, log_q = draw(straight, np.random.default_rng(1), 500)
    assert acceptance(-Values(Curvature(curved)).of(MEANS, bent.mode, bent.root)(us) - log_q) < 0.6


def test_scales_that_lean_on_each_other():
    """Where the second is known well and bends along the first, as scatters that add up do, it moves."""
    lean = lambda first: 0.1 * jnp.exp(2.0 * (first - jnp.log(SHAPE)))  # noqa: E731
    # The second: a gamma variable of shape 100 times as large.
    leaning = lambda z, data: potential(z.at[1].add(lean(z[0])), data) + sharp(z[1] + lean(z[0]))  # noqa: E731
    sharp = lambda z: 99 * (jnp.exp(z) - SHAPE * z)  # noqa: E731
    curvature = Curvature(leaning)
    found = laplace(curvature, np.full(5, 2.0), MEANS, LOCATIONS, np.full(5, 0.3))
    found = with_proposal(Values(curvature), found, LEADING, MEANS, np.random.default_rng(0))
    assert found.proposal.each == 1
    still = found.proposal._replace(middle=np.zeros_like(found.proposal.middle))
    us, log_q = draw(still, np.random.default_rng(1), 500)
    assert acceptance(-Values(curvature).of(MEANS, found.mode, found.root)(us) - log_q) < 0.75
    z, statistics = drawn(found, potential=leaning)
    assert statistics["acceptance_rate"].mean() > 0.9
    second = stats.gamma(100 * SHAPE, scale=0.01)
    assert stats.kstest(np.exp(z[::10, 1] + np.asarray(lean(z[::10, 0]))), second.cdf).pvalue > 1e-3
    assert stats.kstest(np.exp(z[::10, 0]), stats.gamma(SHAPE).cdf).pvalue > 1e-3


def test_draws_are_of_a_posterior_that_bends(bent):
    """Undo the curve: what is left is the closed form."""
    z, statistics = drawn(bent, potential=curved)
    assert statistics["acceptance_rate"].mean() > 0.85
    z[:, 2:] -= bend(z[:, :1])
    check_posterior(z)


def test_a_posterior_with_wide_wings_is_left_to_nuts():
    """Draws of the proposal do not show what lies beyond them; from there a chain would not come back."""
    size, dof = 40, 400.0
    wings = lambda z, data: 0.5 * (dof + size) * jnp.log1p(jnp.sum(z**2) / dof)  # noqa: E731
    values = Values(Curvature(wings))
    found = laplace(Curvature(wings), np.zeros(size), MEANS, np.ones(size, bool), np.full(size, 10.0))
    rng = np.random.default_rng(0)
    us = rng.normal(size=(2000, size))
    accepted = acceptance(-values.of(MEANS, found.mode, found.root)(us) + 0.5 * (us**2).sum(1))
    assert accepted > MIN_ACCEPTANCE
    assert with_proposal(values, found, np.zeros(size, bool), MEANS, rng).proposal is None


def test_no_scales_is_a_gaussian():
    normal = lambda z, data: 0.5 * jnp.sum((z - data) ** 2)  # noqa: E731
    found = laplace(Curvature(normal), np.zeros(3), MEANS, np.ones(3, bool), np.full(3, 10.0))
    tabled = with_proposal(
        Values(Curvature(normal)), found, np.zeros(3, bool), MEANS, np.random.default_rng(0)
    )
    assert tabled.proposal.tables.shape[0] == 0


def test_a_chain_goes_on_bit_for_bit(tabled):
    sampler = Sampler(Curvature(potential), warmup=50)
    key = jax.random.key(5)
    whole = [b for b in sampler.chain(key, MEANS, tabled, 300) if isinstance(b, Draws)]
    first = whole[:2]
    after = Progress(25, first, freeze(first[-1].state))
    rest = [b for b in sampler.chain(key, MEANS, tabled, 300, after) if isinstance(b, Draws)]
    np.testing.assert_array_equal(
        np.concatenate([b.z for b in whole]), np.concatenate([b.z for b in [*first, *rest]])
    )


@pytest.mark.slow
def test_the_posterior_is_that_of_nuts(small_mission, three_regions):
    """Both samplers give every parameter the same mean and spread."""
    few = small_mission.take_bands(["A01"])
    model = models.regions(three_regions)
    runs = [sample(model, few, seed=6, draws=1500, sampler=how) for how in ("nuts", "auto")]
    proposed = [(run.tree["sample_stats"]["n_steps"] == 0).mean() for run in runs]
    assert proposed[0] == 0
    assert proposed[1] in [pytest.approx(1 - 1 / block) for block in (100, 50, 25)]
    for name, ess in runs[0].diagnosis.ess_bulk.items():
        a, b = (run.tree["posterior"][name] for run in runs)
        worth = np.minimum(ess, runs[1].diagnosis.ess_bulk[name])
        error = np.sqrt((a.var(("chain", "draw")) + b.var(("chain", "draw"))) / worth)
        assert (np.abs(a.mean(("chain", "draw")) - b.mean(("chain", "draw"))) <= 4 * error).all(), name
        spread = a.std(("chain", "draw")) - b.std(("chain", "draw"))
        assert (np.abs(spread) <= 4 * error).all(), name


@pytest.mark.parametrize(
    ("accepted", "left", "each", "block"),
    [
        (0.95, 0.3, 1, 100),
        (0.85, 0.3, 3, 50),
        (0.95, 0.05, 3, 100),
        (0.95, 0.02, 0, 0),
        (0.75, 0.3, 3, 25),
        (0.75, 0.05, 0, 0),
        (0.6, 0.3, 0, 0),
    ],
)
def test_schedule(accepted, left, each, block):
    """Three proposals where one would be refused too often, near or far; none where three would be."""
    assert _schedule(accepted, left) == (each, block)
