"""Statistics of the background: phase, slow level, revolution terms, tracer."""

from __future__ import annotations

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.checks.design import Bins, Design, equal_bins, half_years
from ridgebayes.checks.statistic import Curve, Statistic, Views, kurtosis, log_kurtosis

_PHASE_BINS = 16
_TRACER_BINS = 12


def background(design: Design) -> Views:
    """Return statistics and curves of the background."""
    phase, phases = equal_bins(design.phase, _PHASE_BINS)
    by_phase = Bins(phase, phases.size)
    half, when = half_years(design.mjd)
    present, first = np.unique(design.revolution, return_index=True)
    by_time = Bins(half[first], when.size, fewest=2)
    statistics = [
        Statistic("phase.bins", "mean residual in bins of orbital phase, mean square pull",
                  lambda r: by_phase.chi2(r.cut), np.cbrt, 1),
        Statistic("level.half_years", "mean constant of the revolutions in half years, mean square pull",
                  lambda r: by_time.chi2(r.coefficients[:, 0, present]), np.cbrt, 1),
        Statistic("level.revolutions", "correlation of the constants of successive revolutions",
                  lambda r: _successive(r.coefficients[:, 0, present])),
        Statistic("terms.kurtosis", "excess kurtosis of the terms of the revolutions",
                  lambda r: kurtosis(r.coefficients[..., present]).mean(1), log_kurtosis),
    ]  # fmt: skip
    curves = [
        Curve("phase", phases, "Orbital phase", "Mean residual [sd]", lambda r: by_phase.amplitude(r.cut)),
        Curve(
            "level",
            _years(when),
            "Year",
            "Constant of revolutions [sd]",
            lambda r: by_time.amplitude(r.coefficients[:, 0, present]),
        ),
    ]
    if present.size < 4:
        statistics = [s for s in statistics if s.name not in ("level.revolutions", "terms.kurtosis")]
    if design.tracer is not None and np.ptp(design.tracer) > 0:
        about = _tracer(design, design.tracer, present)
        return statistics + about[0], curves + about[1]
    return statistics, curves


def _tracer(design: Design, tracer: NDArray, present: NDArray) -> Views:
    index, centre = equal_bins(tracer, _TRACER_BINS)
    by_tracer = Bins(index, centre.size)
    number = np.bincount(design.revolution, minlength=present[-1] + 1)[present]
    mean = np.bincount(design.revolution, tracer, minlength=present[-1] + 1)[present] / number
    within = tracer - _of_revolution(design, tracer)
    half, when = half_years(design.mjd)
    by_time = Bins(half, when.size, within)
    statistics = [
        Statistic("tracer.bins", "mean residual in bins of the tracer, mean square pull",
                  lambda r: by_tracer.chi2(r.cut), np.cbrt, 1),
        Statistic("tracer.half_years", "slope of the residual with the tracer by half year, mean square pull",
                  lambda r: by_time.chi2(r.cut), np.cbrt, 1),
    ]  # fmt: skip
    if present.size >= 4:
        statistics.append(
            Statistic("tracer.revolutions", "correlation of constant and mean tracer of the revolutions",
                      lambda r: _along(r.coefficients[:, 0, present], mean))
        )  # fmt: skip
    varies = np.ptp(within) > 1e-9 * np.ptp(tracer)  # otherwise only rounding errors remain
    if varies and design.tracer_error is not None and np.ptp(design.tracer_error) > 0:
        diluted = _diluted(within, design.tracer_error)
        statistics.append(
            Statistic("tracer.errors", "slope with the tracer where its error is larger (< 0: flatter)",
                      lambda r: _along(r.cut, diluted))
        )  # fmt: skip
    curves = [
        Curve("tracer", 100 * centre, "Tracer over its trend, less 1 [%]", "Mean residual [sd]",
              lambda r: by_tracer.amplitude(r.cut))
    ]  # fmt: skip
    return statistics, curves


def _diluted(within: NDArray, error: NDArray) -> NDArray:
    """Return the error from noise of the tracer that a common slope cannot absorb.

    The expected true deviation of the tracer from the mean of its revolution is λ times the measured one,
    with λ = s² / (s² + error²) and s² the true variance (regression dilution; Carroll et al. 2006,
    Measurement Error in Nonlinear Models, ch. 3). The fitted slope absorbs the mean λ; the rest is
    proportional to λ − mean.
    """
    spread = max((within**2).mean() - (error**2).mean(), 0.1 * (within**2).mean())
    lost = within * error**2 / (spread + error**2)
    return lost - within * (within @ lost) / (within @ within)


def _of_revolution(design: Design, values: NDArray) -> NDArray:
    """Return the mean of the revolution of each ScW."""
    number = np.maximum(np.bincount(design.revolution), 1)
    return (np.bincount(design.revolution, values) / number)[design.revolution]


def _years(mjd: NDArray) -> NDArray:
    return Time(mjd, format="mjd", scale="tt").decimalyear


def _successive(constants: NDArray) -> NDArray:
    off = constants - constants.mean(1, keepdims=True)
    return (off[:, 1:] * off[:, :-1]).mean(1) / np.maximum((off**2).mean(1), 1e-300)


def _along(values: NDArray, by: NDArray) -> NDArray:
    by = by - by.mean()
    off = values - values.mean(1, keepdims=True)
    return (off @ by) / np.maximum(np.sqrt((by**2).sum() * (off**2).sum(1)), 1e-300)
