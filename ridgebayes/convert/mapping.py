"""The mapping from columns of a source, with their units, to the ScW table; stored as TOML."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from ridgebayes.errors import InputError, nearest

SYSTEMS = ("mjd", "ijd", "jd", "iso")
SCALES = ("tt", "utc", "tai", "tdb", "tcg", "tcb")
FRAMES = ("icrs", "fk5", "fk4", "galactic")

COLUMNS = {
    "scw_id": "identifier, 12 digits or an integer",
    "revolution": "checked against the identifier",
    "phase": "orbital phase; left out: from the time and a revolution table",
    "time": 'middle of the ScW, or ["start", "end"]; left out: from the phase and a revolution table',
    "exposure": "live time",
    "ra": "pointing, equatorial",
    "dec": "",
    "lon": "pointing, galactic, where there is no ra and dec",
    "lat": "",
    "roll": "position angle",
    "tracer": "600-1000 keV rate or counts",
    "tracer_err": "",
    "source": "'Crab' (or true) where the Crab was not removed",
}
"""Keys of [columns]. An empty text means that there is no such column; it is not guessed."""

_TOP = ("extension", "simulated", "origin", "osa_version")
_TIME = {"system": SYSTEMS, "scale": SCALES}
_TO_SAY_OF_TIME = (
    "[time]  # where its values do not say what they are",
    *(f'{key} = "{known[0]}"  # {", ".join(known)}' for key, known in _TIME.items()),
)
_BAND = ("name", "e_min", "e_max", "rate", "stat_err", "element", "file")


@dataclass(frozen=True)
class BandColumns:
    """An energy band and the place of its rates.

    `element` (from 1) is the element of a vector column. `file` (from 1) is the number of the source if each
    band has its own file. `stat_err` is None if the error is the square root of the counts.

    Examples
    --------
    >>> from ridgebayes.convert import BandColumns, Mapping
    >>> band = BandColumns("A01", 25.0, 60.0, rate="R_25_60", stat_err="E_25_60")
    >>> Mapping(bands=(band,)).bands[0].rate
    'R_25_60'
    """

    name: str
    e_min: float
    e_max: float
    rate: str | None = None
    stat_err: str | None = None
    element: int | None = None
    file: int = 1


@dataclass(frozen=True)
class Mapping:
    """Contents of a mapping file. All parts are optional; :func:`ridgebayes.convert.guess` adds the rest.

    Parameters
    ----------
    columns
        Key of `COLUMNS` → column of the source (for `time` also a pair), "" if there is none.
    bands
        The bands, in order; empty: guess.
    units
        Column of the source → its unit, which replaces that of the file.
    system, scale
        Of the time: one of `SYSTEMS` and of `SCALES`.
    zero
        MJD at which the time is 0; replaces that of the system.
    frame
        Of ra and dec: ``icrs``, ``fk5`` or ``fk4``.
    extension
        FITS extension.
    simulated, origin, osa_version
        Given if the source does not state them.

    Examples
    --------
    >>> from ridgebayes.convert import Mapping, dump_mapping
    >>> mapping = Mapping(columns={"scw_id": "SWID", "time": "TMID"}, system="ijd", scale="tt")
    >>> print(dump_mapping(mapping))
    [columns]
    scw_id = "SWID" # identifier, 12 digits or an integer
    time = "TMID" # middle of the ScW, or ["start", "end"]; left out: from the phase and a revolution table
    <BLANKLINE>
    [time]
    system = "ijd"
    scale = "tt"
    """

    columns: dict[str, str | tuple[str, str]] = field(default_factory=dict)
    bands: tuple[BandColumns, ...] = ()
    units: dict[str, str] = field(default_factory=dict)
    system: str | None = None
    scale: str | None = None
    zero: float | None = None
    frame: str | None = None
    extension: str | None = None
    simulated: bool | None = None
    origin: str | None = None
    osa_version: str | None = None


def load_mapping(path: str | PathLike[str]) -> Mapping:
    """Read a mapping file.

    Raises
    ------
    InputError
        If it is not TOML, has an unknown key (the message suggests the nearest), or a value of a wrong type.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ridgebayes.convert import load_mapping
    >>> _ = Path("mapping.toml").write_text('columns.exposure = "LIVETIME"')
    >>> load_mapping("mapping.toml").columns
    {'exposure': 'LIVETIME'}
    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise InputError(f"{path}: cannot be read ({reason}): name a mapping in TOML") from error
    return parse_mapping(text, str(path))


