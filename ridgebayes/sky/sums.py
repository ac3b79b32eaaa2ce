"""Sums over the pixels of regions, weighted with the response of each pointing.

Pointings in the same cell of the sky form a group with a common short list of pixels. ``einsum`` uses a
single core. On a busy machine the threads of ``@`` are ten times slower for these small arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Protocol

import numpy as np
from astropy import units as u
from astropy_healpix import HEALPix
from numpy.typing import NDArray
from scipy import sparse

from ridgebayes.instrument.response import Averaged, Response
from ridgebayes.typing import Floats

_CELLS = 8  # nside of the cells of groups: 7.3°
_CELL_RADIUS_DEG = 6.9  # largest distance of a point of a cell from its centre
_GROUP = 96  # pointings at a time: 96 × 3000 pixels fit the processor cache and need below 0.1 GB of memory


class Pixels(Protocol):
    """Attributes of a :class:`ridgebayes.sky.Sky` that are used here."""

    @property
    def weights(self) -> sparse.csr_array:
        """(M, pixels) sparse, deg²."""

    @property
    def nodes(self) -> Floats:
        """(weights.nnz, 3) galactic unit vectors."""

    def __len__(self) -> int:
        """Return M, the number of regions."""


def roll_averaged(sky: Pixels, axis: Floats, response: Averaged) -> Floats:
    """Exposures of pointings given as galactic unit vectors (N, 3), averaged over roll: (N, M) deg²."""
    # A table with equal steps in the cosine needs no arc cosine and no search. R changes by less than 1e-4 in
    # a step.
    steps = 1 << 16
    lowest = np.cos(np.deg2rad(response.radius_deg))
    cosines = lowest + (1 - lowest) * (np.arange(steps + 1) - 0.5).clip(0) / (steps - 1)
    table = response.averaged(np.rad2deg(np.arccos(np.minimum(cosines, 1.0))))
    table[0] = 0.0

    def seen(group: NDArray[np.int64], nodes: Floats) -> Floats:
        place = _project(axis[group], nodes)
        place -= lowest
        place *= (steps - 1) / (1 - lowest)
        place += 1.0
        return table[np.clip(place, 0, steps, out=place).astype(np.int32)]

    return _sum(sky, axis, response.radius_deg, seen)


def rolled(sky: Pixels, axes: Floats, response: Response) -> Floats:
    """Exposures with roll; ``axes`` as from ``detector_axes``, galactic."""

    def seen(group: NDArray[np.int64], nodes: Floats) -> Floats:
        depth = _project(axes[0, group], nodes)
        # Positions at 90° or more have no tangent-plane coordinates: use any far outside the field of view.
        np.maximum(depth, 1e-3, out=depth)
        np.divide(np.rad2deg(1.0), depth, out=depth)
        x, y = _project(axes[1, group], nodes), _project(axes[2, group], nodes)
        x *= depth
        y *= depth
        return response(x, y)

    return _sum(sky, axes[0], response.radius_deg, seen)


def _sum(
    sky: Pixels, axis: Floats, radius_deg: float, seen: Callable[[NDArray[np.int64], Floats], Floats]
) -> Floats:
    """Σ over nodes of weight × R, for groups of pointings and the nodes near them."""
    out = np.zeros((len(axis), len(sky)))
    region = np.repeat(np.arange(len(sky)), np.diff(sky.weights.indptr))
    nodes = np.ascontiguousarray(sky.nodes.T)
    for centre, group in _groups(axis):
        near = np.flatnonzero(centre @ nodes > np.cos(np.deg2rad(radius_deg + _CELL_RADIUS_DEG)))
        if near.size == 0:
            continue
        # Nodes are sorted by region, so those of one region are a slice.
        present, first = np.unique(region[near], return_index=True)
        slices = [slice(*ends) for ends in pairwise([*first, near.size])]
        places, weights = np.ascontiguousarray(nodes[:, near]), sky.weights.data[near]
        for start in range(0, group.size, _GROUP):
            part = group[start : start + _GROUP]
            r = seen(part, places)
            for m, own in zip(present, slices, strict=True):
                out[part, m] = np.einsum("gp,p->g", r[:, own], weights[own])
    return out


def _project(directions: Floats, nodes: Floats) -> Floats:
    return np.einsum("gc,cp->gp", directions, nodes)


def _groups(axis: Floats) -> Iterator[tuple[Floats, NDArray[np.int64]]]:
    """Centres of the cells with pointings, and indices of the pointings in each."""
    if not len(axis):
        return
    cells = HEALPix(_CELLS, order="nested")
    longitude, latitude = np.arctan2(axis[:, 1], axis[:, 0]), np.arcsin(np.clip(axis[:, 2], -1, 1))
    cell = np.asarray(cells.lonlat_to_healpix(longitude * u.rad, latitude * u.rad))
    order = np.argsort(cell, kind="stable")
    occupied, starts = np.unique(cell[order], return_index=True)
    x, y, z = cells.healpix_to_xyz(occupied)
    for centre, group in zip(np.stack([x, y, z], axis=-1), np.split(order, starts[1:]), strict=True):
        yield np.asarray(centre, float), group
