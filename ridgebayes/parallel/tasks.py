"""Many tasks of one kind: in this process, in others of this machine, or on the workers of a Dask scheduler.

What is to be done is one object, called with a task: it goes to every worker once, and the tasks, which are
small, follow. Results come as tasks end, in any order. A task whose worker died is done again.

>>> from ridgebayes.parallel.tasks import run
>>> sorted(run(abs, [-2, 1], "local:1"))
[(-2, 2), (1, 1)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any, TypeVar

from ridgebayes.parallel.dask import on_dask
from ridgebayes.parallel.processes import in_processes
from ridgebayes.parallel.scheduler import Scheduler

Task = TypeVar("Task")
Result = TypeVar("Result")
Made = TypeVar("Made")

GO_ON = "run it again to go on"


def run(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    scheduler: str | Scheduler | None = None,
    *,
    threaded: bool = False,
    go_on: str = GO_ON,
) -> Iterator[tuple[Task, Result]]:
    """Do tasks, and give each with its result as it ends.

    Closing the iterator, or an error in the loop over it, cancels those that have not ended.

    Parameters
    ----------
    work
        Called with a task. Sent to other processes, so that it must be picklable; so must be the results.
    tasks
        What it is called with.
    scheduler
        ``local`` (the default): a process on every core of this machine, or this one where one would do;
        ``local:N``: so many; else the address of a Dask scheduler, or its scheduler file.
    threaded
        A task keeps all cores busy by itself, so that ``local`` is this process.
    go_on
        How to go on where workers were lost, for the message.

    Raises
    ------
    InputError
        What a task raised as such; when workers died again and again, have other versions of the software, or
        the scheduler cannot be reached.
    WorkerError
        Any other error of a task in another process, in one line; its notes hold the traceback.
    """
    place = scheduler if isinstance(scheduler, Scheduler) else Scheduler.of(scheduler)
    if not tasks:
        return
    if place.address:
        yield from on_dask(work, tasks, place.address, go_on)
    elif (workers := 1 if threaded and place.here else place.workers(len(tasks))) > 1:
        yield from in_processes(work, tasks, workers, go_on)
    else:
        for task in tasks:
            yield task, work(task)


_MAKING = Lock()
_MADE: dict[str, Any] = {}
"""What this process has made for the work that it does."""


def made(key: str, make: Callable[[], Made]) -> Made:
    """Make something for a work once in each process, such as compiled functions, which cannot be sent.

    Only what was made for the last key is kept: a worker may serve many works, one after the other.

    Parameters
    ----------
    key
        Of the work.
    make
        Makes it.
    """
    with _MAKING:
        if key not in _MADE:
            found = make()
            _MADE.clear()
            _MADE[key] = found
        return _MADE[key]
