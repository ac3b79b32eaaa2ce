"""Scales read off the data that priors are relative to: background level, tracer trend, Crab rate, the clock.

They only set units: level and Crab rate are free around them. They are read once; a fit that is brought up to
date keeps those of the old revolutions, so that its parameters keep their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median

from ridgebayes.errors import InputError, nearest
from ridgebayes.likelihood.tracer_bands import TracerScales, crab_of_tracers
from ridgebayes.table.scw import ScWTable

DAYS_A_YEAR = 365.25
_EDGE = 1.3  # the Hilbert-space GP lives on an interval this much longer than the mission
_SHORTEST_DRIFT_YEARS = 1.5
_SHORTEST_CRAB_YEARS = 1.0
_HIGH_LATITUDE = 20.0
_SMOOTHED_YEARS = 0.6  # width over which the reference level is smoothed; wider where revolutions are few
_NEIGHBOURS = 12
_SPREAD, _SLOPE = 0.03, 0.05  # expected spread of revolutions, and change of the level in a year, relative
_SCATTER = 0.01  # and spread of ScWs


@dataclass(frozen=True)
class Scales:
    """Reference scales of a mission.

    Attributes
    ----------
    revolution
        Revolutions, ascending, (revolution,).
    level
        Background level, cts/s, (band, revolution).
    trend
        Tracer's slow trend, cts/s; one without a tracer, (revolution,).
    crab_rate
        Crab rate, cts/s per Crab, (band,).
    middle, half_span
        The clock of slow functions: MJD of its zero, and days of its unit.
    modes
        Modes of the drift of the level and of the smooth part of the Crab's rate.
    tracers
        Of the tracer bands.
    """

    revolution: NDArray
    level: NDArray
    trend: NDArray
    crab_rate: NDArray
    middle: float
    half_span: float
    modes: tuple[int, int]
    tracers: TracerScales

    def extended(self, later: Scales) -> Scales:
        """Add the revolutions that only `later` has; everything else stays as it is."""
        new = ~np.isin(later.revolution, self.revolution)
        revolution = np.concatenate([self.revolution, later.revolution[new]])
        level = np.concatenate([self.level, later.level[:, new]], axis=1)
        trend = np.concatenate([self.trend, later.trend[new]])
        of_tracers = np.concatenate([self.tracers.level, later.tracers.level[:, new]], axis=1)
        order = np.argsort(revolution)
        return replace(
            self,
            revolution=revolution[order],
            level=level[:, order],
            trend=trend[order],
            tracers=self.tracers._replace(level=of_tracers[:, order]),
        )

    def select(self, revolution: NDArray) -> Scales:
        """Only these revolutions.

        Raises
        ------
        KeyError
            When one has no scales.
        """
        if not np.isin(revolution, self.revolution).all():
            raise KeyError("a revolution has no scales")
        at = np.searchsorted(self.revolution, revolution)
        return replace(
            self,
            revolution=revolution,
            level=self.level[:, at],
            trend=self.trend[at],
            tracers=self.tracers._replace(level=self.tracers.level[:, at]),
        )


def reference_level(
    rate: NDArray, lat: NDArray, crab: NDArray, position: NDArray, years: NDArray
) -> NDArray[np.float64]:
    """Slow trend of the rate with time: a scale for the priors, good to a few per cent.

    A local straight line in time through the medians per revolution, of the ScWs that the Galaxy reaches
    least. Its slope has a prior, so it cannot run away where these are few.

    Parameters
    ----------
    rate
        (scw, band) cts/s.
    lat
        Galactic latitude of each ScW, deg.
    crab
        True for ScWs that still contain the Crab; left out where others remain.
    position
        Index of the revolution of each ScW.
    years
        Middle of each revolution, yr from any day.

    Returns
    -------
    level
        (band, revolution) cts/s, positive.
    """
    quiet = (np.abs(lat) > _HIGH_LATITUDE) & ~crab
    if len(np.unique(position[quiet])) < max(3, 0.1 * years.size):
        quiet = ~crab if (~crab).any() else np.ones_like(crab)
    present, counts = np.unique(position[quiet], return_counts=True)
    medians = np.array([median(band, position[quiet], present) for band in rate[quiet].T])
    offset = years[present] - years[:, None]
    few = np.sort(np.abs(offset), axis=1)[:, : _NEIGHBOURS + 1]
    width = np.maximum(few[:, -1:] / 2, _SMOOTHED_YEARS)
    weight = np.exp(-0.5 * (offset / width) ** 2) * np.minimum(counts / 10, 1.0)
    zeroth, first = weight.sum(1), (weight * offset).sum(1)
    second = (weight * offset**2).sum(1) + (_SPREAD / _SLOPE) ** 2
    levels = []
    for found in medians:
        level = np.full_like(years, np.median(found))
        # Twice: an odd revolution is pulled in to what its neighbours leave likely.
        for limit in (0.3, 0.1):
            pulled = np.clip(found, level[present] * (1 - limit), level[present] * (1 + limit))
            base = level.mean()
            height = weight @ (pulled - base) * second - (weight * offset) @ (pulled - base) * first
            level = base + height / (zeroth * second - first**2)
        levels.append(np.maximum(level, 1e-12))
    return np.array(levels)


def reference_crab(
    scws: ScWTable,
    level: NDArray,
    trend: NDArray,
    position: NDArray,
    response: NDArray,
    given: Mapping[str, float] | None,
) -> NDArray[np.float64]:
    """Crab rate of each band, cts/s: from the ScWs that contain the Crab, or as given.

    In a hard band the background of a revolution may be off the level by more than the rate of the Crab. So
    the Crab is fitted beside a background that is free in each revolution and follows the tracer (generalised
    least squares). The reference is no less than the error of that.

    Parameters
    ----------
    scws
        The ScW rate table.
    level, trend
        Reference level (band, revolution), and trend of the tracer (revolution,), cts/s.
    position
        Index of the revolution of each ScW.
    response
        R at the Crab where it was not removed, else zero, (scw,).
    given
        Crab rate of every band, where no ScW contains the Crab.
    """
    names = [band.name for band in scws.bands]
    source = scws.meta["path"] or "the ScW table"
    for name in given or {}:
        if name not in names:
            raise InputError(f"crab rate: {source} has no band '{name}'{nearest(name, names)}")
    if scws.crab.any():
        if given:
            raise InputError(
                f"{source}: has ScWs that contain the Crab, which calibrate it: leave out the given Crab rate"
            )
        weight = response * scws.crab
        if not (weight**2).sum() > 0:
            raise InputError(
                f"{source}: the ScWs marked SOURCE = Crab do not have the Crab in their field of view: "
                "mend SOURCE or the pointings, or give a Crab rate"
            )
        kept = np.isin(position, position[weight > 0]) | (np.abs(scws.lat) > _HIGH_LATITUDE)
        every, where = level[:, position[kept]], position[kept]
        tracer = np.zeros(where.size) if scws.tracer is None else scws.tracer[kept] / trend[where] - 1.0
        found = []
        for band, base in enumerate(every):
            columns = np.stack([weight[kept], base * tracer][: 1 + tracer.any()], -1)
            variance = scws.stat_err[kept, band] ** 2 + (_SCATTER * base) ** 2
            off = scws.rate[kept, band] - base
            rate, error = _least_squares(columns, off, variance, where, (_SPREAD * base.mean()) ** 2)
            found.append(max(rate, error))
        return np.array(found)
    missing = [name for name in names if name not in (given or {})]
    if given is None or missing:
        raise InputError(
            f"{source}: no ScW contains the Crab (SOURCE = Crab) and no Crab rate is given for "
            f"{', '.join(missing)}: give the rate of each band in cts/s (crab_rate=... for {missing[0]})"
        )
    rates = np.array([float(given[name]) for name in names])
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise InputError(f"crab rate: {dict(given)} must be positive, in cts/s over the detector")
    return rates


def _least_squares(
    columns: NDArray, y: NDArray, variance: NDArray, position: NDArray, common: float
) -> tuple[float, float]:
    """Coefficient of the first of `columns` (scw, column) and its error; a revolution shares a variance."""
    order = np.argsort(position, kind="stable")
    known, weight = np.column_stack([columns, y])[order], 1.0 / variance[order]
    starts = np.r_[0, np.flatnonzero(np.diff(position[order])) + 1]
    both = (weight[:, None] * known).T @ known
    of_revolution = np.add.reduceat(weight[:, None] * known, starts)
    total = np.add.reduceat(weight, starts)
    both -= of_revolution.T @ (of_revolution * (common / (1.0 + common * total))[:, None])
    covariance = np.linalg.pinv(both[:-1, :-1], hermitian=True)  # two ScWs may not tell Crab and tracer apart
    return float(covariance[0] @ both[:-1, -1]), float(np.sqrt(covariance[0, 0]))


def interval(half_span: float) -> float:
    """Half the interval on which Gaussian processes in time live, yr, for half the mission in days."""
    return _EDGE * max(half_span / DAYS_A_YEAR, 0.5)


def read_scales(
    scws: ScWTable,
    revolutions: NDArray,
    position: NDArray,
    mjd: NDArray,
    crab_response: NDArray,
    crab_rate: Mapping[str, float] | None,
    *,
    needs_crab: bool,
) -> Scales:
    """Read the scales off a table.

    Parameters
    ----------
    scws
        The ScW rate table.
    revolutions, position
        Its revolutions, and which of them each ScW belongs to.
    mjd
        Middle of each revolution, MJD.
    crab_response
        R at the Crab where it was not removed, else zero, (scw,).
    crab_rate
        Crab rate of every band, where no ScW contains the Crab.
    needs_crab
        False where a model has no Crab and no sky: its rate may then be unknown.

    Raises
    ------
    InputError
        When the Crab rate is needed and cannot be known.
    """
    half_span = max(float(np.ptp(mjd)) / 2, 1.0)
    years = (mjd - mjd.min()) / DAYS_A_YEAR
    level = reference_level(scws.rate, scws.lat, scws.crab, position, years)
    trend = np.ones(mjd.size)
    if scws.tracer is not None:
        trend = reference_level(scws.tracer[:, None], scws.lat, scws.crab, position, years)[0]
    crab = np.full(len(scws.bands), np.nan)
    if needs_crab or crab_rate:
        crab = reference_crab(scws, level, trend, position, crab_response, crab_rate)
    modes, crab_modes = (
        # Enough for the shortest scale (Riutort-Mayol et al. 2023), too few to follow every revolution.
        int(np.clip(np.ceil(2.65 * interval(half_span) / shortest), 4, max(4, mjd.size // 4)))
        for shortest in (_SHORTEST_DRIFT_YEARS, _SHORTEST_CRAB_YEARS)
    )
    middle = float(mjd.min() + mjd.max()) / 2
    tracers = TracerScales.none(mjd.size)
    if scws.aside is not None:
        of_tracers = reference_level(scws.aside, scws.lat, scws.crab, position, years)
        excess = scws.aside - of_tracers[:, position].T
        time = (mjd - middle) / half_span
        tracers = TracerScales(of_tracers, crab_of_tracers(excess, crab_response, scws.phase, position, time))
    return Scales(revolutions, level, trend, crab, middle, half_span, (modes, crab_modes), tracers)
