"""Interrupted fits: what is kept, what comes of it, what is refused."""

import dataclasses
import signal
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
import xarray as xr

from ridgebayes import models, sample, write_scws
from ridgebayes.errors import InputError
from ridgebayes.inference.kernels import Nuts
from ridgebayes.inference.metropolis import Metropolis
from ridgebayes.inference.sampler import Sampler
from ridgebayes.inference.settings import Settings
from ridgebayes.inference.tuning import MOVES
from ridgebayes.runs.checkpoint import Checkpoint
from ridgebayes.runs.run import CHECKPOINT, Run
from ridgebayes.runs.sampling import resume
from tests.helpers.records import change

pytestmark = pytest.mark.long

SETTINGS = Settings(chains=2, warmup=50, draws=70, seed=5, sampler="nuts", max_tree_depth=4)
"""Short trajectories: what is resumed need not be well sampled. Each chain has five blocks."""
PROPOSALS = dataclasses.replace(SETTINGS, draws=150, sampler="auto")


@pytest.fixture(scope="module")
def table(small_mission, tmp_path_factory):
    """Four revolutions: of the high latitudes, the plane, the Crab, the bulge."""
    path = tmp_path_factory.mktemp("data") / "scws.fits"
    few = np.isin(small_mission.revolution, np.unique(small_mission.revolution)[::7])
    write_scws(small_mission.take_bands(["A01"]).select(few), path)
    return path


@pytest.fixture(scope="module")
def data(table):
    from ridgebayes import read_scws

    return read_scws(table)


@pytest.fixture(scope="module")
def whole(data, three_regions):
    """The fit that nobody interrupted."""
    return sample(models.regions(three_regions), data, settings=SETTINGS)


@pytest.fixture(scope="module")
def proposed(data, three_regions):
    """The same by independent proposals, every draw of which takes one step."""
    run = sample(models.regions(three_regions), data, settings=PROPOSALS)
    assert (run.tree["sample_stats"]["n_steps"] == 1).all()
    return run


@pytest.fixture(autouse=True)
def _always_kept(monkeypatch):
    monkeypatch.setattr("ridgebayes.inference.runner.CHECKPOINT_SECONDS", 0.0)


def interrupted(monkeypatch, model, data, out, blocks, settings=SETTINGS):
    """Sample until so many blocks are done, then as at Ctrl-C."""
    kind, name = (Nuts, "_run") if settings.sampler == "nuts" else (Metropolis, "_block")
    advance, left = getattr(kind, name), iter(range(blocks))

    def counted(self, *args):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return advance(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, counted)
        with pytest.raises(KeyboardInterrupt) as stopped:
            sample(model, data, out=out, settings=settings, workers=1)
    return str(stopped.value)


def same(run, whole, *more):
    """Bit for bit."""
    for group in ("posterior", "sample_stats", *more):
        xr.testing.assert_identical(
            run.tree[group].to_dataset().drop_attrs(), whole.tree[group].to_dataset().drop_attrs()
        )


@pytest.mark.parametrize("blocks", [0, 1, 4, 9])
def test_resumed_fit_is_the_whole_one_bit_for_bit(whole, data, three_regions, tmp_path, monkeypatch, blocks):
    out = tmp_path / "run"
    message = interrupted(monkeypatch, models.regions(three_regions), data, out, blocks)
    assert "kept: go on with `ridgebayes resume" in message
    with pytest.raises(InputError, match="unfinished: go on with `ridgebayes resume"):
        Run.open(out)
    run = resume(out)
    same(run, whole, "posterior_predictive")
    assert not (out / CHECKPOINT).exists()
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("blocks", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 6))])
def test_chains_of_proposals_are_resumed_too(data, three_regions, tmp_path, monkeypatch, blocks, proposed):
    """Each of two chains has a block that it leaves out and three that count."""
    interrupted(monkeypatch, models.regions(three_regions), data, tmp_path / "run", blocks, PROPOSALS)
    monkeypatch.setattr(Sampler, "begin", None)  # where chains begin is kept
    same(resume(tmp_path / "run"), proposed)


def test_chains_with_outliers_are_resumed_too(data, three_regions, tmp_path, monkeypatch):
    """Their state holds which ScWs are outliers. Stopped within the second chain."""
    model = models.regions(three_regions).with_extras("outliers")
    whole = sample(model, data, settings=PROPOSALS)
    # The first chain has several blocks, and each chain then has four.
    interrupted(monkeypatch, model, data, tmp_path / "run", MOVES.pilot_rounds + 1 + 6, PROPOSALS)
    same(resume(tmp_path / "run"), whole)


