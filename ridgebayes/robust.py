"""Standard deviations that outliers do not move: scaled median absolute deviations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation, norm

SD_OVER_MAD = 1 / norm.ppf(0.75)
"""Standard deviation of a normal distribution over its median absolute deviation."""


def sd_about_zero(deviation: NDArray, axis: int | None = None) -> NDArray[np.float64]:
    """Return the standard deviation about zero, from the median of the absolute values.

    SciPy's `median_abs_deviation` would subtract their median, but they are deviations already, each from a
    centre of its own, such as the median of a revolution.
    """
    return median_abs_deviation(deviation, axis, center=lambda x, axis: 0.0, scale="normal")
