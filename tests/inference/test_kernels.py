"""NUTS in whitened coordinates, against a Gaussian in closed form."""

import jax
import numpy as np
import pytest

from ridgebayes.inference.kernels import BLOCK, Draws, Nuts, Progress, Warmed, blocks, freeze
from ridgebayes.inference.mode import Gaussian


def potential(z, data):
    mean, precision = data
    return 0.5 * (z - mean) @ precision @ (z - mean)


@pytest.fixture(scope="module")
def target():
    """Mean and covariance: neighbours correlated, scales from 1e-2 to 1e2."""
    n, rng = 12, np.random.default_rng(0)
    chol = np.tril(rng.normal(size=(n, n)) * 0.5) + np.eye(n)
    scale = np.diag(np.logspace(-2, 2, n))
    return np.arange(n, dtype=float), scale @ chol @ chol.T @ scale


@pytest.fixture(scope="module")
def nuts():
    return Nuts(potential, warmup=200, target_accept=0.9, max_tree_depth=10)


def chain(nuts, target, draws, after=None, key=0):
    """Run a chain from a Gaussian that is off by a spread and a third too wide."""
    mean, covariance = target
    around = Gaussian(mean + np.sqrt(np.diag(covariance)), 1.3 * np.linalg.cholesky(covariance))
    data = mean, np.linalg.inv(covariance)
    return list(nuts.chain(jax.random.key(key), data, around, draws, after))


def test_nuts_has_the_moments(nuts, target):
    mean, covariance = target
    found = [b for b in chain(nuts, target, 4000) if isinstance(b, Draws)]
    z, sd = np.concatenate([b.z for b in found]), np.sqrt(np.diag(covariance))
    assert z.shape == (4000, 12)
    np.testing.assert_allclose(z.mean(0) / sd, mean / sd, atol=0.1)
    np.testing.assert_allclose(np.cov(z.T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=0.12)
    precision = np.linalg.inv(covariance)
    expected = -0.5 * np.einsum("di,ij,dj->d", z - mean, precision, z - mean)
    np.testing.assert_allclose(np.concatenate([b.statistics["lp"] for b in found]), expected, atol=1e-6)


@pytest.mark.parametrize("stop", [3, 11])
def test_a_chain_goes_on_bit_for_bit(nuts, target, stop):
    """In the middle of its warm-up of eight blocks, and after it."""
    whole = chain(nuts, target, 150, key=5)
    first = whole[:stop]
    warmed = sum(b.n for b in first if isinstance(b, Warmed))
    after = Progress(warmed, [b for b in first if isinstance(b, Draws)], freeze(first[-1].state))
    rest = chain(nuts, target, 150, after, key=5)
    assert len(first) + len(rest) == len(whole)
    of = lambda parts: np.concatenate([b.z for b in parts if isinstance(b, Draws)])  # noqa: E731
    np.testing.assert_array_equal(of(whole), of([*first, *rest]))


def test_blocks_are_what_is_left():
    assert list(blocks(0, 60, BLOCK)) == [(0, 25), (25, 25), (50, 10)]
    assert list(blocks(50, 60, BLOCK)) == [(50, 10)]
    assert list(blocks(60, 60, BLOCK)) == []
