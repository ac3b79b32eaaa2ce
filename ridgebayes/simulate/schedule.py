"""A simulated programme of pointings with the statistics of the real one.

A revolution consists of a few blocks, each a 5 × 5 dither around a target at an allowed angle to the Sun, or
a scan of the plane. The numbers below reproduce the distribution of real ScWs since revolution 70 on the sky:
their shares at high latitude, near the plane, in the bulge and near the Crab, and the share of revolutions
without ScWs at high latitude.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from astropy.coordinates import ICRS, CartesianRepresentation, Galactic, SkyCoord, get_sun
from astropy.time import Time
from numpy.random import Generator
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.instrument.response import detector_axes
from ridgebayes.simulate.pointings import as_programme, check_seed, new_ids
from ridgebayes.sky.vectors import unit_vectors
from ridgebayes.table import orbit
from ridgebayes.table.scw import CRAB, ScWTable
from ridgebayes.table.validation import MISSION
from ridgebayes.typing import Floats

LAST = 2740
SUN_ANGLE = (50.0, 128.0)
"""Angles between target and Sun that the spacecraft allows, degrees: the range of the real pointings."""

DITHER_DEG = 2.17
"""Step of the 5 × 5 dither."""

_SLEW_S = 120.0
_PATTERN = np.argsort((np.arange(25) // 5 - 2) ** 2 + (np.arange(25) % 5 - 2) ** 2, kind="stable")
_EXTRAGALACTIC = 80  # number of targets, which are revisited
_LIMIT_LAT = 25.5  # least |b| of extragalactic targets: most of their dither has |b| > 20°

# Shares of the kinds of revolutions: extragalactic targets only; a Galactic target and extragalactic ones; a
# Galactic target and one to four ScWs at high latitude; Galactic only.
_KINDS = (0.155, 0.38, 0.07, 0.395)
_MIXED = (1.1, 2.4)  # beta distribution of the extragalactic share in the second kind
# Galactic blocks: bulge, the Crab, the plane elsewhere, 6° < |b| < 18°, scan along the plane.
_GALACTIC = {"bulge": 0.37, "crab": 0.145, "plane": 0.44, "middle": 0.10, "scan": 0.10}


class _Setting(NamedTuple):
    """Conditions for planning the blocks of a revolution."""

    sun: Floats  # ICRS unit vector
    extragalactic: Floats  # targets, (n, 3) ICRS unit vectors
    rng: Generator


def programme(
    n_revolutions: int | None = None,
    start: int = 70,
    *,
    stop: int | None = None,
    seed: int = 0,
    roll: bool = True,
) -> ScWTable:
    """Plan a mission.

    Parameters
    ----------
    n_revolutions
        Number of revolutions with observations; by default all from `start` to `stop`.
    start
        First revolution.
    stop
        Last revolution. If `n_revolutions` is less than the number of revolutions from `start` to `stop`, the
        interval is divided into `n_revolutions` equal parts and one revolution is drawn from each. By default
        consecutive revolutions from `start`, or up to 2740.
    seed
        The same seed gives the same programme.
    roll
        Include position angles (defined in :mod:`ridgebayes.instrument.response`).

    Returns
    -------
    ScWTable
        A table without bands: ids, times, lengths and pointings, for `ridgebayes.simulate.mission`.

    Raises
    ------
    InputError
        If revolutions are outside the calendar or exceed the four digits of a SCW_ID, or there are fewer
        than `n_revolutions`.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> programme = simulate.programme(3, start=100, stop=2000, seed=1)
    >>> sorted(set(programme.revolution.tolist()))
    [507, 1017, 1961]
    """
    check_seed(seed)
    revolutions = _revolutions(n_revolutions, start, stop, seed)
    rng = np.random.default_rng([seed, 1])
    targets = _extragalactic_targets(np.random.default_rng([seed, 0]))
    sun = get_sun(Time(orbit.mjd_at(revolutions, 0.5), format="mjd", scale="tt")).cartesian.xyz.value.T
    sun = sun / np.linalg.norm(sun, axis=1, keepdims=True)

    columns: list[tuple[Floats, ...]] = []
    for revolution, towards in zip(revolutions, sun, strict=True):
        seconds = float(orbit.period_d(revolution)) * 86400.0
        middle, length = _times(seconds, rng)
        axis, angle = _pointings(middle.size, _Setting(towards, targets, rng))
        columns.append((np.full(middle.size, revolution), middle / seconds, length, axis, angle))

    number, phase, length, axis, angle = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    ra, dec = _lonlat(axis)
    return as_programme(
        scw_id=new_ids(number),
        revolution=number,
        phase=phase,
        mjd=orbit.mjd_at(number, phase),
        exposure=length,
        ra=ra,
        dec=dec,
        roll=angle % 360.0 if roll else None,
        origin="ridgebayes simulation",
    )


def _revolutions(n: int | None, start: int, stop: int | None, seed: int) -> NDArray[np.int64]:
    last = stop if stop is not None else (LAST if n is None else start + n - 1)
    available = last - start + 1
    count = available if n is None else n
    if start < 1 or last > 9999:
        raise InputError(f"programme: revolutions {start} to {last}: give numbers from 1 to 9999")
    if float(orbit.mjd_at(last, 1.0)) >= MISSION[1]:
        raise InputError(
            f"programme: revolution {last} is after the mission (2025): give a stop of {LAST} or before"
        )
    if not 1 <= count <= available:
        raise InputError(
            f"programme: {count} revolutions from {start} to {last}: "
            f"give 1 to {max(available, 1)}, or another stop"
        )
    edges = start + np.arange(count + 1) * available // count
    # Edges of parts are integers, so that no revolution is drawn twice.
    return np.random.default_rng([seed, 2]).integers(edges[:-1], edges[1:])


def _extragalactic_targets(rng: Generator) -> Floats:
    """Draw isotropic positions away from the plane, (n, 3) ICRS unit vectors."""
    sine = rng.uniform(np.sin(np.deg2rad(_LIMIT_LAT)), 1.0, _EXTRAGALACTIC) * rng.choice(
        [-1, 1], _EXTRAGALACTIC
    )
    return _icrs(rng.uniform(0, 360, _EXTRAGALACTIC), np.rad2deg(np.arcsin(sine)))


def _icrs(lon: Floats, lat: Floats) -> Floats:
    """ICRS unit vectors (n, 3) of galactic positions in degrees."""
    return unit_vectors(lon, lat) @ _galactic_axes()


@cache
def _galactic_axes() -> Floats:
    """ICRS unit vectors of the galactic x, y and z axes, one per row."""
    axes = SkyCoord(CartesianRepresentation(np.eye(3)), frame=Galactic()).transform_to(ICRS())
    return np.asarray(axes.cartesian.xyz.value.T)


def _times(seconds: float, rng: Generator) -> tuple[Floats, Floats]:
    """Middles (s since perigee) and lengths (s) of the ScWs of a revolution of `seconds`."""
    usable = (orbit.USABLE[1] - orbit.USABLE[0]) * seconds
    wanted = round(rng.lognormal(np.log(63.0), 0.28))
    longest = usable / max(wanted, 1) - _SLEW_S
    dwells = [(3590.0, 0.35), (2200.0, 0.35), (1900.0, 1.0)]
    nominal = next((d for d, share in dwells if d <= longest and rng.random() < share), 1900.0)
    n = max(min(wanted, int(usable / (nominal + _SLEW_S))), 1)
    cut_short = rng.random(n) < 0.08
    length = nominal * np.where(cut_short, rng.uniform(0.5, 0.95, n), rng.uniform(0.98, 1.0, n))
    # Most of the remaining time is in a few long gaps: failed or unusable parts of a revolution.
    gap = rng.gamma(0.15, size=n + 1) + 1e-9
    gap *= (usable - length.sum() - n * _SLEW_S) / gap.sum()
    end = orbit.USABLE[0] * seconds + np.cumsum(length + gap[:n] + _SLEW_S)
    return end - length / 2, length


def _pointings(n: int, setting: _Setting) -> tuple[Floats, Floats]:
    """Axes (n, 3) and position angles (n,) of the ScWs of a revolution."""
    rng = setting.rng
    kind = rng.choice(4, p=_KINDS)
    high = (n, 0, 0, 0)[kind]
    if kind == 1:
        high = min(max(round(n * rng.beta(*_MIXED)), 5), n - 1) if n > 6 else n
    elif kind == 2:
        high = min(int(rng.integers(1, 5)), n)
    low = n - high
    blocks = [_extragalactic(m, setting) for m in _split(high, rng)] if high else []
    galactic = [_galactic(m, setting) for m in _split(low, rng)] if low else []
    # ScWs at high latitude come first or last, so they calibrate only one end of the orbit.
    blocks = [*blocks, *galactic] if rng.random() < 0.5 else [*galactic, *blocks]
    return np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])


def _split(n: int, rng: Generator) -> list[int]:
    """Divide n ScWs among one to three targets."""
    parts = int(rng.choice([1, 2, 3], p=[0.55, 0.33, 0.12])) if n >= 15 else 1
    return [chunk.size for chunk in np.array_split(np.arange(n), parts)]


def _extragalactic(n: int, setting: _Setting) -> tuple[Floats, Floats]:
    allowed = setting.extragalactic[_allowed(setting.extragalactic, setting.sun)]
    return _dither(allowed[setting.rng.integers(len(allowed))], n, setting)


def _galactic(n: int, setting: _Setting) -> tuple[Floats, Floats]:
    """Plan a block on one Galactic target, or along the plane."""
    rng = setting.rng
    names, weights = list(_GALACTIC), np.array(list(_GALACTIC.values()))
    while True:
        kind = names[rng.choice(len(names), p=weights / weights.sum())]
        if kind == "scan":
            axis = _scan(n, rng)
            if _allowed(axis, setting.sun).all():
                return axis, _sun_angle(axis, setting.sun) + rng.uniform(-3.0, 3.0)
        else:
            target = _target(kind, rng)
            if _allowed(target, setting.sun):
                return _dither(target, n, setting)


def _target(kind: str, rng: Generator) -> Floats:
    """ICRS unit vector of a target."""
    if kind == "crab":
        return CRAB.cartesian.xyz.value
    inner = rng.random() < 0.55
    lon = rng.normal(0.0, 45.0) if inner else rng.uniform(-180.0, 180.0)
    lat = rng.normal(0.0, 1.2)
    if kind == "bulge":
        lon, lat = rng.normal(0.0, 3.0), rng.normal(0.0, 2.0)
    elif kind == "middle":
        lat = rng.choice([-1, 1]) * rng.uniform(8.0, 18.0)
    return _icrs(np.array([lon]), np.array([lat]))[0]


def _scan(n: int, rng: Generator) -> Floats:
    """Return a zigzag scan along the plane, 6° between pointings."""
    step = np.arange(n)
    lon = rng.uniform(-60.0, 60.0) + np.minimum(6.0 * n, 60.0) * ((step / max(n, 1)) - 0.5)
    lat = 6.0 * np.abs((step + rng.uniform(0, 4)) % 4 - 2) - 6.0
    return _icrs(lon, lat)


def _dither(target: Floats, n: int, setting: _Setting) -> tuple[Floats, Floats]:
    """Return n pointings of a 5 × 5 dither around a target, from the middle outwards, repeated if needed."""
    tilt = setting.rng.uniform(-3.0, 3.0)
    angle = _sun_angle(target, setting.sun) + tilt
    axis, right, up = detector_axes(*_lonlat(target), angle)[:, 0]
    row, column = np.divmod(_PATTERN[np.arange(n) % 25], 5)
    x, y = (np.tan(np.deg2rad(DITHER_DEG * (step - 2.0)))[:, None] for step in (column, row))
    pointing = axis + x * right + y * up
    pointing /= np.linalg.norm(pointing, axis=1, keepdims=True)
    return pointing, _sun_angle(pointing, setting.sun) + tilt


def _sun_angle(axis: Floats, sun: Floats) -> Floats:
    """Position angle of the Sun, degrees; one side of the spacecraft faces the Sun within 3°."""
    _, west, north = detector_axes(*_lonlat(axis))
    return np.rad2deg(np.arctan2(-west @ sun, north @ sun))


def _lonlat(vectors: Floats) -> tuple[Floats, Floats]:
    """Longitude and latitude of unit vectors (..., 3), degrees."""
    lon = np.rad2deg(np.arctan2(vectors[..., 1], vectors[..., 0]))
    return lon % 360.0, np.rad2deg(np.arcsin(np.clip(vectors[..., 2], -1, 1)))


def _allowed(axis: Floats, sun: Floats) -> NDArray[np.bool_]:
    cosine = axis @ sun
    return (cosine < np.cos(np.deg2rad(SUN_ANGLE[0]))) & (cosine > np.cos(np.deg2rad(SUN_ANGLE[1])))
