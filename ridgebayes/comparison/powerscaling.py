"""Sensitivity of the posterior to the priors, by power scaling.

Prior or likelihood are raised to a power α near one. The sensitivity is the rate of change of the posterior
with log2 α (Kallioinen, Paananen, Bürkner & Vehtari 2023, Statistics and Computing 34, 57). Draws are
reweighted; no refit is needed. A sensitivity of 0.05 corresponds to a shift of a normal posterior by a
quarter of its standard deviation for a prior to the power 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import arviz_stats
import numpy as np
import xarray as xr
from astropy.table import QTable
from numpy.typing import NDArray

from ridgebayes.comparison.densities import log_likelihood, log_prior
from ridgebayes.markup import marked
from ridgebayes.runs.intensity import provenance
from ridgebayes.runs.reload import reopen
from ridgebayes.runs.run import Run, as_run
from ridgebayes.table.scw import ScWTable

THRESHOLD = 0.05
CONFLICT, STRONG = "possible prior-data conflict", "strong prior, weak likelihood"
SHIFT = (0.8, 1.25)
"""Powers of the prior in figures."""
_SAMPLE = ("chain", "draw")
_DERIVED = {"sky.fov_flux": "mCrab", "sky.intensity": "mCrab / deg2"}
_WEIGHTS_OF_FUNCTIONS = {
    "mode",
    "crab_mode",
    "revolution",
}  # axes whose single elements have little meaning


def sensitivity(
    run: Run | str | Path, scws: ScWTable | str | Path | None = None
) -> tuple[QTable, list[xr.DataTree]]:
    """Compute the sensitivity of every parameter to priors and likelihood.

    Parameters
    ----------
    run
        The run, or its directory.
    scws
        The fitted ScW table, or its current path; by default its original path.

    Returns
    -------
    table
        One row for each element of each parameter and of the FOV flux, the most sensitive to the prior first:
        parameter, element (such as the region), band, mean, sd (in `unit`), prior, likelihood
        (sensitivities), strongest (the group of priors with the largest effect, by the first part of their
        names) and strongest_prior (its sensitivity), diagnosis in words (may be empty), fit and place (its
        position in `fits`). Bands that share no parameter are scaled separately.
    fits
        For each fit the groups posterior (quantities of the table), log_prior and log_likelihood.

    Raises
    ------
    InputError
        If the table is not found, or the model samples the revolution terms.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> table, fits = rb.sensitivity(rb.open_run("runs/first"))
    >>> bool((table["prior"][:-1] >= table["prior"][1:]).all())  # the most sensitive to the prior first
    True
    """
    run = as_run(run)
    again = reopen(run, scws)
    likelihood = log_likelihood(again.posterior)
    fits, rows = [], []
    for part, (z, data) in enumerate(zip(again.z, again.parts, strict=True)):
        flat, shape = z.reshape(-1, z.shape[-1]), z.shape[:2]
        posterior = _quantities(run, part if len(again.parts) > 1 else None)
        priors = {n: np.asarray(x).reshape(shape) for n, x in log_prior(again.posterior, flat, data).items()}
        total = np.asarray(likelihood(flat, data)).sum(1).reshape(shape)
        fits.append(_fit(posterior, priors, total))
        rows += list(_rows(fits[-1], part))
    table = QTable(sorted(rows, key=lambda row: -row["prior"]))
    parameters = again.model.parameters
    units = [parameters[n].unit if n in parameters else _DERIVED.get(n, "") for n in table["parameter"]]
    table.add_column(units, name="unit", index=table.colnames.index("sd") + 1)
    table.meta = provenance(run) | {
        "threshold": THRESHOLD,
        "columns": "prior, likelihood: power-scaling sensitivity (Kallioinen et al. 2023); mean and sd "
        "in the unit of the row; strongest: group of priors that matters most",
    }
    return table, fits


def _fit(posterior: xr.Dataset, priors: Mapping[str, NDArray], likelihood: NDArray) -> xr.DataTree:
    """Return draws with the log densities, (chain, draw), that power scaling needs."""
    # Relative to the largest, so that exponentials do not overflow.
    densities = {"log_prior": priors, "log_likelihood": {"rate": likelihood - likelihood.max()}}
    groups = {
        name: xr.Dataset({n: (_SAMPLE, x) for n, x in values.items()}) for name, values in densities.items()
    }
    return xr.DataTree.from_dict({"posterior": posterior, **groups})


def _quantities(run: Run, band: int | None) -> xr.Dataset:
    """Posterior of the quantities of the table, of one band or of all."""
    stored = run.tree["posterior"].dataset
    each = stored.data_vars.items()
    chosen = stored[[n for n, x in each if not _WEIGHTS_OF_FUNCTIONS & set(x.dims) and float(x.std()) > 0]]
    return chosen if band is None or "band" not in chosen.dims else chosen.isel(band=[band])


def _rows(fit: xr.DataTree, part: int) -> Iterator[dict]:
    names = [str(name) for name in fit["log_prior"].data_vars]
    groups = list(dict.fromkeys(name.split(".")[0] for name in names))
    every = arviz_stats.psense(fit, group="prior")
    likelihood = arviz_stats.psense(fit, group="likelihood")
    by_group = {
        group: arviz_stats.psense(
            fit, group="prior", group_var_names=[n for n in names if n.split(".")[0] == group]
        )
        for group in groups
    }
    for name, draws in fit["posterior"].to_dataset().items():
        axes = [axis for axis in draws.dims if axis not in _SAMPLE]
        for place in product(*(range(draws.sizes[axis]) for axis in axes)):
            where = dict(zip(axes, place, strict=True))
            here = draws.isel(where)
            if not float(here.std()) > 0:
                continue
            labels = {axis: str(draws[axis].values[i]) for axis, i in where.items()}
            of_groups = {g: float(x[name].isel(where)) for g, x in by_group.items()}
            strongest = max(of_groups, key=lambda g: of_groups[g])
            prior, data = float(every[name].isel(where)), float(likelihood[name].isel(where))
            yield {
                "parameter": name,
                "element": ", ".join(label for axis, label in labels.items() if axis != "band"),
                "band": labels.get("band", ""),
                "mean": float(here.mean()),
                "sd": float(here.std(ddof=1)),
                "prior": prior,
                "likelihood": data,
                "strongest": strongest,
                "strongest_prior": of_groups[strongest],
                "diagnosis": diagnose(prior, data),
                "fit": part,
                "place": place,
            }


def diagnose(prior: float, likelihood: float) -> str:
    """Interpret the two sensitivities in words; empty if the prior matters little."""
    if prior < THRESHOLD:
        return ""
    return CONFLICT if likelihood >= THRESHOLD else STRONG


def prior_weights(fit: xr.DataTree, group: str, alpha: float) -> tuple[NDArray, float]:
    """Weights (draw,) of a posterior with the priors of a group to the power `alpha`, and their k̂."""
    priors = fit["log_prior"].to_dataset()
    names = [name for name in priors if str(name).split(".")[0] == group]
    density = priors[names].to_dataarray().sum("variable")
    # psislw expects the log likelihood to leave out, which is minus the log weights.
    log_weight, k = ((1.0 - alpha) * density).azstats.psislw(dim=list(_SAMPLE))
    weight = np.exp(log_weight.transpose(*_SAMPLE).values.ravel())
    return weight / weight.sum(), float(k)


def format_sensitivity(table: QTable, *, simulated: bool, most: int = 20) -> str:
    """Format rows with a diagnosis, or else the first few, for the terminal.

    Parameters
    ----------
    table
        Table from `sensitivity`.
    simulated
        Mark the title as simulated.
    most
        Maximum number of rows.
    """
    found = table[table["diagnosis"] != ""]
    rows = (found if len(found) else table)[:most]
    names = [f"{row['parameter']} {row['element']}".strip() for row in rows]
    width = max(len("parameter"), *map(len, names)) + 2
    lines = [f"{'parameter':<{width}}{'band':<8}{'mean':>10}{'sd':>10}{'prior':>8}{'likelihood':>12}"]
    for name, row in zip(names, rows, strict=True):
        words = f"  {row['diagnosis']} ({row['strongest']})" if row["diagnosis"] else ""
        lines.append(
            f"{name:<{width}}{row['band']:<8}{row['mean']:>10.4g}{row['sd']:>10.2g}{row['prior']:>8.3f}"
            f"{row['likelihood']:>12.3f}{words}"
        )
    if len(found) > most:
        lines.append(f"… and {len(found) - most} more")
    for words, remedy in (
        (CONFLICT, "both move the answer: do they pull apart, and is the prior what you believe?"),
        (STRONG, "the data say little, and the answer is the prior's"),
    ):
        n = int((table["diagnosis"] == words).sum())
        lines += [f"{n} of {len(table)}: {words}: {remedy}"] if n else []
    if not len(found):
        lines.append(f"no prior matters: all {len(table)} sensitivities are below {THRESHOLD}")
    return marked("\n".join(lines), simulated)
