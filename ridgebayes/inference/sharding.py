"""One posterior on several devices or processes, which share the revolutions.

Given the parameters, revolutions are independent. Every device computes the log density of its own
revolutions. Devices exchange only the sum of the log density and of its gradient.

::

    from ridgebayes.inference.sharding import Sharded, mesh
    several = Sharded(posterior.potential, mesh(4))
    jax.value_and_grad(several)(z, several.share(data))

With several processes, such as one on each node, each calls ``jax.distributed.initialize`` first, reads the
same table and runs the same program; `mesh` then spans the devices of all processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mode import Potential
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.partition import nothing, shares

AXIS = "revolutions"


def mesh(devices: int | None = None) -> Mesh:
    """Return a mesh of the first `devices` devices of all processes; by default of all.

    Raises
    ------
    InputError
        If there are fewer devices.
    """
    found = jax.devices()
    if devices is not None and not 1 <= devices <= len(found):
        raise InputError(
            f"devices={devices}: there are {len(found)} {found[0].platform} devices: give 1 to {len(found)}"
        )
    return Mesh(np.array(found[:devices]), (AXIS,))


class Sharded:
    """A potential of which every device computes the terms of its own revolutions.

    Called with (flat vector, `share`\\ d data), it returns the potential of all data, and so does its
    gradient.

    Parameters
    ----------
    potential
        Minus log density of (flat vector, data). Blocks without a filled cell must add nothing to it.
    over
        The devices.
    """

    def __init__(self, potential: Potential, over: Mesh) -> None:
        self.potential, self.over = potential, over

    def __call__(self, z: Array, data: FitData) -> Array:
        """Minus log density of the unconstrained vector, (size,) → ()."""
        n = self.over.size
        divided: Any = replace(data, **{name: _spec(name) for name in _there(data)})

        @partial(
            jax.shard_map, mesh=self.over, in_specs=(PartitionSpec(), divided), out_specs=PartitionSpec()
        )
        def summed(z: Array, mine: FitData) -> Array:
            # The sum has the prior of every device: subtract all but one of them.
            prior = self.potential(z, nothing(mine))
            return jax.lax.psum(self.potential(z, mine) - (1 - 1 / n) * prior, AXIS)

        return summed(z, data)

    def share(self, data: FitData) -> FitData:
        """Distribute data among devices, each with whole revolutions and equally many blocks.

        Raises
        ------
        InputError
            If the order of ScWs in time matters (correlated noise): such data cannot be distributed.
        """
        if data.sequence is not None:
            raise InputError("extra 'correlated_noise': runs on one device: leave devices=... away")
        n = self.over.size
        # Copies on the host, because all data may not fit on one device.
        whole = {name: np.asarray(getattr(data, name)) for name in _there(data)}
        first_revolution, first_block = shares(np.asarray(data.block_revolution), data.time.size, n)
        blocks, revolutions = np.diff(first_block).max(), np.diff(first_revolution).max()
        by_block, divided = FitData.axis("block"), _divided()
        shared: dict[str, Any] = {}
        for name, x in whole.items():
            axis = divided.get(name)
            if axis is None:
                shared[name] = self._place(name, x)
                continue
            bounds, length = (first_block, blocks) if name in by_block else (first_revolution, revolutions)
            pieces = [np.take(x, range(*bounds[i : i + 2]), axis) for i in range(n)]
            if name == "block_revolution":
                pieces = [piece - start for piece, start in zip(pieces, first_revolution, strict=False)]
                last = revolutions - 1
                pieces = [np.pad(p, (0, length - p.size), constant_values=last) for p in pieces]
            else:
                pieces = [_padded(p, length, axis, fill=_FILL.get(name, 0)) for p in pieces]
            shared[name] = self._place(name, np.concatenate(pieces, axis))
        return replace(data, **shared)

    def _place(self, name: str, x: NDArray) -> Array:
        """Place the parts of the devices of this process; other processes place their own."""
        sharding = NamedSharding(self.over, _spec(name))
        return jax.make_array_from_callback(x.shape, sharding, lambda part: x[part])


def several(posterior: Posterior, parts: Sequence[FitData], devices: int) -> tuple[Potential, list[FitData]]:
    """Return the potential and the data of the parts of a fit for `devices` devices.

    Chains must then run one after the other, because two at a time would wait for each other's sums.

    Raises
    ------
    InputError
        If there are fewer devices, or if a parameter belongs to single revolutions.
    """
    if devices == 1:
        return posterior.potential, list(parts)
    if posterior.by_revolution:
        name = posterior.by_revolution[0]
        raise InputError(f"devices={devices}: {name} is sampled for every revolution: leave devices=... away")
    shared = Sharded(posterior.potential, mesh(devices))
    return shared, [shared.share(part) for part in parts]


_FILL = {"stat_variance": 1.0, "level": 1.0}
"""Padding where there is no ScW or revolution, so that nothing divides by zero."""


def _padded(x: NDArray, length: int, axis: int, *, fill: Any) -> NDArray:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, length - x.shape[axis])
    return np.pad(x, widths, constant_values=fill)


def _divided() -> dict[str, int]:
    """Return the arrays that are divided among devices, with the axis; others are copied to every device."""
    return FitData.axis("block") | FitData.axis("revolution")


def _there(data: FitData) -> list[str]:
    """Return the names of the arrays that this fit has."""
    return [x.name for x in fields(data) if getattr(data, x.name) is not None]


def _spec(name: str) -> Any:
    """Return which axis of an array is divided among devices."""
    axis = _divided().get(name)
    return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, AXIS)
