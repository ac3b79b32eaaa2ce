"""Region files: TOML in, a list of :class:`~ridgebayes.sky.regions.Region` out, or one clear line of error.

A file may hold one tiling of the whole plane and any number of single regions::

    name = "mine"                       # optional; else the file's name

    [tiling]                            # cells GB, L+10, L+20, … L+180, … L-20, L-10
    width = 10                          # degrees; must divide 360
    shape = "starlight"                 # or a table, as below
    core_lat = 5                        # the intensity is the mean over |b| <= core_lat

    [[region]]                          # one longitude cell × a shape
    name = "GB"
    lon = [-5, 5]
    shape = {kind = "sech2", scale = 2.0, lat_max = 30}
    core_lat = 5

    [[region]]                          # uniform box
    name = "north"
    box = {lon = [-20, 20], lat = [30, 60]}

    [[region]]                          # uniform circle
    name = "Cygnus"
    circle = {lon = 80, lat = 0, radius = 4}

Shapes: ``starlight`` and its parts ``bar`` and ``disc``, ``sech2`` and ``gauss`` (with ``scale``),
``uniform``, ``template`` (with ``file``, relative to the region file). ``lat_max`` (by default 30) cuts a
cell in latitude; a uniform cell ends at its core. Regions may overlap only if they follow different maps.
"""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from ridgebayes.errors import InputError, nearest
from ridgebayes.sky.regions import Kind, Region, Shape, tiling_names

_KINDS = get_args(Kind)
_CORE_LAT = 5.0
_LAT_MAX = 30.0
_CELL = 10.0
_MAPS = (".fits", ".fits.gz", ".fit", ".fit.gz")


def shipped() -> list[str]:
    """Return the names of the region files that come with the package.

    Examples
    --------
    >>> from ridgebayes import sky
    >>> sky.shipped()
    ['bar_disc', 'coarse', 'example', 'milkyway', 'starlight']
    """
    folder = resources.files("ridgebayes.data.regions")
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_regions(source: str | Path) -> tuple[str, list[Region]]:
    """Read a region file, or create regions for a map.

    Parameters
    ----------
    source
        The name of a shipped file (``"milkyway"``) or a path. A FITS file is a map of surface brightness
        (:mod:`ridgebayes.sky.templates`): the cells of ``milkyway`` then follow it instead of starlight.

    Returns
    -------
    name, regions
        Name of the sky and its regions in the order of the file, the tiling first.

    Raises
    ------
    InputError
        If the file is wrong; the message names file, region, key and remedy.
    """
    if str(source).casefold().endswith(_MAPS):
        return _cells_of(Path(source))
    path, text = _text(source)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as err:  # besides TOMLDecodeError: endless numbers and nesting
        why = str(err).replace("at end of document", f"at line {len(text.splitlines()) or 1}, the end")
        raise InputError(f"{path}: not valid TOML: {why}; correct that line") from err
    top = _Table(path, "", content, ("name", "description", "tiling", "region"))
    regions: list[Region] = []
    if "tiling" in content:
        regions += _tiling(top.table("tiling", "[tiling]", ("width", "shape", "core_lat")))
    listed = content.get("region", [])
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise top.error("region", "write each region as a [[region]] table")
    for number, entry in enumerate(listed, start=1):
        label = f"region '{entry['name']}'" if isinstance(entry.get("name"), str) else f"region {number}"
        regions.append(
            _region(_Table(path, label, entry, ("name", "lon", "shape", "core_lat", "box", "circle")))
        )
    if not regions:
        raise InputError(f"{path}: no regions in it: add a [tiling] or at least one [[region]]")
    names = [region.name for region in regions]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{path}: {names.count(name)} regions are named '{name}': give each its own name"
            )
    return top.text("name", path.stem), regions


def _cells_of(path: Path) -> tuple[str, list[Region]]:
    """Return the cells of ``milkyway``, each following a map."""
    if not path.is_file():
        raise InputError(f"{path}: no such map: give a HEALPix or WCS image in FITS")
    shape = Shape("template", None, str(path))
    name = path.name
    for ending in _MAPS:
        name = name[: -len(ending)] if name.casefold().endswith(ending) else name
    cells = tiling_names(_CELL)
    half = _CELL / 2
    return name, [
        Region.cell(cell, (lon - half, lon + half), shape, core_lat=_CORE_LAT, lat_max=_LAT_MAX)
        for cell, lon in cells
    ]


def _text(source: str | Path) -> tuple[Path, str]:
    """Return path (for messages) and content of a shipped or user file."""
    path = Path(source)
    if str(source) in shipped():
        entry = resources.files("ridgebayes.data.regions") / f"{source}.toml"
        return Path(f"{source}.toml"), entry.read_text(encoding="utf-8")
    if not path.is_file():
        if path.suffix or len(path.parts) > 1:
            raise InputError(
                f"{path}: no such region file; give a TOML file or one of {', '.join(shipped())}"
            )
        raise InputError(
            f"'{source}' is neither a region file nor a shipped set{nearest(str(source), shipped())}"
        )
    try:
        return path, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: cannot be read ({err}); give a TOML file in UTF-8") from err


