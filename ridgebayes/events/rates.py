"""Rates of one ScW: counts of an event list after all cuts, divided by its live time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.events import cuts as cut
from ridgebayes.events.pif import Illumination, SourceFit, fit_sources
from ridgebayes.events.reading import FULL_DETECTOR, SHAPE, EventList
from ridgebayes.table.scw import Band
from ridgebayes.typing import Floats

TRACER = Band("tracer", 600.0, 1000.0)
_BIN_S = 1.0  # bins of the light curve in which bursts are searched
_MIN_PER_PIXEL = 7.0  # at this mean one live pixel in a thousand has no counts
_MIN_SHARE = 0.8  # least live fraction of a bin for the scatter
_N_PIXELS = SHAPE[0] * SHAPE[1]


@dataclass(frozen=True)
class Cuts:
    """Thresholds of the cuts, and the normalisation of rates.

    Parameters
    ----------
    noisy_sigma
        Threshold for noisy pixels in any band or the tracer, standard deviations; 0 keeps all.
    burst_sigma
        Threshold for bursts in bins of 1 s over the range of the bands, standard deviations; 0 keeps all.
    full_detector
        Scale rates to all 16384 pixels; otherwise rates are those of the used pixels.
    scatter_s
        Length of the time bins in which the scatter within the ScW is measured, s.
    keep
        Sources that are fitted but not removed, for example ``("Crab",)``; upper or lower case.

    Examples
    --------
    >>> from ridgebayes.events import Cuts, measure, parse_bands, read_events
    >>> events, bands = read_events("isgri_events.fits"), parse_bands("25-60,60-80")
    >>> used, full = measure(events, bands), measure(events, bands, cuts=Cuts(full_detector=True))
    >>> float(full.rate[0] / used.rate[0]), 16384 / used.pixels
    (8.0, 8.0)
    """

    noisy_sigma: float = 5.0
    burst_sigma: float = 4.0
    full_detector: bool = False
    scatter_s: float = 300.0
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("noisy_sigma", "burst_sigma"):
            value = getattr(self, name)
            if not (value == 0 or 1 <= value <= 30):
                raise InputError(f"{name} {value:g}: give 1 to 30 standard deviations, or 0 for no cut")
        if not 1 < self.scatter_s < 1e5:
            raise InputError(f"scatter_s {self.scatter_s:g}: give bins of a few hundred seconds")


@dataclass(frozen=True)
class ScWRates:
    """Rates of one ScW and diagnostics of their measurement; JSON can store all fields.

    Parameters
    ----------
    source, scw_id
        File and ScW.
    mjd
        Middle of the good time, MJD (TT).
    ra, dec, roll
        Pointing, degrees; NaN if the header does not give it.
    good_s, burst_s, live
        Good time, s; time of bursts that were cut, s; live fraction of the rest, None if the file lacks it.
    pixels, noisy
        Number of live pixels, and of noisy pixels that were cut.
    rate, stat_err
        (K,) source-cleaned rates and errors, cts/s of good time (not yet divided by the live fraction).
    tracer, tracer_err
        Rate in 600–1000 keV and its error, cts/s of good time; sources are not removed.
    scatter
        (K + 1,) excess standard deviation of time bins over Poisson noise, relative to the rate; the last one
        is the tracer's. NaN with fewer than three bins.
    sources, removed
        (S,) names of fitted sources, and True for those removed from the rates.
    flux, flux_err
        (S, K) rates of the sources and their errors, cts/s.
    crab
        ``"removed"``, ``"kept"``, or ``""`` if the Crab is not among the sources.
    simulated
        True for simulated events.

    Examples
    --------
    >>> from ridgebayes.events import measure, parse_bands, read_events
    >>> rates = measure(read_events("isgri_events.fits"), parse_bands("25-60,60-80"))
    >>> rates.scw_id, rates.pixels, round(rates.exposure)
    ('255900280010', 2048, 80)
    """

    source: str
    scw_id: str
    mjd: float
    ra: float
    dec: float
    roll: float
    good_s: float
    burst_s: float
    live: float | None
    pixels: int
    noisy: int
    rate: list[float]
    stat_err: list[float]
    tracer: float
    tracer_err: float
    scatter: list[float]
    sources: list[str]
    removed: list[bool]
    flux: list[list[float]]
    flux_err: list[list[float]]
    crab: str
    simulated: bool = False

    @property
    def exposure(self) -> float:
        """Good time without bursts, s; the live time is this times the live fraction."""
        return self.good_s - self.burst_s

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, for JSON."""
        return dataclasses.asdict(self)


