r"""The Crab alone: its rate over time, from ScWs in which it was not removed.

For ScW i with the Crab, of revolution ρ, band k:

.. math::

    rate_{ik} \sim N(B_{ik} + C_k(t_i) R_i,\; stat\_err_{ik}^2 + (σ_k L_k)^2 + (σ^C_k C_k R_i)^2)

    C_k(t) = reference_k \, rate_k \, exp(cubic \; in \; time)

with the background B of `ridgebayes.models.background`, R the response at the Crab and C in cts/s per Crab.
Crab and background can be separated because R differs from ScW to ScW. The model has no sky: the revolution
terms of the background absorb the emission of the plane near the anticentre, one per cent of the Crab or
less, and C absorbs the part of it that is proportional to R. The other ScWs are not fitted, but the run
predicts their rates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ridgebayes.likelihood.design import FitData
from ridgebayes.model import Model, components
from ridgebayes.priors import Parameters
from ridgebayes.sky import Sky, build
from ridgebayes.table.scw import ScWTable

PRIORS = {**components.BACKGROUND, **components.CRAB}


def rates(p: Parameters, data: FitData) -> None:
    """Rates of all ScWs in all bands."""
    crab_rate = components.crab_rate(p, data)
    components.observe(p, data, components.background(p, data), components.crab(crab_rate, data), crab_rate)


def with_crab(scws: ScWTable) -> NDArray[np.bool_]:
    """Return True for ScWs that are fitted: those in which the Crab was not removed."""
    return scws.crab


def crab(sky: Sky | None = None) -> Model:
    """Build the model of the Crab.

    Parameters
    ----------
    sky
        Not used; builders of all models have this argument.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> [name for name in rb.models.crab().parameters if name.startswith("crab")]
    ['crab.rate', 'crab.shape', 'crab.scatter']
    """
    return Model("crab", rates, PRIORS, build("none", []), factorises=True, chosen=with_crab)
