"""What a worker needs to run simulations of a campaign, here or on another machine."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from threading import Lock
from typing import Any
from uuid import uuid4

import jax
import jax.numpy as jnp

from ridgebayes.likelihood.design import FitData
from ridgebayes.runs.metadata import recorded_model
from ridgebayes.runs.sampling import use_compilation_cache
from ridgebayes.sbc.folder import SOFTWARE, check_software
from ridgebayes.sbc.one import Fitter, Result, simulation
from ridgebayes.sky import Sky


@dataclass(frozen=True)
class Task:
    """A campaign as it is sent to workers: plain arrays, and the record that its model is built from.

    Attributes
    ----------
    record
        What is simulated and fitted (`sbc.toml`).
    sky
        Sky regions of the model.
    parts
        Independent fits (bands).
    labels
        ``coords``: axis → names along it; ``dims``: parameter → axes.
    key
        Names it among the campaigns that a worker has met.
    """

    record: dict[str, Any]
    sky: Sky
    parts: tuple[FitData, ...]
    labels: dict[str, Any]
    key: str = field(default_factory=lambda: uuid4().hex)

    def run(self, number: int) -> Result:
        """Run one simulation; what is compiled is kept for the next.

        Raises
        ------
        InputError
            When this machine has other software than the one that the campaign was begun on.
        """
        with _LOCK:
            if self.key not in _FITTERS:
                now = {"ridgebayes": version("ridgebayes"), "versions": {p: version(p) for p in SOFTWARE}}
                check_software(self.record, now, f"worker on {platform.node()}", "install that one there")
                use_compilation_cache()
                _FITTERS.clear()
                model = recorded_model(self.record, "the campaign", self.sky)
                told = self.record["sbc"]
                _FITTERS[self.key] = Fitter(
                    model,
                    jax.tree.map(jnp.asarray, self.parts[0]),
                    warmup=told["warmup"],
                    draws=told["draws"],
                    target_accept=told["target_accept"],
                    max_tree_depth=told["max_tree_depth"],
                )
            fitter = _FITTERS[self.key]
        parts = jax.tree.map(jnp.asarray, self.parts)
        return simulation(number, fitter, parts, self.labels, self.record["sbc"]["seed"])


_LOCK = Lock()
_FITTERS: dict[str, Fitter] = {}
"""The campaign that this process works on."""
