"""Draw the rates of a mission."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.coordinates import Galactic, SkyCoord
from numpy.random import Generator
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Response, Trapezoid
from ridgebayes.simulate.pointings import check_seed
from ridgebayes.simulate.record import record
from ridgebayes.simulate.truesky import TrueSky, true_sky
from ridgebayes.simulate.truth import Truth
from ridgebayes.simulate.world import Outliers, Transients, World
from ridgebayes.sky.exposure import point_response
from ridgebayes.sky.skymap import Sky, load
from ridgebayes.table.scw import CRAB, Band, ScWTable
from ridgebayes.typing import Floats

ORIGIN = "ridgebayes simulation"

# Each purpose has its own random stream: a switch or a band does not change other draws.
_STREAMS = {
    name: number
    for number, name in enumerate(
        ("tracer_revolution", "tracer_scw", "tracer_noise", "crab", "revolution", "scatter", "counts",
         "outliers", "transients", "crab_scatter", "shared_revolution", "shared_scatter"),
        start=10,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """Terms of the expected rates of a mission, without noise.

    Attributes
    ----------
    tracer, tracer_error
        Measured tracer and its error, cts/s, (N,), or None.
    crab
        True where the Crab is left in, (N,).
    level
        L_k(t), cts/s, (N, K).
    background
        Level with tracer and revolution terms, cts/s, (N, K).
    crab_rate
        C_k(t), cts/s, (N, K).
    crab_response
        Response at the Crab where it is left in, else zero, (N,).
    sky
        Flux in the field of view, including the Crab and transients, mCrab, (N, K).
    coefficients
        c_ρkj relative to the level, (revolutions, K, 3), revolutions in ascending order.

    Examples
    --------
    >>> from ridgebayes import simulate, sky
    >>> from ridgebayes.instrument.response import Trapezoid
    >>> bulge = sky.build("mine", [sky.Region.cell("GB", (-10, 10), sky.Shape("sech2", scale=2.0))])
    >>> truth = simulate.Truth(template=None, intensity={"GB": [0.7, 0.5, 0.4]})
    >>> terms = simulate.expected(simulate.programme(2, seed=1), truth, sky=bulge, response=Trapezoid())
    >>> terms.rate.shape, terms.coefficients.shape
    ((147, 3), (2, 3, 3))
    """

    tracer: Floats | None
    tracer_error: Floats | None
    crab: NDArray[np.bool_]
    level: Floats
    background: Floats
    crab_rate: Floats
    crab_response: Floats
    sky: Floats
    coefficients: Floats

    @property
    def rate(self) -> Floats:
        """Rate without noise, cts/s, (N, K)."""
        return self.background + self.crab_rate / 1000 * self.sky


def mission(
    programme: ScWTable,
    truth: Truth | None = None,
    *,
    sky: Sky | None = None,
    response: Response | None = None,
    world: World | None = None,
    seed: int = 0,
    cache: bool = True,
) -> ScWTable:
    """Simulate a mission.

    Parameters
    ----------
    programme
        Pointings: from :func:`ridgebayes.simulate.programme` or `read_programme`, or any ScW table; its
        rates are not used.
    truth
        Parameters; by default those of :class:`Truth`.
    sky
        Regions that `truth.intensity` refers to, and for which the truth is recorded; by default the
        shipped ``milkyway``.
    response
        By default the trapezoid.
    world
        Differences from the model; none by default.
    seed
        Seed. Rates do not depend on the order of rows or on the other bands.
    cache
        Keep exposures on disk.

    Returns
    -------
    ScWTable
        Rows in the order of the programme; marked as simulated, with its `truth`.

    Raises
    ------
    InputError
        If the truth does not fit the sky or the bands, or the level is so low that a rate is not positive.

    Examples
    --------
    >>> from ridgebayes import simulate, sky
    >>> bulge = sky.build("mine", [sky.Region.cell("GB", (-10, 10), sky.Shape("sech2", scale=2.0))])
    >>> truth = simulate.Truth(template=None, intensity={"GB": [0.7, 0.5, 0.4]})
    >>> scws = simulate.mission(simulate.programme(2, seed=1), truth, sky=bulge, seed=1)
    >>> scws.rate.shape, scws.band_names, scws.meta["simulated"]
    ((147, 3), ('A01', 'A02', 'A03'), True)
    """
    check_seed(seed)
    truth, world = truth or Truth(), world or World()
    sky, response = sky or load("milkyway"), response or Trapezoid()
    if len(programme) == 0:
        raise InputError("simulation: the programme has no ScWs: give at least one")
    order = np.argsort(programme.scw_id, kind="stable")
    sorted_ = programme.select(order)
    shining = true_sky(truth, sky, response, world)
    parts = _expect(sorted_, truth, shining, response, world, seed, cache)

    if not (parts.rate > 0).all():
        row, k = (int(v[0]) for v in np.nonzero(~(parts.rate > 0)))
        raise InputError(
            f"simulation: ScW {sorted_.scw_id[row]}, band {truth.bands[k].name}: the expected rate is "
            f"{parts.rate[row, k]:g} cts/s: raise truth.level or lower the sky"
        )
    stat_err = np.sqrt(parts.rate / sorted_.exposure[:, None])
    scatter = truth.values().sigma * parts.level
    rate = parts.rate + scatter * _excess(sorted_, truth, world, seed)
    rate += stat_err * _per_band("counts", truth, seed, len(sorted_))
    crab_scatter = truth.crab_scatter * (parts.crab_rate * parts.crab_response[:, None])
    rate += crab_scatter * _per_band("crab_scatter", truth, seed, len(sorted_))
    if world.outliers is not None:
        whole = np.hypot(np.hypot(stat_err, scatter), crab_scatter)
        rate += whole * _outliers(world.outliers, truth.bands, seed, len(sorted_))

    drawn = dataclasses.replace(
        sorted_,
        rate=rate,
        stat_err=stat_err,
        bands=tuple(truth.bands),
        tracer=parts.tracer,
        tracer_err=parts.tracer_error,
        crab=parts.crab,
        meta={"origin": ORIGIN, "simulated": True},
        truth=record(sorted_, truth, sky, shining, response, world, seed),
    )
    return drawn.select(np.argsort(order))


def expected(
    programme: ScWTable,
    truth: Truth,
    *,
    sky: Sky,
    response: Response,
    world: World | None = None,
    seed: int = 0,
    cache: bool = True,
) -> Expected:
    """Return the expected rates of `mission` for the same arguments; rows in ascending order of SCW_ID.

    Examples
    --------
    >>> from ridgebayes import simulate, sky
    >>> from ridgebayes.instrument.response import Trapezoid
    >>> bulge = sky.build("mine", [sky.Region.cell("GB", (-10, 10), sky.Shape("sech2", scale=2.0))])
    >>> truth = simulate.Truth(template=None, intensity={"GB": [0.7, 0.5, 0.4]})
    >>> terms = simulate.expected(simulate.programme(2, seed=1), truth, sky=bulge, response=Trapezoid())
    >>> terms.background.mean(axis=0).round()  # cts/s in each band
    array([ 68.,  46., 265.])
    """
    world = world or World()
    shining = true_sky(truth, sky, response, world)
    programme = programme.select(np.argsort(programme.scw_id, kind="stable"))
    return _expect(programme, truth, shining, response, world, seed, cache)


def _expect(
    scws: ScWTable, truth: Truth, shining: TrueSky, response: Response, world: World, seed: int, cache: bool
) -> Expected:
    values = truth.values()
    _, revolution = np.unique(scws.revolution, return_inverse=True)
    true_tracer, tracer, tracer_error = _tracer(scws, truth, world, revolution, seed)
    level = truth.level_mjd(scws.mjd)
    draws = _per_band("revolution", truth, seed, int(revolution.max()) + 1, 3, world=world)
    coefficients = values.tau * np.moveaxis(draws, -1, 1)
    relative = 1 + np.einsum("ikj,ij->ik", coefficients[revolution], phase_basis(scws.phase))
    follows = true_tracer if world.noisy_tracer is not None else tracer
    if follows is not None:
        relative += values.alpha * (follows / truth.tracer_mjd(scws.mjd) - 1)[:, None]

    near = scws.near(CRAB, truth.crab_radius)
    crab = near & (_rng("crab", seed).random(len(scws)) < truth.crab_fraction)
    crab_rate = truth.crab_mjd(scws.mjd) * world.crab_factor(scws.mjd)[:, None]

    crab_response = crab * point_response(scws, CRAB, response)
    seen = shining.seen(scws, response, cache=cache) + 1000 * crab_response[:, None]
    if world.transients is not None:
        seen += _transients(scws, truth.bands, response, world.transients, _rng("transients", seed))
    return Expected(
        tracer, tracer_error, crab, level, level * relative, crab_rate, crab_response, seen, coefficients
    )


def phase_basis(phase: Floats) -> Floats:
    """Shifted Legendre polynomials of degree 0, 1, 2: orthogonal over phases 0 to 1, shape (N, 3)."""
    return np.polynomial.legendre.legvander(2 * np.asarray(phase, float) - 1, 2)


def _tracer(
    scws: ScWTable, truth: Truth, world: World, revolution: NDArray[np.int64], seed: int
) -> tuple[Floats | None, Floats | None, Floats | None]:
    """Draw the true tracer, the measured one, and its error."""
    if truth.tracer is None:
        return None, None, None
    of_revolution = _rng("tracer_revolution", seed).standard_normal(int(revolution.max()) + 1)[revolution]
    of_scw = _rng("tracer_scw", seed).standard_normal(len(scws))
    wobble = np.exp(truth.tracer_revolution * of_revolution + truth.tracer_scw * of_scw)
    rate = truth.tracer_mjd(scws.mjd) * wobble
    error = np.sqrt(rate / scws.exposure) * (world.noisy_tracer.error if world.noisy_tracer else 1.0)
    return rate, rate + error * _rng("tracer_noise", seed).standard_normal(len(scws)), error


def _excess(scws: ScWTable, truth: Truth, world: World, seed: int) -> Floats:
    """Excess scatter in units of its standard deviation, (N, K)."""
    white = _per_band("scatter", truth, seed, len(scws), world=world)
    if world.correlated_noise is None:
        return white
    a = world.correlated_noise.coefficient
    order = np.lexsort((scws.mjd, scws.revolution))
    _, first, counts = np.unique(scws.revolution[order], return_index=True, return_counts=True)
    noise = np.empty_like(white)
    noise[order[first]] = white[order[first]]
    # Vectorised over revolutions; the loop is over ScWs within them.
    for step in range(1, int(counts.max())):
        rows = first[counts > step] + step
        noise[order[rows]] = a * noise[order[rows - 1]] + np.sqrt(1 - a * a) * white[order[rows]]
    return noise


def _outliers(spec: Outliers, bands: Sequence[Band], seed: int, n: int) -> Floats:
    """Offsets of outliers in standard deviations, 0 for other ScWs, (N, 1) or (N, K)."""

    def one(rng: Generator) -> Floats:
        hit = rng.random(n) < spec.fraction
        return np.where(rng.random(n) < 0.5, -spec.size, spec.size) * hit

    if spec.together:
        return one(_rng("outliers", seed))[:, None]
    return np.stack([one(_rng("outliers", seed, band)) for band in bands], axis=-1)


def _transients(
    scws: ScWTable, bands: Sequence[Band], response: Response, spec: Transients, rng: Generator
) -> Floats:
    """Draw transient sources and return their flux in the field of view, mCrab, (N, K)."""
    early = 10 * spec.decay_d  # earlier outbursts are still decaying at the first ScW
    start, stop = float(scws.mjd.min()) - early, float(scws.mjd.max())
    n = rng.poisson(spec.per_year * (stop - start) / 365.25)
    begin = rng.uniform(start, stop, n)
    peak = rng.exponential(spec.peak_mcrab, n)
    lon, lat = rng.normal(0.0, 40.0, n), np.clip(rng.laplace(0.0, 1.5, n), -4.9, 4.9)
    position = SkyCoord(lon, lat, unit="deg", frame=Galactic()).icrs
    mean_energy = np.sqrt([band.e_min * band.e_max for band in bands])
    softness = np.sqrt(38.7 / mean_energy)  # spectrum over that of the Crab, 1 in 25–60 keV
    total = np.zeros(len(scws))
    for i in range(n):
        age = scws.mjd - begin[i]
        during = np.flatnonzero((age >= 0) & (age < early))
        if during.size:
            seen = point_response(scws.select(during), position[i], response)
            total[during] += peak[i] * np.exp(-age[during] / spec.decay_d) * seen
    return total[:, None] * softness


def _rng(stream: str, seed: int, band: Band | None = None) -> Generator:
    edges = [] if band is None else [round(1000 * band.e_min), round(1000 * band.e_max)]
    return np.random.default_rng([seed, _STREAMS[stream], *edges])


def _per_band(stream: str, truth: Truth, seed: int, *shape: int, world: World | None = None) -> Floats:
    """Draw standard normals of shape (*shape, K), each band from its own stream.

    In a world with shared noise a common part, which has its own stream, correlates the bands.
    """
    own = np.stack([_rng(stream, seed, band).standard_normal(shape) for band in truth.bands], axis=-1)
    if world is None or world.shared_noise is None:
        return own
    correlation = world.shared_noise.correlation
    common = _rng(f"shared_{stream}", seed).standard_normal(shape)[..., None]
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
