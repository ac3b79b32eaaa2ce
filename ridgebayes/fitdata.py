"""From a ScW table to the arrays that a model sees.

Everything that does not depend on a parameter is worked out here, once: the layout in blocks, the exposure of
the sky regions, the phase basis, the functions of time, and two reference scales read off the data (the local
background level and the Crab rate). The references only set the scale of the priors: the fitted level and
Crab rate are free around them.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.polynomial import legendre
from numpy.typing import NDArray
from numpyro.contrib.hsgp.laplacian import eigenfunctions, sqrt_eigenvalues

from ridgebayes.blocks import Layout, layout, pack_sky
from ridgebayes.correlated import Sequence, sequence
from ridgebayes.errors import InputError, nearest
from ridgebayes.response import Response, Trapezoid
from ridgebayes.scw import CRAB, ScWTable
from ridgebayes.sky import Sky, exposure, point_response, uncovered

logger = logging.getLogger(__name__)

CRAB_ORDER = 3  # C(t) is a cubic (facts: the published pipeline's choice)
DAYS_A_YEAR = 365.25
_HIGH_LATITUDE = 20.0
_NEAR_PLANE = 5.0
_SMOOTHED_YEARS = 0.6  # width over which the reference level is smoothed; wider where revolutions are few
_NEIGHBOURS = 12
_SPREAD, _SLOPE = 0.03, 0.05  # expected spread of revolutions, and change of the level in a year, relative
_SHORTEST_DRIFT_YEARS = 1.5
_SHORTEST_CRAB_YEARS = 1.0
WIDTHS = (1.0, 0.7, 1.4, 2.0)
"""Widths in latitude, over that of the regions, between which a free width is interpolated."""
SHIFT_DEG = 1.0
SHAPES = (*((width, 0.0) for width in WIDTHS), (1.0, -SHIFT_DEG), (1.0, SHIFT_DEG))
"""Stretch and shift in latitude of the skies from which a free shape in latitude is made."""
_EDGE = 1.3  # the Hilbert-space GP lives on an interval this much longer than the mission


class FitData(NamedTuple):
    """The arrays of one fit; leading axis `band` where the quantity has one.

    Attributes
    ----------
    rate, stat_variance
        Source-cleaned rate (cts/s) and its counting variance, (band, block, width).
    level
        Reference background level, cts/s, (band, revolution).
    crab_rate
        Reference Crab rate, cts/s per Crab, (band,).
    tracer
        Tracer over its own slow trend, minus one; zero without a tracer, (block, width).
    basis
        Phase basis φ_j: 1 and the shifted Legendre polynomials of degree 1 and 2, (term, block, width).
    crab_response
        R at the Crab where it was not removed, else zero, (block, width).
    exposure, region
        A_im of the regions that a block sees, deg², (seen, block, width), and which they are (seen, block).
    fov
        FOV flux at the centre of a region per unit intensity of each region, deg², (region, region).
    time
        Middle of each revolution, −1 to 1 over the mission, (revolution,).
    crab_basis
        Legendre polynomials of `time`, (order + 1, revolution).
    drift_basis, drift_frequency
        Hilbert-space GP of the level: eigenfunctions (revolution, mode) and angular frequencies (mode,) in
        radians per year.
    block_revolution, filled
        Revolution of each block (block,) and which cells hold a ScW (block, width).
    leftover
        Intensity of the regions near the plane whose FOV flux on the plane is 1 mCrab, mCrab/deg², (region,).
    plane
        R at the nearest point of the Galactic plane, averaged over roll, (block, width).
    smooth_basis, smooth_frequency
        Hilbert-space GP of the Crab's rate: as those of the drift, for shorter time scales.
    reshaped, reshaped_fov
        Exposure and FOV flux for the shapes in latitude `SHAPES`, (shape, seen, block, width) and (shape,
        region, region); None unless the model frees the shape.
    sequence
        Order of the ScWs in time; None unless the model has correlated noise.
    """

    rate: Array
    stat_variance: Array
    level: Array
    crab_rate: Array
    tracer: Array
    basis: Array
    crab_response: Array
    exposure: Array
    region: Array
    fov: Array
    time: Array
    crab_basis: Array
    drift_basis: Array
    drift_frequency: Array
    block_revolution: Array
    filled: Array
    leftover: Array
    plane: Array
    smooth_basis: Array
    smooth_frequency: Array
    reshaped: Array | None = None
    reshaped_fov: Array | None = None
    sequence: Sequence | None = None

    def band(self, k: int) -> FitData:
        """Only band `k`, its axis kept."""
        one = slice(k, k + 1)
        return self._replace(
            rate=self.rate[one],
            stat_variance=self.stat_variance[one],
            level=self.level[one],
            crab_rate=self.crab_rate[one],
        )


@dataclass(frozen=True)
class Prepared:
    """A ScW table made ready for a model, with the names of its axes."""

    data: FitData
    layout: Layout
    scws: ScWTable
    sky: Sky
    response: Response
    revolution_mjd: NDArray
    unseen: tuple[str, ...]
    crab_given: bool

    @property
    def coords(self) -> dict[str, list]:
        """Names along the axes of the parameters."""
        return {
            "band": [band.name for band in self.scws.bands],
            "region": list(self.sky.names),
            "revolution": self.layout.revolutions.tolist(),
            "term": ["constant", "phase", "phase2"],
            "order": list(range(1, CRAB_ORDER + 1)),
            "mode": list(range(1, self.data.drift_frequency.size + 1)),
            "crab_mode": list(range(1, self.data.smooth_frequency.size + 1)),
        }


def prepare(
    scws: ScWTable,
    sky: Sky,
    *,
    response: Response | None = None,
    crab_rate: Mapping[str, float] | None = None,
    opened: Container[str] = (),
    cache: bool = True,
) -> Prepared:
    """Work out everything that a model needs from a ScW table and a sky.

    Parameters
    ----------
    scws
        The ScW rate table.
    sky
        The sky regions.
    response
        Response of the instrument; the trapezoid by default.
    crab_rate
        Crab rate of every band in cts/s, by band name; used (and required) only where no ScW still
        contains the Crab.
    opened
        Parameters of the model: what only some need (exposures for other shapes in latitude, the order of
        the ScWs in time) is worked out where it is needed.
    cache
        Keep the exposure of the regions on disk for the next fit.

    Raises
    ------
    InputError
        When no ScW contains the Crab and no Crab rate is given, or a given one names no band.
    """
    response = Trapezoid() if response is None else response
    scws = scws.select(np.argsort(scws.scw_id, kind="stable"))  # row order changes nothing, to the last bit
    a = exposure(scws, sky, response, cache=cache)
    skies = [sky.reshaped(*shape) for shape in SHAPES] if "sky.width" in opened else []
    others = [exposure(scws, other, response, cache=cache) for other in skies]
    seen = np.any([a, *others], axis=0)
    where = layout(scws.revolution, seen)
    position = np.searchsorted(where.revolutions, scws.revolution)
    mjd = np.bincount(position, scws.mjd) / np.bincount(position)
    half_span = max(np.ptp(mjd) / 2, 1.0)
    time = (mjd - (mjd.min() + mjd.max()) / 2) / half_span

    crab_response = np.where(scws.crab, point_response(scws, CRAB, response), 0.0)
    years = (mjd - mjd.min()) / DAYS_A_YEAR
    level = reference_level(scws.rate, scws.lat, scws.crab, position, years)
    residual = scws.rate - level[:, position].T
    crab = _reference_crab(scws, residual, crab_response, crab_rate)
    tracer = np.zeros(len(scws))
    if scws.tracer is not None:
        trend = reference_level(scws.tracer[:, None], scws.lat, scws.crab, position, years)[0]
        tracer = scws.tracer / trend[position] - 1.0

    packed_exposure, region = pack_sky(where, a, seen)
    fov = sky.fov_matrix(response)
    half_years = half_span / DAYS_A_YEAR
    edge = _EDGE * max(half_years, 0.5)
    modes, crab_modes = (
        # Enough for the shortest scale (Riutort-Mayol et al. 2023), too few to follow every revolution.
        int(np.clip(np.ceil(2.65 * edge / shortest), 4, max(4, mjd.size // 4)))
        for shortest in (_SHORTEST_DRIFT_YEARS, _SHORTEST_CRAB_YEARS)
    )
    phase = 2.0 * scws.phase - 1.0
    arrays: dict[str, Any] = dict(
        rate=where.pack(scws.rate.T),
        stat_variance=where.pack(scws.stat_err.T**2, 1.0),
        level=level,
        crab_rate=crab,
        tracer=where.pack(tracer),
        basis=where.pack(np.stack([legendre.legval(phase, np.eye(3)[j]) for j in range(3)])),
        crab_response=where.pack(crab_response),
        exposure=packed_exposure,
        region=region,
        fov=fov,
        time=time,
        crab_basis=legendre.legvander(time, CRAB_ORDER).T,
        drift_basis=eigenfunctions(time * half_years, edge, modes),
        drift_frequency=sqrt_eigenvalues(edge, modes, 1)[0],
        block_revolution=where.block_revolution,
        filled=where.mask,
        leftover=_leftover(sky, fov),
        plane=where.pack(response.averaged(np.abs(scws.lat))),
        smooth_basis=eigenfunctions(time * half_years, edge, crab_modes),
        smooth_frequency=sqrt_eigenvalues(edge, crab_modes, 1)[0],
    )
    if skies:
        arrays["reshaped"] = np.stack([pack_sky(where, other, seen)[0] for other in others])
        arrays["reshaped_fov"] = np.stack([other.fov_matrix(response) for other in skies])
    if "background.correlated" in opened:
        arrays["sequence"] = sequence(where, scws.mjd, arrays["basis"])
    data = FitData(**jax.tree.map(jnp.asarray, arrays))
    unseen = tuple(uncovered(a, sky.names))
    if unseen:
        logger.warning("no ScW sees %s: their intensity is prior only", ", ".join(unseen))
    return Prepared(data, where, scws, sky, response, mjd, unseen, crab_given=not scws.crab.any())


def _leftover(sky: Sky, fov: NDArray) -> NDArray[np.float64]:
    near = np.abs(sky.centre_lat) < _NEAR_PLANE
    return near / np.median(fov[near][:, near].sum(1)) if near.any() else np.zeros(len(sky))


def reference_level(
    rate: NDArray, lat: NDArray, crab: NDArray, position: NDArray, years: NDArray
) -> NDArray[np.float64]:
    """Slow trend of the rate with time: a scale for the priors, good to a few per cent.

    A local straight line in time through the medians per revolution, of the ScWs that the Galaxy reaches
    least. Its slope has a prior, so it cannot run away where these are few.

    Parameters
    ----------
    rate
        (scw, band) cts/s.
    lat
        Galactic latitude of each ScW, deg.
    crab
        True for ScWs that still contain the Crab; left out where others remain.
    position
        Index of the revolution of each ScW.
    years
        Middle of each revolution, yr from any day.

    Returns
    -------
    level
        (band, revolution) cts/s, positive.
    """
    quiet = (np.abs(lat) > _HIGH_LATITUDE) & ~crab
    if len(np.unique(position[quiet])) < max(3, 0.1 * years.size):
        quiet = ~crab if (~crab).any() else np.ones_like(crab)
    order = np.argsort(position[quiet], kind="stable")
    rows, which = np.flatnonzero(quiet)[order], position[quiet][order]
    present, starts = np.unique(which, return_index=True)
    groups = np.split(rows, starts[1:])
    medians = np.array([np.median(rate[group], axis=0) for group in groups]).T  # (band, revolution)
    offset = years[present] - years[:, None]
    few = np.sort(np.abs(offset), axis=1)[:, : _NEIGHBOURS + 1]
    width = np.maximum(few[:, -1:] / 2, _SMOOTHED_YEARS)
    weight = np.exp(-0.5 * (offset / width) ** 2) * np.minimum([group.size / 10 for group in groups], 1.0)
    zeroth, first = weight.sum(1), (weight * offset).sum(1)
    second = (weight * offset**2).sum(1) + (_SPREAD / _SLOPE) ** 2
    levels = []
    for median in medians:
        level = np.full_like(years, np.median(median))
        # Twice: an odd revolution is pulled in to what its neighbours leave likely.
        for limit in (0.3, 0.1):
            pulled = np.clip(median, level[present] * (1 - limit), level[present] * (1 + limit))
            base = level.mean()
            height = weight @ (pulled - base) * second - (weight * offset) @ (pulled - base) * first
            level = base + height / (zeroth * second - first**2)
        levels.append(np.maximum(level, 1e-12))
    return np.array(levels)


def _reference_crab(
    scws: ScWTable, residual: NDArray, response: NDArray, given: Mapping[str, float] | None
) -> NDArray[np.float64]:
    """Crab rate of each band, cts/s: from the ScWs that contain the Crab, or as given."""
    names = [band.name for band in scws.bands]
    source = scws.meta["path"] or "the ScW table"
    for name in given or {}:
        if name not in names:
            raise InputError(f"crab rate: {source} has no band '{name}'{nearest(name, names)}")
    if scws.crab.any():
        if given:
            raise InputError(
                f"{source}: has ScWs that contain the Crab, which calibrate it: leave out the given Crab rate"
            )
        weight = response * scws.crab
        if not (weight**2).sum() > 0:
            raise InputError(
                f"{source}: the ScWs marked SOURCE = Crab do not have the Crab in their field of view: "
                "mend SOURCE or the pointings, or give a Crab rate"
            )
        rate = residual.T @ weight / (weight**2).sum()
        return np.maximum(rate, 1e-3 * np.median(scws.rate, axis=0))
    missing = [name for name in names if name not in (given or {})]
    if given is None or missing:
        raise InputError(
            f"{source}: no ScW contains the Crab (SOURCE = Crab) and no Crab rate is given for "
            f"{', '.join(missing)}: give the rate of each band in cts/s (--crab-rate {missing[0]}=...)"
        )
    rates = np.array([float(given[name]) for name in names])
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise InputError(f"crab rate: {dict(given)} must be positive, in cts/s over the detector")
    return rates
