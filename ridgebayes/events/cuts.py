"""Cuts of an event list: good time, noisy pixels, bursts."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter
from scipy.stats import median_abs_deviation, norm, poisson

from ridgebayes.events.pif import MODULES, fit_sources
from ridgebayes.robust import sd_about_zero
from ridgebayes.typing import Bools, Floats

_ROUNDS = 20
_BASELINE = 301  # time bins of the running median that bursts are compared with


def in_intervals(time: Floats, gti: Floats) -> Bools:
    """Return True for times (N,) in sorted half-open intervals [start, stop), (G, 2)."""
    row = np.searchsorted(gti[:, 0], time, side="right") - 1
    return np.asarray((row >= 0) & (time < gti[np.maximum(row, 0), 1]))


def overlap(edges: Floats, gti: Floats) -> Floats:
    """Good time of each bin between `edges` (B + 1,), seconds (B,)."""
    before = np.concatenate([[0.0], np.cumsum(gti[:, 1] - gti[:, 0])])
    row = np.searchsorted(gti[:, 0], edges, side="right") - 1
    inside = np.clip(edges - gti[np.maximum(row, 0), 0], 0.0, (gti[:, 1] - gti[:, 0])[np.maximum(row, 0)])
    return np.diff(np.where(row < 0, 0.0, before[np.maximum(row, 0)] + inside))


def upper_limit(expected: Floats, spread: float | Floats, sigma: float) -> Floats:
    """Return the count that a normal pixel or bin exceeds with probability ``norm.sf(sigma)`` at most, (N,).

    It is the larger of the expectation plus `sigma` times the measured spread, and the Poisson quantile. The
    quantile is larger at low counts.
    """
    expected = np.maximum(expected, 0.0)
    grid = np.linspace(expected.min(), expected.max(), 257)  # the quantile of every pixel would take seconds
    quantile = poisson.isf(norm.sf(sigma), grid)[np.searchsorted(grid, expected).clip(max=256)]
    return np.maximum(expected + sigma * spread, quantile)


def noisy_pixels(images: Floats, on: Bools, pifs: Floats, sigma: float) -> Bools:
    """Find pixels with significantly more counts than the others in any band.

    In each band, sources and the level of each module are fitted together (`ridgebayes.events.pif`). Pixels
    are noisy if their count is above `upper_limit` of that fit; the spread is the median absolute deviation
    of the pixels. The fit is repeated without noisy pixels until their set does not change.

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
    """Find time bins with a burst: counts far above the running median over 301 bins.

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
    share = good_s / bin_s  # below 1 where a good time interval starts or ends in a bin
    expected = np.interp(np.arange(counts.size), index, steady) * share
    return np.asarray(filled & (counts > upper_limit(expected, spread * np.sqrt(share), sigma)))
