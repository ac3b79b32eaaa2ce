"""Where a sampler keeps how far it has come, so that it can go on after an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ridgebayes.inference.kernels import Progress
from ridgebayes.inference.laplace import Laplace


class Store(Protocol):
    """What the runner of chains needs of a :class:`ridgebayes.runs.checkpoint.Checkpoint`."""

    @property
    def run(self) -> Path:
        """The run directory, for messages."""

    def mode(self, part: int) -> Laplace | None:
        """Return the Gaussian approximation of a part, where it was found."""

    def save_mode(self, part: int, mode: Laplace) -> None:
        """Keep the Gaussian approximation of a part."""

    def chain(self, part: int, number: int) -> Progress | None:
        """Return how far a chain has come, where it has begun."""

    def save_chain(self, part: int, number: int, progress: Progress) -> None:
        """Keep how far a chain has come."""

    def forget_chains(self, part: int) -> None:
        """Drop the chains of a part, which are to begin anew."""
