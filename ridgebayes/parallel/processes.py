"""Tasks in processes of this machine, with `concurrent.futures`."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, TypeVar

from ridgebayes.environment import lost_worker, spawning
from ridgebayes.errors import InputError
from ridgebayes.parallel.attempt import Done, attempt
from ridgebayes.parallel.cores import cores

Task = TypeVar("Task")

logger = logging.getLogger(__name__)

AGAIN = 2
"""Number of times that a task is repeated after its worker died."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that set the number of threads of BLAS."""
_XLA_THREADS = "PJRT_NPROC"
"""Variable that sets the number of threads of XLA. Idle threads of XLA spin: with one for each core in every
process they take a fifth of the processor time of small missions."""


def in_processes(
    work: Callable[[Task], Any], tasks: Sequence[Task], workers: int, go_on: str
) -> Iterator[tuple[Task, Any]]:
    """Run tasks in `workers` processes, and yield each with its result as it ends.

    Raises
    ------
    InputError
        If workers of a task died more than `AGAIN` times, or if the calling script lacks its guard.
    """
    waiting, lost = deque(range(len(tasks))), Counter[int]()
    while waiting:
        crew = _Crew(work, workers)
        try:
            for number, done in crew.results(tasks, waiting):
                yield tasks[number], done.told()
        except BrokenProcessPool:
            # Any of the running tasks may have killed the worker.
            lost.update(crew.running.values())
            usual = f"worker processes died again and again (too little memory for so many?): {go_on}"
            why = lost_worker(crew.started, usual)
            if why != usual or max(lost.values(), default=0) > AGAIN:
                raise InputError(why) from None
            logger.warning("a worker process died (too little memory?): what it was at is done again")
            waiting.extendleft(sorted(crew.running.values(), reverse=True))
        finally:
            crew.end()


class _Crew:
    """A pool of processes for one work, until one of them dies.

    Attributes
    ----------
    running
        Future → number of the task.
    started
        The processes.
    """

    def __init__(self, work: Callable[[Any], Any], workers: int) -> None:
        context = spawning()
        listening, self._line = context.Pipe(duplex=False)
        its_cores = max(1, cores() // workers)
        given = (work, its_cores, listening)
        self._variables = dict.fromkeys(_THREADS, "1") | {_XLA_THREADS: str(its_cores)}
        self._pool = ProcessPoolExecutor(workers, context, _begin, given)
        self._listening, self._workers = listening, workers
        self.running: dict[Future[Done], int] = {}
        self.started: set[BaseProcess] = set()

    def results(self, tasks: Sequence[Any], waiting: deque[int]) -> Iterator[tuple[int, Done]]:
        """Run the waiting tasks, at most one for each process at a time, and yield their results."""
        while waiting or self.running:
            while waiting and len(self.running) < self._workers:
                with _environment(self._variables):
                    self.running[self._pool.submit(_run, tasks[waiting[0]])] = waiting[0]
                waiting.popleft()
                self.started.update(multiprocessing.active_children())
            ended, _ = wait(self.running, return_when=FIRST_COMPLETED)
            broken = {f for f in ended if isinstance(f.exception(), BrokenProcessPool)}
            for future in ended - broken:
                yield self.running.pop(future), future.result()
            if broken:
                raise BrokenProcessPool

    def end(self) -> None:
        """Stop the processes; those that are running a task end at once."""
        if self.running:
            self._line.close()
        self._pool.shutdown(cancel_futures=True)
        self._line.close()
        self._listening.close()


_work: Callable[[Any], Any] | None = None
_cores = 1


def _begin(work: Callable[[Any], Any], its_cores: int, line: Connection) -> None:
    """Initialise a process: keep the work, and exit when the other end of the line is closed."""
    global _work, _cores
    _work, _cores = work, its_cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    Thread(target=_end_with, args=(line,), daemon=True).start()


def _end_with(line: Connection) -> None:
    """Exit when the process that started this one closes the line or is killed."""
    try:
        line.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _run(task: Any) -> Done:
    assert _work is not None
    return attempt(_work, task, _cores, None)


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
