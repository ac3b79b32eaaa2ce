"""One broken file, one attempt to read it, and what came of it."""

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
"""Letters of an error message that a reader still reads."""


class Outcome(NamedTuple):
    """What came of an attempt.

    Attributes
    ----------
    kind
        ``refused`` (one line), ``read`` (an answer), or what must not be: ``exception``, ``not one line``,
        ``too slow``, ``silent`` (a sealed file gave another answer).
    file, how
        Which file was broken, and how.
    what
        The message.
    seconds
        Of processor time that it took.
    grown
        By how much the largest memory of the process rose, MiB.
    """

    kind: str
    file: str
    how: str
    what: str
    seconds: float
    grown: float

    @property
    def good(self) -> bool:
        """A one-line error or an answer."""
        return self.kind in ("refused", "read")


class TooSlowError(BaseException):
    """Not an Exception, so that no reader takes it for a broken file."""


def attempt(reader: Reader, seed: int, right: str, limit_s: float = 10.0) -> Outcome:
    """Break one file of a reader, read, and put the file back.

    Parameters
    ----------
    reader
        Its files are as they were when this returns.
    seed
        Says which file and how.
    right
        The answer to the good files, of `encoded`.
    limit_s
        Of processor time, after which an attempt counts as a hang: a busy machine is not to blame.
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
