"""Fits whose bands run in other processes or on Dask workers: the same run, resumed where it was stopped."""

import distributed
import numpy as np
import pytest
import xarray as xr

from ridgebayes import models, sample
from ridgebayes.errors import InputError
from ridgebayes.inference.settings import Settings
from ridgebayes.runs import elsewhere
from ridgebayes.runs.run import CHECKPOINT, Run
from ridgebayes.runs.sampling import resume
from tests.helpers import pickled
from tests.helpers.cli import call, one_line

SETTINGS = Settings(chains=2, warmup=20, draws=60, seed=5)


@pytest.fixture(scope="module")
def data(small_mission):
    """Four revolutions in two bands."""
    few = np.isin(small_mission.revolution, np.unique(small_mission.revolution)[::7])
    return small_mission.take_bands(["A01", "A02"]).select(few)


@pytest.fixture(scope="module")
def model(three_regions):
    return models.regions(three_regions)


@pytest.fixture(scope="module")
def whole(data, model):
    """The fit in one process."""
    return sample(model, data, settings=SETTINGS)


def same(one, other):
    for group in ("posterior", "sample_stats", "calibrated", "posterior_predictive"):
        if group in one.tree.children or group in other.tree.children:
            xr.testing.assert_identical(one.tree[group].dataset, other.tree[group].dataset)


@pytest.mark.long
def test_processes_give_the_same_bit_for_bit(data, model, whole, tmp_path):
    found = sample(model, data, settings=SETTINGS, scheduler="local:2", out=tmp_path / "run")
    same(whole, found)
    assert not (tmp_path / "run" / CHECKPOINT).exists()
    assert "elsewhere" in found.record["seconds"]


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bit_for_bit(data, model, whole):
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        same(whole, sample(model, data, settings=SETTINGS, scheduler=cluster.scheduler_address))


@pytest.mark.slow
def test_a_fit_that_was_stopped_is_resumed(data, model, whole, tmp_path, monkeypatch):
    """One band has ended: it is not done again, wherever the other is done."""
    begun = []

    def stopped(fits, tasks, scheduler, **options):
        begun.extend(task.name for task in tasks)
        yield next(pickled.run(fits, tasks, scheduler, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(elsewhere, "run", stopped)
    out = tmp_path / "run"
    with pytest.raises(
        KeyboardInterrupt, match=rf"stopped after 1 of 2 fits, .* go on with `ridgebayes resume {out}`"
    ):
        sample(model, data, settings=SETTINGS, scheduler="local:2", out=out)
    assert begun == ["A01", "A02"]

    def known(fits, tasks, scheduler, **options):
        assert [len(task.kept.chains) for task in tasks] == [SETTINGS.chains, 0]
        yield from pickled.run(fits, tasks, scheduler, **options)

    monkeypatch.setattr(elsewhere, "run", known)
    same(whole, resume(out, scws=data, scheduler="local:2"))
    same(whole, Run.open(out))


@pytest.mark.slow
def test_a_fit_that_was_stopped_elsewhere_is_resumed_here(data, model, whole, tmp_path, monkeypatch):
    def lost(fits, tasks, scheduler, *, go_on, **options):
        yield next(pickled.run(fits, tasks, scheduler))
        raise InputError(f"the Dask scheduler at tcp://x:1 has gone away: {go_on}")

    monkeypatch.setattr(elsewhere, "run", lost)
    out = tmp_path / "run"
    with pytest.raises(InputError, match=f"gone away: go on with `ridgebayes resume {out}`"):
        sample(model, data, settings=SETTINGS, scheduler="tcp://x:1", out=out)
    monkeypatch.undo()
    same(whole, resume(out, scws=data))


@pytest.mark.slow
def test_a_model_of_bands_together_is_one_task(data, three_regions, monkeypatch):
    names = []

    def spied(fits, tasks, scheduler, **options):
        names.extend(map(str, tasks))
        yield from pickled.run(fits, tasks, scheduler, **options)

    monkeypatch.setattr(elsewhere, "run", spied)
    settings = Settings(chains=1, warmup=5, draws=5, seed=5)
    sample(models.spectrum(three_regions), data, settings=settings, scheduler="local:2")
    assert names == ["fit of all bands"]


def test_what_does_not_go_together(data, model, tmp_path):
    with pytest.raises(InputError, match=r"max_time=\.\.\. is for a fit in this process"):
        sample(model, data, settings=SETTINGS, scheduler="local:2", max_time=1.0)
    with pytest.raises(InputError, match="devices=2: is for a fit in this process"):
        sample(
            model, data, settings=SETTINGS.changed({"devices": 2}), scheduler="local:2", out=tmp_path / "run"
        )
    with pytest.raises(InputError, match="scheduler='local:0': give local"):
        sample(model, data, settings=SETTINGS, scheduler="local:0", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "command", ["fit", "resume", "update", "demo", "check", "loo", "compare", "sbc", "campaign", "rates"]
)
def test_commands_say_it_one_way(command):
    text = " ".join(call(command, "--help").output.split())
    assert "--scheduler WHERE Where tasks run: local, the cores of this machine;" in text


def test_the_command_line_names_the_option(tmp_path):
    result = call("fit", "nowhere.fits", "--out", tmp_path / "run", "--scheduler", "here")
    one_line(result, "--scheduler here: give local, local:N for N processes here")
    given = ["--scheduler", "local:2", "--max-time", 1]
    result = call("resume", tmp_path / "run", *given)
    one_line(result, "--max-time is for a fit in this process: leave it away, or --scheduler")
