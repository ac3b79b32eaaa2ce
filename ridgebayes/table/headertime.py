"""Zero, unit and scale of the times of a table, from its FITS header.

By the FITS standard (version 4, section 9) and OGIP, the zero is MJDREF or MJDREFI + MJDREFF, JDREF, or
DATEREF; TIMEZERO (TIMEZERI + TIMEZERF) and TIMEOFFS, in TIMEUNIT, are added to every time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io.fits.card import Undefined
from astropy.time import Time

from ridgebayes.errors import InputError

SCALES = {
    **{name: name for name in ("tt", "utc", "tai", "tdb", "tcg", "tcb")},
    **{"tdt": "tt", "et": "tt", "iat": "tai", "terrestrial time": "tt"},
}
"""TIMESYS in lower case → time scale of astropy."""

TIME_UNITS = {
    name: unit
    for unit, names in {
        u.s: ("sec", "secs", "seconds"),
        u.min: ("minutes", "mins"),
        u.h: ("hours", "hrs"),
        u.d: ("days",),
        u.yr: ("years", "yrs"),
    }.items()
    for name in names
}
"""Alternative names of units of time → those of astropy."""

_JD = 2400000.5


def header_zero(source: str, header: Mapping[str, Any], unit: str) -> float | None:
    """Return the MJD, in the scale of the header, at which times are 0; None if not given.

    Parameters
    ----------
    source
        Name of the file in messages.
    header
        Keys in upper case.
    unit
        Unit of the column, also used for TIMEZERO if there is no TIMEUNIT.

    Raises
    ------
    InputError
        If a keyword has an invalid value.
    """
    zero = _sum(source, header, "MJDREF")
    if zero is None and (julian := _sum(source, header, "JDREF")) is not None:
        zero = julian - _JD
    if zero is None and header.get("DATEREF") not in (None, ""):
        try:
            zero = float(Time(str(header["DATEREF"]).strip().rstrip("Z"), format="isot", scale="tt").mjd)
        except ValueError as error:
            raise InputError(
                f"{source}: keyword DATEREF is {header['DATEREF']!r}, not a date: mend it"
            ) from error
    later = [value for key in ("TIMEZERO", "TIMEOFFS") if (value := _sum(source, header, key)) is not None]
    if zero is None and not any(later):
        return None
    return (zero or 0.0) + sum(later) * unit_days(source, header, unit)


def unit_days(source: str, header: Mapping[str, Any], unit: str) -> float:
    """Length in days of the unit of times: TIMEUNIT, else that of the column."""
    stated = str(header.get("TIMEUNIT") or unit).strip()
    try:
        with u.add_enabled_aliases(TIME_UNITS):
            return float(u.Unit(stated.lower()).to(u.d))
    except (ValueError, TypeError, u.UnitsError) as error:
        raise InputError(
            f"{source}: keyword TIMEUNIT is {stated!r}, no unit of time: write s or d"
        ) from error


def header_scale(header: Mapping[str, Any]) -> str | None:
    """Return the time scale of TIMESYS; None if not given, "" if unknown."""
    stated = str(header.get("TIMESYS") or "").split("(")[0].strip().lower()
    return SCALES.get(stated, "") if stated else None


def _sum(source: str, header: Mapping[str, Any], key: str) -> float | None:
    """Return the value of a keyword that may have two parts, integer and fraction."""
    stem = key if key in ("MJDREF", "JDREF", "TIMEOFFS") else key[:-1]
    parts = [header.get(f"{stem}I"), header.get(f"{stem}F")]
    values = [header.get(key)] if header.get(key) is not None else parts
    numbers = []
    for value in values:
        if value is None or value == "" or isinstance(value, Undefined):
            continue
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = np.nan
        if isinstance(value, bool) or not abs(number) < 1e12:
            raise InputError(f"{source}: keyword {key} is {value!r}, not a number: mend it")
        numbers.append(number)
    return sum(numbers) if numbers else None
