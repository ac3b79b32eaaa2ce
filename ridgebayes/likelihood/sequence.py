"""The order of ScWs in time, for a filter that handles groups of revolutions in parallel.

The filter takes one ScW of each revolution of a group at a time. Each revolution costs as many steps as the
longest of its group, and as many columns as the one that sees most regions. So groups have similar
revolutions.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

from ridgebayes.likelihood.packing import Layout

GROUPS, _GROUPS_OF_MANY = 2, 8
"""Numbers of groups of revolutions; each group is compiled separately, so only a long mission has many."""
_MANY = 40_000  # ScWs of a long mission
_DENSE = 7.0  # number of columns other than those of regions
_FILTERED = 3.0  # cost of filtering a column, over that of a product of two


class Group(NamedTuple):
    """A group of revolutions, with their ScWs in order of time.

    Attributes
    ----------
    index
        Cell of each ScW in the flattened blocks, shape (step, revolution); 0 after the last ScW.
    gap
        Days since the previous ScW, shape (step, revolution); 0 for the first and after the last.
    present
        True up to the last ScW, shape (step, revolution).
    basis
        Basis functions, shape (term, step, revolution).
    revolution
        Indices of the revolutions in `Layout.revolutions`, shape (revolution,).
    place
        Sky regions that each revolution sees, shape (local, revolution), padded with the first region.
    slab
        Index of the exposure of these regions in the flattened slabs of all blocks, shape (step, revolution,
        local); the size of the slabs where the exposure is zero.
    """

    index: Any
    gap: Any
    present: Any
    basis: Any
    revolution: Any
    place: Any
    slab: Any


class Sequence(NamedTuple):
    """The order in time of the ScWs.

    Attributes
    ----------
    groups
        Groups that together contain every revolution once.
    position
        Index of each cell in the flattened, concatenated groups, shape (block, width); their size for empty
        cells.
    start
        Index of the first ScW of each revolution in order of time, and the end, shape (revolution + 1,).
    cell
        Cell of each ScW, in order of time, in the flattened blocks, shape (scw,).
    gap_before
        Days since the previous ScW, shape (scw,); infinite for the first of a revolution.
    """

    groups: tuple[Group, ...]
    position: Any
    start: Any
    cell: Any
    gap_before: Any


def sequence(
    layout: Layout,
    mjd: ArrayLike,
    basis: ArrayLike,
    *,
    exposure: ArrayLike | None = None,
    region: ArrayLike | None = None,
    groups: int | None = None,
) -> Sequence:
    """Sort the ScWs of each revolution by time.

    Parameters
    ----------
    layout
        Cell of each ScW.
    mjd
        Time of each ScW in days, shape (scw,), in the row order of the layout.
    basis
        Basis functions at each ScW, shape (term, block, width), as for the distribution.
    exposure, region
        Exposure of the regions that a block sees, (slab, block, width), and their indices, (slab, block).
    groups
        Number of groups of revolutions; by default `GROUPS`, and more in a long mission.
    """
    local = _local_regions(layout, exposure, region)
    flat = np.asarray(basis, float).reshape(-1, layout.mask.size)
    cells = np.flatnonzero(layout.mask)
    time = np.asarray(mjd, float)[layout.index.ravel()[cells]]
    revolution = np.repeat(layout.block_revolution, layout.mask.shape[1])[cells]
    order = np.lexsort((time, revolution))
    cells, time, revolution = cells[order], time[order], revolution[order]
    count = np.bincount(revolution)
    start = np.cumsum(count) - count
    gap = np.where(np.arange(time.size) == start[revolution], 0.0, np.diff(time, prepend=time[:1]))

    position = np.full(layout.mask.size, -1, np.int32)
    made: list[Group] = []
    before = 0
    if groups is None:
        groups = GROUPS if cells.size < _MANY else _GROUPS_OF_MANY
    for members in _groups(count, np.array([seen.size for seen in local.region_of]), groups):
        step = np.arange(count[members].max())[:, None]
        present = step < count[members]
        rows = np.where(present, start[members] + step, 0)
        position[cells[rows[present]]] = before + np.flatnonzero(present)
        index = np.where(present, cells[rows], 0).astype(np.int32)
        made.append(
            Group(
                index,
                np.where(present, gap[rows], 0.0),
                present,
                np.where(present, flat[:, index], 0.0),
                members.astype(np.int32),
                *_local_columns(local, layout, members, index, present),
            )
        )
        before += present.size
    gap_before = np.where(np.arange(time.size) == start[revolution], np.inf, gap)
    position[position < 0] = before
    whole = position.reshape(layout.mask.shape)
    return Sequence(tuple(made), whole, np.append(start, time.size), cells, gap_before)


def by_group(values: Array, sequence: Sequence) -> list[Array]:
    """Sort values of cells (block, width) by time.

    Returns
    -------
    list
        (step, revolution) for each group; zero after the last ScW.
    """
    shapes = [group.present.shape for group in sequence.groups]
    ends = np.cumsum([steps * revolutions for steps, revolutions in shapes])
    # A scatter, because compiled code would compute the values of a gather once more for each group.
    ordered = jnp.zeros(ends[-1], values.dtype).at[sequence.position].set(values, mode="drop")
    return [part.reshape(shape) for part, shape in zip(jnp.split(ordered, ends[:-1]), shapes, strict=True)]


def by_cell(groups: Iterable[Array], sequence: Sequence) -> Array:
    """Invert `by_group`: values (..., step, revolution) of each group → (..., block, width).

    Empty cells hold zero.
    """
    ordered = jnp.concatenate([x.reshape(*x.shape[:-2], -1) for x in groups], -1)
    return ordered.at[..., sequence.position].get(mode="fill", fill_value=0.0)


def _groups(count: NDArray, regions: NDArray, most: int) -> list[NDArray]:
    """Split revolutions into groups that need little padding, one split after the other.

    Parameters
    ----------
    count, regions
        Number of ScWs of each revolution, and of the regions that it sees.
    most
        Largest number of groups; there are fewer if no further split saves time.
    """
    groups = [np.arange(count.size)]
    while len(groups) < most:
        splits = [_best_split(group, count, regions) for group in groups]
        which = int(np.argmax([saved for saved, _ in splits]))
        if splits[which][0] <= 0:
            break
        groups[which : which + 1] = splits[which][1]
    return groups


def _best_split(group: NDArray, count: NDArray, regions: NDArray) -> tuple[float, list[NDArray]]:
    """Find the best split of a group by the regions or ScWs of its revolutions, and what it saves."""
    best: tuple[float, list[NDArray]] = 0.0, [group]
    whole = group.size * _cost(count[group].max(), regions[group].max())
    first = np.arange(1, group.size)
    for by in (regions, count):
        order = group[np.argsort(-by[group], kind="stable")]
        up, down = (
            _cost(*(np.maximum.accumulate(x[order][::step])[:-1] for x in (count, regions)))
            for step in (1, -1)
        )
        saved = whole - first * up - (group.size - first) * down[::-1]
        if saved.size and saved.max() > best[0]:
            best = float(saved.max()), np.split(order, [int(saved.argmax()) + 1])
    return best


def _cost(count: Any, regions: Any) -> Any:
    """Time for a padded revolution: columns are filtered, then multiplied with each other."""
    columns = _DENSE + regions
    return count * (_FILTERED * columns + columns**2 / 2)


class _Local(NamedTuple):
    """Regions that each revolution sees."""

    region_of: list[NDArray]  # regions of each revolution
    slab_of: NDArray  # slab of each region in each block; −1 where it has none (region, block)
    size: int  # of the flattened slabs


def _local_regions(layout: Layout, exposure: ArrayLike | None, region: ArrayLike | None) -> _Local:
    revolutions, blocks = layout.revolutions.size, layout.block_revolution.size
    if exposure is None or region is None or not np.size(exposure):
        return _Local([np.zeros(0, int)] * revolutions, np.zeros((0, blocks), int), 0)
    exposure, region = np.asarray(exposure), np.asarray(region)
    seen = exposure.any(-1)  # (slab, block)
    slab_of = np.full((int(region.max()) + 1, blocks), -1)
    slab, block = np.nonzero(seen)
    slab_of[region[slab, block], block] = slab
    pairs = np.unique(np.stack([layout.block_revolution[block], region[slab, block]]), axis=1)
    ends = np.searchsorted(pairs[0], np.arange(revolutions + 1))
    return _Local([pairs[1, a:b] for a, b in pairwise(ends)], slab_of, exposure.size)


def _local_columns(
    local: _Local, layout: Layout, members: NDArray, index: NDArray, present: NDArray
) -> tuple[NDArray, NDArray]:
    """`Group.place` and `Group.slab` of the revolutions of a group."""
    most = max((local.region_of[m].size for m in members), default=0)
    place = np.zeros((most, members.size), np.int32)
    used = np.zeros((most, members.size), bool)
    for column, member in enumerate(members):
        regions = local.region_of[member]
        place[: regions.size, column], used[: regions.size, column] = regions, True
    if not most:
        return place, np.zeros((*index.shape, 0), np.int32)
    slab = local.slab_of[place.T, index[..., None] // layout.mask.shape[1]]
    there = (slab >= 0) & present[..., None] & used.T
    return place, np.where(there, slab * layout.mask.size + index[..., None], local.size).astype(np.int32)
