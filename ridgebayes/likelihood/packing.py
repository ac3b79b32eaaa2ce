"""Layout of ScWs for the likelihood: blocks of a few ScWs of one revolution.

Revolutions have from one to more than a hundred ScWs. The likelihood needs sums over each revolution, and a
ScW sees only a few sky regions. Arrays are dense and sums fast if ScWs are packed into blocks of fixed width,
each with ScWs of one revolution that see the same few regions. Sums run first along the block (vectorised),
then over the blocks of a revolution (few, sorted).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

WIDTH = 16
"""ScWs in a block: wide enough for vector units, narrow enough to leave few cells empty."""


_ENOUGH = 20_000  # ScWs that are enough to choose the number of regions of a block


@dataclass(frozen=True)
class Layout:
    """Cell of every ScW.

    Attributes
    ----------
    index
        Row of the table in each cell, shape (block, width); 0 where `mask` is False.
    mask
        True for cells with a ScW, shape (block, width).
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
        """Pack values of ScWs (..., scw) into blocks (..., block, width), with `fill` in empty cells."""
        return np.where(self.mask, np.asarray(values)[..., self.index], fill)

    def unpack(self, blocks: ArrayLike) -> NDArray:
        """Unpack blocks (..., block, width) to the row order of the table (..., scw)."""
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
        True if a ScW sees a sky region, shape (scw, region).
    width
        ScWs in a block.
    """
    revolution = np.asarray(revolution)
    revolutions, position = np.unique(revolution, return_inverse=True)
    seen = np.zeros((revolution.size, 1), bool) if seen is None else np.asarray(seen, bool)
    # Sorted by the first and last region that they see, neighbours see about the same regions.
    first = np.where(seen.any(1), seen.argmax(1), seen.shape[1])
    last = seen.shape[1] - seen[:, ::-1].argmax(1)
    order = np.lexsort((np.arange(revolution.size), last, first, position))

    of_scw = position[order]
    here = of_scw.tolist()
    sees = [int.from_bytes(row.tobytes(), "little") for row in np.packbits(seen[order], axis=1)]
    # Some revolutions of a long mission are enough to choose the best number of regions of a block.
    some = np.flatnonzero(of_scw % (1 + revolution.size // _ENOUGH) == 0)
    some_here, some_sees = [here[i] for i in some], [sees[i] for i in some]
    busiest = int(seen.sum(1).max(initial=0))
    # A cell costs about eight reads, and one more for each region of the block.
    most = min(
        (busiest + extra for extra in (0, 1, 2, 4, 8)),
        key=lambda most: len(_cut(some_here, some_sees, width, most)) * (8 + most),
    )
    cut = np.array(_cut(here, sees, width, most), np.int64)
    length = np.diff(np.append(cut, order.size))
    column = np.arange(order.size) - np.repeat(cut, length)
    block = np.repeat(np.arange(cut.size), length)
    index = np.zeros((cut.size, width), np.int64)
    mask = np.zeros((cut.size, width), bool)
    index[block, column] = order
    mask[block, column] = True
    return Layout(index, mask, of_scw[cut], revolutions)


def _cut(position: list[int], seen: list[int], width: int, most: int) -> list[int]:
    """Choose where blocks start, so that none sees more than `most` regions, which are bits of `seen`."""
    starts: list[int] = []
    together, here = 0, -1
    for i, (rho, regions) in enumerate(zip(position, seen, strict=True)):
        together |= regions
        if rho != here or i - starts[-1] == width or together.bit_count() > most:
            starts.append(i)
            together, here = regions, rho
    return starts


def pack_sky(layout: Layout, exposure: ArrayLike, seen: ArrayLike | None = None) -> tuple[NDArray, NDArray]:
    """Pack the exposure of the sky regions, with only those regions that each block sees.

    Parameters
    ----------
    layout
        Cell of each ScW.
    exposure
        A_im in deg², shape (scw, region).
    seen
        True where a region counts as seen, shape (scw, region); by default where the exposure is not zero.

    Returns
    -------
    exposure
        Shape (seen, block, width) in deg²; zeros if a block sees fewer regions than others.
    region
        Region of each slab, shape (seen, block).
    """
    exposure = np.asarray(exposure, float)
    seen = exposure != 0 if seen is None else np.asarray(seen, bool)
    n_regions = exposure.shape[1]
    in_block = np.zeros((layout.mask.shape[0], n_regions), bool)
    for column in range(layout.mask.shape[1]):
        in_block |= seen[layout.index[:, column]] & layout.mask[:, column, None]
    n_seen = max(int(in_block.sum(1).max(initial=0)), 1 if n_regions else 0)
    # A stable sort puts the seen regions first, in their own order.
    region = np.argsort(~in_block, axis=1, kind="stable")[:, :n_seen].T
    packed = exposure[layout.index[None], region[:, :, None]]
    return packed * layout.mask, region
