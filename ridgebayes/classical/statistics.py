"""Weighted means and linear fits with errors that include the observed scatter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import median_abs_deviation

from ridgebayes.typing import Bools, Floats


def excess_variance(squares: Floats, variance: Floats, dof: float) -> float:
    """Variance to add to `variance` so that Σ squares / variance equals the degrees of freedom.

    The moment estimate of Paule & Mandel 1982, J. Res. Natl. Bur. Stand. 87, 377.

    Parameters
    ----------
    squares, variance
        (N,) squared residuals and their known variances.
    dof
        N minus the number of fitted parameters; the result is 0 if this is not positive.

    Returns
    -------
    float
        At least 0.
    """

    def misfit(extra: float) -> float:
        return float((squares / (variance + extra)).sum()) - dof

    if dof <= 0 or misfit(0.0) <= 0:
        return 0.0
    return float(brentq(misfit, 0.0, squares.sum() / dof, rtol=1e-6))  # the upper end has misfit ≤ 0


class Fit(NamedTuple):
    """A weighted linear fit.

    Attributes
    ----------
    coefficients, covariance
        (p,) and (p, p); the weights include the excess scatter.
    excess
        Excess variance over the given ones.
    used
        (N,) False for clipped points.
    """

    coefficients: Floats
    covariance: Floats
    excess: float
    used: Bools


def robust_fit(design: Floats, value: Floats, variance: Floats, clip: float, rounds: int = 20) -> Fit:
    """Fit ``value = design @ coefficients`` with clipping; excess scatter is estimated from the residuals.

    Parameters
    ----------
    design
        (N, p) design matrix; a column of ones for a weighted mean.
    value, variance
        (N,) values and their variances.
    clip
        Points beyond this many standard deviations (including the excess) are left out of the next iteration.
    rounds
        Maximum number of clipping iterations.
    """
    used = np.ones(value.size, bool)
    excess = _first_guess(design, value, variance)
    for _ in range(rounds):
        for _ in range(3):  # weights and excess depend on each other
            coefficients, covariance = _least_squares(design[used], value[used], variance[used] + excess)
            residual = value - design @ coefficients
            excess = excess_variance(residual[used] ** 2, variance[used], used.sum() - design.shape[1])
        coefficients, covariance = _least_squares(design[used], value[used], variance[used] + excess)
        residual = value - design @ coefficients
        kept = np.abs(residual) <= clip * np.sqrt(variance + excess)
        if kept.sum() <= design.shape[1] or (kept == used).all():
            break
        used = kept
    return Fit(coefficients, covariance, excess, used)


def _first_guess(design: Floats, value: Floats, variance: Floats) -> float:
    """Estimate the excess variance from the median of the squared residuals, which is robust to outliers."""
    if value.size <= design.shape[1] + 1:
        return 0.0
    spread = float(median_abs_deviation(value, scale="normal"))
    return max(0.0, spread**2 - float(np.median(variance)))


def _least_squares(design: Floats, value: Floats, variance: Floats) -> tuple[Floats, Floats]:
    weighted = design / variance[:, None]
    covariance = np.linalg.pinv(weighted.T @ design, hermitian=True)
    return covariance @ (weighted.T @ value), np.asarray(covariance, float)


def mean_and_excess(value: Floats, variance: Floats, clip: float) -> tuple[float, float, float]:
    """Weighted mean, its variance, and the excess variance of the values; all 0 without values."""
    if value.size == 0:
        return 0.0, 0.0, 0.0
    fit = robust_fit(np.ones((value.size, 1)), value, variance, clip)
    return float(fit.coefficients[0]), float(fit.covariance[0, 0]), fit.excess
