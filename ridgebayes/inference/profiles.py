"""The first proposal: covariance from the mode, skewed coordinates from profiles of the density.

A Gaussian about the mode is a poor proposal for a skewed density, such as that of a scale near zero. Weighted
draws show skewness only if their effective sample size is large. The density along a line through the mode
shows it without noise. Along the line of one parameter all others follow their regression on it, so this
profile is nearly the marginal density of that parameter, and exactly so for a Gaussian.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from ridgebayes.inference.mode import Gaussian, LogDensities
from ridgebayes.inference.proposal import Proposal, on_ridge
from ridgebayes.inference.tuning import PROFILES, PROPOSAL

PLACES = np.array(PROFILES.places)
"""Places along a line through the mode, in sd of the parameter."""


def profiled(log_densities: LogDensities, around: Gaussian) -> Proposal:
    """Fit a proposal to the profiles of a density.

    Parameters
    ----------
    log_densities
        The density, of many vectors at once: it is computed at the mode and six points for each parameter.
    around
        Mode and root of the covariance.

    Returns
    -------
    Proposal
        With the correlations of `around`.
    """
    mode, covariance = around.mode, around.root @ around.root.T
    size, sd = mode.size, np.sqrt(np.diag(covariance))
    lines = covariance / sd[:, None]
    off = mode + PLACES[:, None, None] * lines
    found = log_densities(np.concatenate([mode[None], off.reshape(-1, size)]))
    heights = np.nan_to_num(found[1:], nan=np.nan, neginf=np.nan).reshape(PLACES.size, size) - found[0]
    shift, spread, skew = np.array([_coordinates(along) for along in heights.T]).T
    straight = on_ridge(skew, covariance)
    shift, spread, skew = (np.where(straight, 0.0, x) for x in (shift, spread, skew))
    root = np.linalg.cholesky(covariance / np.outer(sd, sd))
    degrees = max(PROFILES.degrees_per_parameter * size, PROPOSAL.degrees[0])
    return Proposal(np.zeros(size), root, degrees, mode + sd * shift, sd * np.exp(spread), skew)


def _coordinates(heights: NDArray) -> NDArray[np.float64]:
    """Fit shift, log spread and skew of coordinates that make the density of one parameter nearly Gaussian.

    Parameters
    ----------
    heights
        Log density at `PLACES` less that at the mode; not finite where the density is zero.
    """
    known = np.isfinite(heights)
    t = np.append(PLACES[known], 0.0)
    height = np.append(heights[known], 0.0)
    weight = np.exp(np.maximum(height, PROFILES.min_height) / 2.0)

    def left(coordinates: NDArray) -> NDArray:
        shift, spread, skew = coordinates
        one = Proposal(np.zeros(1), np.eye(1), PROPOSAL.degrees[0], shift, np.exp(spread), skew)
        u = one.even(t)
        off = height + 0.5 * u**2 + np.log(one.slope(u))
        off -= weight @ off / weight.sum()
        return np.concatenate([weight * off, PROFILES.pull * coordinates])

    limits = np.array([PROFILES.max_shift, PROFILES.max_log_spread, PROPOSAL.max_skew])
    return least_squares(left, np.zeros(3), bounds=(-limits, limits)).x
