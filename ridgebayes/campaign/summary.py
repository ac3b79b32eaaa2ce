"""The table of a campaign: bias, scatter, coverage, convergence and time of each estimate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray
from scipy import stats

from ridgebayes.campaign.measure import ESTIMATES, columns, labels
from ridgebayes.runs.intensity import CI_PROB

Rows = Sequence[dict[str, Any]]


def summary(results: Rows, bands: Sequence[str]) -> QTable:
    """Summarise fits.

    Parameters
    ----------
    results
        One row per fit, from `ridgebayes.campaign.measure.Measure`.
    bands
        Bands of the missions.

    Returns
    -------
    QTable
        One row for each world, fit and estimate: missions; bias, the mean of z = (value − truth) / sd over
        bands, and its rms in each band, in sums and in differences of two bands; numbers of 94 % intervals
        of bands, and of sums and differences, that contain the truth (covered, covered_pairs) and their
        totals (intervals, pairs); median sd over that of the posterior; numbers of fits that have not
        converged or have no result; median seconds of CPU and of wall time; and findings of checks with the
        numbers of fits.
    """
    names = labels(bands)
    groups = {name: [k] for k, name in enumerate(bands)}
    for group, sign in (("sums", "+"), ("differences", "-")):
        groups[group] = [k for k, name in enumerate(names) if k >= len(bands) and sign in name]
    kinds = list(dict.fromkeys((row["world"], row["fit"]) for row in results))
    lines = []
    for world, fit in kinds:
        of_kind = [row for row in results if (row["world"], row["fit"]) == (world, fit)]
        for estimate in ESTIMATES:
            rows = [row for row in of_kind if columns(estimate)[0] in row]
            if rows:
                line: dict[str, Any] = {"world": world, "fit": fit, "estimate": estimate}
                lines.append(line | {"missions": len(rows)} | _scores(rows, estimate, groups, len(bands)))
            elif estimate == ESTIMATES[0]:
                lines.append({"world": world, "fit": fit, "estimate": "", "missions": len(of_kind)})
            if estimate == ESTIMATES[0]:
                lines[-1] |= _how(of_kind)
    keys = list(dict.fromkeys(key for line in lines for key in line))
    texts = {"world", "fit", "estimate", "found"}
    return QTable({key: [line.get(key, "" if key in texts else np.nan) for line in lines] for key in keys})


def _scores(rows: Rows, estimate: str, groups: dict[str, list[int]], bands: int) -> dict[str, Any]:
    # Numbers that are not finite were stored as null.
    error, sd, covered = (np.array([row[name] for row in rows], float) for name in columns(estimate))
    z = error / sd  # (mission, region, band)
    found: dict[str, Any] = {"bias": float(np.nanmean(z[:, :, :bands]))}
    found |= {f"rms_{name}": _rms(z[:, :, k]) for name, k in groups.items() if k}
    for name, of, part in (
        ("covered", "intervals", slice(0, bands)),
        ("covered_pairs", "pairs", slice(bands, None)),
    ):
        given = np.isfinite(sd[:, :, part])
        found |= {name: int(covered[:, :, part][given].sum()), of: int(given.sum())}
    beside = [row for row in rows if columns(ESTIMATES[0])[1] in row]
    if beside:
        own = np.array([row[columns(ESTIMATES[0])[1]] for row in beside], float)
        mine = np.array([row[columns(estimate)[1]] for row in beside], float)
        found["sd_ratio"] = float(np.nanmedian(mine / own))
    return found


def _how(rows: Rows) -> dict[str, Any]:
    subjects = Counter(subject for row in rows for subject in row.get("found", ()))
    return {
        "not_converged": sum(row["converged"] is False for row in rows),
        "refused": sum(row["converged"] is None for row in rows),
        "cpu_s": float(np.median([row["cpu_s"] for row in rows])),
        "wall_s": float(np.median([row["wall_s"] for row in rows])),
        "found": ", ".join(f"{name} {number}" for name, number in subjects.most_common()),
    }


def _rms(z: NDArray) -> float:
    return float(np.sqrt(np.nanmean(z**2)))


def compatible(n: int) -> tuple[int, int]:
    """Return the 95 % range of the number of n independent 94 % intervals that contain the truth.

    Examples
    --------
    >>> compatible(36)
    (31, 36)
    """
    lo, hi = stats.binom(n, CI_PROB).ppf([0.025, 0.975])
    return int(lo), int(hi)


def markdown(table: QTable) -> str:
    """Format a summary in Markdown, with the counts that are compatible with 94 % in brackets."""
    rms = [name for name in table.colnames if name.startswith("rms_")]
    head = [
        "world",
        "fit",
        "missions",
        "estimate",
        "bias",
        *(f"rms z, {n.removeprefix('rms_')}" for n in rms),
    ]
    head += ["bands covered", "sums and differences covered", "sd over the posterior's"]
    head += ["not converged", "refused", "CPU s", "checks found"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in table:
        cells = [str(row["world"]), str(row["fit"]), str(row["missions"]), str(row["estimate"])]
        cells += [_number(row, name, ".2f") for name in ("bias", *rms)]
        cells += [_hits(row, "covered", "intervals"), _hits(row, "covered_pairs", "pairs")]
        cells += [_number(row, "sd_ratio", ".2f")]
        cells += [_number(row, name, ".0f") for name in ("not_converged", "refused", "cpu_s")]
        cells.append(str(row["found"]))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(row: Any, name: str, form: str) -> str:
    return format(row[name], form) if name in row.colnames and np.isfinite(row[name]) else ""


def _hits(row: Any, covered: str, of: str) -> str:
    if of not in row.colnames or not np.isfinite(row[of]) or not row[of]:
        return ""
    lo, hi = compatible(int(row[of]))
    return f"{row[covered]:.0f}/{row[of]:.0f} ({lo} to {hi})"
