"""Update a fit when new revolutions arrive, from the posterior that it has.

Given the parameters, revolutions are independent. So the new posterior is the old one times the likelihood of
the new data, and weighting the old draws by this likelihood takes seconds instead of a fit. If the effective
sample size is too small, the draws are moved first (`ridgebayes.inference.importance`), which needs the new
density once for each draw, but no search and no gradients. If that fails, too, the chains of that band are
run again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from ridgebayes.convert.joining import append
from ridgebayes.errors import InputError, counted
from ridgebayes.inference.importance import Reweighed, moments, moved, reweigh
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mode import Curvature, Potential
from ridgebayes.inference.runner import Chains, Clock
from ridgebayes.inference.settings import Settings, resolve_device
from ridgebayes.likelihood.design import FitData, Prepared, prepare
from ridgebayes.parallel.cores import in_threads
from ridgebayes.runs import convergence
from ridgebayes.runs.assemble import build_run
from ridgebayes.runs.elsewhere import Fits, run_anywhere
from ridgebayes.runs.fitted import sites
from ridgebayes.runs.metadata import record_of
from ridgebayes.runs.reload import Recalled, recall, unconstrained
from ridgebayes.runs.run import DATA, Run, as_run, check_free
from ridgebayes.runs.sampling import check_devices, independent, names_of, place_of
from ridgebayes.runs.sent import Sent
from ridgebayes.table.formats import read_scws
from ridgebayes.table.scw import ScWTable

WARMUP = 50
"""Warm-up of chains that start from the old posterior."""
_FITTED = ("revolution", "phase", "mjd", "ra", "dec", "roll", "rate", "stat_err", "tracer", "aside", "crab")

WEIGHTED, MOVED, CHAINS = "old draws, weighted", "old draws, moved and weighted", "new chains"


def update(
    run: Run | str | Path,
    new: ScWTable | str | Path,
    out: str | Path,
    *,
    scws: ScWTable | str | Path | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    max_time: float | None = None,
    scheduler: str | None = None,
) -> Run:
    """Update a fit with new ScWs.

    Parameters
    ----------
    run
        The old fit, or its directory.
    new
        Table of the new ScWs, or of old and new ones together.
    out
        Run directory to write; the old one does not change.
    scws
        The fitted ScW table or its path, if it has been moved since.
    workers, overwrite, progress, max_time, scheduler
        As in `ridgebayes.sample`.

    Returns
    -------
    Run
        The entry ``update`` of its record says how it was updated.

    Raises
    ------
    InputError
        If the tables do not match, or the model cannot be updated.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> run = rb.update(rb.open_run("runs/first"), "new.fits", "runs/updated", overwrite=True, progress=False)
    >>> sorted(run.record["update"]["how"])  # how each band was brought up to date
    ['A01', 'A02']
    """
    out, clock, place = Path(out), Clock(), place_of(scheduler, max_time)
    check_free(out, overwrite=overwrite)
    run = as_run(run)
    settings = Settings.recorded(run.record)
    check_devices(settings, place)
    old = recall(run, scws)
    if not isinstance(new, ScWTable):
        new = read_scws(new)
    table, whole = joined(
        old.scws,
        new.with_tracer_bands([band.name for band in old.scws.tracer_bands]).take_bands(old.scws.band_names),
    )
    if not whole:
        table = dataclasses.replace(table, meta={**table.meta, "path": str((out / DATA).absolute())})
    _check(old, table)
    prepared = _prepared(old, table)
    parts = independent(old.model, prepared.data)
    names = names_of(prepared, len(parts))
    # No parameter belongs to a revolution, so they are those of the old fit.
    posterior = Posterior(old.model, parts[0])
    z_old = unconstrained(run, old.model, posterior, len(parts))
    news = new_data(old._replace(scales=prepared.scales), table)
    device = resolve_device(settings.chains * len(parts), workers, settings.devices)
    clock.lap("prepare")

    brought = _Brought(posterior, device.workers)
    given = zip(z_old, _statistics(run, len(parts)), parts, news, strict=True)
    found = [brought.up_to_date(*old_draws, settings.seed + k) for k, old_draws in enumerate(given)]
    clock.lap("weigh")
    again = [k for k, draws in enumerate(found) if not draws.serves]
    chains = _weighed(found)
    if again:
        settings = dataclasses.replace(settings, warmup=WARMUP)
        near, some = [moments(z_old[k]) for k in again], [parts[k] for k in again]

        def fits() -> Fits:
            record = record_of(old.model, prepared, settings, device)
            return Fits(Sent.of(record, old.model.sky, some), settings, workers, near)

        fresh = run_anywhere(
            posterior,
            some,
            settings,
            device,
            clock,
            place=place,
            fits=fits,
            names=[names[k] for k in again],
            near=near,
            progress=progress,
            max_time=max_time,
        )
        chains = _replaced(chains, again, fresh)
    result = build_run(old.model, prepared, posterior, parts, chains, settings, device, clock.laps)
    result.record["update"] = {
        "from": str(run.path or ""),
        "new_scws": len(table) - len(old.scws),
        "how": {n: draws.how if draws.serves else CHAINS for n, draws in zip(names, found, strict=True)},
        "pareto_k": {n: draws.pareto_k for n, draws in zip(names, found, strict=True)},
        "efficiency": {n: draws.efficiency for n, draws in zip(names, found, strict=True)},
    }
    saved = result.save(out, overwrite=overwrite, data=None if whole else table)
    convergence.warn(saved.record, saved.path, level=2)
    return saved


def _weighed(found: Sequence[Reweighed]) -> Chains:
    """Collect the updated draws of all parts."""
    statistics = {name: np.stack([draws.statistics[name] for draws in found]) for name in found[0].statistics}
    return Chains(
        np.stack([draws.z for draws in found]), statistics, (1,) * len(found), (0,) * len(found), ""
    )


def _replaced(chains: Chains, again: Sequence[int], fresh: Chains) -> Chains:
    """Replace parts that were sampled again; all get the same number of draws."""
    draws = min(chains.z.shape[2], fresh.z.shape[2])
    z, times, dropped = chains.z[:, :, :draws].copy(), np.array(chains.times, float), np.array(chains.dropped)
    z[again], times[again], dropped[again] = fresh.z[:, :, :draws], fresh.times, fresh.dropped
    statistics = {name: x[:, :, :draws].copy() for name, x in chains.statistics.items()}
    for name, values in fresh.statistics.items():
        statistics[name][again] = values[:, :, :draws]
    return Chains(z, statistics, tuple(times.tolist()), tuple(dropped.tolist()), fresh.stopped)


def joined(old: ScWTable, new: ScWTable) -> tuple[ScWTable, bool]:
    """Join the fitted table and the new one; also return True if the new one contains all old ScWs.

    Raises
    ------
    InputError
        If there is nothing new, or if a fitted column of a ScW has changed.
    """
    name = new.meta["path"] or "the new table"
    common, in_old, in_new = np.intersect1d(old.scw_id, new.scw_id, return_indices=True)
    for column in _FITTED:
        before, now = getattr(old, column), getattr(new, column)
        if (before is None) != (now is None):
            has = "lacks" if now is None else "has"
            raise InputError(
                f"{name}: {has} {column.upper()}, unlike the fitted table: fit the whole table again"
            )
        if before is None:
            continue
        a, b = before[in_old], now[in_new]
        same = (a == b) | ((a != a) & (b != b))  # a missing number is the same as a missing one
        changed = ~same.all(tuple(range(1, same.ndim)))
        if changed.any():
            raise InputError(
                f"{name}: {column.upper()} of {counted(changed.sum(), 'ScW')} is not what was fitted (first "
                f"{common[changed][0]}): fit the whole table again"
            )
    if common.size == len(new):
        raise InputError(f"{name}: holds no ScW that was not fitted: there is nothing to update")
    if common.size == len(old):
        return new, True
    return append([old, new], duplicates="first"), False


def _check(old: Recalled, table: ScWTable) -> None:
    if "background.coefficients" in old.model.parameters:
        raise InputError(
            "update: the revolution terms were sampled (marginal=False): fit the whole table again"
        )
    if old.crab_rate and table.crab.any():
        raise InputError("update: the new ScWs contain the Crab, of which a given rate was used: fit again")


def _prepared(old: Recalled, table: ScWTable) -> Prepared:
    return prepare(
        table,
        old.model.sky,
        response=old.response,
        crab_rate=old.crab_rate,
        opened=old.model.asks_for,
        chosen=old.model.chosen,
        scales=old.scales,
    )


def new_data(old: Recalled, table: ScWTable) -> list[tuple[FitData, ...]]:
    """Return data of the revolutions with new ScWs, for each part; also their old data, if they had any.

    Parameters
    ----------
    old
        Inputs of the old fit, with scales of all revolutions.
    table
        All ScWs, old and new.
    """
    touched = np.unique(table.revolution[~np.isin(table.scw_id, old.scws.scw_id)])
    tables = [table.select(np.isin(table.revolution, touched))]
    begun = np.isin(old.scws.revolution, touched)
    if begun.any():
        tables.append(old.scws.select(begun))
    each = [independent(old.model, _prepared(old, few).data) for few in tables]
    return list(zip(*each, strict=True))


def likelihood_of_new(posterior: Posterior) -> Curvature:
    """Minus the log likelihood of new ScWs given the old ones, as a function of (flat vector, `new_data`)."""

    def minus(z: Array, data: tuple[FitData, ...]) -> Array:
        now, *before = (sites(posterior, z, few)["rate"].log_prob(few.rate).sum() for few in data)
        return sum(before) - now

    return Curvature(minus)


class _Brought:
    """Updates the draws of each part; compiled once for all parts."""

    def __init__(self, posterior: Posterior, workers: int) -> None:
        self._of_new = likelihood_of_new(posterior)
        self._new, self._all = (jax.jit(_many(p)) for p in (self._of_new.potential, posterior.potential))
        self._posterior, self._workers = posterior, workers

    def up_to_date(
        self, z: NDArray, statistics: dict[str, NDArray], data: FitData, new: tuple[FitData, ...], seed: int
    ) -> Reweighed:
        """Turn draws of the old posterior into draws of the new one, (chain, draw, parameter)."""
        rng = np.random.default_rng(seed)
        lp = statistics["lp"] - self._potentials(self._new, z, new)
        found = reweigh(z, statistics, lp, rng, how=WEIGHTED)
        if found.serves or self._posterior.model.indicated:
            # With outliers `lp` is the density given their indicators, not that of the draws alone.
            return found
        old, scale = moments(z), self._posterior.scale
        slope = np.asarray(self._of_new.value_and_gradient(old.mode, new)[1])
        there = moved(z, old, slope, self._of_new.hessian(old.mode, new, scale) / np.outer(scale, scale))
        return reweigh(there, statistics, -self._potentials(self._all, there, data), rng, how=MOVED)

    def _potentials(
        self, many: Potential, z: NDArray, data: FitData | tuple[FitData, ...]
    ) -> NDArray[np.float64]:
        """Potential at draws (chain, draw, parameter), computed in one thread for each chain."""
        found = np.stack(in_threads(lambda chain: np.asarray(many(chain, data)), z, self._workers))
        return np.where(np.isfinite(found), found, np.inf)


def _many(potential: Potential) -> Potential:
    return lambda zs, data: jax.lax.map(lambda z: potential(z, data), zs)


def _statistics(run: Run, parts: int) -> list[dict[str, NDArray]]:
    """Statistics of the draws of each part: name → (chain, draw)."""
    stored = run.tree["sample_stats"].dataset
    names = [str(name) for name in stored if not str(name).endswith("_band")]
    if parts == 1:
        return [{name: stored[name].values for name in names}]
    return [{name: stored[f"{name}_band"].values[..., k] for name in names} for k in range(parts)]
