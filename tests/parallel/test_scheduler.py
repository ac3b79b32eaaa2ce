"""Where tasks run, as a user says it."""

import pytest

from ridgebayes.errors import InputError
from ridgebayes.parallel.cores import cores, share
from ridgebayes.parallel.scheduler import Scheduler


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (None, Scheduler()),
        ("local", Scheduler()),
        ("local:3", Scheduler(processes=3)),
        ("tcp://10.0.0.1:8786", Scheduler("tcp://10.0.0.1:8786")),
        ("10.0.0.1:8786", Scheduler("10.0.0.1:8786")),
    ],
)
def test_places(text, place):
    assert Scheduler.of(text) == place


def test_scheduler_file(tmp_path):
    (tmp_path / "scheduler.json").touch()
    assert Scheduler.of(str(tmp_path / "scheduler.json")).address.endswith("scheduler.json")


@pytest.mark.parametrize("text", ["local:", "local:0", "local:-1", "local:two", "loacl", "nowhere.json", ""])
def test_what_is_no_place(text):
    with pytest.raises(InputError, match=r"scheduler=.*: give local, local:N for N processes here, or the"):
        Scheduler.of(text)


def test_workers():
    assert Scheduler(processes=3).workers(2) == 2
    assert Scheduler(processes=3).workers(9) == 3
    assert Scheduler().workers(1000) == cores()
    assert Scheduler().here
    assert Scheduler(processes=1).here
    assert not Scheduler(processes=2).here
    assert not Scheduler("tcp://a:1").here


def test_a_share_of_the_cores():
    before = cores()
    with share(7):
        assert cores() == 7
    assert cores() == before
