"""Results of a check: statistics of each band, curves for figures, verdicts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from ridgebayes import markup
from ridgebayes.checks.pvalues import FALSE_ALARM
from ridgebayes.checks.verdicts import EXTRA_FOR, SUBJECTS, p_words, remedy
from ridgebayes.comparison.trials import Trial
from ridgebayes.io.atomic import whole_file
from ridgebayes.io.product_tables import write_ecsv
from ridgebayes.runs.convergence import COLUMN, KEY

TABLE, JSON = "checks.ecsv", "checks.json"
QUANTILES = (0.03, 0.25, 0.5, 0.75, 0.97)
"""Quantiles of replicates for figures: the median, and the 50 % and 94 % intervals."""


class Result(NamedTuple):
    """A statistic of one band.

    Attributes
    ----------
    statistic, what, band
        Name and description of the statistic, and the band.
    observed, mean, lo, hi
        Value of the data; mean and 94 % interval of the replicates.
    p, z
        See `ridgebayes.checks.pvalues.Compared`.
    found
        True if p is below the limit, corrected for the number of statistics.

    Examples
    --------
    >>> from ridgebayes.checks import Result
    >>> interval = {"mean": 0.0, "lo": -0.2, "hi": 0.2}
    >>> one = Result("neighbours.lag1", "lag 1", "A01", observed=0.1, **interval, p=0.3, z=1.0, found=False)
    >>> one.subject
    'neighbours'
    """

    statistic: str
    what: str
    band: str
    observed: float
    mean: float
    lo: float
    hi: float
    p: float
    z: float
    found: bool

    @property
    def subject(self) -> str:
        """Subject of the statistic."""
        return self.statistic.split(".")[0]


class Verdict(NamedTuple):
    """Conclusion about a subject.

    Attributes
    ----------
    subject
        Name, such as ``neighbours``.
    found
        True if any of its statistics has a finding.
    words
        Message of one line.
    remedy
        Advice; empty without a finding.
    p, z
        Values of the most extreme statistic.
    bands
        Bands with a finding.

    Examples
    --------
    >>> from ridgebayes.checks import Verdict
    >>> print(Verdict("outliers", True, "outliers", "add the extra outliers", p=1e-4, z=5.0, bands=("A01",)))
    Outliers in A01 (p < 1e-3): add the extra outliers
    """

    subject: str
    found: bool
    words: str
    remedy: str
    p: float
    z: float
    bands: tuple[str, ...]

    def __str__(self) -> str:
        where = f" in {', '.join(self.bands)}" if self.bands else ""
        text = f"{self.words}{where} ({p_words(self.p)})" if self.found else self.words
        return text[0].upper() + text[1:] + (f": {self.remedy}" if self.remedy else "")


class CurveResult(NamedTuple):
    """A curve of the data and of its replicates.

    Attributes
    ----------
    name, x, x_label, y_label
        As in `ridgebayes.checks.statistic.Curve`.
    observed
        Values of the data, (band, bin).
    replicated
        `QUANTILES` of the replicates, (quantile, band, bin).
    """

    name: str
    x: NDArray
    x_label: str
    y_label: str
    observed: NDArray
    replicated: NDArray


@dataclass(frozen=True)
class Checks:
    """Posterior predictive checks of a run.

    Attributes
    ----------
    results
        One element per statistic and band.
    curves
        Curves by name.
    bands, extras
        Bands and extras of the run.
    replicates, limit
        Number of replicates; p-value below which a statistic has a finding.
    meta
        Origin of the run.
    trials
        Trials of the extras that the model does not have, by decreasing gain; empty without findings.
    """

    results: tuple[Result, ...]
    curves: dict[str, CurveResult] = field(repr=False)
    bands: tuple[str, ...]
    extras: tuple[str, ...]
    replicates: int
    limit: float
    meta: dict[str, Any] = field(default_factory=dict, repr=False)
    trials: tuple[Trial, ...] = ()

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict per subject, in order of priority.

        Findings come first. Among them, those for which a tried extra helps are sorted by its gain, then
        come the most extreme ones.
        """
        present = dict.fromkeys(result.subject for result in self.results)
        verdicts = [self._verdict(subject) for subject in SUBJECTS if subject in present]
        found = {verdict.subject for verdict in verdicts if verdict.found}

        gains = {trial.extra: trial.gain for trial in self.trials if trial.helps}

        def place(verdict: Verdict) -> tuple[bool, float, bool, bool, float]:
            # Causes come before consequences. A bright outburst causes outliers, but outliers, which other
            # statistics clip, do not cause a change of the plane.
            follows = verdict.subject == "tails" and "variable" in found
            extra = EXTRA_FOR.get(verdict.subject, "")
            # An extra that was tried and does not help counts as none.
            mended = bool(extra) and (not self.trials or extra in gains)
            return not verdict.found, -gains.get(extra, 0.0), not mended, follows, -abs(verdict.z)

        return tuple(sorted(verdicts, key=place))

    @property
    def found(self) -> tuple[str, ...]:
        """Subjects with findings."""
        return tuple(verdict.subject for verdict in self.verdicts if verdict.found)

    @property
    def verdict(self) -> str:
        """Summary in one sentence."""
        failed = self.meta.get(KEY)
        before = f"NOT CONVERGED in {', '.join(failed)}: checks of it mean nothing. " if failed else ""
        return before + self._of_data

    @property
    def _of_data(self) -> str:
        found = [verdict for verdict in self.verdicts if verdict.found]
        if not found:
            return (
                f"Nothing found: in {len(self.results)} statistics the data look like the {self.replicates} "
                "replicates of the model"
            )
        others = len(found) - 1
        then = "; fit and check again" + (f": the other {others} may follow from it" if others > 1 else "")
        if others == 1:
            then = "; fit and check again: the other finding may follow from it"
        number = "One finding" if not others else f"{len(found)} findings"
        return f"{number}. {found[0]}{then}"

    def _verdict(self, subject: str) -> Verdict:
        about = [result for result in self.results if result.subject == subject]
        found = [result for result in about if result.found]
        first = min(found or about, key=lambda result: (result.p, -abs(result.z)))
        words = SUBJECTS[subject]
        bands = tuple(band for band in self.bands if any(r.band == band for r in found))
        what = words.found if found else words.quiet
        tried = {trial.extra: trial.helps for trial in self.trials}
        todo = remedy(subject, self.extras, tried) if found else ""
        return Verdict(subject, bool(found), what, todo, first.p, first.z, bands)

    def table(self) -> QTable:
        """Return one row per statistic and band; metadata: verdicts, limit, replicates, origin of the run."""
        verdicts = {verdict.subject: verdict for verdict in self.verdicts}
        table = QTable(
            {
                "statistic": [r.statistic for r in self.results],
                "what": [r.what for r in self.results],
                "band": [r.band for r in self.results],
                "observed": [r.observed for r in self.results],
                "replicated": [r.mean for r in self.results],
                "lo": [r.lo for r in self.results],
                "hi": [r.hi for r in self.results],
                "z": [r.z for r in self.results],
                "p": [r.p for r in self.results],
                "verdict": [str(verdicts[r.subject]) if r.found else "" for r in self.results],
            }
        )
        table[COLUMN] = [r.band not in self.meta.get(KEY, []) for r in self.results]
        table.meta = self.meta | self._head()
        return table

    def as_dict(self) -> dict[str, Any]:
        """Return everything except the curves as values for JSON."""
        rows = [r._asdict() | {"found": bool(r.found)} for r in self.results]
        return {**self._head(), "results": rows, "meta": self.meta}

    def _head(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "verdicts": [v._asdict() | {"bands": list(v.bands), "text": str(v)} for v in self.verdicts],
            "bands": list(self.bands),
            "extras": list(self.extras),
            "trials": [trial.recorded() | {"helps": trial.helps} for trial in self.trials],
            "replicates": self.replicates,
            "limit": self.limit,
            "rule": f"a statistic has found something where p < {FALSE_ALARM:g} / {len(self.results)}: "
            f"data of the model are faulted in one of {1 / FALSE_ALARM:.0f} checks",
            "interval": f"lo to hi holds {QUANTILES[-1] - QUANTILES[0]:.0%} of the replicates",
        }

    def save(self, folder: Path) -> list[Path]:
        """Write ``checks.ecsv`` and ``checks.json`` atomically, and return their paths.

        Raises
        ------
        InputError
            If the folder cannot be written.
        """
        folder = Path(folder)
        write_ecsv(self.table(), folder / TABLE)
        with whole_file(folder / JSON) as path:
            path.write_text(json.dumps(self.as_dict(), indent=1, default=_plain), encoding="utf-8")
        return [folder / TABLE, folder / JSON]

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        rows = [("FOUND" if v.found else "quiet", v.subject, str(v)) for v in self.verdicts]
        return markup.page(self.verdict, markup.table(("", "subject", "what"), rows))

    def __str__(self) -> str:
        lines = [self.verdict, ""]
        lines += [f"{'FOUND' if v.found else 'quiet':<6}{v.subject:<13}{v}" for v in self.verdicts]
        if self.trials:
            about = (
                f"extras tried on {self.trials[0].revolutions} revolutions (gain in log density left out):"
            )
            lines += ["", about, *(f"  {trial}" for trial in self.trials)]
        return "\n".join(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} in the results of a check")
