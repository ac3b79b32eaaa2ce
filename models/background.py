r"""The background alone, as a calibration, from ScWs that point away from the Galaxy.

For ScW i of revolution ρ at \|b\| > 20° without the Crab, band k:

.. math::

    rate_{ik} \sim N(B_{ik},\; stat\_err_{ik}^2 + (σ_k L_k)^2)

    B_{ik} = L_k(t) [level_k + drift_k(t) + a_k \, δtracer_i + Σ_j c_{ρkj} φ_j(phase_i)],
    \quad c_{ρkj} \sim N(0, τ_{kj}^2)

with L the reference level, cts/s. The field of view ends 15° off axis, so none of these ScWs sees the bright
plane. The model has no sky and no Crab; fainter emission counts as background. The other ScWs are not fitted,
but the run predicts their background, for revolutions that never leave the plane from other revolutions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ridgebayes.likelihood.design import FitData
from ridgebayes.model import Model, components
from ridgebayes.priors import Parameters
from ridgebayes.sky import Sky, build
from ridgebayes.table.scw import ScWTable

LATITUDE = 20.0  # degrees

PRIORS = {**components.BACKGROUND}


def rates(p: Parameters, data: FitData) -> None:
    """Rates of all ScWs in all bands."""
    components.observe(p, data, components.background(p, data), [])


def away(scws: ScWTable) -> NDArray[np.bool_]:
    """Return True for ScWs that are fitted: those that point away from the Galaxy, without the Crab."""
    return scws.at_high_latitude(LATITUDE) & ~scws.crab


def background(sky: Sky | None = None) -> Model:
    """Build the model of the background.

    Parameters
    ----------
    sky
        Not used; builders of all models have this argument.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> rb.models.background().bands_apart
    True
    """
    return Model("background", rates, PRIORS, build("none", []), factorises=True, chosen=away)
