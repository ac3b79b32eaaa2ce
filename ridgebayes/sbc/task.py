"""Data that a worker needs to run simulations of a campaign, on this or another machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import jax
import jax.numpy as jnp

from ridgebayes.likelihood.design import FitData
from ridgebayes.parallel.tasks import made
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.runs.metadata import recorded_model
from ridgebayes.sbc.one import Fitter, Result, simulation
from ridgebayes.sky import Sky


@dataclass(frozen=True)
class Task:
    """A campaign in a form for workers: plain arrays, and the record from which the model is built.

    Attributes
    ----------
    record
        Record of model and data (`sbc.toml`).
    sky
        Sky regions of the model.
    parts
        Independent fits (bands).
    labels
        ``coords``: axis → names along it; ``dims``: parameter → axes.
    key
        Key that identifies the campaign on a worker.
    """

    record: dict[str, Any]
    sky: Sky
    parts: tuple[FitData, ...]
    labels: dict[str, Any]
    key: str = field(default_factory=lambda: uuid4().hex)

    def __call__(self, number: int) -> Result:
        """Run one simulation."""
        fitter = made(self.key, self._fitter)
        parts = jax.tree.map(jnp.asarray, self.parts)
        return simulation(number, fitter, parts, self.labels, self.record["sbc"]["seed"])

    def _fitter(self) -> Fitter:
        use_compilation_cache()
        told = self.record["sbc"]
        return Fitter(
            recorded_model(self.record, "the campaign", self.sky),
            jax.tree.map(jnp.asarray, self.parts[0]),
            warmup=told["warmup"],
            draws=told["draws"],
            target_accept=told["target_accept"],
            max_tree_depth=told["max_tree_depth"],
        )
