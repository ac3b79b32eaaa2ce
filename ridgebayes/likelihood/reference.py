"""Reference scales from the data: background level, tracer trend, Crab rate, and units of time.

Priors are relative to them; the fitted level and Crab rate are free around them. An update of a fit keeps the
scales of the old revolutions, so that its parameters keep their meaning.
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
_EDGE = 1.3  # interval of the Hilbert-space Gaussian process over the length of the mission
_SHORTEST_DRIFT_YEARS = 1.5
_SHORTEST_CRAB_YEARS = 1.0
_HIGH_LATITUDE = 20.0
_SMOOTHED_YEARS = 0.6  # smoothing width of the reference level; wider if revolutions are few
_NEIGHBOURS = 12
_SPREAD, _SLOPE = 0.03, 0.05  # expected spread of revolutions, and change of the level in a year, relative
_SCATTER = 0.01  # expected spread of ScWs, relative


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
        Slow trend of the tracer, cts/s, (revolution,); 1 without a tracer.
    crab_rate
        Crab rate, cts/s per Crab, (band,).
    middle, half_span
        Zero point (MJD) and unit (days) of the time of slow functions.
    modes
        Numbers of modes of the drift of the level and of the smooth part of the Crab rate.
    tracers
        Scales of the tracer bands.
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
        """Add the revolutions that only `later` has; keep everything else."""
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
        """Select revolutions.

        Raises
        ------
        KeyError
            If one has no scales.
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
    """Slow trend of the rate with time, good to a few per cent: a scale for the priors.

    A local straight line in time is fitted to the median of each revolution, from ScWs far off the Galactic
    plane. A prior on its slope keeps it stable if there are few of them.

    Parameters
    ----------
    rate
        (scw, band) cts/s.
    lat
        Galactic latitude of each ScW, deg.
    crab
        True for ScWs that contain the Crab; they are left out if there are others.
    position
        Index of the revolution of each ScW.
    years
        Middle of each revolution, yr, with any zero point.

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
        # Fit twice, with outlying revolutions clipped to the vicinity of the level found before.
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

    In a hard band the background of a revolution may deviate from the level by more than the rate of the
    Crab. So the Crab is fitted together with a background that is free in each revolution and follows the
    tracer (generalised least squares). The reference is at least the error of this fit.

    Parameters
    ----------
    scws
        The ScW rate table.
    level, trend
        Reference level (band, revolution), and trend of the tracer (revolution,), cts/s.
    position
        Index of the revolution of each ScW.
    response
        R at the Crab if it was not removed, else zero, (scw,).
    given
        Crab rate of every band, if no ScW contains the Crab.
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
        form = ", ".join(f"'{name}': {'…' if k else 119}" for k, name in enumerate(missing))
        raise InputError(
            f"{source}: no ScW contains the Crab (SOURCE = Crab) and no Crab rate is given for "
            f"{', '.join(missing)}: give the rate of each band in cts/s, such as crab_rate={{{form}}}"
        )
    rates = np.array([float(given[name]) for name in names])
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise InputError(f"crab rate: {dict(given)} must be positive, in cts/s over the detector")
    return rates


def _least_squares(
    columns: NDArray, y: NDArray, variance: NDArray, position: NDArray, common: float
) -> tuple[float, float]:
    """Coefficient of the first of `columns` (scw, column), with error; revolutions have a common variance."""
    order = np.argsort(position, kind="stable")
    known, weight = np.column_stack([columns, y])[order], 1.0 / variance[order]
    starts = np.r_[0, np.flatnonzero(np.diff(position[order])) + 1]
    both = (weight[:, None] * known).T @ known
    of_revolution = np.add.reduceat(weight[:, None] * known, starts)
    total = np.add.reduceat(weight, starts)
    both -= of_revolution.T @ (of_revolution * (common / (1.0 + common * total))[:, None])
    covariance = np.linalg.pinv(both[:-1, :-1], hermitian=True)  # two ScWs may not separate Crab and tracer
    return float(covariance[0] @ both[:-1, -1]), float(np.sqrt(covariance[0, 0]))


def interval(half_span: float) -> float:
    """Half the interval of Gaussian processes in time, yr, for half the length of the mission in days."""
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
    """Derive the scales from a table.

    Parameters
    ----------
    scws
        The ScW rate table.
    revolutions, position
        Its revolutions, and the index of the revolution of each ScW.
    mjd
        Middle of each revolution, MJD.
    crab_response
        R at the Crab if it was not removed, else zero, (scw,).
    crab_rate
        Crab rate of every band, if no ScW contains the Crab.
    needs_crab
        False for a model without Crab and sky, for which its rate may be unknown.

    Raises
    ------
    InputError
        If the Crab rate is needed but cannot be derived.
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
        # Enough modes for the shortest scale (Riutort-Mayol et al. 2023); at most one for four revolutions,
        # but at least 4.
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
