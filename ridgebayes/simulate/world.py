"""Switches for effects outside the model: each makes the simulated world differ from it in one way.

All are off by default, so that the mission is drawn from the fitted model. They can be combined;
``World.everything()`` turns all of them on.

>>> World.on("correlated_noise", "crab_step")
World(correlated_noise=CorrelatedNoise(coefficient=0.7), crab_step=CrabStep(size=0.04, mjd=57000.0))
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ridgebayes.errors import InputError, nearest


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"world: {name} is {value:g}: give {low:g} to {high:g}")


@dataclass(frozen=True)
class Outliers:
    """Some ScWs, including those with the Crab, are offset by a fixed number of standard deviations.

    Parameters
    ----------
    fraction
        Share of the ScWs.
    size
        Offset in standard deviations of the ScW: counting noise, excess scatter and scatter of the Crab.
    together
        If True, outliers are offset in all bands with the same sign; otherwise each band has its own.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> world = simulate.World(outliers=simulate.Outliers(fraction=0.02, size=6.0))
    >>> world.as_dict()
    {'outliers': {'fraction': 0.02, 'size': 6.0, 'together': True}}
    """

    fraction: float = 0.005
    size: float = 8.0
    together: bool = True

    def __post_init__(self) -> None:
        _check("outliers.fraction", self.fraction, 0, 1)
        _check("outliers.size", self.size, 0, 1e6)


@dataclass(frozen=True)
class CorrelatedNoise:
    """The excess scatter of successive ScWs of a revolution is correlated.

    Parameters
    ----------
    coefficient
        Correlation of successive ScWs (autoregressive, order one); the variance does not change.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> simulate.World(correlated_noise=simulate.CorrelatedNoise(coefficient=0.5)).as_dict()
    {'correlated_noise': {'coefficient': 0.5}}
    """

    coefficient: float = 0.7

    def __post_init__(self) -> None:
        _check("correlated_noise.coefficient", self.coefficient, -0.999, 0.999)


@dataclass(frozen=True)
class SharedNoise:
    """Part of the excess scatter and of the revolution terms is common to all bands.

    The common part is the same in units of the standard deviation, so the variance of each band does not
    change. With `CorrelatedNoise` the common part of the scatter is also correlated in time.

    Parameters
    ----------
    correlation
        Correlation coefficient between any two bands.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> simulate.World(shared_noise=simulate.SharedNoise(correlation=0.5)).as_dict()
    {'shared_noise': {'correlation': 0.5}}
    """

    correlation: float = 0.8

    def __post_init__(self) -> None:
        _check("shared_noise.correlation", self.correlation, 0, 1)


@dataclass(frozen=True)
class WrongTemplate:
    """The sky is wider in latitude than the template of the fit, and shifted; the bulge has the same flux.

    Parameters
    ----------
    stretch
        Factor on latitudes.
    shift_deg
        Shift towards positive latitude, degrees.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> simulate.World(wrong_template=simulate.WrongTemplate(stretch=1.2)).as_dict()
    {'wrong_template': {'stretch': 1.2, 'shift_deg': 0.5}}
    """

    stretch: float = 1.4
    shift_deg: float = 0.5

    def __post_init__(self) -> None:
        _check("wrong_template.stretch", self.stretch, 0.1, 10)
        _check("wrong_template.shift_deg", self.shift_deg, -30, 30)


@dataclass(frozen=True)
class StrongBar:
    """The ratio of bar to disc is larger than in the template; the bulge has the same flux.

    The brightness of the template is multiplied by 1 + (factor − 1) s, with s the share of the bar in the
    starlight model at each position.

    Parameters
    ----------
    factor
        Ratio of bar to disc, relative to that of the template.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> simulate.World(strong_bar=simulate.StrongBar(factor=2.0)).as_dict()
    {'strong_bar': {'factor': 2.0}}
    """

    factor: float = 1.5

    def __post_init__(self) -> None:
        _check("strong_bar.factor", self.factor, 0, 100)


@dataclass(frozen=True)
class Transients:
    """Unresolved transient sources near the plane that source cleaning does not remove.

    They lie at abs(b) < 5°, with the highest density towards the Galactic centre. Each rises instantly,
    decays exponentially, and has a soft spectrum.

    Parameters
    ----------
    per_year
        Outbursts per year over the whole plane.
    peak_mcrab
        Mean peak flux in 25–60 keV (exponential distribution).
    decay_d
        Decay time, days.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> simulate.World(transients=simulate.Transients(per_year=24.0)).as_dict()
    {'transients': {'per_year': 24.0, 'peak_mcrab': 10.0, 'decay_d': 20.0}}
    """

    per_year: float = 12.0
    peak_mcrab: float = 10.0
    decay_d: float = 20.0

    def __post_init__(self) -> None:
        _check("transients.per_year", self.per_year, 0, 1e4)
        _check("transients.peak_mcrab", self.peak_mcrab, 0, 1e5)
        _check("transients.decay_d", self.decay_d, 1e-3, 1e5)


@dataclass(frozen=True)
class CrabStep:
    """The Crab rate of the detector has a step, which a cubic in time cannot fit.

    Parameters
    ----------
    size
        Relative change after `mjd`.
    mjd
        Time of the step, MJD (TT).

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> world = simulate.World(crab_step=simulate.CrabStep(size=0.1, mjd=57000.0))
    >>> world.crab_factor([56000.0, 58000.0])
    array([1. , 1.1])
    """

    size: float = 0.04
    mjd: float = 57000.0

    def __post_init__(self) -> None:
        _check("crab_step.size", self.size, -0.9, 10)


@dataclass(frozen=True)
class NoisyTracer:
    """The background depends on the true tracer rate, not on the measured one with its noise.

    Without this switch the background depends on the measured tracer, as a fit assumes. With it the fitted
    elasticity within a revolution is too small, the scatter is larger, and means of revolutions are affected
    less because they average the noise.

    Parameters
    ----------
    error
        Error of the measured tracer in units of its counting error: 1 if the whole detector counts it, 3 for
        a ninth of the detector.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> simulate.World(noisy_tracer=simulate.NoisyTracer(error=1.0)).names
    ('noisy_tracer',)
    """

    error: float = 3.0

    def __post_init__(self) -> None:
        _check("noisy_tracer.error", self.error, 0.1, 100)


@dataclass(frozen=True, repr=False)
class World:
    """Differences from the model and their sizes; None turns one off.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> world = simulate.World(outliers=simulate.Outliers(size=10.0), crab_step=simulate.CrabStep())
    >>> world.names
    ('outliers', 'crab_step')
    """

    outliers: Outliers | None = None
    correlated_noise: CorrelatedNoise | None = None
    shared_noise: SharedNoise | None = None
    wrong_template: WrongTemplate | None = None
    strong_bar: StrongBar | None = None
    transients: Transients | None = None
    crab_step: CrabStep | None = None
    noisy_tracer: NoisyTracer | None = None

    @classmethod
    def on(cls, *names: str) -> World:
        """Return a world with the named switches on at their default sizes; ``"everything"`` is all of them.

        Raises
        ------
        InputError
            If a name is unknown; the message gives the nearest one.

        Examples
        --------
        >>> from ridgebayes import simulate
        >>> simulate.World.on("shared_noise", "crab_step").as_dict()
        {'shared_noise': {'correlation': 0.8}, 'crab_step': {'size': 0.04, 'mjd': 57000.0}}
        """
        wanted = SWITCHES if EVERYTHING in names else names
        for name in wanted:
            if name not in SWITCHES:
                raise InputError(f"world: unknown switch '{name}'{nearest(name, (*SWITCHES, EVERYTHING))}")
        return cls(**{name: _DEFAULTS[name]() for name in wanted})

    @classmethod
    def everything(cls) -> World:
        """Return a world with all switches on at their default sizes.

        Examples
        --------
        >>> from ridgebayes import simulate
        >>> simulate.World.everything().names == simulate.SWITCHES
        True
        """
        return cls.on(EVERYTHING)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the switches that are on."""
        return tuple(name for name in SWITCHES if getattr(self, name) is not None)

    def crab_factor(self, mjd: ArrayLike) -> NDArray[np.float64]:
        """Factor on the Crab rate at times (N,), MJD (TT)."""
        time = np.asarray(mjd, float)
        if self.crab_step is None:
            return np.ones_like(time)
        return np.where(time >= self.crab_step.mjd, 1.0 + self.crab_step.size, 1.0)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return the switches that are on, with their sizes, for a table's truth."""
        return {name: asdict(getattr(self, name)) for name in self.names}

    def __repr__(self) -> str:
        return f"World({', '.join(f'{name}={getattr(self, name)!r}' for name in self.names)})"


SWITCHES = tuple(field.name for field in fields(World))
"""Names of the switches."""
EVERYTHING = "everything"
"""Name of all of them."""

_DEFAULTS = {name: get_args(kind)[0] for name, kind in get_type_hints(World).items()}
