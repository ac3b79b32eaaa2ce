"""Whole missions with a known truth: plan or read a programme, state the truth, draw the rates.

>>> from ridgebayes import simulate
>>> programme = simulate.programme(20, seed=1)
>>> scws = simulate.mission(programme, simulate.Truth(), world=simulate.World.on("outliers"), seed=1)
>>> scws.truth["fov"]["GB"]
[154.886, 96.473, 102.207]

All tables that are drawn here are marked as simulated.
"""

from ridgebayes.simulate.draw import Expected, expected, mission
from ridgebayes.simulate.pointings import read_programme
from ridgebayes.simulate.schedule import programme
from ridgebayes.simulate.spectra import BANDS
from ridgebayes.simulate.truth import Truth
from ridgebayes.simulate.world import (
    EVERYTHING,
    SWITCHES,
    CorrelatedNoise,
    CrabStep,
    NoisyTracer,
    Outliers,
    SharedNoise,
    StrongBar,
    Transients,
    World,
    WrongTemplate,
)

__all__ = [
    "BANDS",
    "EVERYTHING",
    "SWITCHES",
    "CorrelatedNoise",
    "CrabStep",
    "Expected",
    "NoisyTracer",
    "Outliers",
    "SharedNoise",
    "StrongBar",
    "Transients",
    "Truth",
    "World",
    "WrongTemplate",
    "expected",
    "mission",
    "programme",
    "read_programme",
]
