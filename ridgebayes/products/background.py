"""The background: level, terms and phase curves of the revolutions, scatter."""

from __future__ import annotations

from typing import NamedTuple

import astropy.units as u
import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.polynomial import legendre
from scipy import stats

from ridgebayes.errors import InputError
from ridgebayes.likelihood.design import TERMS
from ridgebayes.products.monitor import Monitor
from ridgebayes.products.residuals import LATITUDE, fit_residuals, in_region
from ridgebayes.products.truth import Truth
from ridgebayes.runs.convergence import mark
from ridgebayes.runs.intensity import CI_KIND, CI_PROB, CXB_NOTE, INNER_PROB, provenance, summarise
from ridgebayes.runs.run import Run
from ridgebayes.typing import Floats

PER_CENT = u.percent
_CTS = u.ct / u.s


class PhaseCurves(NamedTuple):
    """Phase curves of the revolutions: background relative to the level, per cent.

    Attributes
    ----------
    phase
        (P,), 0 (perigee) to 1.
    median, lo, hi
        Of all revolution terms, (P,); 68 % of the revolutions lie between lo and hi.
    shape, shape_lo, shape_hi
        The same without the constant term.
    seen
        Lowest and highest phase of any ScW.
    """

    phase: Floats
    median: Floats
    lo: Floats
    hi: Floats
    shape: Floats
    shape_lo: Floats
    shape_hi: Floats
    seen: tuple[float, float]


def coefficient_table(run: Run) -> QTable:
    """Background level and terms, one row per revolution and band.

    Parameters
    ----------
    run
        The run.

    Returns
    -------
    astropy.table.QTable
        REVOL, MJD (d, TT), band; scws (number of ScWs), scws_bkg (number of those at |b| > 20° without the
        Crab); level, level_sd (cts/s: slow level without the tracer term); constant, phase, phase2 and their
        ``_sd`` (cts/s: posterior mean and sd of the coefficients of 1, P₁(x), P₂(x), x = 2·phase − 1).
    """
    constant = run.tree["constant_data"].dataset
    revolution, bands = constant["revolution"].values, _bands(constant)
    scws = run.scws
    quiet = in_region(scws, "BKG") & ~np.asarray(scws["CRAB"])
    number = {"scws": np.ones(len(scws), bool), "scws_bkg": quiet}
    row = np.searchsorted(revolution, np.asarray(scws["REVOL"]))
    count = {name: np.bincount(row[mask], minlength=revolution.size) for name, mask in number.items()}
    table = QTable(
        {
            "REVOL": np.tile(revolution, len(bands)),
            "MJD": np.tile(constant["mjd"].values, len(bands)) * u.d,
            "band": np.repeat(bands, revolution.size),
            **{name: np.tile(value, len(bands)) for name, value in count.items()},
        }
    )
    axes = ("band", "revolution")
    table["level"] = constant["background_history_mean"].transpose(*axes).values.ravel() * _CTS
    table["level_sd"] = constant["background_history_sd"].transpose(*axes).values.ravel() * _CTS
    for term in TERMS:
        for name, source in ((term, "coefficient"), (f"{term}_sd", "coefficient_sd")):
            table[name] = constant[source].sel(term=term).transpose(*axes).values.ravel() * _CTS
    mark(run, table)
    table.meta = provenance(run) | {
        "latitude": LATITUDE,
        "columns": "background of a ScW: level + tracer term + constant + phase P1(x) + phase2 P2(x), "
        "x = 2 PHASE - 1, P Legendre polynomials",
        "note": CXB_NOTE,
    }
    return table


def scatter_table(run: Run, truth: Truth | None = None) -> QTable:
    """Scatter of the background from ScW to ScW in excess of counting noise, one row per band.

    Parameters
    ----------
    run
        The run.
    truth
        True values of simulated data.

    Returns
    -------
    astropy.table.QTable
        band, E_MIN, E_MAX (keV); mean, sd, lo68, hi68, lo94, hi94 in per cent of the level; truth, if given.
        If the scatter is fixed, all are its value and sd is zero.
    """
    constant = run.tree["constant_data"].dataset
    bands = _bands(constant)
    draws = 100.0 * _draws(run, "background.scatter")
    summary = summarise(draws)
    tail = (1 - INNER_PROB) / 2
    over = ("chain", "draw")
    columns = {
        "mean": summary["mean"],
        "sd": summary["sd"],
        "lo68": draws.quantile(tail, over),
        "hi68": draws.quantile(1 - tail, over),
        "lo94": summary["lo"],
        "hi94": summary["hi"],
    }
    table = QTable(
        {
            "band": bands,
            "E_MIN": constant["e_min"].values * u.keV,
            "E_MAX": constant["e_max"].values * u.keV,
            **{name: np.asarray(value.sel(band=bands).values) * PER_CENT for name, value in columns.items()},
        }
    )
    if truth is not None:
        table["truth"] = 100.0 * np.array([truth.scatter.get(band, np.nan) for band in bands]) * PER_CENT
    mark(run, table)
    table.meta = provenance(run) | {
        "ci_prob": CI_PROB,
        "ci_kind": CI_KIND,
        "columns": "background.scatter in per cent of the level; lo68 ... hi94: 68 % and 94 % intervals",
    }
    return table


