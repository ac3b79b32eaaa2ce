"""Spectrum of accreting white dwarfs as a smooth function of mass and energy, from a table.

``scripts/make_whitedwarf_table.py`` made the shipped table by solving :mod:`ridgebayes.spectra.column` at
every mass. A cubic spline in mass and ln E interpolates ln(E² dN/dE) between its nodes. It has continuous
second derivatives, and JAX can differentiate it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path

import astropy.units as u
import jax
import jax.numpy as jnp
import numpy as np
from astropy.io import fits
from astropy.table import QTable
from jax.typing import ArrayLike
from scipy.interpolate import make_interp_spline

from ridgebayes.errors import InputError
from ridgebayes.spectra import column
from ridgebayes.typing import Floats

MASSES = np.linspace(0.30, 1.35, 43)
"""Masses of the table, solar masses."""

ENERGIES = np.geomspace(10.0, 1000.0, 48)
"""Energies of the table, keV."""

_ORDER = 3


@dataclass(frozen=True, eq=False)
class WhiteDwarfTable:
    """Spectra of columns at M masses and N energies.

    Attributes
    ----------
    mass
        (M,) solar masses, ascending.
    energy
        (N,) keV, ascending.
    ln_e2
        (M, N) logarithm of E² dN/dE over the luminosity of the column, dimensionless.
    shock_temperature
        (M,) kT behind the shock, keV.
    accretion
        Mass flow through the columns, g/cm²/s.
    """

    mass: Floats
    energy: Floats
    ln_e2: Floats
    shock_temperature: Floats
    accretion: float

    @cached_property
    def _spline(self) -> tuple[Floats, Floats, Floats]:
        """Knots along mass and along ln E, and the coefficients, (M, N)."""
        along_mass = make_interp_spline(self.mass, self.ln_e2, _ORDER)
        both = make_interp_spline(np.log(self.energy), along_mass.c.T, _ORDER)
        return along_mass.t, both.t, both.c.T

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest mass, solar masses."""
        return float(self.mass[0]), float(self.mass[-1])

    def check(self, mass: float, what: str = "mass") -> None:
        """Raise an InputError for a mass outside of the table."""
        low, high = self.range
        if not low <= mass <= high:
            raise InputError(
                f"{what} {mass:g}: the table of white dwarfs holds {low:g} to {high:g} solar masses: "
                "stay within"
            )

    def check_energies(self, low: float, high: float, what: str = "band") -> None:
        """Raise an InputError for energies, keV, outside of the table."""
        least, most = self.energy[[0, -1]] * [1 - 1e-12, 1 + 1e-12]
        if not least <= low < high <= most:
            raise InputError(
                f"{what} {low:g}-{high:g} keV: the table of white dwarfs holds {self.energy[0]:g} to "
                f"{self.energy[-1]:g} keV: leave it out"
            )

    def e2(self, mass: ArrayLike, energy: ArrayLike) -> jax.Array:
        """E² dN/dE over the luminosity of the column; masses and energies broadcast.

        JAX can compile and differentiate it. NaN outside the table, for which :meth:`check` and
        :meth:`check_energies` raise.
        """
        *knots, coefficients = self._spline
        i, by_mass = _basis(knots[0], jnp.asarray(mass, float))
        j, by_energy = _basis(knots[1], jnp.log(jnp.asarray(energy, float)))
        steps = jnp.arange(_ORDER + 1)
        near = jnp.asarray(coefficients)[i[..., None, None] + steps[:, None], j[..., None, None] + steps]
        return jnp.exp(jnp.einsum("...m,...e,...me", by_mass, by_energy, near))

    def folded(self, energy: Floats, weight: Floats, pivot: float) -> Callable[[jax.Array], jax.Array]:
        """Return a function of the mass: photons in bands for E² dN/dE = 1 at a pivot, (K,).

        It uses a spline in mass of the folded spectra, which needs a few operations instead of the thousands
        of `e2` at every energy.

        Parameters
        ----------
        energy, weight
            (K, node) energies in each band, keV, and weights that sum photons/cm²/s/keV there.
        pivot
            Reference energy of the amplitude, keV.
        """
        mass = self.mass[:, None, None]
        photons = np.asarray(self.e2(mass, energy) / self.e2(mass, pivot)) / energy**2
        spline = make_interp_spline(self.mass, np.log((photons * weight).sum(-1)), _ORDER)
        steps = np.arange(_ORDER + 1)

        def at(mass: jax.Array) -> jax.Array:
            i, share = _basis(spline.t, mass)
            return jnp.exp(share @ jnp.asarray(spline.c)[i + steps])

        return at

    def temperature(self, mass: ArrayLike) -> Floats:
        """KT behind the shock at masses, keV."""
        return make_interp_spline(self.mass, self.shock_temperature, _ORDER)(np.asarray(mass))


