"""Residuals of the ScWs: rate minus background in mCrab, and their distribution."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable

from ridgebayes.errors import InputError, nearest
from ridgebayes.io.bounded import write_fits
from ridgebayes.io.product_tables import write_ecsv
from ridgebayes.products.files import ascii_only, provenance_keywords, whole_file
from ridgebayes.runs.convergence import KEY, mark, words
from ridgebayes.runs.fitted_scws import residuals
from ridgebayes.runs.intensity import CXB_NOTE, MCRAB, need_crab, provenance
from ridgebayes.runs.run import Run
from ridgebayes.typing import Bools, Floats

LATITUDE = 20.0
"""Largest latitude |b| of GAL pointings, degrees; the others are BKG."""

REGIONS = {
    "GAL": "pointings at |b| <= {latitude:g} deg",
    "BKG": "pointings at |b| > {latitude:g} deg",
    "ALL": "all pointings",
}
_CTS = u.ct / u.s
_COPIED = ("SCW_ID", "REVOL", "PHASE", "MJD", "EXPOSURE", "LON", "LAT", "CRAB", "CRAB_RESPONSE")


class Spread(NamedTuple):
    """Distribution of normalised residuals: number, mean, root mean square, fraction beyond ±3."""

    number: int
    mean: float
    rms: float
    beyond: float


def in_region(scws: QTable, region: str, latitude: float = LATITUDE) -> Bools:
    """Tell which ScWs belong to a region: GAL (|b| ≤ latitude), BKG (|b| > latitude) or ALL.

    Parameters
    ----------
    scws
        Table of `Run.scws`.
    region, latitude
        The region; its limit in degrees.

    Raises
    ------
    InputError
        If there is no such region, or the limit is invalid.
    """
    if region not in REGIONS:
        raise InputError(f"region '{region}': not one of them{nearest(region, REGIONS)}")
    if not 0 <= latitude <= 90:
        raise InputError(f"latitude {latitude:g}: a limit in |b| is between 0 and 90 degrees")
    off = np.abs(scws["LAT"].to_value(u.deg)) > latitude
    return {"GAL": ~off, "BKG": off, "ALL": np.ones_like(off)}[region]


def described(region: str, latitude: float = LATITUDE) -> str:
    """Describe the pointings of a region."""
    return REGIONS[region].format(latitude=latitude)


def crab_rate_at_scws(run: Run) -> Floats:
    """Posterior mean rate of the Crab in the revolution of each ScW, cts/s per Crab, (scw, band)."""
    need_crab(run)
    constant = run.tree["constant_data"].dataset
    rate = constant["crab_history_mean"].sel(band=run.scws.meta["BAND"]).transpose("revolution", "band")
    row = np.searchsorted(constant["revolution"].values, np.asarray(run.scws["REVOL"]))
    return np.asarray(rate.values, float)[row]


def residual_table(run: Run, region: str = "ALL", latitude: float = LATITUDE) -> QTable:
    """Residuals of the ScWs of a region, one row per ScW, three columns per band.

    Parameters
    ----------
    run
        The run.
    region, latitude
        As in `in_region`.

    Returns
    -------
    astropy.table.QTable
        SCW_ID, REVOL, PHASE, MJD (d, TT), EXPOSURE (s), LON, LAT (deg, galactic), CRAB (True if the Crab was
        not removed: the residual contains it), CRAB_RESPONSE; and for each band, in mCrab, RES_<band> (rate
        minus background), ERR_<band> (counting noise, scatter and uncertainty of the background), SKY_<band>
        (fitted rate of the sky, with the Crab if it was not removed).

    Raises
    ------
    InputError
        If the region is unknown or has no ScW, or the model has no Crab, which defines the mCrab.
    """
    rows = _rows(run, region, latitude)
    scws, crab = run.scws[rows], crab_rate_at_scws(run)[rows]
    value, error = residuals(scws, crab)
    sky = scws["SKY"].to_value(_CTS) * 1000.0 / crab
    table = QTable({name: scws[name] for name in _COPIED})
    for k, band in enumerate(scws.meta["BAND"]):
        for name, what in (("RES", value), ("ERR", error), ("SKY", sky)):
            table[f"{name}_{band}"] = what[:, k].astype(np.float32) * MCRAB
    mark(run, table, scws.meta["BAND"])
    table.meta = provenance(run) | {
        "region": region,
        "region_is": described(region, latitude),
        "latitude": float(latitude),
        "bands": [str(band) for band in scws.meta["BAND"]],
        "columns": "RES: rate less background; ERR: its error; SKY: what the fit expects of the sky; by the "
        "posterior mean rate of the Crab in that revolution. CRAB: the Crab was not removed and is in RES",
        "note": CXB_NOTE,
    }
    return table


def write_residuals(table: QTable, path: Path) -> None:
    """Write a table of `residual_table` as FITS, or as ECSV if the name ends in .ecsv; whole or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    if path.suffix == ".ecsv":
        write_ecsv(table, path)
        return
    with whole_file(path) as scratch:
        write_fits(_hdus(table), scratch)


