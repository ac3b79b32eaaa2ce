"""Spectral assumptions of the simulator: background, Crab, sky and scatter as functions of energy.

Densities per keV are integrated over each band, so any set of bands between 15 and 1000 keV is consistent.
The anchors are measured or published; the curves between them are assumptions of the simulator:

- Background: rates of one real ScW (255900280010, October 2022) in four bands, joined by a monotone
  cumulative curve; 2 cts/s/keV below 25 keV. Residual flux of sources in that ScW is assumed to be 20 mCrab.
- Crab: a power law of photon index 2.1 through an efficiency that falls smoothly above 100 keV, 119 cts/s in
  25–60 keV in the middle of the mission.
- Sky: a thermal part (cut off exponentially) and a hard power law of photon index 1.55 (Bouchet et al. 2008,
  ApJ 679, 1315), over the Crab, with the three numbers that give the published fluxes of the Galactic bulge
  (Krivonos et al. 2024, arXiv:2409.20058).
- Scatter from ScW to ScW: that of 300 s intervals in the same ScW.
- Elasticity of the background to the tracer: it rises with energy, because the share of isotropic sky
  emission falls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from ridgebayes.errors import InputError
from ridgebayes.table.scw import Band
from ridgebayes.typing import Floats

BANDS = (Band("A01", 25.0, 60.0), Band("A02", 60.0, 80.0), Band("A03", 80.0, 200.0))
"""The bands of the published measurement."""

GB_FOV = (154.886, 96.473, 102.207)
"""Published flux of the Galactic bulge in `BANDS`, mCrab per field of view."""

TRACER = 30.0
"""Tracer (600–1000 keV) in October 2022, cts/s."""

CRAB_RATE = 119.0
"""Crab in 25–60 keV in the middle of the mission, cts/s."""

E_MIN, E_MAX = 15.0, 1000.0

_EDGES = np.array([E_MIN, 25.0, 60.0, 80.0, 200.0, 600.0, E_MAX])
_MEASURED = np.array([20.0, 74.09, 46.51, 275.99, 174.21, TRACER])  # cts/s between the edges
_CENTRES = np.log([38.7, 69.3, 126.5, 346.4])  # geometric means of 25–60–80–200–600 keV
_SCATTER = (0.008, 0.008, 0.005, 0.006)
_ELASTICITY = (0.3, 0.5, 0.8, 0.9)
_SOURCES = 0.020  # Crab: assumed flux of sources in the field of the measured ScW

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


def check(bands: Sequence[Band]) -> None:
    """Raise an InputError for bands outside the energy range of the simulator."""
    if not bands:
        raise InputError("simulation: no energy bands: give at least one Band")
    for band in bands:
        if not E_MIN <= band.e_min < band.e_max <= E_MAX:
            raise InputError(
                f"simulation: band '{band.name}' {band.e_min:g}-{band.e_max:g} keV: the simulator knows "
                f"{E_MIN:g} to {E_MAX:g} keV: give E_MIN < E_MAX inside that range"
            )


def background(bands: Sequence[Band], crab_now: ArrayLike) -> Floats:
    """Background rate in October 2022, cts/s, shape (K,).

    Parameters
    ----------
    bands
        K bands.
    crab_now
        Rate of the Crab in each band at that time, cts/s; it gives the flux of sources in the measured field.
    """
    cumulative = PchipInterpolator(np.log(_EDGES), np.concatenate([[0.0], np.cumsum(_MEASURED)]))
    low, high = _log_edges(bands)
    return cumulative(high) - cumulative(low) - _SOURCES * np.asarray(crab_now, float)


def crab(bands: Sequence[Band]) -> Floats:
    """Rate of the Crab in the middle of the mission, cts/s, shape (K,)."""
    return CRAB_RATE * _integral(_crab_counts, bands) / _integral(_crab_counts, BANDS[:1])


def gb_fov(bands: Sequence[Band]) -> Floats:
    """Flux of the Galactic bulge, mCrab per field of view, shape (K,); as published for `BANDS`."""
    kt, amplitude = _sky_spectrum()
    return _sky_terms(bands, kt) @ amplitude


def scatter(bands: Sequence[Band]) -> Floats:
    """Excess scatter from ScW to ScW over the background level, shape (K,)."""
    return _interpolated(bands, _SCATTER)


def elasticity(bands: Sequence[Band]) -> Floats:
    """Relative change of the background over that of the tracer, shape (K,)."""
    return _interpolated(bands, _ELASTICITY)


def crab_ageing(bands: Sequence[Band]) -> Floats:
    """Decline of the Crab relative to that in 25–60 keV, shape (K,); softer bands decline more."""
    low, high = _log_edges(bands)
    return np.exp(-0.3 * ((low + high) / 2 - _CENTRES[0]))


def _crab_counts(energy: Floats) -> Floats:
    return energy**-2.1 / (1 + (energy / 130.0) ** 2.2)


def _sky_terms(bands: Sequence[Band], kt: float) -> Floats:
    """Means of the thermal and the hard part over the bands, weighted with the Crab, shape (K, 2)."""
    thermal = _integral(lambda e: _crab_counts(e) * (e / 40) ** 1.1 * np.exp(-e / kt), bands)
    hard = _integral(lambda e: _crab_counts(e) * (e / 100) ** (2.1 - 1.55), bands)
    return np.stack([thermal, hard], axis=-1) / _integral(_crab_counts, bands)[:, None]


@lru_cache(maxsize=1)
def _sky_spectrum() -> tuple[float, Floats]:
    """Solve for the temperature (keV) and the two amplitudes (mCrab) that give the three published fluxes."""

    def amplitude(kt: float) -> Floats:
        return np.linalg.solve(_sky_terms(BANDS, kt)[[0, 2]], np.array(GB_FOV)[[0, 2]])

    def miss(kt: float) -> float:
        return float(_sky_terms(BANDS[1:2], kt)[0] @ amplitude(kt)) - GB_FOV[1]

    kt = float(brentq(miss, 5.0, 40.0, xtol=1e-12))
    return kt, amplitude(kt)


def _log_edges(bands: Sequence[Band]) -> tuple[Floats, Floats]:
    return np.log([band.e_min for band in bands]), np.log([band.e_max for band in bands])


def _integral(density: Callable[[Floats], Floats], bands: Sequence[Band]) -> Floats:
    """∫ density(E) dE over each band, shape (K,); Gauss-Legendre in log E."""
    low, high = (edge[:, None] for edge in _log_edges(bands))
    energy = np.exp((low + high) / 2 + (high - low) / 2 * _NODES)
    return (density(energy) * energy) @ _WEIGHTS * (high - low)[:, 0] / 2


def _interpolated(bands: Sequence[Band], values: Sequence[float]) -> Floats:
    low, high = _log_edges(bands)
    return np.interp((low + high) / 2, _CENTRES, values)
