"""Campaigns: what goes on, what comes of it whoever does it, and that a wrong model is found."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import distributed
import numpy as np
import pytest

from ridgebayes import write_scws
from ridgebayes.errors import InputError
from ridgebayes.sbc import campaign_priors, read_ranks, run_sbc, uniformity
from ridgebayes.sbc.folder import TABLE
from tests.helpers import quick_model
from tests.helpers.quick_model import SIMULATIONS


def told(ranks):
    """All that must not depend on who simulated, when, in which order."""
    return [result._replace(seconds=0.0) for result in ranks.results]


def alive(process):
    """Tell whether a process runs; one that nobody has asked after does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.fixture
def go_on(pointings, settings):
    def run(out, simulations=SIMULATIONS, factor=1.0, **changes):
        given = {"scws": pointings, "settings": settings, "draws": 39, "scheduler": "local:1", **changes}
        return run_sbc(quick_model.load(factor), simulations, out=out, **given)

    return run


@pytest.mark.slow
def test_campaign(campaign):
    out, ranks = campaign
    assert ranks.values.shape == (SIMULATIONS, 4)
    assert ranks.quantities == ("level[A01]", "log_likelihood", "scatter[A01]", "spread[A01]")
    assert ((ranks.values >= 0) & (ranks.values <= 39)).all()
    assert [r.number for r in ranks.results] == list(range(SIMULATIONS))
    assert all(r.ess >= 39 and r.length >= 195 and r.seconds > 0 for r in ranks.results)
    assert ranks.failures == {}
    assert told(read_ranks(out)) == told(ranks)
    assert len({tuple(row) for row in ranks.values}) == SIMULATIONS


@pytest.mark.slow
def test_campaign_goes_on_bit_for_bit(campaign, go_on, tmp_path, monkeypatch):
    _, whole = campaign
    go_on(tmp_path, 3)
    assert [r.number for r in read_ranks(tmp_path).results] == [0, 1, 2]
    # The others in another order.
    monkeypatch.setattr(
        "ridgebayes.sbc.campaign.run",
        lambda task, left, _: ((number, task(number)) for number in sorted(left, reverse=True)),
    )
    ranks = go_on(tmp_path)
    assert told(ranks) == told(whole)
    lines = (tmp_path / TABLE).read_text().splitlines()
    assert [int(line.split(",")[0].split()[-1]) for line in lines] == [
        0,
        1,
        2,
        *range(SIMULATIONS - 1, 2, -1),
    ]
    # Nothing is left to do.
    monkeypatch.setattr("ridgebayes.sbc.task.simulation", None)
    assert told(go_on(tmp_path)) == told(whole)
    assert len(go_on(tmp_path, 2).values) == SIMULATIONS


@pytest.mark.slow
def test_interrupted_campaign_says_what_it_keeps(go_on, tmp_path, monkeypatch):
    def interrupted(task, left, *_):
        yield left[0], task(left[0])
        raise KeyboardInterrupt

    monkeypatch.setattr("ridgebayes.sbc.campaign.run", interrupted)
    with pytest.raises(KeyboardInterrupt, match=f"1 simulations are kept in {tmp_path}: run again to go on"):
        go_on(tmp_path)


@pytest.mark.slow
def test_failed_simulation_is_counted_not_hidden(campaign, go_on, tmp_path, monkeypatch):
    def fails(self, key, data):
        raise ArithmeticError("draws are not finite")

    monkeypatch.setattr("ridgebayes.sbc.one.Fitter.sample", fails)
    with pytest.raises(InputError, match=r"no simulation has succeeded yet .*draws are not finite"):
        go_on(tmp_path, 2)
    monkeypatch.undo()
    ranks = go_on(tmp_path, 4)
    assert list(ranks.failures) == [0, 1]
    assert told(ranks)[2:] == told(campaign[1])[2:4]
    assert "WARNING: 2 simulations failed and are left out" in str(uniformity(ranks))


@pytest.mark.slow
def test_processes_give_the_same_and_survive_a_kill(campaign, pointings, settings, go_on, tmp_path):
    """`kill -9` while two processes simulate: their workers end too, and what was written is kept."""
    out, scws = tmp_path / "out", tmp_path / "scws.fits"
    write_scws(pointings, scws)
    model = quick_model.write(tmp_path / "quick.py")
    command = [
        *(sys.executable, "-c", "from ridgebayes.cli.main import main; main()"),
        *("sbc", str(scws), "--model", str(model), "--out", str(out), "--scheduler", "local:2", "--quiet"),
        *("--simulations", "500", "--rank-draws", "39", "--warmup", str(settings.warmup), "--seed", "3"),
    ]
    process = subprocess.Popen(command)
    while not (out / TABLE).exists() or (out / TABLE).read_bytes().count(b"\n") < 3:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(children) >= 2
    for _ in range(600):
        if not any(map(alive, children)):
            break
        time.sleep(0.1)
    else:
        pytest.fail("workers outlive the process that was killed")
    kept = read_ranks(out)
    assert 3 <= len(kept.values) < 500
    number = {r.number: r for r in told(kept)}
    whole = told(campaign[1])
    assert [number[r.number] for r in whole if r.number in number] == [r for r in whole if r.number in number]


@pytest.mark.slow
def test_dask_cluster_gives_the_same(campaign, go_on, tmp_path):
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        ranks = go_on(tmp_path, scheduler=cluster.scheduler_address)
    assert told(ranks) == told(campaign[1])


@pytest.mark.parametrize("bad", [{"simulations": 0}, {"simulations": 5, "draws": 0}])
def test_bad_numbers(go_on, tmp_path, bad):
    with pytest.raises(InputError, match="must be at least 1"):
        go_on(tmp_path, **bad)


@pytest.mark.slow
def test_right_model_is_uniform_and_a_wrong_scale_is_found(go_on, tmp_path):
    right = uniformity(go_on(tmp_path / "right", 40))
    assert right.uniform, str(right)
    # The density takes the spread of revolutions for one and a half of what it is.
    wrong = uniformity(go_on(tmp_path / "wrong", 40, factor=1.5))
    assert not wrong.uniform
    assert "spread[A01]" in wrong.departures
    assert wrong.departures["spread[A01]"].startswith("posterior too low")


@pytest.mark.slow
def test_campaign_priors_leave_changed_ones_alone(three_regions):
    from ridgebayes import models
    from ridgebayes.priors import spell

    model = models.regions(three_regions).with_priors({"sky.intensity": "Normal(0, 3)"})
    told = {n: spell(p) for n, p in campaign_priors(model).priors().items()}
    assert told["sky.intensity"] == "Normal(0, 3)"
    assert told["crab.rate"] == "Normal(1, 0.1)"
    assert {n: v for n, v in told.items() if not n.startswith(("crab.rate", "crab.shape"))} == {
        n: spell(p) for n, p in model.priors().items() if not n.startswith(("crab.rate", "crab.shape"))
    }
    assert np.all([n in model.parameters for n in told])
