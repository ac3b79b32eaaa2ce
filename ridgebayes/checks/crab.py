"""Statistics of ScWs that contain the Crab: deviations of its rate from the fitted curve."""

from __future__ import annotations

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.checks.design import Bins, Design, half_years
from ridgebayes.checks.statistic import Curve, Statistic, Views

_FEWEST = 20


def crab(design: Design) -> Views:
    """Return statistics and curves of the Crab; empty if too few ScWs contain it."""
    rows = np.flatnonzero(design.crab & (design.crab_response > 0))
    if design.per_mcrab is None or rows.size < _FEWEST:
        return [], []
    percent = 10.0 * design.per_mcrab * design.crab_response
    half, when = half_years(design.mjd)
    by_time = Bins(np.where(design.crab & (design.crab_response > 0), half, -1), when.size, percent)
    signal = percent[:, rows]
    years = Time(when, format="mjd", scale="tt").decimalyear
    bright, others = rows[design.crab_response[rows] > 0.5], np.flatnonzero(~design.crab)
    statistics = [
        Statistic("crab.half_years", "residual of the Crab in half years, mean square pull",
                  lambda r: by_time.chi2(r.cut), np.cbrt, 1),
        Statistic("crab.path", "largest sum of the Crab's residuals up to a day, sd",
                  lambda r: path(r.cut[:, rows], signal), np.log, 1),
    ]  # fmt: skip
    if min(bright.size, others.size) >= _FEWEST:
        # Less scatter than expected is no finding: with few ScWs of the Crab the scatter is that of its
        # prior, which excludes zero.
        statistics.append(
            Statistic("crab_scatter.ratio", "variance of the residuals, Crab over others",
                      lambda r: (r.cut[:, bright] ** 2).mean(1) / (r.cut[:, others] ** 2).mean(1), np.log, 1)
        )  # fmt: skip
    curves = [
        Curve("crab", years, "Year", "What the fit leaves [% of the Crab]",
              lambda r: by_time.amplitude(r.cut))
    ]  # fmt: skip
    return statistics, curves


def path(values: NDArray, signal: NDArray) -> NDArray:
    """Largest absolute value of the cumulative sum of signal × residual over its final error, (band,)."""
    return np.abs(np.cumsum(values * signal, 1)).max(1) / np.sqrt((signal**2).sum(1))
