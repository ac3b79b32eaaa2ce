r"""Post-shock column of an accreting white dwarf and its bremsstrahlung spectrum.

The model follows Suleimanov, Revnivtsev & Ritter 2005 (A&A 435, 191) and Cropper et al. (astro-ph/9902355):
gas in free fall onto the magnetic poles passes a strong shock at height H, cools by bremsstrahlung and
settles on the surface. The flow is one-dimensional, steady and has one temperature; gravity acts in the
column. Conservation of mass, momentum and energy gives, with height z and downward velocity v,

.. math::

    ρ v = a, \qquad \frac{dP}{dz} + a \frac{dv}{dz} = -ρ \frac{G M}{(R + z)^2}, \qquad
    v \frac{dP}{dz} + \frac53 P \frac{dv}{dz} = \frac23 Λ, \qquad kT = μ m_p P / ρ

from :math:`v = V/4, P = \tfrac34 a V, V^2 = 2 G M / (R + H)` at the shock to v = 0 at z = 0, which fixes H.

Cooling and spectrum use the same emissivity, so that the column radiates the accreted energy a G M / R. It is
bremsstrahlung of fully ionised hydrogen and helium with the Gaunt factor of the non-relativistic Born
approximation, :math:`g = (\sqrt3/π) e^{x/2} K_0(x/2)`, x = E/kT (its mean over the spectrum is
:math:`2\sqrt3/π`; Rybicki & Lightman 1979, chapter 5).

Neglected are cyclotron cooling, separate electron and ion temperatures, lines, reflection from the surface,
the widening of the dipole field, the finite radius of the magnetosphere, and relativistic and
electron–electron corrections, which matter if kT or E approach 511 keV.
"""

from __future__ import annotations

from dataclasses import dataclass

import astropy.constants as const
import astropy.units as u
import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import k0e

from ridgebayes.errors import InputError
from ridgebayes.typing import Floats

HYDROGEN = 0.70
"""Assumed mass fraction of hydrogen; the rest is helium. It gives μ = 0.615."""

MU = 1 / (2 * HYDROGEN + 0.75 * (1 - HYDROGEN))
"""Mean mass of particles of the gas over that of the proton."""

ACCRETION = 1.0
"""Default mass flow through the column, g/cm²/s.

Fits of single systems find 0.07 (EX Hya) and more than 2 (V1223 Sgr; Hayashi, ASP Conf. 509, 523).
"""

MU_E = 2.0
"""Nucleons per electron in the white dwarf: carbon, oxygen or helium."""

MASS_LIMIT = 5.816 / MU_E**2
"""Limiting mass of :func:`radius`, solar masses."""

_G, _SUN = const.G.cgs.value, const.M_sun.cgs.value
_MP, _KEV = const.m_p.cgs.value, (1 * u.keV).to_value(u.erg)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(600)
_SHOCK = 0.25  # velocity behind a strong shock of a monatomic gas over that before it
_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class Column:
    """A solved column, from the surface to the shock.

    Attributes
    ----------
    mass
        Solar masses.
    radius, height
        Radius of the white dwarf, and height of the shock above its surface, cm.
    accretion
        Mass flow a, g/cm²/s.
    altitude
        (N,) height above the surface, cm.
    velocity
        (N,) downward velocity, cm/s.
    pressure
        (N,) dyn/cm².
    luminosity
        (N,) luminosity of the slice around each node, erg/s/cm²; their sum is that of the column.
    """

    mass: float
    radius: float
    height: float
    accretion: float
    altitude: Floats
    velocity: Floats
    pressure: Floats
    luminosity: Floats

    @property
    def temperature(self) -> Floats:
        """(N,) kT, keV."""
        return MU * _MP * self.pressure * self.velocity / self.accretion / _KEV

    @property
    def shock_temperature(self) -> float:
        """KT just behind the shock, keV: 3/8 μ m_p G M / (R + H)."""
        return 0.375 * MU * _MP * _G * self.mass * _SUN / (self.radius + self.height) / _KEV

    def energy_spectrum(self, energy: ArrayLike) -> Floats:
        """Energy spectrum of the whole column, erg/s/cm²/keV, at energies in keV; same shape."""
        x = np.asarray(energy, float)[..., None] / self.temperature
        # Its integral over x is 1, because ∫ exp(-y) K0(y) dy = 1.
        return (0.5 * np.exp(-x) * k0e(x / 2) / self.temperature * self.luminosity).sum(-1)


