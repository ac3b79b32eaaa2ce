"""Summaries of a run: intensities and FOV fluxes with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import astropy.units as u
import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.inference.diagnostics import MAX_R_HAT, MIN_ESS, Diagnosis
from ridgebayes.markup import marked
from ridgebayes.runs.convergence import COLUMN, KEY, mark, not_converged
from ridgebayes.units import MCRAB

CI_PROB = 0.94
INNER_PROB = 0.68
CI_KIND = "eti"
"""Intervals hold 94 % of the posterior, with 3 % on either side (equal-tailed)."""

CXB_NOTE = (
    "The isotropic cosmic X-ray background cannot be told from the instrument's: it is part of the "
    "background level, and intensities are above it."
)


CALIBRATED = "calibrated"
"""Group of the draws calibrated by revolution (`ridgebayes.inference.calibration`)."""
TOO_NARROW = 1.15
"""Ratio of calibrated to plain sd above which plain intervals are called too narrow."""
NO_SKY = "The model has no sky: there are no intensities."


class Sampled(Protocol):
    """The attributes of :class:`ridgebayes.runs.run.Run` that this module uses."""

    @property
    def tree(self) -> xr.DataTree:
        """ArviZ groups."""

    @property
    def record(self) -> dict[str, Any]:
        """Contents of `run.toml`."""

    @property
    def path(self) -> Path | None:
        """The run directory."""

    @property
    def diagnosis(self) -> Diagnosis:
        """R-hat, ESS, divergences and warnings."""

    @property
    def converged(self) -> Mapping[str, bool]:
        """Band → whether its draws may be used."""


def need_sky(run: Sampled) -> None:
    """Raise an InputError, in one line, if the model of a run has no sky."""
    if "sky.intensity" not in run.tree["posterior"].dataset:
        _refuse(run, "sky", "regions")


def need_crab(run: Sampled) -> None:
    """Raise an InputError, in one line, if the model of a run has no Crab, and so no mCrab."""
    if "crab_history_mean" not in run.tree["constant_data"].dataset:
        _refuse(run, "Crab", "crab or regions")


def _refuse(run: Sampled, what: str, others: str) -> None:
    name = run.record.get("model", {}).get("name", "")
    where = run.path or "the run"
    raise InputError(f"{where}: its model {name!r} has no {what}: fit another, such as {others}")


def fov_flux(tree: xr.DataTree) -> xr.DataArray:
    """Flux of the whole sky model in a pointing at the centre of each region, mCrab.

    The response is averaged over roll. The flux includes the effective solid angle, as a detector measures
    it.

    Returns
    -------
    xarray.DataArray
        Axes chain, draw, band, region.
    """
    return tree["posterior"].dataset["sky.fov_flux"].rename("fov_flux")


def summarise(draws: xr.DataArray) -> xr.Dataset:
    """Mean, sd and the 94 % equal-tailed interval over chains and draws.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from ridgebayes.products import summarise
    >>> draws = xr.DataArray(np.arange(101.0).reshape(1, 101), dims=("chain", "draw"))
    >>> summary = summarise(draws)
    >>> [round(float(summary[name]), 1) for name in ("mean", "sd", "lo", "hi")]
    [50.0, 29.3, 3.0, 97.0]
    """
    over = ("chain", "draw")
    tail = (1 - CI_PROB) / 2
    # Without skipna=False every row would be handled separately, to look for missing values.
    low, high = draws.quantile([tail, 1 - tail], over, skipna=False).drop_vars("quantile")
    return xr.Dataset({"mean": draws.mean(over), "sd": draws.std(over, ddof=1), "lo": low, "hi": high})


def interval_columns(draws: NDArray, unit: u.UnitBase, prefix: str = "") -> dict[str, Any]:
    """Columns of mean, sd and the 68 % and 94 % intervals over draws (draw, row)."""
    columns = {"mean": draws.mean(axis=0), "sd": draws.std(axis=0, ddof=1)}
    for prob in (INNER_PROB, CI_PROB):
        low, high = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        columns |= {f"lo{prob * 100:.0f}": low, f"hi{prob * 100:.0f}": high}
    return {prefix + name: value * unit for name, value in columns.items()}


def intensity_table(run: Sampled) -> QTable:
    """Table of intensity and FOV flux, a row for each region and band.

    Parameters
    ----------
    run
        The run. The column `warning` marks rows whose R-hat or ESS is beyond the limits.

    Returns
    -------
    astropy.table.QTable
        Columns region, band, E_MIN, E_MAX (keV), mean, sd, lo, hi (mCrab/deg²), ess_bulk, r_hat, fov_mean,
        fov_sd, fov_lo, fov_hi (mCrab), warning, converged (False if no number of the band may be used); for
        simulated data also truth and fov_truth. Empty if the model has no sky.
    """
    tree, diagnosis = run.tree, run.diagnosis
    if "sky.intensity" not in tree["posterior"].dataset:
        return QTable(meta=provenance(run) | {"note": NO_SKY})
    intensity = summarise(tree["posterior"].dataset["sky.intensity"])
    flux = summarise(fov_flux(tree))
    constant = tree["constant_data"].dataset
    bands, regions = intensity["band"].values, intensity["region"].values
    ess, r_hat = (d["sky.intensity"] for d in (diagnosis.ess_bulk, diagnosis.r_hat))
    unseen = set(run.record["data"].get("unseen_regions", []))
    per_degree = MCRAB / u.deg**2

    def column(values: xr.DataArray) -> np.ndarray:
        return values.transpose("region", "band").values.ravel()

    table = QTable(
        {
            "region": np.repeat(regions, bands.size).astype(str),
            "band": np.tile(bands, regions.size).astype(str),
            "E_MIN": np.tile(constant["e_min"].values, regions.size) * u.keV,
            "E_MAX": np.tile(constant["e_max"].values, regions.size) * u.keV,
        }
    )
    for name in ("mean", "sd", "lo", "hi"):
        table[name] = column(intensity[name]) * per_degree
    table["ess_bulk"], table["r_hat"] = column(ess), column(r_hat)
    for name in ("mean", "sd", "lo", "hi"):
        table[f"fov_{name}"] = column(flux[name]) * MCRAB
    if CALIBRATED in tree.children:
        wider = tree[CALIBRATED].dataset
        for site, prefix, unit, plain in (
            ("sky.intensity", "", per_degree, intensity),
            ("sky.fov_flux", "fov_", MCRAB, flux),
        ):
            found = summarise(wider[site])
            for name in ("sd", "lo", "hi"):
                table[f"{prefix}{name}_cal"] = column(found[name]) * unit
            table[f"{prefix}ratio_cal"] = column(found["sd"] / plain["sd"])
    if "true_intensity" in constant:
        table["truth"] = column(constant["true_intensity"]) * per_degree
        table["fov_truth"] = column(constant["true_fov_flux"]) * MCRAB
    table["warning"] = [
        _warning(str(row["region"]) in unseen, row["ess_bulk"], row["r_hat"]) for row in table
    ]
    mark(run, table)
    table.meta = provenance(run) | {
        "ci_prob": CI_PROB,
        "ci_kind": CI_KIND,
        "columns": f"mean, sd, lo, hi: intensity with its {CI_PROB:.0%} equal-tailed interval; fov_*: flux "
        "that a pointing at the region's centre sees of the whole sky model, response averaged over roll; "
        "*_cal: the same calibrated by revolution, ratio_cal: calibrated over plain sd",
        "note": CXB_NOTE,
    }
    return table


def calibration(record: Mapping[str, Any]) -> str:
    """Return how the intervals of a run were calibrated, or why not, from its record."""
    return str(record.get("calibration", "none: it was made by an earlier version: fit again"))


def calibration_words(run: Sampled) -> str:
    """Compare the widths of calibrated and posterior intervals, in one line."""
    if CALIBRATED not in run.tree.children or "sky.fov_flux" not in run.tree[CALIBRATED].dataset:
        return f"calibration of the intervals: {run.record.get('calibration', 'none')}"
    sd = [run.tree[g].dataset["sky.fov_flux"].std(("chain", "draw")) for g in (CALIBRATED, "posterior")]
    ratio = (sd[0] / sd[1]).median("region")
    each = ", ".join(
        f"{band} {value:.2f}" for band, value in zip(ratio["band"].values, ratio.values, strict=True)
    )
    words = "as wide as they should be"
    if float(ratio.max()) > TOO_NARROW:
        words = "too narrow: noise is correlated, or a noise term is missing (ridgebayes check)"
    elif float(ratio.min()) < 1 / TOO_NARROW:
        words = "wider than the scatter of the revolutions"
    return (
        f"calibrated by revolution: sd of FOV flux over the posterior's, median {each}: "
        f"plain intervals are {words}"
    )


def provenance(run: Sampled) -> dict[str, Any]:
    """Return the origin of a product, for the metadata of its table.

    Its time of creation identifies a run, because directories may be moved or renamed.
    """
    record = run.record
    return {
        "origin": f"ridgebayes {record['ridgebayes']}",
        "run": str(run.path or ""),
        "run_created": str(record.get("created", "")),
        "simulated": bool(record["data"]["simulated"]),
        "data": record["data"]["path"],
        "data_fingerprint": record["data"]["fingerprint"],
        "git_commit": record["git_commit"],
        "intervals": "calibrated by revolution" if record.get("draws") == CALIBRATED else "posterior",
        "warnings": list(run.diagnosis.warnings),
        KEY: not_converged(run),
    }


def _warning(unseen: bool, ess: float, r_hat: float) -> str:
    marks = ["no ScW sees it: prior only"] if unseen else []
    marks += [f"R-hat > {MAX_R_HAT}"] if not r_hat <= MAX_R_HAT else []
    marks += [f"ESS < {MIN_ESS}"] if not ess >= MIN_ESS else []
    return "; ".join(marks)


def main_regions(table: QTable, n: int = 6) -> QTable:
    """Return the rows of the `n` best measured regions, those with the highest FOV flux over its error.

    Parameters
    ----------
    table
        Table of `intensity_table` or `ridgebayes.products.flux.flux_table`.
    n
        Number of regions.
    """
    return table[np.isin(table["region"], _best(table)[:n])] if table.colnames else table


def best_first(table: QTable) -> QTable:
    """Sort the rows of an intensity table: best measured regions first, the bands of each together."""
    place = {region: number for number, region in enumerate(_best(table))}
    return table[np.argsort([place[region] for region in table["region"]], kind="stable")]


def _best(table: QTable) -> list[str]:
    """Names of the regions, the best measured in the first band first."""
    first = table[table["band"] == table["band"][0]]
    mean, sd = ("fov_mean", "fov_sd") if "fov_mean" in table.colnames else ("mean", "sd")
    order = np.argsort(-np.asarray(first[mean] / first[sd], float), kind="stable")
    return [str(region) for region in first["region"][order]]


def format_table(table: QTable, *, simulated: bool) -> str:
    """Format an intensity table for the terminal: value ± sd, interval, and the truth if known.

    Parameters
    ----------
    table
        Table of `intensity_table`.
    simulated
        Mark the data as simulated in the title.
    """
    if not table.colnames:
        return marked(NO_SKY, simulated)
    truth = "truth" in table.colnames
    header = f"{'region':<10}{'band':<8}{'intensity':>19}{'94 % interval':>21}"
    header += (f"{'truth':>9}" if truth else "") + f"{'FOV flux':>19}" + (f"{'truth':>9}" if truth else "")
    header += f"{'ESS':>8}{'R-hat':>8}"
    unit = f"{'':<18}{'mCrab/deg²':>19}{'':>21}" + " " * (9 * truth) + f"{'mCrab':>19}"
    lines = [header, unit]
    for row in table:
        value = {name: getattr(row[name], "value", row[name]) for name in table.colnames}
        line = f"{value['region']:<10}{value['band']:<8}{value['mean']:>9.3f} ± {value['sd']:<7.3f}"
        line += f"{value['lo']:>11.3f} … {value['hi']:<7.3f}"
        line += f"{value['truth']:>9.3f}" if truth else ""
        line += f"{value['fov_mean']:>10.2f} ± {value['fov_sd']:<6.2f}"
        line += f"{value['fov_truth']:>9.2f}" if truth else ""
        line += f"{value['ess_bulk']:>8.0f}{value['r_hat']:>8.3f}"
        notes = [value["warning"], "" if value[COLUMN] else "NOT CONVERGED"]
        lines.append(f"{line}  {'; '.join(filter(None, notes))}".rstrip())
    return marked("\n".join(lines), simulated)
