"""Fit spectral models to the posterior of a region of a run, and derive quantities from them.

The data are the mean and covariance of the draws of a region in all bands
(:mod:`ridgebayes.products.spectrum`); the parameters are those of :mod:`ridgebayes.spectra.components`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ridgebayes.errors import InputError, nearest
from ridgebayes.instrument.crab_spectrum import CRAB, DEG2_PER_SR, CrabSpectrum, mean_energy
from ridgebayes.instrument.redistribution import Redistribution
from ridgebayes.markup import marked
from ridgebayes.model.folding import CRAB_SPECTRUM
from ridgebayes.priors import describe, with_priors
from ridgebayes.products import spectrum as spectra
from ridgebayes.products.skydraws import exposures, shape_draws
from ridgebayes.products.spectrum import Quantity, Spectrum
from ridgebayes.runs.convergence import COLUMN, mark
from ridgebayes.runs.intensity import CI_KIND, CI_PROB, CXB_NOTE, interval_columns, need_sky, provenance
from ridgebayes.runs.run import Run
from ridgebayes.sky import Sky
from ridgebayes.spectra import fitting, whitedwarf
from ridgebayes.spectra.components import Component, check_bands, parameters, read_model
from ridgebayes.spectra.fitting import SHARE_BAND
from ridgebayes.table.scw import Band
from ridgebayes.typing import Floats

_MANY = 6
_KPC = float((1 * u.kpc).to_value(u.cm))


@dataclass(frozen=True, eq=False)
class RegionFit:
    """A spectral model fitted to a region.

    Attributes
    ----------
    spectrum
        The fitted spectrum.
    fit
        The posterior of the model.
    model
        Text of the user.
    share_band
        keV.
    distance, stellar_mass
        kpc and solar masses; None if not stated, and then there is no luminosity.
    joint
        True if the components are those of the model of the run, which was fitted to the rates.
    """

    spectrum: Spectrum
    fit: fitting.SpectralFit
    model: str
    share_band: tuple[float, float]
    distance: float | None
    stellar_mass: float | None
    joint: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the chains of the spectral fit; empty for a joint model, which has none."""
        return () if self.joint else tuple(self.fit.diagnosis.warnings)

    @property
    def check(self) -> str:
        """Result of the posterior predictive check, in words."""
        if self.joint:
            return "the model was fitted to the rates of the ScWs: `ridgebayes check` tests it"
        bands, p = len(self.spectrum.bands), self.fit.p_value
        free = sum(not parameter.fixed for parameter in self.fit.parameters.values())
        if p < 0.01:
            verdict = "the model does not fit"
        elif p < 0.05:
            verdict = "the model fits badly"
        else:
            verdict = "no evidence against the model"
        weak = f"; a weak test: {bands} bands, {free} parameters" if bands <= free else ""
        least = self.fit.chi_square.min()
        return f"p = {p:.3f}: {verdict} (smallest chi-square {least:.2f} in {bands} bands){weak}"


def region_spectrum(
    run: Run, region: str, quantity: Quantity = "fov", *, sky: Sky | None = None, crab: CrabSpectrum = CRAB
) -> Spectrum:
    """Return the spectrum of a region of the model's sky, or of a region file.

    Parameters
    ----------
    run, region, quantity, crab
        As for `ridgebayes.products.spectrum.spectrum`.
    sky
        Regions of a file; the data are then the FOV flux at the centre of the region.

    Raises
    ------
    InputError
        If the run has no sky, the region is unknown, or the intensity of a region of a file is requested.
    """
    need_sky(run)
    if sky is None:
        return spectra.spectrum(run, region, quantity, crab)
    if quantity != "fov":
        raise InputError("regions of a file have a FOV flux, no intensity of their own: take quantity='fov'")
    if region not in sky.names:
        raise InputError(f"{sky.name}: has no region '{region}'{nearest(region, sky.names)}")
    own = spectra.spectrum(run, str(run.sky.names[0]), "fov", crab)
    where = [sky.names.index(region)]
    seen = exposures(run, sky.centre_lon[where], sky.centre_lat[where])[0]
    draws = np.stack([shape_draws(run, b.name, as_seen=True) @ seen for b in own.bands], axis=-1)
    value, error = spectra.published_fov(region, own.bands)
    source = spectra.published_source(region) if np.isfinite(value).any() else ""
    published = spectra.Published(value, error, source)
    return replace(own, region=region, draws=draws, truth=None, published=published, seen=True)


