"""Where a sampler keeps how far it has come, so that it can go on after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ridgebayes.inference.kernels import Progress
from ridgebayes.inference.sampler import Start


class Store(Protocol):
    """What the runner of chains needs of a :class:`ridgebayes.runs.checkpoint.Checkpoint`."""

    @property
    def run(self) -> Path:
        """The run directory, for messages."""

    def start(self, part: int) -> Start | None:
        """Return where the chains of a part begin, where it was found."""

    def save_start(self, part: int, start: Start) -> None:
        """Keep where the chains of a part begin."""

    def chain(self, part: int, number: int) -> Progress | None:
        """Return how far a chain has come, where it has begun."""

    def save_chain(self, part: int, number: int, progress: Progress) -> None:
        """Keep how far a chain has come."""
