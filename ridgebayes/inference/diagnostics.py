"""Convergence diagnostics: R-hat, ESS, divergences and BFMI, in plain sentences with advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import arviz_stats
import numpy as np
import xarray as xr

from ridgebayes.errors import counted
from ridgebayes.inference.advice import enough, more_draws
from ridgebayes.inference.mixing import MAX_R_HAT, MIN_ESS

FEWEST = 4
"""Fewest draws of each chain for any diagnostic."""
MIN_BFMI = 0.3
"""Least Bayesian fraction of missing information: Betancourt 2016 (arXiv:1604.00695)."""


class Finding(NamedTuple):
    """One problem of the draws.

    Attributes
    ----------
    what
        Description with the parameter and the reason.
    advice
        Options of ``ridgebayes fit`` that help; empty if nothing needs to be done.
    bands
        Bands concerned, if bands are fitted separately; empty for all.
    fails
        True if the draws must not be used.
    """

    what: str
    advice: str = ""
    bands: tuple[str, ...] = ()
    fails: bool = True

    def __str__(self) -> str:
        return self.what + (f": {self.advice}" if self.advice else "")


@dataclass(frozen=True)
class Diagnosis:
    """Diagnostics of a run.

    Attributes
    ----------
    r_hat, ess_bulk, ess_tail
        Values for each scalar parameter, variables named as in the posterior.
    divergences
        Number of divergent draws.
    saturated
        Number of draws that reached the largest tree.
    bfmi
        Lowest Bayesian fraction of missing information of a chain (of a band).
    findings
        Problems; empty if there are none.
    """

    r_hat: xr.Dataset
    ess_bulk: xr.Dataset
    ess_tail: xr.Dataset
    divergences: int
    saturated: int
    bfmi: float
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        return "\n".join([self.in_short, *self.warnings])

    def __repr__(self) -> str:
        return str(self)

    @property
    def in_short(self) -> str:
        """The worst numbers in one line."""
        r_hat, ess, _ = self.worst
        agree = f"worst R-hat {r_hat:.4f}" if np.isfinite(r_hat) else "no R-hat"
        return f"{agree}, worst bulk ESS {ess:.0f}, {counted(self.divergences, 'divergence')}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each finding, with the parameter, the reason and the options that help."""
        return tuple(map(str, self.findings))

    @property
    def failures(self) -> tuple[Finding, ...]:
        """Findings for which the draws must not be used."""
        return tuple(finding for finding in self.findings if finding.fails)

    def fails(self, band: str) -> bool:
        """Tell whether the draws of a band must not be used."""
        return any(not finding.bands or band in finding.bands for finding in self.failures)

    @property
    def worst(self) -> tuple[float, float, float]:
        """Largest R-hat, smallest bulk ESS, smallest tail ESS."""
        return (
            max(float(v.max()) for v in self.r_hat.values()),
            min(float(v.min()) for v in self.ess_bulk.values()),
            min(float(v.min()) for v in self.ess_tail.values()),
        )


def diagnose(tree: xr.DataTree, stopped: str = "") -> Diagnosis:
    """Diagnose the posterior of a run.

    Parameters
    ----------
    tree
        ArviZ groups `posterior` and `sample_stats`.
    stopped
        When the chains were stopped early, in words.
    """
    # The FOV flux is linear in the intensities, which have their own diagnostics.
    posterior = tree["posterior"].to_dataset().drop_vars("sky.fov_flux", errors="ignore")
    statistics = tree["sample_stats"].to_dataset()
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    judged = draws >= FEWEST
    r_hat, ess_bulk, ess_tail = _measures(posterior) if judged else 3 * (_nothing(posterior),)
    findings = []
    if not judged:
        findings.append(Finding(f"{draws} draws a chain are too few to judge convergence", enough()))
    if chains < 2:
        findings.append(Finding("one chain cannot show that others agree with it", "--chains 4"))
    if stopped:
        findings.append(Finding(f"stopped {stopped}: the fit did not come to its end", fails=False))
    divergences, found = _divergences(posterior, statistics)
    findings += found
    saturated = int(statistics["reached_max_treedepth"].sum())
    if saturated:
        slow = f"{saturated} draws reached the largest tree: sampling is slow, not wrong"
        findings.append(Finding(slow, fails=False))
    bfmi = _bfmi(statistics) if judged else None
    if bfmi is not None and float(bfmi.min()) < MIN_BFMI:
        findings.append(_slow_energy(posterior, statistics, bfmi, draws))
    if judged:
        apart = "diverging_band" in statistics
        if chains > 1:
            findings += _beyond(r_hat, "R-hat", MAX_R_HAT, "the chains disagree", draws, apart=apart)
        findings += [
            *_beyond(ess_bulk, "bulk ESS", MIN_ESS, "too few independent draws", draws, apart=apart),
            *_beyond(ess_tail, "tail ESS", MIN_ESS, "the ends of its interval are noisy", draws, apart=apart),
        ]
    lowest = float("nan") if bfmi is None else float(bfmi.min())
    return Diagnosis(r_hat, ess_bulk, ess_tail, divergences, saturated, lowest, tuple(findings))


def _nothing(posterior: xr.Dataset) -> xr.Dataset:
    return posterior.isel(chain=0, draw=0) * np.nan


