"""Programmes: pointings and times of a mission as a ScW table without bands; reading one from a file."""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import Galactic, SkyCoord
from astropy.table import Table
from numpy.typing import NDArray

from ridgebayes.convert.ids import pointings_only, scw_ids
from ridgebayes.convert.sources import open_source
from ridgebayes.errors import InputError
from ridgebayes.instrument.response import detector_axes
from ridgebayes.table import orbit
from ridgebayes.table.columns import Columns
from ridgebayes.table.scw import ScWTable
from ridgebayes.table.validation import MISSION, check_ids, check_rows, revolution_of
from ridgebayes.typing import Floats

log = logging.getLogger(__name__)

IJD_ZERO = 51544.0
"""MJD of IJD 0."""

# Alternative names of columns, upper or lower case; the first one found is used.
_NAMES = {
    "id": ("scw_id", "scw", "swid"),
    "revolution": ("revol", "revolution", "rev"),
    "ra": ("ra", "ra_scx", "ra_est"),
    "dec": ("dec", "dec_scx", "dec_est"),
    "lon": ("lon", "l", "glon", "l_est"),
    "lat": ("lat", "b", "glat", "b_est"),
    "mjd": ("mjd", "tmid_mjd"),
    "ijd": ("ijd", "tmid_ijd", "tmid_ijd_approx"),
    "phase": ("phase", "phase_approx"),
    "exposure": ("exposure", "ontime", "telapse_s"),
    "roll": ("roll", "pa"),
}
_UNITS = {name: u.deg for name in ("ra", "dec", "lon", "lat", "roll")} | {
    "mjd": u.d,
    "ijd": u.d,
    "exposure": u.s,
}
_CELL_DITHER_DEG = 2.5  # half the size of the cells of estimated positions


def as_programme(*, origin: str, **columns: Any) -> ScWTable:
    """Return a ScW table without bands from its columns."""
    n = len(columns["scw_id"])
    empty = np.zeros((n, 0))
    meta = {"origin": origin, "simulated": True}
    return ScWTable(rate=empty, stat_err=empty, bands=(), meta=meta, **columns)


def check_seed(seed: int) -> None:
    """Raise an InputError unless `seed` is a whole number from 0."""
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"simulation: seed {seed!r}: give a whole number from 0")


