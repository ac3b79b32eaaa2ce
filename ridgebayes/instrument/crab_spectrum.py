"""Conversion of mCrab to physical units: the assumed spectrum of the Crab.

A rate in mCrab is relative to the Crab in the same band and detector and needs no assumption. All values in
erg or photons use a :class:`CrabSpectrum`, which users can change. :meth:`CrabSpectrum.describe` describes it
for the meta of tables:

>>> from ridgebayes.instrument.crab_spectrum import crab_spectrum
>>> float(crab_spectrum("norm=9.7,index=2.1").erg_per_mcrab(25, 60).round(14))  # erg/s/cm²
9.44e-12

The conversions are exact for sources with the spectral shape of the Crab in the band. In 25–60 keV the energy
flux of a thermal source, exp(-E/8 keV)/E, is 16 % less than the converted value, that of a source with photon
index 1.55 is 3.5 % more; in 25–35 keV the differences are 2.3 % and 0.5 %. A fit through the response of
:mod:`ridgebayes.instrument.ogip` does not have them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import exprel

from ridgebayes.errors import InputError, nearest
from ridgebayes.typing import Floats

ERG_PER_KEV = float((1 * u.keV).to_value(u.erg))
DEG2_PER_SR = float((1 * u.sr).to_value(u.deg**2))

_KEYS = ("norm", "index", "break", "index2", "label")
_STEEPEST, _FARTHEST = 10.0, 1e10  # limits of the index, and of norm and break: powers must not overflow
_REMEDY = "give e.g. 'norm=10,index=2.1' or 'norm=9.11,index=2.07,break=100,index2=2.27'"


@dataclass(frozen=True)
class CrabSpectrum:
    """Photon spectrum of the Crab: a power law, or two that meet at a break.

    Parameters
    ----------
    norm
        Photons/cm²/s/keV at 1 keV.
    index
        Photon index, positive for a falling spectrum; with a break, the index below it.
    e_break
        Energy of the break in keV, above 1; None for a single power law.
    index2
        Photon index above the break; None for a single power law.
    label
        Origin of the values, in plain ASCII for the headers of products.

    Raises
    ------
    InputError
        If a value is not finite or out of range, or a break has no index above it.

    Examples
    --------
    >>> from ridgebayes.instrument.crab_spectrum import CrabSpectrum
    >>> crab = CrabSpectrum(norm=10.0, index=2.1)
    >>> print(f"{crab.erg_per_mcrab(25, 60):.3g} erg/s/cm²")
    9.73e-12 erg/s/cm²
    """

    norm: float
    index: float
    e_break: float | None = None
    index2: float | None = None
    label: str = "as given by the user"

    def __post_init__(self) -> None:
        given = {"norm": self.norm, "index": self.index, "break": self.e_break, "index2": self.index2}
        for key, value in given.items():
            if value is not None and not math.isfinite(value):
                raise InputError(f"Crab spectrum: {key} {value:g} is not finite: {_REMEDY}")
        if not 0 < self.norm < _FARTHEST:
            raise InputError(
                f"Crab spectrum: norm {self.norm:g} must be above 0, to {_FARTHEST:g}: {_REMEDY}"
            )
        for key, index in (("index", self.index), ("index2", self.index2)):
            if index is not None and abs(index) > _STEEPEST:
                raise InputError(f"Crab spectrum: {key} {index:g} must lie within ±{_STEEPEST:g}: {_REMEDY}")
        if (self.e_break is None) != (self.index2 is None):
            raise InputError(f"Crab spectrum: give break and index2 together or neither: {_REMEDY}")
        if self.e_break is not None and not 1 < self.e_break < _FARTHEST:
            raise InputError(
                f"Crab spectrum: break {self.e_break:g} must be above 1 keV, where norm is given, "
                f"and below {_FARTHEST:g}"
            )
        if not (self.label.isascii() and self.label.isprintable()):
            raise InputError(f"Crab spectrum: label {self.label!r}: write it in plain ASCII on one line")

    def photons(self, energy: ArrayLike) -> Floats:
        """Photon spectrum at energies in keV, ph/cm²/s/keV."""
        energy = np.asarray(energy, float)
        if self.e_break is None or self.index2 is None:
            return self.norm * energy**-self.index
        low = self.norm * energy**-self.index
        return low * np.maximum(energy / self.e_break, 1.0) ** (self.index - self.index2)

    def photons_per_mcrab(self, e_min: ArrayLike, e_max: ArrayLike) -> Floats:
        """Photon flux of 1 mCrab in a band, ph/cm²/s.

        Parameters
        ----------
        e_min, e_max
            Edges of one or more bands, keV.

        Raises
        ------
        InputError
            Edges that are not 0 < e_min < e_max.
        """
        return 1e-3 * self._moment(0, e_min, e_max)

    def erg_per_mcrab(self, e_min: ArrayLike, e_max: ArrayLike) -> Floats:
        """Energy flux of 1 mCrab in a band, erg/s/cm²; edges as in :meth:`photons_per_mcrab`."""
        return 1e-3 * ERG_PER_KEV * self._moment(1, e_min, e_max)

    def kev2(self, e_min: ArrayLike, e_max: ArrayLike) -> Floats:
        """E² dN/dE of an intensity of 1 mCrab/deg², keV² ph/cm²/s/keV/sr.

        This is the mean of E² dN/dE over ln E, that is, the energy flux in the band over ln(e_max/e_min). The
        area below a plot against log E is the energy flux. The value applies to the whole band: draw it at
        :func:`mean_energy` with the band as its width.

        Parameters
        ----------
        e_min, e_max
            Edges of one or more bands, keV.

        Raises
        ------
        InputError
            Edges that are not 0 < e_min < e_max.
        """
        low, high = _edges(e_min, e_max)
        return 1e-3 * DEG2_PER_SR * self._moment(1, low, high) / np.log(high / low)

    def describe(self) -> str:
        """One line of plain ASCII for the meta of tables and the headers of files."""
        shape = f"{self.norm:.4g} E^{-self.index:g} ph/cm2/s/keV (E in keV)"
        if self.e_break is not None:
            shape += f" up to {self.e_break:g} keV, index {self.index2:g} above"
        unit = f"1 mCrab = {self.erg_per_mcrab(25, 60):.3e} erg/s/cm2 in 25-60 keV"
        return f"Crab spectrum assumed: {shape}; {self.label}; {unit}"

    def to_dict(self) -> dict[str, float | str]:
        """Return a mapping that :func:`crab_spectrum` reads."""
        values = (self.norm, self.index, self.e_break, self.index2, self.label)
        return {key: value for key, value in zip(_KEYS, values, strict=True) if value is not None}

    def _moment(self, power: int, e_min: ArrayLike, e_max: ArrayLike) -> Floats:
        """∫ E^power dN/dE dE over bands, in closed form."""
        low, high = _edges(e_min, e_max)
        if self.e_break is None or self.index2 is None:
            return self.norm * _integral(power - self.index, low, high)
        at, above = self.e_break, self.norm * self.e_break ** (self.index2 - self.index)
        below = _integral(power - self.index, np.minimum(low, at), np.minimum(high, at))
        return self.norm * below + above * _integral(
            power - self.index2, np.maximum(low, at), np.maximum(high, at)
        )


CRAB = CrabSpectrum(10.0, 2.1, label="the default of ridgebayes")
"""Default: 10 E^-2.1, with the photon index of the simulator.

