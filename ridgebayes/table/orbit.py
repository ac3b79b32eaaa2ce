"""The calendar of revolutions: their start times, and orbital phases.

The period was 2.991 d before revolution ≈ 1490 and is 2.659 d after ≈ 1505, because of the manoeuvres of
January and February 2015. It is modelled as a logistic step in the revolution number. Its integral has a
closed form, so times and revolutions can be converted without a table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ridgebayes.typing import Floats

USABLE = (0.04, 0.96)
"""Orbital phases outside the radiation belts."""

_LONG, _SHORT = 2.9911, 2.6596  # days
_CHANGE, _WIDTH = 1499.7, 1.0  # revolutions
_FIRST, _FIRST_MJD = 70.0, 52769.70  # revolution 70 started on 2003-05-10


def start_mjd(revolution: ArrayLike) -> Floats:
    """MJD (TT) at which revolutions start, at perigee (phase 0).

    Parameters
    ----------
    revolution
        Revolution numbers, any shape; the fraction is the phase.

    Returns
    -------
    ndarray
        Same shape. Within 0.25 d of the real calendar from revolution 70 to 2740.
    """
    number = np.asarray(revolution, float)

    def elapsed(r: Floats | float) -> Floats:
        # ∫ (1 − logistic((r − change)/width)) dr = r − width · log(1 + exp((r − change)/width))
        before_change = r - _WIDTH * np.logaddexp(0.0, (r - _CHANGE) / _WIDTH)
        return _SHORT * np.asarray(r) + (_LONG - _SHORT) * before_change

    return _FIRST_MJD + elapsed(number) - elapsed(_FIRST)


def period_d(revolution: ArrayLike) -> Floats:
    """Length of revolutions in days, from perigee to perigee."""
    number = np.asarray(revolution, float)
    return start_mjd(number + 1) - start_mjd(number)


def mjd_at(revolution: ArrayLike, phase: ArrayLike) -> Floats:
    """MJD (TT) at an orbital phase (0 to 1) of a revolution."""
    return start_mjd(revolution) + np.asarray(phase, float) * period_d(revolution)


def phase_at(revolution: ArrayLike, mjd: ArrayLike) -> Floats:
    """Orbital phase of MJD (TT) in a revolution: 0 to 1 if the time lies in it."""
    return (np.asarray(mjd, float) - start_mjd(revolution)) / period_d(revolution)
