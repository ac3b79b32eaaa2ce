"""Did the sampler do its work? R-hat, ESS and divergences, said plainly."""

from __future__ import annotations

from dataclasses import dataclass

import arviz_stats
import numpy as np
import xarray as xr

MAX_R_HAT = 1.01
MIN_ESS = 400
"""Vehtari et al. 2021, Bayesian Analysis 16, 667: R-hat below 1.01, bulk ESS of at least 400."""
MIN_BFMI = 0.3
"""Betancourt 2016 (arXiv:1604.00695)."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes
    ----------
    r_hat, ess_bulk, ess_tail
        Per scalar parameter, variables named as in the posterior.
    divergences
        Number of divergent draws.
    saturated
        Number of draws that reached the largest tree.
    bfmi
        Lowest Bayesian fraction of missing information of a chain (of a band).
    warnings
        One plain sentence each, naming the parameter; empty when all is well.
    """

    r_hat: xr.Dataset
    ess_bulk: xr.Dataset
    ess_tail: xr.Dataset
    divergences: int
    saturated: int
    bfmi: float
    warnings: tuple[str, ...]

    @property
    def worst(self) -> tuple[float, float, float]:
        """Largest R-hat, smallest bulk ESS, smallest tail ESS."""
        return (
            max(float(v.max()) for v in self.r_hat.values()),
            min(float(v.min()) for v in self.ess_bulk.values()),
            min(float(v.min()) for v in self.ess_tail.values()),
        )


def diagnose(tree: xr.DataTree) -> Diagnosis:
    """Diagnose the posterior of a run.

    Parameters
    ----------
    tree
        ArviZ groups `posterior` and `sample_stats`.
    """
    # The FOV flux is linear in the intensities, which are judged themselves.
    posterior = tree["posterior"].to_dataset().drop_vars("sky.fov_flux", errors="ignore")
    statistics = tree["sample_stats"]
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    warnings = []
    if draws < 4:
        warnings.append(f"{draws} draws a chain are too few to judge convergence")
        nothing = posterior.isel(chain=0, draw=0) * np.nan
        r_hat = ess_bulk = ess_tail = nothing
    else:
        # What is fixed agrees with itself; ArviZ would divide by its spread.
        fixed = [name for name, x in posterior.items() if bool((x == x.isel(chain=0, draw=0)).all())]
        varying = posterior.drop_vars(fixed)
        given = posterior.isel(chain=0, draw=0, drop=True)[fixed]
        r_hat, ess_bulk = xr.full_like(given, 1.0), xr.full_like(given, chains * draws)
        ess_tail = ess_bulk
        if varying.data_vars:
            # One chain has no R-hat; ArviZ splits it in halves.
            r_hat = arviz_stats.rhat(varying).merge(r_hat)
            ess_tail = arviz_stats.ess(varying, method="tail").merge(ess_bulk)
            ess_bulk = arviz_stats.ess(varying, method="bulk").merge(ess_bulk)
    if chains < 2:
        warnings.append("one chain cannot show that others agree with it: run four")
    divergences = int(statistics["diverging"].sum())
    if divergences:
        share = divergences / (chains * draws)
        where = _divergent_bands(statistics)
        warnings.append(
            f"{divergences} draws diverged ({share:.1%}){where}: do not trust the tails; "
            "raise the target acceptance (target_accept) or mend the prior"
        )
    saturated = int(statistics["reached_max_treedepth"].sum())
    if saturated:
        warnings.append(f"{saturated} draws reached the largest tree: sampling is slow, not wrong")
    bfmi = _lowest_bfmi(tree) if draws >= 4 else float("nan")
    if bfmi < MIN_BFMI:
        warnings.append(
            f"BFMI {bfmi:.2f} of a chain: the tails are explored slowly; draw more, or mend the prior"
        )
    warnings += _beyond(r_hat, "R-hat", lambda x: x > MAX_R_HAT, "the chains disagree; draw more")
    warnings += _beyond(ess_bulk, "bulk ESS", lambda x: x < MIN_ESS, "draw more")
    warnings += _beyond(
        ess_tail, "tail ESS", lambda x: x < MIN_ESS, "the interval's ends are noisy; draw more"
    )
    return Diagnosis(r_hat, ess_bulk, ess_tail, divergences, saturated, bfmi, tuple(warnings))


def _lowest_bfmi(tree: xr.DataTree) -> float:
    """Lowest of all chains, and of all bands where these were sampled apart."""
    statistics = tree["sample_stats"].to_dataset()
    name = "energy_band" if "energy_band" in statistics else "energy"
    if name not in statistics:
        return float("nan")
    return float(arviz_stats.bfmi(statistics[name]).min())


def _beyond(values: xr.Dataset, what: str, bad, remedy: str) -> list[str]:
    """One sentence for all parameters beyond a limit, naming the worst and counting the others."""
    found = [
        (float(value), f"{name}[{', '.join(map(str, labels))}]" if labels else str(name))
        for name, array in values.items()
        for value, labels in _scalars(array)
        if bad(value)
    ]
    if not found:
        return []
    value, name = max(found) if what == "R-hat" else min(found)
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return [f"{what} {value:.3g} of {name}{others}: {remedy}"]


def _scalars(array: xr.DataArray):
    """Every value with its labels along the axes."""
    labels = [array[dim].values for dim in array.dims]
    for index in np.ndindex(array.shape):
        yield array.values[index], [str(axis[i]) for axis, i in zip(labels, index, strict=True)]


def _divergent_bands(statistics) -> str:
    if "diverging_band" not in statistics:
        return ""
    count = statistics["diverging_band"].sum(("chain", "draw"))
    return " in band " + ", ".join(
        str(b) for b, n in zip(count["band"].values, count.values, strict=True) if n
    )
