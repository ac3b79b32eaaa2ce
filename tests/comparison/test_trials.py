"""Which extras the data ask for."""

import numpy as np
import pytest

from ridgebayes import models, simulate
from ridgebayes.comparison.trials import Trial, Trials
from ridgebayes.errors import InputError

TRUTH = simulate.Truth(template=None, tau=(0.01, 0.005, 0.003))


def mission(three_regions, *world):
    programme = simulate.programme(30, stop=2740, seed=11)
    truth = simulate.World.on(*world) if world else simulate.World()
    return simulate.mission(programme, TRUTH, sky=three_regions, world=truth, seed=5).take_bands(["A01"])


@pytest.mark.slow
@pytest.mark.parametrize("world", ["correlated_noise", "outliers"])
def test_what_is_there_helps_most(three_regions, world):
    found = Trials(models.regions(three_regions), mission(three_regions, world)).ranked()
    assert (found[0].extra, found[0].helps) == (world, True)
    assert {trial.extra for trial in found} == {
        "correlated_noise", "outliers", "transients", "smooth_crab", "free_latitude"
    }  # fmt: skip


@pytest.mark.slow
def test_nothing_helps_where_nothing_is_wrong(three_regions):
    steps = list(Trials(models.regions(three_regions), mission(three_regions)).steps())
    assert len(steps) == 1
    assert not any(trial.helps for trial in steps[0])


@pytest.mark.slow
def test_gain_of_a_noise_that_is_not_there_is_its_parameters(three_regions):
    """The density of revolutions left out hardly changes, and what the extra takes is taken off."""
    trial = Trials(models.regions(three_regions), mission(three_regions)).of("correlated_noise")
    assert -4 < trial.gain < 3
    assert trial.beside == ()


@pytest.mark.slow
def test_of_a_long_table_some_revolutions_are_taken(three_regions):
    scws = mission(three_regions)
    tried = Trials(models.regions(three_regions), scws, most_scws=len(scws) // 3 + 1)
    np.testing.assert_array_equal(np.unique(tried.scws.revolution), np.unique(scws.revolution)[::3])
    assert tried.revolutions == 10


def test_what_a_model_cannot_have_is_no_candidate(three_regions):
    scws = mission(three_regions)
    assert Trials(models.background(three_regions), scws).candidates() == ["correlated_noise", "outliers"]
    opened = models.regions(three_regions).with_extras("outliers", "transients")
    assert Trials(opened, scws).candidates() == ["correlated_noise", "smooth_crab", "free_latitude"]


def test_too_few_revolutions(three_regions):
    scws = mission(three_regions)
    few = scws.select(np.isin(scws.revolution, np.unique(scws.revolution[scws.crab])[:3]))
    with pytest.raises(InputError, match="3 revolutions: to try an extra takes at least 4"):
        Trials(models.regions(three_regions), few)


@pytest.mark.parametrize(("gain", "se", "helps"), [(10, 4, True), (10, 6, False), (3, 0.1, False)])
def test_what_helps(gain, se, helps):
    trial = Trial("outliers", (), gain, se, 20)
    assert trial.helps is helps
    assert str(trial) == f"outliers: {'helps' if helps else 'does not help'} ({gain:+.1f} ± {se:.1f})"
    assert Trial(**trial.recorded()).helps is helps