def normalised(
    run: Run, region: str = "ALL", latitude: float = LATITUDE, *, less_sky: bool = True
) -> dict[str, Floats]:
    """Band → residuals over their errors, for the ScWs of a region without the Crab.

    The error includes the uncertainty of a background that was fitted to the same ScW. The spread is
    therefore slightly below 1, and lower if revolutions have few ScWs.

    Parameters
    ----------
    run, region, latitude
        As in `residual_table`.
    less_sky
        Subtract the fitted sky.

    Raises
    ------
    InputError
        If the region is unknown or has no such ScW.
    """
    scws = run.scws
    rows = _rows(run, region, latitude) & ~np.asarray(scws["CRAB"])
    if not rows.any():
        raise InputError(f"{_name(run)}: in every ScW of {region} is the Crab: nothing to draw")
    value, error = residuals(scws[rows], np.array(1000.0))  # in cts/s: the unit cancels in the ratio
    sky = scws["SKY"][rows].to_value(_CTS) if less_sky else 0.0
    return {str(band): ((value - sky) / error)[:, k] for k, band in enumerate(scws.meta["BAND"])}


def fit_residuals(run: Run, rows: Bools) -> dict[str, Floats]:
    """Band → (rate − fit) / sd of counting noise and scatter, for some ScWs."""
    scws = run.scws[rows]
    value = {name: scws[name].to_value(_CTS) for name in ("RATE", "BACKGROUND", "SKY", "NOISE")}
    pull = (value["RATE"] - value["BACKGROUND"] - value["SKY"]) / value["NOISE"]
    return {str(band): pull[:, k].astype(float) for k, band in enumerate(scws.meta["BAND"])}


def spread(values: Floats) -> Spread:
    """Summarise the distribution of normalised residuals."""
    return Spread(
        values.size,
        float(values.mean()),
        float(np.sqrt(np.mean(values**2))),
        float(np.mean(np.abs(values) > 3)),
    )


def _rows(run: Run, region: str, latitude: float) -> Bools:
    rows = in_region(run.scws, region, latitude)
    if not rows.any():
        raise InputError(f"{_name(run)}: has no ScW in {region}, {described(region, latitude)}")
    return rows


def _name(run: Run) -> str:
    return str(run.path or "the run")


def _hdus(table: QTable) -> fits.HDUList:
    """Convert the table to an extension RESIDUAL, with the short keywords of a FITS header."""
    in_mcrab = [name for name in table.colnames if table[name].unit == MCRAB]
    bare = table.copy(copy_data=False)
    for name in in_mcrab:
        bare[name] = table[name].value
    bare.meta = {}
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(bare, name="RESIDUAL")])
    meta = table.meta
    header = hdus[1].header
    for name in in_mcrab:  # not TUNIT: mCrab is not a unit of the FITS standard, and readers warn
        header.comments[f"TTYPE{hdus[1].columns.names.index(name) + 1}"] = "[mCrab]"
    header["TIMESYS"] = "TT"
    header["REGION"] = (meta["region"], "which ScWs")
    header["LATITUDE"] = (meta["latitude"], "[deg] limit in |b| between GAL and BKG")
    header.update(provenance_keywords(meta))
    header.comments["SIMUL"] = "T where the data are simulated"
    header.comments["CONVERGD"] = "F: the chains disagree, do not use"
    warnings = [f"WARNING: {w}" for w in [words(meta[KEY]), *meta["warnings"]] if w]
    for note in [f"{meta['region']}: {meta['region_is']}", meta["columns"], meta["note"], *warnings]:
        header["COMMENT"] = ascii_only(note)
    hdus[0].header["SIMUL"] = meta["simulated"]
    return hdus
