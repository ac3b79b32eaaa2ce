"""Exposure A_im of ScW i to region m: ∫ R dΩ weighted with the shape of the region, in deg²."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, CartesianRepresentation, Galactic, SkyCoord
from numpy.typing import ArrayLike, NDArray

from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Response, detector_axes, detector_offsets
from ridgebayes.sky.cache import cached_array, content_key
from ridgebayes.sky.skymap import Sky
from ridgebayes.sky.sums import roll_averaged, rolled
from ridgebayes.typing import Floats


class Pointings(Protocol):
    """Attributes of a :class:`ridgebayes.table.scw.ScWTable` that are used here."""

    @property
    def ra(self) -> NDArray[np.floating]:
        """(N,) degrees, ICRS."""

    @property
    def dec(self) -> NDArray[np.floating]:
        """(N,) degrees, ICRS."""

    @property
    def roll(self) -> NDArray[np.floating] | None:
        """(N,) degrees or None."""


def exposure(scws: Pointings, sky: Sky, response: Response, *, cache: bool = True) -> Floats:
    """Return A_im = ∫ w_m R_i dΩ of every ScW and region.

    Parameters
    ----------
    scws
        N pointings: ``ra``, ``dec`` and ``roll`` (degrees, ICRS; :mod:`ridgebayes.instrument.response`
        defines roll). If ``roll`` is None the response is averaged over roll.
    sky
        M regions.
    response
        Response R.
    cache
        Keep the result on disk and reuse it.

    Returns
    -------
    ndarray
        (N, M) deg²; times intensities in mCrab/deg² it gives the flux that each ScW sees, mCrab.

    Raises
    ------
    InputError
        If pointings are not finite.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.instrument.response import Trapezoid
    >>> scws, bulge = rb.read_scws("mission.fits"), rb.sky.load("example").select("bulge")
    >>> exposure = rb.sky.exposure(scws, bulge, Trapezoid())
    >>> exposure.shape == (len(scws), 1), float(exposure.max().round())  # deg²
    (True, 263.0)
    """
    ra, dec = np.asarray(scws.ra, float), np.asarray(scws.dec, float)
    roll = None if scws.roll is None else np.asarray(scws.roll, float)
    for name, column in (("RA", ra), ("DEC", dec), ("ROLL", roll)):
        if column is not None and not np.isfinite(column).all():
            row = int(np.flatnonzero(~np.isfinite(column))[0])
            raise InputError(
                f"ScW table, row {row + 1}: {name} is not finite: correct the pointing or drop the ScW"
            )

    def compute() -> Floats:
        axes = _to_galactic(detector_axes(ra, dec, roll))
        return roll_averaged(sky, axes[0], response) if roll is None else rolled(sky, axes, response)

    if not cache:
        return compute()
    key = content_key("exposure 1", ra, dec, roll, response.key(), sky.key)
    return cached_array("exposure", key, (ra.size, len(sky)), compute)


def point_response(scws: Pointings, coord: SkyCoord, response: Response) -> Floats:
    """Return the response of every ScW at one position of the sky, for example the Crab.

    Parameters
    ----------
    scws
        As for :func:`exposure`.
    coord
        One position, in any frame.
    response
        Response R, averaged over roll if ``scws.roll`` is None.

    Returns
    -------
    ndarray
        (N,), between 0 and about 1.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.instrument.response import Trapezoid
    >>> from ridgebayes.table.scw import CRAB
    >>> scws = rb.read_scws("mission.fits")
    >>> response = rb.sky.point_response(scws, CRAB, Trapezoid())
    >>> float(response.min()), float(response[scws.crab].max().round(2))
    (0.0, 1.0)
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
        A region counts as unseen if its largest exposure is at most this fraction of that of all regions.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.instrument.response import Trapezoid
    >>> scws, sky = rb.read_scws("mission.fits"), rb.sky.load("example")
    >>> bulge = scws.select((abs(scws.lon) < 10) & (abs(scws.lat) < 10))
    >>> rb.sky.uncovered(rb.sky.exposure(bulge, sky, Trapezoid()), sky.names)
    ['Cygnus', 'anticentre']
    """
    best = np.asarray(a, float).max(axis=0, initial=0.0)
    return [name for name, value in zip(names, best, strict=True) if value <= tiny * best.max(initial=0.0)]


def _to_galactic(vectors: Floats) -> Floats:
    """Convert ICRS unit vectors (…, 3) to galactic ones."""
    basis = SkyCoord(CartesianRepresentation(np.eye(3)), frame=ICRS()).transform_to(Galactic())
    # Columns of the matrix are the images of the ICRS axes.
    return np.asarray(vectors @ basis.cartesian.xyz.value.T)
