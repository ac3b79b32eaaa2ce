"""Layout of the ScWs for the likelihood: blocks of a few ScWs of one revolution.

Revolutions have from one to more than a hundred ScWs. The likelihood needs sums over each revolution, and
the sky seen by a ScW touches only a handful of regions. Both become dense and cheap when ScWs are packed
into blocks of fixed width: a block holds ScWs of one revolution that look at the same few regions. Sums run
first along the block (vectorised), then over the blocks of a revolution (few, sorted).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

WIDTH = 16
"""ScWs a block: wide enough for vector units, narrow enough to waste little on the last block."""


@dataclass(frozen=True)
class Layout:
    """Which ScW stands where.

    Attributes
    ----------
    index
        Row of the table in each cell, shape (block, width); 0 where `mask` is False.
    mask
        True where a cell holds a ScW, shape (block, width).
    block_revolution
        Position in `revolutions` of each block, sorted, shape (block,).
    revolutions
        Revolution numbers, sorted, shape (revolution,).
    """

    index: NDArray[np.int64]
    mask: NDArray[np.bool_]
    block_revolution: NDArray[np.int64]
    revolutions: NDArray[np.int64]

    @property
    def n_scws(self) -> int:
        """Number of ScWs in the layout."""
        return int(self.mask.sum())

    def pack(self, values: ArrayLike, fill: Any = 0) -> NDArray:
        """Bring per-ScW values (..., scw) into blocks (..., block, width), `fill` in empty cells."""
        return np.where(self.mask, np.asarray(values)[..., self.index], fill)

    def unpack(self, blocks: ArrayLike) -> NDArray:
        """Bring blocks (..., block, width) back to the row order of the table (..., scw)."""
        blocks = np.asarray(blocks)
        rows = np.empty((*blocks.shape[:-2], self.n_scws), blocks.dtype)
        rows[..., self.index[self.mask]] = blocks[..., self.mask]
        return rows


def layout(revolution: ArrayLike, seen: ArrayLike | None = None, *, width: int = WIDTH) -> Layout:
    """Pack ScWs into blocks of one revolution that see the same sky.

    Parameters
    ----------
    revolution
        Revolution number of each ScW, shape (scw,), any order.
    seen
        True where a ScW sees a sky region, shape (scw, region). Within a revolution the ScWs are sorted by
        the regions they see, so that a block needs few of them.
    width
        ScWs a block.
    """
    revolution = np.asarray(revolution)
    revolutions, position = np.unique(revolution, return_inverse=True)
    keys: list[NDArray] = [np.arange(revolution.size)]
    if seen is not None and np.asarray(seen).shape[1] > 0:
        seen = np.asarray(seen, bool)
        first = np.where(seen.any(1), seen.argmax(1), seen.shape[1])
        last = np.where(seen.any(1), seen.shape[1] - seen[:, ::-1].argmax(1), seen.shape[1] + 1)
        keys += [last, first]
    order = np.lexsort((*keys, position))

    counts = np.bincount(position)
    rank = np.arange(revolution.size) - np.repeat(np.cumsum(counts) - counts, counts)
    blocks_of = -(-counts // width)
    first_block = np.cumsum(blocks_of) - blocks_of
    block = first_block[position[order]] + rank // width

    n_blocks = int(blocks_of.sum())
    index = np.zeros((n_blocks, width), np.int64)
    mask = np.zeros((n_blocks, width), bool)
    index[block, rank % width] = order
    mask[block, rank % width] = True
    return Layout(index, mask, np.repeat(np.arange(revolutions.size), blocks_of), revolutions)


def pack_sky(layout: Layout, exposure: ArrayLike) -> tuple[NDArray, NDArray]:
    """Pack the exposure of the sky regions, keeping for each block only the regions that it sees.

    Parameters
    ----------
    layout
        Where each ScW stands.
    exposure
        A_im in deg², shape (scw, region).

    Returns
    -------
    exposure
        Shape (seen, block, width) in deg²; zeros where a block sees fewer regions than the busiest one.
    region
        Region of each slab, shape (seen, block).
    """
    exposure = np.asarray(exposure, float)
    n_regions = exposure.shape[1]
    in_block = np.zeros((layout.mask.shape[0], n_regions), bool)
    for column in range(layout.mask.shape[1]):
        in_block |= (exposure[layout.index[:, column]] != 0) & layout.mask[:, column, None]
    n_seen = max(int(in_block.sum(1).max(initial=0)), 1 if n_regions else 0)
    # A stable sort puts the seen regions first, in their own order.
    region = np.argsort(~in_block, axis=1, kind="stable")[:, :n_seen].T
    packed = exposure[layout.index[None], region[:, :, None]]
    return packed * layout.mask, region
