"""Statistics of the Galaxy: shape in latitude and longitude, change with time, scatter near the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ridgebayes.checks.design import Bins, Design, Residuals, half_years
from ridgebayes.checks.statistic import Curve, Statistic, Views

NEAR, AWAY = 10.0, 20.0
"""Limits in |b|, degrees: pointings below the first are near the plane, above the second off the plane."""
_FIELD = 15.0  # radius of the field of view, degrees
_STRIPS = np.array([-30, -20, -15, -11, -8, -5, -2, 2, 5, 8, 11, 15, 20, 30], float)
_LONGITUDES = np.arange(-180.0, 181.0, 20.0)
_MONTH = 30.0  # days
_MIN_SPREAD = 0.05  # least sd of the response in a revolution


def galaxy(design: Design) -> Views:
    """Return statistics and curves of the sky; empty if the fit has no sky except the Crab."""
    bare = ~design.crab
    if (
        design.per_mcrab is None
        or not (np.abs(design.seen[:, bare]) > 0).any()
        or not (design.plane[bare] > 0).any()
    ):
        return [], []
    # ScWs with the Crab are excluded; `crab` checks them.
    seen = np.where(bare, design.seen / design.noise, 0.0)
    plane = np.where(bare, design.per_mcrab * design.plane, 0.0)
    latitude = _latitude(design, seen, plane, bare)
    change = _change(design, plane, bare)
    return latitude[0] + change[0], latitude[1] + change[1]


def _latitude(design: Design, seen: NDArray, plane: NDArray, bare: NDArray) -> Views:
    strip = np.where(bare, np.digitize(design.lat, _STRIPS) - 1, -1)
    strip[strip == _STRIPS.size - 1] = -1
    by_strip = Bins(strip, _STRIPS.size - 1, design.per_mcrab)
    by_seen = Bins(np.where(seen.any(0), strip, -1), _STRIPS.size - 1, seen)
    inside = np.abs(design.lat) < 1.5 * _FIELD
    whole = np.where(bare & inside, 0, -1)
    north = Bins(whole, 1, seen * design.lat / _FIELD)
    wide = Bins(whole, 1, seen * (design.lat / _FIELD) ** 2)
    part = np.where(bare & (np.abs(design.lat) < _FIELD), np.digitize(design.lon, _LONGITUDES) - 1, -1)
    part = np.where(part >= _LONGITUDES.size - 1, -1, part)
    by_longitude = Bins(part, _LONGITUDES.size - 1, plane)
    middle = lambda edges: (edges[1:] + edges[:-1]) / 2  # noqa: E731
    statistics = [
        Statistic("latitude.north_south", "residual north less south of the plane, sd",
                  lambda r: north.pull(r.cut)[:, 0]),
        Statistic("latitude.width", "residual off less on the plane, sd", lambda r: wide.pull(r.cut)[:, 0]),
        Statistic("latitude.strips", "residual in strips of latitude, mean square pull",
                  lambda r: by_seen.chi2(r.cut), np.cbrt, 1),
        Statistic("longitude.parts", "residual near the plane in steps of 20° in longitude, mean square pull",
                  lambda r: by_longitude.chi2(r.cut), np.cbrt, 1),
    ]  # fmt: skip
    curves = [
        Curve("latitude", middle(_STRIPS), "Galactic latitude [deg]", "What the fit leaves [mCrab]",
              lambda r: by_strip.amplitude(r.cut)),
        Curve("longitude", middle(_LONGITUDES), "Galactic longitude [deg]",
              "What the fit leaves [mCrab]", lambda r: by_longitude.amplitude(r.cut)),
    ]  # fmt: skip
    return statistics, curves


def _change(design: Design, plane: NDArray, bare: NDArray) -> Views:
    near = bare & (np.abs(design.lat) < NEAR)
    away = bare & (np.abs(design.lat) > AWAY)
    half, _ = half_years(design.mjd)
    part = np.digitize(design.lon, _LONGITUDES) - 1
    parts = _LONGITUDES.size - 1
    cell = np.where(near, half * parts + np.clip(part, 0, parts - 1), -1)
    by_cell = Bins(cell, int(half.max() + 1) * parts, plane)
    visit = Bins(
        np.where(bare, design.revolution, -1), int(design.revolution.max()) + 1, _within(design, plane, bare)
    )
    statistics = [
        Statistic("variable.half_years", "residual near the plane by half year and 20° in l, mean square",
                  lambda r: by_cell.chi2(r.cut), np.log, 1),
    ]  # fmt: skip
    statistics += _outbursts(_months(design, plane, near))
    if visit.known.sum() >= 5:
        statistics.append(
            Statistic("variable.visits", "plane less high latitude within revolutions, mean square pull",
                      lambda r: visit.chi2(r.cut), np.log, 1)
        )  # fmt: skip
    gradients = [_gradients(design, mask) for mask in (near, away)]
    if all(g[0].known.sum() >= 5 for g in gradients):
        statistics.append(
            Statistic("variable.gradients", "gradients on the sky in revolutions, near over off the plane",
                      lambda r: _ratio(gradients, r.cut), np.log, 1)
        )  # fmt: skip
    if near.sum() >= 50 and away.sum() >= 50:
        statistics.append(
            Statistic("variable.scatter", "variance of the residuals, near over off the plane",
                      lambda r: (r.cut[:, near] ** 2).mean(1) / (r.cut[:, away] ** 2).mean(1), np.log, 1)
        )  # fmt: skip
    middle = (_LONGITUDES[1:] + _LONGITUDES[:-1]) / 2
    curves = [
        Curve("variable", middle, "Galactic longitude [deg]",
              "rms pull of half years", lambda r: _rms_by_longitude(by_cell, parts, r))
    ]  # fmt: skip
    return statistics, curves


def _rms_by_longitude(by_cell: Bins, parts: int, r: Residuals) -> NDArray:
    """Rms pull of the half years in each of the `parts` of longitude, for the figure."""
    of_part = np.arange(by_cell.size) % parts
    square = by_cell.pull(r.cut) ** 2
    number = np.bincount(of_part, by_cell.known, minlength=parts)
    total = np.stack([np.bincount(of_part, row, minlength=parts) for row in square])
    return np.sqrt(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def _outbursts(by_month: Bins) -> list[Statistic]:
    """Return the statistics of months and places; none if there are too few of them."""
    if by_month.known.sum() < 10:
        return []
    return [
        Statistic(
            "variable.months",
            "residual near the plane by 30 days and 10° in l, mean square pull",
            lambda r: by_month.chi2(r.cut),
            np.log,
            1,
        ),
        Statistic(
            "variable.outbursts",
            "excesses less deficits of the same, sum of cubed pulls",
            lambda r: (by_month.pull(r.cut) ** 3).sum(1),
            sides=1,
        ),
    ]


def _months(design: Design, plane: NDArray, near: NDArray) -> Bins:
    """Bins of 30 days and 10° of longitude near the plane; an outburst increases a few of them."""
    month = np.floor((design.mjd - design.mjd.min()) / _MONTH).astype(int)
    part = np.floor((design.lon + 180.0) / 10.0).astype(int)
    _, cell = np.unique(100 * month + part, return_inverse=True)
    return Bins(np.where(near, cell, -1), int(cell.max()) + 1, plane)


def _within(design: Design, signal: NDArray, rows: NDArray) -> NDArray:
    """Signal minus its mean over the revolution; 0 in revolutions where it hardly varies."""
    size = int(design.revolution.max()) + 1
    number = np.maximum(np.bincount(design.revolution, rows, minlength=size), 1)
    of = lambda x: np.bincount(design.revolution, np.where(rows, x, 0.0), minlength=size) / number  # noqa: E731
    spread = np.sqrt(np.maximum(of(design.plane**2) - of(design.plane) ** 2, 0)) > _MIN_SPREAD
    keep = rows & spread[design.revolution]
    return np.stack([np.where(keep, row - of(row)[design.revolution], 0.0) for row in signal])


def _gradients(design: Design, rows: NDArray) -> list[Bins]:
    """Slopes of the residual with longitude and latitude in each revolution."""
    size = int(design.revolution.max()) + 1
    number = np.bincount(design.revolution, rows, minlength=size)
    index = np.where(rows & (number[design.revolution] >= 10), design.revolution, -1)
    bins = []
    for values in (np.sin(np.deg2rad(design.lon)), np.cos(np.deg2rad(design.lon)), design.lat / 60):
        mean = np.bincount(design.revolution, np.where(rows, values, 0.0), minlength=size) / np.maximum(
            number, 1
        )
        bins.append(Bins(index, size, values - mean[design.revolution]))
    return bins


def _ratio(gradients: list[list[Bins]], values: NDArray) -> NDArray:
    near, away = (np.sum([bins.chi2(values) for bins in each], 0) for each in gradients)
    return near / away
