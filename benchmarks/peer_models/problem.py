"""The arrays of one band with a row a ScW, as anybody would lay them out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ridgebayes.likelihood.design import Prepared
from ridgebayes.model.processes import wave_sd
from ridgebayes.sky import exposure


class Problem(NamedTuple):
    """Rates and what they depend on; r counts revolutions, i ScWs."""

    rate: NDArray  # (i,) cts/s
    stat_variance: NDArray  # (i,)
    revolution: NDArray  # (i,), position among the revolutions
    tracer: NDArray  # (i,), relative deviation
    basis: NDArray  # (i, 3)
    crab_response: NDArray  # (i,)
    exposure: NDArray  # (i, seen) deg², of the regions that a ScW sees
    region: NDArray  # (i, seen)
    regions: int
    level: NDArray  # (r,) cts/s
    crab_level: float  # cts/s
    crab_basis: NDArray  # (r, 3): Legendre polynomials of degree 1 to 3
    drift_basis: NDArray  # (r, mode), times the sd of each mode

    @property
    def dense_exposure(self) -> NDArray:
        """Shape (i, region), mostly zeros."""
        dense = np.zeros((len(self.rate), self.regions))
        np.put_along_axis(dense, self.region, self.exposure, 1)
        return dense


def problem(prepared: Prepared) -> Problem:
    """Take the arrays of a fit out of their blocks."""
    data, rows = prepared.data, prepared.layout.unpack
    a = exposure(prepared.scws, prepared.sky, prepared.response)
    seen = int((a != 0).sum(1).max())
    region = np.argsort(a == 0, axis=1, kind="stable")[:, :seen]
    at = np.searchsorted(prepared.layout.revolutions, prepared.scws.revolution)
    sd = np.asarray(wave_sd(np.array([0.05]), np.array([2.5]), data.drift_frequency, smoothness=2.5))[0]
    return Problem(
        rate=rows(data.rate)[0],
        stat_variance=rows(data.stat_variance)[0],
        revolution=at,
        tracer=rows(data.tracer),
        basis=rows(data.basis).T,
        crab_response=rows(data.crab_response),
        exposure=np.take_along_axis(a, region, 1),
        region=region,
        regions=a.shape[1],
        level=np.asarray(data.level)[0],
        crab_level=float(np.asarray(data.crab_rate)[0]),
        crab_basis=np.asarray(data.crab_basis)[1:].T,
        drift_basis=np.asarray(data.drift_basis) * sd,
    )
