"""Work for the tests of tasks: importable, as processes and Dask workers need it."""

import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ridgebayes.errors import InputError
from ridgebayes.parallel.cores import cores


@dataclass
class Work:
    """Squares numbers; a number may do something else first.

    Attributes
    ----------
    kills
        Number → so many times it ends the process.
    folder
        Where is kept who did what: a file for each attempt.
    fails, refuses, warns
        Numbers that raise an error, an InputError, or log a warning.
    seconds
        Of each task.
    """

    folder: Path
    kills: dict
    fails: tuple = ()
    refuses: tuple = ()
    warns: tuple = ()
    seconds: float = 0.0

    def __call__(self, number):
        before = len(list(self.folder.glob(f"{number}-*")))
        (self.folder / f"{number}-{before}-{os.getpid()}").touch()
        if before < self.kills.get(number, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if number in self.fails:
            raise Unreadable(number, "lines")
        if number in self.refuses:
            raise InputError(f"{number}: not a number that is liked")
        if number in self.warns:
            logging.getLogger("ridgebayes.tests").warning("number %d", number)
        time.sleep(self.seconds)
        return number**2, cores()


class Unreadable(Exception):
    """An error that cannot be read back from its pickle."""

    def __init__(self, number, what):
        super().__init__(f"bad {number}\nmore {what}")