The normalisation is a round number that agrees with a published one: it gives 9.73e-12 erg/s/cm² per mCrab in
25–60 keV. Krivonos et al. 2012 (A&A 537, A92) equate 1.25e-10 erg/s/cm² with 12.8 mCrab, that is 9.77e-12
(9.69e-12 to 9.84e-12 given the rounding of both).
"""

ATEL4869 = CrabSpectrum(
    6.6e-4 * 100**2.07, 2.07, 100.0, 2.27, label="SPI in March 2013 (Jourdain and Natalucci, ATel 4869)"
)
"""A fitted alternative: INTEGRAL/SPI, 6.6e-4 ph/cm²/s/keV at the break at 100 keV.

Its energy flux exceeds that of the default by 1.7 % in 25–60 keV, 3.5 % in 60–80 and 0.1 % in 80–200.
"""

NAMED = {"default": CRAB, "atel4869": ATEL4869}
"""Spectra that :func:`crab_spectrum` knows by name."""


def mean_energy(e_min: ArrayLike, e_max: ArrayLike) -> Floats:
    """Geometric mean of the edges of bands, keV, at which :meth:`CrabSpectrum.kev2` is plotted.

    Examples
    --------
    >>> from ridgebayes.instrument.crab_spectrum import mean_energy
    >>> mean_energy([25, 60], [60, 80]).round(1)
    array([38.7, 69.3])
    """
    low, high = _edges(e_min, e_max)
    return np.sqrt(low * high)


def crab_spectrum(source: str | Mapping[str, Any] | CrabSpectrum | None = None) -> CrabSpectrum:
    """Return the Crab spectrum that a user specified.

    Parameters
    ----------
    source
        ``"norm=10,index=2.1"``, optionally with ``break``, ``index2`` and ``label``; a mapping with these
        keys, for example from TOML; a name in `NAMED`; or None for the default.

    Raises
    ------
    InputError
        If a name or key is unknown, a key is repeated or missing, or a value is not a number or out of range.

    Examples
    --------
    >>> from ridgebayes.instrument.crab_spectrum import crab_spectrum
    >>> crab_spectrum("norm=10,index=2.1,label=mine").to_dict()
    {'norm': 10.0, 'index': 2.1, 'label': 'mine'}
    >>> crab_spectrum("atel4869").e_break  # keV
    100.0
    """
    if source is None:
        return CRAB
    if isinstance(source, CrabSpectrum):
        return source
    if isinstance(source, str):
        text = source.strip()
        if text.casefold() in NAMED:
            return NAMED[text.casefold()]
        if "=" not in text:
            raise InputError(f"Crab spectrum '{text}' is not known{nearest(text, NAMED)}: or {_REMEDY}")
        source = _pairs(text)
    for key in source:
        if key not in _KEYS:
            raise InputError(f"Crab spectrum: unknown key '{key}'{nearest(str(key), _KEYS)}: {_REMEDY}")
    for key in ("norm", "index"):
        if key not in source:
            raise InputError(f"Crab spectrum: {key} is missing: {_REMEDY}")
    value = {key: _number(key, source[key]) for key in _KEYS[:4] if key in source}
    label = {"label": str(source["label"])} if "label" in source else {}
    return CrabSpectrum(value["norm"], value["index"], value.get("break"), value.get("index2"), **label)


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise InputError(f"Crab spectrum: '{part.strip()}' is not key=value: {_REMEDY}")
        if key in pairs:
            raise InputError(f"Crab spectrum: {key} is given twice: {_REMEDY}")
        pairs[key] = value
    return pairs


def _number(key: str, value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"Crab spectrum: {key} is {value!r}, not a number: {_REMEDY}") from None


def _edges(e_min: ArrayLike, e_max: ArrayLike) -> tuple[Floats, Floats]:
    low, high = np.broadcast_arrays(np.asarray(e_min, float), np.asarray(e_max, float))
    bad = ~((low > 0) & (low < high) & np.isfinite(high))
    if bad.any():
        first = (float(low[bad][0]), float(high[bad][0]))
        raise InputError(
            f"band {first[0]:g}-{first[1]:g} keV has no flux in physical units: give 0 < E_MIN < E_MAX"
        )
    return low, high


def _integral(power: float, low: Floats, high: Floats) -> Floats:
    """∫ E^power dE; exprel makes it continuous at power = -1, where it is a logarithm."""
    length = np.log(high / low)
    return low ** (power + 1) * length * exprel((power + 1) * length)
