"""Cuts of an event list: good time, noisy pixels, bursts."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter
from scipy.stats import median_abs_deviation, norm, poisson

from ridgebayes.events.pif import MODULES, fit_sources
from ridgebayes.robust import sd_about_zero
from ridgebayes.typing import Bools, Floats

_ROUNDS = 20
_BASELINE = 301  # time bins of the running median that a burst stands out of


def in_intervals(time: Floats, gti: Floats) -> Bools:
    """Which times (N,) lie in sorted intervals (G, 2), their starts included."""
    row = np.searchsorted(gti[:, 0], time, side="right") - 1
    return np.asarray((row >= 0) & (time < gti[np.maximum(row, 0), 1]))


def overlap(edges: Floats, gti: Floats) -> Floats:
    """Good time in every bin of `edges` (B + 1,), seconds (B,)."""
    before = np.concatenate([[0.0], np.cumsum(gti[:, 1] - gti[:, 0])])
    row = np.searchsorted(gti[:, 0], edges, side="right") - 1
    inside = np.clip(edges - gti[np.maximum(row, 0), 0], 0.0, (gti[:, 1] - gti[:, 0])[np.maximum(row, 0)])
    return np.diff(np.where(row < 0, 0.0, before[np.maximum(row, 0)] + inside))


def upper_limit(expected: Floats, spread: float | Floats, sigma: float) -> Floats:
    """Return counts that no more than one in ``1 / norm.sf(sigma)`` exceeds, (N,).

    The larger of `sigma` times the measured spread above the expectation, and the Poisson quantile, which is
    the larger one where counts are few.
    """
    expected = np.maximum(expected, 0.0)
    grid = np.linspace(expected.min(), expected.max(), 257)  # quantiles of every pixel would take seconds
    quantile = poisson.isf(norm.sf(sigma), grid)[np.searchsorted(grid, expected).clip(max=256)]
    return np.maximum(expected + sigma * spread, quantile)


def noisy_pixels(images: Floats, on: Bools, pifs: Floats, sigma: float) -> Bools:
    """Pixels that count too much, in any band, to be like the others.

    In each band what sources illuminate is fitted together with the level of each module
    (`ridgebayes.events.pif`); a pixel is noisy when its count is above `upper_limit` of that fit, with the
    median absolute deviation of the pixels as spread. The fit is repeated without the noisy ones until they
    stay the same.

    Parameters
    ----------
    images
        (K, P) counts of every pixel.
    on
        (P,) pixels in use.
    pifs
        (S, P) pixel illumination fractions, S may be 0.
    sigma
        Threshold in standard deviations.

    Returns
    -------
    ndarray
        (P,) boolean, False where `on` is.
    """
    noisy = np.zeros_like(on)
    for image in images:
        used = on.copy()
        for _ in range(_ROUNDS):
            expected = fit_sources(image, used, pifs).model
            residual = (image - expected)[used]
            spread = float(median_abs_deviation(residual, scale="normal"))
            kept = on & (image <= upper_limit(expected, spread, sigma))
            if (kept == used).all() or kept.sum() <= pifs.shape[0] + MODULES.shape[0]:
                break
            used = kept
        noisy |= on & ~used
    return noisy


def bursts(counts: Floats, good_s: Floats, bin_s: float, sigma: float) -> Bools:
    """Time bins with a burst: counts far above the running median over 301 bins.

    Parameters
    ----------
    counts, good_s
        (B,) counts in every time bin, and the good time in it, s.
    bin_s
        Length of a bin, s.
    sigma
        Threshold in standard deviations, as in `upper_limit`.

    Returns
    -------
    ndarray
        (B,) boolean; False where there is no good time.
    """
    filled, whole = good_s > 0, good_s > 0.99 * bin_s
    if not whole.any():
        return np.zeros_like(filled)
    steady = median_filter(counts[whole], size=_BASELINE, mode="nearest")
    spread = float(sd_about_zero(counts[whole] - steady))
    index = np.flatnonzero(whole)
    share = good_s / bin_s  # of a bin that is cut by the end of an interval
    expected = np.interp(np.arange(counts.size), index, steady) * share
    return np.asarray(filled & (counts > upper_limit(expected, spread * np.sqrt(share), sigma)))
