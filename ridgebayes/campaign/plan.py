"""The plan of a campaign and its TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from ridgebayes import models, simulate, sky
from ridgebayes.checks.automatic import AUTO
from ridgebayes.errors import InputError, nearest
from ridgebayes.inference.settings import Settings
from ridgebayes.model import Model
from ridgebayes.sky import Sky
from ridgebayes.table.scw import Band

CLEAN = "clean"
GROWS = ("missions", "first_seed", "worlds", "fits")
"""Attributes of a plan that may change when a campaign is extended."""


class Case(NamedTuple):
    """One fit of one mission.

    Attributes
    ----------
    world
        ``clean``, names of switches joined by ``+``, or ``everything``.
    fit
        Label of the fit.
    seed
        Seed of the mission and of the fit.

    Examples
    --------
    >>> from ridgebayes.campaign import Plan
    >>> Plan(missions=1).cases()
    [Case(world='clean', fit='regions', seed=1)]
    """

    world: str
    fit: str
    seed: int

    def __str__(self) -> str:
        return f"{self.fit} on {self.world}, mission {self.seed}"


@dataclass(frozen=True)
class Fit:
    """Model and options of a fit.

    Attributes
    ----------
    model
        Name of a shipped model, or a Python file.
    extras
        Extras of the model; ``auto`` selects those that help.
    priors
        Changed priors, as text.
    worlds
        Worlds whose missions are fitted; empty for all.

    Examples
    --------
    >>> from ridgebayes.campaign import Fit
    >>> Fit("template", extras=("outliers",)).label
    'template + outliers'
    """

    model: str = "regions"
    extras: tuple[str, ...] = ()
    priors: Mapping[str, Any] = field(default_factory=dict)
    worlds: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Label, such as ``regions + outliers``."""
        changed = [f"{name}={prior}" for name, prior in self.priors.items()]
        return " + ".join([self.model, *self.extras, *changed])

    def built(self, on: Sky) -> Model:
        """Build the model."""
        chosen = [name for name in self.extras if name != AUTO]
        return models.find(self.model)(on).with_extras(*chosen).with_priors(self.priors)


@dataclass(frozen=True)
class Plan:
    """A campaign.

    Attributes
    ----------
    fits
        Fits of each mission.
    worlds
        Worlds of the simulator; names joined by ``+`` are one world.
    missions, first_seed
        Number of missions of each world, and their first seed. Missions with the same seed have the same
        noise in all worlds.
    revolutions
        Number of revolutions of a mission; all missions have the same pointings.
    bands
        Names of the simulator's bands.
    sky, regions
        Sky of the models, and its regions at which FOV fluxes are compared; by default all.
    outlier_fraction
        Share of outliers in worlds with outliers; by default that of the simulator.
    classical
        Include the classical estimate.
    check
        Run the posterior predictive checks of each fit.
    settings
        Settings of the fits, as in `ridgebayes.sample`.

    Examples
    --------
    >>> from ridgebayes.campaign import Fit, Plan
    >>> plan = Plan(fits=(Fit(), Fit("template")), worlds=("clean", "outliers"), missions=5)
    >>> len(plan.cases()), plan.world_of(plan.cases()[-1]).names
    (20, ('outliers',))
    """

    fits: tuple[Fit, ...] = (Fit(),)
    worlds: tuple[str, ...] = (CLEAN,)
    missions: int = 10
    first_seed: int = 1
    revolutions: int = 200
    bands: tuple[str, ...] = tuple(band.name for band in simulate.BANDS)
    sky: str = "milkyway"
    regions: tuple[str, ...] = ()
    outlier_fraction: float | None = None
    classical: bool = True
    check: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def cases(self) -> list[Case]:
        """All fits, mission by mission."""
        seeds = range(self.first_seed, self.first_seed + self.missions)
        each = product(seeds, self.worlds, self.fits)
        return [Case(w, fit.label, seed) for seed, w, fit in each if not fit.worlds or w in fit.worlds]

    def fit_of(self, case: Case) -> Fit:
        """Return the fit of a case."""
        return next(fit for fit in self.fits if fit.label == case.fit)

    def world_of(self, case: Case) -> simulate.World:
        """Return the world of a case."""
        return _world(case.world, self.outlier_fraction)

    @property
    def simulated_bands(self) -> tuple[Band, ...]:
        """Bands of the missions."""
        return tuple(band for band in simulate.BANDS if band.name in self.bands)

    @property
    def compared(self) -> tuple[str, ...]:
        """Regions at which FOV fluxes are compared."""
        return self.regions or tuple(sky.load(self.sky).names)

    def recorded(self) -> dict[str, Any]:
        """Return plain values for a TOML file."""
        return {name: _plain(value) for name, value in asdict(self).items() if value is not None}

    def checked(self) -> Plan:
        """Check the plan before hours of computing.

        Raises
        ------
        InputError
            If a value is wrong; the message names it.
        """
        for name in ("missions", "revolutions"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)}: must be at least 1")
        # The seed of a fit is that of its mission.
        _check_names("setting", self.settings, [f.name for f in fields(Settings) if f.name != "seed"])
        Settings(**self.settings)
        on = sky.load(self.sky)
        _check_names("region", self.regions, on.names)
        _check_names("band", self.bands, [band.name for band in simulate.BANDS])
        for world in (*self.worlds, *(w for fit in self.fits for w in fit.worlds)):
            _world(world, self.outlier_fraction)
        labels = [fit.label for fit in self.fits]
        if len(set(labels)) < len(labels):
            raise InputError("fits: the same is given twice: give each once")
        for fit in self.fits:
            fit.built(on)
        if not self.cases():
            raise InputError("worlds: no fit is for any of them: name the worlds of a fit in worlds, too")
        return self


