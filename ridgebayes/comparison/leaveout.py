"""Predictive accuracy of a model for left-out revolutions.

elpd is the sum over revolutions of the log predictive density of each revolution given all others.
Pareto-smoothed importance sampling (PSIS: Vehtari, Gelman & Gabry 2017, Statistics and Computing 27, 1413;
Vehtari et al. 2024, JMLR 25, 72) estimates it from the draws of one fit. Its k̂ shows for each revolution
whether the estimate is reliable; if not, the model is refitted without that revolution. K-fold refits the
model without each tenth of the revolutions, as an independent check.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import arviz_stats  # noqa: F401 (the accessor `azstats`)
import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.typing import NDArray

from ridgebayes import markup
from ridgebayes.comparison.densities import LogLikelihood, log_likelihood
from ridgebayes.comparison.held_out import HeldOut, LeftOut, mean_density
from ridgebayes.errors import InputError
from ridgebayes.inference.progress import tqdm, wanted
from ridgebayes.io.atomic import whole_file
from ridgebayes.markup import marked
from ridgebayes.parallel.tasks import run as run_tasks
from ridgebayes.runs.intensity import provenance
from ridgebayes.runs.reload import Reopened, reopen
from ridgebayes.runs.run import Run, as_run
from ridgebayes.table.scw import ScWTable

logger = logging.getLogger(__name__)

_AXES = ("fit", "revolution")
_MOST_REFITS = 20


@dataclass(frozen=True, eq=False)
class Loo:
    """Predictive density of every left-out revolution.

    Attributes
    ----------
    table
        Variables elpd, p_loo, pareto_k (NaN where elpd is from a refit) and exact (True where it is), axes
        fit and revolution; coordinate mjd. Bands that were sampled independently are separate fits.
    method
        ``PSIS``, or for example ``10-fold``.
    threshold
        k̂ above which PSIS is unreliable: min(1 − 1/log10(draws), 0.7).

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from ridgebayes.comparison import Loo
    >>> axes, values = ("fit", "revolution"), {"elpd": [[-5.0, -7.0]], "pareto_k": [[0.2, 0.9]]}
    >>> table = xr.Dataset({name: (axes, v) for name, v in values.items()}, {"revolution": [100, 101]})
    >>> result = Loo(table, "PSIS", threshold=0.7)
    >>> result.elpd, result.bad_revolutions
    (-12.0, [101])
    """

    table: xr.Dataset
    method: str
    threshold: float

    def __str__(self) -> str:
        k = f", worst k̂ {self.worst_k:.2f}" if np.isfinite(self.worst_k) else ""
        numbers = f"elpd {self.elpd:.1f} ± {self.se:.1f}, {self.p_loo:.1f} effective parameters{k}"
        return "\n".join([self._title, numbers, *([self.advice] if self.advice else [])])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        about = {
            "elpd": f"{self.elpd:.1f} ± {self.se:.1f}",
            "effective parameters": round(self.p_loo, 1),
            "worst k̂": self.worst_k,
            "advice": self.advice,
        }
        return markup.page(self._title, markup.facts(about))

    @property
    def _title(self) -> str:
        return f"Loo: {self.pointwise.size} revolutions left out, {self.method}"

    @property
    def pointwise(self) -> NDArray:
        """Log predictive density of each revolution, summed over bands, (revolution,)."""
        return self.table["elpd"].sum("fit").values

    @property
    def elpd(self) -> float:
        """Sum of `pointwise` over revolutions."""
        return float(self.pointwise.sum())

    @property
    def se(self) -> float:
        """Standard error of `elpd` from its variation between revolutions."""
        return standard_error(self.pointwise)

    @property
    def p_loo(self) -> float:
        """Effective number of parameters."""
        return float(self.table["p_loo"].sum())

    @property
    def bad(self) -> NDArray[np.bool_]:
        """True where k̂ is above the threshold, (fit, revolution)."""
        return self.table["pareto_k"].values > self.threshold

    @property
    def bad_revolutions(self) -> list[int]:
        """Revolutions for which PSIS is unreliable in some fit."""
        return [int(r) for r in self.table["revolution"].values[self.bad.any(0)]]

    @property
    def worst_k(self) -> float:
        """Largest k̂; NaN if every revolution was refitted."""
        k = self.table["pareto_k"].values
        return float(np.nanmax(k)) if np.isfinite(k).any() else float("nan")

    @property
    def advice(self) -> str:
        """Advice for high k̂; empty if none is high."""
        numbers = self.bad_revolutions
        if not numbers:
            return ""
        share = (
            f"{len(numbers)} of {self.table.sizes['revolution']} revolutions have k̂ > {self.threshold:.2f}"
        )
        some = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
        if len(numbers) <= _MOST_REFITS:
            return f"{share} ({some}): refit=True fits again without each of them, one by one"
        return f"{share} ({some}): too many to refit one by one: take folds=10"


def standard_error(pointwise: NDArray) -> float:
    """Return the standard error of the sum of independent terms."""
    return float(np.sqrt(pointwise.size) * np.std(pointwise, ddof=1))


def loo(
    run: Run | str | Path,
    scws: ScWTable | str | Path | None = None,
    *,
    refit: bool = False,
    progress: bool | None = None,
    scheduler: str | None = None,
) -> Loo:
    """Leave out one revolution at a time, by PSIS.

    The result is kept in the run directory (loo.nc) and reused.

    Parameters
    ----------
    run
        The run, or its directory.
    scws
        The fitted ScW table, or its current path; by default its original path.
    refit
        Refit without each revolution whose k̂ is too high.
    progress
        Show a progress bar on stderr; by default in a terminal and in a notebook.
    scheduler
        Where fits run, as in `ridgebayes.sample`.

    Raises
    ------
    InputError
        If the table is not found, or the model samples the revolution terms.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> found = rb.loo(rb.open_run("runs/first"))
    >>> found.method, found.table.sizes["revolution"]
    ('PSIS', 24)
    """
    run = as_run(run)
    found = _read(run, "PSIS")
    if found is not None and not (refit and found.bad.any()):
        return found
    again = reopen(run, scws)
    likelihood = log_likelihood(again.posterior)
    if found is None:
        found = _table(run, "PSIS", [psis(d) for d in _draws_of(again, likelihood)])
    if refit and found.bad.any():
        found = _refitted(run, again, likelihood, found, progress=wanted(progress), scheduler=scheduler)
    _write(run, found)
    return found


def kfold(
    run: Run | str | Path,
    folds: int = 10,
    scws: ScWTable | str | Path | None = None,
    *,
    seed: int = 0,
    progress: bool | None = None,
    scheduler: str | None = None,
) -> Loo:
    """Leave out a share of the revolutions at a time, and refit to the others.

    Fits use fewer revolutions than in leave-one-out, so elpd is slightly lower. The result is kept in the
    run directory like that of `loo`.

    Parameters
    ----------
    run, scws, progress, scheduler
        As in `loo`.
    folds
        Number of random shares, which are the same for all runs of one table.
    seed
        Seed of all random draws.

    Raises
    ------
    InputError
        As in `loo`, and if there are fewer than two folds, or more folds than revolutions.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> found = rb.kfold(rb.open_run("runs/first"), folds=2)
    >>> found.method
    '2-fold'
    """
    run = as_run(run)
    n = int(run.record["data"]["revolutions"])
    if not 2 <= folds <= n:
        raise InputError(f"folds = {folds}: give from 2 to {n}, the number of revolutions")
    method = f"{folds}-fold"
    found = _read(run, method)
    if found is not None and found.table.attrs["seed"] == seed:
        return found
    again = reopen(run, scws)
    likelihood = log_likelihood(again.posterior)
    work = HeldOut.of(run, again, likelihood)
    fold = np.random.default_rng(seed).permutation(np.arange(n) % folds)
    tasks = [
        LeftOut(part, fold == k, seed + k, f"fold {k + 1}, fit {part + 1}")
        for part, k in product(range(len(again.parts)), range(folds))
    ]
    elpd = np.empty((len(again.parts), n))
    found_of = run_tasks(work, tasks, scheduler, threaded=True)
    for task, density in tqdm(
        found_of, total=len(tasks), disable=not wanted(progress), desc="folds", unit="fit"
    ):
        elpd[task.part, task.revolutions] = density
    results = [
        {"elpd": own, "p_loo": mean_density(draws.reshape(-1, n)) - own, "pareto_k": np.full(n, np.nan)}
        for own, draws in zip(elpd, _draws_of(again, likelihood), strict=True)
    ]
    found = _table(run, method, results, seed=seed)
    _write(run, found)
    return found


def pointwise_table(run: Run, found: Sequence[Loo]) -> QTable:
    """Tabulate one or more leave-out results, one row per revolution.

    Columns are REVOL, MJD (d), and for each method and fit (such as A01) elpd and p_loo, for PSIS also
    pareto_k and exact (True where elpd is from a refit).
    """
    first = found[0].table
    table = QTable({"REVOL": first["revolution"].values, "MJD": first["mjd"].values}, units={"MJD": "d"})
    for way in found:
        names = ["elpd", "p_loo"] + (["pareto_k", "exact"] if way.method == "PSIS" else [])
        for name, fit in product(names, range(way.table.sizes["fit"])):
            label = f"{name} {way.table['fit'].values[fit]}" + (
                f" {way.method}" if way is not found[0] else ""
            )
            table[label] = way.table[name].values[fit]
    table.meta = provenance(run) | {
        "method": f"leave one revolution out, {', '.join(way.method for way in found)}",
        "columns": "elpd: log predictive density of a revolution given all others, all its ScWs together; "
        "p_loo: what seeing it adds; pareto_k: above 0.7 PSIS cannot be trusted",
    }
    return table


def format_loo(run: Run, found: Sequence[Loo]) -> str:
    """Format one or more leave-out results, and their differences, for the terminal."""
    first = found[0]
    lines = [f"{'':<10}{'elpd':>22}{'p_loo':>10}{'max k̂':>10}{'high k̂':>10}"]
    for way in found:
        k = f"{way.worst_k:.2f}" if np.isfinite(way.worst_k) else "-"
        elpd = f"{way.elpd:.1f} ± {way.se:.1f}"
        lines.append(
            f"{way.method:<10}{elpd:>22}{way.p_loo:>10.1f}{k:>9}"
            f"{f'{len(way.bad_revolutions)} of {way.pointwise.size}':>10}"
        )
    for way in found[1:]:
        difference = way.pointwise - first.pointwise
        lines.append(
            f"{way.method} less {first.method}: {difference.sum():+.1f} ± {standard_error(difference):.1f}; "
            "refits see fewer revolutions, so a little below zero is expected"
        )
    lines += [f"WARNING: {first.advice}"] if first.advice else []
    lines += [f"WARNING: {warning}" for warning in run.diagnosis.warnings]
    return marked("\n".join(lines), run.simulated)


def _draws_of(again: Reopened, likelihood: LogLikelihood) -> Iterator[NDArray]:
    """Log likelihood of each fit in turn, (chain, draw, revolution)."""
    for z, data in zip(again.z, again.parts, strict=True):
        flat = likelihood(z.reshape(-1, z.shape[-1]), data)
        yield np.asarray(flat).reshape(*z.shape[:2], -1)


def psis(draws: NDArray) -> dict[str, NDArray]:
    """PSIS of log likelihoods (chain, draw, revolution)."""
    # If no parameter affects a revolution, its weights are constant: there is no tail to smooth.
    reached = np.ptp(draws, (0, 1)) > 1e-8
    result = {"elpd": draws[0, 0].copy(), "p_loo": np.zeros(reached.size), "pareto_k": np.zeros(reached.size)}
    if not reached.any():
        return result
    array = xr.DataArray(draws[:, :, reached], dims=("chain", "draw", "revolution"))
    # Autocorrelation affects only the size of the tail, so one number for all revolutions is enough.
    efficiency = float(np.clip(array.azstats.ess(method="mean", relative=True).mean(), 0.05, 1.0))
    for name, values in zip(("elpd", "pareto_k", "p_loo"), array.azstats.loo(r_eff=efficiency), strict=True):
        result[name][reached] = values
    return result


def _refitted(
    run: Run,
    again: Reopened,
    likelihood: LogLikelihood,
    found: Loo,
    *,
    progress: bool,
    scheduler: str | None = None,
) -> Loo:
    """Replace unreliable PSIS results by exact refits."""
    table = found.table.copy(deep=True)
    number = table["revolution"].values
    tasks = [
        LeftOut(
            int(part),
            np.arange(number.size) == row,
            int(row),
            f"{run.path or 'the run'} without revolution {number[row]}",
        )
        for part, row in np.argwhere(found.bad)
    ]
    found_of = run_tasks(HeldOut.of(run, again, likelihood), tasks, scheduler, threaded=True)
    for task, density in tqdm(found_of, total=len(tasks), disable=not progress, desc="refits", unit="fit"):
        part, row, elpd = task.part, task.seed, density[0]
        table["p_loo"].values[part, row] += table["elpd"].values[part, row] - elpd
        table["elpd"].values[part, row] = elpd
        table["pareto_k"].values[part, row] = np.nan
        table["exact"].values[part, row] = True
    return Loo(table, found.method, found.threshold)


def _table(run: Run, method: str, results: list[dict[str, NDArray]], **attributes: Any) -> Loo:
    constant = run.tree["constant_data"].dataset
    draws = run.tree["posterior"].sizes["chain"] * run.tree["posterior"].sizes["draw"]
    bands = run.record["data"]["bands"]
    named = {name: (_AXES, np.stack([r[name] for r in results])) for name in results[0]}
    exact = np.full((len(results), constant.sizes["revolution"]), method != "PSIS")
    table = xr.Dataset(
        {**named, "exact": (_AXES, exact)},
        {
            "fit": bands if len(results) > 1 else [", ".join(bands)],
            "revolution": constant["revolution"].values,
            "mjd": ("revolution", constant["mjd"].values),
        },
        {**_identity(run), **attributes, "method": method},
    )
    # PSIS is never reliable with very few draws.
    threshold = min(1 - 1 / math.log10(max(draws, 11)), 0.7)
    return Loo(table, method, threshold)


def _identity(run: Run) -> dict[str, str]:
    return {"fingerprint": run.record["data"]["fingerprint"], "created": run.record.get("created", "")}


def _file(run: Run, method: str) -> Path | None:
    return run.path and run.path / ("loo.nc" if method == "PSIS" else f"loo_{method}.nc")


def _read(run: Run, method: str) -> Loo | None:
    """Return the result in the run directory if it belongs to this run."""
    path = _file(run, method)
    if path is None or not path.is_file():
        return None
    with xr.open_dataset(path, engine="h5netcdf") as stored:
        table = stored.load()
    if {key: table.attrs.get(key) for key in _identity(run)} != _identity(run):
        return None
    threshold = float(table.attrs.pop("threshold"))
    return Loo(table.assign(exact=table["exact"].astype(bool)), method, threshold)


def _write(run: Run, found: Loo) -> None:
    path = _file(run, found.method)
    if path is None:
        return
    try:
        with whole_file(path) as scratch:
            found.table.assign_attrs(threshold=found.threshold).to_netcdf(scratch, engine="h5netcdf")
    except InputError as error:
        logger.info("not kept for the next time: %s", error)