def phase_curves(run: Run, band: str, points: int = 101) -> PhaseCurves:
    """Median and 68 % interval of the phase curves of the revolutions.

    The curves are posterior means. They scatter less than the true curves if revolutions have few ScWs.

    Parameters
    ----------
    run, band
        The run, the name of a band.
    points
        Phases from 0 to 1.
    """
    constant = run.tree["constant_data"].dataset.sel(band=band)
    phase = np.linspace(0.0, 1.0, points)
    basis = legendre.legvander(2 * phase - 1, 2)
    terms = constant["coefficient"].sel(term=list(TERMS)).transpose("revolution", "term").values
    relative = 100.0 * terms / constant["background_history_mean"].values[:, None]
    tails = ((1 - INNER_PROB) / 2, (1 + INNER_PROB) / 2)
    median, lo, hi = np.quantile(relative @ basis.T, [0.5, *tails], axis=0)
    shape, shape_lo, shape_hi = np.quantile(relative[:, 1:] @ basis[:, 1:].T, [0.5, *tails], axis=0)
    seen = np.asarray(run.scws["PHASE"], float)
    return PhaseCurves(
        phase, median, lo, hi, shape, shape_lo, shape_hi, (float(seen.min()), float(seen.max()))
    )


def quiet_residuals(run: Run, latitude: float = LATITUDE) -> dict[str, Floats]:
    """Band → (rate − fit) / sd of the ScWs at |b| > latitude without the Crab; may be empty."""
    return fit_residuals(run, in_region(run.scws, "BKG", latitude) & ~np.asarray(run.scws["CRAB"]))


def follows(run: Run, band: str, monitor: Monitor) -> float:
    """Rank correlation (Spearman) of the level of the revolutions with a monitor; NaN with fewer than three.

    The level of a revolution is the slow level plus its constant term. The monitor is interpolated to the
    revolutions within its range.
    """
    constant = run.tree["constant_data"].dataset.sel(band=band)
    mjd = constant["mjd"].values
    inside = (mjd >= monitor.mjd[0]) & (mjd <= monitor.mjd[-1])
    if inside.sum() < 3:
        return float("nan")
    level = revolution_level(constant)
    value = np.interp(mjd[inside], monitor.mjd, monitor.value)
    if np.ptp(value) == 0 or np.ptp(level[inside]) == 0:
        return float("nan")
    return float(stats.spearmanr(level[inside], value).statistic)


def check_monitor(run: Run, monitor: Monitor, path: object) -> None:
    """Raise an InputError if no value of a monitor lies within the mission."""
    mjd = run.tree["constant_data"].dataset["mjd"].values
    if not ((monitor.mjd >= mjd.min()) & (monitor.mjd <= mjd.max())).any():
        raise InputError(
            f"{path}: MJD {monitor.mjd[0]:.0f} to {monitor.mjd[-1]:.0f} has no value in the mission's "
            f"{mjd.min():.0f} to {mjd.max():.0f}: give another series, or mend its dates"
        )


def revolution_level(constant: xr.Dataset) -> Floats:
    """Level of each revolution in one band, including its constant term, cts/s."""
    return (constant["background_history_mean"] + constant["coefficient"].sel(term="constant")).values


def _draws(run: Run, name: str) -> xr.DataArray:
    """Draws of a parameter of each band; two equal draws if it is fixed."""
    posterior = run.tree["posterior"].dataset
    if name in posterior:
        return posterior[name]
    return run.tree["constant_data"].dataset[name].expand_dims(chain=[0], draw=[0, 1])


def _bands(constant: xr.Dataset) -> list[str]:
    return [str(band) for band in constant["band"].values]
