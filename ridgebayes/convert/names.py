"""Usual names of columns, by which the columns of a ScW table are found."""

from __future__ import annotations

import re
from typing import NamedTuple

NAMES = {
    "scw_id": ("SCW_ID", "SCWID", "SCW", "SWID", "SW_ID", "SCW_NAME", "SCIENCE_WINDOW"),
    "revolution": ("REVOL", "REV", "REVOLUTION", "ORBIT"),
    "phase": ("PHASE", "ORBITAL_PHASE", "ORB_PHASE", "ORBPHASE"),
    "time": (
        *(
            "MJD",
            "IJD",
            "JD",
            "TIME",
            "MJD_MID",
            "IJD_MID",
            "TIME_MID",
            "T_MID",
            "TMID",
            "TIME_MJD",
            "TIME_IJD",
        ),
        *("MJD_TT", "MJD_UTC", "TIME_TT", "TIME_UTC", "UTC", "DATE", "DATE_OBS", "MJD_OBS", "DATETIME"),
    ),
    "exposure": ("EXPOSURE", "EXPO", "EXP", "LIVETIME", "LIVE_TIME", "ONTIME", "GOODTIME", "EXPTIME"),
    "ra": (
        "RA",
        "RA_SCX",
        "RA_PNT",
        "PNT_RA",
        "RA_J2000",
        "RAJ2000",
        "RA_DEG",
        "RA_ICRS",
        "POSITION_RA",
        "POINTING_RA",
    ),
    "dec": (
        *(
            "DEC",
            "DEC_SCX",
            "DEC_PNT",
            "PNT_DEC",
            "DEC_J2000",
            "DEJ2000",
            "DECJ2000",
            "DEC_DEG",
            "DEC_ICRS",
            "DE_ICRS",
        ),
        *("POSITION_DEC", "POINTING_DEC"),
    ),
    "lon": ("LON", "GLON", "L", "LII", "GAL_LON", "GAL_L"),
    "lat": ("LAT", "GLAT", "B", "BII", "GAL_LAT", "GAL_B"),
    "roll": ("ROLL", "POSANGLE", "POS_ANGLE"),
    "tracer": ("TRACER", "TRACER_RATE", "TRACER_COUNTS", "RATE_TRACER", "COUNTS_TRACER"),
    "tracer_err": ("TRACER_ERR", "TRACER_ERROR", "ERR_TRACER", "STAT_ERR_TRACER", "TRACER_STAT_ERR"),
    "source": ("SOURCE", "CRAB"),
}
"""Key of the mapping → usual names of its column, in upper case with `_` between words."""

START = ("TSTART", "T_START", "TIME_START", "MJD_START", "IJD_START", "START")
STOP = ("TSTOP", "T_STOP", "TIME_STOP", "MJD_STOP", "IJD_STOP", "STOP", "TEND", "END")

TRACER_BAND = (600.0, 1000.0)  # keV

_VALUE = re.compile(r"(RATES?|COUNTS?|CTS|CNTS?)(\d.*)?")
_COUNTS = re.compile(r"(COUNTS?|CTS|CNTS?)(\d.*)?")
_ERROR = re.compile(r"(ERRORS?|ERR|STATERR|SIGMA|UNC)(\d.*)?")
_ENERGIES = re.compile(r"(?<![\d.])(\d{1,5}(?:\.\d+)?)[_\-–](\d{1,5}(?:\.\d+)?)(?=\D|$)")


_TIMES = {
    "s": ("S", "SEC", "SECS", "SECOND", "SECONDS"),
    "ks": ("KS", "KSEC", "KILOSECONDS"),
    "min": ("MIN", "MINUTES"),
    "h": ("H", "HR", "HRS", "HOUR", "HOURS"),
    "d": ("D", "DAY", "DAYS"),
}
_LAST_WORD = re.compile(r"(.+?)_*[_(\[]([A-Z]+)[)\]]?")


class Named(NamedTuple):
    """A column whose name means the rate, the counts or the error of the band `label`."""

    error: bool
    counts: bool
    label: str


def normal(name: str) -> str:
    """Return a name in upper case, with `_` between words."""
    return re.sub(r"[\s.\-]+", "_", name.strip().upper())


def without_unit(name: str) -> tuple[str, str]:
    """Split a name into the name without its unit of time, as `normal` returns it, and the unit or "".

    Examples
    --------
    >>> without_unit("livetime_ks"), without_unit("Exposure [h]"), without_unit("ONTIME")
    (('LIVETIME', 'ks'), ('EXPOSURE', 'h'), ('ONTIME', ''))
    """
    found = _LAST_WORD.fullmatch(normal(name))
    unit = next((unit for unit, words in _TIMES.items() if found and found[2] in words), "")
    return (found[1], unit) if found and unit else (normal(name), "")


def rate_name(name: str) -> Named | None:
    """Parse a name such as ``RATE_A01``, ``25-60_counts`` or ``stat_err``; None for any other name."""
    words = [word for word in re.split(r"[_\s]+", name.strip().upper()) if word]
    if any(word.startswith(("TRACER", "SYS", "BKG", "BACK")) for word in words):
        return None
    error = any(_ERROR.fullmatch(word) for word in words)
    value = any(_VALUE.fullmatch(word) for word in words)
    short = value and words[-1] in ("E", "SD", "STD")  # of an error, in names such as rate_25_60_e
    error = error or short
    if not error and not value:
        return None
    label = []
    for word, as_written in zip(words, (w for w in re.split(r"[_\s]+", name.strip()) if w), strict=True):
        found = _ERROR.fullmatch(word) or _VALUE.fullmatch(word)
        if found is None and not (error and word == "STAT") and not (short and word == words[-1]):
            label.append(as_written)
        elif found is not None and found[2]:
            label.append(found[2])
    return Named(error, any(_COUNTS.fullmatch(word) for word in words), "_".join(label))


def energies(text: str) -> tuple[float, float] | None:
    """Find the edges of a band, keV, in a text such as ``25-60`` or ``rate_25_60keV``."""
    found = _ENERGIES.findall(text)
    if len(found) != 1:
        return None
    low, high = float(found[0][0]), float(found[0][1])
    return (low, high) if low < high else None
