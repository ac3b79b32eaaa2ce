"""Old draws made draws of a new posterior, against closed forms."""

import numpy as np
import pytest

from ridgebayes.inference.importance import moments, moved, reweigh, smoothed


@pytest.fixture
def gaussian(rng):
    """Draws of an old Gaussian, log densities; curvature and slope of new data, mean and covariance then."""
    size = 6
    mean, root = rng.normal(size=size), np.tril(rng.normal(size=(size, size))) + 3 * np.eye(size)
    z = mean + rng.normal(size=(4, 1500, size)) @ root.T
    precision = np.linalg.inv(root @ root.T)
    pull = rng.normal(size=(3, size)) / 2
    hessian, target = pull.T @ pull, mean + 4.0 * root[:, 0]
    covariance = np.linalg.inv(precision + hessian)
    middle = covariance @ (precision @ mean + hessian @ target)
    quadratic = lambda d, p: -0.5 * np.einsum("...i,ij,...j", d, p, d)  # noqa: E731
    old = lambda z: quadratic(z - mean, precision)  # noqa: E731
    new = lambda z: old(z) + quadratic(z - target, hessian)  # noqa: E731
    return z, old, new, hessian, lambda at: hessian @ (at - target), middle, covariance


def statistics(lp, rng):
    return {
        "lp": lp,
        "energy": rng.chisquare(6, lp.shape) / 2 - lp,
        "n_steps": np.arange(lp.size).reshape(lp.shape),
    }


def test_weights_alone_are_too_few_and_moved_draws_are_all_worth(gaussian, rng):
    z, old, new, hessian, slope, middle, covariance = gaussian
    told = statistics(old(z), rng)
    alone = reweigh(z, told, new(z), rng, how="weighted")
    assert alone.efficiency < 0.1
    assert not alone.serves

    known = moments(z)
    there = moved(z, known, slope(known.mode), hessian)
    found = reweigh(there, told, new(there), rng, how="moved")
    assert found.efficiency > 0.98
    assert found.serves
    flat = found.z.reshape(-1, z.shape[-1])
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(flat.mean(0), middle, atol=0.06 * sd.max())
    np.testing.assert_allclose(np.cov(flat.T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=0.06)


def test_statistics_go_with_the_draws(gaussian, rng):
    z, old, new, *_ = gaussian
    told = statistics(old(z), rng)
    found = reweigh(z, told, new(z), rng, how="weighted")
    np.testing.assert_allclose(found.statistics["lp"], new(found.z))
    kinetic = (told["energy"] + told["lp"]).ravel()[found.statistics["n_steps"]]
    np.testing.assert_allclose(found.statistics["energy"] + found.statistics["lp"], kinetic)
    # In their order, within their chain.
    assert (np.diff(found.statistics["n_steps"], axis=1) >= 0).all()


def test_no_draw_where_the_density_is_zero(gaussian, rng):
    z, old, *_ = gaussian
    lp = np.where(z[..., 0] > z[..., 0].mean(), old(z) + 0.01 * z[..., 1], -np.inf)
    found = reweigh(z, statistics(old(z), rng), lp, rng, how="weighted")
    assert (found.z[..., 0] > z[..., 0].mean()).all()
    assert found.efficiency == pytest.approx(0.5, abs=0.05)


def test_data_that_say_nothing_change_nothing(gaussian, rng):
    z, old, *_ = gaussian
    found = reweigh(z, statistics(old(z), rng), old(z), rng, how="weighted")
    np.testing.assert_array_equal(found.z, z)
    assert found.efficiency == pytest.approx(1.0)
    assert found.serves


@pytest.mark.slow
def test_draws_are_judged_by_the_limits_of_a_fit(rng):
    def judged(z):
        lp = np.zeros(z.shape[:2])
        return reweigh(z, statistics(lp, rng), lp, rng, how="weighted").serves

    assert judged(rng.normal(size=(4, 2000, 3)))
    assert not judged(rng.normal(size=(4, 60, 3)))
    apart = rng.normal(size=(4, 2000, 3))
    apart[0, :, 1] += 0.6
    assert not judged(apart)


@pytest.mark.parametrize("heavy", [1, 30])
def test_weights_without_a_tail_are_not_smoothed(heavy):
    """ArviZ gives them weights that are no numbers, or a k that is none, depending on its version."""
    log_weight = np.full(2000, -500.0)
    log_weight[:heavy] = 0.0
    found, k = smoothed(log_weight)
    assert k == np.inf
    np.testing.assert_allclose(np.exp(found[:heavy]), 1 / heavy)
    np.testing.assert_allclose(np.exp(found[heavy:]), 0.0, atol=1e-200)


def test_moments_of_a_single_parameter(rng):
    found = moments(rng.normal(3.0, 2.0, size=(4, 5000, 1)))
    assert found.mode == pytest.approx([3.0], abs=0.1)
    assert found.root == pytest.approx(np.array([[2.0]]), abs=0.1)


def test_equal_weights_have_no_tail():
    found, k = smoothed(np.full(100, 3.0))
    assert k == 0.0
    np.testing.assert_allclose(found, -np.log(100))
