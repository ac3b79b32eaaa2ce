"""A fit brought up to date: what a fresh fit of all says, sooner."""

import dataclasses

import numpy as np
import pytest

from ridgebayes import models, sample, write_scws
from ridgebayes.errors import InputError
from ridgebayes.reopen import recall, reopen
from ridgebayes.run import Run
from ridgebayes.update import _converged, joined, update

MORE = {"chains": 4, "draws": 800, "seed": 3}


@pytest.fixture(scope="module")
def cut(small_mission):
    """SCW_ID from which ScWs are new: the last half of the last revolution."""
    inside = np.sort(small_mission.scw_id[small_mission.revolution == small_mission.revolution.max()])
    return inside[inside.size // 2]


@pytest.fixture(scope="module")
def old(small_mission, cut, three_regions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    write_scws(small_mission.select(small_mission.scw_id < cut), folder / "old.fits")
    from ridgebayes import read_scws

    table = read_scws(folder / "old.fits")
    return sample(models.regions(three_regions), table, out=folder / "run", **MORE)


@pytest.fixture(scope="module")
def fresh(small_mission, three_regions):
    return sample(models.regions(three_regions), small_mission, **MORE)


def agree(a, b):
    """Means of the FOV fluxes within the Monte Carlo error of both, and the same widths."""
    for run in (a, b):
        assert run.diagnosis.divergences <= 2
    x, y = a.fov_flux(), b.fov_flux()
    over = ("chain", "draw")
    worth = [run.diagnosis.ess_bulk["sky.intensity"].min() for run in (a, b)]
    error = np.sqrt(x.var(over) / worth[0] + y.var(over) / worth[1])
    assert (abs(x.mean(over) - y.mean(over)) < 4 * error).all()
    np.testing.assert_allclose(x.std(over), y.std(over), rtol=0.12)


def test_weighted_draws_are_the_fresh_fit_s(old, fresh, small_mission, cut, tmp_path):
    new = small_mission.select(small_mission.scw_id >= cut)
    run = update(old, new, tmp_path / "run")
    told = run.record["update"]
    assert told["how"] == "old draws, weighted", told
    assert told["new_scws"] == len(new)
    agree(run, fresh)
    # It knows its joined table, and can be reopened and updated again.
    again = reopen(Run.open(run.path))
    assert len(again.prepared.scws) == len(small_mission)
    kept = old.tree["constant_data"]["level"].values
    np.testing.assert_array_equal(again.prepared.scales.level[:, : kept.shape[1]], kept)


def test_chains_from_the_old_posterior_are_the_fresh_fit_s(old, fresh, small_mission, tmp_path, monkeypatch):
    """In the one band where the weighted draws do not serve."""
    serve = iter([True, False])
    monkeypatch.setattr("ridgebayes.update._converged", lambda draws: next(serve))
    run = update(old, small_mission, tmp_path / "run")
    assert run.record["update"]["how"] == "old draws, weighted; new chains from the old posterior in A02"
    assert run.record["sampling"]["warmup"] == 50
    agree(run, fresh)
    # The draws of the first band are old ones, those of the second are not.
    known = [np.isin(run.intensity()[:, :, k], old.intensity()[:, :, k]).mean() for k in (0, 1)]
    assert known[0] > 0.99
    assert known[1] < 0.01


def test_draws_are_judged_by_the_limits_of_a_fit(rng):
    assert _converged(rng.normal(size=(4, 2000, 3)))
    assert not _converged(rng.normal(size=(4, 60, 3)))
    apart = rng.normal(size=(4, 2000, 3))
    apart[0, :, 1] += 0.6
    assert not _converged(apart)


def test_weights_are_the_likelihood_of_what_is_new(old, small_mission, cut):
    """Against the difference of the log densities of all and of the old ScWs."""
    import jax

    from ridgebayes.posterior import Posterior
    from ridgebayes.sampling import independent
    from ridgebayes.update import _prepared, likelihood_of_new

    again, recalled = reopen(old), recall(old)
    prepared = _prepared(recalled, small_mission)
    both, z = independent(again.model, prepared.data)[0], again.z[:, :1, :6]
    recalled = recalled._replace(scales=prepared.scales)
    found = likelihood_of_new(again.posterior, z, recalled, small_mission)[0, 0]
    everything = jax.jit(Posterior(again.model, both).potential)
    before = jax.jit(again.posterior.potential)
    expected = np.array([before(row, again.parts[0]) - everything(row, both) for row in z[0, 0]])
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-7, atol=1e-7)


def test_what_is_refused(old, small_mission, cut, tmp_path):
    before = recall(old).scws
    with pytest.raises(InputError, match="nothing to update"):
        joined(before, small_mission.select(small_mission.scw_id < cut))
    other = dataclasses.replace(small_mission, rate=small_mission.rate * 1.001)
    with pytest.raises(InputError, match="have other rates than those that were fitted"):
        update(old, other, tmp_path / "run")
    assert not (tmp_path / "run").exists()
