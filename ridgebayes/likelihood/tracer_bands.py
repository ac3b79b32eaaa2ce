"""Bands without sky as tracers of the background.

If all bands see the sky, a joint fit cannot use the noise that they share, in revolution terms and from ScW
to ScW: bands with the same columns constrain each other no further (Zellner 1962, J. Am. Stat. Assoc. 57,
348). A band without sky does help, because the background of other bands varies in proportion to its rate. It
enters as a known column, its rate over its slow level; the distribution of the other bands given it needs
nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

_CUBIC = 4
_PER_TERM = 3  # revolutions with the Crab that each term of its rate in time needs
PARTS = ("revolutions", "ScWs")
"""Columns of a tracer band: the mean of each revolution, and the deviation of each ScW from it."""


class TracerScales(NamedTuple):
    """Scales of the tracer bands.

    Attributes
    ----------
    level
        Slow level, cts/s, (tracer band, revolution).
    crab
        Rate of the Crab, cts/s per Crab: Legendre polynomials in time, (tracer band, 4).
    """

    level: NDArray
    crab: NDArray

    @classmethod
    def none(cls, revolutions: int) -> TracerScales:
        """No tracer bands."""
        return cls(np.empty((0, revolutions)), np.empty((0, _CUBIC)))


def crab_of_tracers(
    excess: NDArray, response: NDArray, phase: NDArray, position: NDArray, time: NDArray
) -> NDArray[np.float64]:
    """Rate of the Crab in the tracer bands, by least squares within revolutions that see it.

    Parameters
    ----------
    excess
        Rate less the slow level, cts/s, (scw, tracer band).
    response
        R at the Crab if it was not removed, else zero, (scw,).
    phase
        Orbital phase, (scw,).
    position
        Revolution of each ScW, (scw,).
    time
        Middle of each revolution, −1 to 1 over the mission, (revolution,).

    Returns
    -------
    crab
        As `TracerScales.crab`: a cubic if enough revolutions see the Crab, else of lower order; zero if none
        do.
    """
    seen = np.unique(position[response > 0])
    order = min(_CUBIC, seen.size // _PER_TERM or min(seen.size, 1))
    found = np.zeros((excess.shape[1], _CUBIC))
    if not order:
        return found
    columns = response[:, None] * legendre.legvander(time[position], order - 1)
    rows = []
    for revolution in seen:
        here = position == revolution
        terms = np.linalg.qr(legendre.legvander(2 * phase[here] - 1, min(2, here.sum() - 1)))[0]
        rows.append([x - terms @ (terms.T @ x) for x in (columns[here], excess[here])])
    design, rates = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    found[:, :order] = np.linalg.lstsq(design, rates)[0].T
    return found


def columns(
    rate: NDArray, response: NDArray, position: NDArray, time: NDArray, scales: TracerScales
) -> NDArray[np.float64]:
    """Columns that the background follows, (column, scw): the `PARTS` of each tracer band.

    Parameters
    ----------
    rate
        Rate of the tracer bands, cts/s, (scw, tracer band).
    response, position, time
        As in `crab_of_tracers`.
    scales
        Scales of the tracer bands.
    """
    crab = legendre.legval(time[position], scales.crab.T) * response
    relative = (rate.T - crab) / scales.level[:, position] - 1.0
    found = []
    for x in relative:
        mean = np.bincount(position, x, time.size) / np.maximum(np.bincount(position, minlength=time.size), 1)
        found += [mean[position], x - mean[position]]
    return np.array(found).reshape(-1, rate.shape[0])
