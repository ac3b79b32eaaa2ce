"""Detector rate of the Crab over time, and the ScWs that contain the Crab."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ridgebayes.products.residuals import crab_rate_at_scws
from ridgebayes.products.truth import Truth
from ridgebayes.runs.convergence import mark
from ridgebayes.runs.intensity import CI_KIND, CI_PROB, need_crab, provenance
from ridgebayes.runs.run import SCWS, Run

MIN_RESPONSE = 0.05
"""Smallest response of a point: ScWs with a lower response to the Crab hardly constrain its rate."""

BIN_YEARS = 0.5  # the Crab is visible in spring and in autumn
_CTS = u.ct / u.s
_SUMMARY = ("mean", "sd", "lo", "hi")


def holds_scws(run: Run) -> bool:
    """Tell whether the run has the table of fitted ScWs."""
    return run.fit is not None or (run.path is not None and (run.path / SCWS).is_file())


def rate_is_given(run: Run) -> bool:
    """Tell whether the Crab rate was given, not fitted."""
    return "crab.rate" not in run.tree["posterior"].dataset


def crab_table(run: Run, truth: Truth | None = None) -> QTable:
    """Detector rate of the Crab, one row per revolution and band.

    Parameters
    ----------
    run
        The run.
    truth
        True values of simulated data.

    Returns
    -------
    astropy.table.QTable
        REVOL, MJD (d, TT), band, E_MIN, E_MAX (keV), mean, sd, lo, hi (cts/s; lo to hi: 94 % interval),
        crab_scws (number of ScWs of the revolution with the Crab); truth (cts/s), if given.

    Raises
    ------
    InputError
        If the model has no Crab.
    """
    need_crab(run)
    constant = run.tree["constant_data"].dataset
    revolution, bands = constant["revolution"].values, [str(band) for band in constant["band"].values]
    crab = np.asarray(run.scws["REVOL"])[np.asarray(run.scws["CRAB"])]
    by_band = {
        name: constant[f"crab_history_{name}"].transpose("band", "revolution").values for name in _SUMMARY
    }
    table = QTable(
        {
            "REVOL": np.tile(revolution, len(bands)),
            "MJD": np.tile(constant["mjd"].values, len(bands)) * u.d,
            "band": np.repeat(bands, revolution.size),
            "E_MIN": np.repeat(constant["e_min"].values, revolution.size) * u.keV,
            "E_MAX": np.repeat(constant["e_max"].values, revolution.size) * u.keV,
            **{name: value.ravel() * _CTS for name, value in by_band.items()},
            "crab_scws": np.tile([(crab == one).sum() for one in revolution], len(bands)),
        }
    )
    if truth is not None:
        mjd = constant["mjd"].values
        missing = np.full(truth.mjd.size, np.nan)
        each = [np.interp(mjd, truth.mjd, truth.crab_rate.get(band, missing)) for band in bands]
        table["truth"] = np.concatenate(each) * _CTS
    given = rate_is_given(run)
    mark(run, table)
    table.meta = provenance(run) | {
        "ci_prob": CI_PROB,
        "ci_kind": CI_KIND,
        "crab_scws": int(crab.size),
        "crab_rate": "given, not fitted" if given else "fitted",
        "columns": "rate over the whole detector that the Crab would give on axis in that revolution",
    }
    return table


def crab_points(run: Run, band: str) -> QTable:
    """Rate of the Crab in each ScW that contains it: (rate − background − other sky) / response.

    Parameters
    ----------
    run, band
        The run, the name of a band.

    Returns
    -------
    astropy.table.QTable
        Sorted by MJD: SCW_ID, REVOL, MJD (d), RESPONSE, rate, error (cts/s per Crab), and the parts of error:
        own (counting noise and scatter), shared (background; common to the ScWs of a revolution).
    """
    k = list(run.scws.meta["BAND"]).index(band)
    response = np.asarray(run.scws["CRAB_RESPONSE"])
    rows = np.flatnonzero(np.asarray(run.scws["CRAB"]) & (response >= MIN_RESPONSE))
    scws, response, crab = run.scws[rows], response[rows], crab_rate_at_scws(run)[rows, k]
    value = {
        name: scws[name][:, k].to_value(_CTS).astype(float)
        for name in ("RATE", "BACKGROUND", "BACKGROUND_SD", "NOISE", "SKY")
    }
    other = value["SKY"] - crab * response
    own, shared = value["NOISE"] / response, value["BACKGROUND_SD"] / response
    points = QTable(
        {
            "SCW_ID": scws["SCW_ID"],
            "REVOL": scws["REVOL"],
            "MJD": scws["MJD"],
            "RESPONSE": response,
            "rate": (value["RATE"] - value["BACKGROUND"] - other) / response * _CTS,
            "error": np.hypot(own, shared) * _CTS,
            "own": own * _CTS,
            "shared": shared * _CTS,
        }
    )
    return points[np.argsort(points["MJD"], kind="stable")]


def binned(points: QTable, width: float = BIN_YEARS) -> QTable:
    """Weighted means of points in bins of time; empty bins are left out.

    Weights are 1 / error². The shared error of the ScWs of a revolution does not average out.

    Parameters
    ----------
    points
        Points of `crab_points`.
    width
        Width of a bin, years.

    Returns
    -------
    astropy.table.QTable
        MJD (d), rate, error (cts/s), scws.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> from ridgebayes.products.crab import binned
    >>> points = QTable({"REVOL": [100, 100], "MJD": [53000.0, 53001.0], "rate": [100.0, 102.0]})
    >>> points["error"], points["own"], points["shared"] = 5.0, 3.0, 4.0
    >>> for name, unit in zip(points.colnames[1:], ["d", *4 * ["ct / s"]]):
    ...     points[name].unit = unit
    >>> binned(points)["error"].round(2)  # 4 and 3 / √2 in quadrature: the ScWs share a revolution
    <Quantity [4.53] ct / s>
    """
    mjd = points["MJD"].to_value(u.d)
    rate, error, own, shared = (points[name].to_value(_CTS) for name in ("rate", "error", "own", "shared"))
    revolution = np.asarray(points["REVOL"])
    weight = error**-2
    step = np.floor((mjd - mjd.min()) / (width * 365.25)).astype(int) if mjd.size else mjd.astype(int)
    found = []
    for one in np.unique(step):
        rows = np.flatnonzero(step == one)
        w = weight[rows] / weight[rows].sum()
        _, of = np.unique(revolution[rows], return_inverse=True)
        variance = np.sum((w * own[rows]) ** 2) + np.sum(np.bincount(of, w * shared[rows]) ** 2)
        found.append((w @ mjd[rows], w @ rate[rows], np.sqrt(variance), rows.size))
    column = np.array(found).reshape(-1, 4).T
    return QTable(
        {
            "MJD": column[0] * u.d,
            "rate": column[1] * _CTS,
            "error": column[2] * _CTS,
            "scws": column[3].astype(int),
        }
    )
