"""Near-infrared starlight: the bar and holed disc of Freudenreich (1998), integrated along lines of sight.

Source: H. T. Freudenreich 1998, ApJ 492, 495, "COBE's Galactic Bar and Disk". Origin of the numbers:

- Disc scale length and height, bar semi-axes, tilt, C⊥, C∥, sech² profile, height of the Sun: quoted from the
  paper by later work.
- R0 = 8.5 kpc, and the end of the bar (3.128 kpc, in cylindrical radius) with its Gaussian fall (0.461 kpc):
  checked. With these the bar alone reproduces a published bulge template made from the paper
  (Macias et al., arXiv:1611.06644) with a correlation of 0.9999999; with R0 = 8 kpc, or the cut in the
  ellipsoidal radius instead, it does not.
- Outer edge of the disc four kpc beyond the Sun: the paper's abstract.
- Radius and power of the central hole (2.973 kpc, 1.711) and the steepness of the outer edge (0.5 kpc): as
  recalled, **not checked**.
- Bar against disc (1.5 in central emissivity, which puts 28 % of the light in the bar): a round number, **not
  checked**, not the paper's. It matters only where bar and disc share a region, or where a model scales the
  whole map with one number.

The paper's warp of the outer disc is neglected; it moves the disc by less than the field of view. Extinction
is not included: the map is the intrinsic starlight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import astropy.units as u
import numpy as np
from astropy_healpix import HEALPix
from numpy.typing import ArrayLike

from ridgebayes.sky.cache import cached_array, content_key
from ridgebayes.typing import Floats

Component = Literal["all", "bar", "disc"]

_NODES = 64  # Gauss-Legendre nodes per line of sight: exact to 0.1 % everywhere
_LINES = 20_000  # lines of sight at a time: 10 MB per array


@dataclass(frozen=True)
class Freudenreich:
    """Emissivity of the Galaxy's old stars; lengths in kpc, angles in degrees.

    Cartesian coordinates are centred on the Galactic centre: x towards the Sun, y towards l = 90°, z north.

    Parameters
    ----------
    sun, sun_height
        Distance of the Sun from the centre and height above the plane.
    disc_length, disc_height
        Disc exp(−R/length) sech²(z/height).
    hole_radius, hole_power
        The disc is multiplied by 1 − exp(−(R/radius)^power).
    edge, edge_length
        Beyond ``edge`` the disc falls as exp(−(R − edge)/edge_length).
    bar_axes, bar_tilt, c_perp, c_par
        Bar sech²(Rs), ``Rs^c_par = R⊥^c_par + |z/az|^c_par``,
        ``R⊥^c_perp = |x'/ax|^c_perp + |y'/ay|^c_perp``;
        the near end lies at positive longitude, ``bar_tilt`` from the line to the Sun.
    bar_end, bar_fall
        Beyond cylindrical radius ``bar_end`` the bar is multiplied by exp(−((R − bar_end)/bar_fall)²).
    bar_to_disc
        Emissivity of the bar over that of the disc without its hole, both at the centre.

    Examples
    --------
    >>> from ridgebayes import sky
    >>> stars = sky.Freudenreich(bar_to_disc=2.0)
    >>> brightness = stars.brightness([0, 10, 90], [0, 0, 0])
    >>> (brightness / brightness[0]).round(3)
    array([1.   , 0.399, 0.031])
    """

    sun: float = 8.5
    sun_height: float = 0.0165
    disc_length: float = 2.605
    disc_height: float = 0.346
    hole_radius: float = 2.973
    hole_power: float = 1.711
    edge: float = 12.5
    edge_length: float = 0.5
    bar_axes: tuple[float, float, float] = (1.696, 0.6426, 0.4425)
    bar_tilt: float = 13.79
    c_perp: float = 1.574
    c_par: float = 3.501
    bar_end: float = 3.128
    bar_fall: float = 0.461
    bar_to_disc: float = 1.5

    def disc(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Emissivity of the disc; without the hole it would be 1 at the centre."""
        radius = np.hypot(x, y)
        beyond = np.maximum(radius - self.edge, 0.0)
        slope = np.exp(-(radius - beyond) / self.disc_length - beyond / self.edge_length)
        return (
            slope
            * -np.expm1(-((radius / self.hole_radius) ** self.hole_power))
            * _sech2(z / self.disc_height)
        )

    def bar(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Emissivity of the bar, ``bar_to_disc`` at the centre."""
        tilt = np.deg2rad(self.bar_tilt)
        along = np.abs(x * np.cos(tilt) + y * np.sin(tilt)) / self.bar_axes[0]
        across = np.abs(y * np.cos(tilt) - x * np.sin(tilt)) / self.bar_axes[1]
        perp = (along**self.c_perp + across**self.c_perp) ** (self.c_par / self.c_perp)
        size = (perp + np.abs(z / self.bar_axes[2]) ** self.c_par) ** (1 / self.c_par)
        beyond = np.maximum(np.hypot(x, y) - self.bar_end, 0.0) / self.bar_fall
        return self.bar_to_disc * np.exp(-(beyond**2)) * _sech2(size)

    def brightness(self, lon: ArrayLike, lat: ArrayLike, component: Component = "all") -> Floats:
        """Integrate the emissivity from the Sun outwards.

        Parameters
        ----------
        lon, lat
            Galactic degrees, one dimension.
        component
            ``"bar"``, ``"disc"`` or both (``"all"``).

        Returns
        -------
        ndarray
            Emissivity × kpc, shape of ``lon``: relative surface brightness.
        """
        lon_rad, lat_rad = (np.deg2rad(np.atleast_1d(np.asarray(v, float))) for v in (lon, lat))
        total = np.zeros(lon_rad.shape)
        if component != "bar":
            reach, top = self.edge + 10 * self.edge_length, 9 * self.disc_height
            total += self._integrate(self.disc, lon_rad, lat_rad, reach, top)
        if component != "disc":
            reach, top = self.bar_end + 3.5 * self.bar_fall, 9 * self.bar_axes[2]
            total += self._integrate(self.bar, lon_rad, lat_rad, reach, top)
        return total

    def _integrate(
        self,
        emissivity: Callable[[Floats, Floats, Floats], Floats],
        lon: Floats,
        lat: Floats,
        reach: float,
        top: float,
    ) -> Floats:
        """Integrate along lines of sight inside the cylinder R < reach, |z| < top around the centre."""
        node, weight = np.polynomial.legendre.leggauss(_NODES)
        cos_lat, sin_lat = np.cos(lat), np.sin(lat)
        # Chord through the circle in the plane, then the two planes z = ±top; all as distances in the plane.
        middle = self.sun * np.cos(lon)
        half2 = reach**2 - (self.sun * np.sin(lon)) ** 2
        half = np.sqrt(np.maximum(half2, 0.0))
        slope = np.abs(sin_lat) / np.maximum(cos_lat, 1e-9)
        near = np.maximum(middle - half, 0.0)
        far = np.minimum(middle + half, (top + self.sun_height) / np.maximum(slope, 1e-9))
        out = np.zeros(lon.shape)
        (seen,) = np.nonzero((half2 > 0) & (far > near))
        for start in range(0, seen.size, _LINES):
            i = seen[start : start + _LINES, None]
            plane = near[i] + (far[i] - near[i]) * (node + 1) / 2
            values = emissivity(
                self.sun - plane * np.cos(lon[i]),
                plane * np.sin(lon[i]),
                self.sun_height + plane * sin_lat[i] / cos_lat[i],
            )
            i = i[:, 0]
            out[i] = np.einsum("pn,n->p", values, weight) * (far[i] - near[i]) / 2 / cos_lat[i]
        return out


def starlight(
    nside: int = 128, *, component: Component = "all", model: Freudenreich | None = None, cache: bool = True
) -> Floats:
    """Return a map of the near-infrared starlight of the Galaxy.

    Parameters
    ----------
    nside
        Nside of the HEALPix map. 128 (0.46° pixels) resolves the plane; 256 takes four times as long.
    component
        ``"bar"``, ``"disc"`` or both (``"all"``).
    model
        Parameters; by default those of :class:`Freudenreich`.
    cache
        Keep the map on disk.

    Returns
    -------
    ndarray
        Surface brightness (per solid angle) at the pixel centres, RING order, galactic frame; the sum of bar
        and disc is 1 towards the Galactic centre.

    Examples
    --------
    >>> from ridgebayes import sky
    >>> bar = sky.starlight(32, component="bar") / sky.starlight(32)
    >>> round(float(bar.max()), 2), round(float(bar.min()), 2)  # share of the bar
    (0.75, 0.0)
    """
    model = model or Freudenreich()

    def compute() -> Floats:
        lon, lat = HEALPix(nside, order="ring").healpix_to_lonlat(np.arange(12 * nside**2))
        return model.brightness(lon.to_value(u.deg), lat.to_value(u.deg), component) / model.brightness(
            0.0, 0.0
        )

    if not cache:
        return compute()
    key = content_key("starlight 1", repr(model), str(nside), component)
    return cached_array("starlight", key, (12 * nside**2,), compute)


def _sech2(v: Floats) -> Floats:
    # exp(−2|v|) cannot overflow, cosh can
    e = np.exp(-2 * np.abs(v))
    return 4 * e / (1 + e) ** 2
