"""The sky of a model: its regions, and the flux of each region in each pixel for a unit intensity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import astropy.units as u
import numpy as np
from astropy_healpix import HEALPix
from astropy_healpix.core import nested_to_ring
from numpy.typing import NDArray
from scipy import sparse

from ridgebayes.errors import InputError, nearest
from ridgebayes.instrument.response import Averaged
from ridgebayes.sky.cache import content_key
from ridgebayes.sky.regionfile import read_regions
from ridgebayes.sky.regions import Region, Sample, Shape
from ridgebayes.sky.starlight import Component, starlight
from ridgebayes.sky.sums import roll_averaged
from ridgebayes.sky.templates import interpolated, read_template
from ridgebayes.sky.vectors import unit_vectors
from ridgebayes.typing import Floats

_STARLIGHT = 128  # nside of the starlight map, interpolated to the patches
_FINEST = 256  # finer templates are averaged to this nside, the size of the patches
_OVERLAP = 0.01  # accepted overlap, relative to the smaller region: rounded edges in region files


@dataclass(frozen=True, eq=False)
class Sky:
    """Regions of the sky and their pixels.

    Region m with intensity I (mCrab/deg²) has a flux of ``weights[m, p] * I`` mCrab in pixel p. Inside a
    region the surface brightness follows its shape; the mean over its core is I.

    Parameters
    ----------
    name
        Name, for messages and products.
    regions
        The M regions.
    weights
        (M, 12 nside²) sparse, deg²; HEALPix RING order in the galactic frame.
    nodes
        (weights.nnz, 3) galactic unit vectors: centroid of the flux of each stored element of ``weights``
        within its pixel. Nside 64 is sufficient with centroids instead of pixel centres.

    Examples
    --------
    >>> from ridgebayes import sky
    >>> example = sky.load("example")
    >>> example.names
    ('bulge', 'first quadrant', 'fourth quadrant', 'Cygnus', 'anticentre')
    >>> example.nside, example.centre_lon
    (64, array([  0. ,  37.5, -37.5,  80. , 180. ]))
    """

    name: str
    regions: tuple[Region, ...]
    weights: sparse.csr_array
    nodes: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the regions."""
        return tuple(region.name for region in self.regions)

    @property
    def nside(self) -> int:
        """HEALPix nside of ``weights``."""
        return round((self.weights.shape[1] / 12) ** 0.5)

    @cached_property
    def solid_angles(self) -> Floats:
        """(M,) deg²: flux of each whole region in mCrab for an intensity of 1 mCrab/deg²."""
        return np.asarray(self.weights.sum(axis=1), float).ravel()

    @cached_property
    def stars(self) -> Floats:
        """(M,) mean starlight over the core of every region, for any shape; 1 in the brightest."""
        bright = core_brightness(self.regions, Shape("starlight"))
        return bright / max(bright.max(initial=0.0), 1e-300)

    @cached_property
    def templates(self) -> dict[str, Floats]:
        """Template → (M,) brightness of the core of every region, 1 in the brightest, 0 where it has no part.

        All regions that follow one map are one template, named after the map; any other region is one itself.
        """
        bright = core_brightness(self.regions)
        found: dict[str, Floats] = {}
        for key in dict.fromkeys(region.shape.map or region.name for region in self.regions):
            own = [(region.shape.map or region.name) == key for region in self.regions]
            values = np.where(own, bright, 0.0)
            name = Path(key).stem if any(key == region.shape.map for region in self.regions) else key
            found[key if name in found else name] = values / values.max()
        return found

    @property
    def centre_lon(self) -> Floats:
        """(M,) galactic longitudes of the centres, degrees in (−180, 180]."""
        return np.array([region.centre_lon for region in self.regions])

    @property
    def centre_lat(self) -> Floats:
        """(M,) galactic latitudes of the centres, degrees."""
        return np.array([region.centre_lat for region in self.regions])

    def __len__(self) -> int:
        return len(self.regions)

    def __repr__(self) -> str:
        return f"Sky({self.name!r}, {len(self)} regions: {', '.join(self.names)})"

    def index(self, name: str) -> int:
        """Return the index of a region; an unknown name raises an InputError that gives the nearest one."""
        if name not in self.names:
            raise InputError(f"sky '{self.name}' has no region '{name}'{nearest(name, self.names)}")
        return self.names.index(name)

    def select(self, names: str | Iterable[str]) -> Sky:
        """Return a sky of the named regions only, in the order given.

        Raises
        ------
        InputError
            If a name is unknown, or none is given.

        Examples
        --------
        >>> from ridgebayes import sky
        >>> sky.load("example").select(["Cygnus", "bulge"]).names
        ('Cygnus', 'bulge')
        """
        rows = [self.index(name) for name in ([names] if isinstance(names, str) else names)]
        if not rows:
            raise InputError(
                f"sky '{self.name}': no region left; keep at least one of {', '.join(self.names)}"
            )
        ends = self.weights.indptr
        taken = np.concatenate([np.arange(ends[row], ends[row + 1]) for row in rows])
        regions = tuple(self.regions[row] for row in rows)
        return Sky(self.name, regions, sparse.csr_array(self.weights[rows]), self.nodes[taken])

    def without(self, names: str | Iterable[str]) -> Sky:
        """Return a sky without the named regions."""
        dropped = {self.index(name) for name in ([names] if isinstance(names, str) else names)}
        return self.select([name for row, name in enumerate(self.names) if row not in dropped])

    @cached_property
    def key(self) -> str:
        """Hash of all inputs of exposures."""
        w = self.weights
        return content_key("sky", w.data, w.indices.astype(np.int64), w.indptr.astype(np.int64), self.nodes)

    def reshaped(self, stretch: float, shift: float) -> Sky:
        """Return this sky with the shape of every region stretched and shifted in latitude (see `build`).

        It is built once (some seconds) and kept, as several products of a run need the same ones.
        """
        if (stretch, shift) not in self._reshaped:
            self._reshaped[stretch, shift] = build(
                self.name, self.regions, nside=self.nside, stretch=stretch, shift=shift
            )
        return self._reshaped[stretch, shift]

    @cached_property
    def _reshaped(self) -> dict[tuple[float, float], Sky]:
        """(stretch, shift) → sky that `reshaped` has built."""
        return {}

    def record(self) -> dict[str, Any]:
        """Return a record, for TOML, from which `from_record` builds this sky again.

        Examples
        --------
        >>> from ridgebayes import sky
        >>> sorted(sky.load("example").record())
        ['name', 'nside', 'regions', 'solid_angles']
        """
        return {
            "name": self.name,
            "nside": self.nside,
            "solid_angles": self.solid_angles.tolist(),
            "regions": [_plain(asdict(region)) for region in self.regions],
        }

    def fov_matrix(self, response: Averaged) -> Floats:
        """Return the exposure of all regions in a FOV at the centre of each.

        Parameters
        ----------
        response
            Response averaged over roll.

        Returns
        -------
        ndarray
            (M, M) deg². Element r of ``fov_matrix @ intensity`` is the flux of the whole sky model, mCrab, in
            the field of view of a pointing at the centre of region r.

        Examples
        --------
        >>> from ridgebayes import sky
        >>> from ridgebayes.instrument.response import Trapezoid
        >>> inner = sky.load("example").select(["bulge", "first quadrant"])
        >>> inner.fov_matrix(Trapezoid()).round(1)  # deg²: a row for each pointing
        array([[260.8,   0.7],
               [  0. , 200. ]])
        """
        return self.fov_exposure(self.centre_lon, self.centre_lat, response)

    def fov_exposure(self, lon: Floats, lat: Floats, response: Averaged) -> Floats:
        """Exposure of arbitrary pointings; the response is averaged over roll.

        Parameters
        ----------
        lon, lat
            (N,) galactic degrees.
        response
            Response averaged over roll.

        Returns
        -------
        ndarray
            (N, M) deg²: times intensities in mCrab/deg² it is the flux in the field of view, mCrab.

        Examples
        --------
        >>> import numpy as np
        >>> from ridgebayes import sky
        >>> from ridgebayes.instrument.response import Trapezoid
        >>> bulge = sky.load("example").select("bulge")
        >>> bulge.fov_exposure(np.array([0.0, 15.0, 40.0]), np.zeros(3), Trapezoid()).round(1)
        array([[260.8],
               [ 97.2],
               [  0. ]])
        """
        return roll_averaged(self, unit_vectors(lon, lat), response)


