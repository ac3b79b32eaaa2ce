"""Polynomials in place of the density: against a density in closed form, and chains against exact ones."""

import arviz_stats  # noqa: F401 (the accessor `azstats`)
import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import ridgebayes as rb
from ridgebayes import models
from ridgebayes.inference.emulator import error, fitted, serves
from ridgebayes.inference.kernels import Draws
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.marginal import Conditional
from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.sampler import Sampler
from ridgebayes.inference.tuning import EMULATOR
from ridgebayes.runs.sampling import meet

REFERENCE = np.array([0.5, -1.0])
FRAME = Proposal.straight(np.zeros(3), np.eye(3), 30.0)
LOG_PROPOSAL = stats.multivariate_normal(np.zeros(3)).logpdf


def smooth(thetas, bump=0.0):
    """Gaussians of two linear parameters, which depend on three nonlinear ones through mild exponentials."""
    found = []
    for theta in thetas:
        precision = np.array([[4.0, 1.0], [1.0, 3.0]]) * np.exp(0.1 * theta[0])
        gradient = np.array([1.0, -0.5]) * np.exp(0.05 * theta[1])
        factor = np.linalg.cholesky(precision)
        mean = REFERENCE + np.linalg.solve(precision, gradient)
        density = -0.5 * theta @ theta + 0.05 * theta[2] ** 3 + (bump if np.abs(theta).max() > 2.0 else 0.0)
        density += 0.5 * gradient @ np.linalg.solve(precision, gradient) - np.log(np.diag(factor)).sum()
        found.append((density, mean, factor))
    return Conditional(*(np.array(x) for x in zip(*found, strict=True)))


def draws(n=200):
    return np.random.default_rng(1).normal(size=(n, 3))


def test_a_smooth_density_is_reproduced():
    emulator = fitted(smooth, FRAME, REFERENCE, np.random.default_rng(0))
    thetas = draws()
    thetas = thetas[emulator.covers(thetas)]
    assert len(thetas) > 190
    exact, found = smooth(thetas), Conditional(*emulator.conditionals(thetas))
    np.testing.assert_allclose(found.log_density, exact.log_density, atol=1e-3)
    np.testing.assert_allclose(found.mean, exact.mean, atol=1e-4)
    np.testing.assert_allclose(found.factor, exact.factor, atol=1e-3)
    emulated = lambda x: Conditional(*emulator.conditionals(x))  # noqa: E731
    assert error(smooth, emulated, thetas, LOG_PROPOSAL(thetas)) < 1e-3


def test_it_does_not_claim_what_is_far_from_its_nodes():
    emulator = fitted(smooth, FRAME, REFERENCE, np.random.default_rng(0))
    far = np.array([[4.5, 0.0, 0.0], [3.5, 3.5, 3.5], [0.0, 0.0, 0.0]])
    assert emulator.covers(far).tolist() == [False, False, True]


def test_a_density_that_is_no_polynomial_is_left_alone():
    """A step of 20 in log density, or no density at all at some nodes."""
    for bump in (20.0, -np.inf):
        assert fitted(lambda x, b=bump: smooth(x, b), FRAME, REFERENCE, np.random.default_rng(0)) is None


@pytest.mark.parametrize("step", [3.0, -3.0])
def test_an_error_shows_whichever_density_is_higher(step):
    """The emulated density is off by three beyond two sd: too low, or so high that chains would go there."""
    thetas = draws()
    off = error(smooth, lambda x: smooth(x, step), thetas, LOG_PROPOSAL(thetas))
    assert off > 5 * EMULATOR.max_error
    assert error(smooth, smooth, thetas, LOG_PROPOSAL(thetas)) == 0.0
    nowhere = lambda x: smooth(x)._replace(log_density=np.full(len(x), -np.inf))  # noqa: E731
    assert error(smooth, nowhere, thetas, LOG_PROPOSAL(thetas)) == np.inf


def test_only_long_missions_with_few_parameters():
    assert serves(200_000, 9)
    assert not serves(20_000, 9)
    assert not serves(200_000, 30)


@pytest.mark.slow
def test_chains_agree_with_exact_ones(monkeypatch):
    """Means and sd of all parameters, from a simulated mission of 200 revolutions."""
    scws = rb.simulate.mission(rb.simulate.programme(200, seed=3), seed=3).take_bands(["A01"])
    model, made = meet(models.regions("milkyway"), scws)
    posterior = Posterior(model, made.data)
    sampler = Sampler(posterior, made.data, warmup=0)
    found = {}
    for cells in (10**9, 0):
        monkeypatch.setattr("ridgebayes.inference.emulator.EMULATOR", EMULATOR._replace(min_cells=cells))
        start = sampler.begin(jax.random.key(0), made.data, np.random.default_rng(0))
        assert (start.emulator is None) == bool(cells)
        blocks = [sampler.chain(jax.random.key(k), made.data, start, 1000) for k in range(2)]
        found[cells] = np.stack(
            [np.concatenate([b.z for b in chain if isinstance(b, Draws)]) for chain in blocks]
        )
    exact, emulated = (found[c].reshape(-1, posterior.size) for c in (10**9, 0))
    worth = min(
        xr.DataArray(z, dims=("chain", "draw", "x")).azstats.ess().values.min() for z in found.values()
    )
    assert worth > 400
    z = (emulated.mean(0) - exact.mean(0)) / exact.std(0) * np.sqrt(worth / 2)
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(emulated.std(0) / exact.std(0), 1.0, atol=4 / np.sqrt(worth))