def take_bands(spectrum: Spectrum, names: Sequence[str]) -> Spectrum:
    """Return the spectrum in some of its bands.

    Raises
    ------
    InputError
        If a band does not exist; the message suggests the nearest.
    """
    known = [band.name for band in spectrum.bands]
    for name in names:
        if name not in known:
            raise InputError(f"there is no band '{name}'{nearest(name, known)}")
    keep = [k for k, name in enumerate(known) if name in names]
    bands: tuple[Band, ...] = tuple(spectrum.bands[k] for k in keep)
    old = spectrum.published
    return replace(
        spectrum,
        bands=bands,
        draws=spectrum.draws[:, keep],
        truth=None if spectrum.truth is None else spectrum.truth[keep],
        published=spectra.Published(old.value[keep], old.error[keep], old.source),
    )


def fit_region(
    spectrum: Spectrum,
    model: str = "whitedwarf+powerlaw",
    *,
    priors: Mapping[str, Any] | None = None,
    share_band: tuple[float, float] = SHARE_BAND,
    distance: float | None = None,
    stellar_mass: float | None = None,
    redistribution: Redistribution | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> RegionFit:
    """Fit a spectral model to a region.

    Parameters
    ----------
    spectrum
        Spectrum of `region_spectrum`.
    model
        Components joined by +, such as ``"whitedwarf+powerlaw"``.
    priors
        Name → prior that replaces the default.
    share_band
        Band of shares and fluxes of the components, keV.
    distance, stellar_mass
        kpc, and solar masses in the field of view, weighted by the response.
    redistribution
        Energy redistribution of the detector; default: none.
    draws, seed
        Draws per chain (there are four chains), and random seed.

    Raises
    ------
    InputError
        If a component or prior is unknown, a mass or a band is outside the table of spectra, there are too
        few draws for the covariance of the bands, or the distance is not positive or given for an intensity.
    """
    components = read_model(model)
    check_bands(components, spectrum.edges)
    check_stated(components, spectrum, share_band, distance, stellar_mass)
    count, bands = spectrum.draws.shape
    if count < 10 * bands:
        raise InputError(
            f"{count} draws are too few for the covariance of {bands} bands: fit with more draws, or take "
            "fewer bands"
        )
    if 0 < spectrum.revolutions <= bands + 2:
        raise InputError(
            f"{spectrum.revolutions} revolutions are too few for the covariance of {bands} bands: take "
            "fewer bands"
        )
    covariance = spectrum.covariance
    if spectrum.apart:  # the bands were sampled independently: any correlation is noise
        covariance = np.diag(np.diag(covariance))
    fit = fitting.fit(
        components,
        with_priors(parameters(components, spectrum.quantity) | CRAB_SPECTRUM, priors or {}),
        spectrum.edges,
        spectrum.mean,
        covariance,
        spectrum.crab,
        per_mcrab=1.0 if spectrum.quantity == "fov" else DEG2_PER_SR,
        redistribution=redistribution,
        revolutions=spectrum.revolutions,
        draws=draws,
        seed=seed,
    )
    return RegionFit(spectrum, fit, model, share_band, distance, stellar_mass)


def check_stated(
    components: Sequence[Component],
    spectrum: Spectrum,
    share_band: tuple[float, float],
    distance: float | None,
    stellar_mass: float | None,
) -> None:
    """Raise an error for an invalid band, distance or stellar mass; arguments as of `fit_region`."""
    low, high = share_band
    if not 0 < low < high < np.inf:
        raise InputError(f"share_band=...: {low:g} to {high:g}: give two energies in keV, the lower first")
    check_bands(components, np.array([[low], [high]]))
    for name, value in (("distance", distance), ("stellar_mass", stellar_mass)):
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"{name}={value:g}: give a positive number")
    if distance is not None and spectrum.quantity != "fov":
        raise InputError("distance=...: an intensity has no luminosity: take quantity='fov'")
    if stellar_mass is not None and distance is None:
        raise InputError("stellar_mass=...: the luminosity over it needs distance=... too")


