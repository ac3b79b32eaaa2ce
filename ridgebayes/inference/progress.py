"""The progress bar of running chains, with the time left."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from threading import Lock
from types import TracebackType

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # A notebook without ipywidgets has the bar of a terminal.
    warnings.filterwarnings("ignore", "IProgress not found", TqdmWarning)
    from tqdm.auto import tqdm

_LAYOUT = "{desc}: {percentage:3.0f}% {bar} {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


def wanted(progress: bool | None) -> bool:
    """Tell whether to show progress: by default in terminals and notebooks."""
    if progress is not None:
        return progress
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    if "ipykernel" not in sys.modules:
        return False
    from IPython import get_ipython

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


def in_words(seconds: float) -> str:
    """Format a time in words.

    Examples
    --------
    >>> in_words(7.2), in_words(84.0), in_words(4000.0)
    ('8 s', '90 s', '67 min')
    """
    if seconds < 60:
        return f"{int(seconds) + 1} s"
    return f"{10 * (int(seconds) // 10 + 1)} s" if seconds < 300 else f"{seconds / 60:.0f} min"


class ProgressBar:
    """A progress bar for the chains of all parts, updated by several threads.

    The time left is estimated from the iterations since all modes were found: neither the search for modes
    nor iterations of an earlier process show how fast the chains are.

    Parameters
    ----------
    parts, iterations
        Number of parts, and the fewest iterations that all their chains can need.
    shown
        Show the bar on stderr.
    now
        Clock, s.
    """

    def __init__(
        self, parts: int, iterations: int, *, shown: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._modes, self._now, self._lock = parts, now, Lock()
        self._done = 0
        self._since = now()
        # A log file needs no more than a line every half minute.
        pace = 0.2 if sys.stderr.isatty() else 30.0
        self._bar = tqdm(
            disable=not shown,
            desc="finding the mode",
            bar_format=_LAYOUT,
            mininterval=pace,
            total=iterations,
        )
        self.n, self.total = 0, iterations

    def begins(self, more: int) -> None:
        """Record that the mode of a part is found, and that it needs `more` iterations than expected."""
        with self._lock:
            self._modes -= 1
            if self._modes == 0:
                self._since, self._done = self._now(), 0
        self._grow(more, "sampling")

    def grows(self, more: int, *, judged: bool) -> None:
        """Record that `more` iterations are needed: chains, if they were judged, have not converged."""
        self._grow(more, "sampling on, not yet converged" if judged else "sampling")

    def _grow(self, more: int, doing: str) -> None:
        with self._lock:
            self.total += more
            self._bar.total = self.total
            self._tell_time()
        self._bar.set_description_str(doing)

    def known(self, iterations: int) -> None:
        """Count iterations of an earlier process."""
        self._move(iterations)

    def done(self, iterations: int) -> None:
        """Count iterations of this process."""
        with self._lock:
            self._done += iterations
        self._move(iterations)

    @property
    def to_go(self) -> float | None:
        """Estimated time left, s; None before there is an estimate."""
        if self._modes or not self._done:
            return None
        return (self.total - self.n) * (self._now() - self._since) / self._done

    def _move(self, iterations: int) -> None:
        with self._lock:
            self.n += iterations
            self._tell_time()
            self._bar.update(iterations)

    def _tell_time(self) -> None:
        # At the end of the chains nothing: it may be found that they have to go on.
        left = self.to_go
        self._bar.set_postfix_str(f"about {in_words(left)} to go" if left else "", refresh=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.n >= self.total:
            self._bar.set_postfix_str("done", refresh=False)
        self._bar.close()
