"""Test of the uniformity of ranks: simultaneous bands for their empirical distribution.

For N uniform ranks from 0 to S, the number R_i of ranks below i is Binomial(N, z_i) with z_i = i / (S + 1).
The joint distribution of the R_i is that of the counts of a Poisson process conditional on its total N. A few
convolutions therefore give, exactly, both the band that contains all R_i with a given probability and the
p-value of the largest excursion. Säilynoja, Bürkner & Vehtari 2022 (arXiv:2103.10522) derive the same band
from the binomial distribution of R_{i+1} given R_i. No simulation and no binning is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, poisson

from ridgebayes import markup
from ridgebayes.sbc.folder import Ranks

PROB = 0.95
FEW = 100
"""With fewer simulations, a posterior 1.5 times too narrow is detected in 60 % of cases or fewer."""


@dataclass(frozen=True)
class Band:
    """Simultaneous band for the counts of uniform ranks.

    Attributes
    ----------
    simulations, draws
        Number N of ranks, and their largest value.
    z
        Expected share of ranks below 1, 2, … `draws`, (draws,).
    lower, upper
        Smallest and largest number of ranks below 1, 2, … `draws` in the band, (draws,).
    coverage
        Probability that uniform ranks lie inside at all fractions.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.sbc import simultaneous_band
    >>> band = simultaneous_band(simulations=100, draws=9)
    >>> band.holds(np.arange(100) % 10), band.holds(np.full(100, 4))
    (True, False)
    """

    simulations: int
    draws: int
    z: NDArray[np.float64]
    lower: NDArray[np.intp]
    upper: NDArray[np.intp]
    coverage: float

    def holds(self, ranks: ArrayLike) -> bool:
        """Return True if ranks (simulation,) lie inside at all fractions."""
        counts = counts_below(ranks, self.draws)
        return bool(np.all((self.lower <= counts) & (counts <= self.upper)))


def counts_below(ranks: ArrayLike, draws: int) -> NDArray[np.intp]:
    """Count the ranks below 1, 2, … `draws`, (draws,)."""
    return np.bincount(np.asarray(ranks), minlength=draws + 1).cumsum()[:-1]


@lru_cache(maxsize=16)
def simultaneous_band(simulations: int, draws: int, prob: float = PROB) -> Band:
    """Return the narrowest band that contains uniform ranks with at least probability `prob`.

    The two-sided binomial tail probability is the same at every fraction.

    Parameters
    ----------
    simulations
        Number of ranks.
    draws
        Largest possible rank.
    prob
        Least probability.

    Examples
    --------
    >>> from ridgebayes.sbc import simultaneous_band
    >>> band = simultaneous_band(simulations=100, draws=9)
    >>> int(band.lower[4]), int(band.upper[4])  # of 100 uniform ranks 0 to 9, so many are below 5
    (37, 63)
    """
    low, high = 0.0, 1.0 - prob
    # The coverage is a decreasing step function of the tail probability at each fraction.
    for _ in range(40):
        middle = (low + high) / 2
        inside = _coverage(*_limits(simulations, draws, middle), simulations, draws)
        low, high = (middle, high) if inside >= prob else (low, middle)
    lower, upper = _limits(simulations, draws, low)
    return Band(
        simulations,
        draws,
        _fractions(draws),
        lower,
        upper,
        _coverage(lower, upper, simulations, draws),
    )


def p_value(ranks: ArrayLike, draws: int) -> float:
    """Probability that uniform ranks have an excursion, at any fraction, at least as large as `ranks`.

    Parameters
    ----------
    ranks
        Ranks from 0 to `draws`, (simulation,).
    draws
        Draws among which each truth was ranked.
    """
    counts, n, z = counts_below(ranks, draws), np.size(ranks), _fractions(draws)
    tails = 2 * np.minimum(binom.cdf(counts, n, z), binom.sf(counts - 1, n, z))
    least = float(tails.min())
    if least >= 1.0:
        return 1.0
    return max(1.0 - _coverage(*_limits(n, draws, least), n, draws), 0.0)


def _fractions(draws: int) -> NDArray[np.float64]:
    return np.arange(1, draws + 1) / (draws + 1)


def _limits(n: int, draws: int, tail: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and last count, at each fraction, whose two-sided tail probability is above `tail`."""
    z = _fractions(draws)
    # The factor excludes, despite rounding, a count whose tail probability is exactly `tail`.
    half = tail / 2 * (1 + 1e-9)
    lower = binom.ppf(half, n, z)  # the least k with P(≤ k) ≥ half
    upper = binom.isf(half, n, z)  # the least k with P(> k) ≤ half, so P(≥ k) > half
    return np.maximum(lower, 0).astype(np.intp), upper.astype(np.intp)


def _coverage(lower: NDArray[np.intp], upper: NDArray[np.intp], n: int, draws: int) -> float:
    """Probability that the counts of n uniform ranks lie in [lower, upper] at all fractions."""
    step = poisson.pmf(np.arange(n + 1), n / (draws + 1))
    first, weight = 0, np.array([1.0])  # probabilities of the counts from `first` on
    for low, high in zip(lower, upper, strict=True):
        weight = np.convolve(weight, step)[low - first : high + 1 - first]
        first = int(low)
    end = weight @ step[n - first - np.arange(len(weight))]
    return float(end / poisson.pmf(n, n))


