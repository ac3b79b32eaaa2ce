"""Table of regions for a paper: mass, index, fluxes of the components; also as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ridgebayes.products.fitspec import RegionFit, derived
from ridgebayes.products.tablefiles import escape, latex_number, meta_lines
from ridgebayes.runs.convergence import COLUMN, mark
from ridgebayes.runs.intensity import CI_KIND, CI_PROB, CXB_NOTE, interval_columns, provenance
from ridgebayes.runs.run import Run
from ridgebayes.typing import Floats

_UNITS = {"solMass": r"$M_\odot$", "keV": "keV"}
_NAMES = {
    "whitedwarf.mass": r"$M_{\rm WD}$",
    "cutoff.temperature": "$kT$",
    "powerlaw.index": r"$\Gamma$",
}
_FLUX = {"whitedwarf": r"$F_{\rm WD}$", "cutoff": r"$F_{\rm soft}$", "powerlaw": r"$F_{\rm hard}$"}
FLUX_UNIT = 1e-10
"""Unit of energy fluxes, erg/s/cm²."""


def region_table(run: Run, results: Sequence[RegionFit]) -> QTable:
    """Tabulate spectral fits of several regions, one row per region.

    Parameters
    ----------
    run, results
        The run, and fits of one model to regions of it.

    Returns
    -------
    astropy.table.QTable
        region; columns ``_mean``, ``_sd``, ``_lo94``, ``_hi94`` for each shape parameter, each component's
        energy flux and share in the share band, and the crossing; for parameters also ``_note``, if the data
        do not constrain them.
    """
    rows = []
    for result in results:
        fit, found = result.fit, derived(result)
        row: dict[str, Any] = {"region": result.spectrum.region}
        for component in fit.model:
            name = component.shape_name
            row |= _columns(name, fit.draws[name], u.Unit(fit.parameters[name].unit))
            row[f"{name}_note"] = fit.constraint(name)
        for name, (draws, unit, _) in found.items():
            if name.endswith((".flux", ".share")) or name == "crossing":
                row |= _columns(name, draws, u.Unit(unit))
        rows.append(row)
    unit_of = {key: getattr(value, "unit", None) for key, value in rows[0].items()}
    columns: dict[str, Any] = {}
    for key, column_unit in unit_of.items():
        values = [getattr(row[key], "value", row[key]) for row in rows]
        columns[key] = values if column_unit is None else np.array(values) * column_unit
    table = mark(run, QTable(columns), [band.name for band in results[0].spectrum.bands])
    table[COLUMN] &= [result.joint or not result.fit.diagnosis.failures for result in results]
    low, high = results[0].share_band
    table.meta = provenance(run) | {
        "model": results[0].model,
        "joint": results[0].joint,
        "share_band": f"{low:g}-{high:g} keV",
        "shapes": [component.shape_name for component in results[0].fit.model],
        "ci_prob": CI_PROB,
        "ci_kind": CI_KIND,
        "crab": results[0].spectrum.crab.describe(),
        "note": CXB_NOTE,
    }
    return table


def region_latex(table: QTable) -> str:
    """Return a table of `region_table` as LaTeX: mean and sd, or a limit if the interval reaches zero.

    A parameter that the data do not constrain (its posterior is its prior) has a dash.
    """
    shapes = table.meta["shapes"]
    parts = [name.split(".")[0] for name in shapes]
    band = table.meta["share_band"].replace("-", "--")
    heads = [_NAMES[name] for name in shapes] + [_FLUX[part] for part in parts]
    units = []
    for name in shapes:
        unit = str(table[f"{name}_mean"].unit or "")
        units.append(f"({_UNITS[unit]})" if unit in _UNITS else "")
    units += [rf"($10^{{{np.log10(FLUX_UNIT):.0f}}}$ cgs)"] * len(parts)
    share = f"{parts[0]}.share"  # a model of one component has no share
    shared = f"{share}_mean" in table.colnames
    if shared:
        heads.append(rf"{_FLUX[parts[0]]} share")
        units.append("")
    lines = [f"% {line}" for line in meta_lines(table.meta)]
    lines += [
        r"\begin{tabular}{l" + "r" * len(heads) + "}",
        r"\hline",
        " & ".join(["Region", *heads]) + r" \\",
        " & ".join(["", *units]) + r" \\",
        r"\hline",
    ]
    for row in table:
        cells = []
        for name in shapes:
            known = not str(row[f"{name}_note"]).startswith("prior only")
            cells.append(_cell(row, name, 1.0) if known else "--")
        cells += [_cell(row, f"{part}.flux", FLUX_UNIT) for part in parts]
        if shared:
            cells.append(_cell(row, share, 1.0))
        mark_of = "" if row[COLUMN] else r"$^\dagger$"
        lines.append(" & ".join([escape(row["region"]) + mark_of, *cells]) + r" \\")
    lines += [r"\hline", r"\end{tabular}"]
    notes = [rf"Fluxes in {band}, erg\,s$^{{-1}}$\,cm$^{{-2}}$ in the field of view; mean and standard "
             r"deviation of the posterior, or the upper end of the 94 per cent interval. A dash: the data do "
             "not constrain the parameter."]  # fmt: skip
    if not all(table[COLUMN]):
        notes.append(r"$^\dagger$ The chains did not converge: no measurement.")
    return "\n".join([*lines, r"\par", rf"{{\footnotesize {' '.join(notes)}}}", ""])


def _columns(name: str, draws: Floats, unit: u.UnitBase) -> dict[str, Any]:
    if draws.size < 2:
        draws = np.full(2, np.nan)
    found = interval_columns(draws[:, None], unit)
    return {f"{name}_{key}": found[key][0] for key in ("mean", "sd", "lo94", "hi94")}


def _cell(row: Any, name: str, unit: float) -> str:
    names = (f"{name}_{key}" for key in ("mean", "sd", "lo94", "hi94"))
    return latex_number(*(float(getattr(row[key], "value", row[key])) / unit for key in names))
