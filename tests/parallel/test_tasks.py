"""Tasks in this process, in others, and on Dask workers: results, deaths, errors, cancellation."""

import os
import re
import sys
import time
from pathlib import Path

import distributed
import pytest
from dask import config

from ridgebayes.errors import InputError
from ridgebayes.parallel import dask
from ridgebayes.parallel.attempt import WorkerError
from ridgebayes.parallel.cores import cores
from ridgebayes.parallel.tasks import made, run
from tests.helpers.work import Work

NUMBERS = list(range(6))


@pytest.fixture(scope="module")
def cluster():
    """Two workers, a process and a thread each."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as found:
        yield found.scheduler_address


@pytest.fixture(params=["local:1", "local:2", "dask"])
def place(request):
    return request.getfixturevalue("cluster") if request.param == "dask" else request.param


@pytest.fixture(params=["local:2", "dask"])
def elsewhere(request):
    return request.getfixturevalue("cluster") if request.param == "dask" else request.param


def attempts(folder):
    """Number → how often it was begun."""
    begun = [int(path.name.split("-")[0]) for path in folder.iterdir()]
    return {number: begun.count(number) for number in set(begun)}


def squares(found):
    return {number: square for number, (square, _) in found}


def test_each_task_is_done_once(place, tmp_path):
    assert squares(run(Work(tmp_path, {}), NUMBERS, place)) == {n: n**2 for n in NUMBERS}
    assert attempts(tmp_path) == dict.fromkeys(NUMBERS, 1)
    assert list(run(Work(tmp_path, {}), [], place)) == []


def test_processes_share_the_cores(tmp_path):
    shares = {share for _, (_, share) in run(Work(tmp_path, {}), NUMBERS, "local:2")}
    assert shares == {max(1, cores() // 2)}
    workers = {path.name.split("-")[2] for path in tmp_path.iterdir()}
    assert str(os.getpid()) not in workers


def test_processes_have_no_more_threads_than_cores():
    found = dict(run(os.getenv, ["PJRT_NPROC", "OMP_NUM_THREADS"], "local:2"))
    assert found == {"PJRT_NPROC": str(max(1, cores() // 2)), "OMP_NUM_THREADS": "1"}


def test_tasks_with_threads_of_their_own_stay_here(tmp_path):
    assert squares(run(Work(tmp_path, {}), NUMBERS, "local", threaded=True))[5] == 25
    assert {path.name.split("-")[2] for path in tmp_path.iterdir()} == {str(os.getpid())}


def test_a_dask_task_gets_the_threads_that_are_left(cluster, tmp_path):
    assert {share for _, (_, share) in run(Work(tmp_path, {}), [1], cluster)} == {2}
    assert {share for _, (_, share) in run(Work(tmp_path, {}), NUMBERS, cluster)} == {1}


@pytest.mark.slow
def test_a_worker_that_dies(elsewhere, tmp_path):
    assert squares(run(Work(tmp_path, {2: 1}), NUMBERS, elsewhere)) == {n: n**2 for n in NUMBERS}
    assert attempts(tmp_path)[2] == 2


@pytest.mark.slow
def test_workers_that_die_again_and_again(tmp_path):
    with pytest.raises(InputError, match=r"died again and again .*: go on with it"):
        list(run(Work(tmp_path, {2: 99}), NUMBERS, "local:2", go_on="go on with it"))
    assert attempts(tmp_path)[2] == 3


@pytest.mark.slow
def test_dask_workers_that_die_one_after_the_other(cluster, tmp_path):
    with pytest.raises(InputError, match=r"Dask workers died one after the other .*: run it again to go on"):
        list(run(Work(tmp_path, {2: 99}), NUMBERS, cluster))


def test_errors_in_a_line(elsewhere, tmp_path):
    with pytest.raises(InputError, match="4: not a number that is liked"):
        list(run(Work(tmp_path, {}, refuses=(4,)), NUMBERS, elsewhere))
    with pytest.raises(WorkerError) as told:
        list(run(Work(tmp_path, {}, fails=(3,)), NUMBERS, elsewhere))
    assert re.fullmatch(r"task 3 on .*: Unreadable: bad 3", str(told.value))
    assert "work.py" in told.value.__notes__[0]


def test_warnings_are_logged_here(elsewhere, tmp_path, caplog):
    list(run(Work(tmp_path, {}, warns=(1, 3)), NUMBERS, elsewhere))
    assert sorted(r.getMessage() for r in caplog.records if r.name == "ridgebayes.tests") == [
        "number 1",
        "number 3",
    ]


def test_leaving_the_loop_cancels_what_is_left(tmp_path):
    numbers = list(range(50))
    for _ in run(Work(tmp_path, {}, seconds=0.05), numbers, "local:2"):
        break
    begun = attempts(tmp_path)
    assert 1 <= len(begun) < 10
    workers = {int(path.name.split("-")[2]) for path in tmp_path.iterdir()}
    for _ in range(200):
        if not any(Path(f"/proc/{worker}").exists() for worker in workers):
            break
        time.sleep(0.05)
    else:
        pytest.fail("workers go on")


def test_leaving_the_loop_cancels_dask_tasks(cluster, tmp_path):
    for _ in run(Work(tmp_path, {}, seconds=0.5), list(range(200)), cluster):
        break
    with distributed.Client(cluster, set_as_default=False) as client:
        for _ in range(200):
            if not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
                break
            time.sleep(0.05)
        else:
            pytest.fail("the scheduler keeps tasks that nobody waits for")
    assert len(attempts(tmp_path)) < 200


def test_a_scheduler_that_goes_away(tmp_path):
    """What had ended by then was given; the rest is refused in a line."""
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as found:
        client = distributed.Client(found, set_as_default=False)
        tasks = run(Work(tmp_path, {}, seconds=0.2), NUMBERS, found.scheduler_address, go_on="resume it")
        given = [next(tasks)[0]]
        client.shutdown()
        with pytest.raises(InputError, match=r"the Dask scheduler at .* has gone away: resume it"):
            given += [number for number, _ in tasks]
    assert 1 <= len(given) < len(NUMBERS)
    # What else uses Dask in this process, such as xarray, is not left with a scheduler that is gone.
    assert config.get("scheduler", None) is None


def test_other_software_is_refused(cluster, tmp_path, monkeypatch):
    ours = dask.software()
    monkeypatch.setattr(dask, "software", lambda: ours | {"numpyro": "0.1"})
    with pytest.raises(
        InputError, match=r"Dask worker tcp://.*: has numpyro .*, and this is 0\.1: install that one there"
    ):
        list(run(Work(tmp_path, {}), NUMBERS, cluster))
    monkeypatch.setattr(dask, "software", lambda: ours | {"no_such_package": "1.2"})
    with pytest.raises(InputError, match=r"has no no_such_package: install version 1\.2"):
        list(run(Work(tmp_path, {}), NUMBERS, cluster))
    # A worker that came later is asked by the task itself.
    monkeypatch.setattr(dask, "_same_software", lambda client: ours | {"jax": "0.1"})
    with pytest.raises(InputError, match=r"worker on .*: has jax .*, and this is 0\.1: install that one"):
        list(run(Work(tmp_path, {}), NUMBERS, cluster))
    assert not attempts(tmp_path)


def test_scheduler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(dask, "CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(InputError, match=f"scheduler='{address}': no Dask scheduler answers there"):
            list(run(Work(tmp_path, {}), NUMBERS, address))


def test_dask_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'ridgebayes\[dask\]'"):
        list(run(Work(tmp_path, {}), NUMBERS, "tcp://127.0.0.1:9"))


def test_what_is_made_for_a_work_is_made_once():
    calls = []
    for key in ("a", "a", "b", "a"):
        assert made(key, lambda key=key: calls.append(key) or key) == key
    assert calls == ["a", "b", "a"]