def load(source: Sky | str | Path, *, nside: int = 64) -> Sky:
    """Load a sky by the name of a shipped set (``"milkyway"``, ``"coarse"``) or from a region file.

    Parameters
    ----------
    source
        Name or path; the format is described in :mod:`ridgebayes.sky.regionfile`. A sky is returned as it is.
    nside
        Nside of ``Sky.weights``, a power of 2 up to 128. With 64, exposures are exact to 0.2 % of the largest
        exposure of a region.

    Raises
    ------
    InputError
        If the region file is missing or wrong, regions overlap, or a region has no brightness.

    Examples
    --------
    >>> from ridgebayes import sky
    >>> len(sky.load("coarse")), len(sky.load("example"))
    (18, 5)
    """
    if isinstance(source, Sky):
        return source
    name, regions = read_regions(source)
    try:
        return build(name, regions, nside=nside)
    except InputError as err:
        raise InputError(f"{source}: {err}") from err


def from_record(record: Mapping[str, Any]) -> Sky:
    """Build the sky of a record from `Sky.record`.

    Raises
    ------
    InputError
        If it cannot be built, or differs because a template file was changed or is missing.

    Examples
    --------
    >>> from ridgebayes import sky
    >>> record = sky.load("example").select(["bulge", "Cygnus"]).record()
    >>> sky.from_record(record).names
    ('bulge', 'Cygnus')
    """
    try:
        regions = []
        for entry in record["regions"]:
            given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
            regions.append(Region(**given | {"shape": Shape(**entry["shape"])}))
        sky = build(record["name"], regions, nside=record["nside"])
        # With a tolerance, because processors differ in rounding.
        same = np.allclose(sky.solid_angles, record["solid_angles"], rtol=1e-6)
    except InputError:
        raise
    except Exception as error:  # a modified record can fail in many ways
        raise InputError(f"the sky of the record cannot be built ({error!r}): fit again") from error
    if not same:
        raise InputError(
            f"sky '{sky.name}': a template of its regions is not what it was in the fit: restore it"
        )
    return sky