@dataclass(frozen=True)
class Uniformity:
    """Result of the test of uniformity for a campaign.

    Attributes
    ----------
    table
        One row per quantity: p, p_adjusted (by Holm's method over all quantities), inside (True if in its own
        band), mean, the mean rank over the range (0.5 if uniform), and spread, the variance of ranks over
        that of uniform ranks (1 if uniform).
    simulations
        Number of simulations with ranks.
    draws
        Draws among which each truth was ranked.
    failures
        Number of failed simulations.
    short
        Number of simulations whose ESS is below `draws`.
    prob
        Probability of a band, and one minus the level of the verdict.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.sbc import Ranks, uniformity
    >>> values = (np.arange(200) % 10)[:, None]
    >>> test = uniformity(Ranks({"sbc": {"draws": 9}}, ("crab.rate[A01]",), values, results=()))
    >>> test.uniform, round(float(test.table["mean"][0]), 2)
    (True, 0.5)
    """

    table: Table
    simulations: int
    draws: int
    failures: int
    short: int
    prob: float = PROB

    @property
    def uniform(self) -> bool:
        """True if no quantity departs significantly from uniformity, corrected for their number."""
        return bool(self.table["p_adjusted"].min() >= 1 - self.prob)

    @property
    def departures(self) -> dict[str, str]:
        """Quantity → description of its departure, worst first."""
        rows = self.table[np.argsort(self.table["p"], kind="stable")]
        rows = rows[rows["p_adjusted"] < 1 - self.prob]
        return {str(row["quantity"]): _words(row["mean"], row["spread"], self.simulations) for row in rows}

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        title, *lines = str(self).splitlines()
        return markup.page(title, markup.lines(lines))

    def __str__(self) -> str:
        table = self.table
        inside = int(table["inside"].sum())
        worst = table[int(np.argmin(table["p"]))]
        lines = [
            f"{self.simulations} simulations, ranks from 0 to {self.draws}, {len(table)} quantities: "
            f"{inside} inside their own {self.prob:.0%} band ({self.prob * len(table):.0f} expected)"
        ]
        if self.uniform:
            lines.append(
                f"UNIFORM: no quantity is further off than chance allows among {len(table)} (smallest p "
                f"{worst['p']:.2g}, {worst['quantity']}; adjusted {worst['p_adjusted']:.2g})"
            )
        else:
            lines.append(f"NOT UNIFORM: {len(self.departures)} of {len(table)} quantities are wrong")
            adjusted = dict(zip(table["quantity"], table["p_adjusted"], strict=True))
            lines += [f"  {name}: {why} (p {adjusted[name]:.1g})" for name, why in self.departures.items()]
        if self.simulations < FEW:
            lines.append(f"NOTE: {self.simulations} simulations show gross mistakes only: give 200 or more")
        if self.failures:
            lines.append(f"WARNING: {self.failures} simulations failed and are left out")
        if self.short:
            lines.append(
                f"WARNING: {self.short} of {self.simulations} simulations had chains of fewer than "
                f"{self.draws} independent draws: their ranks scatter a little too much"
            )
        return "\n".join(lines)


def uniformity(ranks: Ranks, prob: float = PROB) -> Uniformity:
    """Test the ranks of a campaign for uniformity.

    Parameters
    ----------
    ranks
        Ranks from `run_sbc` or `read_ranks`.
    prob
        Probability of the bands; one minus this is the probability of a false alarm for any quantity.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.sbc import Ranks, uniformity
    >>> values = np.stack([np.arange(200) % 10, np.full(200, 4)], axis=-1)
    >>> ranks = Ranks({"sbc": {"draws": 9}}, ("background.level[A01]", "crab.rate[A01]"), values, results=())
    >>> list(uniformity(ranks).departures)
    ['crab.rate[A01]']
    """
    n, draws = len(ranks.values), ranks.draws
    band = simultaneous_band(n, draws, prob)
    p = np.array([p_value(column, draws) for column in ranks.values.T])
    table = Table(
        {
            "quantity": list(ranks.quantities),
            "p": p,
            "p_adjusted": holm(p),
            "inside": [band.holds(column) for column in ranks.values.T],
            "mean": ranks.values.mean(0) / draws,
            "spread": ranks.values.var(0) / (draws * (draws + 2) / 12),
        }
    )
    short = sum(not r.failed and r.ess < draws for r in ranks.results)
    return Uniformity(table, n, draws, len(ranks.failures), short, prob)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values for their number (Holm 1979); valid for any correlations."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _words(mean: float, spread: float, n: int) -> str:
    """Describe the error of a posterior by mean or variance of ranks, whichever is more significant."""
    shift = (mean - 0.5) / np.sqrt(1 / 12 / n)
    width = (spread - 1) / np.sqrt(0.8 / n)  # the standard errors are those of uniform ranks
    if max(abs(shift), abs(width)) < 2:
        return "ranks of another shape"
    if abs(shift) >= abs(width):
        return "posterior too low" if shift > 0 else "posterior too high"
    return "posterior too narrow" if width > 0 else "posterior too wide"