def read_plan(path: str | Path) -> Plan:
    """Read the plan of a campaign.

    Parameters
    ----------
    path
        A TOML file whose keys are the attributes of `Plan`; ``[[fits]]`` is a table for each `Fit`.

    Raises
    ------
    InputError
        If the file cannot be read, a key is unknown, or a value is impossible.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ridgebayes.campaign import read_plan
    >>> _ = Path("campaign.toml").write_text('worlds = ["clean", "outliers"]')
    >>> len(read_plan("campaign.toml").cases())  # 10 missions of each world
    20
    """
    path = Path(path)
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: check the name") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    try:
        return plan_of(told).checked()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def plan_of(told: Mapping[str, Any]) -> Plan:
    """Build a plan from the plain values of a TOML file."""
    given = _known("", told, Plan)
    if "fits" in given:
        given["fits"] = tuple(Fit(**_known("fits: ", fit, Fit)) for fit in given["fits"])
    try:
        return Plan(**given)
    except TypeError as error:
        raise InputError(str(error)) from None


_TEXTS = "a list of texts"
_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    str: "a text",
    tuple: _TEXTS,
    Mapping: "a table",
}
_KIND: dict[str, Any] = {what: kind for kind, what in _KINDS.items()} | {"a number": (int, float)}


def _known(where: str, told: Any, kind: Any) -> dict[str, Any]:
    """Check keys and types of values against the fields of a class; convert lists to tuples."""
    if not isinstance(told, Mapping):
        raise InputError(f"{where}{told!r}: must be a table")
    example = kind()
    names = [f.name for f in fields(kind)]
    found: dict[str, Any] = {}
    for name, value in told.items():
        if name not in names:
            raise InputError(f"{where}'{name}': there is no such key{nearest(name, names)}")
        default = getattr(example, name)
        value = tuple(value) if isinstance(value, list) else value
        wanted = next((what for kind, what in _KINDS.items() if isinstance(default, kind)), "a number")
        right = isinstance(value, _KIND[wanted]) and isinstance(value, bool) == isinstance(default, bool)
        if wanted == _TEXTS and name != "fits":
            right = right and all(isinstance(text, str) for text in value)
        if not right:
            raise InputError(f"{where}{name} = {told[name]!r}: must be {wanted}")
        found[name] = value
    return found


def _world(name: str, outlier_fraction: float | None) -> simulate.World:
    world = simulate.World.on(*([] if name == CLEAN else name.split("+")))
    if world.outliers is None or outlier_fraction is None:
        return world
    return replace(world, outliers=simulate.Outliers(fraction=outlier_fraction))


def _check_names(what: str, given: Iterable[str], known: Any) -> None:
    for name in given:
        if name not in known:
            raise InputError(f"{what} '{name}': there is none of this name{nearest(name, known)}")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
