"""Work for the tests of tasks, in a module that processes and Dask workers can import."""

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
    """Squares numbers; some numbers have a side effect first.

    Attributes
    ----------
    kills
        Number → how often it ends the process.
    folder
        Folder with a file for each attempt.
    fails, refuses, warns
        Numbers that raise an error, an InputError, or log a warning.
    seconds
        Duration of each task, s.
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