def parse_bands(text: str) -> tuple[Band, ...]:
    """Read bands like ``25-60,60-80,80-200`` (keV); they are named A01, A02, … in this order.

    Raises
    ------
    InputError
        If an entry is not an interval LOW-HIGH.

    Examples
    --------
    >>> from ridgebayes.events import parse_bands
    >>> [str(band) for band in parse_bands("25-60,60-80")]
    ['A01 (25–60 keV)', 'A02 (60–80 keV)']
    """
    bands = []
    for number, entry in enumerate(text.split(","), start=1):
        low, dash, high = entry.strip().partition("-")
        try:
            edges = float(low), float(high)
        except ValueError:
            edges = (1.0, 0.0)
        if not dash or not 0 <= edges[0] < edges[1] < np.inf:
            raise InputError(f"bands=...: '{entry.strip()}' is no interval LOW-HIGH in keV, like 25-60")
        bands.append(Band(f"A{number:02d}", *edges))
    return tuple(bands)


def measure(
    events: EventList, bands: Sequence[Band], pifs: Sequence[Illumination] = (), cuts: Cuts | None = None
) -> ScWRates:
    """Measure the rates of one ScW.

    Good time and SELECT_FLAG are cut first, then noisy pixels, then bursts. Sources with a PIF are removed
    from the bands by least squares (`ridgebayes.events.pif.fit_sources`).

    Parameters
    ----------
    events
        The event list.
    bands
        K energy bands, keV; the lower edge belongs to a band, the upper does not.
    pifs
        PIFs of the sources in this ScW.
    cuts
        Thresholds; None: the defaults.

    Raises
    ------
    InputError
        If no events are left, events are too few to identify dead pixels (below 7 a pixel), PIFs belong to
        another ScW, or sources cannot be separated.

    Examples
    --------
    >>> from ridgebayes.events import measure, parse_bands, read_events
    >>> rates = measure(read_events("isgri_events.fits"), parse_bands("25-60,60-80"))
    >>> [round(rate) for rate in rates.rate]  # cts/s in each band
    [70, 45]
    """
    cuts = cuts or Cuts()
    bands = (*bands, TRACER)
    for pif in pifs:
        if pif.scw_id != events.scw_id:
            raise InputError(f"{events.source}: the PIF of {pif.name} is of ScW {pif.scw_id}: give its own")
    fractions = np.array([pif.fraction for pif in pifs]).reshape(len(pifs), _N_PIXELS)
    good = events.selected & cut.in_intervals(events.time, events.gti)
    on = np.bincount(events.pixel[good], minlength=_N_PIXELS) > 0
    if not on.any():
        raise InputError(f"{events.source}: no selected event in the good time: leave this ScW out")
    per_pixel = good.sum() / on.sum()
    if per_pixel < _MIN_PER_PIXEL:
        raise InputError(
            f"{events.source}: {per_pixel:.1f} selected events a pixel in the good time, of which "
            f"{_MIN_PER_PIXEL:g} are needed to tell which pixels are off: leave this short ScW out"
        )
    noisy = np.zeros_like(on)
    with _naming(events):
        if cuts.noisy_sigma:
            images = _images(events, good, bands)
            noisy = cut.noisy_pixels(images, on, fractions, cuts.noisy_sigma)
        good &= ~noisy[events.pixel]
        edges, live_s, burst_s = _quiet_seconds(events, good, bands[:-1], cuts)
        good &= live_s[np.clip(np.searchsorted(edges, events.time, "right") - 1, 0, live_s.size - 1)] > 0
        exposure = float(live_s.sum())
        if exposure <= 0:
            raise InputError(f"{events.source}: no live time is left after the cuts: leave this ScW out")
        used = on & ~noisy
        keep = {name.casefold() for name in cuts.keep}
        gone = np.array([pif.name.casefold() not in keep for pif in pifs], np.bool_)
        fits = [fit_sources(image, used, fractions, gone) for image in _images(events, good, bands[:-1])]
    scale = (FULL_DETECTOR / used.sum() if cuts.full_detector else 1.0) / exposure
    high = float(_in_band(events, good, TRACER).sum())
    return ScWRates(
        source=events.source,
        scw_id=events.scw_id,
        mjd=events.mjd,
        ra=events.ra,
        dec=events.dec,
        roll=events.roll,
        good_s=exposure + burst_s,
        burst_s=burst_s,
        live=events.live,
        pixels=int(on.sum()),
        noisy=int(noisy.sum()),
        rate=[fit.cleaned * scale for fit in fits],
        stat_err=[fit.cleaned_err * scale for fit in fits],
        tracer=high * scale,
        tracer_err=float(np.sqrt(high)) * scale,
        scatter=[_scatter(events, good, band, edges, live_s, cuts.scatter_s) for band in bands],
        sources=[pif.name for pif in pifs],
        removed=gone.tolist(),
        flux=_fluxes(fits, "sources", fractions, used, scale),
        flux_err=_fluxes(fits, "sources_err", fractions, used, scale),
        crab=next(("removed" if g else "kept" for p, g in zip(pifs, gone, strict=True) if p.is_crab), ""),
        simulated=events.simulated,
    )


