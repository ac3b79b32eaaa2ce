"""Table of the fitted background, sky and noise of every ScW, and residuals from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import QTable, Table
from numpy.typing import NDArray

from ridgebayes.io.bounded import one_line, open_fits, write_fits

if TYPE_CHECKING:
    from ridgebayes.likelihood.design import Prepared
    from ridgebayes.runs.fitted import Fitted

_CTS = u.ct / u.s


def scw_fit(prepared: Prepared, fit: Fitted) -> QTable:
    """Make the table of fitted values of every ScW, in ascending order of SCW_ID.

    Returns
    -------
    astropy.table.QTable
        SCW_ID, REVOL, PHASE, MJD (d, TT), EXPOSURE (s), LON, LAT (deg, galactic), CRAB (True if the Crab was
        not removed), CRAB_RESPONSE; and, with one element for each band, in cts/s: RATE, STAT_ERR, BACKGROUND
        with its posterior sd BACKGROUND_SD (revolution terms included), SKY (fitted), NOISE (sd of counting
        noise and scatter together). Metadata: bands, simulated.
    """
    scws, where = prepared.scws, prepared.layout
    columns: dict[str, Any] = {
        "SCW_ID": scws.scw_id,
        "REVOL": scws.revolution,
        "PHASE": scws.phase,
        "MJD": scws.mjd * u.d,
        "EXPOSURE": scws.exposure * u.s,
        "LON": scws.lon * u.deg,
        "LAT": scws.lat * u.deg,
        "CRAB": scws.crab,
        "CRAB_RESPONSE": where.unpack(prepared.data.crab_response),
    }
    values = {
        "RATE": scws.rate.T,
        "STAT_ERR": scws.stat_err.T,
        "BACKGROUND": where.unpack(fit.background),
        "BACKGROUND_SD": where.unpack(fit.background_sd),
        "SKY": where.unpack(fit.seen),
        "NOISE": where.unpack(fit.noise),
    }
    # Single precision is good to 1e-7, and thirty bands of a long mission then fit on a laptop's disk.
    columns |= {name: value.T.astype(np.float32) * _CTS for name, value in values.items()}
    meta = {
        "BAND": [band.name for band in scws.bands],
        "E_MIN": [band.e_min for band in scws.bands],
        "E_MAX": [band.e_max for band in scws.bands],
        "SIMUL": bool(scws.meta["simulated"]),
    }
    return QTable(columns, meta=meta)


def residuals(table: QTable, crab_rate: NDArray) -> tuple[NDArray, NDArray]:
    """Rate less background, and its error, in mCrab, each (scw, band).

    Parameters
    ----------
    table
        Table of `scw_fit`.
    crab_rate
        Rate of the Crab at each ScW, cts/s per Crab, (scw, band).

    Returns
    -------
    residual, error
        Rate of the sky; counting noise, scatter and uncertainty of the background in quadrature.
    """
    value = {name: table[name].to_value(_CTS) for name in ("RATE", "BACKGROUND", "BACKGROUND_SD", "NOISE")}
    per_mcrab = 1000.0 / crab_rate
    error = np.hypot(value["NOISE"], value["BACKGROUND_SD"])
    return (value["RATE"] - value["BACKGROUND"]) * per_mcrab, error * per_mcrab


def write_scw_fit(table: QTable, path: Path) -> None:
    """Write the table of `scw_fit` as FITS, with its bands in an extension EBOUNDS."""
    meta = dict(table.meta)
    bands = Table({name: meta.pop(name) for name in ("BAND", "E_MIN", "E_MAX")})
    bands["E_MIN"].unit = bands["E_MAX"].unit = u.keV
    bare = table.copy(copy_data=False)
    bare.meta = meta
    hdus = [fits.PrimaryHDU(), fits.table_to_hdu(bare, name="SCW"), fits.table_to_hdu(bands, name="EBOUNDS")]
    hdus[0].header["SIMUL"] = meta["SIMUL"]
    hdus[1].header["TIMESYS"] = "TT"
    write_fits(fits.HDUList(hdus), path)


def read_scw_fit(path: Path) -> QTable:
    """Read a table of `write_scw_fit`.

    Raises
    ------
    InputError
        If the file is incomplete.
    """
    with one_line(path, "what a fit says of every ScW"), open_fits(path) as hdus:
        table, bands = QTable.read(hdus["SCW"]), Table.read(hdus["EBOUNDS"])
        simulated = bool(hdus[0].header["SIMUL"])
        table["SCW_ID"] = np.asarray(table["SCW_ID"]).astype(str)
        table.meta = {name: np.asarray(bands[name]).tolist() for name in bands.colnames} | {
            "SIMUL": simulated
        }
        return table
