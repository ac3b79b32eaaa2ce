"""What a FITS header says of the times of its table: their zero, their unit and their scale.

After the FITS standard (version 4, section 9) and OGIP: MJDREF or MJDREFI + MJDREFF, JDREF, DATEREF are the
zero; TIMEZERO (TIMEZERI + TIMEZERF) and TIMEOFFS, in TIMEUNIT, are added to every time.
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
"""What TIMESYS may be, in lower case, and what astropy calls it."""

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
"""Units of time by other names than those of astropy."""

_JD = 2400000.5


def header_zero(source: str, header: Mapping[str, Any], unit: str) -> float | None:
    """Return the MJD, in the header's own scale, at which times are 0; None where it says nothing.

    Parameters
    ----------
    source
        What to call the file in messages.
    header
        Keys in upper case.
    unit
        Of the column, which is taken for that of TIMEZERO where there is no TIMEUNIT.

    Raises
    ------
    InputError
        A keyword that is not what it must be.
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
    """Days of the unit of times: TIMEUNIT, else that of the column."""
    stated = str(header.get("TIMEUNIT") or unit).strip()
    try:
        with u.add_enabled_aliases(TIME_UNITS):
            return float(u.Unit(stated.lower()).to(u.d))
    except (ValueError, TypeError, u.UnitsError) as error:
        raise InputError(
            f"{source}: keyword TIMEUNIT is {stated!r}, no unit of time: write s or d"
        ) from error


def header_scale(header: Mapping[str, Any]) -> str | None:
    """Return the scale that TIMESYS names; None where it says nothing, "" where it is not known."""
    stated = str(header.get("TIMESYS") or "").split("(")[0].strip().lower()
    return SCALES.get(stated, "") if stated else None


def _sum(source: str, header: Mapping[str, Any], key: str) -> float | None:
    """Value of a keyword that may be in two parts, whole and fraction."""
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
