"""Types of statistics and curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ridgebayes.checks.design import Residuals

Score = Callable[[NDArray], NDArray]
"""An increasing function of a statistic whose values for replicates are close to normal."""


class Statistic(NamedTuple):
    """A statistic: one number per band.

    Attributes
    ----------
    name
        Name, such as ``neighbours``; the part before a dot is its subject in verdicts.
    what
        Description with its unit.
    value
        Residuals → (band,).
    score
        See `Score`.
    sides
        2 for a two-sided test; 1 if only large values count.
    least_sd
        Least standard deviation of the score.
    """

    name: str
    what: str
    value: Callable[[Residuals], NDArray]
    score: Score = np.asarray
    sides: int = 2
    least_sd: float = 0.0

    @property
    def subject(self) -> str:
        """Subject of the statistic."""
        return self.name.split(".")[0]


class Curve(NamedTuple):
    """A curve of each band for a figure.

    Attributes
    ----------
    name
        Name, such as ``neighbours``.
    x
        Positions of bins, (bin,), in the unit of `x_label`.
    x_label, y_label
        Labels of the axes.
    value
        Residuals → (band, bin).
    """

    name: str
    x: NDArray
    x_label: str
    y_label: str
    value: Callable[[Residuals], NDArray]


Views = tuple[list[Statistic], list[Curve]]


def kurtosis(values: NDArray) -> NDArray:
    """Excess kurtosis of values with known mean zero, along the last axis.

    `scipy.stats.kurtosis` subtracts the sample mean, but here a mean other than zero must count as a tail.
    """
    square = np.maximum((values**2).mean(-1), 1e-300)
    return (values**4).mean(-1) / square**2 - 3.0


def log_kurtosis(excess: NDArray) -> NDArray:
    """Score of an excess kurtosis."""
    return np.log(np.maximum(excess + 3.0, 1e-3))


def counts(value: NDArray) -> NDArray:
    """Score of a number of events (Anscombe's square root)."""
    return 2.0 * np.sqrt(np.asarray(value, float) + 0.375)