class _Table:
    """A TOML table with its file and label, which error messages name."""

    def __init__(self, path: Path, label: str, content: dict[str, Any], known: tuple[str, ...]):
        self.path, self.label, self.content = path, label, content
        for key in content:
            if key not in known:
                where = f"{label}: " if label else ""
                raise InputError(f"{path}: {where}unknown key '{key}'{nearest(key, known)}")

    def error(self, key: str, remedy: str) -> InputError:
        where = f"{self.label}: " if self.label else ""
        return InputError(f"{self.path}: {where}{key}: {remedy}")

    def table(self, key: str, label: str, known: tuple[str, ...]) -> _Table:
        content = self.content[key]
        if not isinstance(content, dict):
            raise self.error(key, f"must be a table with {', '.join(known)}")
        return _Table(self.path, label, content, known)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.content.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, "give a text that is not empty")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.content.get(key, default)
        if value is None:
            raise self.error(key, "is missing: give it in degrees")
        if not _is_number(value):
            raise self.error(key, f"{value!r} is not a number: give degrees")
        return float(value)

    def latitude(self, key: str, default: float | None = None) -> float:
        value = self.number(key, default)
        if abs(value) > 90:
            raise self.error(key, f"latitude {value:g} is outside -90 to 90 degrees")
        return value

    def span(self, key: str, limit: float) -> tuple[float, float]:
        value = self.content.get(key)
        if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
            raise self.error(key, "must be [low, high] in degrees")
        low, high = float(value[0]), float(value[1])
        if max(abs(low), abs(high)) > limit:
            raise self.error(key, f"[{low:g}, {high:g}] is outside -{limit:g} to {limit:g} degrees")
        if low >= high:
            hint = f", for example [{low - 360:g}, {high:g}]" if key == "lon" and low - 360 < high else ""
            raise self.error(key, f"low {low:g} is not below high {high:g}: write [low, high]{hint}")
        if key == "lon" and high - low > 360:
            raise self.error(key, f"[{low:g}, {high:g}] is more than a full turn: at most 360 degrees")
        return low, high


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _region(entry: _Table) -> Region:
    name = entry.text("name")
    forms = [key for key in ("lon", "box", "circle") if key in entry.content]
    if len(forms) != 1:
        found = " and ".join(forms) or "none of them"
        raise InputError(
            f"{entry.path}: {entry.label}: needs exactly one of lon, box, circle (found {found})"
        )
    if forms[0] == "lon":
        shape, lat_max, core_lat = _shape(entry)
        return Region.cell(name, entry.span("lon", 540), shape, core_lat=core_lat, lat_max=lat_max)
    for key in ("shape", "core_lat"):
        if key in entry.content:
            raise entry.error(
                key, f"a {forms[0]} is uniform and its own core: remove it, or use lon with a shape"
            )
    if forms[0] == "box":
        box = entry.table("box", f"{entry.label}: box", ("lon", "lat"))
        return Region.box(name, box.span("lon", 540), box.span("lat", 90))
    circle = entry.table("circle", f"{entry.label}: circle", ("lon", "lat", "radius"))
    radius = circle.number("radius")
    if not 0 < radius <= 180:
        raise circle.error("radius", f"{radius:g} is not a radius: give degrees above 0, at most 180")
    return Region.circle(name, circle.number("lon"), circle.latitude("lat"), radius)


def _tiling(entry: _Table) -> list[Region]:
    width = entry.number("width")
    if not 1 <= width <= 180 or (360 / width) % 1:
        raise entry.error(
            "width", f"{width:g} does not divide 360: take for example 10, 12, 15 or 20 degrees"
        )
    shape, lat_max, core_lat = _shape(entry)
    return [
        Region.cell(name, (lon - width / 2, lon + width / 2), shape, core_lat=core_lat, lat_max=lat_max)
        for name, lon in tiling_names(width)
    ]


def _shape(entry: _Table) -> tuple[Shape, float, float]:
    """Return shape, lat_max and core_lat of a longitude cell."""
    core_lat = entry.latitude("core_lat", _CORE_LAT)
    if core_lat <= 0:
        raise entry.error("core_lat", f"{core_lat:g} must be above 0 degrees")
    given = entry.content.get("shape")
    if given is None:
        raise entry.error("shape", f"is missing: one of {', '.join(_KINDS)}")
    if isinstance(given, str):
        entry = _Table(entry.path, entry.label, {"shape": {"kind": given}}, ("shape",))
    table = entry.table("shape", f"{entry.label}: shape", ("kind", "scale", "file", "lat_max"))
    kind = table.text("kind")
    if kind not in _KINDS:
        raise table.error("kind", f"unknown shape '{kind}'{nearest(kind, _KINDS)}")
    lat_max = table.latitude("lat_max", max(_LAT_MAX, core_lat) if kind != "uniform" else core_lat)
    if lat_max < core_lat:
        raise table.error(
            "lat_max", f"{lat_max:g} is below core_lat {core_lat:g}: make the region hold its core"
        )
    scale = file = None
    if kind in ("sech2", "gauss"):
        scale = table.number("scale")
        if scale <= 0:
            raise table.error("scale", f"{scale:g} must be above 0 degrees")
    elif "scale" in table.content:
        raise table.error("scale", f"a {kind} shape has none: remove it")
    if kind == "template":
        file = str(entry.path.parent / table.text("file"))
        if not Path(file).is_file():
            raise table.error("file", f"no such file {file}: give it relative to the region file")
    elif "file" in table.content:
        raise table.error("file", f"a {kind} shape has none: remove it, or take kind = 'template'")
    return Shape(kind, scale, file), lat_max, core_lat  # type: ignore[arg-type]
