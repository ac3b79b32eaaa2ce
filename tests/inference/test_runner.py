"""Chains that are stopped when their time is over; every block takes a second of a fake clock."""

from threading import Lock

import numpy as np
import pytest

from ridgebayes.errors import InputError
from ridgebayes.inference import runner
from ridgebayes.inference.kernels import Draws, Warmed
from ridgebayes.inference.runner import Device, Settings, run_chains

WARMUP, DRAWS, BLOCK = 50, 200, 25
BLOCKS = (WARMUP + DRAWS) // BLOCK


class Clock:
    def __init__(self):
        self.now, self.laps, self.lock = 0.0, [], Lock()

    def tick(self):
        with self.lock:
            self.now += 1.0

    def lap(self, stage):
        self.laps.append(stage)


class Kept:
    """A checkpoint in memory."""

    run = "runs/a"

    def __init__(self):
        self.chains = {}

    def start(self, part):
        return None

    def save_start(self, part, start):
        pass

    def chain(self, part, number):
        return self.chains.get((part, number))

    def save_chain(self, part, number, progress):
        self.chains[part, number] = progress


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()

    class Fake:
        """Draws are numbered, so that it is seen which are kept."""

        def __init__(self, *_, **__):
            pass

        def begin(self, *_):
            return "start"

        def warmup_of(self, start):
            return WARMUP

        def chain(self, key, data, start, draws, after=None):
            warmed, done = (after.warmed, sum(len(d.z) for d in after.draws)) if after else (0, 0)
            for _ in range(warmed, WARMUP, BLOCK):
                clock.tick()
                yield Warmed(BLOCK, ())
            for first in range(done, draws, BLOCK):
                clock.tick()
                z = np.arange(first, first + BLOCK, dtype=float)[:, None]
                yield Draws(z, {"lp": z[:, 0]}, ())

    monkeypatch.setattr(runner, "Sampler", Fake)
    monkeypatch.setattr(runner, "several", lambda posterior, parts, devices: (None, parts))
    monkeypatch.setattr(runner.time, "monotonic", lambda: clock.now)
    return clock


def run(clock, seconds, *, parts=2, checkpoint=None):
    settings = Settings(chains=2, warmup=WARMUP, draws=DRAWS)
    device = Device("cpu", "threads", 1)
    limit = None if seconds is None else seconds / 60
    return run_chains(
        None, [None] * parts, settings, device, clock, progress=False, checkpoint=checkpoint, max_time=limit
    )  # fmt: skip


@pytest.mark.parametrize("seconds", [None, 1e6])
def test_chains_with_time_come_to_their_end(clock, seconds):
    found = run(clock, seconds)
    assert found.z.shape == (2, 2, DRAWS, 1)
    assert found.stopped == ""
    assert clock.now == 4 * BLOCKS


def test_all_chains_stop_with_draws_of_equal_length(clock):
    """Four chains share 26 s: some six blocks each, two of them warm-up; a thread may fall two behind."""
    found = run(clock, 26.0)
    draws = found.z.shape[2]
    assert 2 * BLOCK <= draws <= 5 * BLOCK
    assert (found.z[..., 0] == np.arange(draws)).all()
    assert found.statistics["lp"].shape == (2, 2, draws)
    assert found.stopped == f"after 0.433333 min with {draws} of {DRAWS} draws a chain"
    assert clock.now <= 26 + 1 + 4


def test_too_few_draws_are_kept_and_go_on(clock):
    kept = Kept()
    with pytest.raises(
        InputError, match=r"too few for a run; all are kept: go on with `ridgebayes resume runs/a`"
    ):
        run(clock, 10.0, checkpoint=kept)
    assert len(kept.chains) == 4
    spent = clock.now
    found = run(clock, None, checkpoint=kept)
    assert (found.z[..., 0] == np.arange(DRAWS)).all()
    assert clock.now == 4 * BLOCKS  # nothing was done twice
    assert spent < clock.now


def test_too_few_draws_in_memory(clock):
    with pytest.raises(InputError, match=r"too few for a run: give more max_time=\.\.\., or out=\.\.\."):
        run(clock, 10.0)


def test_no_time_is_refused(clock):
    with pytest.raises(InputError, match="max_time = 0"):
        run(clock, 0.0)
