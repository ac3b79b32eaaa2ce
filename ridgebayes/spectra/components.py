"""Spectral models for fits: sums of components with parameters and priors.

The amplitude of a component is its E² dN/dE at one energy, near which the data constrain it best, so that
amplitude and shape are nearly independent in the posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from numpy.typing import NDArray

from ridgebayes.errors import InputError, nearest
from ridgebayes.priors import Parameter
from ridgebayes.spectra import whitedwarf

SOFT_KEV, HARD_KEV = 35.0, 60.0
"""Reference energies of the amplitudes of thermal components and of the power law. For given amplitudes the
softest band, which is known best, depends little on the shapes, so that the posterior is close to
Gaussian."""

UNITS = {"fov": "keV / (cm2 s)", "intensity": "keV / (cm2 s sr)"}
"""Unit of E² dN/dE of a FOV flux and of an intensity."""

_WIDTHS = {"fov": 10.0, "intensity": 100.0}
"""Scale of the priors of amplitudes. A Crab in the field of view has 7 keV/cm²/s at 35 keV."""


@dataclass(frozen=True)
class Component:
    """A photon spectrum with one amplitude and one shape parameter.

    Attributes
    ----------
    name, meaning
        Name for users, and a short description.
    pivot
        Reference energy of the amplitude, keV.
    shape
        Name of the shape parameter, and the parameter itself.
    photons
        Function of energies (…) in keV and the shape parameter: photons/cm²/s/keV for an amplitude of 1.
    quick
        Faster implementation of `folded`, or None.
    """

    name: str
    meaning: str
    pivot: float
    shape: tuple[str, Parameter]
    photons: Callable[[Array, Array], Array]
    quick: Callable[[NDArray, NDArray], Callable[[Array], Array]] | None = None

    @property
    def amplitude_name(self) -> str:
        """Name of the amplitude."""
        return f"{self.name}.amplitude"

    @property
    def shape_name(self) -> str:
        """Name of the shape parameter."""
        return f"{self.name}.{self.shape[0]}"

    def folded(self, energy: NDArray, weight: NDArray) -> Callable[[Array], Array]:
        """Return a function of the shape parameter: the component in bands for an amplitude of 1, (K,).

        `energy`, keV, and `weight`, which sums photons at these energies, have shape (K, node).
        """
        if self.quick is not None:
            return self.quick(energy, weight)
        return lambda shape: (self.photons(jnp.asarray(energy), shape) * weight).sum(-1)

    def parameters(self, quantity: str) -> dict[str, Parameter]:
        """Amplitude and shape, for a FOV flux (``"fov"``) or an intensity."""
        amplitude = Parameter(
            dist.HalfNormal(_WIDTHS[quantity]),
            UNITS[quantity],
            (),
            f"E² dN/dE of {self.meaning} at {self.pivot:g} keV",
        )
        return {self.amplitude_name: amplitude, self.shape_name: self.shape[1]}


def _whitedwarf(energy: Array, mass: Array) -> Array:
    table = whitedwarf.load()
    return table.e2(mass, energy) / table.e2(mass, SOFT_KEV) / energy**2


def cutoff(energy: Array, temperature: Array) -> Array:
    """Photon spectrum E⁻¹ exp(−E/kT) whose E² dN/dE at 35 keV is 1 keV/cm²/s: ph/cm²/s/keV."""
    return jnp.exp((SOFT_KEV - energy) / temperature) / (energy * SOFT_KEV)


def powerlaw(energy: Array, index: Array) -> Array:
    """Photon spectrum E^−Γ whose E² dN/dE at 60 keV is 1 keV/cm²/s: ph/cm²/s/keV."""
    return (energy / HARD_KEV) ** -index / HARD_KEV**2


_LEAST, _MOST = whitedwarf.MASSES[[0, -1]]

COMPONENTS = {
    c.name: c
    for c in (
        Component(
            "whitedwarf",
            "accreting white dwarfs",
            SOFT_KEV,
            (
                "mass",
                Parameter(
                    dist.Uniform(_LEAST, _MOST),
                    "solMass",
                    (),
                    "mass of the white dwarfs, of one mass or a mean as the spectrum sees it",
                    within=(float(_LEAST), float(_MOST)),
                ),
            ),
            _whitedwarf,
            lambda energy, weight: whitedwarf.load().folded(energy, weight, SOFT_KEV),
        ),
        Component(
            "cutoff",
            "the cut-off power law E^-1 exp(-E/kT)",
            SOFT_KEV,
            (
                "temperature",
                Parameter(dist.LogNormal(np.log(12.0), 0.5), "keV", (), "energy kT of the cut-off"),
            ),
            cutoff,
        ),
        Component(
            "powerlaw",
            "the power law",
            HARD_KEV,
            ("index", Parameter(dist.Normal(1.5, 0.2), "", (), "photon index Γ")),
            powerlaw,
        ),
    )
}
"""Priors of kT and Γ are those of the model ``spectrum``, which include published cut-offs and indices."""


def read_model(text: str) -> tuple[Component, ...]:
    """Read a model such as ``"whitedwarf+powerlaw"``.

    Raises
    ------
    InputError
        If a component is unknown (the message gives the nearest one) or repeated.
    """
    names = [name.strip() for name in text.split("+")]
    for name in names:
        if name not in COMPONENTS:
            raise InputError(f"model '{text}': no component '{name}'{nearest(name, COMPONENTS)}")
        if names.count(name) > 1:
            raise InputError(f"model '{text}': '{name}' is given twice: the data see only their sum")
    return tuple(COMPONENTS[name] for name in names)


def parameters(model: Sequence[Component], quantity: str) -> dict[str, Parameter]:
    """Return all parameters of a model, for a FOV flux (``"fov"``) or an intensity."""
    return {name: p for component in model for name, p in component.parameters(quantity).items()}


def check_bands(model: Sequence[Component], edges: np.ndarray) -> None:
    """Raise an InputError if a component does not cover a band; edges are (2, K) in keV."""
    if any(component.name == "whitedwarf" for component in model):
        for low, high in edges.T:
            whitedwarf.load().check_energies(float(low), float(high))


def photons(component: Component, values: Mapping[str, Array], energy: Array) -> Array:
    """Photon spectrum of a component; values of its parameters broadcast with the energies."""
    amplitude, shape = values[component.amplitude_name], values[component.shape_name]
    return amplitude * component.photons(energy, shape)
