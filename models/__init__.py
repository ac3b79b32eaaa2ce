"""Models of the ISGRI detector rate, one per file.

>>> import ridgebayes as rb
>>> list(rb.models.MODELS)
['regions', 'template', 'profile', 'spectrum', 'whitedwarf', 'background', 'crab']
>>> model = rb.models.template(rb.sky.load("milkyway"))  # the same as rb.models.find("template")(…)
>>> model.name, model.bands_apart
('template', True)
"""

from collections.abc import Callable
from pathlib import Path

from ridgebayes.errors import InputError, nearest
from ridgebayes.model import Model
from ridgebayes.models.background import background
from ridgebayes.models.crab import crab
from ridgebayes.models.profile import profile
from ridgebayes.models.regions import regions
from ridgebayes.models.spectrum import spectrum
from ridgebayes.models.template import template
from ridgebayes.models.userfile import from_file, from_source
from ridgebayes.models.whitedwarf import whitedwarf

MODELS: dict[str, Callable[..., Model]] = {
    "regions": regions,
    "template": template,
    "profile": profile,
    "spectrum": spectrum,
    "whitedwarf": whitedwarf,
    "background": background,
    "crab": crab,
}


def find(name_or_path: str | Path) -> Callable[..., Model]:
    """Return the builder of a model: ``build(sky)``.

    Parameters
    ----------
    name_or_path
        Name of a shipped model, or your own Python file (``.py``), which is executed. It must define
        ``model(sky)``, which returns a `ridgebayes.model.Model`.

    Raises
    ------
    InputError
        If a name is unknown (the message gives the nearest one), or a file is missing, fails or has no
        model.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> rb.models.find("crab")().name
    'crab'
    """
    name = str(name_or_path)
    if name in MODELS:
        return MODELS[name]
    if name.endswith(".py") or len(Path(name).parts) > 1:
        return from_file(name)
    raise InputError(
        f"model '{name}': there is none of this name{nearest(name, MODELS)}; a file of yours ends in .py"
    )


__all__ = [
    "MODELS", "background", "crab", "find", "from_source", "profile", "regions", "spectrum", "template",
    "whitedwarf",
]  # fmt: skip
