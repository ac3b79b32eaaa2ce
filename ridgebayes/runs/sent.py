"""A model and its data on their way to other processes: plain arrays, and the record of the model."""

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
    """What work on a run needs in another process.

    Attributes
    ----------
    record
        Of the run; None for what stays in this process.
    sky
        Sky regions of the model.
    parts
        Data of the independent fits, plain arrays.
    key
        Names it among all that a worker does.
    """

    record: Mapping[str, Any] | None
    sky: Sky
    parts: tuple[FitData, ...]
    key: str = field(default_factory=lambda: uuid4().hex)

    @classmethod
    def of(cls, record: Mapping[str, Any] | None, sky: Sky, parts: Sequence[FitData]) -> Sent:
        """Take the data as plain arrays."""
        return cls(record, sky, tuple(jax.tree.map(np.asarray, part) for part in parts))

    def keep(self, found: Any) -> None:
        """Keep here what `made` would make, so that nothing is compiled twice in this process."""
        made(self.key, lambda: found)

    def made(self, make: Callable[[Posterior, list[FitData]], Made]) -> Made:
        """Make something of the posterior and the data, once in each process."""

        def opened() -> Made:
            assert self.record is not None
            use_compilation_cache()
            parts = [jax.tree.map(jnp.asarray, part) for part in self.parts]
            return make(Posterior(recorded_model(self.record, "the run", self.sky), parts[0]), parts)

        return made(self.key, opened)
