"""Where simulations run: in this process, in others beside it, or on the workers of a Dask scheduler."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Collection, Iterator
from concurrent.futures import CancelledError, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

from ridgebayes.environment import check_guard, lost_worker, spawning
from ridgebayes.errors import InputError
from ridgebayes.parallel.cores import cores
from ridgebayes.sbc.one import Result
from ridgebayes.sbc.task import Task

logger = logging.getLogger(__name__)

LOCAL = "local"
CONNECT_S = 30
_RETRIES = 3  # of a simulation whose worker was lost
_SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def results(
    task: Task, numbers: Collection[int], workers: int | None, scheduler: str | None
) -> Iterator[Result]:
    """Run simulations, and give each as it ends.

    Parameters
    ----------
    task
        The campaign.
    numbers
        Which simulations.
    workers
        Processes on this machine; by default as many as cores.
    scheduler
        None for processes of this one, ``"local"`` for a Dask cluster on this machine, else the address of a
        Dask scheduler, or the file in which it says where it is.

    Raises
    ------
    InputError
        When a scheduler cannot be reached, or a worker died.
    """
    if scheduler is not None:
        yield from _dask(task, numbers, workers, scheduler)
        return
    workers = min(workers or cores(), len(numbers))
    if workers <= 1:
        yield from map(task.run, numbers)
    else:
        yield from _processes(task, numbers, workers)


_task: Task | None = None


def _begin(task: Task) -> None:
    global _task
    _task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave with the process that started this one, also where that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(number: int) -> Result:
    assert _task is not None
    return _task.run(number)


def _processes(task: Task, numbers: Collection[int], workers: int) -> Iterator[Result]:
    """Run on processes of this one, a core each."""
    context = spawning()
    with _environment(_SINGLE), ProcessPoolExecutor(workers, context, _begin, (task,)) as pool:
        started: list[BaseProcess] = []
        try:
            futures = [pool.submit(_run, number) for number in numbers]
            started = multiprocessing.active_children()
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            usual = "a worker process died (too little memory?): run again to go on, with fewer workers=..."
            raise InputError(lost_worker(started, usual)) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _dask(task: Task, numbers: Collection[int], workers: int | None, scheduler: str) -> Iterator[Result]:
    """Run on the workers of a Dask scheduler."""
    try:
        import distributed
    except ImportError:
        raise InputError(
            "scheduler=... needs dask.distributed, which is not installed: pip install 'ridgebayes[dask]'"
        ) from None
    check_guard()
    with _client(distributed, workers, scheduler) as client:
        # On every worker, so that it outlives any of them.
        sent = client.scatter(task, hash=False, broadcast=True)
        futures = [
            client.submit(
                Task.run, sent, number, pure=False, retries=_RETRIES, key=f"sbc-{task.key}-{number}"
            )
            for number in numbers
        ]
        try:
            for future in distributed.as_completed(futures):
                try:
                    yield future.result()
                except (distributed.KilledWorker, CancelledError):
                    raise InputError(
                        "Dask workers died one after the other (too little memory?): run again to go on"
                    ) from None
        finally:
            client.cancel(futures, force=True)


@contextmanager
def _client(distributed: Any, workers: int | None, scheduler: str) -> Iterator[Any]:
    if scheduler == LOCAL:
        with (
            distributed.LocalCluster(
                n_workers=workers or cores(), threads_per_worker=1, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    if workers is not None:
        raise InputError("workers=... is for this machine: a Dask scheduler at an address has its own")
    address = {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
    try:
        client = distributed.Client(**address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise InputError(
            f"scheduler={scheduler!r}: no Dask scheduler answers there ({str(error).splitlines()[0]})"
        ) from None
    with client:
        if not client.scheduler_info()["workers"]:
            logger.info("the scheduler at %s has no workers yet: waiting for them", scheduler)
            client.wait_for_workers(1)
        yield client


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Set variables that processes inherit."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
