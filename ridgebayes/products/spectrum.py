"""Spectrum of a sky region over the bands of a run, with the covariance between bands.

A spectrum consists of draws; mean, intervals and covariance in any unit are computed from them. The
conversion of mCrab to other units assumes a Crab spectrum (:mod:`ridgebayes.instrument.crab_spectrum`), which
is stated in the meta of the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from numpy.typing import NDArray

from ridgebayes.errors import InputError, nearest
from ridgebayes.instrument import ogip
from ridgebayes.instrument.crab_spectrum import CRAB, DEG2_PER_SR, CrabSpectrum, mean_energy
from ridgebayes.products.files import ascii_only, provenance_keywords
from ridgebayes.products.published import published_fov, published_source
from ridgebayes.products.skydraws import solid_angle
from ridgebayes.runs.convergence import COLUMN, mark
from ridgebayes.runs.intensity import (
    CALIBRATED,
    CI_KIND,
    CI_PROB,
    CXB_NOTE,
    INNER_PROB,
    MCRAB,
    interval_columns,
    need_sky,
    provenance,
)
from ridgebayes.runs.run import Run
from ridgebayes.table.scw import Band
from ridgebayes.typing import Floats

Quantity = Literal["fov", "intensity"]
Kind = Literal["mcrab", "energy_flux", "e2", "crab"]

ALL, DEFAULT = "all", "GB"

MEANING = {
    "fov": "FOV flux: what a pointing at the region's centre sees of the whole sky model, response averaged "
    "over roll",
    "intensity": "intensity: mean surface brightness of the region's core",
}
_PREFIX: dict[Kind, str] = {"mcrab": "", "energy_flux": "energy_flux_", "e2": "e2_", "crab": "crab_"}
_STEPS = 5001  # steps in the off-axis angle, to integrate the response
_E2 = u.keV**2 * u.photon / u.cm**2 / u.s / u.keV / u.sr
_SITES = {"fov": ("sky.fov_flux", "true_fov_flux"), "intensity": ("sky.intensity", "true_intensity")}


class Expressed(NamedTuple):
    """Draws of a spectrum, (draw, band), their unit, and the factor, (band,), that converts values to it.

    The factor applies to the truth and published values, in mCrab or mCrab/deg². If the effective solid angle
    is uncertain, the factor is the mean over the draws.
    """

    draws: Floats
    unit: u.UnitBase
    factor: Floats


class Published(NamedTuple):
    """Published values with 1σ errors, mCrab, (band,), NaN if there is none; their source, or ""."""

    value: Floats
    error: Floats
    source: str


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Posterior of one region in all bands.

    Attributes
    ----------
    region, quantity
        Name of the region; ``"fov"`` (FOV flux) or ``"intensity"``.
    bands
        K bands, sorted by energy.
    draws
        (draw, K) joint draws of all bands, mCrab or mCrab/deg².
    solid_angle
        (draw,) effective solid angle ∫ R dΩ of the field of view, deg².
    crab
        Spectrum assumed for the Crab.
    truth
        (K,) in the unit of `draws`; None if the data are not simulated or it is not known.
    published
        Published FOV flux of the region of this name, in bands with the same edges.
    seen
        False if no ScW sees the region.
    apart
        True if each band was sampled independently.
    revolutions
        Number of revolutions whose scatter gave the covariance; 0 if it is that of the posterior.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.instrument.crab_spectrum import CRAB
    >>> from ridgebayes.products.spectrum import Published, Spectrum
    >>> from ridgebayes.table.scw import Band
    >>> bands, published = (Band("A02", 60.0, 80.0),), Published(np.array([96.0]), np.array([5.0]), "a paper")
    >>> draws = np.random.default_rng(0).normal(10.0, 20.0, (1000, 1))  # mCrab
    >>> found = Spectrum("GB", "fov", bands, draws, np.full(1000, 290.0), CRAB, None, published, True, False)
    >>> found.limits, found.expressed("energy_flux").unit  # an upper limit
    (array([ True]), Unit("erg / (s cm2)"))
    """

    region: str
    quantity: Quantity
    bands: tuple[Band, ...]
    draws: Floats
    solid_angle: Floats
    crab: CrabSpectrum
    truth: Floats | None
    published: Published
    seen: bool
    apart: bool
    revolutions: int = 0

    @property
    def edges(self) -> Floats:
        """(2, K) lower and upper edges of the bands, keV."""
        return np.array([[b.e_min for b in self.bands], [b.e_max for b in self.bands]])

    @property
    def unit(self) -> u.UnitBase:
        """Unit of `draws`."""
        return MCRAB if self.quantity == "fov" else MCRAB / u.deg**2

    @property
    def mean(self) -> Floats:
        """(K,) posterior mean."""
        return self.draws.mean(axis=0)

    @property
    def covariance(self) -> Floats:
        """(K, K) posterior covariance between the bands, estimated from the draws."""
        return np.atleast_2d(np.cov(self.draws.T))

    @property
    def correlation(self) -> Floats:
        """(K, K) posterior correlation between the bands."""
        return np.atleast_2d(np.corrcoef(self.draws.T))

    @property
    def limits(self) -> NDArray[np.bool_]:
        """(K,) True if the 94 % interval includes zero: its end, the 97 % quantile, is an upper limit."""
        low, high = interval(self.draws, CI_PROB)
        return (low <= 0) & (high >= 0)

    def expressed(self, kind: Kind) -> Expressed:
        """Express the spectrum in another unit.

        Parameters
        ----------
        kind
            ``"mcrab"``: unchanged. ``"energy_flux"``: erg/s/cm², of the FOV or per deg². ``"e2"``: E² dN/dE
            in keV² ph/cm²/s/keV/sr (see :meth:`CrabSpectrum.kev2`); a FOV flux is divided by the effective
            solid angle of the same draw, which gives the response-weighted mean over the field of view.
            ``"crab"``: fraction of the Crab, per deg² for an intensity.

        Raises
        ------
        InputError
            If a band begins at 0 keV and physical units are requested.
        """
        per_area = u.dimensionless_unscaled if self.quantity == "fov" else u.deg**-2
        low, high = self.edges
        if kind == "mcrab":
            return Expressed(self.draws, self.unit, np.ones(len(self.bands)))
        if kind == "crab":
            return Expressed(self.draws / 1000, per_area, np.full(len(self.bands), 1e-3))
        if kind == "energy_flux":
            factor = self.crab.erg_per_mcrab(low, high)
            return Expressed(self.draws * factor, per_area * u.erg / u.s / u.cm**2, factor)
        factor = self.crab.kev2(low, high)
        if self.quantity == "intensity":
            return Expressed(self.draws * factor, _E2, factor)
        over = 1 / self.solid_angle
        return Expressed(self.draws * over[:, None] * factor, _E2, factor * over.mean())

    def about_covariance(self) -> str:
        """Describe the origin of the covariance, in ASCII."""
        draws = len(self.draws)
        if len(self.bands) == 1:
            return f"variance of {draws} draws"
        noise = f"a correlation is uncertain by {draws**-0.5:.2g} or more"
        if self.apart:
            return (
                f"estimated from {draws} draws; the bands share no parameter and were sampled independently, "
                f"so between them it is 0 but for the noise of the draws ({noise})"
            )
        return f"estimated from {draws} joint draws of all bands ({noise})"


