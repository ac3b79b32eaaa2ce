"""Revolutions in pieces."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from ridgebayes import models
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData, prepare
from ridgebayes.likelihood.partition import shares, thinned
from ridgebayes.runs.fitted import sites
from ridgebayes.runs.sampling import meet


@pytest.mark.parametrize(
    ("blocks", "n", "revolutions"),
    [
        ([1, 1, 1, 1], 2, [0, 2, 4]),
        ([10, 1, 1, 1], 2, [0, 1, 4]),
        ([1, 1, 1, 10], 2, [0, 3, 4]),
        ([10, 1, 1, 1], 4, [0, 1, 2, 3, 4]),
        ([3, 0, 3], 2, [0, 1, 3]),
    ],
)
def test_shares_are_whole_revolutions_of_about_as_many_blocks(blocks, n, revolutions):
    block_revolution = np.repeat(np.arange(len(blocks)), blocks)
    first_revolution, first_block = shares(block_revolution, len(blocks), n)
    assert first_revolution.tolist() == revolutions
    np.testing.assert_array_equal(first_block, np.r_[0, np.cumsum(blocks)][revolutions])


def test_shares_of_a_mission_are_even(rng):
    counts = rng.integers(1, 12, 500)
    for n in (2, 3, 8):
        first, start = shares(np.repeat(np.arange(500), counts), 500, n)
        assert first[0] == 0
        assert first[-1] == 500
        assert np.diff(start).max() - np.diff(start).min() <= 2 * counts.max()


@pytest.mark.slow
def test_every_array_with_revolutions_or_blocks_is_divided(small_mission, three_regions):
    """An array that a later model adds must not forget to name its axes."""
    one, two = (
        prepare(small_mission.select(rows), three_regions, opened=("reshaped", "crab.rate")).data
        for rows in (small_mission.revolution > 0, small_mission.revolution > small_mission.revolution.min())
    )
    # While a model with outliers is sampled there are also indicators.
    one, two = (replace(data, hit=np.zeros(data.rate.shape, bool)) for data in (one, two))
    blocks = {data.filled.shape[0] for data in (one, two)}
    revolutions = {data.time.shape[0] for data in (one, two)}
    assert len(blocks) == len(revolutions) == 2
    for name in set(FitData.axes()) - {"sequence"}:
        shapes = [np.shape(getattr(data, name)) for data in (one, two)]
        changed = [
            axis for axis, (a, b) in enumerate(zip(*shapes, strict=True)) if {a, b} in (blocks, revolutions)
        ]
        axes = FitData.axes()[name]
        assert len(axes) == len(shapes[0]), name
        assert changed == [i for i, axis in enumerate(axes) if axis in ("block", "revolution")], name


@pytest.mark.parametrize(
    "extras", [(), ("correlated_noise",), ("correlated_noise", "free_latitude", "outliers", "transients")]
)
@pytest.mark.slow
def test_some_revolutions_are_a_mission_of_their_own(small_mission, three_regions, extras):
    """Its density is that of the same revolutions in the whole."""
    model = models.regions(three_regions).with_extras(*extras)
    model, prepared = meet(model, small_mission.take_bands(["A01"]))
    data = prepared.data
    posterior = Posterior(model, data)
    z = posterior.start(jax.random.key(0), data)
    whole = sites(posterior, z, data)["rate"].log_prob_by_revolution(data.rate)
    few = thinned(data, 3)
    assert few.time.size == len(range(0, data.time.size, 3))
    found = sites(posterior, z, few)["rate"].log_prob_by_revolution(few.rate)
    np.testing.assert_allclose(found, whole[..., ::3], rtol=1e-10)


@pytest.mark.slow
def test_fewer_revolutions_than_devices():
    with pytest.raises(InputError, match="3 revolutions: give at most"):
        shares(np.array([0, 1, 2]), 3, 4)
