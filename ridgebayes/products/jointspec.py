"""Spectral components of a region from a model that fits all bands jointly to the rates.

The models ``whitedwarf`` and ``spectrum`` have a thermal component and a power law in every region. Their
FOV fluxes are sums over regions; draws keep the covariance. The derived quantities (shares, fluxes, crossing)
are those of a spectral fit.
"""

from __future__ import annotations

import numpy as np

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB, DEG2_PER_SR
from ridgebayes.instrument.redistribution import redistribution
from ridgebayes.model.components import departure_scale
from ridgebayes.model.folding import CRAB_SPECTRUM
from ridgebayes.priors import Parameter
from ridgebayes.products.fitspec import RegionFit, check_stated, region_spectrum
from ridgebayes.products.skydraws import exposures, parameter_draws, shapes, solid_angle
from ridgebayes.products.spectrum import Quantity
from ridgebayes.runs.metadata import recorded_model
from ridgebayes.runs.run import Run
from ridgebayes.sky import Sky
from ridgebayes.spectra.components import Component, check_bands, read_model
from ridgebayes.spectra.fitting import SHARE_BAND, SpectralFit
from ridgebayes.typing import Floats

MODELS = {
    "whitedwarf": ("whitedwarf+powerlaw", "sky.mass"),
    "spectrum": ("cutoff+powerlaw", "sky.temperature"),
}
"""Model of a run → components, and the shape parameter of the thermal component."""


def joint_fit(
    run: Run,
    region: str,
    quantity: Quantity = "fov",
    *,
    sky: Sky | None = None,
    share_band: tuple[float, float] = SHARE_BAND,
    distance: float | None = None,
    stellar_mass: float | None = None,
) -> RegionFit:
    """Return the components of a region from a run of ``whitedwarf`` or ``spectrum``.

    Parameters
    ----------
    run, region, quantity, sky
        As for `ridgebayes.products.fitspec.region_spectrum`.
    share_band, distance, stellar_mass
        As for `ridgebayes.products.fitspec.fit_region`.

    Raises
    ------
    InputError
        If the run has another model, or a free latitude, with which the bands see different skies.
    """
    _check_model(run)
    text, shape_name = MODELS[run.record["model"]["name"]]
    components = read_model(text)
    spectrum = region_spectrum(run, region, quantity, sky=sky)
    check_bands(components, spectrum.edges)
    check_stated(components, spectrum, share_band, distance, stellar_mass)
    priors = recorded_model(run.record, run.path or "the run", run.sky).parameters
    draws = _amplitudes(run, components, region, quantity, sky)
    parameters: dict[str, Parameter] = {}
    for component, site in zip(components, (shape_name, "sky.index"), strict=True):
        draws[component.shape_name] = parameter_draws(run, site)
        parameters[component.shape_name] = priors[site]
    for site in CRAB_SPECTRUM:
        draws[site], parameters[site] = (
            parameter_draws(run, site, default=_number(priors[site])),
            priors[site],
        )
    spec = run.record["model"]["options"].get("redistribution", "")
    fit = SpectralFit(
        components,
        parameters,
        spectrum.edges,
        spectrum.mean,
        spectrum.covariance,
        CRAB,
        draws,
        1.0 if quantity == "fov" else DEG2_PER_SR,
        run.diagnosis,
        redistribution(spec) if spec else None,
    )
    return RegionFit(spectrum, fit, text, share_band, distance, stellar_mass, joint=True)


def _check_model(run: Run) -> None:
    """Raise an error for a run without components, or with a sky that differs between bands."""
    name = run.record["model"]["name"]
    if name not in MODELS:
        raise InputError(
            f"{run.path or 'the run'}: joint=True: its model '{name}' has no components: fit "
            f"{' or '.join(MODELS)}, or leave out joint=True, to fit them to the region's spectrum"
        )
    if len(shapes(run)) > 1:
        raise InputError(
            f"{run.path or 'the run'}: joint=True: with free_latitude every band sees "
            "another sky: leave out joint=True"
        )


def _number(parameter: Parameter) -> float:
    """Return the default of a Crab parameter that runs of earlier versions do not have."""
    return float(np.asarray(parameter.prior)) if parameter.fixed else np.nan


def _amplitudes(
    run: Run, components: tuple[Component, ...], region: str, quantity: Quantity, sky: Sky | None
) -> dict[str, Floats]:
    """E² dN/dE of each component in the field of view, or of the intensity of the region, (draw,)."""
    stars = run.sky.stars
    each = [
        _part(run, name, stars)
        for name in (("sky.thermal", "sky.departure"), ("sky.hard", "sky.hard_departure"))
    ]
    if quantity == "intensity":
        row = run.sky.index(region)
        return {c.amplitude_name: a[:, row] for c, a in zip(components, each, strict=True)}
    where = run.sky if sky is None else sky
    row = where.index(region)
    seen = exposures(run, where.centre_lon[[row]], where.centre_lat[[row]])[0] / DEG2_PER_SR
    omega = solid_angle(run)
    return {c.amplitude_name: omega * (a @ seen) for c, a in zip(components, each, strict=True)}


def _part(run: Run, names: tuple[str, str], stars: Floats) -> Floats:
    """E² dN/dE of a component in every region, (draw, region): multiple of starlight plus departure."""
    tied, departure = names
    found = parameter_draws(run, tied)[:, None] * stars
    if departure in run.tree["posterior"].dataset:
        found = found + parameter_draws(run, departure) * np.asarray(departure_scale(stars))
    return found
