"""Gaussian processes in a basis of harmonic functions."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from numpyro.contrib.hsgp.spectral_densities import spectral_density_matern


def gaussian_process(
    weights: Array, sd: Array, length: Array, frequency: Array, basis: Array, *, smoothness: float
) -> Array:
    """Matérn process in a basis of harmonic functions: Σ_j √S(ω_j) w_j φ_j (see `wave_sd`).

    Parameters
    ----------
    weights
        w, independent and standard normal, (band, mode).
    sd, length
        Sd and length of the process, (band,); the length in the inverse unit of `frequency`.
    frequency, basis
        ω (mode,) and orthonormal φ (place, mode) of an interval (Riutort-Mayol et al. 2023) or a circle.
    smoothness
        ν of the Matérn covariance.

    Returns
    -------
    Array
        (band, place).
    """
    return (wave_sd(sd, length, frequency, smoothness=smoothness) * weights) @ basis.T


def wave_sd(sd: Array, length: Array, frequency: Array, *, smoothness: float) -> Array:
    """Sd √S(ω) of each mode of a Matérn process, with S its spectral density: (band, mode)."""
    return jnp.sqrt(
        spectral_density_matern(
            1, smoothness, frequency[None, :, None], sd[:, None] ** 2, length[:, None, None]
        )
    )
