"""Conversion of pointings in any unit and frame to ICRS degrees."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.table.columns import Columns
from ridgebayes.table.validation import check_rows
from ridgebayes.typing import Floats

_HOURS = ("h", "hr", "hour", "hours", "hourangle")


def to_icrs(columns: Columns, lon: str, lat: str, frame: str, ids: NDArray[np.str_]) -> tuple[Floats, Floats]:
    """Return two columns of a position as ICRS right ascension and declination, (N,) degrees each.

    Parameters
    ----------
    columns, lon, lat
        The table, and its columns of longitude (right ascension) and latitude (declination).
    frame
        ``icrs``, ``fk5``, ``fk4`` or ``galactic``.
    ids
        (N,) SCW_IDs, to name a row.

    Raises
    ------
    InputError
        If an angle is missing, not an angle, or out of range; the message names the first such row.
    """
    x = to_degrees(columns, lon, ids)
    y = to_degrees(columns, lat, ids)
    remedy = "drop these ScWs, mend the column, or state its unit under [units]"
    check_rows(columns.source, ids, lon, x, np.abs(x) <= 360, "must lie between -360 and 360 degrees", remedy)
    check_rows(columns.source, ids, lat, y, np.abs(y) <= 90, "must lie between -90 and 90 degrees", remedy)
    if frame == "icrs":
        return x % 360, y
    sky = SkyCoord(x, y, unit="deg", frame=frame).icrs
    return sky.ra.deg, sky.dec.deg


def to_degrees(columns: Columns, name: str, ids: NDArray[np.str_]) -> Floats:
    """Convert a column of numbers (degrees by default) or sexagesimal text to degrees, (N,)."""
    unit = str(getattr(columns.column(name), "unit", None) or "deg")
    hours = unit.strip().lower() in _HOURS
    if not is_sexagesimal(columns, name):
        return columns.scalars(name, u.deg, given="hourangle" if hours else None)
    text = columns.text(name)
    angle = np.array([_degrees(value, u.hourangle if hours else u.deg) for value in text.tolist()])
    must = f"must be an angle in {'hours' if hours else 'degrees'}, minutes, seconds"
    check_rows(columns.source, ids, name, text, np.isfinite(angle), must, "mend the column")
    return angle


def is_sexagesimal(columns: Columns, name: str) -> bool:
    """Tell whether a column is text such as ``05:34:32`` or ``5h34m32s``, not numbers."""
    values, _ = columns.get(name)
    if values.dtype.kind in "fiu":
        return False
    text = columns.text(name)
    if text.shape != (len(columns.table),):
        raise InputError(f"{columns.source}: column {name} has several elements a row: give one")
    return bool(np.any(np.char.find(text, ":") > 0) | np.any([" " in t or "m" in t for t in text.tolist()]))


def has_letters(columns: Columns, name: str) -> bool:
    """Tell whether sexagesimal text states its unit: ``5h34m``, ``83d38m``."""
    text = columns.text(name).tolist()
    return all("h" in t or "d" in t for t in text if t)


def _degrees(text: str, unit: u.UnitBase) -> float:
    try:
        return float(Angle(text, unit=unit).deg)
    except (ValueError, TypeError, u.UnitsError):
        return float("nan")
