"""What a campaign simulates where nothing else is said: a small mission, and truths that look like a sky."""

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
"""Priors of a campaign in place of shipped ones that are wide so as to say little.

Truths drawn from the shipped ones are several times the bulge in every region. No mission is like that, and
the posteriors of such data are like those of no fit: the product of intensity and Crab rate is known to a
thousandth and each of them to a few per cent, on a narrow, curved ridge."""


def campaign_priors(model: Model) -> Model:
    """Return the model with `PRIORS` where it has the shipped ones; priors that were changed stay."""
    shipped = {name: spell(parameter.prior) for name, parameter in SHIPPED.items()}
    return model.with_priors(
        {
            name: prior
            for name, prior in PRIORS.items()
            if name in model.parameters and spell(model.parameters[name].prior) == shipped[name]
        }
    )


def base_mission(model: Model, revolutions: int = REVOLUTIONS) -> ScWTable:
    """Simulate revolutions over the years, some of the Crab, some off the plane; 24 have about 1,500 ScWs.

    Parameters
    ----------
    model
        One band is enough where its bands share no parameter; otherwise there are three.
    revolutions
        How many.
    """
    bands = simulate.BANDS[:1] if model.bands_apart else simulate.BANDS
    programme = simulate.programme(revolutions, stop=2740, seed=11)
    return simulate.mission(programme, simulate.Truth(bands=bands), sky=sky.load("coarse"), seed=1)
