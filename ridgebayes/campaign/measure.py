"""One fit of a campaign: simulate and fit a mission, and compare FOV fluxes with the truth."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any
from uuid import uuid4

import jax
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from ridgebayes import classical, simulate, sky
from ridgebayes.campaign.plan import Case, Plan
from ridgebayes.checks import check, sample_auto
from ridgebayes.checks.automatic import AUTO
from ridgebayes.errors import InputError, RidgeBayesWarning
from ridgebayes.parallel.tasks import made
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.runs.intensity import CALIBRATED, CI_PROB, summarise
from ridgebayes.runs.run import Run
from ridgebayes.runs.sampling import sample
from ridgebayes.sky import Sky
from ridgebayes.table.scw import ScWTable

ESTIMATES = ("posterior", "calibrated", "classical")
NORMAL = float(stats.norm.ppf((1 + CI_PROB) / 2))
"""Half width of an interval of the classical estimate, in units of its error."""
HOW = ("r_hat", "ess_bulk", "ess_tail", "divergences", "converged")
Values = dict[str, NDArray]


@dataclass(frozen=True)
class Measure:
    """The fits of a campaign, in a form for workers.

    Attributes
    ----------
    plan
        The campaign.
    truth
        Truth of the missions; by default that of the simulator.
    key
        Key that identifies the campaign on a worker.
    """

    plan: Plan
    truth: simulate.Truth | None = None
    key: str = field(default_factory=lambda: uuid4().hex)

    def __call__(self, case: Case) -> dict[str, Any]:
        """Simulate and fit one case.

        Returns
        -------
        dict
            Plain values: the case, diagnostics, seconds, and for each estimate its error (mean − truth), its
            sd (mCrab), and True where the 94 % interval contains the truth, each (region, band), with sums
            and differences after the bands. If a fit raises an InputError, ``note`` gives the reason instead.
        """
        plan = self.plan
        on, programme, truth = made(self.key, self._prepared)
        scws = simulate.mission(programme, truth, sky=on, world=plan.world_of(case), seed=case.seed)
        fit = plan.fit_of(case)
        begun, cpu = time.perf_counter(), time.process_time()
        row: dict[str, Any] = case._asdict() | {"scws": len(scws)} | dict.fromkeys(HOW)
        values: Values = {}
        try:
            with _silent():
                by = sample_auto if AUTO in fit.extras else sample
                run = by(fit.built(on), scws, progress=False, **{**plan.settings, "seed": case.seed})
                if plan.check:
                    row["found"] = list(check(run, scws, seed=case.seed, trials=False).found)
            r_hat, bulk, tail = map(float, run.diagnosis.worst)
            how = (r_hat, bulk, tail, int(run.diagnosis.divergences), all(run.converged.values()))
            row |= dict(zip(HOW, how, strict=True))
            if "true_fov_flux" in run.tree["constant_data"].dataset:
                values = measured(run, plan.compared)
            row["note"] = "; ".join(run.diagnosis.warnings)
        except InputError as error:
            row["note"] = f"no result: {error}"
        row["wall_s"] = round(time.perf_counter() - begun, 1)
        row["cpu_s"] = round(time.process_time() - cpu, 1)
        if plan.classical:
            try:
                values |= measured_classically(scws, on, plan.compared)
            except InputError as error:
                row["note"] = "; ".join(filter(None, [row["note"], f"no classical estimate: {error}"]))
        jax.clear_caches()  # free memory: a worker may fit hundreds of shapes
        return row | {name: x.tolist() for name, x in values.items()}

    def _prepared(self) -> tuple[Sky, ScWTable, simulate.Truth]:
        use_compilation_cache()
        programme = simulate.programme(self.plan.revolutions, stop=2740, seed=7)
        truth = self.truth or simulate.Truth(bands=self.plan.simulated_bands)
        return sky.load(self.plan.sky), programme, truth


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress messages of single fits; their rows contain the diagnostics."""
    log = logging.getLogger("ridgebayes")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RidgeBayesWarning)
            yield
    finally:
        log.setLevel(level)


def columns(estimate: str) -> tuple[str, str, str]:
    """Names of the columns of an estimate: error, sd, coverage."""
    return f"error_{estimate}", f"sd_{estimate}", f"covered_{estimate}"


def labels(bands: Sequence[str]) -> list[str]:
    """Names of bands, their sums and differences, in the order of `in_pairs`.

    Examples
    --------
    >>> labels(["A", "B"])
    ['A', 'B', 'A+B', 'A-B']
    """
    pairs = list(combinations(bands, 2))
    return [*bands, *(f"{a}+{b}" for a, b in pairs), *(f"{a}-{b}" for a, b in pairs)]


def in_pairs(flux: xr.DataArray) -> xr.DataArray:
    """Append the sum and the difference of every two bands along the band axis."""
    pairs = list(combinations(flux["band"].values, 2))
    parts = [flux]
    for sign, number in (("+", 1.0), ("-", -1.0)):
        parts += [
            (flux.sel(band=a) + number * flux.sel(band=b)).assign_coords(band=f"{a}{sign}{b}")
            for a, b in pairs
        ]
    return xr.concat(parts, "band", coords="minimal", compat="override")


def measured(run: Run, regions: Sequence[str]) -> Values:
    """Compare FOV fluxes of the posterior, and of calibrated draws if available, with the truth.

    Returns
    -------
    dict
        For each estimate its error (mean − truth) and sd, mCrab, and True where the 94 % interval contains
        the truth, each (region, band), with sums and differences after the bands.
    """
    true = run.tree["constant_data"].dataset["true_fov_flux"].sel(region=list(regions))
    true = in_pairs(true).transpose("region", "band")
    found: Values = {}
    for name, group in (("posterior", "posterior"), ("calibrated", CALIBRATED)):
        if group not in run.tree.children or "sky.fov_flux" not in run.tree[group].dataset:
            continue
        flux = in_pairs(run.tree[group].dataset["sky.fov_flux"].sel(region=list(regions)))
        told = summarise(flux).transpose("region", "band")
        covered = (told["lo"] <= true) & (true <= told["hi"])
        values = ((told["mean"] - true).values, told["sd"].values, covered.values)
        found |= dict(zip(columns(name), values, strict=True))
    return found


def measured_classically(scws: ScWTable, on: Sky, regions: Sequence[str]) -> Values:
    """Compare the classical estimate with the truth, as `measured`; bands have independent errors."""
    table = classical.fluxes(classical.calibrate(scws), on)
    shape = (len(on), len(scws.bands))
    rows = [on.names.index(name) for name in regions]
    coords = {"region": list(regions), "band": list(scws.band_names)}
    flux, error = (
        xr.DataArray(table[c].value.reshape(shape)[rows], coords, ("region", "band"))
        for c in ("flux", "error")
    )
    assert scws.truth is not None
    true = flux.copy(data=[scws.truth["fov"][name] for name in regions])
    off = in_pairs(flux - true).transpose("region", "band").values
    own = (error**2).values
    pairs = [own[:, a] + own[:, b] for a, b in combinations(range(shape[1]), 2)]
    sd = np.sqrt(np.column_stack([own, *pairs, *pairs]))
    return dict(zip(columns("classical"), (off, sd, np.abs(off) <= NORMAL * sd), strict=True))