def _measures(posterior: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    """R-hat, bulk and tail ESS of every scalar parameter."""
    # Fixed parameters have zero spread, by which ArviZ would divide.
    fixed = [name for name, x in posterior.items() if bool((x == x.isel(chain=0, draw=0)).all())]
    varying = posterior.drop_vars(fixed)
    given = posterior.isel(chain=0, draw=0, drop=True)[fixed]
    size = posterior.sizes["chain"] * posterior.sizes["draw"]
    alike, all_of_them = xr.full_like(given, 1.0), xr.full_like(given, size)
    if not varying.data_vars:
        return alike, all_of_them, all_of_them
    # ArviZ splits chains in halves, so even a single chain has an R-hat.
    return (
        arviz_stats.rhat(varying).merge(alike),
        arviz_stats.ess(varying, method="bulk").merge(all_of_them),
        arviz_stats.ess(varying, method="tail").merge(all_of_them),
    )


def _divergences(posterior: xr.Dataset, statistics: xr.Dataset) -> tuple[int, list[Finding]]:
    """Count the divergent draws, and find the parameter in which they differ most from the others."""
    diverging = statistics["diverging"]
    number = int(diverging.sum())
    if not number:
        return 0, []
    bands: tuple[str, ...] = ()
    if "diverging_band" in statistics:
        count = statistics["diverging_band"].sum(("chain", "draw"))
        bands = tuple(str(b) for b, n in zip(count["band"].values, count.values, strict=True) if n)
    others = posterior.where(~diverging)
    over = ("chain", "draw")
    away = abs(posterior.where(diverging).mean(over) - others.mean(over)) / others.std(over)
    where = _in_bands(away.where(np.isfinite(away), 0.0), bands)
    name = _largest(where)
    place = f" in band {', '.join(bands)}" if bands else ""
    most = f", most of all by {name}" if name else ""
    what = f"{number} draws diverged ({number / diverging.size:.1%}){place}{most}: do not trust the tails"
    return number, [Finding(what, more_draws(posterior.sizes["draw"], 4), bands)]


def _in_bands(values: xr.Dataset, bands: tuple[str, ...]) -> xr.Dataset:
    """Keep only these bands, if any are given."""
    if not bands or "band" not in values.dims:
        return values
    return values.isel(band=[str(b) in bands for b in values["band"].values])


def _largest(values: xr.Dataset) -> str:
    """Return the name of the scalar parameter with the largest value."""
    found = [(name, value, labels) for name, x in values.items() for value, labels in _scalars(x)]
    if not found:
        return ""
    name, _, labels = max(found, key=lambda one: float(one[1]))
    return _named(name, labels)


def _bfmi(statistics: xr.Dataset) -> xr.DataArray | None:
    """BFMI of each chain, and of each band if bands were sampled separately."""
    name = "energy_band" if "energy_band" in statistics else "energy"
    return arviz_stats.bfmi(statistics[name]) if name in statistics else None


def _slow_energy(posterior: xr.Dataset, statistics: xr.Dataset, bfmi: xr.DataArray, draws: int) -> Finding:
    """Report slowly explored tails, with the parameter that is most correlated with the energy."""
    energy: xr.DataArray = statistics["energy"]
    bands: tuple[str, ...] = ()
    if "band" in bfmi.dims:
        lowest = bfmi.min([dim for dim in bfmi.dims if dim != "band"])
        low = lowest < MIN_BFMI
        bands = tuple(str(b) for b, slow in zip(bfmi["band"].values, low.values, strict=True) if slow)
        worst = statistics["energy_band"].isel(band=int(np.argmin(lowest.values)))
        energy = worst.drop_vars("band", errors="ignore")
    follows = posterior.map(lambda x: abs(xr.corr(x, energy, ("chain", "draw"))))
    name = _largest(_in_bands(follows.where(np.isfinite(follows), 0.0), bands))
    place = f" in band {', '.join(bands)}" if bands else ""
    what = f"BFMI {float(bfmi.min()):.2f} of a chain{place}: the tails of {name} are explored slowly"
    return Finding(what, more_draws(draws, 4), bands)


def _beyond(
    values: xr.Dataset, what: str, limit: float, reason: str, draws: int, *, apart: bool
) -> list[Finding]:
    """Return one finding for all parameters beyond a limit, with the worst one and the number of others."""
    sign = 1 if what == "R-hat" else -1
    # Values that are not a number count as the worst.
    found = [
        (sign * float(value) if np.isfinite(value) else np.inf, value, name, labels, x.dims)
        for name, x in values.items()
        for value, labels in _scalars(x)
        if not sign * value <= sign * limit
    ]
    if not found:
        return []
    _, value, name, labels, _ = max(found, key=lambda one: one[0])
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    known = apart and all("band" in dims for *_, dims in found)
    bands = {labels[dims.index("band")] for *_, labels, dims in found} if known else set()
    short = (value - 1) / (limit - 1) if what == "R-hat" else limit / max(value, 1e-3)
    worst = f"{what} {value:.3g} of {_named(name, labels)}{others}: {reason}"
    return [Finding(worst, more_draws(draws, short), tuple(sorted(bands)))]


def _named(name: object, labels: list[str]) -> str:
    return f"{name}[{', '.join(labels)}]" if labels else str(name)


def _scalars(array: xr.DataArray):
    """Yield every value with its labels along the axes."""
    labels = [array[dim].values for dim in array.dims]
    for index in np.ndindex(array.shape):
        yield array.values[index], [str(axis[i]) for axis, i in zip(labels, index, strict=True)]
