"""Calibrate background and Crab rate, and compute the residual of every ScW in mCrab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ridgebayes.classical.background import (
    BORROWED,
    CONSTANT,
    FULL,
    NONE,
    Rates,
    Settings,
    fit_background,
    phase_basis,
)
from ridgebayes.classical.crab import Crab, fit_crab
from ridgebayes.classical.statistics import mean_and_excess
from ridgebayes.errors import InputError, nearest
from ridgebayes.instrument.response import Response, Trapezoid
from ridgebayes.sky import Region, Shape, Sky, exposure, point_response
from ridgebayes.sky.skymap import build
from ridgebayes.table.scw import CRAB, ScWTable
from ridgebayes.typing import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Calibration:
    """A calibrated table of N ScWs in K bands, R revolutions.

    Attributes
    ----------
    scws
        The table, in its original order.
    settings, response, template
        Settings, response and template of the calibration; `template` is a sky of one region.
    background, background_err
        Background and its error, cts/s, (N, K); NaN where a revolution is not calibrated.
    crab_rate, crab_rate_err
        Crab rate at each ScW and its error, cts/s per Crab, (N, K).
    scatter
        Excess scatter from ScW to ScW, cts/s, (K,).
    tracer, tracer_err
        Coefficient of the tracer and its error, (K,); 0 without a tracer.
    revolutions
        Numbers of the revolutions, (R,).
    coefficients
        Constant, phase and phase² terms (shifted Legendre polynomials), cts/s, (R, K, 3); NaN where missing.
    kind
        Kind of calibration, (R, K): `background.FULL`, `CONSTANT`, `BORROWED` or `NONE`.
    used
        True for ScWs that calibrated the background, without outliers, (N, K).
    seen
        Exposure of the template in each ScW, deg², (N,).
    galaxy
        Brightness of the template that was subtracted from the calibrating ScWs, mCrab/deg², (K,).
    residual, error
        1000 (rate − background) / Crab rate, mCrab, (N, K), NaN where uncalibrated; and its error: counting
        noise, scatter and background error in quadrature, without the common error of the Crab rate.
    left_out
        Numbers of excluded ScWs and revolutions, by reason.

    Examples
    --------
    >>> from ridgebayes import classical, read_scws
    >>> calibration = classical.calibrate(read_scws("mission.fits"))
    >>> calibration.residual.shape == calibration.scws.rate.shape
    True
    """

    scws: ScWTable
    settings: Settings
    response: Response
    template: Sky
    background: Floats
    background_err: Floats
    crab_rate: Floats
    crab_rate_err: Floats
    scatter: Floats
    tracer: Floats
    tracer_err: Floats
    revolutions: Ints
    coefficients: Floats
    kind: Ints
    used: Bools
    seen: Floats
    galaxy: Floats
    residual: Floats
    error: Floats
    left_out: dict[str, int]


def starlight_sky(lat_max: float = 30.0) -> Sky:
    """Return the default template: a sky whose one region is the starlight of the whole Galaxy.

    Parameters
    ----------
    lat_max
        Latitude at which it ends, degrees; 30 as in the shipped sets of regions.

    Examples
    --------
    >>> from ridgebayes import classical
    >>> classical.starlight_sky().names
    ('starlight',)
    """
    whole = Region.cell("starlight", (-180.0, 180.0), Shape("starlight"), lat_max=lat_max)
    return build("starlight", [whole])


def calibrate(
    scws: ScWTable,
    *,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    template: Sky | None = None,
    settings: Settings | None = None,
    cache: bool = True,
) -> Calibration:
    """Calibrate a table the classical way.

    Parameters
    ----------
    scws
        The ScW rate table.
    response
        Response of the instrument; the trapezoid by default.
    crab_rate
        Crab rate of every band in cts/s, by band name; required if no ScW contains the Crab.
    template
        A sky of one region with the shape of the Galactic emission, by default starlight. It is used to
        subtract this emission from the calibrating ScWs and to convert fluxes to the centre of a region.
    settings
        Thresholds.
    cache
        Keep the exposure of the template on disk.

    Raises
    ------
    InputError
        If no ScW is off the plane, neither or both of Crab ScWs and `crab_rate` are given, or the template
        has several regions.

    Examples
    --------
    >>> from ridgebayes import classical, read_scws
    >>> calibration = classical.calibrate(read_scws("mission.fits"))
    >>> calibration.coefficients.shape  # revolutions, bands, terms
    (24, 2, 3)
    """
    response, settings = response or Trapezoid(), settings or Settings()
    template = starlight_sky() if template is None else template
    if len(template) != 1:
        raise InputError(
            f"classical template: sky '{template.name}' has {len(template)} regions: give one that has one"
        )
    source = scws.meta["path"] or "the ScW table"
    quiet = (np.abs(scws.lat) > settings.min_latitude) & ~scws.crab
    if not quiet.any():
        raise InputError(
            f"{source}: no ScW at |b| > {settings.min_latitude:g} deg: the classical background needs some, "
            "lower min_latitude or fit the hierarchical model"
        )
    given = _given_crab(scws, crab_rate, source)
    crab_seen = np.where(scws.crab, point_response(scws, CRAB, response), 0.0)
    if given is None and not (crab_seen >= settings.min_crab_response).any():
        raise InputError(
            f"{source}: the ScWs marked SOURCE = Crab see it at a response below "
            f"{settings.min_crab_response:g}: mend SOURCE or the pointings, or lower min_crab_response"
        )
    seen = exposure(scws, template, response, cache=cache)[:, 0]
    revolutions, revolution = np.unique(scws.revolution, return_inverse=True)
    mjd = np.bincount(revolution, scws.mjd) / np.bincount(revolution)
    tracer = np.zeros(len(scws)) if scws.tracer is None else scws.tracer - scws.tracer.mean()
    basis = phase_basis(scws.phase)

    columns: list[dict[str, Any]] = []
    for k in range(len(scws.bands)):
        rates = Rates(scws.rate[:, k], scws.stat_err[:, k] ** 2, tracer, basis, revolution, quiet, mjd)
        constant = None if given is None else float(given[k])
        columns.append(_calibrate_band(scws, rates, crab_seen, constant, seen, settings))
    stacked = {name: np.stack([column[name] for column in columns], axis=-1) for name in columns[0]}
    left_out = _left_out(scws, quiet, stacked, revolution)
    return Calibration(
        scws=scws,
        settings=settings,
        response=response,
        template=template,
        revolutions=revolutions,
        seen=seen,
        left_out=left_out,
        coefficients=np.moveaxis(stacked.pop("coefficients"), 1, 2),
        **stacked,
    )


def _given_crab(scws: ScWTable, crab_rate: Mapping[str, float] | None, source: str) -> Floats | None:
    """Return the Crab rate given by the user, (K,), or None if ScWs contain the Crab."""
    for name in crab_rate or {}:
        if name not in scws.band_names:
            raise InputError(f"crab rate: {source} has no band '{name}'{nearest(name, scws.band_names)}")
    if scws.crab.any():
        if crab_rate:
            raise InputError(
                f"{source}: has ScWs that contain the Crab, which calibrate it: leave out the given Crab rate"
            )
        return None
    missing = [name for name in scws.band_names if name not in (crab_rate or {})]
    if missing or not crab_rate:
        raise InputError(
            f"{source}: no ScW contains the Crab (SOURCE = Crab): give its rate in cts/s in "
            f"{', '.join(missing)}"
        )
    rates = np.array([float(crab_rate[name]) for name in scws.band_names])
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise InputError(f"crab rate: {dict(crab_rate)} must be positive, in cts/s over the detector")
    return rates


def _calibrate_band(
    scws: ScWTable, rates: Rates, crab_seen: Floats, given: float | None, seen: Floats, settings: Settings
) -> dict[str, Any]:
    """Fit background, Crab and the brightness of the Galaxy in turn."""
    galaxy, light = 0.0, np.zeros(len(scws))
    for turn in range(settings.galaxy_iterations + 1):
        # Calibrate with rates minus Galactic emission; compute residuals from the rates themselves.
        background = fit_background(rates._replace(rate=rates.rate - light), settings)
        value, error = background.at(rates)
        rest = rates.rate - value
        variance = rates.variance + background.scatter**2
        if given is None:
            crab = fit_crab(scws.mjd, rates.revolution, rest - light, variance, error, crab_seen, settings)
        else:
            crab = Crab(np.full(len(scws), given), np.zeros(len(scws)))
        per_mcrab = 1000 / crab.rate
        residual, common, noise = rest * per_mcrab, error * per_mcrab, np.sqrt(variance) * per_mcrab
        if turn < settings.galaxy_iterations:
            plane = ~scws.crab & (np.abs(scws.lat) < settings.min_latitude) & np.isfinite(residual)
            galaxy = _brightness(residual, noise, common, seen, rates.revolution, plane, settings.clip)
            light = galaxy * seen / per_mcrab
    missing = background.kind == NONE
    return {
        "background": value,
        "background_err": error,
        "crab_rate": crab.rate,
        "crab_rate_err": crab.error,
        "scatter": np.array(background.scatter),
        "tracer": np.array(background.tracer),
        "tracer_err": np.array(background.tracer_err),
        "coefficients": np.where(missing[:, None], np.nan, background.coefficients),
        "kind": background.kind,
        "used": background.used,
        "galaxy": np.array(galaxy),
        "residual": residual,
        "error": np.hypot(noise, common),
    }


def _brightness(
    residual: Floats, noise: Floats, common: Floats, seen: Floats, revolution: Ints, plane: Bools, clip: float
) -> float:
    """Fit the brightness of the template to residuals of the plane, mCrab/deg²; never negative.

    ``noise`` is independent between ScWs; ``common`` is the error of the background, shared in a revolution.
    """
    rows = np.flatnonzero(plane & (seen > 0.05 * seen.max(initial=0.0)))
    if rows.size == 0:
        return 0.0
    _, rho = np.unique(revolution[rows], return_inverse=True)
    bright, weight = seen[rows], 1 / noise[rows] ** 2
    norm = np.bincount(rho, weight * bright**2)
    value = np.bincount(rho, weight * bright * residual[rows]) / norm
    variance = 1 / norm + (np.bincount(rho, weight * bright * common[rows]) / norm) ** 2
    return max(0.0, mean_and_excess(value, variance, clip)[0])


def _left_out(scws: ScWTable, quiet: Bools, stacked: dict[str, Any], revolution: Ints) -> dict[str, int]:
    """Count revolutions by kind of calibration (in the first band), and excluded ScWs."""
    kind = stacked["kind"][:, 0]
    reached = quiet & (kind[revolution] > BORROWED)
    return {
        "revolutions": int(kind.size),
        "revolutions_own_phase_curve": int((kind == FULL).sum()),
        "revolutions_own_constant": int((kind == CONSTANT).sum()),
        "revolutions_from_neighbours": int((kind == BORROWED).sum()),
        "revolutions_left_out": int((kind == NONE).sum()),
        "scws_left_out": int((kind[revolution] == NONE).sum()),
        "scws_off_plane": int(quiet.sum()),
        "scws_off_plane_clipped": int((reached & ~stacked["used"].all(axis=-1)).sum()),
        "scws_with_crab": int(scws.crab.sum()),
    }
