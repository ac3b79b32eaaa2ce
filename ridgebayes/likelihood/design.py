"""Prepare the arrays of a model from a ScW table.

Everything that does not depend on a parameter is computed here, once: the layout in blocks, the exposure of
the sky regions, the phase basis, the functions of time, and two reference scales from the data (the local
background level and the Crab rate). The references only set the scale of the priors; the fitted level and
Crab rate are free around them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray
from numpyro.contrib.hsgp.laplacian import eigenfunctions, sqrt_eigenvalues

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB as CRAB_SPECTRUM
from ridgebayes.instrument.response import Response, Trapezoid
from ridgebayes.likelihood.packing import Layout, layout, pack_sky
from ridgebayes.likelihood.reference import DAYS_A_YEAR, Scales, interval, read_scales
from ridgebayes.likelihood.sequence import Sequence, sequence
from ridgebayes.likelihood.tracer_bands import PARTS, columns
from ridgebayes.sky import Sky, exposure, point_response, uncovered
from ridgebayes.table.scw import CRAB, ScWTable

CRAB_ORDER = 3  # log C(t) is a cubic; in the published pipeline C(t) is
TERMS = ("constant", "phase", "phase2")
"""Terms of each revolution's background."""
WIDTHS = (1.0, 0.7, 1.4, 2.0)
"""Relative widths in latitude between which a free width is interpolated."""
SHIFT_DEG = 1.0
SHAPES = (*((width, 0.0) for width in WIDTHS), (1.0, -SHIFT_DEG), (1.0, SHIFT_DEG))
"""Stretch and shift in latitude of the skies that a free shape in latitude combines."""
LATITUDE_SHAPES = ((1.0, 0.0), (1.4, 0.0), (1.0, -SHIFT_DEG), (1.0, SHIFT_DEG))
"""Stretch and shift in latitude of the skies that the columns of `sky.latitude` combine."""
LATITUDE = np.array([[-1.0, 1.0, 0.0, 0.0], [0.0, 0.0, -0.5, 0.5]])
"""Weights of these skies in the two columns: the change for a wider sky, and for one shifted north."""
_NODES = 32  # energies in a band: good to 1e-6 for a spectrum that falls by 20 e-foldings in it
_MOST_HARMONICS = 30


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FitData:
    """The arrays of one fit; arrays that depend on the band have it as the first axis.

    Each field names its axes. Revolutions are divided into `block` × `width` cells, each with one ScW or
    none; `seen` counts the regions that a block sees.
    """

    rate: Annotated[Array, "band block width"]
    """Source-cleaned rate, cts/s."""
    stat_variance: Annotated[Array, "band block width"]
    """Counting variance of the rate, (cts/s)²."""
    level: Annotated[Array, "band revolution"]
    """Reference background level, cts/s."""
    crab_rate: Annotated[Array, "band"]
    """Reference Crab rate, cts/s per Crab."""
    tracer: Annotated[Array, "block width"]
    """Tracer over its slow trend, minus one; zero without a tracer."""
    tracer_bands: Annotated[Array, "column block width"]
    """Tracer bands over their slow level, minus one: mean of each revolution, and deviation of each ScW."""
    basis: Annotated[Array, "revolution_term block width"]
    """Columns with a coefficient for each revolution.

    The phase basis φ_j: 1 and the shifted Legendre polynomials of degree 1 and 2. With ``flares`` also the
    square root of the visible part of the plane, because the sd of many faint sources is proportional to
    it."""
    crab_response: Annotated[Array, "block width"]
    """Response R at the Crab if it was not removed, else zero."""
    exposure: Annotated[Array, "seen block width"]
    """A_im of the regions that a block sees, deg²."""
    region: Annotated[Array, "seen block"]
    """Index of these regions."""
    fov: Annotated[Array, "region region"]
    """FOV flux at the centre of a region per unit intensity of each region, deg²."""
    latitude: Annotated[Array, "latitude block width"]
    """Exposure of the columns of `sky.latitude`, deg²; no columns if the model does not use them."""
    latitude_fov: Annotated[Array, "region latitude"]
    """FOV flux at the centre of a region per unit of each of these columns, deg²."""
    time: Annotated[Array, "revolution"]
    """Middle of each revolution, −1 to 1 over the mission."""
    crab_basis: Annotated[Array, "order revolution"]
    """Legendre polynomials of `time`."""
    drift_basis: Annotated[Array, "revolution mode"]
    """Eigenfunctions of the Hilbert-space Gaussian process of the level."""
    drift_frequency: Annotated[Array, "mode"]
    """Their angular frequencies, radians per year."""
    block_revolution: Annotated[Array, "block"]
    """Revolution of each block."""
    filled: Annotated[Array, "block width"]
    """True for cells with a ScW that is fitted."""
    leftover: Annotated[Array, "region"]
    """Intensity proportional to starlight, with a largest FOV flux of 1 mCrab, mCrab/deg²."""
    smooth_basis: Annotated[Array, "revolution crab_mode"]
    """Eigenfunctions of the Gaussian process of the Crab rate, for shorter time scales."""
    smooth_frequency: Annotated[Array, "crab_mode"]
    """Their angular frequencies, radians per year."""
    e_min: Annotated[Array, "band"]
    """Lower edges of the bands, keV."""
    e_max: Annotated[Array, "band"]
    """Upper edges of the bands, keV."""
    energy: Annotated[Array, "band node"]
    """Energies in each band, keV."""
    fold: Annotated[Array, "band node"]
    """Weights that fold photons (ph/cm²/s/keV) at these energies into mCrab (`folding.fold`)."""
    stars: Annotated[Array, "region"]
    """Starlight in the core of each region over that of the brightest region."""
    template: Annotated[Array, "template region"]
    """Templates of the sky: brightness in the core of each region, 1 in the brightest."""
    harmonic: Annotated[Array, "harmonic region"]
    """Periodic functions of longitude at the centres of the regions, orthonormal over the circle."""
    harmonic_frequency: Annotated[Array, "harmonic"]
    """Their frequencies, cycles a turn."""
    reshaped: Annotated[Array | None, "shape seen block width"] = None
    """Exposure for the shapes in latitude `SHAPES`; None unless the shape is free."""
    reshaped_fov: Annotated[Array | None, "shape region region"] = None
    """FOV flux for the same shapes."""
    sequence: Annotated[Sequence | None, ""] = None
    """Order of the ScWs in time; None unless the model has correlated noise."""
    hit: Annotated[Array | None, "band block width"] = None
    """True for ScWs that are outliers, while a model with outliers is sampled; else None."""

    def slabs(self, exposure: Any) -> tuple[Array, Array]:
        """Slabs of the sky, for the given exposure (…, seen, block, width), which may differ between bands.

        Also the index of each slab among intensities followed by `sky.latitude`.
        """
        behind = len(self.fov) + np.arange(len(self.latitude))
        place = np.broadcast_to(behind[:, None], (behind.size, self.filled.shape[0]))
        latitude = jnp.broadcast_to(self.latitude, (*exposure.shape[:-3], *self.latitude.shape))
        return jnp.concatenate([exposure, latitude], -3), jnp.concatenate([self.region, place])

    @classmethod
    @cache
    def axes(cls) -> dict[str, list[str]]:
        """Array → names of its axes."""
        return {x: t.__metadata__[0].split() for x, t in get_type_hints(cls, include_extras=True).items()}

    @classmethod
    def axis(cls, name: str) -> dict[str, int]:
        """Arrays with an axis of this name → number of the axis."""
        return {array: axes.index(name) for array, axes in cls.axes().items() if name in axes}

    def having(self, name: str) -> dict[str, int]:
        """As `axis`, for arrays that are not None."""
        return {array: axis for array, axis in self.axis(name).items() if getattr(self, array) is not None}

    def band(self, k: int | Array) -> FitData:
        """Select band `k` and keep its axis; works inside compiled code."""
        own: dict[str, Any] = {
            name: lax.dynamic_slice_in_dim(getattr(self, name), k, 1) for name in self.having("band")
        }
        return replace(self, **own)


