"""An attempt to read a changed file, and its outcome."""

import os
import resource
import signal
import sys
import time
import warnings
from contextlib import contextmanager
from typing import NamedTuple

from ridgebayes.errors import InputError
from tests.helpers.mutations import mutate
from tests.helpers.readers import Reader, encoded

LONGEST_LINE = 1000
"""Maximum length of an error message, characters."""


class Outcome(NamedTuple):
    """Outcome of an attempt.

    Attributes
    ----------
    kind
        ``refused`` (one line), ``read`` (a result), or a failure: ``exception``, ``not one line``,
        ``too slow``, ``silent`` (a file with a checksum gave another result).
    file, how
        Name of the changed file, and the change.
    what
        Message.
    seconds
        Processor time, s.
    grown
        Increase of the peak memory of the process, MiB.
    """

    kind: str
    file: str
    how: str
    what: str
    seconds: float
    grown: float

    @property
    def good(self) -> bool:
        """True for a one-line error or a result."""
        return self.kind in ("refused", "read")


class TooSlowError(BaseException):
    """Not a subclass of Exception, so that readers do not convert it to an InputError."""


def attempt(reader: Reader, seed: int, right: str, limit_s: float = 10.0) -> Outcome:
    """Change one file of a reader, read, and restore the file.

    Parameters
    ----------
    reader
        The reader; its files are restored at the end.
    seed
        Seed of the choice of file and change.
    right
        Result for the valid files, from `encoded`.
    limit_s
        Limit of processor time, s, after which an attempt counts as a hang. Wall time would depend on load.
    """
    names = sorted(reader.targets)
    name = names[seed % len(names)]
    path = reader.folder / name
    good, stamp = path.read_bytes(), path.stat()
    how, broken = mutate(good, reader.targets[name], seed)
    path.write_bytes(broken)
    before, start = _peak_mib(), time.process_time()
    try:
        with _limited(limit_s), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = reader.read(reader.folder)
        kind, what = "read", ""
        if name in reader.sealed and broken != good and encoded(reader.answer(found)) != right:
            kind, what = "silent", "another answer from a file with a checksum"
    except InputError as error:
        what = str(error)
        one = "\n" not in what and what.isprintable() and 0 < len(what) <= LONGEST_LINE
        kind = "refused" if one else "not one line"
    except TooSlowError:
        kind, what = "too slow", ""
    except Exception as error:
        kind, what = "exception", f"{type(error).__name__}: {error}"
    finally:
        path.write_bytes(good)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    return Outcome(kind, name, how, what, time.process_time() - start, _peak_mib() - before)


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


@contextmanager
def _limited(seconds):
    def stop(*_):
        raise TooSlowError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