def derived(result: RegionFit) -> dict[str, tuple[Floats, str, str]]:
    """Compute derived quantities: name → draws, unit, meaning."""
    fit, (low, high) = result.fit, result.share_band
    band = f"in {low:g}-{high:g} keV"
    per_sr = "" if result.spectrum.quantity == "fov" else " sr"
    found: dict[str, tuple[Floats, str, str]] = {
        name: (fit.draws[name], p.unit, p.meaning)
        for name, p in parameters(fit.model, result.spectrum.quantity).items()
        if name not in fit.parameters  # amplitudes of a joint model: sums over its regions
    }
    fluxes = {c.name: fit.energy_flux(c, low, high) for c in fit.model}
    total = np.sum(list(fluxes.values()), axis=0)
    for c in fit.model:
        if c.name == "whitedwarf":
            kt = whitedwarf.load().temperature(fit.draws[c.shape_name])
            found["whitedwarf.shock_temperature"] = (
                kt,
                "keV",
                "kT behind the shock of a white dwarf of the mass",
            )
    for name, flux in fluxes.items():
        found[f"{name}.flux"] = (flux, f"erg / (s cm2{per_sr})", f"energy flux of {name} {band}")
        if len(fluxes) > 1:
            found[f"{name}.share"] = (flux / total, "", f"share of {name} in the energy flux {band}")
    if len(fit.model) == 2:
        at = fit.crossing()
        names = [c.name for c in fit.model]
        share = np.isfinite(at).mean()
        meaning = f"above it E² dN/dE of {names[1]} exceeds that of {names[0]}"
        if share < 1:
            meaning += f"; in {share:.1%} of the draws, the others have none within the bands"
        found["crossing"] = (at[np.isfinite(at)], "keV", meaning)
    if result.distance is not None:
        luminosity = 4 * np.pi * (result.distance * _KPC) ** 2
        for name, flux in fluxes.items():
            what = f"luminosity of {name} {band} at {result.distance:g} kpc, weighted by the response"
            found[f"{name}.luminosity"] = (flux * luminosity, "erg / s", what)
            if result.stellar_mass is not None:
                each = flux * luminosity / result.stellar_mass
                what = f"that luminosity over {result.stellar_mass:g} solar masses"
                found[f"{name}.emissivity"] = (each, "erg / (s solMass)", what)
    return found


def fit_table(run: Run, result: RegionFit) -> QTable:
    """Tabulate parameters and derived quantities.

    Returns
    -------
    astropy.table.QTable
        name, unit (of the numbers in the row), prior (empty for derived quantities), mean, sd, lo68, hi68,
        lo94, hi94, prior_sd (NaN for derived quantities), note (if the data do not constrain it), meaning.
    """
    fit = result.fit
    rows = []
    for name, parameter in fit.parameters.items():
        if name in CRAB_SPECTRUM and parameter.fixed and parameter.prior == CRAB_SPECTRUM[name].prior:
            continue  # as the spectrum of the Crab below says
        rows.append(
            (name, fit.draws[name], parameter.unit, parameter.meaning, describe(parameter.prior),
             fit.prior_sd[name], fit.constraint(name))
        )  # fmt: skip
    for name, (draws, unit, meaning) in derived(result).items():
        rows.append((name, draws, unit, meaning, "", np.nan, "" if draws.size > 1 else "in no draw"))
    columns: dict[str, Any] = {"name": [row[0] for row in rows], "unit": [row[2] for row in rows]}
    columns["prior"] = [row[4] for row in rows]
    each = [_numbers(row[1]) for row in rows]
    columns |= {key: np.array([numbers[key] for numbers in each]) for key in each[0]}
    columns["prior_sd"] = np.array([row[5] for row in rows])
    columns["note"], columns["meaning"] = [row[6] for row in rows], [row[3] for row in rows]
    table = QTable(columns)
    spectrum = result.spectrum
    mark(run, table, [band.name for band in spectrum.bands])
    table[COLUMN] &= not fit.diagnosis.failures
    table.meta = provenance(run) | {
        "ci_prob": CI_PROB,
        "ci_kind": CI_KIND,
        "region": spectrum.region,
        "model": result.model,
        "quantity": spectra.MEANING[spectrum.quantity],
        "bands": _named(spectrum.bands),
        "likelihood": "that of the model of the run, all bands and regions at once"
        if result.joint
        else f"{'Student t' if spectrum.revolutions else 'Gaussian'}, of the posterior mean of the bands "
        f"with its covariance, {spectrum.about_covariance()}",
        "check": result.check,
        **({} if result.joint else {"p_value": fit.p_value}),
        "crab": spectrum.crab.describe(),
        "redistribution": "none: photons stay in their band"
        if fit.redistribution is None
        else fit.redistribution.describe(),
        "luminosity": _about_luminosity(result),
        "sampler": [*result.warnings],
        "note": CXB_NOTE,
    }
    if any(c.name == "whitedwarf" for c in fit.model):
        table.meta["whitedwarf"] = (
            "post-shock columns after Suleimanov, Revnivtsev & Ritter 2005 (A&A 435, 191), "
            f"{whitedwarf.load().accretion:g} g/cm2/s"
        )
    return table


