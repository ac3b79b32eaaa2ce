"""A model and its data in a form that other processes can receive: a record and plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import jax
import jax.numpy as jnp
import numpy as np

from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData
from ridgebayes.parallel.tasks import made
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.runs.metadata import recorded_model
from ridgebayes.sky import Sky

Made = TypeVar("Made")


@dataclass(frozen=True)
class Sent:
    """Model and data of a run, for another process.

    Attributes
    ----------
    record
        Record of the run; None if nothing is sent to another process.
    sky
        Sky regions of the model.
    parts
        Data of the independent fits, as plain arrays.
    key
        Identifier, unique among the works of a worker.
    """

    record: Mapping[str, Any] | None
    sky: Sky
    parts: tuple[FitData, ...]
    key: str = field(default_factory=lambda: uuid4().hex)

    @classmethod
    def of(cls, record: Mapping[str, Any] | None, sky: Sky, parts: Sequence[FitData]) -> Sent:
        """Convert the data to plain arrays."""
        return cls(record, sky, tuple(jax.tree.map(np.asarray, part) for part in parts))

    def keep(self, found: Any) -> None:
        """Keep an object that `made` would make, so that nothing is compiled twice in this process."""
        made(self.key, lambda: found)

    def made(self, make: Callable[[Posterior, list[FitData]], Made]) -> Made:
        """Make an object from posterior and data, once in each process."""

        def opened() -> Made:
            assert self.record is not None
            use_compilation_cache()
            parts = [jax.tree.map(jnp.asarray, part) for part in self.parts]
            return make(Posterior(recorded_model(self.record, "the run", self.sky), parts[0]), parts)

        return made(self.key, opened)
