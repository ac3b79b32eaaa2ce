"""Distance of the rates of a ScW from those of nearby ScWs in the same revolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation

from ridgebayes.robust import sd_about_zero
from ridgebayes.table.scw import ScWTable
from ridgebayes.typing import Floats

FEWEST = 5
"""Least number of ScWs for a median."""

_RADIUS = 6.0  # degrees; small compared with the field of view of 29°


def distance(scws: ScWTable) -> Floats:
    """Return the distance of every rate from the median within 6° in its revolution, robust sigma, (N, K).

    NaN for ScWs that contain the Crab, or have fewer than four neighbours.
    """
    deviation = np.full(scws.rate.shape, np.nan)
    spread = np.full(scws.rate.shape, np.nan)
    vectors = scws.position.cartesian.xyz.value.T
    order = np.argsort(scws.revolution, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(scws.revolution[order])) + 1):
        rows = rows[~scws.crab[rows]]
        near = vectors[rows] @ vectors[rows].T > np.cos(np.radians(_RADIUS))
        for members, own in _alike(near):
            rates = scws.rate[rows[members]]
            deviation[rows[own]] = scws.rate[rows[own]] - np.median(rates, axis=0)
            spread[rows[own]] = median_abs_deviation(rates, axis=0, scale="normal")
    tested = np.isfinite(deviation[:, 0])
    typical = sd_about_zero(deviation[tested], axis=0) if tested.any() else np.inf
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.abs(deviation) / np.fmax(np.fmax(spread, typical), scws.stat_err))


def _alike(near: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """Return the neighbourhoods in a revolution, each with the rows that share it."""
    masks, which = np.unique(near, axis=0, return_inverse=True)
    which = which.reshape(-1)
    return [(mask, np.flatnonzero(which == k)) for k, mask in enumerate(masks) if mask.sum() >= FEWEST]