def spectrum(run: Run, region: str, quantity: Quantity = "fov", crab: CrabSpectrum = CRAB) -> Spectrum:
    """Return the spectrum of a region of a run.

    Parameters
    ----------
    run, region
        The run, the name of a region of its sky.
    quantity
        ``"fov"`` (as published fluxes) or ``"intensity"``.
    crab
        Spectrum assumed for the Crab.

    Raises
    ------
    InputError
        If the region is unknown.
    """
    _check(run, region, _names(run))
    constant = run.tree["constant_data"].dataset
    order = np.lexsort((constant["e_max"].values, constant["e_min"].values))
    names = constant["band"].values[order]
    constant = constant.sel(band=names)
    bands = tuple(
        Band(str(name), float(low), float(high))
        for name, low, high in zip(names, constant["e_min"], constant["e_max"], strict=True)
    )
    site, truth = _SITES[quantity]
    compared = region if quantity == "fov" else ""  # there are no published intensities
    value, error = published_fov(compared, bands)
    draws = run.tree["posterior"].dataset[site].sel(band=names, region=region)
    known = run.simulated and truth in constant
    calibrated = run.record.get("draws") == CALIBRATED
    return Spectrum(
        region,
        quantity,
        bands,
        np.asarray(draws.transpose("chain", "draw", "band").values, float).reshape(-1, len(bands)),
        solid_angle(run) * _nominal_solid_angle(run),
        crab,
        constant[truth].sel(region=region).values if known else None,
        Published(value, error, published_source(compared) if np.isfinite(value).any() else ""),
        region not in run.record["data"].get("unseen_regions", []),
        not calibrated and any(str(name).endswith("_band") for name in run.tree["sample_stats"].dataset),
        constant["revolution"].size if calibrated else 0,
    )


