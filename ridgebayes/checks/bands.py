"""Statistics between bands: correlation of residuals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ridgebayes.checks.design import Design, Residuals
from ridgebayes.checks.statistic import Statistic, Views


def bands(design: Design) -> Views:
    """Return the correlation of each band with the next one; empty for a single band."""
    if len(design.noise) < 2:
        return [], []
    return [
        Statistic("bands.next", "correlation of the residuals with those of the next band", _with_next)
    ], []


def _with_next(r: Residuals) -> NDArray:
    size = np.sqrt((r.cut**2).mean(1))
    pairs = (r.cut[1:] * r.cut[:-1]).mean(1) / (size[1:] * size[:-1])
    return np.append(pairs, np.nan)  # the last band has no next one