def band_table(run: Run, result: RegionFit) -> QTable:
    """Tabulate the fitted spectrum and the model, one row per band.

    Returns
    -------
    astropy.table.QTable
        band, E_MIN, E_MAX, energy (keV); mean, sd of the region; model, model_sd, and mean and sd of each
        component (mCrab or mCrab/deg²); pull: (mean − model) / sd.
    """
    spectrum, fit = result.spectrum, result.fit
    (low, high), unit = spectrum.edges, spectrum.unit
    sd = np.sqrt(np.diag(fit.covariance))
    total = fit.folded.sum(0)
    columns: dict[str, Any] = {
        "band": [band.name for band in spectrum.bands],
        "E_MIN": low * u.keV,
        "E_MAX": high * u.keV,
        "energy": mean_energy(low, high) * u.keV,
        "mean": fit.mean * unit,
        "sd": sd * unit,
        "model": total.mean(0) * unit,
        "model_sd": total.std(0, ddof=1) * unit,
    }
    for component, folded in zip(fit.model, fit.folded, strict=True):
        columns[component.name] = folded.mean(0) * unit
        columns[f"{component.name}_sd"] = folded.std(0, ddof=1) * unit
    columns["pull"] = (fit.mean - total.mean(0)) / sd
    meta = provenance(run) | {"region": spectrum.region, "model": result.model}
    return mark(run, QTable(columns, meta=meta))


def format_fit(table: QTable) -> str:
    """Format a table of `fit_table` for the terminal."""
    meta = table.meta
    lines = [
        f"{meta['region']}, {meta['model']}, bands {meta['bands']}",
        f"{'':<30}{'mean':>11}   {'sd':<9}{'94 % interval':>22}  {'unit':<20}{'prior'}",
    ]
    for row in table:
        line = f"{row['name']:<30}{row['mean']:>11.4g} ± {row['sd']:<9.2g}"
        line += (
            f"{row['lo94']:>11.4g} … {row['hi94']:<9.4g} {row['unit'].replace(' / ', '/'):<20}{row['prior']}"
        )
        lines.append(line.rstrip() + (f"  {row['note']}" if row["note"] else ""))
    lines.append(f"posterior predictive check: {meta['check']}")
    lines.append(meta["luminosity"])
    lines.append(meta["crab"])
    lines.append(f"redistribution of energies: {meta['redistribution']}")
    lines += [f"WARNING: {warning}" for warning in [*meta["warnings"], *meta["sampler"]]]
    return marked("\n".join(lines), meta["simulated"])


def _named(bands: Sequence[Band]) -> str:
    """Name a few bands, or give the number of bands and their range."""
    if len(bands) <= _MANY:
        return ", ".join(str(band) for band in bands)
    low, high = min(band.e_min for band in bands), max(band.e_max for band in bands)
    return f"{bands[0].name} to {bands[-1].name}: {len(bands)} from {low:g} to {high:g} keV"


def _numbers(draws: Floats) -> dict[str, float]:
    names = interval_columns(np.zeros((2, 1)), u.dimensionless_unscaled)
    if draws.size < 2:
        return dict.fromkeys(names, np.nan)
    columns = interval_columns(draws[:, None], u.dimensionless_unscaled)
    return {name: float(value[0]) for name, value in columns.items()}


def _about_luminosity(result: RegionFit) -> str:
    if result.spectrum.quantity != "fov":
        return "no luminosity: that of an intensity depends on an area"
    if result.distance is None:
        return "no luminosity: no distance was stated"
    if result.stellar_mass is None:
        return f"luminosity at {result.distance:g} kpc; none per solar mass: no stellar mass was stated"
    return f"luminosity at {result.distance:g} kpc, and over {result.stellar_mass:g} solar masses of stars"
