"""Checks of a ScW table and of the columns it is made from: one line with file, row or column, and remedy."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from astropy.time import Time
from numpy.typing import ArrayLike, NDArray

from ridgebayes.errors import InputError, nearest
from ridgebayes.table.headertime import TIME_UNITS
from ridgebayes.table.missing import no_value, split, words
from ridgebayes.table.scw import Band, ScWTable

MISSION = (52500.0, 61041.0)
"""MJD between which ISGRI observed: from before the launch in October 2002 to the end of 2025."""

ZERO = {"mjd": 0.0, "ijd": 51544.0, "jd": -2400000.5}
"""MJD of the zero of every system that is a number of days. IJD counts from 2000-01-01 in TT."""

LONGEST_S = 3 * 86400.0
"""No ScW is longer than a revolution."""

HIGHEST_RATE = 1e6
"""cts/s; the detector's telemetry ends at a few thousand."""

_log = logging.getLogger(__name__)
_NO_MEASUREMENT = "which is no measurement, but stands for a missing one"
_EQUIVALENCES = [(u.ct / u.s, u.Unit("1/s"))]  # counts are often left out of the unit
_ALIASES = {"cts": u.ct, "counts": u.ct, "degrees": u.deg} | TIME_UNITS


def validate(scws: ScWTable, source: str | None = None) -> None:
    """Check every value of a ScW table.

    Parameters
    ----------
    scws
        The table.
    source
        What to call it in the message; by default the file it was read from.

    Raises
    ------
    InputError
        On the first check that fails. Bad rows are named by their 1-based number and SCW_ID; the first one is
        named and the others are counted.
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
            check(name.upper(), values, ~_marks(values), _NO_MEASUREMENT, drop)
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
            check("RA", values, ~(ok & no_value(values, "longitude")), _NO_MEASUREMENT, drop)
        elif name == "dec":
            ok, must = np.abs(values) <= 90, "must lie between -90 and 90 degrees"
        check(name.upper(), values, ok, must, drop)
    zero = (scws.ra == 0) & (scws.dec == 0)  # what programs write where they know no pointing
    check("RA", scws.ra, ~zero, "and so is DEC, which is no pointing", drop)
    if scws.roll is not None:
        remedy = "drop these ScWs, or the column to average the response over roll"
        check("ROLL", scws.roll, np.isfinite(scws.roll), "must be finite", remedy)
        check("ROLL", scws.roll, _is_angle(scws.roll), "must lie between -360 and 360 degrees", remedy)
        check("ROLL", scws.roll, ~no_value(scws.roll, "longitude"), _NO_MEASUREMENT, remedy)
    _check_tracer(source, scws)
    if scws.truth is not None and not scws.meta["simulated"]:
        raise InputError(
            f"{source}: has a TRUTH but is not marked as simulated: set SIMUL = T, or remove TRUTH"
        )


def other_zero(values: NDArray[np.float64]) -> str:
    """Say what times outside of the mission are, where one zero of time explains most of them; else ""."""
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
        No band, an empty or non-ASCII name, a name used twice (in any case), or edges that are not
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
        Naming the first row that breaks this.
    """
    letters = (
        np.ascontiguousarray(ids.astype("U13")).view(np.uint32).reshape(ids.size, 13)
    )  # one more than allowed
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
    """Raise when `ok` is not true in every row.

    Parameters
    ----------
    source
        What to call the table in the message.
    ids
        (N,) SCW_IDs.
    name
        Column.
    values
        (N,) or (N, K) its values, the offending one of which is shown.
    ok
        Boolean of the same shape.
    must, remedy
        What the value must be, and what to do.
    bands
        K band names, to name the band of a column of shape (N, K).

    Raises
    ------
    InputError
        Naming the first bad row, and how many more there are.
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


class Columns:
    """Columns of a table as read: by name in any case, in the unit asked for, missing values as NaN.

    Parameters
    ----------
    source
        What to call the table in messages.
    table
        The table. Columns may carry a unit, a mask, or be astropy Quantity or Time.

    Raises
    ------
    InputError
        Here and in the methods: a column that is missing, named twice, not numeric, or in a unit that is
        unknown or of another kind.
    """

    ids: NDArray[np.str_] | None = None
    """(N,) SCW_IDs, once they are known: messages then name them."""

    bands: Sequence[str] = ()
    """Names of the K elements of vector columns, once they are known."""

    remedy = "add it or rename one"
    """What to do about a column that is not there."""

    def __init__(self, source: str, table: Table) -> None:
        self.source, self.table = source, table
        self.names: dict[str, str] = {}
        for name in table.colnames:
            other = self.names.setdefault(name.strip().upper(), name)
            if other != name:
                raise InputError(f"{source}: columns '{other}' and '{name}' differ only in case: rename one")

    def __contains__(self, name: str) -> bool:
        return name.upper() in self.names

    def get(self, name: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values as they stand in the file, and where they are missing (same shape)."""
        return split(self.column(name))

    def floats(self, name: str, unit: u.UnitBase, given: str | None = None) -> NDArray[np.float64]:
        """Values in `unit`, (N,) or (N, K), NaN where missing; `given` replaces the column's own unit.

        Numbers that stand for "none" (`ridgebayes.table.missing.no_value`) are refused; those of angles and
        of what has no unit are NaN.
        """
        column = self.column(name)
        if isinstance(column, Time):
            values, missing = split(column.tt.mjd)
            return np.where(
                missing | split(column)[1] if column.masked else missing, np.nan, values.astype(float)
            )
        values, missing = self.get(name)
        try:
            if values.dtype.kind not in "fiub":
                text = (
                    values.astype(str)
                    if values.dtype.kind != "S"
                    else np.char.decode(values, "ascii", "replace")
                )
                missing = missing | words(text)
                values = np.where(missing, "nan", text)  # the text under a mask is anything, mostly empty
            values = values.astype(np.float64)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{self.source}: column {name} is not numeric ({_odd(values) or error}): {_mend(values)}"
            ) from error
        values = np.where(missing, np.nan, values)
        values = self._measured(name, values, given or str(getattr(column, "unit", None) or ""), unit)
        return self._convert(name, values, given or getattr(column, "unit", None), unit)

    def _measured(
        self, name: str, values: NDArray[np.float64], given: str, unit: u.UnitBase
    ) -> NDArray[np.float64]:
        """Values without those that stand for "none"."""
        kind = "other"
        if unit.is_equivalent(u.ct) or (given and self.unit(name, given, unit).is_equivalent(u.ct)):
            kind = "count"
        elif unit.is_equivalent(u.ct / u.s):
            kind = "rate"
        elif unit.is_equivalent(u.deg):
            kind = "longitude"
        bad = no_value(values, kind)
        if kind == "longitude" or unit == u.dimensionless_unscaled or values.ndim > 2:
            return np.where(bad, np.nan, values)
        ids = self.ids if self.ids is not None else np.full(len(values), "", dtype=np.str_)
        bands = self.bands if values.shape[1:] == (len(self.bands),) else ()
        remedy = "drop these ScWs or mend the column"
        check_rows(self.source, ids, name, values, ~bad, _NO_MEASUREMENT, remedy, bands)
        return values

    def scalars(self, name: str, unit: u.UnitBase, given: str | None = None) -> NDArray[np.float64]:
        """As `floats`, but one value a row, (N,)."""
        values = self.floats(name, unit, given)
        if values.size != len(self.table):
            raise InputError(f"{self.source}: column {name} has {values[0].size} elements a row: give one")
        return values.reshape(-1)

    def optional(self, name: str, unit: u.UnitBase) -> NDArray[np.float64] | None:
        """As `scalars`; None where there is no such column or, which is said, nothing in it."""
        values = self.scalars(name, unit) if name in self else None
        if values is not None and np.isnan(values).all():
            _log.info("%s: column %s has no value: left out", self.source, name)
            return None
        return values

    def flags(self, name: str) -> NDArray[np.str_]:
        """Text that marks some rows, (N,), empty where it does not.

        Raises
        ------
        InputError
            Where a value is missing that is not merely empty: one of numbers or truth values, or a null
            beside empty texts. Not known is not "no".
        """
        values, missing = self.get(name)
        text = self.text(name)
        if text.shape != (len(self.table),):
            raise InputError(f"{self.source}: column {name} has several elements a row: give one")
        if values.dtype.kind == "f":  # of 0 and 1 beside a missing one
            text = np.where(missing | (values != np.round(values)), text, np.char.partition(text, ".")[:, 0])
        no = np.isin(np.char.lower(text), ("false", "f", "0", "no", "n"))
        is_text = values.dtype.kind in "SU"
        told_apart = bool(no.any() or (~missing & (text == "")).any())
        unknown = missing & (told_apart if is_text else values.dtype.kind == "b" or not missing.all())
        unknown |= (text == "") & bool(is_text and no.any())
        ids = self.ids if self.ids is not None else np.full(text.size, "", dtype=np.str_)
        must = "which is not known to be one or the other"
        remedy = "fill it in, or drop these ScWs"
        shown = np.where(unknown, "missing", text)
        check_rows(self.source, ids, name, shown, np.logical_not(unknown), must, remedy)
        return np.where(missing, "", text)

    def text(self, name: str) -> NDArray[np.str_]:
        """Strings without surrounding blanks, (N,), empty where the value is missing."""
        values, missing = self.get(name)
        values = (
            np.char.decode(values, "ascii", "replace") if values.dtype.kind == "S" else values.astype(str)
        )
        return np.where(missing, "", np.char.strip(values))

    def column(self, name: str) -> Any:
        """Return the column as it stands in the table."""
        if name not in self:
            near = nearest(name, self.names)
            raise InputError(f"{self.source}: column {name} is missing{near}: {self.remedy}")
        return self.table[self.names[name.upper()]]

    def unit(self, name: str, given: str, like: u.UnitBase) -> u.UnitBase:
        """Return the unit that a text names, also in capitals where only that is a unit such as `like`."""
        with u.add_enabled_aliases(_ALIASES):
            found = [u.Unit(text, parse_strict="silent") for text in (given, given.lower())]
        for unit in found:
            if unit.is_equivalent(like):
                return unit
        if isinstance(found[0], u.UnrecognizedUnit):
            raise InputError(
                f"{self.source}: column {name} has the unknown unit '{given}': convert it to {like}"
            )
        return found[0]

    def _convert(
        self, name: str, values: NDArray[np.float64], given: Any, unit: u.UnitBase
    ) -> NDArray[np.float64]:
        if given is None or str(given) == "":
            return values
        known = self.unit(name, str(given), unit)
        try:
            return known.to(unit, values, equivalencies=_EQUIVALENCES)
        except u.UnitsError as error:
            raise InputError(
                f"{self.source}: column {name} has the unit '{given}', which is no {unit}: convert the column"
            ) from error