def regions(run: Run, names: Sequence[str] = ()) -> list[str]:
    """Return the requested regions of a run.

    Parameters
    ----------
    run, names
        The run; names of regions, or "all"; default: the Galactic bulge.

    Raises
    ------
    InputError
        If a name is unknown (the message suggests the nearest), no name is given and the sky has no Galactic
        bulge, or the model has no sky.
    """
    need_sky(run)
    known = _names(run)
    if not names and DEFAULT not in known:
        raise InputError(
            f"{run.path or 'the run'}: the sky has no region '{DEFAULT}': choose one of {', '.join(known)}"
        )
    if ALL in names and ALL not in known:
        return known
    for name in names:
        _check(run, name, known)
    return list(dict.fromkeys(names)) or [DEFAULT]


def spectrum_table(run: Run, spectra: Sequence[Spectrum]) -> QTable:
    """Tabulate spectra of one quantity, one row per region and band.

    Parameters
    ----------
    run, spectra
        The run, and spectra that `spectrum` returned for it.

    Returns
    -------
    astropy.table.QTable
        region, band, E_MIN, E_MAX, energy (keV, geometric mean of the edges); mean, sd, lo68, hi68, lo94,
        hi94 (mCrab or mCrab/deg²), covariance ((K,), the unit squared: with each band of the region, in the
        order of its rows); the same with the prefixes ``energy_flux_``, ``e2_``, ``crab_`` (see
        :meth:`Spectrum.expressed`); limit: True if hi94 is an upper limit; seen; truth if simulated and
        known; published, published_error if there are any.

    Raises
    ------
    InputError
        If a band begins at 0 keV.
    """
    parts = [_rows(spectrum) for spectrum in spectra]
    first = spectra[0]
    sources = "; ".join(dict.fromkeys(s.published.source for s in spectra if s.published.source))
    for spectrum, part in zip(spectra, parts, strict=True):
        if sources:
            part["published"] = spectrum.published.value * MCRAB
            part["published_error"] = spectrum.published.error * MCRAB
    table = vstack(parts, metadata_conflicts="error")
    angle = first.solid_angle
    spread = f" (posterior sd {angle.std(ddof=1):.1f})" if np.ptp(angle) > 0 else ""
    mark(run, table)
    table["limit"] &= table[COLUMN]
    table.meta = provenance(run) | {
        "ci_prob": CI_PROB,
        "ci_kind": CI_KIND,
        "quantity": MEANING[first.quantity],
        "crab": first.crab.describe(),
        "crab_spectrum": first.crab.to_dict(),
        "columns": f"lo68 ... hi94: {INNER_PROB:.0%} and {CI_PROB:.0%} intervals of the posterior; limit: "
        f"hi94, the {(1 + CI_PROB) / 2:.0%} quantile, is an upper limit, as the interval includes zero; "
        "energy_flux_: energy flux in the band; e2_: E^2 dN/dE, mean over ln E; crab_: fraction of the Crab",
        "conversion": "energy_flux_ and e2_ hold for the spectral shape of the Crab inside each band",
        "solid_angle": f"effective solid angle of the field of view {angle.mean():.1f} deg2{spread}"
        + ("; e2_ is FOV flux over it: the sky's mean, weighted by the response" * (first.quantity == "fov")),
        "covariance": first.about_covariance() + "; what the model holds fixed is not in it",
        "note": CXB_NOTE,
    }
    if sources:
        table.meta["published_by"] = sources
    return table


