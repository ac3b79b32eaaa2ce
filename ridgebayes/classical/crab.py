"""Crab rate over time: a polynomial of low order fitted to ScWs that contain the Crab."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre

from ridgebayes.classical.background import Settings
from ridgebayes.classical.statistics import robust_fit
from ridgebayes.errors import InputError
from ridgebayes.robust import sd_about_zero
from ridgebayes.typing import Bools, Floats, Ints


class Crab(NamedTuple):
    """Crab rate at every ScW and its error, cts/s per Crab, (N,) each."""

    rate: Floats
    error: Floats


def fit_crab(
    mjd: Floats,
    revolution: Ints,
    rest: Floats,
    variance: Floats,
    background_err: Floats,
    crab_seen: Floats,
    settings: Settings,
) -> Crab:
    """Fit a polynomial in time to the Crab rates of revolutions.

    The error of the background is common to a revolution. Generalised least squares combine its ScWs at
    different responses, so ScWs with little Crab also constrain the background of those with much Crab.

    Parameters
    ----------
    mjd, revolution
        Time of every ScW, MJD, and index of its revolution, (N,).
    rest, variance
        Rate minus background, cts/s, and its variance by counting noise and scatter, (N,).
    background_err
        Error of the background, cts/s, NaN where it is not calibrated, (N,).
    crab_seen
        Response at the Crab where it was not removed, else 0, (N,).
    settings
        Thresholds.

    Raises
    ------
    InputError
        If no ScW with the Crab has a background, or the fitted rate is not positive everywhere.
    """
    rows = np.flatnonzero((crab_seen >= settings.min_crab_response) & np.isfinite(background_err))
    if rows.size == 0:
        raise InputError(
            "classical Crab rate: no ScW that contains the Crab lies in a revolution with a background: "
            "raise neighbour_days, or drop those ScWs and give a Crab rate"
        )
    rows = rows[_not_outlying(rest[rows] / crab_seen[rows], revolution[rows], settings.clip)]
    present, rho = np.unique(revolution[rows], return_inverse=True)
    w, r, y = 1 / variance[rows], crab_seen[rows], rest[rows]

    def total(x: Floats) -> Floats:
        return np.asarray(np.bincount(rho, w * x), float)

    common = np.bincount(rho, background_err[rows] ** 2) / np.bincount(rho)
    # Sherman-Morrison: (D + v 1 1ᵀ)⁻¹ = W − W 1 1ᵀ W v / (1 + v Σw)
    share = common / (1 + common * total(np.ones_like(w)))
    information = total(r * r) - share * total(r) ** 2
    rate = (total(r * y) - share * total(r) * total(y)) / information
    when = np.bincount(rho, mjd[rows]) / np.bincount(rho)

    middle, half = (mjd.max() + mjd.min()) / 2, max(np.ptp(mjd) / 2, 1.0)
    times, everywhere = (when - middle) / half, (mjd - middle) / half
    for order in range(min(settings.crab_order, present.size - 1), -1, -1):
        fit = robust_fit(legendre.legvander(times, order), rate, 1 / information, settings.clip)
        design = legendre.legvander(everywhere, order)
        value = design @ fit.coefficients
        error = np.sqrt(np.einsum("ni,ij,nj->n", design, fit.covariance, design))
        # Reduce the order if few or noisy Crab ScWs, or none late in the mission, leave it unconstrained.
        if value.min() > 0 and (error < settings.max_crab_error * value).all():
            break
    if not value.min() > 0:
        raise InputError(
            f"classical Crab rate: comes out as {value.min():.3g} cts/s: check the ScWs with SOURCE = Crab"
        )
    return Crab(value, error)


def _not_outlying(value: Floats, group: Ints, clip: float) -> Bools:
    """Return True for points within `clip` robust standard deviations of the median of their group."""
    order = np.argsort(group, kind="stable")
    _, starts = np.unique(group[order], return_index=True)
    deviation = np.empty_like(value)
    for part in np.split(order, starts[1:]):
        deviation[part] = value[part] - np.median(value[part])
    scale = sd_about_zero(deviation)
    return np.abs(deviation) <= clip * scale if scale > 0 else np.ones(value.size, bool)
