"""True parameters of a simulated mission."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ridgebayes.errors import InputError
from ridgebayes.simulate import spectra
from ridgebayes.table import orbit
from ridgebayes.table.scw import Band
from ridgebayes.typing import Floats

REFERENCE_MJD = 59864.0
"""12 October 2022, the reference day of levels and tracer."""

_MIDDLE, _HALF = (float(v) for v in np.array([[0.5, 0.5], [-0.5, 0.5]]) @ orbit.start_mjd([70, 2741]))
_YEAR = 365.25
_MAXIMUM_MJD = 55013.0  # mid-2009; cosmic rays had maxima in 2009 and 2020, minima in 2003 and 2014
_CYCLE_YEARS = 11.0


class Values(NamedTuple):
    """The truth band by band: arrays of shape (K,), or (K, 3) for `tau` and `crab_shape`."""

    gb_fov: Floats
    level: Floats
    alpha: Floats
    tau: Floats
    sigma: Floats
    crab_rate: Floats
    crab_shape: Floats


@dataclass(frozen=True)
class Truth:
    r"""Parameters of a simulated mission; None selects the simulator's default in every band.

    The rate of ScW i in band k is normal about

    .. math:: L_k(t)\,[1 + α_k (h_i/H(t_i) − 1) + Σ_j c_{ρkj} φ_j(P_i)] + C_k(t)/1000 · S_{ik}

    with the tracer h and its slow trend H, the orbital phase P, φ = 1, 2P − 1, 6P² − 6P + 1 (shifted Legendre
    polynomials) and c ~ Normal(0, τ_kj²); the variance is total rate / exposure + (σ_k L_k)².

    Parameters
    ----------
    bands
        K energy bands, 15 to 1000 keV.
    template
        Shape of the Galactic emission: ``"starlight"``, a file that :func:`ridgebayes.sky.read_template`
        reads, or None for none.
    gb_fov
        FOV flux of the template at l = b = 0, mCrab, (K,).
    template_lat
        Latitude at which the template is cut, degrees, as in the shipped skies.
    intensity
        Additional emission: region of the sky given to `mission` → intensities, mCrab/deg², (K,).
    level
        Background in October 2022, cts/s, (K,).
    solar, ageing
        Relative amplitude of the 11-year cycle; relative change per year (negative: efficiency declines).
    alpha
        Elasticity of the background to the tracer, (K,).
    tau
        Standard deviations of the three revolution coefficients, (3,) or (K, 3).
    sigma
        Excess scatter from ScW to ScW over the background level, (K,).
    crab_rate
        Rate of the Crab in the middle of the mission, cts/s, (K,).
    crab_shape
        Coefficients of u, u², u³ of the logarithm of the Crab's rate over that in the middle of the mission,
        u = −1 at the start of revolution 70 and +1 at the end of 2740; (3,) for 25–60 keV (scaled for other
        bands: harder ones decline less) or (K, 3).
    crab_scatter
        Relative scatter of the Crab rate from ScW to ScW, independent in each band; by default the middle of
        the models' prior of `crab.scatter`.
    crab_fraction
        Share of the ScWs within `crab_radius` of the Crab from which it is not removed.
    crab_radius
        Degrees.
    tracer
        Tracer in October 2022, cts/s; None leaves the tracer out.
    tracer_revolution, tracer_scw
        Relative scatter of the tracer about its trend from revolution to revolution, and from ScW to ScW.

    Raises
    ------
    InputError
        If lists do not fit the number of bands, energies are outside 15–1000 keV, or values are out of range.

    Examples
    --------
    >>> from ridgebayes import simulate
    >>> truth = simulate.Truth(bands=simulate.BANDS[:2], gb_fov=[150.0, 90.0])
    >>> truth.level_mjd([55000.0]).round(1)  # cts/s, a column for each band
    array([[81. , 51.9]])
    """

    bands: Sequence[Band] = spectra.BANDS
    template: str | Path | None = "starlight"
    gb_fov: Sequence[float] | None = None
    template_lat: float = 30.0
    intensity: Mapping[str, Sequence[float]] | None = None
    level: Sequence[float] | None = None
    solar: float = 0.09
    ageing: float = -0.004
    alpha: Sequence[float] | None = None
    tau: ArrayLike = (0.03, 0.015, 0.01)
    sigma: Sequence[float] | None = None
    crab_rate: Sequence[float] | None = None
    crab_shape: ArrayLike = (-0.17, -0.065, -0.03)
    crab_scatter: float = 0.005
    crab_fraction: float = 1.0
    crab_radius: float = 12.0
    tracer: float | None = spectra.TRACER
    tracer_revolution: float = 0.015
    tracer_scw: float = 0.01

    def __post_init__(self) -> None:
        spectra.check(self.bands)
        self.values()
        for name, low, high in (
            ("crab_fraction", 0, 1), ("solar", 0, 0.9), ("template_lat", 1, 90), ("crab_radius", 0, 180),
            ("tracer_revolution", 0, 0.2), ("tracer_scw", 0, 0.2), ("crab_scatter", 0, 0.5),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"truth: {name} is {value:g}: give {low:g} to {high:g}")
        if self.tracer is not None and not self.tracer > 0:
            raise InputError(f"truth: tracer is {self.tracer:g}: give cts/s above 0, or None")

    def values(self) -> Values:
        """Return all parameters that have one value per band, as arrays."""
        bands = self.bands
        crab_rate = self._per_band("crab_rate", spectra.crab, positive=True)
        shape = np.asarray(self.crab_shape, float)
        if shape.ndim == 1:
            shape = shape * spectra.crab_ageing(bands)[:, None]
        shape = self._triple("crab_shape", shape)
        over_mission = _crab_change(shape, np.linspace(_MIDDLE - _HALF, _MIDDLE + _HALF, 41))
        if not (np.isfinite(over_mission) & (over_mission > 0)).all():
            raise InputError(
                "truth: crab_shape makes the rate of the Crab zero or infinite: give smaller coefficients"
            )
        crab_now = crab_rate * _crab_change(shape, REFERENCE_MJD)
        return Values(
            gb_fov=self._per_band("gb_fov", spectra.gb_fov),
            level=self._per_band("level", lambda b: spectra.background(b, crab_now), positive=True),
            alpha=self._per_band("alpha", spectra.elasticity),
            tau=self._triple("tau", np.asarray(self.tau, float), positive=True),
            sigma=self._per_band("sigma", spectra.scatter, positive=True),
            crab_rate=crab_rate,
            crab_shape=shape,
        )

    def crab_mjd(self, mjd: ArrayLike) -> Floats:
        """C_k(t), cts/s, shape (N, K).

        Examples
        --------
        >>> from ridgebayes import simulate
        >>> simulate.Truth().crab_mjd([53000.0, 59000.0]).round(1)
        array([[135.1,  19. ,  22. ],
               [103. ,  15.1,  18.2]])
        """
        values = self.values()
        return values.crab_rate * _crab_change(values.crab_shape, mjd)

    def trend(self, mjd: ArrayLike) -> Floats:
        """Slow drift, common to background and tracer, relative to October 2022, shape (N,)."""
        time = np.asarray(mjd, float)

        def drift(t: Floats | float) -> Floats:
            cycle = np.cos(2 * np.pi * (t - _MAXIMUM_MJD) / (_CYCLE_YEARS * _YEAR))
            return (1 + self.solar * cycle) * np.exp(self.ageing * (t - REFERENCE_MJD) / _YEAR)

        return np.asarray(drift(time) / drift(REFERENCE_MJD))

    def level_mjd(self, mjd: ArrayLike) -> Floats:
        """L_k(t), cts/s, shape (N, K)."""
        return self.values().level * self.trend(mjd)[..., None]

    def tracer_mjd(self, mjd: ArrayLike) -> Floats:
        """Trend of the tracer H(t), cts/s, shape (N,); needs a truth with a tracer."""
        assert self.tracer is not None
        return self.tracer * self.trend(mjd)

    def _per_band(
        self, name: str, default: Callable[[Sequence[Band]], Floats], positive: bool = False
    ) -> Floats:
        given = getattr(self, name)
        values = np.asarray(default(self.bands) if given is None else given, float)
        return self._checked(name, values, (len(self.bands),), positive)

    def _triple(self, name: str, values: Floats, positive: bool = False) -> Floats:
        if values.ndim == 1 and values.size == 3:
            values = np.tile(values, (len(self.bands), 1))
        return self._checked(name, values, (len(self.bands), 3), positive)

    def _checked(self, name: str, values: Floats, shape: tuple[int, ...], positive: bool) -> Floats:
        if values.shape != shape:
            raise InputError(
                f"truth: {name} has shape {values.shape}, expected {shape}: "
                f"give one element for each of the {shape[0]} bands"
            )
        if not np.isfinite(values).all() or (positive and (values < 0).any()):
            raise InputError(f"truth: {name} must be finite{' and not negative' if positive else ''}")
        return values


def _crab_change(shape: Floats, mjd: ArrayLike) -> Floats:
    """exp(a u + b u² + c u³), shape (N, K) for coefficients (K, 3)."""
    u = ((np.asarray(mjd, float) - _MIDDLE) / _HALF)[..., None]
    with np.errstate(over="ignore"):
        return np.exp(shape[:, 0] * u + shape[:, 1] * u**2 + shape[:, 2] * u**3)