@dataclass(frozen=True)
class Prepared:
    """The arrays of a ScW table for a model, with the names of their axes."""

    data: FitData
    layout: Layout
    scws: ScWTable
    sky: Sky
    response: Response
    revolution_mjd: NDArray
    unseen: tuple[str, ...]
    crab_given: bool
    scales: Scales

    @property
    def coords(self) -> dict[str, list]:
        """Names along the axes of the parameters."""
        return {
            "band": [band.name for band in self.scws.bands],
            "region": list(self.sky.names),
            "revolution": self.layout.revolutions.tolist(),
            "term": list(TERMS),
            "revolution_term": [*TERMS, "flares"][: len(self.data.basis)],
            "order": list(range(1, CRAB_ORDER + 1)),
            "mode": list(range(1, self.data.drift_frequency.size + 1)),
            "crab_mode": list(range(1, self.data.smooth_frequency.size + 1)),
            "template": list(self.sky.templates),
            "latitude": ["width", "shift"],
            "harmonic": list(range(self.data.harmonic_frequency.size)),
            "tracer_column": [f"{band.name} {part}" for band in self.scws.tracer_bands for part in PARTS],
        }


def prepare(
    scws: ScWTable,
    sky: Sky,
    *,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    opened: Collection[str] = (),
    chosen: Callable[[ScWTable], NDArray[np.bool_]] | None = None,
    scales: Scales | None = None,
    cache: bool = True,
) -> Prepared:
    """Compute everything that a model needs from a ScW table and a sky.

    Parameters
    ----------
    scws
        The ScW rate table.
    sky
        The sky regions.
    response
        Response of the instrument; the trapezoid by default.
    crab_rate
        Crab rate of every band in cts/s, by band name; required if no ScW contains the Crab, and otherwise
        refused.
    opened
        Parameters of the model, and what its extras ask for besides, which is computed only then:
        ``reshaped`` (exposures for other shapes in latitude), ``sequence`` (the order of ScWs in time),
        ``flares`` (a column of `FitData.basis`).
    chosen
        Function that selects the ScWs to fit, by default all. The others keep their cells, and the fit
        predicts their rates.
    scales
        Known scales of some of the revolutions; by default all are derived from the data.
    cache
        Keep the exposure of the regions on disk for the next fit.

    Raises
    ------
    InputError
        If no ScW is chosen and no scales are known. If the model needs the Crab, but no ScW contains it and
        no Crab rate is given; if one is given though some do. If a given rate is for an unknown band.
    """
    response = Trapezoid() if response is None else response
    scws = scws.select(np.argsort(scws.scw_id, kind="stable"))  # so that results do not depend on row order
    if not len(sky):  # nothing to compare with the true sky of a simulation
        scws = replace(scws, truth=None)
    fitted = np.ones(len(scws), bool) if chosen is None else np.asarray(chosen(scws), bool)
    if scales is None and not fitted.any():
        name = scws.meta["path"] or "the ScW table"
        raise InputError(f"{name}: has no ScW of those that the model is fitted to")
    a = exposure(scws, sky, response, cache=cache)
    skies = [sky.reshaped(*shape) for shape in SHAPES] if "reshaped" in opened else []
    others = [exposure(scws, other, response, cache=cache) for other in skies]
    seen = np.any([a, *others], axis=0)
    where = layout(scws.revolution, seen if len(sky) else None)
    position = np.searchsorted(where.revolutions, scws.revolution)
    mjd = np.bincount(position, scws.mjd) / np.bincount(position)

    crab_response = np.where(scws.crab, point_response(scws, CRAB, response), 0.0)
    needs_crab = scales is None and (not opened or any(name.startswith("crab.") for name in opened))
    found = read_scales(
        scws, where.revolutions, position, mjd, crab_response, crab_rate, needs_crab=needs_crab
    )
    scales = found if scales is None else scales.extended(found).select(where.revolutions)
    time = (mjd - scales.middle) / scales.half_span

    arrays = {
        "filled": where.pack(fitted, False),
        "block_revolution": where.block_revolution,
        "crab_response": where.pack(crab_response),
        **_of_bands(scws, where),
        **_of_background(scws, where, scales, crab_response, position, time),
        **_in_time(time, scales),
        **_of_sky(sky, response, where, a, seen),
    }
    if "flares" in opened:
        arrays["basis"] = np.concatenate([arrays["basis"], where.pack(np.sqrt(a @ arrays["leftover"]))[None]])
    if "sky.latitude" in opened:
        arrays |= _in_latitude(scws, sky, response, where, a, arrays["fov"], cache=cache)
    if skies:
        arrays["reshaped"] = np.stack([pack_sky(where, other, seen)[0] for other in others])
        arrays["reshaped_fov"] = np.stack([other.fov_matrix(response) for other in skies])
    data = FitData(**jax.tree.map(jnp.asarray, arrays))
    if "sequence" in opened:
        data = replace(data, sequence=jax.tree.map(jnp.asarray, in_order(data, where, scws.mjd)))
    unseen = tuple(uncovered(a[fitted], sky.names))
    return Prepared(
        data, where, scws, sky, response, mjd, unseen, crab_given=not scws.crab.any(), scales=scales
    )


