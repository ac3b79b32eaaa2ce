"""Values of many vectors: piece by piece they are those of the whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ridgebayes import models
from ridgebayes.inference import batched
from ridgebayes.inference.batched import Values
from ridgebayes.inference.laplace import Curvature
from ridgebayes.inference.log_density import Posterior
from ridgebayes.runs.sampling import meet


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(batched, "_PIECE", 30)


@pytest.fixture(scope="module")
def mission(small_mission):
    return small_mission.take_bands(["A01"])


@pytest.mark.parametrize(
    "extras",
    [
        (),
        pytest.param(("outliers",), marks=pytest.mark.slow),
        pytest.param(("free_latitude",), marks=pytest.mark.slow),
        ("transients", "smooth_crab"),
    ],
)
def test_pieces_add_up(mission, three_regions, extras):
    model, prepared = meet(models.regions(three_regions).with_extras(*extras), mission)
    posterior, data = Posterior(model, prepared.data), prepared.data
    cut = Values._cut(data)
    assert cut is not None
    (bounds, (blocks, revolutions)) = cut
    assert len(bounds) == data.filled.shape[0] // 30 > 2
    assert blocks < 50
    assert revolutions < data.time.size / 2

    curvature = Curvature(posterior.potential)
    start = posterior.start(jax.random.key(0), data)
    root = 0.1 * np.diag(posterior.scale)
    us = np.random.default_rng(0).normal(size=(30, posterior.size))
    found = Values(curvature, in_pieces=True).of(data, start, root)(us)
    one_by_one = [curvature.value_and_gradient(start + root @ u, data)[0] for u in us]
    np.testing.assert_allclose(found, one_by_one, rtol=1e-12)
    assert np.ptp(found) > 1.0


def test_a_model_that_looks_across_revolutions_is_taken_whole(mission, three_regions):
    """The pieces of such a model of a user's do not add up to it."""
    _, prepared = meet(models.regions(three_regions), mission)
    data = prepared.data
    across = lambda z, data: jnp.sum(z**2) * jnp.mean(data.level * data.time)  # noqa: E731
    curvature = Curvature(across)
    us = np.random.default_rng(0).normal(size=(3, 4))
    found = Values(curvature, in_pieces=True).of(data, np.ones(4), np.eye(4))(us)
    np.testing.assert_allclose(found, [across(1 + u, data) for u in us], rtol=1e-12)


def test_not_a_number_is_infinite():
    found = Values(Curvature(lambda z, data: jnp.log(z[0]))).of(None, np.zeros(1), np.eye(1))
    np.testing.assert_array_equal(found(np.array([[-1.0], [1.0]])), [np.inf, 0.0])
