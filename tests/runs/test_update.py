"""A fit brought up to date: what a fresh fit of all says, sooner."""

import dataclasses

import jax
import numpy as np
import pytest

from ridgebayes import models, sample, write_scws
from ridgebayes.errors import InputError
from ridgebayes.inference.importance import Reweighed
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.runner import Chains
from ridgebayes.runs.reload import Recalled, recall, reopen
from ridgebayes.runs.run import Run
from ridgebayes.runs.sampling import meet
from ridgebayes.runs.update import (
    CHAINS,
    MOVED,
    WEIGHTED,
    _Brought,
    _replaced,
    joined,
    likelihood_of_new,
    new_data,
    update,
)

pytestmark = pytest.mark.long

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


def densities(again):
    """Log density of the first draws, (chain, draw, band)."""
    one = jax.jit(again.posterior.potential)
    parts = zip(again.z[:, :, :5], again.parts, strict=True)
    return np.moveaxis([[[-one(z, data) for z in chain] for chain in draws] for draws, data in parts], 0, -1)


@pytest.mark.parametrize("way", [WEIGHTED, pytest.param(MOVED, marks=pytest.mark.slow)])
def test_old_draws_are_the_fresh_fit_s(old, fresh, small_mission, cut, tmp_path, way, monkeypatch):
    if way == MOVED:
        serves = Reweighed.serves.func
        monkeypatch.setattr(Reweighed, "serves", property(lambda found: found.how == MOVED and serves(found)))
    new = small_mission.select(small_mission.scw_id >= cut)
    run = update(old, new, tmp_path / "run")
    told = run.record["update"]
    assert told["how"] == {"A01": way, "A02": way}, told
    assert told["new_scws"] == len(new)
    agree(run, fresh)
    # It knows its joined table, and can be reopened and updated again: its densities are those of the whole.
    again = reopen(Run.open(run.path))
    assert len(again.prepared.scws) == len(small_mission)
    kept = old.tree["constant_data"]["level"].values
    np.testing.assert_array_equal(again.prepared.scales.level[:, : kept.shape[1]], kept)
    np.testing.assert_allclose(run.tree["sample_stats"]["lp_band"].values[:, :5], densities(again), rtol=1e-9)


def test_chains_from_the_old_posterior_are_the_fresh_fit_s(old, fresh, small_mission, tmp_path, monkeypatch):
    """In the one band where the old draws do not serve."""
    bring, brought = _Brought.up_to_date, []

    def up_to_date(self, *given):
        found = bring(self, *given)
        brought.append(found)
        found.__dict__["serves"] = len(brought) == 1
        return found

    monkeypatch.setattr(_Brought, "up_to_date", up_to_date)
    run = update(old, small_mission, tmp_path / "run")
    assert run.record["update"]["how"] == {"A01": WEIGHTED, "A02": CHAINS}
    assert run.record["sampling"]["warmup"] == 50
    agree(run, fresh)
    again = reopen(Run.open(run.path), small_mission)
    np.testing.assert_allclose(run.tree["sample_stats"]["lp_band"].values[:, :5], densities(again), rtol=1e-9)


def test_what_is_refused(old, small_mission, cut, tmp_path):
    before = recall(old).scws
    with pytest.raises(InputError, match="nothing to update"):
        joined(before, small_mission.select(small_mission.scw_id < cut))
    other = dataclasses.replace(small_mission, rate=small_mission.rate * 1.001)
    with pytest.raises(InputError, match=r"RATE of .* is not what was fitted"):
        update(old, other, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"phase": lambda x: 0.9 * x}, "PHASE of 1488 ScWs is not what was fitted"),
        ({"crab": np.zeros_like}, "CRAB of"),
        ({"tracer": lambda x: None, "tracer_err": lambda x: None}, "lacks TRACER, unlike the fitted table"),
    ],
)
def test_a_column_that_has_changed_is_refused(small_mission, cut, changes, match):
    new = {name: change(getattr(small_mission, name)) for name, change in changes.items()}
    with pytest.raises(InputError, match=match):
        joined(small_mission.select(small_mission.scw_id < cut), dataclasses.replace(small_mission, **new))


def test_an_old_run_with_fewer_draws_leaves_as_many():
    def chains(parts, draws):
        lp = {"lp": np.zeros((parts, 4, draws))}
        return Chains(np.zeros((parts, 4, draws, 5)), lp, (1,) * parts, (0,) * parts)

    assert _replaced(chains(2, 300), [1], chains(1, 500)).z.shape == (2, 4, 300, 5)


def test_new_scws_that_the_model_is_not_fitted_to_say_nothing(small_mission):
    """`background` is fitted far from the plane, and the new revolution lies on it."""
    new = small_mission.revolution == small_mission.revolution.max()
    table = dataclasses.replace(
        small_mission, ra=np.where(new, 266.4, small_mission.ra), dec=np.where(new, -28.9, small_mission.dec)
    ).take_bands(["A01"])
    model, prepared = meet(models.background(), table)
    given = Recalled(model, table.select(~new), prepared.response, None, prepared.scales)
    ((data,),) = new_data(given, table)
    assert data.filled.size
    assert not data.filled.any()
    posterior = Posterior(model, prepared.data)
    z = posterior.start(jax.random.key(0), prepared.data)
    assert likelihood_of_new(posterior).potential(z, (data,)) == 0.0
