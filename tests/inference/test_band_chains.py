"""Chains that change one band at a time (their draws are tested in `test_metropolis.py`)."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ridgebayes import models
from ridgebayes.inference.band_chains import BandChains, _directions, _with_block
from ridgebayes.inference.kernels import Draws, Progress, freeze
from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.sampler import BY_BAND, Sampler
from ridgebayes.inference.tuning import CHOICE, PROPOSAL
from tests.helpers.dense_algebra import few_scws
from tests.inference.test_metropolis import CLOSED, prepared

OWN, SHARED = [np.array([0, 3]), np.array([1, 4])], np.array([2])


def chains():
    """Chains of two bands of two parameters, and one that they share."""
    return of(OWN, SHARED, np.arange(5))


def of(own, shared, proposed):
    metropolis = SimpleNamespace(marginal=SimpleNamespace(), proposed=proposed)
    return BandChains(SimpleNamespace(own=own, shared=shared), metropolis)


def correlated(rng):
    root = np.linalg.cholesky(np.cov(rng.normal(size=(5, 50))))
    return Proposal.straight(rng.normal(size=5), root, PROPOSAL.gaussian_degrees)


def test_blocks_are_the_gaussian_given_all_others(rng):
    q = correlated(rng)
    covariance = q.root @ q.root.T
    for block, at in zip(chains()._blocks(q), [*OWN, SHARED], strict=True):
        rest = np.setdiff1d(np.arange(5), at)
        np.testing.assert_array_equal(block.at, at)
        slope = covariance[np.ix_(at, rest)] @ np.linalg.inv(covariance[np.ix_(rest, rest)])
        np.testing.assert_allclose(block.regression, slope, rtol=1e-9)
        left = covariance[np.ix_(at, at)] - slope @ covariance[np.ix_(rest, at)]
        np.testing.assert_allclose(block.given.root @ block.given.root.T, left, rtol=1e-9)


def test_what_is_fitted_to_a_block_stays_with_it(rng):
    """Its covariance given all others is that of the fit; all else is as it was."""
    q = correlated(rng)
    first, second, shared = chains()._blocks(q)
    own = first.given._replace(
        mean=np.array([0.3, -0.2]), root=np.array([[0.5, 0.0], [0.2, 0.4]]), skew=np.array([0.1, 0.0])
    )
    new = _with_block(q, first, own)
    found = chains()._blocks(new)
    np.testing.assert_allclose(found[0].given.root, own.root, rtol=1e-9)
    np.testing.assert_array_equal(new.mean[first.at], own.mean)
    np.testing.assert_array_equal(new.skew[first.at], own.skew)
    for before, after in zip((second, shared), found[1:], strict=True):
        np.testing.assert_allclose(after.given.root, before.given.root, rtol=1e-9)
        np.testing.assert_array_equal(after.given.mean, before.given.mean)


def test_directions_whiten_the_proposal(rng):
    q = correlated(rng)
    ways = _directions(q, chains()._blocks(q))
    np.testing.assert_allclose(ways.root @ ways.root.T, q.root @ q.root.T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ways.inverse @ ways.root, np.eye(5), atol=1e-9)


def test_what_is_drawn_with_the_indicators_is_in_no_block(rng):
    q, proposed = correlated(rng), np.array([0, 1, 2, 3])
    parts = of(OWN, SHARED, proposed)._blocks(q)
    np.testing.assert_array_equal(np.sort(np.concatenate([part.at for part in parts])), proposed)
    ways = _directions(q, parts)
    np.testing.assert_allclose(ways.root @ ways.root.T, q.root @ q.root.T, rtol=1e-9, atol=1e-12)


def test_what_all_bands_do_together_is_slow():
    """Two bands of one parameter each: their sum has a variance of 1 + r, and 1 - r² is left given one."""
    for r, slow in ((0.9, [True, False]), (0.2, [False, False])):
        bands = of([np.array([0]), np.array([1])], np.array([], int), np.arange(2))
        q = Proposal.straight(
            np.zeros(2), np.linalg.cholesky([[1.0, r], [r, 1.0]]), PROPOSAL.gaussian_degrees
        )
        ways = _directions(q, bands._blocks(q))
        np.testing.assert_array_equal(ways.slow, slow)
        if slow[0]:
            np.testing.assert_allclose(ways.root[0, 0], ways.root[1, 0])
            np.testing.assert_allclose((ways.root[:, 0] ** 2).sum(), 1.0 + r)


@pytest.mark.slow
def test_an_interrupted_chain_goes_on_bit_for_bit(small_mission, monkeypatch):
    monkeypatch.setattr("ridgebayes.inference.sampler.CHOICE", CHOICE._replace(max_at_once=2))
    few = few_scws(small_mission)
    posterior, made = prepared(models.crab().with_priors(CLOSED), few)
    sampler = Sampler(posterior, made.data, warmup=0)
    start = sampler.begin(jax.random.key(0), made.data, np.random.default_rng(0))
    assert start.method == BY_BAND
    whole = list(sampler.chain(jax.random.key(1), made.data, start, 90))
    for stopped in (1, 2):  # after the warm-up, after the first draws
        warmed = sum(b.n for b in whole[:stopped] if not isinstance(b, Draws))
        draws = [b for b in whole[:stopped] if isinstance(b, Draws)]
        after = Progress(warmed, draws, freeze(whole[stopped - 1].state))
        rest = list(sampler.chain(jax.random.key(1), made.data, start, 90, after))
        assert len(rest) == len(whole) - stopped
        for one, other in zip(rest, whole[stopped:], strict=True):
            np.testing.assert_array_equal(one.z, other.z)
            for name, values in one.statistics.items():
                np.testing.assert_array_equal(values, other.statistics[name])


def test_a_mode_that_the_search_missed_is_found(small_mission, monkeypatch):
    """A short chain leads away from where the search ended, and a second search starts there."""
    monkeypatch.setattr("ridgebayes.inference.sampler.CHOICE", CHOICE._replace(max_at_once=2))
    posterior, made = prepared(models.crab().with_priors(CLOSED), few_scws(small_mission))
    sampler = Sampler(posterior, made.data, warmup=0)
    z = posterior.start(jax.random.key(0), made.data)
    mode, given = sampler.search.mode(z, made.data)
    aside = mode._replace(mode=mode.mode + 6.0 * np.sqrt((mode.root**2).sum(1)))
    monkeypatch.setattr(sampler.search, "mode", lambda *_: (aside, given))
    start = sampler.begin(jax.random.key(0), made.data, np.random.default_rng(0))
    away = np.linalg.solve(mode.root, start.around.mode - mode.mode)
    np.testing.assert_allclose(away, 0.0, atol=0.2)