def _odd(values: NDArray[Any]) -> str:
    """Name the first text that is no number, and its row."""
    for row, cell in enumerate(values.reshape(len(values), -1) if values.size else [], start=1):
        for text in cell.tolist():
            try:
                float(text)
            except (ValueError, TypeError):
                return f"row {row}: '{text}'"
    return ""


def _mend(values: NDArray[Any]) -> str:
    """Say what to do about texts that are no numbers: of one, or of the whole column."""
    one = values.size and _odd(values[-1:]) == ""
    return "mend that value" if one else "write numbers, with a decimal point"


def _is_angle(degrees: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.abs(degrees) <= 360  # NaN is none


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
    """Revolution (N,) that the first four digits of well-formed SCW_IDs say."""
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
    check_rows(source, scws.scw_id, "TRACER", scws.tracer, ~_marks(scws.tracer), _NO_MEASUREMENT, remedy)
    if scws.tracer_err is not None:
        ok = np.isfinite(scws.tracer_err) & (scws.tracer_err >= 0)
        remedy = "drop these ScWs, or the column TRACER_ERR"
        must = "must be finite and not negative"
        check_rows(source, scws.scw_id, "TRACER_ERR", scws.tracer_err, ok, must, remedy)
        marks = _marks(scws.tracer_err)
        check_rows(source, scws.scw_id, "TRACER_ERR", scws.tracer_err, ~marks, _NO_MEASUREMENT, remedy)
