"""Comparison of models of one table by their prediction of left-out revolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray

from ridgebayes import markup
from ridgebayes.comparison.leaveout import Loo, kfold, loo, standard_error
from ridgebayes.errors import InputError
from ridgebayes.markup import marked
from ridgebayes.runs.intensity import provenance
from ridgebayes.runs.run import Run, as_run
from ridgebayes.table.scw import ScWTable

CLEAR = 4.0
"""Differences of elpd below this are small, regardless of their error (Sivula, Magnusson & Vehtari 2020,
arXiv:2008.10296)."""
SIGMA = 2.0
FEW = 100
"""With fewer revolutions the error of a difference is underestimated (same source)."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models in order of elpd, best first.

    Attributes
    ----------
    names
        Names of the models.
    runs, loos
        The fits and their leave-out results.
    """

    names: tuple[str, ...]
    runs: tuple[Run, ...]
    loos: tuple[Loo, ...]

    def difference(self, i: int) -> NDArray:
        """Log predictive density of model `i` minus that of the best, (revolution,)."""
        return self.loos[i].pointwise - self.loos[0].pointwise

    def ratio(self, i: int) -> float:
        """Difference of elpd of model `i` to the best, over its standard error; negative, 0 for the best."""
        error = standard_error(self.difference(i))
        return float(self.difference(i).sum()) / error if error > 0 else 0.0

    def clear(self, i: int) -> bool:
        """Return True if the best model is significantly better than model `i`."""
        return float(-self.difference(i).sum()) >= CLEAR and -self.ratio(i) >= SIGMA

    def __str__(self) -> str:
        return format_comparison(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = ("model", "elpd", "se", "less the best", "its error", "worst k̂", "revolutions above the limit")
        shown = ("model", "elpd", "se", "elpd_diff", "diff_se", "k_max", "k_bad")
        rows = [[row[name].item() for name in shown] for row in self.table]
        title = f"Comparison of {len(self.names)} models: one revolution left out, {self.loos[0].method}"
        return markup.page(title, markup.table(head, rows), markup.lines(self.sentences()))

    @property
    def table(self) -> QTable:
        """Table with one row per model, best first.

        Columns model, run, elpd, se, elpd_diff, diff_se (paired by revolution), p_loo, k_max, k_bad (number
        of revolutions above the limit) and refits; all dimensionless (natural logarithms of densities).
        """
        pairs = [self.difference(i) for i in range(len(self.loos))]
        table = QTable(
            {
                "model": list(self.names),
                "run": [str(run.path or "") for run in self.runs],
                "elpd": [x.elpd for x in self.loos],
                "se": [x.se for x in self.loos],
                "elpd_diff": [d.sum() for d in pairs],
                "diff_se": [standard_error(d) for d in pairs],
                "p_loo": [x.p_loo for x in self.loos],
                "k_max": [x.worst_k for x in self.loos],
                "k_bad": [len(x.bad_revolutions) for x in self.loos],
                "refits": [
                    int(x.table["exact"].values.sum()) if x.method == "PSIS" else 0 for x in self.loos
                ],
            }
        )
        pairs_of = zip(self.names, self.runs, strict=True)
        warnings = [f"{name}: {warning}" for name, run in pairs_of for warning in run.diagnosis.warnings]
        table.meta = provenance(self.runs[0]) | {
            "run": ", ".join(str(run.path or "") for run in self.runs),
            "run_created": ", ".join(str(run.record.get("created", "")) for run in self.runs),
            "warnings": warnings,
            "method": f"leave one revolution out, {self.loos[0].method}",
            "revolutions": int(self.loos[0].pointwise.size),
            "columns": "elpd: sum over revolutions of the log predictive density of each; elpd_diff: less "
            "that of the best model, diff_se its standard error, paired by revolution; k_max: largest k",
        }
        return table

    def pointwise_table(self) -> QTable:
        """Tabulate REVOL, MJD (d) and the log predictive density under each model, one row per revolution."""
        first = self.loos[0].table
        columns = {"REVOL": first["revolution"].values, "MJD": first["mjd"].values}
        table = QTable(columns, units={"MJD": "d"})
        for name, found in zip(self.names, self.loos, strict=True):
            table[f"elpd {name}"] = found.pointwise
        table.meta = self.table.meta | {"columns": "elpd NAME: log predictive density under model NAME"}
        return table

    def sentences(self) -> list[str]:
        """Say in words which model predicts better, by how much, and which revolutions matter most."""
        said = []
        for i in range(1, len(self.names)):
            difference, best, other = -self.difference(i), self.names[0], self.names[i]
            value, error = difference.sum(), standard_error(difference)
            numbers = f"by {value:.1f} ± {error:.1f}"
            if self.clear(i):
                said.append(f"{best} predicts better than {other} {numbers}: {value / error:.1f} sigma")
            else:
                said.append(f"{best} and {other} predict alike: {best} is ahead {numbers}")
            said += self._where(difference, self.loos[0].table["revolution"].values)
        n = self.loos[0].pointwise.size
        if n < FEW:
            said.append(f"only {n} revolutions: the errors of the differences are too small")
        return said

    @staticmethod
    def _where(difference: NDArray, number: NDArray, top: int = 3) -> list[str]:
        """Name the revolutions without which the conclusion would change."""
        order = np.argsort(-np.abs(difference))[:top]
        share = np.abs(difference[order]).sum()
        if share < max(0.5 * np.abs(difference).sum(), CLEAR):
            return []
        each = ", ".join(f"{number[i]} ({difference[i]:+.1f})" for i in order)
        return [f"  few revolutions decide: {each}"]


def compare(
    runs: Mapping[str, Run | str | Path] | Sequence[Run | str | Path],
    scws: ScWTable | str | Path | None = None,
    *,
    folds: int | None = None,
    refit: bool = False,
    progress: bool | None = None,
    scheduler: str | None = None,
) -> Comparison:
    """Compare fits of one table by their prediction of left-out revolutions.

    Parameters
    ----------
    runs
        Two or more runs, or their directories; named by their keys or directories.
    scws
        The fitted ScW table, or its current path; by default its original path.
    folds
        Use K-fold with this number of folds instead of PSIS.
    refit
        Refit without each revolution for which PSIS is unreliable.
    progress
        Show progress bars on stderr; by default in a terminal and in a notebook.
    scheduler
        Where fits run, as in `ridgebayes.sample`.

    Raises
    ------
    InputError
        If there are fewer than two runs, their data or bands differ, or they sample the revolution terms.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> a, b = rb.open_run("runs/first"), rb.open_run("runs/second")
    >>> rb.compare({"one": a, "other": b}).names  # the best first
    ('one', 'other')
    """
    if isinstance(runs, Run | str | Path):
        raise InputError("compare: give two runs or more")
    opened = []
    for run in runs.values() if isinstance(runs, Mapping) else runs:
        opened.append(as_run(run))
    named = dict(zip(runs, opened, strict=True)) if isinstance(runs, Mapping) else _named(opened)
    if len(named) < 2:
        raise InputError("compare: give two runs or more")
    first = next(iter(named))
    for name, run in named.items():
        _check_same(first, named[first], name, run)
    found = {
        name: loo(run, scws, refit=refit, progress=progress, scheduler=scheduler)
        if folds is None
        else kfold(run, folds, scws, progress=progress, scheduler=scheduler)
        for name, run in named.items()
    }
    order = sorted(named, key=lambda name: -found[name].elpd)
    return Comparison(tuple(order), tuple(named[n] for n in order), tuple(found[n] for n in order))


def _named(runs: list[Run]) -> dict[str, Run]:
    """Name runs by their directories (with as much of the path as is unique) or models."""
    paths = [run.path.resolve() if run.path else None for run in runs]
    for depth in range(1, max((len(p.parts) for p in paths if p), default=1) + 1):
        names = [
            "/".join(p.parts[-depth:]) if p else run.record["model"]["name"]
            for p, run in zip(paths, runs, strict=True)
        ]
        if len(set(names)) == len(runs):
            return dict(zip(names, runs, strict=True))
    raise InputError("compare: the same run is given twice, or runs in memory have one name: name each")


def _check_same(first: str, a: Run, name: str, b: Run) -> None:
    one, other = a.record["data"], b.record["data"]
    if one["bands"] != other["bands"]:
        raise InputError(
            f"{name}: was fitted in {', '.join(other['bands'])} and {first} in {', '.join(one['bands'])}: "
            "fit the same bands to compare"
        )
    if one["fingerprint"] != other["fingerprint"]:
        raise InputError(f"{name}: was not fitted to the table of {first}: fit both to one table to compare")


def format_comparison(comparison: Comparison) -> str:
    """Format a comparison for the terminal: table, sentences, advice."""
    table = comparison.table
    width = max(len("model"), *map(len, comparison.names)) + 2
    lines = [
        f"{'model':<{width}}{'elpd':>12}{'difference':>20}{'p_loo':>9}{'max k̂':>8}{'high k̂':>9}{'refits':>8}"
    ]
    for row in table:
        numbers = f"{row['elpd_diff']:.1f} ± {row['diff_se']:.1f}" if row["elpd_diff"] else "-"
        k = f"{row['k_max']:.2f}" if np.isfinite(row["k_max"]) else "-"
        lines.append(
            f"{row['model']:<{width}}{row['elpd']:>12.1f}{numbers:>20}{row['p_loo']:>9.1f}{k:>7}"
            f"{row['k_bad']:>8}{row['refits']:>8}"
        )
    lines += comparison.sentences()
    for name, found in zip(comparison.names, comparison.loos, strict=True):
        lines += [f"WARNING: {name}: {found.advice}"] if found.advice else []
    lines += [f"WARNING: {warning}" for warning in table.meta["warnings"]]
    return marked("\n".join(lines), comparison.runs[0].simulated)