def test_killed_fit_resumes(whole, table, tmp_path):
    """`kill -9` after five of the ten blocks of both chains, in a process of its own."""
    out = tmp_path / "run"
    code = (
        "import os, signal\n"
        "from ridgebayes import models, read_scws, sample, sky\n"
        "from ridgebayes.inference import runner\n"
        "from ridgebayes.inference.kernels import Nuts\n"
        "runner.CHECKPOINT_SECONDS = 0.0\n"
        "advance, left = Nuts._run, iter(range(5))\n"
        "def counted(self, *args):\n"
        "    if next(left, None) is None:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return advance(self, *args)\n"
        "Nuts._run = counted\n"
        "regions = sky.load('coarse').select(['L-20', 'GB', 'L+20'])\n"
        f"sample(models.regions(regions), read_scws({str(table)!r}), out={str(out)!r}, "
        f"chains=2, warmup=50, draws=70, seed=5, sampler='nuts', max_tree_depth=4)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert list(out.glob(f"{CHECKPOINT}/chain-*.npz"))
    run = resume(out)
    xr.testing.assert_identical(
        run.tree["posterior"].to_dataset().drop_attrs(), whole.tree["posterior"].to_dataset().drop_attrs()
    )


class TestRefused:
    @pytest.fixture
    def stopped(self, data, three_regions, tmp_path, monkeypatch):
        out = tmp_path / "run"
        interrupted(monkeypatch, models.regions(three_regions), data, out, 1)
        return out

    def test_other_version(self, stopped):
        change(stopped / CHECKPOINT / "run.toml", "versions", "numpyro", to="0.1")
        with pytest.raises(
            InputError, match=rf"begun with numpyro 0.1, and this is {metadata.version('numpyro')}"
        ):
            resume(stopped)

    def test_other_data(self, stopped, data):
        other = dataclasses.replace(data, rate=data.rate * 1.01)
        with pytest.raises(InputError, match="begun with other data"):
            resume(stopped, scws=other)

    def test_other_model(self, stopped):
        prior = "model", "priors", "background.level"
        change(stopped / CHECKPOINT / "run.toml", *prior, to="Normal(1.0, 0.100000000)")
        with pytest.raises(InputError, match="begun with another model"):
            resume(stopped)

    def test_nothing_to_resume(self, whole, tmp_path):
        with pytest.raises(InputError, match="no unfinished run"):
            resume(tmp_path / "nowhere")
        done = whole.save(tmp_path / "done")
        with pytest.raises(InputError, match="is complete"):
            resume(done.path)

    def test_two_at_a_time(self, stopped):
        first = Checkpoint.open(stopped)
        with pytest.raises(InputError, match="another process is sampling into it"):
            resume(stopped)
        first.close()

    def test_fitting_over_it(self, stopped, data, three_regions):
        with pytest.raises(InputError, match="unfinished run: go on with"):
            sample(models.regions(three_regions), data, out=stopped)


def test_old_run_stands_until_the_new_one_is_there(whole, data, three_regions, tmp_path, monkeypatch):
    old = whole.save(tmp_path / "run")
    other = models.regions(three_regions).with_priors({"crab.rate": 1.0})
    with monkeypatch.context() as patch:
        patch.setattr(Nuts, "_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sample(other, data, out=old.path, settings=SETTINGS, overwrite=True)
    np.testing.assert_array_equal(Run.open(old.path).intensity(), whole.intensity())


@pytest.mark.parametrize("step", range(4))
def test_directory_is_whole_wherever_its_replacement_stops(whole, tmp_path, monkeypatch, step):
    """The old or the new run, never neither: killed before each of the steps of the replacement."""
    old = whole.save(tmp_path / "run")
    new = Run(whole.tree, {**whole.record, "command": "new"}, fit=whole.fit)
    calls = iter(range(step))

    def counted(function):
        def wrapper(*args, **kwargs):
            if next(calls, None) is None:
                raise SystemExit
            return function(*args, **kwargs)

        return wrapper

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", counted(type(tmp_path).replace))
        patch.setattr("ridgebayes.runs.run.shutil.rmtree", counted(__import__("shutil").rmtree))
        with pytest.raises(SystemExit):
            new.save(old.path, overwrite=True)
    assert Run.open(old.path).record["command"] in ("new", whole.record["command"])
