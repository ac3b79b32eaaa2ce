"""What a statistic and a curve are."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ridgebayes.checks.design import Residuals

Score = Callable[[NDArray], NDArray]
"""A rising function of a statistic, the values of which are close to normal among replicates."""


class Statistic(NamedTuple):
    """One number a band.

    Attributes
    ----------
    name
        Such as ``neighbours``; what stands before a dot is its subject, of which the verdicts speak.
    what
        In words, with its unit.
    value
        Residuals → (band,).
    score
        See `Score`.
    sides
        2 where it can be too large or too small, 1 where only too large.
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
        """What it is about."""
        return self.name.split(".")[0]


class Curve(NamedTuple):
    """Numbers along an axis, for a figure.

    Attributes
    ----------
    name
        Such as ``neighbours``.
    x
        Places, (bin,); as years, degrees or what `x_label` says.
    x_label, y_label
        Of the axes.
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
    """Excess kurtosis along the last axis, of values with a mean of zero.

    `scipy.stats.kurtosis` would subtract the mean of the values; here a mean other than zero counts as a
    tail.
    """
    square = np.maximum((values**2).mean(-1), 1e-300)
    return (values**4).mean(-1) / square**2 - 3.0


def log_kurtosis(excess: NDArray) -> NDArray:
    """Score of an excess kurtosis."""
    return np.log(np.maximum(excess + 3.0, 1e-3))


def counts(value: NDArray) -> NDArray:
    """Score of a number of events (Anscombe's square root)."""
    return 2.0 * np.sqrt(np.asarray(value, float) + 0.375)
