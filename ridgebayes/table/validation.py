"""Validation of a ScW table; messages give file, row or column, and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ridgebayes.errors import InputError
from ridgebayes.table.missing import no_value
from ridgebayes.table.scw import Band, ScWTable

MISSION = (52500.0, 61041.0)
"""Range of MJD of observations, from before the launch in October 2002 to the end of 2025."""

ZERO = {"mjd": 0.0, "ijd": 51544.0, "jd": -2400000.5}
"""MJD of the zero of time systems in days. IJD counts from 2000-01-01 in TT."""

LONGEST_S = 3 * 86400.0
"""Maximum exposure, s: the length of the longest revolution."""

HIGHEST_RATE = 1e6
"""Maximum rate, cts/s; the telemetry of the detector is limited to a few thousand."""

NO_MEASUREMENT = "which is no measurement, but stands for a missing one"


def validate(scws: ScWTable, source: str | None = None) -> None:
    """Check every value of a ScW table.

    Parameters
    ----------
    scws
        The table.
    source
        Name of the table in the message; by default its file.

    Raises
    ------
    InputError
        If a check fails. The message gives the 1-based number and the SCW_ID of the first bad row, and counts
        the others.
    """
    source = source or scws.meta["path"] or "ScW table"
    check_bands(source, scws.bands)
    if len(scws) == 0:
        raise InputError(f"{source}: the table has no rows: give at least one ScW")
    ids = scws.scw_id
    check_ids(source, ids)
    _check_revolutions(source, scws)

    def check(name: str, values: NDArray[Any], ok: NDArray[np.bool_], must: str, remedy: str) -> None:
        check_rows(source, ids, name, values, ok, must, remedy, bands=scws.band_names)

    drop = "drop these ScWs or mend the column"
    for name in ("phase", "mjd", "exposure", "ra", "dec", "rate", "stat_err"):
        values = getattr(scws, name)
        ok, must = np.isfinite(values), "must be finite"
        if name in ("exposure", "stat_err"):
            ok, must = ok & (values > 0), "must be finite and positive"
        if name in ("rate", "stat_err"):
            check(name.upper(), values, ~_marks(values), NO_MEASUREMENT, drop)
            check(name.upper(), values, ~(np.abs(values) > HIGHEST_RATE), "which no detector counts", drop)
        elif name == "exposure":
            check("EXPOSURE", values, ~(values > LONGEST_S), "which is longer than a revolution (s)", drop)
        elif name == "mjd":
            ok = (values > MISSION[0]) & (values < MISSION[1])
            must = "must lie in the mission (2002 to 2025)"
            check("MJD", values, ok, must, f"{drop}{other_zero(values)}")
        elif name == "phase":
            ok, must = (values >= 0) & (values <= 1), "must lie between 0 and 1"
        elif name == "ra":
            ok, must = _is_angle(values), "must lie between -360 and 360 degrees"
            check("RA", values, ~(ok & no_value(values, "longitude")), NO_MEASUREMENT, drop)
        elif name == "dec":
            ok, must = np.abs(values) <= 90, "must lie between -90 and 90 degrees"
        check(name.upper(), values, ok, must, drop)
    zero = (scws.ra == 0) & (scws.dec == 0)  # programs write this if the pointing is unknown
    check("RA", scws.ra, ~zero, "and so is DEC, which is no pointing", drop)
    if scws.roll is not None:
        remedy = "drop these ScWs, or the column to average the response over roll"
        check("ROLL", scws.roll, np.isfinite(scws.roll), "must be finite", remedy)
        check("ROLL", scws.roll, _is_angle(scws.roll), "must lie between -360 and 360 degrees", remedy)
        check("ROLL", scws.roll, ~no_value(scws.roll, "longitude"), NO_MEASUREMENT, remedy)
    _check_tracer(source, scws)
    if scws.truth is not None and not scws.meta["simulated"]:
        raise InputError(
            f"{source}: has a TRUTH but is not marked as simulated: set SIMUL = T, or remove TRUTH"
        )


def other_zero(values: NDArray[np.float64]) -> str:
    """Name a time system in which most times outside the mission would be valid; else ""."""
    for system, zero in ZERO.items():
        inside = (values + zero > MISSION[0]) & (values + zero < MISSION[1])
        if system != "mjd" and inside.mean() > 0.5:
            line = f'system = "{system}"  under [time] in the mapping'
            return f"; as {system.upper()} they fit: ridgebayes convert, with  {line}"
    return ""


def check_bands(source: str, bands: Sequence[Band]) -> None:
    """Check names and edges of the energy bands.

    Parameters
    ----------
    source
        What to call the table in the message.
    bands
        The bands.

    Raises
    ------
    InputError
        If there is no band, a name is empty, non-ASCII or repeated (upper or lower case), or edges are not
        0 < E_MIN < E_MAX.
    """
    if not bands:
        raise InputError(f"{source}: EBOUNDS has no rows: give BAND, E_MIN, E_MAX of every band")
    seen: dict[str, int] = {}
    for row, band in enumerate(bands, start=1):
        if (
            not band.name.isascii()
            or not band.name.isprintable()
            or band.name != band.name.strip()
            or not band.name
        ):
            raise InputError(f"{source}: EBOUNDS row {row}: BAND is {band.name!r}: name it in plain ASCII")
        other = seen.setdefault(band.name.casefold(), row)
        if other != row:
            raise InputError(
                f"{source}: EBOUNDS row {row}: BAND '{band.name}' repeats row {other}: rename one"
            )
        if not 0 < band.e_min < band.e_max < np.inf:
            raise InputError(
                f"{source}: EBOUNDS row {row} (band {band.name}): E_MIN {band.e_min:g} and "
                f"E_MAX {band.e_max:g} keV are no interval: give 0 < E_MIN < E_MAX"
            )


def check_ids(source: str, ids: NDArray[np.str_]) -> None:
    """Check that every SCW_ID has 12 digits and occurs once.

    Parameters
    ----------
    source
        What to call the table in the message.
    ids
        (N,) SCW_IDs, N > 0.

    Raises
    ------
    InputError
        If a row violates this; the message names the first one.
    """
    letters = (
        np.ascontiguousarray(ids.astype("U13")).view(np.uint32).reshape(ids.size, 13)
    )  # one character more than allowed
    digits = (letters[:, :12] >= ord("0")) & (letters[:, :12] <= ord("9"))
    good = digits.all(axis=1) & (letters[:, 12] == 0)
    if not good.all():
        where = _first(ids, ~good)
        raise InputError(f"{source}: {where}: SCW_ID must have 12 digits: write it like 025900280010")
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    original = first[inverse]
    repeated = original != np.arange(ids.size)
    if repeated.any():
        row = int(np.argmax(repeated))
        raise InputError(
            f"{source}: {_first(ids, repeated)}: duplicate SCW_ID, the same as row {original[row] + 1}: "
            "keep one row a ScW"
        )


def check_rows(
    source: str,
    ids: NDArray[np.str_],
    name: str,
    values: ArrayLike,
    ok: NDArray[np.bool_],
    must: str,
    remedy: str,
    bands: Sequence[str] = (),
) -> None:
    """Raise if `ok` is False in any row.

    Parameters
    ----------
    source
        What to call the table in the message.
    ids
        (N,) SCW_IDs.
    name
        Name of the column.
    values
        (N,) or (N, K) values; the message shows the first bad one.
    ok
        Boolean array of the same shape.
    must, remedy
        Requirement on the value, and remedy.
    bands
        K band names for messages about columns of shape (N, K).

    Raises
    ------
    InputError
        If a row is bad; the message names the first one and counts the others.
    """
    if ok.all():
        return
    values, bad = np.asarray(values), ~ok
    row = int(np.argmax(bad.any(axis=1) if bad.ndim == 2 else bad))
    value, of_band = values[row], ""
    if bad.ndim == 2:
        k = int(np.argmax(bad[row]))
        value, of_band = values[row, k], f" of band {bands[k]}" if bands else ""
        bad = np.asarray(bad.any(axis=1))
    if isinstance(value, np.floating):
        shown = "missing (NaN)" if np.isnan(value) else f"{value:g}"
    else:
        shown = f"'{value}'"
    raise InputError(f"{source}: {_first(ids, bad)}: {name}{of_band} is {shown}, {must}: {remedy}")


def _is_angle(degrees: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(degrees) <= 360  # False for NaN


def _marks(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return no_value(values, "rate")


def _first(ids: NDArray[np.str_], bad: NDArray[np.bool_]) -> str:
    row, more = int(np.argmax(bad)), int(bad.sum()) - 1
    others = f" and {more} more" if more else ""
    named = f" (SCW_ID {ids[row]})" if (ids != "").any() else ""
    return f"row {row + 1}{named}{others}"


def _check_revolutions(source: str, scws: ScWTable) -> None:
    expected = revolution_of(scws.scw_id)
    bad = np.asarray(scws.revolution != expected, dtype=np.bool_)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{source}: {_first(scws.scw_id, bad)}: REVOL is {scws.revolution[row]} but SCW_ID says "
            f"{expected[row]}: mend one, or leave out REVOL"
        )


def revolution_of(ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """Revolutions (N,) from the first four digits of well-formed SCW_IDs."""
    return ids.astype("U4").astype(np.int64)


def _check_tracer(source: str, scws: ScWTable) -> None:
    if scws.tracer is None:
        if scws.tracer_err is not None:
            raise InputError(f"{source}: column TRACER_ERR without TRACER: add TRACER or leave out both")
        return
    finite = np.isfinite(scws.tracer)
    if not finite.any():
        raise InputError(
            f"{source}: column TRACER has no finite value: fill it, or leave it out for a fit without"
        )
    remedy = "drop these ScWs, or the column for a fit without tracer"
    check_rows(source, scws.scw_id, "TRACER", scws.tracer, finite, "must be finite", remedy)
    check_rows(source, scws.scw_id, "TRACER", scws.tracer, ~_marks(scws.tracer), NO_MEASUREMENT, remedy)
    if scws.tracer_err is not None:
        ok = np.isfinite(scws.tracer_err) & (scws.tracer_err >= 0)
        remedy = "drop these ScWs, or the column TRACER_ERR"
        must = "must be finite and not negative"
        check_rows(source, scws.scw_id, "TRACER_ERR", scws.tracer_err, ok, must, remedy)
        marks = _marks(scws.tracer_err)
        check_rows(source, scws.scw_id, "TRACER_ERR", scws.tracer_err, ~marks, NO_MEASUREMENT, remedy)
