"""Posterior of the ratio of intensity to starlight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
from astropy.table import QTable

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum
from ridgebayes.io.bounded import one_line, open_fits
from ridgebayes.markup import marked
from ridgebayes.products.profile import Template, scaled_starlight
from ridgebayes.products.published import published_ratio
from ridgebayes.runs.convergence import mark
from ridgebayes.runs.intensity import CI_KIND, CI_PROB, CXB_NOTE, MCRAB, interval_columns, provenance
from ridgebayes.runs.run import Run
from ridgebayes.sky import Shape
from ridgebayes.typing import Floats

OWN_UNIT = "starlight towards the Galactic centre"
FLUX_UNIT = 1e-11
"""Unit of the intensity in the ratio, erg/s/cm²/deg², as in the published ratio."""
UNLIKELY = 0.01


def starlight_ratio(
    run: Run, image: str | Path | None = None, *, unit: str = "", crab: CrabSpectrum = CRAB
) -> QTable:
    """Ratio of the intensity of the plane to a map of starlight, one row per band.

    The ratio of each draw is the norm of the map fitted to the regions near the plane (see
    `ridgebayes.products.profile.Template`). Its χ² measures departures of single regions from the map.

    Parameters
    ----------
    run
        The run.
    image
        A map of starlight, HEALPix or WCS image in FITS; by default the model of Freudenreich 1998, which is
        1 towards the Galactic centre.
    unit
        Unit of the map, if its header (BUNIT, TUNIT1) has none or a wrong one.
    crab
        Spectrum assumed for the Crab.

    Returns
    -------
    astropy.table.QTable
        band, E_MIN, E_MAX (keV); mean, sd, lo68 … hi94: mCrab/deg² per unit of the map; the same with the
        prefix ``flux_``: 1e-11 erg/s/cm²/deg² per unit of the map; chi2, dof, p (of the posterior mean about
        the scaled map) and verdict, in words.

    Raises
    ------
    InputError
        If the map cannot be read or has no data in a region, or no region is near the plane.
    """
    shape = None if image is None else Shape("template", None, str(image))
    named = OWN_UNIT if image is None else unit or _unit(Path(image))
    found = scaled_starlight(run, shape)
    if not found:
        raise InputError(f"{image or 'starlight'}: is zero in all observed regions near the plane")
    table = mark(run, QTable([_row(run, band, template, crab) for band, template in found.items()]))
    value, error, band, source = published_ratio()
    table.meta = provenance(run) | {
        "map": "Freudenreich 1998" if image is None else str(image),
        "map_unit": named or "not stated",
        "ci_prob": CI_PROB,
        "ci_kind": CI_KIND,
        "columns": f"mean ...: mCrab/deg2 over the map; flux_: {FLUX_UNIT:g} erg/s/cm2/deg2 over the map",
        "published": f"{value:g} ± {error:g} in {band} keV over 3.5 um in MJy/sr ({source}); another band",
        "crab": crab.describe(),
        "note": CXB_NOTE,
    }
    return table


def _row(run: Run, band: str, template: Template, crab: CrabSpectrum) -> dict[str, Any]:
    """Return the row of a band: the ratio in both units, and whether the map fits."""
    constant = run.tree["constant_data"].dataset
    low, high = (float(constant[edge].sel(band=band)) for edge in ("e_min", "e_max"))
    erg = float(crab.erg_per_mcrab(low, high)) / FLUX_UNIT
    return {
        "band": band,
        "E_MIN": low * u.keV,
        "E_MAX": high * u.keV,
        **_one(template.norm, MCRAB / u.deg**2, ""),
        **_one(template.norm * erg, u.dimensionless_unscaled, "flux_"),
        "chi2": template.misfit,
        "dof": template.dof,
        "p": template.p_value,
        "verdict": verdict(template),
    }


def verdict(template: Template) -> str:
    """Describe whether the posterior of a band is a multiple of the map.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.products.profile import Template
    >>> from ridgebayes.products.starlight import verdict
    >>> verdict(Template(np.ones(5), np.full(100, 0.7), misfit=40.0, dof=4))
    'the plane is not a multiple of the map (chi-square 40 of 4): the interval does not include this'
    """
    if not template.dof:
        return "one region: nothing to compare"
    numbers = f"chi-square {template.misfit:.0f} of {template.dof}"
    if template.p_value < UNLIKELY:
        return f"the plane is not a multiple of the map ({numbers}): the interval does not include this"
    return f"the plane may be a multiple of the map ({numbers})"


def format_ratio(table: QTable) -> str:
    """Format a table of `starlight_ratio` for the terminal."""
    meta = table.meta
    lines = [
        f"map: {meta['map']}, unit: {meta['map_unit']}",
        f"{'band':<8}{'keV':>11}{'mCrab/deg² over the map':>28}{'1e-11 erg/s/cm²/deg² over it':>32}",
    ]
    for row in table:
        line = f"{row['band']:<8}{row['E_MIN'].value:>5.4g}–{row['E_MAX'].value:<5.4g}"
        line += f"{row['mean'].value:>17.4g} ± {row['sd'].value:<8.2g}"
        line += f"{float(row['flux_mean']):>21.4g} ± {float(row['flux_sd']):<8.2g}"
        lines.append(f"{line}  {row['verdict']}")
    lines.append(f"published: {meta['published']}")
    lines += [meta["crab"], *(f"WARNING: {warning}" for warning in meta["warnings"])]
    return marked("\n".join(lines), meta["simulated"])


def _one(draws: Floats, unit: u.UnitBase, prefix: str) -> dict[str, u.Quantity]:
    return {name: value[0] for name, value in interval_columns(draws[:, None], unit, prefix).items()}


def _unit(path: Path) -> str:
    """Read the unit in the header of a map; empty if there is none."""
    with one_line(path, "a HEALPix map or WCS image in FITS"), open_fits(path) as hdus:
        for hdu in hdus:
            if "ORDERING" in hdu.header:
                return str(hdu.header.get("TUNIT1", ""))
            if hdu.is_image and hdu.header.get("NAXIS", 0) > 1:
                return str(hdu.header.get("BUNIT", ""))
    return ""
