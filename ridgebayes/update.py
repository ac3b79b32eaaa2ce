"""New revolutions arrive: a fit brought up to date from the posterior it has.

Given the parameters, revolutions are independent. So the new posterior is the old one times the likelihood
of what is new, and the old draws, weighted by that likelihood, are draws of it: seconds instead of a fit.
Where they are too far off (Pareto k of the weights, Vehtari et al. 2024, JMLR 25, 72), or too few are left to
call them converged, the chains of that band are run again, from what the old draws say of scales and
directions, which spares most of the search for the mode and of the warm-up.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from arviz_stats.base import array_stats
from jax import Array
from numpy.typing import NDArray
from scipy.special import logsumexp

from ridgebayes.chains import Clock, Settings, resolve_device, run_chains
from ridgebayes.convert.joining import append
from ridgebayes.diagnostics import MAX_R_HAT, MIN_ESS
from ridgebayes.errors import InputError
from ridgebayes.fitdata import FitData, Prepared, prepare
from ridgebayes.laplace import Laplace
from ridgebayes.posterior import Posterior
from ridgebayes.predict import sites
from ridgebayes.reopen import Recalled, recall, unconstrained
from ridgebayes.results import build_run
from ridgebayes.run import Run, check_free
from ridgebayes.sampling import independent
from ridgebayes.scw import ScWTable, read_scws, write_scws

logger = logging.getLogger(__name__)

MAX_PARETO_K = 0.7
WARMUP = 50
"""Warm-up of chains that start from the old posterior."""
DATA = "data.fits"
"""The joined table, in the run directory, where the new file holds only what is new."""


class Weighed(NamedTuple):
    """Log weights of old draws (part, chain, draw), Pareto k and share of draws they are worth, (part,)."""

    log_weight: NDArray
    pareto_k: NDArray
    efficiency: NDArray


def update(
    run: Run,
    new: ScWTable | str | Path,
    out: str | Path,
    *,
    scws: ScWTable | str | Path | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Run:
    """Bring a fit up to date with new ScWs.

    Parameters
    ----------
    run
        The fit so far.
    new
        Table of the new ScWs, or of old and new together.
    out
        Run directory to write; the old one stays as it is.
    scws
        The table that was fitted, or where it is now; by default where it was.
    workers, overwrite, progress
        As those of `ridgebayes.sample`.

    Returns
    -------
    Run
        Its record says under ``update`` how it was done.

    Raises
    ------
    InputError
        When the tables do not fit together, or the model cannot be updated.
    """
    out, clock = Path(out), Clock()
    check_free(out, overwrite=overwrite)
    old = recall(run, scws)
    if not isinstance(new, ScWTable):
        new = read_scws(new)
    table, whole = joined(old.scws, new.take_bands([band.name for band in old.scws.bands]))
    if not whole:
        table = dataclasses.replace(table, meta={**table.meta, "path": str((out / DATA).absolute())})
    _check(old, table)
    prepared = _prepared(old, table)
    parts = independent(old.model, prepared.data)
    # The parameters are those of the old fit: none belongs to a revolution.
    posterior = Posterior(old.model, parts[0])
    z_old = unconstrained(run, old.model, posterior, len(parts))
    clock.lap("prepare")

    log_weight = likelihood_of_new(posterior, z_old, old._replace(scales=prepared.scales), table)
    weighed = weigh(log_weight)
    clock.lap("weigh")
    settings = Settings(**{f.name: run.record["sampling"][f.name] for f in dataclasses.fields(Settings)})
    z, statistics = _resampled(z_old, run, weighed, settings.seed)
    serve = [k <= MAX_PARETO_K and _converged(draws) for k, draws in zip(weighed.pareto_k, z, strict=True)]
    again = [k for k, good in enumerate(serve) if not good]
    device = resolve_device(settings.chains * max(len(again), 1), workers, settings.devices)
    how = "old draws, weighted"
    if again:
        settings = dataclasses.replace(settings, warmup=WARMUP)
        near = [_moments(z_old[k]) for k in again]
        found = run_chains(
            posterior, [parts[k] for k in again], settings, device, clock, near=near, progress=progress
        )
        z[again] = found[0]
        for name, values in found[1].items():
            statistics[name][again] = values
        how = "new chains from the old posterior"
        if len(again) < len(parts):
            names = ", ".join(old.scws.bands[k].name for k in again)
            how = f"old draws, weighted; {how} in {names}"
    pareto_k, efficiency = float(weighed.pareto_k.max()), float(weighed.efficiency.min())
    logger.info("%s (Pareto k %.2f, worth %.0f %% of the draws)", how, pareto_k, 100 * efficiency)
    result = build_run(old.model, prepared, posterior, parts, z, statistics, settings, device, clock.laps)
    result.record["update"] = {
        "from": str(run.path or ""),
        "new_scws": len(table) - len(old.scws),
        "how": how,
        "pareto_k": pareto_k,
        "efficiency": efficiency,
    }
    saved = result.save(out, overwrite=overwrite)
    if not whole:
        write_scws(table, out / DATA)
    return saved


def joined(old: ScWTable, new: ScWTable) -> tuple[ScWTable, bool]:
    """Join the fitted table and the new one; True where the new one holds all of the old.

    Raises
    ------
    InputError
        When there is nothing new, or a ScW has changed.
    """
    name = new.meta["path"] or "the new table"
    common, in_old, in_new = np.intersect1d(old.scw_id, new.scw_id, return_indices=True)
    changed = (old.rate[in_old] != new.rate[in_new]).any(1) | (
        old.stat_err[in_old] != new.stat_err[in_new]
    ).any(1)
    if changed.any():
        raise InputError(
            f"{name}: {changed.sum()} ScWs have other rates than those that were fitted (first "
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
        opened=old.model.parameters.keys(),
        chosen=old.model.chosen,
        scales=old.scales,
    )


def weigh(log_weight: NDArray) -> Weighed:
    """Smooth the log weights of old draws, (part, chain, draw): log likelihoods of what is new."""
    flat = log_weight.reshape(len(log_weight), -1)
    # ArviZ takes the log likelihood that is to be left out: here some is to be added.
    smooth, pareto_k = array_stats.psislw(-flat, axis=-1)
    efficiency = np.exp(-logsumexp(2 * smooth, axis=-1)) / flat.shape[1]
    return Weighed(smooth.reshape(log_weight.shape), np.atleast_1d(pareto_k), efficiency)


def likelihood_of_new(posterior: Posterior, z: NDArray, old: Recalled, table: ScWTable) -> NDArray:
    """Log likelihood of the new ScWs given the old ones at every draw, (part, chain, draw).

    Parameters
    ----------
    posterior, z
        Of the model, and old draws, (part, chain, draw, parameter).
    old
        What the old fit was made from, with scales of all revolutions.
    table
        All ScWs, old and new.
    """
    touched = np.unique(table.revolution[~np.isin(table.scw_id, old.scws.scw_id)])
    # A revolution that had begun counts by what its new ScWs add to it.
    begun = np.isin(old.scws.revolution, touched)
    of = lambda few: _log_likelihood(posterior, z, independent(old.model, _prepared(old, few).data))  # noqa: E731
    now = of(table.select(np.isin(table.revolution, touched)))
    return now - (of(old.scws.select(begun)) if begun.any() else 0.0)


def _log_likelihood(posterior: Posterior, z: NDArray, parts: list[FitData]) -> NDArray:
    """Log likelihood of a few ScWs at every draw, (part, chain, draw)."""

    @jax.jit
    def each(z: Array, data: FitData) -> Array:
        return jax.lax.map(lambda z: sites(posterior, z, data)["rate"].log_prob(data.rate).sum(), z)

    found = [each(rows.reshape(-1, z.shape[-1]), part) for rows, part in zip(z, parts, strict=True)]
    return np.stack([np.asarray(x) for x in found]).reshape(z.shape[:3])


def _resampled(z: NDArray, run: Run, weighed: Weighed, seed: int) -> tuple[NDArray, dict[str, NDArray]]:
    """Draw from the weighted draws, chain by chain and in their order: R-hat and ESS keep their meaning."""
    rng = np.random.default_rng(seed)
    n_parts, chains, draws = weighed.log_weight.shape
    weight = np.exp(weighed.log_weight - logsumexp(weighed.log_weight, axis=-1, keepdims=True))
    chosen = np.empty((n_parts, chains, draws), int)
    for part, chain in np.ndindex(n_parts, chains):
        at = (rng.uniform() + np.arange(draws)) / draws
        chosen[part, chain] = np.minimum(np.searchsorted(np.cumsum(weight[part, chain]), at), draws - 1)
    stored = run.tree["sample_stats"].dataset
    statistics = {}
    for name in stored:
        if not str(name).endswith("_band"):
            apart = n_parts > 1
            values = stored[f"{name}_band" if apart else name].values
            values = np.moveaxis(values, -1, 0) if apart else values[None]
            statistics[str(name)] = np.take_along_axis(values, chosen, axis=2)
    return np.take_along_axis(z, chosen[..., None], axis=2), statistics


def _converged(draws: NDArray) -> bool:
    """Tell whether draws (chain, draw, parameter) are worth what a fit asks for."""
    r_hat = array_stats.rhat(draws, chain_axis=0, draw_axis=1)
    ess = array_stats.ess(draws, chain_axis=0, draw_axis=1)
    return bool(r_hat.max() <= MAX_R_HAT and ess.min() >= MIN_ESS)


def _moments(draws: NDArray) -> Laplace:
    """Mean and covariance of draws (chain, draw, parameter) as an approximation to start from."""
    flat = draws.reshape(-1, draws.shape[-1])
    covariance = np.cov(flat.T)
    # More draws than parameters, or the diagonal alone is known.
    if len(flat) < 4 * flat.shape[1]:
        covariance = np.diag(np.diag(covariance))
    return Laplace(flat.mean(0), np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance))))
