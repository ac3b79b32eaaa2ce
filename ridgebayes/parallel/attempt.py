"""One task in a worker: its share of the cores, its errors in one line, its warnings."""

from __future__ import annotations

import logging
import platform
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ridgebayes.errors import InputError
from ridgebayes.parallel.cores import share
from ridgebayes.parallel.software import other, software

logger = logging.getLogger(__name__)
_PACKAGE = "ridgebayes"


class WorkerError(RuntimeError):
    """An unexpected error of a task in another process; its notes hold the traceback."""


class Done(NamedTuple):
    """Result of a task, and the warnings that it logged."""

    result: Any
    said: list[tuple[str, str]]

    def told(self) -> Any:
        """Log the warnings here, and return the result."""
        for name, line in self.said:
            logging.getLogger(name).warning("%s", line)
        return self.result


def attempt(work: Callable[[Any], Any], task: Any, cores: int, known: Mapping[str, str] | None) -> Done:
    """Do one task.

    Parameters
    ----------
    work, task
        Function, and its argument.
    cores
        Number of cores of this machine that the task may use.
    known
        Versions of the software of the sender; None if they cannot differ.

    Raises
    ------
    InputError
        From the task, or if versions differ.
    WorkerError
        In place of any other error, which the sender might not be able to unpickle.
    """
    if known is not None:
        refuse_others(known, software(), f"worker on {platform.node()}")
    said = _Said()
    logging.getLogger(_PACKAGE).addHandler(said)
    try:
        with share(cores):
            return Done(work(task), said.lines)
    except InputError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        found = WorkerError(f"{_named(task)} on {platform.node()}: {type(error).__name__}: {reason}")
        found.add_note(traceback.format_exc())
        raise found from None
    finally:
        logging.getLogger(_PACKAGE).removeHandler(said)


def refuse_others(known: Mapping[str, str], now: Mapping[str, str], where: str) -> None:
    """Refuse a worker with versions of the software that would give other numbers."""
    differs = other(known, now)
    if differs:
        package, here, there = differs
        raise InputError(f"{where}: has {package} {there}, and this is {here}: install that one there")


def _named(task: Any) -> str:
    return f"task {str(task)[:60]}"


class _Said(logging.Handler):
    """Collects warnings of the package, because nobody reads the log of a worker."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.name, record.getMessage()))
