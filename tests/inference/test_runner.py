"""Chains that are stopped when their time is over, and chains that go on until they have converged.

Every block takes a second of a fake clock.
"""

from threading import Lock

import numpy as np
import pytest

from ridgebayes.errors import InputError
from ridgebayes.inference import runner
from ridgebayes.inference.kernels import Draws, Warmed
from ridgebayes.inference.mixing import mixed
from ridgebayes.inference.runner import run_chains
from ridgebayes.inference.sampler import METROPOLIS, NUTS, Start
from ridgebayes.inference.settings import TIMES, Device, Settings
from ridgebayes.inference.tuning import MOVES

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
        self.starts, self.chains = {}, {}

    def start(self, part):
        return self.starts.get(part)

    def save_start(self, part, start):
        self.starts[part] = start

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
            return Start(NUTS, np.zeros(1), None)

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
    with pytest.raises(InputError, match=r"too few for a run: give more max_time=\.\.\.$"):
        run(clock, 10.0)


def test_no_time_is_refused(clock):
    with pytest.raises(InputError, match="max_time = 0"):
        run(clock, 0.0)


@pytest.fixture
def slow(clock, monkeypatch):
    """Chains of an autoregression, the slower the higher the number of the part."""

    def series(part, number, memory):
        rng = np.random.default_rng([part, number])
        x = [rng.normal()]
        for noise in rng.normal(size=10_000) * np.sqrt(1 - memory**2):
            x.append(memory * x[-1] + noise)
        return np.array(x)[:, None]

    def install(memories, method=METROPOLIS, *, refit=False, look=False):
        known = {(p, n): series(p, n, m) for p, m in enumerate(memories) for n in range(4)}

        def begin(self, *_):
            return Start(method, np.zeros(1), None, hit=np.zeros(1, bool) if look else None)

        def chain(self, key, data, start, draws, after=None):
            which = (data, int(key))
            done = sum(len(d.z) for d in after.draws) if after else 0
            for first in range(done, draws, BLOCK):
                clock.tick()
                z = known[which][first : first + BLOCK]
                yield Draws(z, {"lp": z[:, 0]}, ())

        monkeypatch.setattr(runner.Sampler, "begin", begin)
        monkeypatch.setattr(runner.Sampler, "chain", chain)

        def change(wanted):
            return lambda _, start, z, *__: start._replace(dropped=z.shape[1]) if wanted else None

        monkeypatch.setattr(runner.Sampler, "refitted", change(refit), False)
        monkeypatch.setattr(runner.Sampler, "widened", change(look), False)
        monkeypatch.setattr(runner.Sampler, "warmup_of", lambda *_: 0)
        monkeypatch.setattr(runner.jax.random, "key", lambda seed: 0)
        monkeypatch.setattr(runner.jax.random, "fold_in", lambda key, number: number)
        monkeypatch.setattr(runner, "freeze", lambda state: [])
        return known

    return install


def run_slow(parts, *, checkpoint=None, seconds=None, draws=500):
    settings, device = Settings(chains=4, warmup=1, draws=draws), Device("cpu", "threads", 1)
    clock = type("", (), {"lap": lambda *_: None})()
    limit = None if seconds is None else seconds / 60
    return run_chains(
        None,
        list(range(parts)),
        settings,
        device,
        clock,
        progress=False,
        checkpoint=checkpoint,
        max_time=limit,
    )


@pytest.mark.parametrize("refit", [False, True])
def test_chains_that_have_not_converged_go_on(clock, slow, refit):
    """Draws from before the proposal was fitted to them are left out."""
    known = slow([0.0, 0.8], refit=refit)
    found = run_slow(2)
    first, every = 500 * refit, found.times[1]
    assert found.times[0] == 1
    assert every <= TIMES[-1]
    assert every > 1 or refit
    assert found.dropped == (0, first)
    for n in range(4):
        np.testing.assert_array_equal(found.z[0, n], known[0, n][:500])
        kept = first + (every * np.arange(1, 501)).astype(int) - 1
        np.testing.assert_array_equal(found.z[1, n], known[1, n][kept])
    assert mixed(found.z[1])
    assert clock.now == 4 * (500 + first + 500 * every) / BLOCK


