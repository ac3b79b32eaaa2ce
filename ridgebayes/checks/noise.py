"""Statistics of the noise: distribution, extremes, autocorrelation, and size under different conditions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray
from scipy import special

from ridgebayes.checks.design import Bins, Design, Residuals, equal_bins
from ridgebayes.checks.statistic import Curve, Statistic, Views, counts, kurtosis, log_kurtosis

LAGS = 8
_PIT_BINS = 20
_EDGES = np.arange(-7.0, 7.01, 0.5)


def noise(design: Design) -> Views:
    """Return statistics and curves of the noise."""
    n = design.row.size
    middle = (_EDGES[1:] + _EDGES[:-1]) / 2
    statistics = [
        Statistic("shape.skewness", "skewness of the residuals", lambda r: _skewness(r.cut)),
        Statistic("shape.pit", "unevenness of the probability integral transform", _unevenness, np.cbrt, 1),
        Statistic(
            "tails.kurtosis", "excess kurtosis of the residuals", lambda r: kurtosis(r.whole), log_kurtosis
        ),
        Statistic("tails.beyond4", "ScWs beyond 4 sd", lambda r: beyond(r.whole, 4), counts, 1, 0.5),
        Statistic("tails.beyond5", "ScWs beyond 5 sd", lambda r: beyond(r.whole, 5), counts, 1, 0.5),
        Statistic(
            "tails.largest",
            "largest residual, sd",
            lambda r: np.abs(r.whole).max(1),
            lambda x: _largest(x, n),
            1,
        ),
    ]
    curves = [
        Curve("distribution", middle, "Residual [sd]", "ScWs", lambda r: histogram(r.whole)),
        Curve(
            "pit", (np.arange(_PIT_BINS) + 0.5) / _PIT_BINS, "Probability of a lower rate, given the fit",
            "Share of ScWs × 20", lambda r: _pit(r) / n * _PIT_BINS,
        ),
    ]  # fmt: skip
    pairs = [_pairs(design.revolution, lag) for lag in range(1, LAGS + 1)]
    if pairs[0].size:
        statistics.append(
            Statistic(
                "neighbours.lag1",
                "correlation of neighbouring ScWs of a revolution",
                lambda r: correlation(r.cut, pairs[0], 1),
            )
        )
        curves.append(
            Curve(
                "neighbours", np.arange(1.0, LAGS + 1), "Distance in ScWs (1: neighbours)", "Correlation",
                lambda r: np.stack([correlation(r.cut, p, lag + 1) for lag, p in enumerate(pairs)], 1),
            )
        )  # fmt: skip
    scatter = _scatter(design)
    return statistics + scatter[0], curves + scatter[1]


def _scatter(design: Design) -> Views:
    year = np.floor(Time(design.mjd, format="mjd", scale="tt").decimalyear).astype(int)
    years, of_year = np.unique(year, return_inverse=True)
    by_year = Bins(of_year, years.size)
    by_revolution = Bins(design.revolution, int(design.revolution.max()) + 1)
    rate = design.background + design.seen
    relative = rate / rate.mean(1, keepdims=True) - 1.0
    level, levels = equal_bins(relative[0], 10)
    by_level = Bins(level, levels.size)

    def excess(r: Residuals) -> NDArray:
        return (r.cut**2 - (r.cut**2).mean(1, keepdims=True)) / np.sqrt(2)

    def scatter(bins: Bins) -> Callable[[Residuals], NDArray]:
        """Scatter of each bin over that of all, as the statistics take it."""
        return lambda r: np.sqrt(np.maximum(bins.amplitude(r.cut**2 / (r.cut**2).mean(1, keepdims=True)), 0))

    statistics = [
        Statistic(
            "scatter.years", "variance of the residuals from year to year (1: noise)",
            lambda r: by_year.chi2(excess(r)), np.log, 1,
        ),
        Statistic(
            "scatter.revolutions", "variance of the residuals from revolution to revolution (1: noise)",
            lambda r: by_revolution.chi2(excess(r)), np.log, 1,
        ),
        Statistic("scatter.level", "correlation of squared residual and rate",
                  lambda r: _slope(excess(r), relative)),
        Statistic("scatter.counting", "correlation of squared residual and counting error",
                  lambda r: _slope(excess(r), design.counting)),
    ]  # fmt: skip
    curves = [
        Curve("scatter_years", years + 0.5, "Year", "rms residual\nover that of all ScWs", scatter(by_year)),
        Curve(
            "scatter_level",
            100 * levels,
            "Rate over its mean, less 1 [%]",
            "rms residual\nover that of all ScWs",
            scatter(by_level),
        ),
    ]
    return [s for s in statistics if years.size > 1 or s.name != "scatter.years"], curves


def _skewness(values: NDArray) -> NDArray:
    return (values**3).mean(1) / (values**2).mean(1) ** 1.5


def beyond(values: NDArray, limit: float) -> NDArray:
    """Count residuals (band, n) with absolute value above a limit, (band,)."""
    return (np.abs(values) > limit).sum(1).astype(float)


def _largest(value: NDArray, n: int) -> NDArray:
    """Return the normal score of the maximum of n normals, as the maximum itself has a long tail."""
    outside = -np.expm1(n * np.log1p(-2.0 * special.ndtr(-np.abs(value))))
    return -special.ndtri(np.clip(outside, 1e-300, 1 - 1e-15))


def _pit(r: Residuals) -> NDArray:
    place = np.clip((special.ndtr(r.whole) * _PIT_BINS).astype(int), 0, _PIT_BINS - 1)
    return np.stack([np.bincount(row, minlength=_PIT_BINS) for row in place]).astype(float)


def _unevenness(r: Residuals) -> NDArray:
    even = r.whole.shape[1] / _PIT_BINS
    return ((_pit(r) - even) ** 2 / even).sum(1)


def histogram(values: NDArray) -> NDArray:
    """Count residuals (band, n) in bins of half a sd; the first and last are open."""
    inside = np.clip(values, _EDGES[0] + 1e-9, _EDGES[-1] - 1e-9)
    return np.stack([np.histogram(row, _EDGES)[0] for row in inside]).astype(float)


def _pairs(revolution: NDArray, lag: int) -> NDArray:
    return np.flatnonzero(revolution[lag:] == revolution[:-lag])


def correlation(values: NDArray, first: NDArray, lag: int) -> NDArray:
    """Correlation of values (band, n) at rows `first` with those `lag` rows later, (band,)."""
    if not first.size:
        return np.full(len(values), np.nan)
    return (values[:, first] * values[:, first + lag]).mean(1) / (values**2).mean(1)


def _slope(values: NDArray, by: NDArray) -> NDArray:
    """Correlation of values (band, n) with a covariate of the same shape, (band,)."""
    by = by - by.mean(1, keepdims=True)
    norm = np.sqrt((by**2).sum(1) * ((values - values.mean(1, keepdims=True)) ** 2).sum(1))
    return (values * by).sum(1) / np.maximum(norm, 1e-300)
