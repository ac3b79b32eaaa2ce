"""How chains are sampled, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import jax

from ridgebayes.errors import InputError, nearest
from ridgebayes.parallel.cores import cores

SAMPLERS = ("auto", "nuts")
TIMES: tuple[float, ...] = 1, 1.5, 2, 3, 4, 6, 8
"""Successive factors by which chains that have not converged are lengthened."""


@dataclass(frozen=True)
class Settings:
    """How to sample.

    Attributes
    ----------
    chains, warmup, draws
        Number of chains, and warm-up iterations and kept draws of each. Chains of proposals that have not
        converged are lengthened up to eight times (`TIMES`) and thinned by the same factor.
    seed
        Seed of all random numbers.
    target_accept, max_tree_depth
        Settings of NUTS.
    sampler
        ``auto``: proposals of the nonlinear parameters if they are accepted often enough, else NUTS.
        ``nuts``: NUTS (see `ridgebayes.inference.sampler`).
    devices
        Number of devices that share the revolutions (`ridgebayes.inference.sharding`).
    """

    chains: int = 4
    warmup: int = 150
    draws: int = 500
    seed: int = 0
    target_accept: float = 0.9
    max_tree_depth: int = 10
    sampler: str = "auto"
    devices: int = 1

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise InputError(f"sampler = '{self.sampler}': must be one of {', '.join(SAMPLERS)}")
        for name in ("chains", "warmup", "draws", "max_tree_depth", "devices"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)}: must be at least 1")
        if not 0 < self.target_accept < 1:
            raise InputError(f"target_accept = {self.target_accept}: must lie between 0 and 1")
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: must not be negative")

    def changed(self, changes: Mapping[str, Any], others: Iterable[str] = ()) -> Settings:
        """Return these settings with changes.

        Parameters
        ----------
        changes
            Name → value.
        others
            Names that may have been meant besides, for the message.

        Raises
        ------
        InputError
            For an unknown name, with the nearest real one; for a bad value.
        """
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                raise InputError(f"{name}=...: there is no such setting{nearest(name, [*known, *others])}")
        return replace(self, **changes)

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Settings:
        """Return the settings in the record of a run, which has more entries on sampling."""
        return cls(**{field.name: record["sampling"][field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Device:
    """Where the chains run.

    Attributes
    ----------
    name
        Such as ``cpu`` or ``NVIDIA H100``.
    method
        ``chains in threads`` (as many at a time as cores) or ``chains one after the other``.
    workers
        Chains at a time.
    """

    name: str
    method: str
    workers: int

    def __str__(self) -> str:
        return f"{self.name}, {self.method}" + (f" ({self.workers} at a time)" if self.workers > 1 else "")


def resolve_device(tasks: int, workers: int | None = None, devices: int = 1) -> Device:
    """Choose how to run `tasks` chains on the default JAX device, or several of its kind."""
    if devices > 1:
        return Device(f"{devices} × {jax.devices()[0].device_kind}", "chains one after the other", 1)
    device = jax.devices()[0]
    # On an accelerator two chains at a time keep it busy while the host prepares the next block.
    limit = cores() if device.platform == "cpu" else 2
    workers = max(1, min(tasks, workers or limit))
    return Device(
        device.device_kind, "chains in threads" if workers > 1 else "chains one after the other", workers
    )
