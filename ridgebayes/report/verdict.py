"""One line of the summary of a report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """A line of the summary: `state` is ``good``, ``bad`` or ``open``."""

    state: str
    what: str
    words: str