def radius(mass: ArrayLike) -> Floats:
    """Radius of a cold white dwarf, cm.

    Nauenberg 1972 (ApJ 175, 417), equation 27, for two nucleons an electron: 0.0225/μ_e solar radii times
    (1 - m^(4/3))^(1/2) / m^(1/3), m the mass over 5.816/μ_e² solar masses.

    Parameters
    ----------
    mass
        Solar masses, between 0 and `MASS_LIMIT`.

    Raises
    ------
    InputError
        If a mass is out of range.
    """
    mass = np.asarray(mass, float)
    bad = ~((mass > 0) & (mass < MASS_LIMIT))
    if bad.any():
        raise InputError(
            f"white dwarf of {mass[bad].flat[0]:g} solar masses: none of this mass is stable: "
            f"give one between 0 and {MASS_LIMIT:g}"
        )
    ratio = (mass / MASS_LIMIT) ** (1 / 3)
    return 0.0225 / MU_E * const.R_sun.cgs.value * np.sqrt(1 - ratio**4) / ratio


def cooling() -> float:
    """Return K in Λ = K ρ^(3/2) P^(1/2) erg/cm³/s, in cgs units.

    Bremsstrahlung (Rybicki & Lightman 1979, chapter 5) with the Gaunt factor 2√3/π, written with the
    fine-structure constant: (512 π / 27 m_e³)^(1/2) α³ ħ² (kT)^(1/2) n_e Σ n_i Z².
    """
    electron, hbar = const.m_e.cgs.value, const.hbar.cgs.value
    gaunt = 2 * np.sqrt(3) / np.pi
    each = np.sqrt(512 * np.pi / 27 / electron**3) * const.alpha.value**3 * hbar**2 * gaunt
    # Per ρ²/m_p²: electrons X + Y/2, and Σ n Z² = X + Y = 1; kT = μ m_p P/ρ.
    return float(each * (1 + HYDROGEN) / 2 / _MP**2 * np.sqrt(MU * _MP))


def solve(mass: float, accretion: float = ACCRETION, *, gravity: bool = True) -> Column:
    """Solve the column of a white dwarf.

    Parameters
    ----------
    mass
        Solar masses.
    accretion
        Mass flow a, g/cm²/s.
    gravity
        Include gravity in the column. Without it P + ρ v² is constant and there is a closed form.

    Raises
    ------
    InputError
        If the mass is out of range, or the mass flow is not positive.
    """
    if not accretion > 0:
        raise InputError(f"white dwarf: accretion of {accretion:g} g/cm2/s: give more than 0")
    star = float(radius(mass))
    pull = _G * mass * _SUN
    constant = cooling() * accretion

    def scales(height: float) -> tuple[float, float]:
        """Free-fall velocity at the shock, and cooling length V³/(K a)."""
        fall = np.sqrt(2 * pull / (star + height))
        return fall, fall**3 / constant

    def integrate(height: float):
        """Height over the cooling length, and pressure over a V, for w = v/V from the shock downwards."""
        fall, length = scales(height)
        weight = length / fall**2 if gravity else 0.0

        def slope(w: float, state: Floats) -> list[float]:
            at, pressure = state
            g = weight * pull / (star + at * length) ** 2
            rise = w**1.5 * (5 / 3 * pressure - w) / (2 / 3 * np.sqrt(pressure) + g * w**1.5)
            return [rise, -1 - g * rise / w if w > 0 else -1.0]

        return solve_ivp(
            slope, (_SHOCK, 0.0), [height / length, 0.75], "DOP853",
            dense_output=True, rtol=_TOLERANCE, atol=1e-13,
        )  # fmt: skip

    def miss(height: float) -> float:
        return float(integrate(height).y[0, -1])

    # Height without gravity, for free fall from infinity to the surface.
    guess = float(scales(0.0)[1]) * 0.03
    while miss(guess) < 0:
        guess *= 2
    height = float(brentq(miss, 1e-3 * guess, guess, rtol=1e-12))
    solution = integrate(height)
    fall, length = scales(height)
    w = _SHOCK / 2 * (1 + _NODES)
    at, pressure = solution.sol(w)
    g = (length / fall**2 if gravity else 0.0) * pull / (star + at * length) ** 2
    radiated = np.sqrt(pressure) * (5 / 3 * pressure - w) / (2 / 3 * np.sqrt(pressure) + g * w**1.5)
    return Column(
        mass=float(mass),
        radius=star,
        height=height,
        accretion=float(accretion),
        altitude=at * length,
        velocity=w * fall,
        pressure=pressure * accretion * fall,
        luminosity=accretion * fall**2 * radiated * _WEIGHTS * _SHOCK / 2,
    )
