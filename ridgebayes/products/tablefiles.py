"""Tables for other software: CSV with units in comments, LaTeX rounded by the errors."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable

from ridgebayes.markup import SIMULATED
from ridgebayes.products.files import whole_file
from ridgebayes.runs.convergence import COLUMN

_WIDE = 6  # bands that fit side by side on a page


def write_csv(table: QTable, path: Path) -> None:
    """Write a table as CSV, whole or not at all.

    It begins with comment lines (#): provenance, and the unit of each column. A vector column is split into
    columns ``covariance_1`` and so on.
    """
    with whole_file(path) as scratch:
        scratch.write_text(csv_text(table), encoding="utf-8")


def csv_text(table: QTable) -> str:
    """Format a table as CSV; see `write_csv`."""
    columns: dict[str, Any] = {}
    units: list[str] = []
    for name in table.colnames:
        values, unit = _plain(table, name), getattr(table[name], "unit", None)
        parts = {name: values}
        if values.ndim > 1:
            flat = values.reshape(len(values), -1)
            parts = {f"{name}_{i + 1}": flat[:, i] for i in range(flat.shape[1])}
        columns |= parts
        if unit is not None and str(unit):
            units.append(f"unit of {' '.join(parts)}: {unit}")
    out = io.StringIO()
    for line in [*meta_lines(table.meta), *units]:
        out.write(f"# {line}\n")
    # Strings are quoted, so that readers do not take a # in a name for a comment.
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return out.getvalue()


def meta_lines(meta: Any) -> list[str]:
    """Format the metadata of a table as lines of text; the mark of simulated data comes first."""
    lines = [SIMULATED] if meta.get("simulated") else []
    for key, value in meta.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            text = ", ".join(f"{k} {v}" for k, v in one.items()) if isinstance(one, dict) else str(one)
            lines.append(f"{key}: {' '.join(text.split())}")
    return lines


def latex_table(table: QTable, what: str, unit: str, *, prefix: str = "") -> str:
    r"""Return a table of regions and bands as LaTeX: value ± sd, rounded to significant digits.

    Up to six bands stand side by side; with more, it is a ``longtable`` with one row per region and band.

    Parameters
    ----------
    table
        Columns region, band, E_MIN, E_MAX, and mean, sd, lo, hi with the prefix `prefix`. If lo … hi includes
        zero, hi is given as an upper limit. If the column ``converged`` is False, the number is in brackets
        with a dagger that a note below the table explains.
    what, unit
        Name of the quantity, and its unit in LaTeX.
    prefix
        Prefix of the columns.
    """
    bands = list(dict.fromkeys(table["band"]))
    lines = [f"% {what}; 94 per cent equal-tailed interval; upper limits are its upper end"]
    lines += [f"% {line}" for line in meta_lines(table.meta)]
    edges = zip(*(_plain(table, name) for name in _EDGES), strict=True)
    energies = [f"{low:g}--{high:g} keV" for low, high in edges]
    if len(bands) <= _WIDE:
        head = [f"{escape(b)} ({e})" for b, e in zip(bands, energies, strict=False)]
        lines += [
            r"\begin{tabular}{l" + "r" * len(bands) + "}",
            rf"Region & {' & '.join(head)} \\",
            " & ".join(["", *[unit] * len(bands)]) + r" \\",
            r"\hline",
        ]
        for region in dict.fromkeys(table["region"]):
            cells = [_cell(row, prefix) for row in table[table["region"] == region]]
            lines.append(" & ".join([escape(region), *cells]) + r" \\")
        return "\n".join([*lines, r"\end{tabular}", *_footnote(table), ""])
    lines += [r"\begin{longtable}{lllr}", rf"Region & Band & Energy & {unit} \\", r"\hline"]
    for row, energy in zip(table, energies, strict=True):
        cells = [escape(row["region"]), escape(row["band"]), energy, _cell(row, prefix)]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\end{longtable}", *_footnote(table), ""])


def escape(text: str) -> str:
    """Escape special characters of LaTeX."""
    return "".join(_SPECIAL.get(letter, letter) for letter in str(text))


_EDGES = ("E_MIN", "E_MAX")
_SPECIAL = {letter: f"\\{letter}" for letter in "_&%#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _plain(table: Any, name: str) -> np.ndarray:
    column = table[name]
    return np.asarray(getattr(column, "value", column))


def _cell(row: Any, prefix: str) -> str:
    names = (f"{prefix}{name}" for name in ("mean", "sd", "lo", "hi"))
    numbers = [float(getattr(row[name], "value", row[name])) for name in names]
    if _converged(row) or not np.isfinite(numbers[:2]).all():
        return latex_number(*numbers)
    return rf"$({_value(*numbers[:2])})^\dagger$"


def latex_number(mean: float, sd: float, lo: float, hi: float) -> str:
    """Format mean ± sd with significant digits, or an upper limit if lo … hi includes zero."""
    if not (np.isfinite(mean) and np.isfinite(sd)):
        return "--"
    if lo <= 0 <= hi:
        return f"$<{hi:.{_digits(hi)}f}$"
    return f"${_value(mean, sd)}$"


def _value(mean: float, sd: float) -> str:
    return rf"{mean:.{_digits(sd)}f} \pm {sd:.{_digits(sd)}f}"


def _converged(row: Any) -> bool:
    return COLUMN not in row.colnames or bool(row[COLUMN])


def _footnote(table: QTable) -> list[str]:
    failed = dict.fromkeys(str(row["band"]) for row in table if not _converged(row))
    if not failed:
        return []
    bands = ", ".join(map(escape, failed))
    words = f"The chains of {bands} did not converge: no measurement, no limit."
    return [r"\par", rf"{{\footnotesize $^\dagger$ {words}}}"]


def _digits(size: float) -> int:
    """Return the number of decimals that shows two significant digits."""
    return max(0, 1 - int(np.floor(np.log10(size)))) if size > 0 else 1