def parse_mapping(text: str, source: str = "mapping") -> Mapping:
    """Read a mapping from text; see :func:`load_mapping`."""
    try:
        data = tomlkit.parse(text).unwrap()
    except (TOMLKitError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{source}: not TOML ({reason[:160]}): mend that line") from error
    _known(source, "at the top", data, (*_TOP, "columns", "units", "time", "position", "bands"))
    columns = _table(source, data, "columns", COLUMNS)
    units = {str(k): _text(source, f"units.{k}", v) for k, v in _table(source, data, "units").items()}
    time = _table(source, data, "time", (*_TIME, "zero"))
    zero = time.get("zero")
    if zero is not None and (
        isinstance(zero, bool) or not isinstance(zero, int | float) or not abs(zero) < 1e7
    ):
        raise InputError(f"{source}: zero is {zero!r}: write the MJD at which the time is 0, a number")
    position = _table(source, data, "position", ("frame",))
    simulated = data.get("simulated")
    if not isinstance(simulated, bool | None):
        raise InputError(f"{source}: simulated is {simulated!r}: write true or false")
    return Mapping(
        columns={name: _column(source, name, value) for name, value in columns.items()},
        bands=_bands(source, data.get("bands", [])),
        units=units,
        system=_one_of(source, "system", time.get("system"), SYSTEMS),
        scale=_one_of(source, "scale", time.get("scale"), SCALES),
        zero=None if zero is None else float(zero),
        frame=_one_of(source, "frame", position.get("frame"), FRAMES[:3]),
        simulated=simulated,
        **{k: _text(source, k, data[k]) for k in ("extension", "origin", "osa_version") if k in data},
    )


def dump_mapping(mapping: Mapping, remarks: Sequence[str] = ()) -> str:
    """Return a mapping as TOML; `load_mapping` reads it back unchanged.

    Parameters
    ----------
    mapping
        What to write.
    remarks
        Lines to put at the top, as comments.

    Examples
    --------
    >>> from ridgebayes.convert import Mapping, dump_mapping
    >>> print(dump_mapping(Mapping(columns={"exposure": "LIVETIME"}), ["Rates of 2025."]))
    # Rates of 2025.
    <BLANKLINE>
    [columns]
    exposure = "LIVETIME" # live time
    <BLANKLINE>
    # [time]  # where its values do not say what they are
    # system = "mjd"  # mjd, ijd, jd, iso
    # scale = "tt"  # tt, utc, tai, tdb, tcg, tcb
    """
    document = tomlkit.document()
    for remark in remarks:
        document.add(tomlkit.comment("".join(c if c.isprintable() else " " for c in remark)))
    for key in _TOP:
        value = getattr(mapping, key)
        if value is not None:
            document.add(key, tomlkit.item(value))
    columns = tomlkit.table()
    for key, what in COLUMNS.items():
        if key in mapping.columns:
            value = mapping.columns[key]
            columns.add(key, tomlkit.item(value if isinstance(value, str) else list(value)))
            if what:
                columns[key].comment(what)
    parts: dict[str, Any] = {
        "columns": columns,
        "time": {key: v for key in (*_TIME, "zero") if (v := getattr(mapping, key)) is not None},
        "position": {"frame": mapping.frame} if mapping.frame else {},
        "units": mapping.units,
    }
    for key, part in parts.items():
        if part:
            document.add(key, tomlkit.item(part))
        elif key == "time" and mapping.columns and "time" not in mapping.columns:
            document.add(tomlkit.nl())
            for line in _TO_SAY_OF_TIME:
                document.add(tomlkit.comment(line))
            document.add(tomlkit.nl())
    if mapping.bands:
        several = any(band.file != 1 for band in mapping.bands)
        bands = tomlkit.aot()
        for band in mapping.bands:
            told = dataclasses.asdict(band).items()
            bands.append(tomlkit.item({k: v for k, v in told if v is not None and (several or k != "file")}))
        document.add("bands", bands)
    return tomlkit.dumps(document)


def _known(source: str, where: str, data: Iterable[str], known: Iterable[str]) -> None:
    for key in data:
        if key not in known:
            raise InputError(f"{source}: unknown key '{key}' {where}{nearest(str(key), known)}")


def _table(source: str, data: dict[str, Any], key: str, known: Iterable[str] | None = None) -> dict[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise InputError(f"{source}: {key} is {value!r}: make it a table [{key}]")
    if known is not None:
        _known(source, f"in [{key}]", value, known)
    return value


def _text(source: str, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f'{source}: {key} is {value!r}: write a text in quotes, like "NAME"')
    return value


def _one_of(source: str, key: str, value: Any, known: Sequence[str]) -> str | None:
    if value is None or (isinstance(value, str) and value.lower() in known):
        return value and value.lower()
    raise InputError(f"{source}: {key} is {value!r}: write one of {', '.join(known)}")


def _column(source: str, key: str, value: Any) -> str | tuple[str, str]:
    if key == "time" and isinstance(value, list):
        if len(value) == 2 and all(isinstance(name, str) for name in value):
            return value[0], value[1]
        raise InputError(f'{source}: time is {value!r}: write one column, or ["start", "end"]')
    return _text(source, f"columns.{key}", value)


def _bands(source: str, bands: Any) -> tuple[BandColumns, ...]:
    if not isinstance(bands, list) or not all(isinstance(band, dict) for band in bands):
        raise InputError(f"{source}: bands is no list of tables: write [[bands]] once a band")
    return tuple(_band(source, f"[[bands]] number {k}", band) for k, band in enumerate(bands, start=1))


def _band(source: str, where: str, band: dict[str, Any]) -> BandColumns:
    _known(source, f"in {where}", band, _BAND)
    for key in ("name", "e_min", "e_max"):
        if key not in band:
            raise InputError(f"{source}: {where} has no {key}: give name, e_min and e_max (keV)")
    values = dict(band)
    for key in ("name", "rate", "stat_err"):
        if key in values:
            _text(source, f"{where}: {key}", values[key])
    for key in ("e_min", "e_max"):
        if isinstance(values[key], bool) or not isinstance(values[key], int | float):
            raise InputError(f"{source}: {where}: {key} is {values[key]!r}: write a number in keV")
        values[key] = float(values[key]) if abs(values[key]) < 1e9 else float("inf")
    for key in ("element", "file"):
        if key in values and (type(values[key]) is not int or values[key] < 1):
            raise InputError(f"{source}: {where}: {key} is {values[key]!r}: write a whole number from 1")
    return BandColumns(**values)
