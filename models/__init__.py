"""Models of the ISGRI detector rate, one a file."""

from collections.abc import Callable

from ridgebayes.errors import InputError, nearest
from ridgebayes.model import Model
from ridgebayes.models.regions import regions

MODELS: dict[str, Callable[..., Model]] = {"regions": regions}


def find(name: str) -> Callable[..., Model]:
    """Return the builder of a model by its name.

    Raises
    ------
    InputError
        For an unknown name, with the nearest real one.
    """
    if name not in MODELS:
        raise InputError(f"model '{name}': there is none of this name{nearest(name, MODELS)}")
    return MODELS[name]


__all__ = ["MODELS", "find", "regions"]
