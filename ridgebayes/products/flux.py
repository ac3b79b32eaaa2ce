"""FOV flux of regions: posterior, classical estimate and published value."""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum
from ridgebayes.markup import marked
from ridgebayes.products.published import published_fov, published_source
from ridgebayes.products.skydraws import exposures, shape_draws
from ridgebayes.products.tablefiles import latex_table
from ridgebayes.runs.convergence import COLUMN, mark
from ridgebayes.runs.intensity import CI_KIND, CI_PROB, CXB_NOTE, MCRAB, need_sky, provenance
from ridgebayes.runs.run import Run
from ridgebayes.sky import Sky
from ridgebayes.table.scw import Band
from ridgebayes.typing import Floats

ERG = u.erg / u.s / u.cm**2

COLUMNS = (
    "FOV flux: what a pointing at the region's centre sees of the whole sky model, response averaged over "
    "roll; lo, hi: its {prob:.0%} equal-tailed interval; p_positive: posterior probability that it is above "
    "zero; upper: upper end of that interval where it holds zero, else empty; both are empty where the "
    "chains did not converge; per_degree: of a ridge of this flux along "
    "the plane, per degree of longitude (over the {width:.1f} degrees of plane that a field of "
    "view holds); *_erg: in the band, for the Crab assumed; classical: the same from a background fitted per "
    "revolution"
)


def flux_table(
    run: Run, sky: Sky | None = None, *, crab: CrabSpectrum = CRAB, classical: QTable | None = None
) -> QTable:
    """FOV flux in every region and band.

    Parameters
    ----------
    run
        The run.
    sky
        Regions, also of another region file; default: those of the model.
    crab
        Spectrum assumed for the Crab, for physical units.
    classical
        Table of `ridgebayes.classical.fluxes` for the same regions.

    Returns
    -------
    astropy.table.QTable
        One row per region and band: region, band, E_MIN, E_MAX (keV), mean, sd, lo, hi, upper (mCrab),
        p_positive, mean_erg, sd_erg, lo_erg, hi_erg, upper_erg (erg/s/cm²), per_degree, per_degree_sd
        (mCrab/deg), converged (where False, p_positive and upper are empty);
        published and published_error (mCrab) if there is one; classical and classical_error
        (mCrab), classical_note; truth (mCrab) if the data are simulated and it is known.
    """
    need_sky(run)
    regions = run.sky if sky is None else sky
    bands = _bands(run)
    width = longitude_width(run)
    table = QTable(
        {
            "region": np.repeat(regions.names, len(bands)).astype(str),
            "band": np.tile([b.name for b in bands], len(regions)).astype(str),
            "E_MIN": np.tile([b.e_min for b in bands], len(regions)) * u.keV,
            "E_MAX": np.tile([b.e_max for b in bands], len(regions)) * u.keV,
            **_posterior(run, regions, bands, crab, width),
        }
    )
    published = np.stack([published_fov(name, bands) for name in regions.names], axis=1)
    if np.isfinite(published[0]).any():
        table["published"], table["published_error"] = (x.ravel() * MCRAB for x in published)
    if classical is not None:
        table["classical"], table["classical_error"] = classical["flux"], classical["error"]
        table["classical_note"] = classical["note"]
    truth = _truth(run, regions, [b.name for b in bands])
    if np.isfinite(truth).any():
        table["truth"] = truth.ravel() * MCRAB
    mark(run, table)
    table.meta = provenance(run) | {
        "ci_prob": CI_PROB,
        "ci_kind": CI_KIND,
        "columns": COLUMNS.format(prob=CI_PROB, width=width),
        "crab_spectrum": crab.describe(),
        "note": CXB_NOTE,
        **_sources(regions),
        **({"classical": classical.meta.get("method", "")} if classical is not None else {}),
    }
    return table


def _bands(run: Run) -> list[Band]:
    """Return the bands of a run."""
    constant = run.tree["constant_data"].dataset
    edges = (constant[name].values for name in ("band", "e_min", "e_max"))
    return [Band(str(name), float(low), float(high)) for name, low, high in zip(*edges, strict=True)]