def new_ids(revolution: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return SCW_IDs ``RRRRPPPP0010`` (N,), with PPPP counting the ScWs of each revolution in their order."""
    order = np.argsort(revolution, kind="stable")
    _, first, counts = np.unique(revolution[order], return_index=True, return_counts=True)
    pointing = np.empty(revolution.size, np.int64)
    pointing[order] = np.arange(revolution.size) - np.repeat(first, counts) + 1
    return np.array([f"{r:04d}{p:04d}0010" for r, p in zip(revolution, pointing, strict=True)], dtype="U12")


def read_programme(
    path: str | PathLike[str],
    *,
    dither_deg: float | None = None,
    start: int = 70,
    stop: int | None = None,
    seed: int = 0,
) -> ScWTable:
    """Read pointings from any table that astropy reads (CSV, ECSV, FITS; also gzipped).

    Required columns, upper or lower case, are an id (``scw``, ``scw_id``) and a position in degrees (``ra``
    and ``dec``, or ``l`` and ``b`` or ``lon`` and ``lat``, also ``ra_est``, ``l_est``, ...). Optional are a
    time (``mjd``, or IJD in ``ijd`` or ``tmid_ijd_approx``), ``phase``, ``exposure`` and ``roll``. Time and
    phase are converted into each other with the calendar of `ridgebayes.table.orbit`. If both are missing,
    the ScWs of a revolution are spread evenly, in the order of their ids, over the usable part of the orbit.
    Missing lengths are drawn: 1600 to 3570 s, median 1900 s.

    Parameters
    ----------
    path
        The table.
    dither_deg
        Half-width of a square in which each position is moved at random, degrees. By default 2.5 for
        estimated positions (columns ``*_est``, known to a 5° cell), else 0.
    start, stop
        First and last revolution to keep.
    seed
        Seed of all random draws.

    Returns
    -------
    ScWTable
        A table without bands, in the order of the file.

    Raises
    ------
    InputError
        If a column or row cannot be used; the message names it.

    Examples
    --------
    >>> from astropy.table import Table
    >>> from ridgebayes import simulate
    >>> rows = Table({"scw_id": ["010000010010", "010000020010"], "l": [0.0, 2.0], "b": [0.0, 1.0]})
    >>> rows.write("pointings.csv", overwrite=True)
    >>> programme = simulate.read_programme("pointings.csv")
    >>> programme.revolution, programme.phase.round(2)
    (array([100, 100]), array([0.27, 0.73]))
    """
    check_seed(seed)
    path = Path(path).expanduser()
    columns = _Columns(path, pointings_only(str(path), open_source(path).table))
    ids = columns.ids()
    number = revolution_of(ids)
    if columns.has("revolution"):
        given = columns.values("revolution")
        check_rows(str(path), ids, columns.name("revolution"), given, given == number,
                   "but SCW_ID says otherwise", "mend one, or leave the column out")  # fmt: skip
    keep = (number >= start) & (number <= (9999 if stop is None else stop))
    if not keep.any():
        raise InputError(
            f"{path}: no ScW in revolutions {start} to {stop or number.max()}: "
            f"the file has {number.min()} to {number.max()}"
        )
    rng = np.random.default_rng([seed, 3])
    for name in ("mjd", "ijd", "phase", "exposure", "roll"):
        if columns.has(name):
            given = columns.values(name)
            good = np.isfinite(given) & ((given > 0) | (name != "exposure"))
            must = "must be finite and positive" if name == "exposure" else "must be finite"
            if name in ("mjd", "ijd"):
                mjd = given + (IJD_ZERO if name == "ijd" else 0.0)
                good, must = (mjd > MISSION[0]) & (mjd < MISSION[1]), "must lie in the mission (2002 to 2025)"
            check_rows(str(path), ids, columns.name(name), given, good, must, "drop these ScWs")
    ra, dec, estimated = columns.position()
    mjd, phase = columns.times(ids, number)
    order = np.argsort(ids)  # draw in the order of ids: the result does not depend on the order of rows
    length = columns.values("exposure") if columns.has("exposure") else _lengths(ids.size, rng)[_rank(order)]
    roll = columns.values("roll") if columns.has("roll") else None
    half = dither_deg if dither_deg is not None else (_CELL_DITHER_DEG if estimated else 0.0)
    if not 0 <= half <= 30:
        raise InputError(f"{path}: dither_deg {half:g}: give 0 to 30 degrees")
    if half > 0:
        ra, dec = (moved[_rank(order)] for moved in _moved(ra[order], dec[order], half, rng))
    programme = as_programme(
        scw_id=ids, revolution=number, phase=phase, mjd=mjd, exposure=length, ra=ra, dec=dec, roll=roll,
        origin=f"ridgebayes simulation on the programme of {path.name}",
    )  # fmt: skip
    return programme if keep.all() else programme.select(keep)


class _Columns:
    """Table of a file; finds columns under any of their alternative names."""

    def __init__(self, path: Path, table: Table) -> None:
        self.path, self.table = path, table
        self.known = Columns(str(path), table)
        folded = {name.strip().casefold(): name for name in reversed(table.colnames)}
        self._found = {
            key: next((folded[name] for name in names if name in folded), None)
            for key, names in _NAMES.items()
        }

    def has(self, *keys: str) -> bool:
        """Return True if the file has all these columns."""
        return all(self._found[key] is not None for key in keys)

    def name(self, key: str) -> str:
        """Return the name of a column in the file."""
        found = self._found[key]
        if found is None:
            raise InputError(f"{self.path}: no column {' or '.join(_NAMES[key][:2])}: add one")
        return found

    def values(self, key: str) -> Floats:
        """Return a column as numbers in the unit of the programme, NaN where missing."""
        return self.known.scalars(self.name(key), _UNITS.get(key, u.dimensionless_unscaled))

    def ids(self) -> NDArray[np.str_]:
        """Return the SCW_IDs, checked."""
        ids = self.known.ids = scw_ids(self.known, self.name("id"))
        check_ids(str(self.path), ids)
        return ids

    def position(self) -> tuple[Floats, Floats, bool]:
        """RA and Dec in ICRS degrees, and whether they are estimates."""
        if not self.has("ra", "dec") and not self.has("lon", "lat"):
            raise InputError(f"{self.path}: no position: add columns ra and dec, or l and b, in degrees")
        keys = ("ra", "dec") if self.has("ra", "dec") else ("lon", "lat")
        x, y = (self.values(key) for key in keys)
        ids = self.known.ids
        assert ids is not None
        for key, angles, good in ((keys[0], x, np.isfinite(x)), (keys[1], y, np.abs(y) <= 90)):
            must, remedy = "not a position in degrees", "mend it or drop these ScWs"
            check_rows(str(self.path), ids, self.name(key), angles, good, must, remedy)
        if keys[0] == "lon":
            icrs = SkyCoord(x, y, unit="deg", frame=Galactic()).icrs
            x, y = icrs.ra.deg, icrs.dec.deg
        return x % 360.0, y, self.name(keys[0]).casefold().endswith("_est")

    def times(self, ids: NDArray[np.str_], revolution: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """MJD (TT) and phase of the ScWs."""
        mjd = self.values("mjd") if self.has("mjd") else None
        if mjd is None and self.has("ijd"):
            mjd = self.values("ijd") + IJD_ZERO
        if self.has("phase"):
            phase = self.values("phase")
            near = np.abs(phase - 0.5) < _PAST_THE_END
            must = "far from 0 to 1, or stands for a missing one"
            check_rows(str(self.path), ids, self.name("phase"), phase, near, must, "drop these ScWs")
        elif mjd is not None:
            phase = orbit.phase_at(revolution, mjd)
        else:
            order = np.argsort(ids)
            phase = _spread(revolution[order])[_rank(order)]
        squeezed = _squeeze(phase, revolution)
        if mjd is None:
            return orbit.mjd_at(revolution, squeezed), squeezed
        return np.where(squeezed == phase, mjd, orbit.mjd_at(revolution, squeezed)), squeezed


_PAST_THE_END = 1.5
"""Largest distance from the middle of a revolution of phases that are squeezed: one revolution beyond 0 to 1
(times interpolated by pointing number reach 1.95)."""


def _spread(revolution: NDArray[np.int64]) -> Floats:
    """Spread phases evenly over the usable part of the orbit, in the given order."""
    order = np.argsort(revolution, kind="stable")
    _, counts = np.unique(revolution, return_counts=True)
    rank = np.concatenate([np.arange(c) + 0.5 for c in counts])
    phase = np.empty(revolution.size)
    phase[order] = orbit.USABLE[0] + np.ptp(orbit.USABLE) * rank / np.repeat(counts, counts)
    return phase


def _rank(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Invert a permutation."""
    return np.argsort(order)


def _squeeze(phase: Floats, revolution: NDArray[np.int64]) -> Floats:
    """Map revolutions with a phase outside 0 to 1 to the usable part of the orbit; keep the order of ScWs.

    Times interpolated by pointing number can exceed the end of a revolution.
    """
    numbers, row = np.unique(revolution, return_inverse=True)
    low, high = np.full(numbers.size, np.inf), np.full(numbers.size, -np.inf)
    np.minimum.at(low, row, phase)
    np.maximum.at(high, row, phase)
    bad = (low < 0) | (high > 1)
    if not bad.any():
        return phase
    log.info("phases outside 0 to 1 in %d of %d revolutions: squeezed", bad.sum(), numbers.size)
    width = np.where(high > low, high - low, 1.0)
    inside = orbit.USABLE[0] + np.ptp(orbit.USABLE) * (phase - low[row]) / width[row]
    return np.where(bad[row], inside, phase)


def _lengths(n: int, rng: np.random.Generator) -> Floats:
    """Draw lengths of ScWs, s: mostly 1750 to 2200 with a tail, some 3600."""
    usual = rng.triangular(1450.0, 1850.0, 2300.0, n)
    return np.where(rng.random(n) < 0.12, rng.uniform(3500.0, 3600.0, n), usual)


def _moved(ra: Floats, dec: Floats, half_deg: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Move positions at random inside a square of the tangent plane."""
    axis, west, north = detector_axes(ra, dec)
    x, y = (np.tan(np.deg2rad(rng.uniform(-half_deg, half_deg, ra.size)))[:, None] for _ in range(2))
    to = axis + x * west + y * north
    to /= np.linalg.norm(to, axis=1, keepdims=True)
    return np.rad2deg(np.arctan2(to[:, 1], to[:, 0])) % 360.0, np.rad2deg(np.arcsin(to[:, 2]))