def _of_bands(scws: ScWTable, where: Layout) -> dict[str, Any]:
    """Rates and variances, and energies of the bands."""
    low, high = np.array([(band.e_min, band.e_max) for band in scws.bands]).T
    energy, fold = _fold(low, high)
    return {
        "rate": where.pack(scws.rate.T),
        "stat_variance": where.pack(scws.stat_err.T**2, 1.0),
        "e_min": low,
        "e_max": high,
        "energy": energy,
        "fold": fold,
    }


def _of_background(
    scws: ScWTable, where: Layout, scales: Scales, crab_response: NDArray, position: NDArray, time: NDArray
) -> dict[str, Any]:
    """Level, tracers, and phase basis of the revolution terms."""
    tracer = np.zeros(len(scws)) if scws.tracer is None else scws.tracer / scales.trend[position] - 1.0
    beside = np.empty((0, len(scws)))
    if scws.aside is not None:
        beside = columns(scws.aside, crab_response, position, time, scales.tracers)
    phase = 2.0 * scws.phase - 1.0
    return {
        "level": scales.level,
        "tracer": where.pack(tracer),
        "tracer_bands": where.pack(beside),
        "basis": where.pack(np.stack([legendre.legval(phase, np.eye(3)[j]) for j in range(3)])),
    }


