"""The small mission whose pointings a campaign simulates on, where none is given."""

from __future__ import annotations

from ridgebayes import simulate, sky
from ridgebayes.model import Model
from ridgebayes.scw import ScWTable

REVOLUTIONS = 24


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
