"""Conversion of input for a field of a ScW table to a plain array.

Masked values become NaN, or raise for types without NaN; units are converted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.time import Time
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.table.missing import split
from ridgebayes.typing import Bools

_UNITS = {"mjd": u.d, "exposure": u.s, **dict.fromkeys(("ra", "dec", "roll"), u.deg)}
_UNITS |= dict.fromkeys(("rate", "stat_err", "tracer", "tracer_err"), u.ct / u.s)


def floats(name: str, given: Any) -> NDArray[np.float64]:
    """Return numbers in the unit of the field, NaN where missing.

    Parameters
    ----------
    name
        The field.
    given
        Array, masked or not, list, column, Quantity, or Time.

    Raises
    ------
    InputError
        If a value is not a number, or the unit is incompatible.
    """
    if type(given) is np.ndarray and given.dtype == np.float64:
        return given
    if isinstance(given, Time):
        given = given.tt.mjd
    unit = getattr(given, "unit", None)
    values, missing = split(getattr(given, "value", given) if isinstance(given, u.Quantity) else given)
    try:
        numbers = np.where(missing, np.nan, np.where(missing, 0, values).astype(np.float64))
        if unit is not None and str(unit):
            counts = [(u.ct / u.s, u.Unit("1/s"))]
            numbers = u.Unit(unit).to(
                _UNITS.get(name, u.dimensionless_unscaled), numbers, equivalencies=counts
            )
    except (ValueError, TypeError) as error:  # includes errors of units
        raise InputError(
            f"ScW table: {name} holds no numbers of its kind ({error}): give plain numbers"
        ) from error
    return np.asarray(numbers, dtype=np.float64)


def integers(name: str, given: Any) -> NDArray[np.int64]:
    """Return integers.

    Raises
    ------
    InputError
        If a value is missing or not an integer.
    """
    if type(given) is np.ndarray and given.dtype.kind in "iu":
        return given.astype(np.int64, copy=False)
    values, missing = split(given)
    _refuse(name, missing, "missing", "fill it in, or drop these ScWs")
    if values.dtype.kind not in "iub":
        try:
            numbers = values.astype(np.float64)
        except ValueError as error:
            raise InputError(f"ScW table: {name} holds no numbers ({error}): give whole numbers") from error
        _refuse(name, ~(numbers == np.round(numbers)), "not whole", "give whole numbers")
        values = numbers
    return values.astype(np.int64)


def truths(name: str, given: Any) -> NDArray[np.bool_]:
    """Return booleans; missing values raise, as unknown does not mean False.

    Raises
    ------
    InputError
        If a value is missing, or neither true nor false.
    """
    if type(given) is np.ndarray and given.dtype == np.bool_:
        return given
    values, missing = split(given)
    _refuse(name, missing, "missing", "fill it in, or drop these ScWs")
    if values.size and values.dtype.kind in "SU":
        raise InputError(f"ScW table: {name} holds text: give True and False")
    _refuse(name, (values != 0) & (values != 1), "neither true nor false", "give True and False")
    return values.astype(np.bool_)


def texts(given: Any) -> NDArray[np.str_]:
    """Return text, empty where missing."""
    if type(given) is np.ndarray and given.dtype.kind == "U":
        return given
    values, missing = split(given)
    text = np.char.decode(values, "ascii", "replace") if values.dtype.kind == "S" else values.astype(np.str_)
    return np.where(missing, "", text)


def _refuse(name: str, bad: Bools, what: str, remedy: str) -> None:
    if bad.any():
        row, more = int(np.argmax(bad.reshape(len(bad), -1).any(axis=1))), int(bad.sum()) - 1
        others = f" and {more} more" if more else ""
        raise InputError(f"ScW table: row {row + 1}{others}: {name} is {what}: {remedy}")
