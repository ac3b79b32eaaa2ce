"""Extras that any model can use (`Model.with_extras`): one file each, and a row in `EXTRAS`."""

from __future__ import annotations

from collections.abc import Mapping

from ridgebayes.model.extensions.base import Extension
from ridgebayes.model.extensions.latitude import FREE_LATITUDE
from ridgebayes.model.extensions.noise import CORRELATED_NOISE, OUTLIERS
from ridgebayes.model.extensions.smooth_crab import SMOOTH_CRAB
from ridgebayes.model.extensions.transients import TRANSIENTS
from ridgebayes.priors import Parameter, Parameters

__all__ = ["EXTRAS", "Extension", "opened"]

EXTRAS: dict[str, Extension] = {
    extension.name: extension
    for extension in (CORRELATED_NOISE, OUTLIERS, TRANSIENTS, SMOOTH_CRAB, FREE_LATITUDE)
}
"""Name → extension."""


def opened(p: Parameters | Mapping[str, Parameter]) -> list[Extension]:
    """Return the extensions that a model with such parameters uses."""
    return [extension for extension in EXTRAS.values() if extension.is_open(p)]