@contextmanager
def _naming(events: EventList) -> Iterator[None]:
    """Put the file name in front of error messages."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(events.source):
            raise
        raise InputError(f"{events.source}: {error}") from error


def _in_band(events: EventList, good: NDArray[np.bool_], band: Band) -> NDArray[np.bool_]:
    return good & (events.energy >= band.e_min) & (events.energy < band.e_max)


def _images(events: EventList, good: NDArray[np.bool_], bands: Sequence[Band]) -> Floats:
    chosen = (events.pixel[_in_band(events, good, band)] for band in bands)
    return np.array([np.bincount(pixels, minlength=_N_PIXELS) for pixels in chosen], np.float64)


def _quiet_seconds(
    events: EventList, good: NDArray[np.bool_], bands: Sequence[Band], cuts: Cuts
) -> tuple[Floats, Floats, float]:
    """Edges of one-second bins, the good time in each without bursts (s), and the time of bursts (s)."""
    edges = np.arange(0.0, events.gti[-1, 1] + _BIN_S, _BIN_S)
    good_s = cut.overlap(edges, events.gti)
    if not cuts.burst_sigma:
        return edges, good_s, 0.0
    span = Band("all", min(band.e_min for band in bands), max(band.e_max for band in bands))
    counts = np.histogram(events.time[_in_band(events, good, span)], edges)[0].astype(np.float64)
    burst = cut.bursts(counts, good_s, _BIN_S, cuts.burst_sigma)
    return edges, np.where(burst, 0.0, good_s), float(good_s[burst].sum())


def _scatter(
    events: EventList, good: NDArray[np.bool_], band: Band, edges: Floats, live_s: Floats, bin_s: float
) -> float:
    """Return the excess scatter of time bins over Poisson noise, relative to their mean rate."""
    coarse = np.append(np.arange(0.0, edges[-1], bin_s), np.inf)
    live = np.histogram(edges[:-1], coarse, weights=live_s)[0]
    counts = np.histogram(events.time[_in_band(events, good, band)], coarse)[0]
    full = live > _MIN_SHARE * bin_s
    if full.sum() < 3 or counts[full].sum() == 0:
        return float("nan")
    rate = counts[full] / live[full]
    excess = np.var(rate, ddof=1) - np.mean(counts[full] / live[full] ** 2)
    return float(np.sqrt(max(excess, 0.0)) / rate.mean())


def _fluxes(
    fits: Sequence[SourceFit], what: str, fractions: Floats, used: NDArray[np.bool_], scale: float
) -> list[list[float]]:
    lit = fractions[:, used].sum(axis=1)
    return [[float(getattr(fit, what)[s] * lit[s] * scale) for fit in fits] for s in range(lit.size)]
