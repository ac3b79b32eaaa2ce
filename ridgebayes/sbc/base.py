"""Defaults of a campaign: a small mission, and priors that give realistic skies."""

from __future__ import annotations

from ridgebayes import simulate, sky
from ridgebayes.model import Model, components
from ridgebayes.models.spectrum import PRIORS as SPECTRUM
from ridgebayes.priors import Parameter
from ridgebayes.priors.text import spell
from ridgebayes.table.scw import ScWTable

REVOLUTIONS = 24
SHIPPED: dict[str, Parameter] = {**components.SKY, **components.CRAB, **SPECTRUM}
PRIORS = {
    "sky.intensity": "Normal(0, 1)",
    "sky.thermal": "Normal(0, 10)",
    "sky.hard": "Normal(0, 10)",
    "crab.rate": "Normal(1, 0.1)",
    "crab.shape": "Normal(0, 0.1)",
}
"""Priors of a campaign that replace wide shipped priors.

With the shipped priors, simulated intensities are several times that of the bulge in every region. Posteriors
of such unrealistic data are narrow curved ridges: the product of intensity and Crab rate is known to a
thousandth, each factor only to a few per cent."""


def campaign_priors(model: Model) -> Model:
    """Replace shipped priors of a model by `PRIORS`; priors that a user changed stay.

    Examples
    --------
    >>> from ridgebayes import models, sbc
    >>> from ridgebayes.priors import describe
    >>> model = models.crab()
    >>> describe(model.priors()["crab.rate"]), describe(sbc.campaign_priors(model).priors()["crab.rate"])
    ('LogNormal(0, 0.3)', 'Normal(1, 0.1)')
    """
    shipped = {name: spell(parameter.prior) for name, parameter in SHIPPED.items()}
    return model.with_priors(
        {
            name: prior
            for name, prior in PRIORS.items()
            if name in model.parameters and spell(model.parameters[name].prior) == shipped[name]
        }
    )


def base_mission(model: Model, revolutions: int = REVOLUTIONS) -> ScWTable:
    """Simulate revolutions spread over the mission; 24 have about 1,500 ScWs, 60 of them with the Crab.

    With less than about 16 revolutions no ScW may have the Crab.

    Parameters
    ----------
    model
        The model. If its bands share no parameter the mission has one band, otherwise three.
    revolutions
        Number of revolutions.
    """
    bands = simulate.BANDS[:1] if model.bands_apart else simulate.BANDS
    programme = simulate.programme(revolutions, stop=2740, seed=11)
    return simulate.mission(programme, simulate.Truth(bands=bands), sky=sky.load("coarse"), seed=1)
