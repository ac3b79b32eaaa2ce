"""Covariates of ScWs for the checks: position, time, phase, tracer, weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ridgebayes.checks.refit import Expected, Left
from ridgebayes.likelihood.design import Prepared

FEWEST = 5  # least number of ScWs in a bin
HALF_YEAR = 182.625  # days
CLIP = 3.5
"""Residuals are clipped at this value, except in statistics of the tails: outliers affect only those."""


class Design(NamedTuple):
    """Covariates of the n fitted ScWs in order of time; weights of signals have a band axis.

    Attributes
    ----------
    row
        Rows in the table of the layout.
    revolution
        Index of the revolution, ascending, (n,).
    mjd, phase, lon, lat
        Time (MJD, TT), orbital phase, galactic pointing in degrees, (n,).
    crab
        True where the Crab was not removed, (n,).
    crab_response, plane
        Response at the Crab where it was not removed, and at the nearest point of the plane, (n,).
    tracer
        Tracer over its trend, minus one, (n,); None without a tracer.
    tracer_error
        Error of the tracer over that trend, (n,); None if the table has none.
    background, seen, noise
        Background, flux of the sky and noise expected by the fit, cts/s, (band, n).
    counting
        Share of counting noise in the variance, (band, n).
    per_mcrab
        1 mCrab on axis over the noise, (band, n); None without a Crab rate.
    """

    row: NDArray[np.int64]
    revolution: NDArray[np.int64]
    mjd: NDArray
    phase: NDArray
    lon: NDArray
    lat: NDArray
    crab: NDArray[np.bool_]
    crab_response: NDArray
    plane: NDArray
    tracer: NDArray | None
    tracer_error: NDArray | None
    background: NDArray
    seen: NDArray
    noise: NDArray
    counting: NDArray
    per_mcrab: NDArray | None


class Residuals(NamedTuple):
    """Residuals in the order of a design.

    Attributes
    ----------
    whole
        Normal scores, (band, n).
    cut
        Normal scores clipped to ±`CLIP`, (band, n).
    coefficients
        Revolution coefficients over their prior sd, (band, term, revolution).
    """

    whole: NDArray
    cut: NDArray
    coefficients: NDArray


def design(prepared: Prepared, expected: Sequence[Expected]) -> Design:
    """Collect covariates of fitted ScWs; `expected` has one element per part, in order of bands."""
    scws, where, data = prepared.scws, prepared.layout, prepared.data
    position = np.searchsorted(where.revolutions, scws.revolution)
    order = np.lexsort((scws.mjd, position))
    row = order[where.unpack(data.filled)[order]]
    join = lambda name: where.unpack(np.concatenate([getattr(e, name) for e in expected]))[:, row]  # noqa: E731
    noise = join("noise")
    per_mcrab = None
    if all(e.crab_rate is not None for e in expected):
        rate = np.concatenate([e.crab_rate for e in expected if e.crab_rate is not None])
        per_mcrab = rate[:, position[row]] / 1000.0 / noise
    return Design(
        row=row,
        revolution=position[row],
        mjd=scws.mjd[row],
        phase=scws.phase[row],
        lon=scws.lon[row],
        lat=scws.lat[row],
        crab=scws.crab[row],
        crab_response=where.unpack(data.crab_response)[row],
        plane=prepared.response.averaged(np.abs(scws.lat[row])),
        tracer=None if scws.tracer is None else where.unpack(data.tracer)[row],
        tracer_error=None
        if scws.tracer_err is None
        else (scws.tracer_err / prepared.scales.trend[position])[row],
        background=join("background"),
        seen=join("seen"),
        noise=noise,
        counting=join("counting"),
        per_mcrab=per_mcrab,
    )


def residuals(prepared: Prepared, design: Design, left: Sequence[Left]) -> Residuals:
    """Sort residuals of all parts in the order of a design."""
    whole = prepared.layout.unpack(np.concatenate([part.residual for part in left]))[:, design.row]
    coefficients = np.concatenate([part.coefficients for part in left])
    return Residuals(whole, np.clip(whole, -CLIP, CLIP), coefficients)


class Bins:
    """Bins in which the amplitude of a signal of known shape is fitted to residuals.

    Parameters
    ----------
    index
        Bin of each ScW, −1 for none, (n,).
    size
        Number of bins.
    signal
        Change of each residual by a signal of one unit, (band, n) or (n,); by default 1.
    fewest
        Least number of values in a bin.
    """

    def __init__(
        self, index: NDArray, size: int, signal: NDArray | None = None, *, fewest: int = FEWEST
    ) -> None:
        self.rows = np.flatnonzero(index >= 0)
        self.index, self.size = index[self.rows], size
        ones = np.ones((1, self.rows.size))
        self.signal = ones if signal is None else np.atleast_2d(signal)[:, self.rows]
        self.power = self._sum(self.signal**2)
        enough = np.bincount(self.index, minlength=size) >= fewest
        # Ignore bins in which the signal is below a thousandth of that of others.
        usual = np.array([np.median(row[row > 0]) if (row > 0).any() else np.inf for row in self.power])
        self.known = enough & (self.power > 1e-3 * usual[:, None]).all(0)

    def _sum(self, values: NDArray) -> NDArray:
        return np.stack([np.bincount(self.index, row, minlength=self.size) for row in values])

    def pull(self, values: NDArray) -> NDArray:
        """Amplitude over its error in each bin, (band, bin), for residuals (band, n); 0 where unknown."""
        total = self._sum(values[:, self.rows] * self.signal)
        return np.where(self.known, total / np.sqrt(np.where(self.known, self.power, 1.0)), 0.0)

    def amplitude(self, values: NDArray) -> NDArray:
        """Amplitude in each bin, (band, bin); NaN where unknown."""
        total = self._sum(values[:, self.rows] * self.signal)
        return np.where(self.known, total / np.where(self.known, self.power, 1.0), np.nan)

    def chi2(self, values: NDArray) -> NDArray:
        """Mean square of the pulls of the bins, (band,): 1 for independent standard normal residuals."""
        return (self.pull(values) ** 2).sum(1) / max(int(self.known.sum()), 1)


def half_years(mjd: NDArray) -> tuple[NDArray[np.int64], NDArray]:
    """Return the half year of each time, numbered without gaps, and the mean time of each half year."""
    number = np.floor((mjd - mjd.min()) / HALF_YEAR).astype(int)
    _, index = np.unique(number, return_inverse=True)
    return index, np.bincount(index, mjd) / np.bincount(index)


def equal_bins(values: NDArray, number: int) -> tuple[NDArray[np.int64], NDArray]:
    """Return bins with equal numbers of ScWs, and the mean value in each."""
    edges = np.quantile(values, np.linspace(0, 1, number + 1)[1:-1])
    _, index = np.unique(np.searchsorted(edges, values), return_inverse=True)
    return index, np.bincount(index, values) / np.bincount(index)
