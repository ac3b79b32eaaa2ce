"""Split the revolutions of a fit, which are independent given the parameters.

The log density of all data is the sum over pieces, with the prior counted once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.likelihood.design import FitData, in_order
from ridgebayes.likelihood.packing import Layout
from ridgebayes.likelihood.sequence import Sequence


def shares(block_revolution: NDArray, revolutions: int, n: int) -> tuple[NDArray, NDArray]:
    """Divide revolutions among `n` devices so that each has about equally many blocks.

    Parameters
    ----------
    block_revolution
        Revolution of each block, sorted, (block,).
    revolutions
        Number of revolutions.
    n
        Number of devices.

    Returns
    -------
    first_revolution, first_block
        First revolution and block of each share, and the end of the last, (n + 1,) each.

    Raises
    ------
    InputError
        If there are fewer revolutions than devices.
    """
    if revolutions < n:
        raise InputError(
            f"devices={n}: the table has {revolutions} revolutions: give at most so many devices"
        )
    ends = np.searchsorted(block_revolution, np.arange(revolutions + 1))
    cut = np.searchsorted(ends, np.arange(n + 1) * block_revolution.size / n)
    # At least one revolution each.
    cut = np.maximum.accumulate(cut - np.arange(n + 1)) + np.arange(n + 1)
    cut = np.minimum(cut, revolutions - n + np.arange(n + 1))
    return cut, ends[cut]


def nothing(data: FitData) -> FitData:
    """Return data of one empty block and one revolution, whose density is the prior alone."""
    one: dict[str, Any] = {
        name: jax.lax.slice_in_dim(getattr(data, name), 0, 1, axis=axis)
        for name, axis in (data.having("block") | data.having("revolution")).items()
    }
    one["filled"] &= False
    one["block_revolution"] *= 0
    return replace(data, **one)


def thinned(data: FitData, every: int) -> FitData:
    """Select every `every`-th revolution as a mission of its own."""
    revolution = np.asarray(data.block_revolution)
    kept = np.arange(data.time.size) % every == 0
    taken: dict[str, Any] = {
        name: np.compress(which, getattr(data, name), axis)
        for along, which in (("block", kept[revolution]), ("revolution", kept))
        for name, axis in data.having(along).items()
    }
    taken["block_revolution"] = taken["block_revolution"] // every
    fewer = replace(data, **jax.tree.map(jnp.asarray, taken))
    if data.sequence is None:
        return fewer
    return replace(fewer, sequence=_in_order(data.sequence, kept[revolution], fewer))


def _in_order(whole: Sequence, kept: NDArray[np.bool_], fewer: FitData) -> Sequence:
    """Sort the ScWs of some blocks by time, from the known order of all ScWs."""
    time = np.full(kept.size * fewer.filled.shape[1], np.nan)
    gap = np.asarray(whole.gap_before)
    time[np.asarray(whole.cell)] = np.cumsum(np.where(np.isfinite(gap), gap, 0.0))
    time = time.reshape(kept.size, -1)[kept]
    there = np.isfinite(time)
    index = np.where(there, np.cumsum(there).reshape(there.shape) - 1, 0)
    where = Layout(index, there, np.asarray(fewer.block_revolution), np.arange(fewer.time.size))
    return jax.tree.map(jnp.asarray, in_order(fewer, where, time[there]))
