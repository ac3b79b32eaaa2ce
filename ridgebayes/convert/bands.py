"""The bands of a source: columns of rates or counts, columns of their errors, and energy edges."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from astropy import units as u

from ridgebayes.convert.draft import Draft
from ridgebayes.convert.mapping import BandColumns
from ridgebayes.convert.names import TRACER_BAND, Named, energies, rate_name
from ridgebayes.convert.sources import Source
from ridgebayes.table.columns import Columns

_FILL = '[[bands]] with name = "A01", e_min = …, e_max = …'


@dataclass(frozen=True)
class _Found:
    column: str
    named: Named
    width: int  # elements per row; 0 for a scalar column


def guess_bands(draft: Draft) -> None:
    """Guess the bands of a draft, or complete those that its mapping gives."""
    found = [_rates(draft, k) for k in range(len(draft.sources))]
    bands: list[BandColumns | None]
    if draft.mapping.bands:
        bands = [_complete(draft, k, band, found) for k, band in enumerate(draft.mapping.bands)]
    elif len(draft.sources) > 1:
        bands = [_of_file(draft, k, columns) for k, columns in enumerate(found)]
    else:
        bands = _of_columns(draft, found[0])
    known = [band for band in bands if band is not None]
    draft.put(bands=tuple(known))
    for band in known:
        _units(draft, band)


def skeleton(draft: Draft, unused: list[str]) -> str:
    """Return a template of [[bands]] with the columns that may be rates; "" if the bands are known."""
    if draft.mapping.bands:
        return ""
    named = {name: rate_name(name) for name in unused}
    rates = [n for n, found in named.items() if (not found.error if found is not None else energies(n))]
    errors = {found.label.casefold(): name for name, found in named.items() if found and found.error}
    lines = []
    for k, rate in enumerate(rates or ["COLUMN"]):
        edges = energies(rate) or ("…", "…")
        lines += ["[[bands]]", f'name = "A{k + 1:02d}"', f"e_min = {edges[0]}  # keV", f"e_max = {edges[1]}"]
        of_rate = named.get(rate)
        error = errors.get(of_rate.label.casefold(), "") if of_rate else ""
        lines += [f'rate = "{rate}"', f'stat_err = "{error}"', ""]
    return "\n".join(lines)


def _rates(draft: Draft, k: int) -> list[_Found]:
    columns = draft.columns[k]
    taken = {str(v).upper() for v in draft.mapping.columns.values()}
    found = []
    for upper, name in columns.names.items():
        named = rate_name(name)
        if named is not None and upper not in taken:
            found.append(_Found(name, named, _width(columns, name)))
    return found


def _width(columns: Columns, name: str) -> int:
    """Return the number of elements per row of a vector column; 0 for a scalar column."""
    shape: tuple[int, ...] = np.shape(columns.column(name))
    return shape[1] if len(shape) == 2 else 0


def _values(found: list[_Found], label: str | None = None) -> list[_Found]:
    named = [f for f in found if not f.named.error]
    return named if label is None else [f for f in named if f.named.label.casefold() == label.casefold()]


def _error(draft: Draft, found: list[_Found], value: _Found, k: int) -> str:
    """Return the error column with the label and width of a rate column; "" if there is none."""
    label, width = value.named.label.casefold(), value.width
    errors = [f for f in found if f.named.error and f.named.label.casefold() == label and f.width == width]
    if len(errors) > 1:
        listed = ", ".join(f.column for f in errors)
        line = f'stat_err = "{errors[0].column}"'
        draft.problem(
            f"columns {listed} may each be the error of {value.column}", line, "under its [[bands]]"
        )
    if not errors:
        draft.notes.append(f"no error column for {value.column}: STAT_ERR is the square root of its counts")
    return errors[0].column if errors else ""


def _complete(draft: Draft, k: int, band: BandColumns, found: list[list[_Found]]) -> BandColumns:
    """Guess the columns of a band whose name and edges are in the mapping."""
    several = len(draft.sources) > 1
    if band.rate is None and several and all(b.file == 1 for b in draft.mapping.bands):
        band = dataclasses.replace(band, file=k + 1)
    if band.file > len(draft.sources):
        draft.problem(
            f"band {band.name} is of file {band.file}, {len(draft.sources)} given", "file = 1", "there"
        )
        return band
    here, columns = found[band.file - 1], draft.columns[band.file - 1]
    if band.rate is None:
        match = _values(here, band.name) or _values(here, "") or (_values(here) if several else [])
        if len(match) != 1:
            names = ", ".join(f.column for f in match) or "none"
            what = f"the rates of band {band.name} are not clear ({names})"
            draft.problem(what, 'rate = "COLUMN"', "under its [[bands]]")
            return band
        element = k + 1 if match[0].width > 1 and band.element is None and not several else band.element
        band = dataclasses.replace(band, rate=match[0].column, element=element)
        draft.notes.append(f"band {band.name}: column {band.rate}" + (f"[{element}]" if element else ""))
    if band.stat_err is None:
        named = rate_name(str(band.rate)) or Named(False, False, band.name)
        value = _Found(str(band.rate), named, _width(columns, str(band.rate)))
        band = dataclasses.replace(band, stat_err=_error(draft, here, value, k))
    return band


def _of_file(draft: Draft, k: int, found: list[_Found]) -> BandColumns | None:
    """Return the band of a file that holds only one."""
    source, values = draft.sources[k], _values(found)
    if len(values) != 1 or values[0].width > 1:
        names = ", ".join(f.column for f in values) or "none"
        what = f"{source.path.name} should hold the rates of one band, found {names}"
        draft.problem(what, f"{_FILL}, rate = …, file = {k + 1}", "once a band")
        return None
    value = values[0]
    edges = _edges_of_label(source, value.named.label) or _edges_of_source(source)
    if edges is None:
        draft.problem(
            f"the band of {source.path.name} is not clear", f"{_FILL}, file = {k + 1}", "once a band"
        )
        return None
    return _band(draft, k, value, found, *edges)


def _of_columns(draft: Draft, found: list[_Found]) -> list[BandColumns | None]:
    source, values = draft.sources[0], _values(found)
    labels = [f.named.label.casefold() for f in values]
    if not values:
        draft.problem("no column of rates or counts", f"{_FILL}, rate = …", "once a band")
        return []
    twice = [f.column for f in values if labels.count(f.named.label.casefold()) > 1]
    if twice:
        what = f"columns {', '.join(twice)} may be the rates of the same band"
        draft.problem(what, f'{_FILL}, rate = "{twice[0]}"', "once a band")
        return []
    if len(values) == 1 and values[0].width > 1:
        return _of_vector(draft, source, values[0], found)
    bands: list[BandColumns | None] = []
    for value in values:
        edges = _edges_of_label(source, value.named.label)
        if edges is None and len(values) == 1:
            edges = _edges_of_source(source)
        if edges is None or value.width > 1:
            line = _FILL.replace("A01", value.named.label or "A01")
            draft.problem(f"the band of column {value.column} is not clear", line, "once a band")
        elif edges[1:] == TRACER_BAND and not draft.mapping.columns.get("tracer"):
            draft.put_column("tracer", value.column, f"tracer: column {value.column}, 600–1000 keV")
            draft.put_column("tracer_err", _error(draft, found, value, 0), "")
        else:
            bands.append(_band(draft, 0, value, found, *edges))
    return bands


def _of_vector(draft: Draft, source: Source, value: _Found, found: list[_Found]) -> list[BandColumns | None]:
    rows = _ebounds(source)
    if len(rows) != value.width:
        what = (
            f"column {value.column} has {value.width} elements a row, EBOUNDS of the source {len(rows)} rows"
        )
        draft.problem(what, f'{_FILL}, rate = "{value.column}", element = 1', "once a band")
        return []
    error = _error(draft, found, value, 0)
    draft.notes.append(f"bands: the elements of {value.column}, in the order of EBOUNDS")
    return [
        BandColumns(name, low, high, value.column, error, element)
        for element, (name, low, high) in enumerate(rows, start=1)
    ]


def _band(
    draft: Draft, k: int, value: _Found, found: list[_Found], name: str, low: float, high: float
) -> BandColumns:
    draft.notes.append(
        f"band {name} ({low:g}–{high:g} keV): column {value.column} of {draft.sources[k].path.name}"
    )
    element = 1 if value.width else None
    return BandColumns(name, low, high, value.column, _error(draft, found, value, k), element, k + 1)


def _ebounds(source: Source) -> list[tuple[str, float, float]]:
    if source.ebounds is None:
        return []
    columns = Columns(f"{source.path}: EBOUNDS", source.ebounds)
    low, high = columns.scalars("E_MIN", u.keV), columns.scalars("E_MAX", u.keV)
    edges = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    names = columns.text("BAND").tolist() if "BAND" in columns else [f"{a:g}-{b:g}" for a, b in edges]
    return [(str(name), *edge) for name, edge in zip(names, edges, strict=True)]


def _edges_of_label(source: Source, label: str) -> tuple[str, float, float] | None:
    for row in _ebounds(source):
        if label and row[0].casefold() == label.casefold():
            return row
    edges = energies(label)
    return None if edges is None else (f"{edges[0]:g}-{edges[1]:g}", *edges)


def _edges_of_source(source: Source) -> tuple[str, float, float] | None:
    """Return the only band of a source, from its EBOUNDS, its header or its file name."""
    rows = _ebounds(source)
    if len(rows) == 1:
        return rows[0]
    try:
        low, high = float(source.header["E_MIN"]), float(source.header["E_MAX"])
        return str(source.header.get("BAND") or f"{low:g}-{high:g}").strip(), low, high
    except (KeyError, TypeError, ValueError, OverflowError):
        edges = energies(source.path.name)
        return None if edges is None or rows else (f"{edges[0]:g}-{edges[1]:g}", *edges)


def _units(draft: Draft, band: BandColumns) -> None:
    """Add the unit of the columns of a band if the file does not state it."""
    if band.rate is None or band.file > len(draft.columns):
        return
    columns = draft.columns[band.file - 1]
    unit = ""
    for name in (band.rate, band.stat_err):
        if not name:
            continue
        known = {key.upper(): value for key, value in draft.mapping.units.items()}
        own = known.get(name.upper()) or str(getattr(columns.column(name), "unit", None) or "")
        if not own:
            named = rate_name(name)
            if not unit and named is None:
                draft.problem(f"the unit of column {name} is not clear", f'{name} = "ct/s"', "under [units]")
                return
            own = unit or ("ct" if named is not None and named.counts else "ct/s")
            draft.put_unit(name, own)
        unit = own
