"""Join ScW tables, such as new revolutions to old ones; tables that do not match raise an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ridgebayes.errors import InputError, command
from ridgebayes.table.scw import ScWTable
from ridgebayes.table.validation import validate
from ridgebayes.typing import Bools, Ints

DUPLICATES = ("refuse", "first", "last")
_COLUMNS = ("scw_id", "revolution", "phase", "mjd", "exposure", "ra", "dec", "rate", "stat_err", "crab")
_OPTIONAL = ("roll", "tracer", "tracer_err")
_FEW = 3


def append(
    tables: Sequence[ScWTable],
    *,
    duplicates: str = "refuse",
    mix_osa: bool = False,
    drop_optional: bool = False,
) -> ScWTable:
    """Join ScW tables of the same bands.

    Parameters
    ----------
    tables
        Two or more, read with ``screened=False`` to keep flagged rows and their flags.
    duplicates
        What to do with a SCW_ID in several tables: ``refuse``, or keep that of the ``first`` or ``last``
        table.
    mix_osa
        Join tables of different (or unstated) OSA versions; the result lists all versions.
    drop_optional
        Drop ROLL, TRACER or TRACER_ERR if one of the tables lacks it, instead of raising an error.

    Returns
    -------
    ScWTable
        Sorted by SCW_ID. The truth of a simulation is kept if it is the same in all tables.

    Raises
    ------
    InputError
        If the bands or the OSA versions differ, simulated and real tables are mixed, a table lacks a column,
        cuts of different names use the same bit, or there are duplicates.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> from ridgebayes.convert import append
    >>> old, new = (rb.read_scws(name, screened=False) for name in ("mission.fits", "new.fits"))
    >>> len(append([old, new])) == len(old) + len(new)
    True
    """
    if duplicates not in DUPLICATES:
        raise InputError(f"duplicates is '{duplicates}': choose one of {', '.join(DUPLICATES)}")
    if not tables:
        raise InputError("no tables to join: name at least one")
    # Tracer bands are joined like all others.
    tracers = [band.name for band in tables[0].tracer_bands]
    tables = [table.without_tracer_bands() for table in tables]
    first = tables[0]
    same = [first, *(_same_bands(first, table) for table in tables[1:])]
    _check_kind(same, mix_osa)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(table, name) for table in same]) for name in _COLUMNS
    }
    optional: dict[str, Any] = {name: _optional(same, name, drop_optional) for name in _OPTIONAL}
    if optional["tracer"] is None:
        optional["tracer_err"] = None
    kept = _kept(same, columns["scw_id"], duplicates)
    flagged = any(table.screen is not None for table in same)
    joined = ScWTable(
        **columns,
        **optional,
        screen=np.concatenate([_flags(table) for table in same]) if flagged else None,
        bands=first.bands,
        meta=_meta(same) | ({"screening": _cuts(same)} if flagged else {}),
        truth=first.truth if all(table.truth == first.truth for table in same) else None,
    ).select(kept)
    validate(joined, "joined table")
    return joined.with_tracer_bands(tracers)


def _meta(tables: Sequence[ScWTable]) -> dict[str, Any]:
    """Merge the metadata of all tables."""
    first = tables[0].meta
    versions = dict.fromkeys(str(table.meta["osa_version"]) for table in tables)
    origins = dict.fromkeys(str(table.meta["origin"]) for table in tables if table.meta["origin"])
    return {
        "origin": "; ".join(origins) or None,
        "simulated": first["simulated"],
        "osa_version": first["osa_version"] if len(versions) == 1 else "+".join(versions),
        "path": None,
    }


def _name(table: ScWTable) -> str:
    return str(table.meta["path"] or "ScW table")


def _screen(table: ScWTable, *flags: str) -> str:
    """Return the command that removes flags from a table."""
    return command("screen", _name(table), *flags, "--out", "NEW.fits")


def _same_bands(first: ScWTable, table: ScWTable) -> ScWTable:
    """Return a table with its bands in the order of the first table."""
    if set(table.bands) != set(first.bands):
        other = [_listed(a, b) for a, b in ((table, first), (first, table))]
        raise InputError(
            f"{_name(table)}: {len(table.bands)} bands ({other[0]}), {_name(first)}: {len(first.bands)} "
            f"({other[1]}): join the same bands"
        )
    return table.take_bands(first.band_names)


def _listed(table: ScWTable, other: ScWTable) -> str:
    """Name a few bands of one table, beginning with those that the other lacks."""
    bands = sorted(table.bands, key=lambda band: band in other.bands)
    return ", ".join(str(band) for band in bands[:_FEW]) + (", …" if len(bands) > _FEW else "")


def _check_kind(tables: Sequence[ScWTable], mix_osa: bool) -> None:
    first = tables[0]
    for table in tables[1:]:
        if bool(table.meta["simulated"]) != bool(first.meta["simulated"]):
            which = _name(first if first.meta["simulated"] else table)
            raise InputError(f"{which}: is simulated and the other is not: they cannot be joined")
        versions = [table.meta["osa_version"] or "not stated" for table in (first, table)]
        if versions[0] != versions[1] and not mix_osa:
            raise InputError(
                f"{_name(table)}: OSA version {versions[1]}, {_name(first)}: {versions[0]}: "
                "their rates differ in meaning; join them all the same with mix_osa=True"
            )


def _optional(tables: Sequence[ScWTable], name: str, drop: bool) -> NDArray[np.float64] | None:
    values = [getattr(table, name) for table in tables]
    missing = [table for table, value in zip(tables, values, strict=True) if value is None]
    if not missing:
        return np.concatenate(values)
    if len(missing) < len(tables) and not drop:
        raise InputError(
            f"{_name(missing[0])}: has no {name.upper()}, which another has: add it, "
            "or leave it out of all with drop_optional=True"
        )
    return None


def _kept(tables: Sequence[ScWTable], ids: NDArray[np.str_], duplicates: str) -> Ints:
    """Return the rows to keep, in the order of their SCW_ID."""
    unique, first, count = np.unique(ids, return_index=True, return_counts=True)
    twice: Bools = count > 1
    if not twice.any() or duplicates == "first":
        return first
    if duplicates == "refuse":
        named = ", ".join(unique[twice][:3]) + (", …" if twice.sum() > 3 else "")
        raise InputError(
            f"{_name(tables[-1])}: {twice.sum()} SCW_IDs are in more than one table ({named}): "
            "choose duplicates='first' or duplicates='last'"
        )
    _, from_end = np.unique(ids[::-1], return_index=True)
    return np.asarray(ids.size - 1 - from_end)


def _flags(table: ScWTable) -> Ints:
    return np.zeros(len(table), dtype=np.int64) if table.screen is None else table.screen


def _cuts(tables: Sequence[ScWTable]) -> dict[str, Any]:
    """Merge the cuts of all tables: concatenate the logs of a cut, and add where it was not applied."""
    cuts: dict[str, Any] = {}
    given = {name: cut["bit"] for table in tables for name, cut in table.meta.get("screening", {}).items()}
    for table in tables:
        own = {cut["bit"] for cut in table.meta.get("screening", {}).values()}
        for name, bit in given.items():
            if bit not in own and np.any(_flags(table) >> bit & 1):
                undo = _screen(table, "--undo")
                raise InputError(
                    f"{_name(table)}: bit {bit} of SCREEN has no name, of another table it is {name}: "
                    f"screen the joined table, after  {undo}"
                )
    for table in tables:
        for name, cut in table.meta.get("screening", {}).items():
            other = next((n for n, c in cuts.items() if c["bit"] == cut["bit"]), name)
            if other != name or cuts.get(name, cut)["bit"] != cut["bit"]:
                undo = _screen(table, "--clear", name)
                raise InputError(
                    f"{_name(table)}: bit {cut['bit']} of SCREEN is {name}, of another table {other}: "
                    f"screen the joined table, after  {undo}"
                )
            log = dict.fromkeys([*cuts.get(name, cut)["log"].split("; "), *cut["log"].split("; ")])
            cuts[name] = {"bit": cut["bit"], "log": "; ".join(log)}
    for name, cut in cuts.items():
        for table in tables:
            if name not in table.meta.get("screening", {}):
                cut["log"] += f"; not applied to {len(table)} ScWs of {Path(_name(table)).name}"
    return cuts
