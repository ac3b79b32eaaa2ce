"""Residuals of the ScWs: rate less background in mCrab, and how they are distributed."""

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
"""GAL is what is pointed at most so far from the Galactic plane, degrees; BKG is the rest."""

REGIONS = {
    "GAL": "pointings at |b| <= {latitude:g} deg",
    "BKG": "pointings at |b| > {latitude:g} deg",
    "ALL": "all pointings",
}
_CTS = u.ct / u.s
_COPIED = ("SCW_ID", "REVOL", "PHASE", "MJD", "EXPOSURE", "LON", "LAT", "CRAB", "CRAB_RESPONSE")


class Spread(NamedTuple):
    """How normalised residuals are distributed: number, mean, root mean square, share beyond ±3."""

    number: int
    mean: float
    rms: float
    beyond: float


def in_region(scws: QTable, region: str, latitude: float = LATITUDE) -> Bools:
    """Tell which ScWs belong to a region: GAL (|b| ≤ latitude), BKG (|b| > latitude) or ALL.

    Parameters
    ----------
    scws
        Of `Run.scws`.
    region, latitude
        The region; its limit in degrees.

    Raises
    ------
    InputError
        When there is no such region, or the limit is none.
    """
    if region not in REGIONS:
        raise InputError(f"region '{region}': not one of them{nearest(region, REGIONS)}")
    if not 0 <= latitude <= 90:
        raise InputError(f"latitude {latitude:g}: a limit in |b| is between 0 and 90 degrees")
    off = np.abs(scws["LAT"].to_value(u.deg)) > latitude
    return {"GAL": ~off, "BKG": off, "ALL": np.ones_like(off)}[region]


def described(region: str, latitude: float = LATITUDE) -> str:
    """Say which pointings a region holds."""
    return REGIONS[region].format(latitude=latitude)


def crab_rate_at_scws(run: Run) -> Floats:
    """Posterior mean rate of the Crab in the revolution of each ScW, cts/s per Crab, (scw, band)."""
    need_crab(run)
    constant = run.tree["constant_data"].dataset
    rate = constant["crab_history_mean"].sel(band=run.scws.meta["BAND"]).transpose("revolution", "band")
    row = np.searchsorted(constant["revolution"].values, np.asarray(run.scws["REVOL"]))
    return np.asarray(rate.values, float)[row]


def residual_table(run: Run, region: str = "ALL", latitude: float = LATITUDE) -> QTable:
    """Residuals of the ScWs of a region, a row each, three columns a band.

    Parameters
    ----------
    run
        The run.
    region, latitude
        As of `in_region`.

    Returns
    -------
    astropy.table.QTable
        SCW_ID, REVOL, PHASE, MJD (d, TT), EXPOSURE (s), LON, LAT (deg, galactic), CRAB (True where the Crab
        was not removed: its residual holds it), CRAB_RESPONSE; and for each band, in mCrab, RES_<band> (rate
        less background), ERR_<band> (counting noise, scatter and the background's uncertainty), SKY_<band>
        (what the fit expects of the sky, the Crab included where it was not removed).

    Raises
    ------
    InputError
        When the region is unknown or holds no ScW, or the model has no Crab, and so no mCrab.
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
    """Write a table of `residual_table` as FITS or, where the name ends so, as ECSV; whole or not at all.

    Raises
    ------
    InputError
        When it cannot be written.
    """
    if path.suffix == ".ecsv":
        write_ecsv(table, path)
        return
    with whole_file(path) as scratch:
        write_fits(_hdus(table), scratch)


def normalised(
    run: Run, region: str = "ALL", latitude: float = LATITUDE, *, less_sky: bool = True
) -> dict[str, Floats]:
    """Residuals over their errors, of the ScWs of a region from which the Crab was removed, by band.

    The error holds the uncertainty of a background that was fitted to the same ScW. So the spread lies a
    little below 1, the more the fewer ScWs a revolution has.

    Parameters
    ----------
    run, region, latitude
        As of `residual_table`.
    less_sky
        Take off what the fit expects of the sky.

    Raises
    ------
    InputError
        When the region is unknown or holds no such ScW.
    """
    scws = run.scws
    rows = _rows(run, region, latitude) & ~np.asarray(scws["CRAB"])
    if not rows.any():
        raise InputError(f"{_name(run)}: in every ScW of {region} is the Crab: nothing to draw")
    value, error = residuals(scws[rows], np.array(1000.0))  # in cts/s: of their ratio any unit is right
    sky = scws["SKY"][rows].to_value(_CTS) if less_sky else 0.0
    return {str(band): ((value - sky) / error)[:, k] for k, band in enumerate(scws.meta["BAND"])}


def fit_residuals(run: Run, rows: Bools) -> dict[str, Floats]:
    """(Rate − fit) over the sd of counting noise and scatter, of some ScWs, by band."""
    scws = run.scws[rows]
    value = {name: scws[name].to_value(_CTS) for name in ("RATE", "BACKGROUND", "SKY", "NOISE")}
    pull = (value["RATE"] - value["BACKGROUND"] - value["SKY"]) / value["NOISE"]
    return {str(band): pull[:, k].astype(float) for k, band in enumerate(scws.meta["BAND"])}


def spread(values: Floats) -> Spread:
    """Say how normalised residuals are distributed."""
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
    """Put the table into an extension RESIDUAL; a FITS header has short names."""
    in_mcrab = [name for name in table.colnames if table[name].unit == MCRAB]
    bare = table.copy(copy_data=False)
    for name in in_mcrab:
        bare[name] = table[name].value
    bare.meta = {}
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(bare, name="RESIDUAL")])
    meta = table.meta
    header = hdus[1].header
    for name in in_mcrab:  # not TUNIT: no unit of the FITS standard, of which readers warn
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
