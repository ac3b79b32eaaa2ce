"""Response of the detector to a point source: 1 on axis, 0 outside the field of view.

The response is a function R(x, y) of the position in the *tangent plane* of the pointing, in the axes of the
detector: x = degrees(tan θx), the coordinates of a gnomonic (TAN) image. These are also the coordinates in
which the shadow of a coded mask moves linearly, so a separable trapezoid is natural there. At 15° along an
axis the difference to the angle itself is 0.33°.

Axes and roll: ``roll`` is the position angle of the detector's +y axis, in degrees, from north through east
in ICRS; +x points to position angle roll − 90°. So with roll 0, north up and east to the left, x increases to
the right and y upwards. The trapezoid is invariant under rotation by 90° and reflection, so for it the
position angle of any of the four half-axes can be used.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from numpy.typing import ArrayLike
from scipy.ndimage import map_coordinates, maximum_filter

from ridgebayes.errors import InputError
from ridgebayes.io.bounded import one_line, open_fits
from ridgebayes.table.missing import no_value
from ridgebayes.typing import Floats

# Spacing of the table of the roll average. Its slope is below 0.1 per degree: interpolation errors are <
# 1e-4.
_TABLE_STEP_DEG = 0.02
_TABLE_ROLLS = 720
_INSIDE = 0.1  # pixels next to one above this fraction of the response on axis lie in the field of view


class Averaged(Protocol):
    """A response averaged over roll."""

    @property
    def radius_deg(self) -> float:
        """Angle from the axis, in degrees, beyond which R is 0 for every roll."""

    def averaged(self, offset_deg: ArrayLike) -> Floats:
        """R averaged over roll at an angle from the axis, in degrees."""


class Response(Averaged, Protocol):
    """Interface of a response."""

    def __call__(self, x_deg: ArrayLike, y_deg: ArrayLike) -> Floats:
        """R at tangent-plane detector coordinates, in degrees."""

    def key(self) -> str:
        """Text that identifies the response (part of the names of cached results)."""


class _RollAverage(ABC):
    """Computes ``averaged`` for any R(x, y) with a ``radius_deg``."""

    radius_deg: float

    @abstractmethod
    def __call__(self, x_deg: ArrayLike, y_deg: ArrayLike) -> Floats: ...

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        offset = np.linspace(0.0, self.radius_deg, int(np.ceil(self.radius_deg / _TABLE_STEP_DEG)) + 1)
        turn = (np.arange(_TABLE_ROLLS) + 0.5) * (2 * np.pi / _TABLE_ROLLS)
        rho = np.rad2deg(np.tan(np.deg2rad(offset)))[:, None]
        return offset, self(rho * np.cos(turn), rho * np.sin(turn)).mean(axis=1)

    def averaged(self, offset_deg: ArrayLike) -> Floats:
        """R averaged over roll.

        Parameters
        ----------
        offset_deg
            Angle (not tangent-plane distance) from the pointing axis, degrees; any shape.

        Returns
        -------
        ndarray
            Same shape; interpolated linearly in a table computed once.
        """
        return np.interp(np.abs(np.asarray(offset_deg, float)), *self._table, right=0.0)


@dataclass(frozen=True)
class Trapezoid(_RollAverage):
    """Separable trapezoid T(x) T(y): T is 1 up to ``flat_deg``, then falls linearly to 0 at ``edge_deg``.

    The defaults are the least-squares fit to a measured sky response of ISGRI (400 × 400 pixels of 0.0823°,
    fitted where it is above 0.001): 4.071° and 15.000° in the tangent plane, that is zero at 14.67° along an
    axis. The residual is 1.1 % of the peak (RMS), at most 4.5 %; ∫ R dΩ is 350.9 deg² (measured: 350.8).

    Parameters
    ----------
    flat_deg, edge_deg
        Tangent-plane degrees.

    Raises
    ------
    InputError
        If 0 ≤ flat_deg < edge_deg ≤ 45 does not hold.
    """

    flat_deg: float = 4.07
    edge_deg: float = 15.0

    def __post_init__(self) -> None:
        if not 0 <= self.flat_deg < self.edge_deg <= 45:
            raise InputError(
                f"trapezoid response: flat_deg {self.flat_deg:g} and edge_deg {self.edge_deg:g} must obey "
                "0 <= flat_deg < edge_deg <= 45 degrees"
            )

    def __call__(self, x_deg: ArrayLike, y_deg: ArrayLike) -> Floats:
        """R at tangent-plane detector coordinates ``x_deg``, ``y_deg`` (degrees; they broadcast)."""
        return self._side(x_deg) * self._side(y_deg)

    def _side(self, u_deg: ArrayLike) -> Floats:
        # In place after the first step, because exposures evaluate about 10⁸ offsets.
        t = np.abs(np.asarray(u_deg, float))
        t = np.subtract(self.edge_deg, t, out=t) if t.ndim else self.edge_deg - t
        t /= self.edge_deg - self.flat_deg
        return np.clip(t, 0.0, 1.0, out=t) if t.ndim else np.clip(t, 0.0, 1.0)

    @property
    def radius_deg(self) -> float:  # type: ignore[override]
        """Angle of the corners of the field of view from the axis, degrees; beyond it R is 0."""
        return float(np.rad2deg(np.arctan(np.sqrt(2) * np.deg2rad(self.edge_deg))))

    def key(self) -> str:
        """Text that names this response and no other."""
        return f"trapezoid {self.flat_deg!r} {self.edge_deg!r}"


@dataclass(frozen=True, eq=False)
class ImageResponse(_RollAverage):
    """A measured response image, interpolated bilinearly.

    Parameters
    ----------
    image
        R at the pixel centres, rows along +y and columns along +x of the detector, peak near 1.
    scale_deg
        Tangent-plane degrees a pixel.
    centre
        Pixel (column, row; the first is 0) of the axis.
    """

    image: Floats
    scale_deg: float
    centre: tuple[float, float]

    @classmethod
    def from_fits(cls, path: str | Path, *, scale_deg: float | None = None) -> ImageResponse:
        """Read a response image from the first two-dimensional image of a FITS file.

        The pixel scale comes from the header (CDELT or a CD or PC matrix; the orientation there is that of
        one pointing and is not used) unless ``scale_deg`` is given; the axis is at CRPIX, else in the middle
        of the image. The image is divided by its mean within 2° of the axis, so R is 1 on axis; negative
        pixels, and pixels without a value outside the field of view, are set to 0.

        Raises
        ------
        InputError
            If the file is missing or not a FITS image, has no pixel scale or no positive value near the axis,
            or has a pixel without a value in the field of view.
        """
        with one_line(Path(path), "a FITS image of the response"):
            return cls._from_fits(Path(path), scale_deg)

    @classmethod
    def _from_fits(cls, path: Path, scale_deg: float | None) -> ImageResponse:
        data, header = _first_image(path)
        rows, columns = data.shape
        centre = (columns / 2 - 0.5, rows / 2 - 0.5)
        if "CRPIX1" in header and "CRPIX2" in header:
            centre = (float(header["CRPIX1"]) - 1, float(header["CRPIX2"]) - 1)
        if scale_deg is None:
            scale_deg = _pixel_scale(header, path)
        if not (np.isfinite(scale_deg) and scale_deg > 0):
            raise InputError(f"{path}: pixel scale {scale_deg} deg: give a positive scale_deg")
        missing = ~np.isfinite(data) | no_value(data)
        data = np.clip(np.where(missing, 0.0, data), 0.0, None)
        y, x = np.indices(data.shape)
        near = np.hypot(x - centre[0], y - centre[1]) * scale_deg < max(2.0, scale_deg)
        peak = data[near].mean() if near.any() else 0.0
        if not peak > 0:
            raise InputError(
                f"{path}: nothing positive within 2 deg of the axis at pixel ({centre[0] + 1:g}, "
                f"{centre[1] + 1:g}): check CRPIX and the pixel scale"
            )
        # Missing pixels are 0 outside the field of view; inside, this would be wrong.
        inside = missing & (maximum_filter(data, 3) > _INSIDE * peak)
        if inside.any():
            row, column = np.argwhere(inside)[0]
            raise InputError(
                f"{path}: {inside.sum()} pixels within the field of view have no value, such as "
                f"({column + 1}, {row + 1}): fill them"
            )
        return cls(data / peak, scale_deg, centre)

    def __call__(self, x_deg: ArrayLike, y_deg: ArrayLike) -> Floats:
        """R at tangent-plane detector coordinates ``x_deg``, ``y_deg`` (degrees; they broadcast)."""
        x, y = np.broadcast_arrays(np.asarray(x_deg, float), np.asarray(y_deg, float))
        # Positions behind the detector have infinite offsets: clip to a pixel outside the image.
        column = np.clip(x / self.scale_deg + self.centre[0], -9, 1e6)
        row = np.clip(y / self.scale_deg + self.centre[1], -9, 1e6)
        inside = map_coordinates(self.image, [np.ravel(row), np.ravel(column)], order=1, cval=0.0)
        return np.asarray(inside.reshape(x.shape))

    @cached_property
    def radius_deg(self) -> float:  # type: ignore[override]
        """Angle from the axis beyond which the image is 0, in degrees."""
        rows, columns = np.nonzero(self.image > 1e-4)
        far = np.hypot(rows - self.centre[1], columns - self.centre[0]).max() + 1
        return float(np.rad2deg(np.arctan(np.deg2rad(far * self.scale_deg))))

    def key(self) -> str:
        """Text that names this response and no other."""
        digest = hashlib.sha256(self.image.tobytes()).hexdigest()
        return f"image {self.image.shape} {self.scale_deg!r} {self.centre!r} {digest}"


@dataclass(frozen=True, eq=False)
class RadialTable:
    """A response averaged over roll as runs store it: R at angles from the axis, in degrees."""

    angle: Floats
    value: Floats

    @property
    def radius_deg(self) -> float:
        """Angle from the axis, in degrees, beyond which R is 0."""
        return float(self.angle[-1])

    def averaged(self, offset_deg: ArrayLike) -> Floats:
        """R averaged over roll at an angle from the axis, in degrees."""
        return np.interp(np.asarray(offset_deg, float), self.angle, self.value, right=0.0)


def detector_axes(ra: ArrayLike, dec: ArrayLike, roll: ArrayLike | None = None) -> Floats:
    """Return the unit vectors (ICRS) of the pointing axis and of the detector's +x and +y.

    Parameters
    ----------
    ra, dec
        Pointings in degrees, shape (N,).
    roll
        Position angle of +y in degrees, shape (N,); 0 where None.

    Returns
    -------
    ndarray
        Shape (3, N, 3): axis, +x, +y; then pointing; then Cartesian component.
    """
    a, d, angle = np.broadcast_arrays(
        *(np.deg2rad(np.atleast_1d(np.asarray(v, float))) for v in (ra, dec, 0.0 if roll is None else roll))
    )
    angle = angle[:, None]
    axis = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)], axis=-1)
    east = np.stack([-np.sin(a), np.cos(a), np.zeros_like(a)], axis=-1)
    up = np.cos(angle) * north + np.sin(angle) * east
    right = np.sin(angle) * north - np.cos(angle) * east
    return np.stack([axis, right, up])


def detector_offsets(
    ra: ArrayLike, dec: ArrayLike, scw_ra: ArrayLike, scw_dec: ArrayLike, roll: ArrayLike
) -> tuple[Floats, Floats]:
    """Tangent-plane detector coordinates of sky positions for each pointing.

    Parameters
    ----------
    ra, dec
        Sky positions, ICRS degrees.
    scw_ra, scw_dec, roll
        Pointings, ICRS degrees, and the position angle of +y (see the docstring of this module). All five
        broadcast to one dimension.

    Returns
    -------
    x, y : ndarray
        Degrees; infinite where the position is 90° or more from the axis.
    """
    given = (np.atleast_1d(np.asarray(a, float)) for a in (ra, dec, scw_ra, scw_dec, roll))
    to_ra, to_dec, *pointing = np.broadcast_arrays(*given)
    towards = detector_axes(to_ra, to_dec)[0]
    depth, x, y = np.einsum("and,nd->an", detector_axes(*pointing), towards)
    ahead = depth > 1e-12
    depth = np.where(ahead, depth, 1.0)
    return (
        np.where(ahead, np.rad2deg(x / depth), np.inf),
        np.where(ahead, np.rad2deg(y / depth), np.inf),
    )


def _first_image(path: Path) -> tuple[Floats, fits.Header]:
    """First two-dimensional image of a FITS file, as float64, and its header."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a FITS image of the response")
    with open_fits(path) as hdus:
        for hdu in hdus:
            if hdu.is_image and hdu.data is not None and np.ndim(hdu.data) == 2:
                return np.array(hdu.data, float), hdu.header.copy()
    raise InputError(f"{path}: holds no two-dimensional image; give a FITS image")


def _pixel_scale(header: fits.Header, path: str | Path) -> float:
    """Degrees a pixel from CDELT, CD or PC keywords."""
    if not {"CDELT1", "CDELT2", "CD1_1", "CD2_2", "CD1_2", "CD2_1"} & set(header):
        raise InputError(f"{path}: no CDELT or CD keywords: pass scale_deg, the size of a pixel in degrees")
    scales = np.abs(proj_plane_pixel_scales(WCS(header)))
    if not np.allclose(scales, scales[0], rtol=0.02):
        raise InputError(
            f"{path}: pixels of {scales[0]:g} x {scales[1]:g} deg are not square: resample the image"
        )
    return float(np.mean(scales))