def build(
    name: str, regions: Sequence[Region], *, nside: int = 64, stretch: float = 1.0, shift: float = 0.0
) -> Sky:
    """Divide regions into patches and sum their flux into the pixels of a :class:`Sky`.

    Parameters
    ----------
    name, regions
        Name and regions of the sky. Without regions the sky is empty, for a model without a sky.
    nside
        Nside of ``Sky.weights``.
    stretch, shift
        Factor on latitude for shapes that depend on latitude, then a shift to the north, degrees. The core
        does not change, and the intensity is still the mean over it.

    Raises
    ------
    InputError
        If regions overlap, or a region is dark in its core.

    Examples
    --------
    >>> from ridgebayes import sky
    >>> bulge = sky.Region.cell("bulge", (-10, 10), sky.Shape("sech2", scale=2.0))
    >>> sky.build("mine", [bulge, sky.Region.circle("Cygnus", 80.0, 0.0, 5.0)]).names
    ('bulge', 'Cygnus')
    """
    if nside < 1 or nside & (nside - 1) or nside > _FINEST // 2:
        raise InputError(f"sky '{name}': nside {nside} is not a power of 2 up to {_FINEST // 2}: take 64")
    if not regions:
        return Sky(name, (), sparse.csr_array((0, 12 * nside**2)), np.zeros((0, 3)))
    grid = HEALPix(nside, order="ring")
    lookup = Lookup()
    shaped = [region.radius is None and region.shape.kind != "uniform" for region in regions]
    wide = [
        replace(region, lat=_clipped(region.lat, stretch, shift)) if has_shape else region
        for region, has_shape in zip(regions, shaped, strict=True)
    ]
    samples = [region.sample() for region in wide]
    pixels: list[NDArray[np.int64]] = []
    weights: list[Floats] = []
    nodes: list[Floats] = []
    reach: list[NDArray[np.int64]] = []
    for region, has_shape, (lon, lat, area, core) in zip(regions, shaped, samples, strict=True):
        bright = region.shape.profile(lon, (lat - shift) / stretch if has_shape else lat, lookup)
        mean = float(np.average(bright[core], weights=area[core]))
        if not mean > 0:
            raise InputError(f"region '{region.name}': the template is zero in its core: take another shape")
        flux = bright / mean * area
        pixel = grid.lonlat_to_healpix(lon * u.deg, lat * u.deg)
        occupied, inverse = np.unique(pixel, return_inverse=True)
        total = np.bincount(inverse, flux).astype(float)
        centroid = np.stack([np.bincount(inverse, flux * part) for part in unit_vectors(lon, lat).T], axis=-1)
        lit = total > 1e-9 * total.max()  # skip the far wings of a thin layer: their flux is negligible
        reach.append(occupied)
        pixels.append(occupied[lit])
        weights.append(total[lit])
        nodes.append(centroid[lit] / np.linalg.norm(centroid[lit], axis=1, keepdims=True))
    _check_overlap(wide, samples, _rows(reach, np.concatenate([np.ones(len(p)) for p in reach]), grid.npix))
    return Sky(name, tuple(regions), _rows(pixels, np.concatenate(weights), grid.npix), np.concatenate(nodes))