def _in_time(time: NDArray, scales: Scales) -> dict[str, Any]:
    """Crab rate, and bases of functions of the `time` of revolutions, -1 to 1."""
    years, edge = time * (scales.half_span / DAYS_A_YEAR), interval(scales.half_span)
    modes, crab_modes = scales.modes
    return {
        "time": time,
        "crab_rate": scales.crab_rate,
        "crab_basis": legendre.legvander(time, CRAB_ORDER).T,
        "drift_basis": _waves(years, edge, modes),
        "drift_frequency": sqrt_eigenvalues(edge, modes, 1)[0],
        "smooth_basis": _waves(years, edge, crab_modes),
        "smooth_frequency": sqrt_eigenvalues(edge, crab_modes, 1)[0],
    }


def _of_sky(sky: Sky, response: Response, where: Layout, a: NDArray, seen: NDArray) -> dict[str, Any]:
    """Exposures `a` (ScW, region) where `seen`, and properties of the regions."""
    fov = sky.fov_matrix(response)
    packed, region = pack_sky(where, a, seen)
    harmonic, frequency = _harmonics(sky.centre_lon)
    return {
        "exposure": packed,
        "region": region,
        "fov": fov,
        "stars": sky.stars,
        "template": np.reshape(list(sky.templates.values()), (len(sky.templates), len(sky))),
        "leftover": sky.stars / (fov @ sky.stars).max(initial=np.finfo(float).tiny),
        "harmonic": harmonic,
        "harmonic_frequency": frequency,
        "latitude": where.pack(np.zeros((0, len(a)))),
        "latitude_fov": np.zeros((len(sky), 0)),
    }


def _in_latitude(
    scws: ScWTable, sky: Sky, response: Response, where: Layout, a: NDArray, fov: NDArray, *, cache: bool
) -> dict[str, Any]:
    """Exposure and FOV flux of the columns of `sky.latitude`; `a` and `fov` are those of the regions."""
    more = [sky.reshaped(*shape) for shape in LATITUDE_SHAPES[1:]]
    of_stars = [exposure(scws, other, response, cache=cache) @ sky.stars for other in more]
    fovs = [other.fov_matrix(response) for other in more]
    return {
        "latitude": where.pack(LATITUDE @ [a @ sky.stars, *of_stars]),
        "latitude_fov": (LATITUDE @ [x @ sky.stars for x in (fov, *fovs)]).T,
    }


def in_order(data: FitData, where: Layout, mjd: ArrayLike) -> Sequence:
    """Sort the ScWs of a fit by time, for correlated noise."""
    every = data.exposure if data.reshaped is None else data.exposure + data.reshaped.sum(0)
    exposure, place = data.slabs(every)
    return sequence(where, mjd, data.basis, exposure=exposure, region=place)


_waves = jax.jit(eigenfunctions, static_argnums=(1, 2))


def _fold(e_min: ArrayLike, e_max: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`FitData.energy` and `FitData.fold`: Gauss-Legendre quadrature in log E, relative to the Crab."""
    low, high = np.log(np.asarray(e_min, float)), np.log(np.asarray(e_max, float))
    node, weight = legendre.leggauss(_NODES)
    energy = np.exp((low + high)[:, None] / 2 + (high - low)[:, None] / 2 * node)
    width = energy * weight * (high - low)[:, None] / 2
    return energy, width / CRAB_SPECTRUM.photons_per_mcrab(e_min, e_max)[:, None]


def _harmonics(lon: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """1, cos nl, sin nl at longitudes in degrees, orthonormal over the circle, and their n.

    The shortest wavelength is twice the distance of neighbours, which cannot resolve shorter ones.
    """
    apart = np.diff(np.unique(np.round(lon, 6)))
    turns = np.arange(1, int(np.clip(np.ceil(180 / apart.min(initial=180.0)), 1, _MOST_HARMONICS)) + 1)
    angle = turns[:, None] * np.deg2rad(lon)
    waves = np.stack([np.cos(angle), np.sin(angle)], 1).reshape(2 * turns.size, len(lon)) / np.sqrt(np.pi)
    constant = np.full((1, len(lon)), 1 / np.sqrt(2 * np.pi))
    return np.concatenate([constant, waves]), np.concatenate([[0.0], np.repeat(turns, 2)])
