"""Tasks on the workers of a Dask scheduler, with `distributed`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from ridgebayes.environment import check_guard
from ridgebayes.errors import InputError
from ridgebayes.parallel.attempt import attempt, refuse_others
from ridgebayes.parallel.software import software

Task = TypeVar("Task")

logger = logging.getLogger(__name__)

CONNECT_S = 30
AGAIN = 2
"""Number of times that tasks are sent again after all workers were lost."""


def on_dask(
    work: Callable[[Task], Any], tasks: Sequence[Task], address: str, go_on: str
) -> Iterator[tuple[Task, Any]]:
    """Run tasks on the workers of a scheduler, and yield each with its result as it ends.

    Parameters
    ----------
    work, tasks
        Function, and its arguments.
    address
        Address of the scheduler, or its scheduler file.
    go_on
        How to continue after workers were lost, for the message.

    Raises
    ------
    InputError
        If no scheduler answers or it stops, if workers have other software, or if too many workers died.
    """
    try:
        import distributed
    except ImportError:
        raise InputError(
            "scheduler=... needs dask.distributed, which is not installed: pip install 'ridgebayes[dask]'"
        ) from None
    check_guard()
    with _client(distributed, address) as client:
        known = _same_software(client)
        left, lost = dict(enumerate(tasks)), 0
        gone = f"the Dask scheduler at {address} has gone away: {go_on}"
        try:
            while left:
                try:
                    for number, done in _results(distributed, client, work, left, known):
                        task = left.pop(number)
                        yield task, done.told()
                except CancelledError:
                    lost += 1
                    if client.status != "running":
                        raise InputError(gone) from None
                    if lost > AGAIN:
                        raise InputError(f"{_DIED}: {go_on}") from None
                    logger.warning("Dask workers were lost with what they had: what is left is sent again")
                    _wait_for_a_worker(client, address)
        except distributed.KilledWorker:
            raise InputError(f"{_DIED}: {go_on}") from None
        except OSError:  # of the connection: those of tasks come as other errors
            raise InputError(gone) from None


_DIED = "Dask workers died one after the other (too little memory?)"


def _results(
    distributed: Any, client: Any, work: Callable[[Any], Any], left: dict[int, Any], known: dict[str, str]
) -> Iterator[tuple[int, Any]]:
    # Sent to every worker, so that it is still there when one dies.
    sent = client.scatter(work, hash=False, broadcast=True)
    threads = sum(client.nthreads().values())
    cores = max(1, threads // len(left))
    futures = {client.submit(attempt, sent, left[n], cores, known, pure=False): n for n in left}
    try:
        for future in distributed.as_completed(list(futures)):
            yield futures[future], future.result()
    finally:
        client.cancel(list(futures), force=True)


@contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    place = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    with _silent():
        try:
            # A default client would also run xarray, and would stay the default after the scheduler stops.
            client = distributed.Client(**place, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"scheduler={address!r}: no Dask scheduler answers there ({str(error).splitlines()[0]}): "
                "start one there, or give the address of one that runs"
            ) from None
        with client, client.as_current():
            _wait_for_a_worker(client, address)
            yield client


def _wait_for_a_worker(client: Any, address: str) -> None:
    if not client.scheduler_info()["workers"]:
        logger.info("the scheduler at %s has no workers yet: waiting for them", address)
        client.wait_for_workers(1)


def _same_software(client: Any) -> dict[str, str]:
    """Refuse workers with other versions; return the versions of this process.

    The query uses nothing of this package, because workers may lack it.
    """
    known = software()
    found: dict[str, dict[str, str]] = {}
    for package in known:
        for worker, answer in client.run(version, package, on_error="return").items():
            if isinstance(answer, PackageNotFoundError):
                raise InputError(f"Dask worker {worker}: has no {package}: install version {known[package]}")
            found.setdefault(worker, {})[package] = str(answer)
    for worker, answers in found.items():
        refuse_others(known, answers, f"Dask worker {worker}")
    return known


@contextmanager
def _silent() -> Iterator[None]:
    """Keep `distributed` from logging tracebacks of errors that are reported here in one line."""
    loud = {handler: handler.level for handler in logging.getLogger("distributed").handlers}
    for handler in loud:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in loud.items():
            handler.setLevel(level)
