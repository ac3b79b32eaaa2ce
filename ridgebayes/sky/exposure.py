"""A_im, what ScW i sees of region m: ∫ R dΩ weighted with the region's shape, in deg².

Direct sums over the pixels of the regions, pointing by pointing. Pointings are taken in groups that lie in
the same cell of the sky, so that a group shares its short list of pixels. One core is enough, and ``einsum``
keeps to one: the threads of ``@`` on such small arrays cost ten times what they save on a busy machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, CartesianRepresentation, Galactic, SkyCoord
from astropy_healpix import HEALPix
from numpy.typing import ArrayLike, NDArray

from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Averaged, Response, detector_axes, detector_offsets
from ridgebayes.sky.cache import cached_array, content_key
from ridgebayes.sky.skymap import Sky

Array = NDArray[np.float64]

_CELLS = 8  # nside of the cells that group pointings: 7.3°
_CELL_RADIUS_DEG = 6.9  # no point of such a cell is farther from its centre
_GROUP = 96  # pointings at a time: 96 × 3000 pixels fit the processor's cache, and memory stays below 0.1 GB


class Pointings(Protocol):
    """What is needed of a :class:`ridgebayes.table.scw.ScWTable`."""

    @property
    def ra(self) -> NDArray[np.floating]:
        """(N,) degrees, ICRS."""

    @property
    def dec(self) -> NDArray[np.floating]:
        """(N,) degrees, ICRS."""

    @property
    def roll(self) -> NDArray[np.floating] | None:
        """(N,) degrees or None."""


def exposure(scws: Pointings, sky: Sky, response: Response, *, cache: bool = True) -> Array:
    """Return A_im = ∫ w_m R_i dΩ of every ScW and region.

    Parameters
    ----------
    scws
        N pointings: ``ra``, ``dec`` and ``roll`` (degrees, ICRS; :mod:`ridgebayes.instrument.response` says
        what the roll is). With ``roll`` None the response is averaged over roll.
    sky
        M regions.
    response
        R.
    cache
        Keep the result on disk and take it from there next time.

    Returns
    -------
    ndarray
        (N, M) deg²: multiplied with intensities in mCrab/deg² it gives what each ScW sees, in mCrab.

    Raises
    ------
    InputError
        Pointings that are not finite.
    """
    ra, dec = np.asarray(scws.ra, float), np.asarray(scws.dec, float)
    roll = None if scws.roll is None else np.asarray(scws.roll, float)
    for name, column in (("RA", ra), ("DEC", dec), ("ROLL", roll)):
        if column is not None and not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            raise InputError(
                f"ScW table, row {row + 1}: {name} is not finite: correct the pointing or drop the ScW"
            )

    def compute() -> Array:
        axes = _to_galactic(detector_axes(ra, dec, roll))
        return roll_averaged(sky, axes[0], response) if roll is None else _rolled(sky, axes, response)

    if not cache:
        return compute()
    key = content_key("exposure 1", ra, dec, roll, response.key(), sky.key)
    return cached_array("exposure", key, (ra.size, len(sky)), compute)


def point_response(scws: Pointings, coord: SkyCoord, response: Response) -> Array:
    """Return R of every ScW at one position of the sky, for example the Crab.

    Parameters
    ----------
    scws
        As for :func:`exposure`.
    coord
        One position, in any frame.
    response
        R, averaged over roll where ``scws.roll`` is None.

    Returns
    -------
    ndarray
        (N,), between 0 and about 1.
    """
    target = coord.transform_to(ICRS())
    if scws.roll is None:
        pointing = SkyCoord(scws.ra, scws.dec, unit="deg", frame=ICRS())
        return response.averaged(pointing.separation(target).to_value(u.deg))
    where = (target.ra.to_value(u.deg), target.dec.to_value(u.deg))
    return response(*detector_offsets(*where, scws.ra, scws.dec, scws.roll))


def uncovered(a: ArrayLike, names: Sequence[str], *, tiny: float = 1e-4) -> list[str]:
    """Return the names of regions that no ScW sees: their posterior is their prior.

    Parameters
    ----------
    a
        (N, M) result of :func:`exposure`.
    names
        Names of the M regions.
    tiny
        A region counts as unseen if its largest exposure is at most this part of the largest of all.
    """
    best = np.asarray(a, float).max(axis=0, initial=0.0)
    return [name for name, value in zip(names, best, strict=True) if value <= tiny * best.max(initial=0.0)]


def roll_averaged(sky: Sky, axis: Array, response: Averaged) -> Array:
    """Exposures of pointings given as galactic unit vectors (N, 3), averaged over roll: (N, M) deg²."""
    # A table with even steps in the cosine: an index instead of an arc cosine and a search. A step changes R
    # by less than 1e-4.
    steps = 1 << 16
    lowest = np.cos(np.deg2rad(response.radius_deg))
    cosines = lowest + (1 - lowest) * (np.arange(steps + 1) - 0.5).clip(0) / (steps - 1)
    table = response.averaged(np.rad2deg(np.arccos(np.minimum(cosines, 1.0))))
    table[0] = 0.0

    def seen(group: NDArray[np.int64], nodes: Array) -> Array:
        place = _project(axis[group], nodes)
        place -= lowest
        place *= (steps - 1) / (1 - lowest)
        place += 1.0
        return table[np.clip(place, 0, steps, out=place).astype(np.int32)]

    return _sum(sky, axis, response.radius_deg, seen)


def _rolled(sky: Sky, axes: Array, response: Response) -> Array:
    """Exposures with roll; ``axes`` as from ``detector_axes``, galactic."""

    def seen(group: NDArray[np.int64], nodes: Array) -> Array:
        depth = _project(axes[0, group], nodes)
        # Behind the detector, or on its horizon, the tangent plane has no place: anything far outside does.
        np.maximum(depth, 1e-3, out=depth)
        np.divide(np.rad2deg(1.0), depth, out=depth)
        x, y = _project(axes[1, group], nodes), _project(axes[2, group], nodes)
        x *= depth
        y *= depth
        return response(x, y)

    return _sum(sky, axes[0], response.radius_deg, seen)


def _sum(
    sky: Sky, axis: Array, radius_deg: float, seen: Callable[[NDArray[np.int64], Array], Array]
) -> Array:
    """Σ over nodes of weight × R, for groups of pointings and the nodes near them."""
    out = np.zeros((len(axis), len(sky)))
    region = np.repeat(np.arange(len(sky)), np.diff(sky.weights.indptr))
    nodes = np.ascontiguousarray(sky.nodes.T)
    for centre, group in _groups(axis):
        near = np.flatnonzero(centre @ nodes > np.cos(np.deg2rad(radius_deg + _CELL_RADIUS_DEG)))
        if near.size == 0:
            continue
        # Nodes are in order of region: those of one region are a slice.
        present, first = np.unique(region[near], return_index=True)
        slices = [slice(*ends) for ends in pairwise([*first, near.size])]
        places, weights = np.ascontiguousarray(nodes[:, near]), sky.weights.data[near]
        for start in range(0, group.size, _GROUP):
            part = group[start : start + _GROUP]
            r = seen(part, places)
            for m, own in zip(present, slices, strict=True):
                out[part, m] = np.einsum("gp,p->g", r[:, own], weights[own])
    return out


def _project(directions: Array, nodes: Array) -> Array:
    return np.einsum("gc,cp->gp", directions, nodes)


def _groups(axis: Array) -> Iterator[tuple[Array, NDArray[np.int64]]]:
    """Centres of the cells that hold pointings, and the numbers of the pointings in each."""
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


def _to_galactic(vectors: Array) -> Array:
    """Turn ICRS unit vectors (…, 3) into galactic ones."""
    basis = SkyCoord(CartesianRepresentation(np.eye(3)), frame=ICRS()).transform_to(Galactic())
    # Columns of the matrix are the images of the ICRS axes.
    return np.asarray(vectors @ basis.cartesian.xyz.value.T)
