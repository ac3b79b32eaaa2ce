r"""Energy redistribution: the distribution of measured energies for photons of one energy.

A band also contains photons of neighbouring energies. Let S_k(E) be the effective area of band k for photons
of energy E. A spectrum f then has, relative to the Crab, the rate

.. math:: 1000 \int f S_k \, dE \,/\, \int N_{Crab} S_k \, dE \quad \mathrm{mCrab}

Only the shape of S_k matters. It is a Gaussian of given width, or a matrix in OGIP files:

>>> from ridgebayes.instrument.redistribution import redistribution
>>> redistribution("fwhm=0.08,at=60,power=-0.5").describe()
'Gaussian, FWHM 8% at 60 keV, as E^-0.5; even area'

By default S_k is 1 inside the band and 0 outside.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import ndtr
from numpy.typing import ArrayLike

from ridgebayes.errors import InputError, nearest
from ridgebayes.instrument.crab_spectrum import CrabSpectrum
from ridgebayes.instrument.rmf import read_arf, read_rmf
from ridgebayes.typing import Floats

E_MIN, E_MAX = 10.0, 1000.0
"""Range of photon energies, keV: that of the table of white dwarfs."""

_STEP = 0.0115  # step of photon energies in ln E
_NARROWEST = 0.02
_PER_FWHM = 2 * np.sqrt(2 * np.log(2))
_KEYS = ("fwhm", "at", "power", "rmf", "arf", "sha256")
_REMEDY = "give e.g. 'fwhm=0.08,at=60,power=-0.5', or a file: 'rmf=isgri.rmf,arf=isgri.arf'"


class Redistribution(Protocol):
    """Interface of all redistributions.

    Attributes
    ----------
    energy, width
        (N,) photon energies, keV, and their weights in an integral over energy, keV.
    spec
        Text from which :func:`redistribution` builds it again.
    """

    @property
    def energy(self) -> Floats: ...  # noqa: D102
    @property
    def width(self) -> Floats: ...  # noqa: D102
    @property
    def spec(self) -> str: ...  # noqa: D102

    def area(self, low: ArrayLike, high: ArrayLike) -> Array:
        """(K, N) effective area of bands with (K,) edges in keV, in any unit."""
        ...

    def describe(self) -> str:
        """Describe it in plain ASCII."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Measured energies have a Gaussian distribution about the true one; the area is constant.

    Parameters
    ----------
    fwhm
        Full width at half maximum over the energy, at `at` keV; from 0.02 to 1.
    at, power
        FWHM/E = fwhm · (E/at)^power.

    Raises
    ------
    InputError
        If the width is out of range, or so small that redistribution should be neglected.

    Examples
    --------
    >>> from ridgebayes.instrument.redistribution import Gaussian
    >>> detector = Gaussian(fwhm=0.08)
    >>> share = detector.area([25.0], [60.0])[0]  # of the photons of each energy
    >>> detector.energy[share > 0.5].round(1)[[0, -1]]
    array([25.1, 59.6])
    """

    fwhm: float
    at: float = 60.0
    power: float = -0.5

    def __post_init__(self) -> None:
        if not (self.at > 0 and np.isfinite(self.at) and abs(self.power) <= 2):
            raise InputError(
                f"redistribution: at {self.at:g} keV, power {self.power:g}: give an energy above 0, and a "
                "power from -2 to 2"
            )
        relative = self._relative(np.array([E_MIN, E_MAX]))
        if not (np.isfinite(relative).all() and relative.max() <= 1 and self.fwhm >= _NARROWEST):
            raise InputError(
                f"redistribution: FWHM of {self.fwhm:g} of the energy at {self.at:g} keV: give "
                f"{_NARROWEST:g} or more, and no more than 1 from {E_MIN:g} to {E_MAX:g} keV"
            )
        if relative.min() < _NARROWEST / 2:
            raise InputError(
                f"redistribution: power {self.power:g} makes the FWHM less than {_NARROWEST / 2:g} of the "
                f"energy between {E_MIN:g} and {E_MAX:g} keV: give a power nearer to 0"
            )

    def _relative(self, energy: Floats) -> Floats:
        return np.asarray(self.fwhm * (energy / self.at) ** self.power)

    @property
    def energy(self) -> Floats:
        """(N,) keV."""
        return np.geomspace(E_MIN, E_MAX, 1 + round(np.log(E_MAX / E_MIN) / _STEP))

    @property
    def width(self) -> Floats:
        """(N,) keV."""
        return self.energy * np.log(self.energy[1] / self.energy[0])

    @property
    def spec(self) -> str:
        """Text from which it is built again."""
        return f"fwhm={self.fwhm:g},at={self.at:g},power={self.power:g}"

    def area(self, low: ArrayLike, high: ArrayLike) -> Array:
        """(K, N) share of photons whose measured energy is in each band."""
        energy = self.energy
        sigma = self._relative(energy) * energy / _PER_FWHM
        below = [ndtr((jnp.asarray(edge)[:, None] - energy) / sigma) for edge in (low, high)]
        return below[1] - below[0]

    def describe(self) -> str:
        """Put it in words."""
        width = f"{100 * self.fwhm:.3g}% at {self.at:g} keV"
        return f"Gaussian, FWHM {width}, as E^{self.power:g}; even area"


@dataclass(frozen=True, eq=False)
class Matrix:
    """A redistribution matrix with an effective area.

    Attributes
    ----------
    energy, width
        (N,) keV.
    edges
        (C + 1,) edges of the channels, keV.
    cumulative
        (N, C + 1) cumulative area of the channels below each edge.
    spec, name
        Text from which it is built again, with a hash of the files; name for messages.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.instrument.redistribution import Matrix
    >>> energy, width, edges = np.array([40.0, 80.0]), np.array([40.0, 40.0]), np.array([20.0, 60.0, 100.0])
    >>> cumulative = np.array([[0.0, 1.0, 1.0], [0.0, 0.1, 1.0]])  # a tenth leaks below 60 keV
    >>> matrix = Matrix(energy, width, edges, cumulative, spec="", name="my matrix")
    >>> matrix.area([20.0], [60.0])  # of one band, for both photon energies
    Array([[1. , 0.1]], dtype=float64)
    """

    energy: Floats
    width: Floats
    edges: Floats
    cumulative: Floats
    spec: str
    name: str

    def area(self, low: ArrayLike, high: ArrayLike) -> Array:
        """(K, N) area in bands; photons are assumed uniform within a channel."""
        below = []
        for edge in (low, high):
            edge = jnp.asarray(edge, float)
            k = jnp.clip(jnp.searchsorted(self.edges, edge, side="right") - 1, 0, len(self.edges) - 2)
            start, end = jnp.asarray(self.edges)[k], jnp.asarray(self.edges)[k + 1]
            share = ((edge - start) / (end - start))[:, None]
            table = jnp.asarray(self.cumulative.T)
            below.append((1 - share) * table[k] + share * table[k + 1])
        return below[1] - below[0]

    def describe(self) -> str:
        """Put it in words."""
        return self.name


def mcrab_weights(found: Redistribution, low: ArrayLike, high: ArrayLike, crab: CrabSpectrum) -> Array:
    """Weights that fold photons at `found.energy` into mCrab, (K, N), for bands of (K,) edges in keV.

    Examples
    --------
    >>> from ridgebayes.instrument.crab_spectrum import CRAB
    >>> from ridgebayes.instrument.redistribution import Gaussian, mcrab_weights
    >>> detector = Gaussian(fwhm=0.08)
    >>> weights = mcrab_weights(detector, [25.0, 60.0], [60.0, 80.0], CRAB)
    >>> (weights @ CRAB.photons(detector.energy)).round()  # the Crab in each band
    Array([1000., 1000.], dtype=float64)
    """
    area = found.area(low, high) * found.width
    return 1e3 * area / (area * crab.photons(found.energy)).sum(-1, keepdims=True)


def check_bands(found: Redistribution, edges: ArrayLike) -> None:
    """Raise an InputError if a matrix does not cover a band; edges are (2, K) in keV.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.instrument.redistribution import Matrix, check_bands
    >>> energy, width, edges = np.array([40.0, 80.0]), np.array([40.0, 40.0]), np.array([20.0, 60.0, 100.0])
    >>> cumulative = np.array([[0.0, 1.0, 1.0], [0.0, 0.1, 1.0]])  # a tenth leaks below 60 keV
    >>> matrix = Matrix(energy, width, edges, cumulative, spec="", name="my matrix")
    >>> check_bands(matrix, [[60.0], [120.0]])
    Traceback (most recent call last):
        ...
    ridgebayes.errors.InputError: band 60-120 keV: the channels of my matrix reach from 20 to 100 keV ...
    """
    if isinstance(found, Matrix):
        for low, high in np.asarray(edges, float).T:
            if low < found.edges[0] * (1 - 1e-6) or high > found.edges[-1] * (1 + 1e-6):
                raise InputError(
                    f"band {low:g}-{high:g} keV: the channels of {found.name} reach from {found.edges[0]:g} "
                    f"to {found.edges[-1]:g} keV: leave the band out"
                )


def redistribution(source: str | Redistribution) -> Redistribution:
    """Return the redistribution of energies that a user specified.

    Parameters
    ----------
    source
        ``"fwhm=0.08,at=60,power=-0.5"``: see :class:`Gaussian`. ``"rmf=FILE"``, or the file name alone: an
        OGIP matrix (MATRIX or SPECRESP MATRIX, with EBOUNDS); ``arf=FILE`` gives the area for a MATRIX. With
        ``sha256=…`` the content of the files must have this hash.

    Raises
    ------
    InputError
        If a key is unknown, a value is not a number, or a file is missing, no such matrix, or was changed.

    Examples
    --------
    >>> from ridgebayes.instrument.redistribution import redistribution
    >>> redistribution("fwhm=0.08,at=60,power=-0.5")
    Gaussian(fwhm=0.08, at=60.0, power=-0.5)
    """
    if not isinstance(source, str):
        return source
    text = source.strip()
    given = _pairs(text) if "=" in text else {"rmf": text}
    for key in given:
        if key not in _KEYS:
            raise InputError(f"redistribution: unknown key '{key}'{nearest(key, _KEYS)}: {_REMEDY}")
    if "rmf" in given:
        for key in ("fwhm", "at", "power"):
            if key in given:
                raise InputError(f"redistribution: {key} beside a matrix: give one of them")
        return _matrix(given["rmf"], given.get("arf", ""), given.get("sha256", ""))
    if "fwhm" not in given or "arf" in given or "sha256" in given:
        raise InputError(f"redistribution '{text}': neither fwhm nor rmf, or a file too many: {_REMEDY}")
    values: dict[str, float] = {}
    for key, value in given.items():
        try:
            values[key] = float(value)
        except ValueError:
            raise InputError(f"redistribution: {key}={value} is not a number: {_REMEDY}") from None
    return Gaussian(**values)


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise InputError(f"redistribution: '{part.strip()}' is not key=value: {_REMEDY}")
        if key in found:
            raise InputError(f"redistribution: {key} is given twice: {_REMEDY}")
        found[key] = value
    return found


def _matrix(rmf: str, arf: str, known: str) -> Matrix:
    """Read a matrix and its area; files with the same content are read once."""
    paths = [Path(name).expanduser() for name in (rmf, arf) if name]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file: give the matrix, or state a width: {_REMEDY}")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]
    if known and known != digest:
        raise InputError(f"{paths[0]}: the redistribution is not what it was in the fit: restore the files")
    return _read(rmf, arf, digest)


@lru_cache(maxsize=8)
def _read(rmf: str, arf: str, digest: str) -> Matrix:
    """Read a matrix and its area, and average neighbouring photon energies over steps of `_STEP`."""
    paths = [Path(name).expanduser() for name in (rmf, arf) if name]
    low, high, edges, area = read_rmf(paths[0])
    if arf:
        area = area * read_arf(paths[1], low, high)[:, None]
    inside = (low >= E_MIN * (1 - 1e-6)) & (high <= E_MAX * (1 + 1e-6))
    low, high, area = low[inside], high[inside], area[inside]
    if not area.any():
        raise InputError(f"{paths[0]}: no area from {E_MIN:g} to {E_MAX:g} keV: give the matrix of ISGRI")
    step = np.floor(np.log(low / low[0]) / _STEP).astype(int)
    starts = np.flatnonzero(np.diff(step, prepend=-1))
    # Average over a step with a constant number of photons per keV.
    width = high - low
    total = np.add.reduceat(width, starts)
    area = np.add.reduceat(area * width[:, None], starts) / total[:, None]
    first, last = low[starts], np.append(high[starts[1:] - 1], high[-1])
    spec = f"rmf={rmf}" + (f",arf={arf}" if arf else "") + f",sha256={digest}"
    names = " and ".join(path.name for path in paths)
    below = np.concatenate([np.zeros((len(area), 1)), np.cumsum(area, axis=1)], axis=1)
    return Matrix(np.sqrt(first * last), total, edges, below, spec, f"matrix {names}")
