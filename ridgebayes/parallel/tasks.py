"""Many tasks of one kind: in this process, in other processes, or on the workers of a Dask scheduler.

The work is one object that is called with a task. It is sent to every worker once, followed by the tasks,
which are small. Results come as tasks end, in any order. A task is repeated if its worker dies.

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
    """Run tasks, and yield each with its result as it ends.

    Closing the iterator, or an error in the loop over it, cancels the tasks that have not ended.

    Parameters
    ----------
    work
        Function of a task. It and its results must be picklable, to be sent between processes.
    tasks
        Its arguments.
    scheduler
        ``local`` (the default) for a process on every core of this machine, or for this process if one is
        enough; ``local:N`` for N processes; else the address of a Dask scheduler, or its scheduler file.
    threaded
        True if one task uses all cores: ``local`` then means this process.
    go_on
        How to continue after workers were lost, for the message.

    Raises
    ------
    InputError
        If a task raises one, if workers die repeatedly or have other versions of the software, or if the
        scheduler cannot be reached.
    WorkerError
        Any other error of a task in another process, in one line; its notes have the traceback.
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
"""The object that this process has made for its present work."""


def made(key: str, make: Callable[[], Made]) -> Made:
    """Make an object for a work once in each process, such as compiled functions, which cannot be sent.

    Only the object of the last key is kept, because a worker may run many works one after the other.

    Parameters
    ----------
    key
        Identifier of the work.
    make
        Function that makes the object.
    """
    with _MAKING:
        if key not in _MADE:
            found = make()
            _MADE.clear()
            _MADE[key] = found
        return _MADE[key]
