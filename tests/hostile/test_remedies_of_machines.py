"""Remedies of errors of devices, clusters and packages: provoked, followed, and they work.

What is missing or goes away is made to by the test, and comes back where the remedy is to bring it back.
"""

import re
import sys
import tomllib
from concurrent.futures import CancelledError
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import distributed
import numpy as np
import pytest

from ridgebayes import InputError, models, read_scws, sky, write_scws
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.sharding import Sharded, mesh, several
from ridgebayes.likelihood.partition import shares
from ridgebayes.parallel import dask
from ridgebayes.parallel.scheduler import Scheduler
from ridgebayes.parallel.software import check_same, software
from ridgebayes.parallel.tasks import run as done
from ridgebayes.runs.sampling import meet, place_of
from ridgebayes.table import parquet
from tests.helpers.readers import few
from tests.helpers.remedies import cases, follow

EXTRAS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]


@cache
def prepared(marginal=True, extra=()):
    """Return the posterior of `few` and its data."""
    model = models.regions(sky.load("coarse").select(["GB"]), marginal=marginal)
    model, found = meet(model.with_extras(*extra), few().take_bands("A01"), crab_rate={"A01": 113.0})
    return Posterior(model, found.data), found.data


def on_devices(devices, **which):
    """Return a step that lays a fit out for so many devices."""
    posterior_and_data = lambda: prepared(**which)  # noqa: E731

    def step(folder, **_):
        posterior, data = posterior_and_data()
        several(posterior, [data], devices)

    return step


def as_many_as_advised(step_with):
    """Return a step that does the same with the greatest number which the message gives."""
    return lambda folder, *, message, **_: step_with(int(re.search(r"(\d+)(?: revolutions|$)", message)[1]))


def places(folder, *, message, **_):
    """Read every place that the message gives."""
    (folder / "scheduler.json").touch()
    for text in ("local", "local:N", "tcp://HOST:PORT", "scheduler file"):
        assert text in message
        text = text.replace("local:N", "local:2").replace("HOST:PORT", "10.0.0.1:8786")
        Scheduler.of(text.replace("scheduler file", str(folder / "scheduler.json")))


def begun(**changes):
    """Return a step that goes on with what these versions of the software have begun."""
    told = software() | changes
    record = {"ridgebayes": told["ridgebayes"], "versions": told}
    return lambda folder, **_: check_same(record, "run", "fit again with overwrite=True")


def the_version(folder, *, message, **_):
    """Go on with the version which the message says is to be installed, as if it were."""
    package, old, new = re.search(r"begun with (\w+) (\S+), and this is (\S+): install", message).groups()
    told = software() | {package: old}
    assert software()[package] == new
    check_same({"ridgebayes": told["ridgebayes"], "versions": told}, "run", "fit again", now=told)


CASES = {
    # devices
    "more devices than there are": (
        r"devices=99: there are \d+ cpu devices: give 1 to \d+$",
        lambda f, **_: mesh(99),
        as_many_as_advised(mesh),
    ),
    "more devices than revolutions": (
        "devices=3: the table has 2 revolutions: give at most so many devices",
        lambda f, **_: shares(np.array([0, 0, 1]), 2, 3),
        as_many_as_advised(lambda n: shares(np.array([0, 0, 1]), 2, n)),
    ),
    # where tasks run
    "a place that is none": (
        "scheduler='loacl': give local, local:N for N processes here, or the address of a Dask scheduler",
        lambda f, **_: Scheduler.of("loacl"),
        places,
    ),
    "a limit of time elsewhere": (
        r"max_time=\.\.\. is for a fit in this process: leave it away, or scheduler=\.\.\.",
        lambda f, **_: place_of("local:2", 5.0),
        lambda f, **_: (place_of("local:2", None), place_of(None, 5.0)),
    ),
    # versions
    "another version: fit anew": (
        "begun with numpyro 0.0.1, .*, or fit again with overwrite=True", begun(numpyro="0.0.1"), begun(),
    ),
    "another version: that one": (
        "begun with jax 0.0.1, .*: install that one, or", begun(jax="0.0.1"), the_version,
    ),
}  # fmt: skip
"""Name → message, step that meets it, step that it advises."""

SLOW = {
    "devices for terms of single revolutions": (
        r"devices=2: background\.coefficients is sampled for every revolution: leave devices=\.\.\. away",
        on_devices(2, marginal=False),
        on_devices(1, marginal=False),
    ),
    "devices for noise with a memory": (
        r"extra 'correlated_noise': runs on one device: leave devices=\.\.\. away",
        lambda f, **_: Sharded(lambda z, data: 0.0, mesh(1)).share(prepared(extra=("correlated_noise",))[1]),
        on_devices(1, extra=("correlated_noise",)),
    ),
}


@cases(CASES, SLOW)
def test_the_remedy_works(case, tmp_path, monkeypatch):
    follow(case, tmp_path, monkeypatch)


def advised_packages(message):
    """Return what the command that the message advises would install."""
    return EXTRAS[re.search(r"pip install 'ridgebayes\[(\w+)\]'$", message)[1]]


def test_parquet_without_its_package(tmp_path, monkeypatch):
    write_scws(few(), tmp_path / "a.parquet")
    monkeypatch.setattr(parquet, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"a\.parquet: Parquet needs pyarrow: pip install") as caught:
        read_scws(tmp_path / "a.parquet")
    assert [p.split(">")[0] for p in advised_packages(str(caught.value))] == ["pyarrow"]
    monkeypatch.setattr(parquet, "find_spec", find_spec)
    np.testing.assert_array_equal(read_scws(tmp_path / "a.parquet").rate, few().rate)


@pytest.fixture(scope="module")
def cluster():
    """A worker in this process."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", protocol="tcp://"
    ) as found:
        yield found.scheduler_address


def square(number):
    return number**2


def squares(address):
    return dict(done(square, [1, 2, 3], address))


def test_a_cluster_without_its_package(cluster, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "distributed", None)
        with pytest.raises(InputError, match=r"scheduler=\.\.\. needs dask\.distributed") as caught:
            squares(cluster)
    assert [p.split(">")[0] for p in advised_packages(str(caught.value))] == ["distributed"]
    assert squares(cluster) == {1: 1, 2: 4, 3: 9}


def test_a_scheduler_that_does_not_answer(cluster, monkeypatch):
    monkeypatch.setattr(dask, "CONNECT_S", 0.5)
    with pytest.raises(InputError, match=r"no Dask scheduler answers there .*, or give the address of one"):
        squares("tcp://127.0.0.1:9")
    monkeypatch.undo()
    assert squares(cluster) == {1: 1, 2: 4, 3: 9}


@pytest.mark.parametrize("error", [distributed.KilledWorker("task", None, 3), CancelledError()])
def test_workers_that_die(cluster, monkeypatch, error):
    """The remedy is to run it again, when they do not die any more."""

    def die(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(dask, "_results", die)
        with pytest.raises(InputError, match=r"died one after the other .*: run it again to go on$"):
            squares(cluster)
    assert squares(cluster) == {1: 1, 2: 4, 3: 9}