@pytest.mark.parametrize("wide", [False, True])
def test_with_outliers_the_proposal_may_be_widened_early(clock, slow, monkeypatch, wide):
    known = slow([0.0], look=True)
    if not wide:
        monkeypatch.setattr(runner.Sampler, "widened", lambda *_: None)
    found = run_slow(1)
    first = MOVES.look * wide
    assert found.times == (1,)
    assert found.dropped == (first,)
    for n in range(4):
        np.testing.assert_array_equal(found.z[0, n], known[0, n][first : first + 500])
    assert clock.now == 4 * (first + 500) / BLOCK


def test_stopped_chains_drop_no_more_draws_than_they_keep(clock, slow):
    known = slow([0.99], refit=True)
    found = run_slow(1, seconds=120.0)
    assert found.dropped == (0,)
    np.testing.assert_array_equal(found.z[0, 2], known[0, 2][:500])
    assert "while chains that had not converged went on" in found.stopped


def test_stopped_chains_drop_what_came_before_widening(clock, slow):
    known = slow([0.0], look=True)
    found = run_slow(1, seconds=60.0)
    draws = found.z.shape[2]
    assert found.dropped == (MOVES.look,)
    assert 200 <= draws <= 300
    np.testing.assert_array_equal(found.z[0, 3], known[0, 3][MOVES.look : MOVES.look + draws])
    assert found.stopped == f"after 1 min with {draws} of 500 draws a chain"


def test_chains_that_never_converge_end(clock, slow):
    slow([0.9999])
    found = run_slow(1)
    assert found.times == (TIMES[-1],)
    assert found.z.shape == (1, 4, 500, 1)


@pytest.mark.parametrize(("method", "draws"), [(NUTS, 500), (METROPOLIS, 200)])
def test_what_is_not_judged_does_not_go_on(slow, method, draws):
    """Trajectories take too long, and few draws cannot converge."""
    slow([0.99], method)
    assert run_slow(1, draws=draws).times == (1,)


def test_chains_that_are_stopped_as_they_go_on_keep_what_they_had(clock, slow):
    known = slow([0.99])
    found = run_slow(1, seconds=100.0)
    assert found.times == (1,)
    assert found.stopped == "after 1.66667 min, while chains that had not converged went on"
    np.testing.assert_array_equal(found.z[0, 2], known[0, 2][:500])


@pytest.mark.parametrize("refit", [False, True])
def test_going_on_after_an_interruption_gives_the_same(clock, slow, monkeypatch, refit):
    """Also where the proposal was refitted before the interruption: a second fit would not change it."""
    slow([0.97], refit=refit)
    whole, kept = run_slow(1), Kept()
    spent = clock.now
    run_slow(1, seconds=120.0, checkpoint=kept)
    assert kept.start(0).dropped == 500 * refit
    monkeypatch.setattr(runner.Sampler, "refitted", lambda *_: None)
    again = run_slow(1, checkpoint=kept)
    assert again.times == whole.times
    np.testing.assert_array_equal(again.z, whole.z)
    assert clock.now <= 2 * spent + 1  # nothing was done twice


def test_the_bar_grows_to_what_is_run(clock, monkeypatch):
    """The search for the mode tells which warm-up a chain needs; the total is never too large before."""
    totals = []

    class Watched(runner.ProgressBar):
        def begins(self, more):
            totals.append(self.total)
            super().begins(more)
            totals.append(self.total)

    monkeypatch.setattr(runner, "ProgressBar", Watched)
    run(clock, None)
    assert totals[0] == 2 * 2 * (MOVES.settling + DRAWS)
    assert totals == sorted(totals)
    assert totals[-1] == 2 * 2 * (WARMUP + DRAWS)
