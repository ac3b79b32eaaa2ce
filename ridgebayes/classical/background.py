"""Background of one band: tracer and orbital phase, revolution by revolution.

A revolution with enough ScWs off the plane, spread widely enough in phase, is calibrated in full (constant,
phase, phase²). With fewer ScWs only its constant is fitted, and the phase curve is the mission's mean. With
none it takes the mean constant of its neighbours in time. The errors of these approximations are measured on
better calibrated revolutions and enter the error of the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre

from ridgebayes.classical.statistics import excess_variance, mean_and_excess
from ridgebayes.errors import InputError
from ridgebayes.robust import sd_about_zero
from ridgebayes.typing import Bools, Floats, Ints

NONE, BORROWED, CONSTANT, FULL = range(4)
"""How a revolution is calibrated."""

_ROUNDS = 15
_FLATTEST = 1e-4  # smallest eigenvalue of the mean φ φᵀ for a phase curve of its own (0.2 for an even spread)


@dataclass(frozen=True)
class Settings:
    """Choices of the classical method; the defaults were tuned on simulated missions.

    Parameters
    ----------
    min_latitude
        ScWs pointed farther than this from the plane calibrate the background, degrees.
    min_full
        A revolution with at least this many such ScWs gets all three terms of its own...
    min_phase_span
        ... if they span at least this fraction of the orbit.
    min_constant
        With at least this many it gets its own constant and the mission's mean phase curve.
    neighbour_days
        With fewer it takes the mean constant of revolutions within this many days; 0 leaves it out.
    clip
        Outliers beyond this many standard deviations are left out.
    crab_order
        Order of the polynomial in time of the Crab rate; the published method uses a cubic.
    max_crab_error
        The order is reduced until the relative error of the Crab rate is below this at all times.
    min_crab_response
        ScWs that contain the Crab are used if the response at the Crab is at least this.
    galaxy_iterations
        Number of iterations that subtract the template, scaled to the residuals of the plane, from the ScWs
        that calibrate background and Crab. 0 neglects this emission, as the published method does.

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> from ridgebayes.classical import Settings
    >>> published = Settings(galaxy_iterations=0)
    >>> published.crab_order, published.min_latitude
    (3, 20.0)
    """

    min_latitude: float = 20.0
    min_full: int = 12
    min_phase_span: float = 0.3
    min_constant: int = 2
    neighbour_days: float = 90.0
    clip: float = 4.0
    crab_order: int = 3
    max_crab_error: float = 0.1
    min_crab_response: float = 0.2
    galaxy_iterations: int = 2

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_latitude", 0, 90), ("min_full", 4, 1e6), ("min_phase_span", 0, 1), ("min_constant", 1, 1e6),
            ("neighbour_days", 0, 1e6), ("clip", 1, 1e6), ("crab_order", 0, 10), ("max_crab_error", 0, 10),
            ("min_crab_response", 0, 1), ("galaxy_iterations", 0, 100),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"classical settings: {name} is {getattr(self, name)}: give {low:g} to {high:g}"
                )


class Rates(NamedTuple):
    """Rates of N ScWs in one band, and the predictors of their background.

    Attributes
    ----------
    rate, variance
        Rate, cts/s, and its Poisson variance, (N,).
    tracer
        Tracer minus its mean over the mission, cts/s; zeros without a tracer, (N,).
    basis
        Phase terms from `phase_basis`, (N, 3).
    revolution
        Index of the revolution, (N,).
    quiet
        True for ScWs that may calibrate the background, (N,).
    mjd
        Middle of each revolution, (R,).
    """

    rate: Floats
    variance: Floats
    tracer: Floats
    basis: Floats
    revolution: Ints
    quiet: Bools
    mjd: Floats


@dataclass(frozen=True)
class Background:
    """The background of one band; cts/s.

    Attributes
    ----------
    tracer, tracer_err
        Coefficient a, cts/s per cts/s of the tracer; 0 without a tracer.
    coefficients, covariance
        Coefficients of the phase terms, (R, 3), and their covariance, (R, 3, 3).
    kind
        NONE, BORROWED, CONSTANT or FULL, (R,).
    scatter
        Excess scatter from ScW to ScW.
    used
        True for ScWs that calibrated it, without outliers, (N,).
    """

    tracer: float
    tracer_err: float
    coefficients: Floats
    covariance: Floats
    kind: Ints
    scatter: float
    used: Bools

    def at(self, rates: Rates) -> tuple[Floats, Floats]:
        """Return the background of every ScW and its standard error, (N,) each; NaN where uncalibrated.

        The error of the tracer coefficient is neglected; it is a hundredth of the scatter.
        """
        phi, rho = rates.basis, rates.revolution
        value = self.tracer * rates.tracer + np.einsum("nj,nj->n", phi, self.coefficients[rho])
        variance = _quadratic(phi, self.covariance[rho])
        missing = self.kind[rho] == NONE
        value[missing], variance[missing] = np.nan, np.nan
        return value, np.sqrt(variance)


def phase_basis(phase: Floats) -> Floats:
    """Shifted Legendre polynomials of degree 0 to 2, (N, 3); less collinear than 1, P, P²."""
    return np.asarray(legendre.legvander(2 * phase - 1, 2), float)


def fit_background(rates: Rates, settings: Settings) -> Background:
    """Calibrate the background of one band by weighted least squares with iterated clipping.

    The tracer coefficient is fitted jointly with the terms of all revolutions, so only the variation within
    revolutions determines it. It is the coefficient of the *measured* tracer: counting noise in the tracer
    dilutes it. It is not corrected for that, because rates are predicted from the measured tracer.

    Parameters
    ----------
    rates
        Rates of the band.
    settings
        Thresholds.
    """
    used, scatter2, phase = rates.quiet.copy(), _rough_scatter(rates), np.zeros((2, 2))
    for _ in range(_ROUNDS):
        kind = _kinds(rates, used, settings)
        a, a_variance, own, covariance, fitted_variance = _solve(rates, used, kind, scatter2, phase)
        full = kind == FULL
        before = np.append(phase, scatter2)
        # Mean and variance of the phase terms, (2, 2), over revolutions calibrated in full.
        phase = np.array([mean_and_excess(own[full, j], covariance[full, j, j], 5.0)[::2] for j in (1, 2)])
        calibrated = used & (kind[rates.revolution] > BORROWED)
        own_error2 = _quadratic(rates.basis, covariance[rates.revolution])
        residual = rates.rate - a * rates.tracer
        residual -= np.einsum("nj,nj->n", rates.basis, own[rates.revolution])
        # Residuals measure the scatter only in revolutions with a phase curve of their own.
        judged = FULL if full.any() else CONSTANT
        by = calibrated & (kind[rates.revolution] == judged)
        n_parameters = (1 if judged == CONSTANT else 3) * (kind == judged).sum() + 1
        scatter2 = excess_variance(residual[by] ** 2, rates.variance[by], by.sum() - n_parameters)
        # The fit is correlated with points that it used: their residuals are smaller.
        followed = np.where(full[rates.revolution], own_error2, fitted_variance[rates.revolution])
        expected2 = rates.variance + scatter2 + own_error2 - 2 * calibrated * followed
        beyond = residual**2 > settings.clip**2 * np.maximum(expected2, 1e-3 * rates.variance)
        kept = rates.quiet & ~(beyond & (kind[rates.revolution] > BORROWED))
        # This round used the phase curve and the scatter of the previous one: iterate until both agree.
        settled = np.allclose(np.append(phase, scatter2), before, rtol=1e-4, atol=1e-8)
        if settled and (kept == used).all():
            break
        used = kept
    coefficients, covariance, kind = _complete(rates, kind, own, covariance, phase, settings)
    return Background(a, a_variance**0.5, coefficients, covariance, kind, scatter2**0.5, used & calibrated)


def _rough_scatter(rates: Rates) -> float:
    """Excess variance from differences of successive quiet ScWs: an initial value robust to outliers."""
    rows = np.flatnonzero(rates.quiet)
    rows = rows[np.lexsort((rates.basis[rows, 1], rates.revolution[rows]))]
    same = np.diff(rates.revolution[rows]) == 0
    step = np.diff(rates.rate[rows])[same]
    if step.size == 0:
        return 0.0
    variance = 0.5 * float(sd_about_zero(step)) ** 2
    return max(0.0, variance - float(np.median(rates.variance[rows])))


def _kinds(rates: Rates, used: Bools, settings: Settings) -> Ints:
    """Kind of calibration that the ScWs of each revolution allow, (R,)."""
    n_revolutions = rates.mjd.size
    rho, basis = rates.revolution[used], rates.basis[used]
    count = np.bincount(rho, minlength=n_revolutions)
    low, high = np.full(n_revolutions, np.inf), np.full(n_revolutions, -np.inf)
    np.minimum.at(low, rho, basis[:, 1])
    np.maximum.at(high, rho, basis[:, 1])
    kind = np.where(count >= settings.min_constant, CONSTANT, NONE)
    wide = (count >= settings.min_full) & ((high - low) / 2 >= settings.min_phase_span)
    # ScWs at only two phases do not determine a parabola, however many they are.
    gram = np.array([[np.bincount(rho, basis[:, i] * basis[:, j], minlength=n_revolutions) for j in range(3)]
                     for i in range(3)]).transpose(2, 0, 1)  # fmt: skip
    kind[wide & (np.linalg.eigvalsh(gram)[:, 0] > _FLATTEST * count)] = FULL
    return kind


def _quadratic(phi: Floats, covariance: Floats) -> Floats:
    return np.einsum("ni,nij,nj->n", phi, covariance, phi)


def _solve(
    rates: Rates, used: Bools, kind: Ints, scatter2: float, phase: Floats
) -> tuple[float, float, Floats, Floats, Floats]:
    """Solve weighted least squares for the tracer coefficient and the terms of each revolution.

    With `a` eliminated (Schur complement), the normal equations separate into one 3 × 3 block for each
    revolution. The mean phase curve is subtracted where only the constant is fitted.

    Returns
    -------
    tuple
        a, its variance, terms (R, 3), their covariance (R, 3, 3), which includes the variance of the mean
        phase curve where it is used, and the variance of the constant at a fixed curve (R,).
    """
    rho = rates.revolution[used]
    calibrated = kind[rho] > BORROWED
    rows, rho = np.flatnonzero(used)[calibrated], rho[calibrated]
    own = np.stack([kind > BORROWED, kind == FULL, kind == FULL], axis=-1)  # which terms are fitted, (R, 3)
    weight = 1 / (rates.variance[rows] + scatter2)
    all_terms = rates.basis[rows]
    phi = all_terms * own[rho]
    borrowed_curve = ~own[:, 1:] * phase[:, 0]
    value = rates.rate[rows] - np.einsum("nj,nj->n", all_terms[:, 1:], borrowed_curve[rho])
    tracer, n = rates.tracer[rows], rates.mjd.size

    def total(x: Floats) -> Floats:
        return np.asarray(np.bincount(rho, weight * x, minlength=n), float)

    gram = np.array([[total(phi[:, i] * phi[:, j]) for j in range(3)] for i in range(3)]).transpose(2, 0, 1)
    gram[:, range(3), range(3)] += ~own  # terms that are not fitted come out as 0
    inverse = np.linalg.inv(gram)
    of_value, of_tracer = (np.stack([total(x * phi[:, j]) for j in range(3)], -1) for x in (value, tracer))
    explained = np.einsum("rij,rj->ri", inverse, of_tracer)
    information = float(total(tracer**2).sum() - (explained * of_tracer).sum())
    # If the tracer does not vary within revolutions, only rounding errors remain here.
    if information > 1e-9 * float(total(tracer**2).sum()):
        a = float(total(tracer * value).sum() - (explained * of_value).sum()) / information
        a_variance = 1 / information
    else:
        a = a_variance = 0.0
    terms = np.einsum("rij,rj->ri", inverse, of_value - a * of_tracer)
    covariance = inverse * (own[:, :, None] & own[:, None, :])

    # A constant fitted on the mean phase curve is anticorrelated with errors of that curve.
    alone = kind == CONSTANT
    spread = np.diag(phase[:, 1])
    gauge = np.stack([total(all_terms[:, j]) for j in (1, 2)], -1)[alone] * inverse[alone, 0, 0][:, None]
    lever = np.concatenate([-gauge[:, None, :], np.tile(np.eye(2), (alone.sum(), 1, 1))], axis=1)  # (·, 3, 2)
    covariance[alone] += np.einsum("rij,jk,rlk->ril", lever, spread, lever)
    terms[alone, 1:] = phase[:, 0]
    return a, a_variance, terms, covariance, inverse[:, 0, 0]


def _complete(
    rates: Rates,
    kind: Ints,
    terms: Floats,
    covariance: Floats,
    phase: Floats,
    settings: Settings,
) -> tuple[Floats, Floats, Ints]:
    """Give revolutions without a constant the mean constant of their neighbours.

    Its error is estimated by predicting calibrated revolutions from their neighbours.
    """
    terms, covariance, kind = terms.copy(), covariance.copy(), kind.copy()
    source, target = np.flatnonzero(kind > BORROWED), np.flatnonzero(kind == NONE)
    if source.size < 3 or target.size == 0 or settings.neighbour_days == 0:
        return terms, covariance, kind
    constant, variance = terms[source, 0], covariance[source, 0, 0]
    away = np.abs(rates.mjd[:, None] - rates.mjd[source])
    near = (away <= settings.neighbour_days).astype(float)
    near[source, np.arange(source.size)] = 0  # a revolution is not its own neighbour
    spread2 = float(np.var(constant))
    for _ in range(4):  # weights depend on the spread
        weight = 1 / (variance + spread2)
        total = near @ weight
        found = total > 0
        mean = np.divide(near @ (weight * constant), total, out=np.zeros(total.size), where=found)
        # Variance of the mean of m neighbours with variances v + s²: (Σ w²(v + s²)) / (Σ w)².
        error2 = np.divide(1.0, total, out=np.zeros(total.size), where=found)
        known = found[source]
        if known.sum() < 3:
            return terms, covariance, kind
        measured = variance[known]
        difference = constant[known] - mean[source][known]
        # Solve Var(difference) = own error + spread · (1 + 1/m) for the spread.
        share = 1 + error2[source][known] / max(spread2, 1e-30)
        spread2 = mean_and_excess(difference / np.sqrt(share), measured / share, 5.0)[2]
    lent = target[found[target]]
    terms[lent] = np.column_stack([mean[lent], np.tile(phase[:, 0], (lent.size, 1))])
    covariance[lent] = np.diag([0.0, *phase[:, 1]])
    covariance[lent, 0, 0] = spread2 + error2[lent]
    kind[lent] = BORROWED
    return terms, covariance, kind