def _basis(knots: Floats, at: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the index of the first nonzero B-spline, and the values of all four, (..., 4); NaN outside.

    It uses de Boor's recurrence, as SciPy's BSpline does.
    """
    inside = (at >= knots[0] - 1e-9) & (at <= knots[-1] + 1e-9)
    t = jnp.asarray(knots)
    i = jnp.clip(
        jnp.searchsorted(t, at, side="right", method="compare_all") - 1, _ORDER, len(knots) - _ORDER - 2
    )
    values = [jnp.where(inside, 1.0, jnp.nan)]
    for degree in range(1, _ORDER + 1):
        raised = [jnp.zeros_like(at)] * (degree + 1)
        for k, value in enumerate(values):
            low, high = t[i + 1 - degree + k], t[i + 1 + k]
            share = value / (high - low)
            raised[k] = raised[k] + share * (high - at)
            raised[k + 1] = share * (at - low)
        values = raised
    return i - _ORDER, jnp.stack(values, -1)


def tabulate(
    mass: Floats = MASSES, energy: Floats = ENERGIES, accretion: float = column.ACCRETION
) -> WhiteDwarfTable:
    """Solve a column at every mass.

    Parameters
    ----------
    mass, energy
        (M,) solar masses and (N,) keV, ascending, four or more of each.
    accretion
        Mass flow through the column, g/cm²/s.

    Raises
    ------
    InputError
        If a mass is out of range.
    """
    columns = [column.solve(float(m), accretion) for m in mass]
    e2 = [energy * c.energy_spectrum(energy) / c.luminosity.sum() for c in columns]
    kt = np.array([c.shock_temperature for c in columns])
    return WhiteDwarfTable(np.asarray(mass), np.asarray(energy), np.log(e2), kt, accretion)


def write(table: WhiteDwarfTable, path: str | Path) -> None:
    """Write a table as FITS with its provenance in the header; an existing file is replaced."""
    spectra = QTable(
        {
            "MASS": table.mass * u.M_sun,
            "RADIUS": column.radius(table.mass) * u.cm,
            "KT_SHOCK": table.shock_temperature * u.keV,
            "LN_E2": table.ln_e2,
        }
    )
    hdus = fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.table_to_hdu(spectra),
            fits.table_to_hdu(QTable({"ENERGY": table.energy * u.keV})),
        ]
    )
    header = hdus[0].header
    header["ORIGIN"] = ("ridgebayes", "calculated, not observed")
    header["CREATOR"] = "scripts/make_whitedwarf_table.py"
    header["ACCRATE"] = (table.accretion, "[g/cm2/s] mass that flows through the column")
    header["HYDROGEN"] = (column.HYDROGEN, "share of hydrogen in the mass of the gas")
    header["MU_E"] = (column.MU_E, "nucleons per electron in the white dwarf")
    for line in (
        "Spectra of post-shock columns of accreting white dwarfs, a row a mass:",
        "LN_E2 = ln(E^2 dN/dE / L), L the luminosity of the column, at ENERGY.",
        "Model: Suleimanov, Revnivtsev & Ritter 2005, A&A 435, 191; radius:",
        "Nauenberg 1972, ApJ 175, 417. Bremsstrahlung with the Born Gaunt factor.",
        "Made by CREATOR, which solves ridgebayes.spectra.column.",
    ):
        header["COMMENT"] = line
    hdus[1].name, hdus[2].name = "SPECTRA", "ENERGIES"
    hdus.writeto(path, overwrite=True)


@cache
def load() -> WhiteDwarfTable:
    """Return the shipped table."""
    with as_file(files("ridgebayes.data") / "whitedwarf.fits") as path:
        spectra = QTable.read(path, hdu="SPECTRA")
        energy = QTable.read(path, hdu="ENERGIES")["ENERGY"].to_value(u.keV)
        accretion = float(fits.getval(path, "ACCRATE"))
    mass, kt = spectra["MASS"].to_value(u.M_sun), spectra["KT_SHOCK"].to_value(u.keV)
    # FITS stores big-endian numbers, which JAX does not accept.
    mass, energy, ln_e2, kt = (np.array(x, float) for x in (mass, energy, spectra["LN_E2"], kt))
    return WhiteDwarfTable(mass, energy, ln_e2, kt, accretion)
