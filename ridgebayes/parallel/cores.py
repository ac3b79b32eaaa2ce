"""Number of cores, and threads on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from threadpoolctl import threadpool_limits

_T = TypeVar("_T")
_U = TypeVar("_U")

_SHARE: ContextVar[int | None] = ContextVar("share", default=None)


def cores() -> int:
    """Return the number of cores that this process may use; inside a task, its share of them."""
    share = _SHARE.get()
    if share is not None:
        return share
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS and LAPACK to one thread: for matrices of a few hundred rows more threads are slower.

    The Cholesky factor of 134 rows takes ten times as long with two threads as with one (OpenBLAS, two
    cores). With one thread sums also have the same rounding in every process.
    """
    with threadpool_limits(1, user_api="blas"):
        yield


@contextmanager
def share(n: int) -> Iterator[None]:
    """Let the code inside see only `n` cores, because other tasks run beside it."""
    token = _SHARE.set(n)
    try:
        yield
    finally:
        _SHARE.reset(token)


def in_threads(function: Callable[[_T], _U], items: Iterable[_T], threads: int) -> list[_U]:
    """Apply a function that runs compiled code to items, in `threads` threads."""
    if threads < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
