"""How the work on one call is shared out, with threads that come, come late, or are refused."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from terms_mission import free, mission, with_free

from ridgebayes.native import call
from ridgebayes.native.code import Code, machine_code
from ridgebayes.terms import TermsNormal

TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
FUNCTION = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


class ScheduleArguments(ctypes.Structure):
    """XLA_FFI_ThreadPool_Schedule_Args."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
        ("task", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
    )


class Interface:
    """What XLA hands to a function, as 64-bit words, with a scheduler of ours."""

    def __init__(self, schedule):
        self.errors, self.asked = [], []

        def scheduled(address):
            given = ScheduleArguments.from_address(address)
            assert given.size == ctypes.sizeof(given)
            assert given.context == 77
            self.asked.append((TASK(given.task), given.data))
            return schedule(*self.asked[-1])

        def destroyed(address):
            self.errors.append(ctypes.c_size_t.from_address(address + 16).value)

        self.functions = FUNCTION(scheduled), FUNCTION(destroyed)
        words = lambda *x: (ctypes.c_size_t * len(x))(*x)  # noqa: E731
        addresses = [ctypes.cast(f, ctypes.c_void_p).value for f in self.functions]
        self.api = words(*[0] * 8, addresses[1], *[0] * 8, addresses[0])
        self.found = (ctypes.c_double * 4)()
        self.buffer = words(0, 0, 0, ctypes.addressof(self.found))
        self.list = words(ctypes.addressof(self.buffer))
        self.frame = words(0, 0, ctypes.addressof(self.api), 77, *[0] * 10, ctypes.addressof(self.list))

    def call(self):
        """Call a function of four shares, each of which adds one to its own number."""
        code = Code("shared", shares=4)
        result = code.result(0)
        result[(code.share,)] = result[(code.share,)] + 1.0
        assert machine_code(code.text(), "shared")(ctypes.addressof(self.frame)) is None
        return list(self.found)


def test_threads_that_come_at_once_do_it():
    interface = Interface(lambda task, data: task(data))
    assert interface.call() == [1.0] * 4
    assert len(interface.asked) == 3
    assert not interface.errors


def test_nobody_waits_for_threads_that_come_late():
    interface = Interface(lambda task, data: None)
    assert interface.call() == [1.0] * 4
    for task, data in interface.asked:
        task(data)  # the frame need not be there any more
    assert list(interface.found) == [1.0] * 4


def test_where_threads_are_refused_it_is_done_without_them():
    interface = Interface(lambda task, data: 1234)
    assert interface.call() == [1.0] * 4
    assert interface.errors == [1234] * 3


@pytest.mark.parametrize(("xla", "answer"), [(1, 1), (5, 5), (7, 5)])
def test_it_answers_which_version_of_the_interface_it_knows(xla, answer):
    interface = Interface(lambda task, data: None)
    metadata = (ctypes.c_int32 * 8)(*[-1] * 8)
    extension = (ctypes.c_size_t * 4)(0, 1, 0, ctypes.addressof(metadata))
    interface.frame[1] = ctypes.addressof(extension)
    interface.api[4] = xla << 32
    assert interface.call() == [0.0] * 4
    assert list(metadata) == [-1] * 6 + [0, answer]


@pytest.mark.parametrize("shares", [2, 5])
def test_calls_of_many_threads_at_once(rng, monkeypatch, shares):
    monkeypatch.setattr(call, "_BLOCKS_A_SHARE", 1)
    monkeypatch.setattr(call, "_threads", lambda: shares)
    given, rate, _ = mission(rng)
    density = jax.jit(jax.grad(lambda x: TermsNormal(*with_free(given, x)).log_prob(rate).sum()))
    one = jax.tree.leaves(density(free(given)))
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: jax.tree.leaves(density(free(given))), range(200)):
            assert all(np.array_equal(x, y) for x, y in zip(found, one, strict=True))
