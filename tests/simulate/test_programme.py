"""The simulator's own programme: composition, times, visibility."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord, get_sun
from astropy.time import Time

from ridgebayes import simulate
from ridgebayes.errors import InputError
from ridgebayes.table import orbit
from ridgebayes.table.scw import CRAB


@pytest.fixture(scope="module")
def programme():
    return simulate.programme(1500, stop=2740, seed=0)


@pytest.fixture(scope="module")
def per_revolution(programme):
    """ScWs of each revolution: all, and those at high latitude."""
    _, row, count = np.unique(programme.revolution, return_inverse=True, return_counts=True)
    return count, np.bincount(row, np.abs(programme.lat) > 20)


# Shares measured on the real programme since revolution 70.
@pytest.mark.parametrize(
    ("name", "share"), [("high", 0.278), ("plane", 0.52), ("bulge", 0.131), ("crab", 0.047)]
)
@pytest.mark.slow
def test_shares_of_scws(programme, name, share):
    lon, lat = np.abs(programme.lon), np.abs(programme.lat)
    masks = {
        "high": lat > 20,
        "plane": lat < 5,
        "bulge": (lon < 10) & (lat < 10),
        "crab": programme.near(CRAB, 12),
    }
    assert abs(masks[name].mean() - share) < (0.015 if name == "crab" else 0.03)


def test_shares_of_revolutions(per_revolution):
    _, high = per_revolution
    assert abs((high == 0).mean() - 0.36) < 0.03
    assert abs(((high > 0) & (high < 5)).mean() - 0.08) < 0.025


def test_scws_a_revolution(per_revolution):
    count, _ = per_revolution
    assert abs(count.mean() - 66) < 3
    np.testing.assert_allclose(np.percentile(count, [5, 95]), [41, 102], atol=5)


def test_lengths(programme):
    low, median, high = np.percentile(programme.exposure, [5, 50, 95])
    assert 1800 < median < 2000
    assert abs(low - 1600) < 60
    assert abs(high - 3570) < 60


def test_times(programme):
    assert programme.phase.min() > 0.04
    assert programme.phase.max() < 0.96
    np.testing.assert_allclose(programme.mjd, orbit.mjd_at(programme.revolution, programme.phase), atol=1e-9)
    same = np.diff(programme.revolution) == 0
    gap_s = np.diff(programme.mjd) * 86400 - (programme.exposure[1:] + programme.exposure[:-1]) / 2
    assert (gap_s[same] > 60).all()  # ScWs follow each other without overlap
    assert programme.scw_id[0] == f"{programme.revolution[0]:04d}00010010"
    assert np.unique(programme.scw_id).size == len(programme)


@pytest.fixture(scope="module")
def sun(programme):
    """Position of the Sun in the middle of each ScW's revolution."""
    number, row = np.unique(programme.revolution, return_inverse=True)
    at = get_sun(Time(orbit.mjd_at(number, 0.5), format="mjd", scale="tt"))
    return SkyCoord(at.ra[row], at.dec[row])


def test_the_sun_allows_every_target(programme, sun):
    angle = programme.position.separation(sun).deg
    corner = 2 * 2.17 * np.sqrt(2)  # a dither goes that far beyond its target
    assert angle.min() > 50 - corner - 0.1
    assert angle.max() < 128 + corner + 0.1


def test_the_bulge_has_two_seasons(programme):
    bulge = (np.abs(programme.lon) < 5) & (np.abs(programme.lat) < 5)
    month = np.floor(((programme.mjd[bulge] - 51544) % 365.25) / 30.44).astype(int)
    by_month = np.bincount(month, minlength=12) / bulge.sum()
    # The Sun is within 50° of the centre, or opposite to it, around Christmas and in June.
    assert by_month[[0, 4, 5, 6, 11]].max() < 0.02
    assert by_month[[1, 2, 3]].sum() > 0.3
    assert by_month[[7, 8, 9]].sum() > 0.3


def test_roll_follows_the_sun(programme, sun):
    off = (programme.position.position_angle(sun).deg - programme.roll + 180) % 360 - 180
    assert np.abs(off).max() < 3.0001
    np.testing.assert_allclose(off.std(), 3 / np.sqrt(3), rtol=0.05)


def test_revolutions_stay_on_few_targets(programme):
    first = programme.revolution == programme.revolution[0]
    assert first.sum() > 20
    cells = []
    for revolution in np.unique(programme.revolution)[:200]:
        rows = programme.revolution == revolution
        cells.append(
            len(
                {
                    (round(a / 10), round(b / 10))
                    for a, b in zip(programme.lon[rows], programme.lat[rows], strict=True)
                }
            )
        )
    assert np.median(cells) < 15


def test_dither_steps():
    plan = simulate.programme(40, seed=3)
    same = np.diff(plan.revolution) == 0
    nearest = []
    for revolution in np.unique(plan.revolution):
        where = plan.position[plan.revolution == revolution]
        apart = where[:, None].separation(where[None]).deg + 1e3 * np.eye(len(where))
        apart[apart < 0.01] = 1e3  # the pattern over again
        nearest.append(np.median(apart.min(axis=0)))
    assert same.any()
    np.testing.assert_allclose(np.median(nearest), 2.17, atol=0.02)


def test_seed_and_roll():
    one, same, other = (simulate.programme(5, seed=s) for s in (1, 1, 2))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    bare = simulate.programme(5, seed=1, roll=False)
    assert bare.roll is None
    np.testing.assert_array_equal(bare.ra, one.ra)
    assert one.meta["simulated"]


def test_which_revolutions():
    np.testing.assert_array_equal(np.unique(simulate.programme(4, 100).revolution), [100, 101, 102, 103])
    np.testing.assert_array_equal(np.unique(simulate.programme(start=2738).revolution), [2738, 2739, 2740])
    thinned = np.unique(simulate.programme(10, 100, stop=199).revolution)
    np.testing.assert_array_equal((thinned - 100) // 10, np.arange(10))  # one from each tenth


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_revolutions": 0}, "0 revolutions from 70"),
        ({"n_revolutions": 20, "stop": 80}, "20 revolutions from 70 to 80: give 1 to 11"),
        ({"start": 0}, "give numbers from 1 to 9999"),
        ({"n_revolutions": 5, "start": 9998}, "give numbers from 1 to 9999"),
        ({"start": 90, "stop": 80}, "from 90 to 80"),
    ],
)
def test_bad_revolutions(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate.programme(**arguments)
