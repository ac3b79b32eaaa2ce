"""The block layout: nothing lost, nothing mixed."""

import numpy as np
import pytest

from ridgebayes.likelihood.packing import layout, pack_sky


@pytest.fixture
def mission():
    rng = np.random.default_rng(0)
    revolution = rng.permutation(np.repeat([70, 71, 300, 301], [1, 16, 40, 130]))
    exposure = np.zeros((revolution.size, 12))
    for row in exposure:
        first = rng.integers(0, 10)
        row[first : first + rng.integers(1, 4)] = rng.uniform(1, 50)
    exposure[rng.random(revolution.size) < 0.3] = 0
    return revolution, exposure


@pytest.mark.parametrize("width", [1, 7, 16])
def test_pack_and_unpack_round_trip(mission, width):
    revolution, exposure = mission
    where = layout(revolution, exposure != 0, width=width)
    values = np.random.default_rng(1).normal(size=(2, revolution.size))
    np.testing.assert_array_equal(where.unpack(where.pack(values)), values)
    assert where.n_scws == revolution.size
    assert where.mask.shape[1] == width


def test_blocks_hold_one_revolution(mission):
    revolution, exposure = mission
    where = layout(revolution, exposure != 0)
    numbers = where.revolutions[where.block_revolution][:, None]
    assert (where.pack(revolution, -1) == np.where(where.mask, numbers, -1)).all()
    assert (np.diff(where.block_revolution) >= 0).all()


def test_sky_keeps_every_exposure(mission):
    revolution, exposure = mission
    where = layout(revolution, exposure != 0)
    packed, region = pack_sky(where, exposure)
    intensity = np.random.default_rng(2).normal(size=exposure.shape[1])
    flux = (intensity[region][:, :, None] * packed).sum(0)
    np.testing.assert_allclose(where.unpack(flux), exposure @ intensity, rtol=1e-13)


def test_blocks_see_few_regions():
    """A revolution that scans the plane must not make every block carry the whole plane."""
    exposure = np.zeros((360, 36))
    for i in range(360):
        exposure[i, [(i // 10 + k) % 36 for k in range(3)]] = 1
    packed, _ = pack_sky(where := layout(np.full(360, 100), exposure != 0), exposure)
    assert packed.shape[0] <= 8
    assert where.mask.size < 2.5 * 360


def test_no_regions_and_one_scw():
    where = layout([100])
    assert where.mask.sum() == 1
    packed, region = pack_sky(where, np.zeros((1, 0)))
    assert packed.shape == (0, 1, 16)
    assert region.shape == (0, 1)
