"""Regions of the sky: their boundaries, and their surface brightness relative to that of the core.

Boundaries are half open, [low, high), so adjacent cells have no common points and no gaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from ridgebayes.typing import Bools, Floats

_STEP_DEG = 0.2  # size of the patches of a region
_FEWEST = 10  # least number of patches across a region

Kind = Literal["uniform", "starlight", "bar", "disc", "sech2", "gauss", "template"]
MAPS = ("starlight", "bar", "disc", "template")
"""Kinds that follow a map of the sky in longitude and latitude."""


@dataclass(frozen=True)
class Shape:
    """Surface brightness inside a region, up to a factor.

    Parameters
    ----------
    kind
        ``"uniform"``; ``"sech2"``, sech²(b/scale); ``"gauss"``, exp(−b²/2 scale²); ``"starlight"``, the map
        of :func:`ridgebayes.sky.starlight`, ``"bar"`` and ``"disc"``, its parts; ``"template"``, the map in
        ``file``. Maps shape a region in both longitude and latitude.
    scale
        Degrees, for ``sech2`` and ``gauss``.
    file
        Full path, for ``template``.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes import sky
    >>> lat = np.array([0.0, 2.0, 4.0])
    >>> sky.Shape("gauss", scale=2.0).profile(np.zeros(3), lat, lookup=None).round(3)
    array([1.   , 0.607, 0.135])
    """

    kind: Kind = "uniform"
    scale: float | None = None
    file: str | None = None

    @property
    def map(self) -> str:
        """Name or file of the map that it follows; empty for other shapes."""
        if self.kind not in MAPS:
            return ""
        return self.kind if self.file is None else self.file

    def profile(self, lon: Floats, lat: Floats, lookup: Callable[[Shape, Floats, Floats], Floats]) -> Floats:
        """Evaluate at galactic positions in degrees; ``lookup`` interpolates the map of a shape."""
        if self.kind == "uniform":
            return np.ones_like(lat)
        if self.map:
            return lookup(self, lon, lat)
        assert self.scale is not None
        if self.kind == "gauss":
            return np.exp(-0.5 * (lat / self.scale) ** 2)
        e = np.exp(-2 * np.abs(lat / self.scale))  # sech² without overflow of cosh
        return 4 * e / (1 + e) ** 2


@dataclass(frozen=True)
class Region:
    """A named part of the sky with one intensity: its mean surface brightness over its *core*.

    Parameters
    ----------
    name
        Name, unique in its sky.
    centre_lon, centre_lat
        Galactic degrees, longitude in (−180, 180].
    lon, lat
        Ranges in degrees, half open. ``lon`` may run beyond ±180. Unused for a circle.
    core_lat
        Range of latitude of the core. The core covers all longitudes of the region.
    radius
        Radius of a circle around the centre, degrees; None otherwise. The core of a circle is the circle.
    shape
        Shape of the surface brightness.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes import sky
    >>> cygnus = sky.Region("Cygnus", centre_lon=80.0, centre_lat=0.0, radius=5.0)
    >>> cygnus.contains(np.array([80.0, 86.0]), np.array([0.0, 0.0]))
    array([ True, False])
    """

    name: str
    centre_lon: float
    centre_lat: float
    lon: tuple[float, float] = (-180.0, 180.0)
    lat: tuple[float, float] = (-90.0, 90.0)
    core_lat: tuple[float, float] = (-90.0, 90.0)
    radius: float | None = None
    shape: Shape = Shape()

    @classmethod
    def cell(
        cls,
        name: str,
        lon: tuple[float, float],
        shape: Shape,
        *,
        core_lat: float = 5.0,
        lat_max: float = 30.0,
    ) -> Region:
        """Return a longitude cell × a shape, cut at ``|b| = lat_max``, core at ``|b| ≤ core_lat``.

        Examples
        --------
        >>> from ridgebayes import sky
        >>> cell = sky.Region.cell("GB", (-10, 10), sky.Shape("sech2", scale=2.0))
        >>> cell.lat, cell.core_lat
        ((-30.0, 30.0), (-5.0, 5.0))
        """
        core = (-core_lat, core_lat)
        return cls(name, wrap(sum(lon) / 2), 0.0, lon, (-lat_max, lat_max), core, shape=shape)

    @classmethod
    def box(cls, name: str, lon: tuple[float, float], lat: tuple[float, float]) -> Region:
        """Return a uniform range of longitude and latitude.

        Examples
        --------
        >>> from ridgebayes import sky
        >>> sky.Region.box("north", (170, 190), (60, 90)).centre_lon  # longitudes may run beyond 180
        180.0
        """
        return cls(name, wrap(sum(lon) / 2), sum(lat) / 2, lon, lat, lat)

    @classmethod
    def circle(cls, name: str, lon: float, lat: float, radius: float) -> Region:
        """Return a uniform disc of the sky.

        Examples
        --------
        >>> from ridgebayes import sky
        >>> cygnus = sky.build("mine", [sky.Region.circle("Cygnus", 80.0, 0.0, 5.0)])
        >>> print(cygnus.weights.sum().round(1))  # its solid angle, deg²
        78.5
        """
        return cls(name, wrap(lon), lat, radius=radius)

    def contains(self, lon: Floats, lat: Floats) -> Bools:
        """Return True for galactic positions (degrees) in the region."""
        if self.radius is not None:
            # Haversine formula: the cosine of the distance loses digits for small circles.
            half_lat = np.sin(np.deg2rad(lat - self.centre_lat) / 2) ** 2
            half_lon = np.sin(np.deg2rad(lon - self.centre_lon) / 2) ** 2
            squared = half_lat + np.cos(np.deg2rad(lat)) * np.cos(np.deg2rad(self.centre_lat)) * half_lon
            return np.asarray(squared < np.sin(np.deg2rad(self.radius) / 2) ** 2)
        low, high = self.lat
        in_lat = (lat >= low) & ((lat < high) | (high >= 90))
        return np.asarray(in_lat & (np.mod(lon - self.lon[0], 360.0) < self.lon[1] - self.lon[0]))

    def sample(self) -> Sample:
        """Divide the region into small patches whose edges include those of the region and its core."""
        if self.radius is not None:
            return self._sample_circle(self.radius)
        edges = _divide((*self.lat, *self.core_lat), self._step())
        lon_edges = _divide(self.lon, _STEP_DEG)
        lat, area = (edges[1:] + edges[:-1]) / 2, np.diff(np.sin(np.deg2rad(edges)))
        lon = (lon_edges[1:] + lon_edges[:-1]) / 2
        area *= np.deg2rad(lon_edges[1] - lon_edges[0]) * np.rad2deg(1.0) ** 2
        core = (lat > self.core_lat[0]) & (lat < self.core_lat[1])
        return Sample(
            np.tile(lon, lat.size),
            np.repeat(lat, lon.size),
            np.repeat(area, lon.size),
            np.repeat(core, lon.size),
        )

    def _sample_circle(self, radius: float) -> Sample:
        # Rings around the centre, each cut into patches of about the same size.
        edges = _divide((0.0, radius), _STEP_DEG)
        lon, lat, area = [], [], []
        centre = SkyCoord(self.centre_lon, self.centre_lat, unit="deg")
        for low, high in pairwise(edges):
            count = max(8, math.ceil(2 * np.pi * high / (high - low)))
            turn = 360.0 / count * (np.arange(count) + 0.5)
            ring = centre.directional_offset_by(turn * u.deg, (low + high) / 2 * u.deg)
            lon.append(ring.ra.to_value(u.deg))
            lat.append(ring.dec.to_value(u.deg))
            cap = np.cos(np.deg2rad(low)) - np.cos(np.deg2rad(high))
            area.append(np.full(count, 2 * np.pi * cap * np.rad2deg(1.0) ** 2 / count))
        joined = np.concatenate(area)
        return Sample(np.concatenate(lon), np.concatenate(lat), joined, np.ones(joined.size, bool))

    def _step(self) -> float:
        """Step in latitude, small enough for a thin layer."""
        return _STEP_DEG if self.shape.scale is None else min(_STEP_DEG, self.shape.scale / 2)


class Sample(NamedTuple):
    """Patches of a region: galactic positions (degrees), solid angles (deg²), and True in the core."""

    lon: Floats
    lat: Floats
    area: Floats
    core: Bools


def _divide(ends: tuple[float, ...], step: float) -> Floats:
    """Return edges that include all of ``ends`` and are at most ``step`` apart."""
    stops = np.unique(ends)
    pieces = []
    for low, high in pairwise(stops):
        count = max(_FEWEST, math.ceil((high - low) / step))
        pieces.append(np.linspace(low, high, count, endpoint=False))
    return np.concatenate([*pieces, stops[-1:]])


def wrap(lon: float) -> float:
    """Map a longitude in degrees to (−180, 180]."""
    return 180.0 - (180.0 - lon) % 360.0


def tiling_names(width: float) -> list[tuple[str, float]]:
    """Return names and centres of cells of ``width`` degrees that tile the circle, in order of longitude.

    The cell at l = 0 is ``GB``; the others are named after their centre, ``L-20``, ``L+20``, …, ``L+180``.
    """
    centres = sorted(wrap(i * width) for i in range(round(360 / width)))
    return [("GB" if lon == 0 else f"L{lon:+g}", lon) for lon in centres]
