"""Whether ranks are uniform: bands for their empirical distribution that hold everywhere at once.

Of N uniform ranks from 0 to S, the number R_i that lie below i is Binomial(N, z_i) with z_i = i / (S + 1).
What the R_i do together follows exactly: they are the counts of a Poisson process that is known to end at N.
So both the band that all of them stay inside with a given probability, and the p-value of the largest
excursion, are a few convolutions. Band: Säilynoja, Bürkner & Vehtari 2022 (arXiv:2103.10522), who get it from
the binomial distribution of R_{i+1} given R_i, which is the same. Nothing is simulated, and there are no bins
to choose.
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
"""With fewer simulations, a posterior 1.5 times too narrow is found in 6 of 10 cases, or less often."""


@dataclass(frozen=True)
class Band:
    """Where the counts of uniform ranks lie, all at once.

    Attributes
    ----------
    simulations, draws
        N ranks from 0 to `draws`.
    z
        Share of uniform ranks below 1, 2, … `draws`: (draws,).
    lower, upper
        Least and greatest number of ranks below these, (draws,).
    coverage
        Probability that uniform ranks stay inside everywhere.
    """

    simulations: int
    draws: int
    z: NDArray[np.float64]
    lower: NDArray[np.intp]
    upper: NDArray[np.intp]
    coverage: float

    def holds(self, ranks: ArrayLike) -> bool:
        """Tell whether ranks (simulation,) stay inside."""
        counts = counts_below(ranks, self.draws)
        return bool(np.all((self.lower <= counts) & (counts <= self.upper)))


def counts_below(ranks: ArrayLike, draws: int) -> NDArray[np.intp]:
    """Count the ranks below 1, 2, … `draws`: (draws,)."""
    return np.bincount(np.asarray(ranks), minlength=draws + 1).cumsum()[:-1]


@lru_cache(maxsize=16)
def simultaneous_band(simulations: int, draws: int, prob: float = PROB) -> Band:
    """Return the narrowest band that uniform ranks stay inside with at least probability `prob`.

    At every fraction it has the same (two-sided, binomial) tail probability.

    Parameters
    ----------
    simulations
        How many ranks there are.
    draws
        Their largest value.
    prob
        Least probability.
    """
    low, high = 0.0, 1.0 - prob
    # The coverage is a falling step function of the tail probability that is left outside at each fraction.
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
    """Probability that the counts of uniform ranks go as far out, at any fraction, as those of `ranks`.

    Parameters
    ----------
    ranks
        From 0 to `draws`, (simulation,).
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
    # A hair's breadth, so that a count is not inside the limits that its own tail probability defines.
    half = tail / 2 * (1 + 1e-9)
    lower = binom.ppf(half, n, z)  # the least k with P(≤ k) ≥ half
    upper = binom.isf(half, n, z)  # the least k with P(> k) ≤ half, so P(≥ k) > half
    return np.maximum(lower, 0).astype(np.intp), upper.astype(np.intp)


def _coverage(lower: NDArray[np.intp], upper: NDArray[np.intp], n: int, draws: int) -> float:
    """Probability that the counts of n uniform ranks lie in [lower, upper] at all fractions."""
    step = poisson.pmf(np.arange(n + 1), n / (draws + 1))
    first, weight = 0, np.array([1.0])  # of the counts from `first` on
    for low, high in zip(lower, upper, strict=True):
        weight = np.convolve(weight, step)[low - first : high + 1 - first]
        first = int(low)
    end = weight @ step[n - first - np.arange(len(weight))]
    return float(end / poisson.pmf(n, n))


@dataclass(frozen=True)
class Uniformity:
    """How uniform the ranks of a campaign are.

    Attributes
    ----------
    table
        A row a quantity: p, p_adjusted (Holm's, over all quantities), inside (its own band), and where the
        truths lie: mean of the ranks over their range (0.5 if uniform), spread, their variance over that of
        uniform ones (1 if uniform).
    simulations
        Simulations with ranks.
    draws
        Draws among which each truth was ranked.
    failures
        Simulations without.
    short
        Simulations whose chain had fewer independent draws than are ranked among.
    prob
        Probability of a band, and one minus the level of the verdict.
    """

    table: Table
    simulations: int
    draws: int
    failures: int
    short: int
    prob: float = PROB

    @property
    def uniform(self) -> bool:
        """True where no quantity is further from uniform than chance allows among so many."""
        return bool(self.table["p_adjusted"].min() >= 1 - self.prob)

    @property
    def departures(self) -> dict[str, str]:
        """Quantity → what is wrong with it, in words, the worst first."""
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
    """Judge the ranks of a campaign.

    Parameters
    ----------
    ranks
        As of `run_sbc` or `read_ranks`.
    prob
        Probability of the bands; the verdict allows one minus this for a false alarm anywhere.
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
    """Adjust p-values for their number (Holm 1979), whatever their correlations."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _words(mean: float, spread: float, n: int) -> str:
    """Say how a posterior is wrong: by mean or variance of the ranks, whichever is more clearly off."""
    shift = (mean - 0.5) / np.sqrt(1 / 12 / n)
    width = (spread - 1) / np.sqrt(0.8 / n)  # the standard errors are those of uniform ranks
    if max(abs(shift), abs(width)) < 2:
        return "ranks of another shape"
    if abs(shift) >= abs(width):
        return "posterior too low" if shift > 0 else "posterior too high"
    return "posterior too narrow" if width > 0 else "posterior too wide"
