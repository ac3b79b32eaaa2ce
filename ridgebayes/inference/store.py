"""Interface of the checkpoint that lets a sampler continue after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ridgebayes.inference.kernels import Progress
from ridgebayes.inference.sampler import Start


class Store(Protocol):
    """The methods of :class:`ridgebayes.runs.checkpoint.Checkpoint` that the runner of chains uses."""

    @property
    def run(self) -> Path:
        """The run directory, for messages."""

    def start(self, part: int) -> Start | None:
        """Return the start of the chains of a part; None if it is not known yet."""

    def save_start(self, part: int, start: Start) -> None:
        """Keep the start of the chains of a part."""

    def chain(self, part: int, number: int) -> Progress | None:
        """Return the progress of a chain; None if it has not started."""

    def save_chain(self, part: int, number: int, progress: Progress) -> None:
        """Keep the progress of a chain."""