def core_brightness(regions: Sequence[Region], shape: Shape | None = None) -> Floats:
    """Mean of a shape over the core of every region, (M,); by default the shape of each region."""
    lookup, means = Lookup(), []
    for region in regions:
        lon, lat, area, core = region.sample()
        bright = (shape or region.shape).profile(lon[core], lat[core], lookup)
        means.append(float(np.average(bright, weights=area[core])))
    return np.array(means)


def _rows(columns: Sequence[NDArray[np.int64]], values: Floats, width: int) -> sparse.csr_array:
    """Return the sparse matrix whose row i has its values in ``columns[i]``."""
    ends = np.cumsum([0, *(len(c) for c in columns)])
    return sparse.csr_array((values, np.concatenate(columns), ends), shape=(len(columns), width))


def _check_overlap(regions: Sequence[Region], samples: Sequence[Sample], reach: sparse.csr_array) -> None:
    neighbours = sparse.triu(reach @ reach.T, k=1).tocoo()  # only these pairs can overlap
    for i, j in zip(neighbours.row, neighbours.col, strict=True):
        maps = {regions[i].shape.map, regions[j].shape.map}
        if len(maps) == 2 and "" not in maps:
            continue  # the shapes of two different maps can separate them
        small, large = sorted((i, j), key=lambda k: float(samples[k].area.sum()))
        patches = samples[small]
        common = float(patches.area[regions[large].contains(patches.lon, patches.lat)].sum())
        if common > _OVERLAP * patches.area.sum():
            raise InputError(
                f"regions '{regions[i].name}' and '{regions[j].name}' overlap by {common:.3g} deg2: "
                "the data cannot tell two intensities of the same sky apart; shrink or remove one"
            )


def _plain(value: Any) -> Any:
    """Leave out None, which TOML does not have."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    return list(value) if isinstance(value, tuple) else value


def _clipped(lat: tuple[float, float], stretch: float, shift: float) -> tuple[float, float]:
    return max(-90.0, lat[0] * stretch + shift), min(90.0, lat[1] * stretch + shift)


class Lookup:
    """Interpolates maps; reads each map once."""

    def __init__(self) -> None:
        self._maps: dict[str, Floats] = {}

    def __call__(self, shape: Shape, lon: Floats, lat: Floats) -> Floats:
        """Interpolate the map of a shape at galactic positions in degrees."""
        if shape.map not in self._maps:
            if shape.file is None:
                component = cast(Component, "all" if shape.kind == "starlight" else shape.kind)
                values = starlight(_STARLIGHT, component=component)
            else:
                values = read_template(shape.file)
            self._maps[shape.map] = _degraded(values)
        values = self._maps[shape.map]
        grid = HEALPix(round((values.size / 12) ** 0.5), order="ring")
        # astropy_healpix 2.0 interpolates to NaN at negative longitudes.
        found = interpolated(values, *grid.bilinear_interpolation_weights(lon % 360 * u.deg, lat * u.deg))
        if shape.file is not None and np.isnan(found).any():
            first = int(np.argmax(np.isnan(found)))
            raise InputError(
                f"{shape.file}: has no data in {np.isnan(found).mean():.1%} of the region, such as at "
                f"l = {lon[first] % 360:.1f}, b = {lat[first]:.1f}: make the region smaller (lat_max, lon), "
                "or fill the map there"
            )
        return found


def _degraded(values: Floats) -> Floats:
    """Average a RING map to the size of the patches if it is finer."""
    nside = round((values.size / 12) ** 0.5)
    if nside <= _FINEST:
        return values
    nested = values[nested_to_ring(np.arange(values.size), nside)]
    finer = nested.reshape(12 * _FINEST**2, -1)
    there = (~np.isnan(finer)).sum(axis=1)
    with np.errstate(invalid="ignore"):  # for pixels without data
        mean = np.nansum(finer, axis=1) / there
    ring = np.empty_like(mean)
    ring[nested_to_ring(np.arange(mean.size), _FINEST)] = mean
    return ring