def _posterior(
    run: Run, regions: Sky, bands: Sequence[Band], crab: CrabSpectrum, width: float
) -> dict[str, u.Quantity | NDArray]:
    """Summarise the posterior of the FOV flux, as columns with one row per region and band."""
    seen = exposures(run, regions.centre_lon, regions.centre_lat)
    # (draw, region, band)
    draws = np.stack([shape_draws(run, b.name, as_seen=True) @ seen.T for b in bands], axis=-1)
    tail = (1 - CI_PROB) / 2
    lo, hi = np.quantile(draws, [tail, 1 - tail], axis=0)
    mean, sd = draws.mean(0), draws.std(0, ddof=1)
    well = np.array([run.converged[b.name] for b in bands])
    # Chains that disagree allow neither a detection nor an upper limit.
    upper = np.where((lo <= 0) & (hi >= 0) & well, hi, np.nan)
    erg = np.array([crab.erg_per_mcrab(b.e_min, b.e_max) for b in bands])
    values = {"mean": mean, "sd": sd, "lo": lo, "hi": hi, "upper": upper}
    return {
        **{name: value.ravel() * MCRAB for name, value in values.items()},
        "p_positive": np.where(well, (draws > 0).mean(0), np.nan).ravel(),
        **{f"{name}_erg": (value * erg).ravel() * ERG for name, value in values.items()},
        "per_degree": mean.ravel() / width * MCRAB / u.deg,
        "per_degree_sd": sd.ravel() / width * MCRAB / u.deg,
    }


def longitude_width(run: Run) -> float:
    """Effective length of the plane within a field of view centred on it, deg: ∫ R dl.

    A ridge of 1 mCrab per degree of longitude has this FOV flux in mCrab.
    """
    response = run.response
    return float(2 * np.trapezoid(response.value, response.angle))


def _truth(run: Run, regions: Sky, bands: list[str]) -> Floats:
    """Return the true FOV flux, (region, band), of the regions of the run; NaN for other regions."""
    constant = run.tree["constant_data"].dataset
    truth = np.full((len(regions), len(bands)), np.nan)
    if not run.simulated or "true_fov_flux" not in constant:
        return truth
    own = {r.name: (r.centre_lon, r.centre_lat) for r in run.sky.regions}
    for row, region in enumerate(regions.regions):
        if own.get(region.name) == (region.centre_lon, region.centre_lat):
            truth[row] = constant["true_fov_flux"].sel(region=region.name, band=bands).values
    return truth


def _sources(regions: Sky) -> dict[str, str]:
    sources = [published_source(name) for name in regions.names]
    return {"published": "; ".join(dict.fromkeys(filter(None, sources)))}


def latex(table: QTable) -> str:
    """Return a flux table as LaTeX, rounded to the significant digits of the sd."""
    return latex_table(table, "FOV flux", "mCrab")


def format_fluxes(table: QTable) -> str:
    """Format a flux table for the terminal."""
    extra = [n for n in ("classical", "published", "truth") if n in table.colnames]
    head = f"{'region':<12}{'band':<8}{'FOV flux':>18}{'94 % interval':>20}{'P(>0)':>7}"
    head += f"{'erg/s/cm2':>12}{'mCrab/deg':>11}"
    lines = [head + "".join(f"{n:>18}" if n != "truth" else f"{n:>9}" for n in extra)]
    for row in table:
        v = {n: getattr(row[n], "value", row[n]) for n in table.colnames}
        limit = f"< {v['upper']:.2f}" if np.isfinite(v["upper"]) else f"{v['mean']:.2f} ± {v['sd']:<6.2f}"
        line = f"{v['region']:<12}{v['band']:<8}{limit:>18}{v['lo']:>10.2f} … {v['hi']:<7.2f}"
        line += f"{v['p_positive']:>7.3f}{v['mean_erg']:>12.3g}{v['per_degree']:>11.2f}"
        for name in extra:
            if name == "truth":
                line += f"{v['truth']:>9.2f}"
            elif np.isfinite(v[name]):
                line += f"{v[name]:>11.2f} ± {v[f'{name}_error']:<4.2f}"
            else:
                line += f"{'–':>18}"
        lines.append(line if v[COLUMN] else f"{line}  NOT CONVERGED".replace("nan", "  –"))
    return marked("\n".join(lines), table.meta["simulated"])