def write_ogip(run: Run, spectrum: Spectrum, path: str | Path) -> tuple[Path, Path]:
    """Write a spectrum as OGIP PHA file, and its response to the same folder; existing files are replaced.

    Parameters
    ----------
    run, spectrum
        The run, and a spectrum that `spectrum` returned for it.
    path
        The PHA file.

    Returns
    -------
    tuple of Path
        PHA file and response.

    Raises
    ------
    InputError
        If bands overlap, a name is not ASCII, or a file cannot be written.
    """
    comments = [
        f"Posterior mean and sd of {MEANING[spectrum.quantity]}.",
        *(["RATE is per deg2, and so is a model."] if spectrum.quantity == "intensity" else []),
        f"Covariance {spectrum.about_covariance()}.",
        *([] if spectrum.seen else ["No ScW sees the region."]),
        *(f"WARNING: {warning}" for warning in run.diagnosis.warnings),
    ]
    return ogip.write_spectrum(
        path,
        spectrum.bands,
        spectrum.mean,
        spectrum.covariance,
        simulated=run.simulated,
        crab=spectrum.crab,
        region=spectrum.region,
        comments=[ascii_only(text) for text in comments],
        keywords={k: v for k, v in provenance_keywords(provenance(run), short=True).items() if k != "SIMUL"},
        overwrite=True,
    )


def interval(draws: Floats, prob: float) -> tuple[Floats, Floats]:
    """Return the ends of the equal-tailed interval over the first axis."""
    low, high = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
    return low, high


def _names(run: Run) -> list[str]:
    return [str(name) for name in run.tree["constant_data"].dataset["region"].values]


def _check(run: Run, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InputError(f"{run.path or 'the run'}: the sky has no region '{name}'{nearest(name, known)}")


def _rows(spectrum: Spectrum) -> QTable:
    low, high = spectrum.edges
    count = len(spectrum.bands)
    columns: dict[str, Any] = {
        "region": [spectrum.region] * count,
        "band": [band.name for band in spectrum.bands],
        "E_MIN": low * u.keV,
        "E_MAX": high * u.keV,
        "energy": mean_energy(low, high) * u.keV,
    }
    for kind, prefix in _PREFIX.items():
        draws, unit, _ = spectrum.expressed(kind)
        columns |= interval_columns(draws, unit, prefix)
        columns[f"{prefix}covariance"] = np.atleast_2d(np.cov(draws.T)) * unit**2
    columns["limit"] = spectrum.limits
    columns["seen"] = np.full(count, spectrum.seen)
    if spectrum.truth is not None:
        columns["truth"] = spectrum.truth * spectrum.unit
    return QTable(columns)


def _nominal_solid_angle(run: Run) -> float:
    """∫ R dΩ of the response averaged over roll, deg²."""
    angle = np.linspace(0.0, run.response.radius_deg, _STEPS)
    ring = 2 * np.pi * np.sin(np.deg2rad(angle))
    return float(np.trapezoid(run.response.averaged(angle) * ring, np.deg2rad(angle)) * DEG2_PER_SR)
