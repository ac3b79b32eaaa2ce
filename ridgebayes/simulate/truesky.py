"""The true sky of a simulated mission: a template, regions with given intensities, or both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy_healpix import HEALPix
from scipy import sparse

from ridgebayes.errors import InputError
from ridgebayes.instrument.response import Response
from ridgebayes.simulate.truth import Truth
from ridgebayes.simulate.world import StrongBar, World, WrongTemplate
from ridgebayes.sky.exposure import Pointings, exposure
from ridgebayes.sky.regions import Region
from ridgebayes.sky.skymap import Sky
from ridgebayes.sky.starlight import starlight
from ridgebayes.sky.sums import roll_averaged
from ridgebayes.sky.templates import interpolated, read_template
from ridgebayes.sky.vectors import unit_vectors
from ridgebayes.typing import Floats

_NSIDE = 64  # nside of the pixels for exposures
_STARLIGHT = 128  # nside of the starlight map
_UNCHANGED = WrongTemplate(stretch=1.0, shift_deg=0.0)
_SAME_BAR = StrongBar(factor=1.0)


@dataclass(frozen=True)
class TrueSky:
    """Components of the true sky, and its true intensities and fluxes for the regions of a model.

    Attributes
    ----------
    components
        Skies to sum, each with the intensities of its regions, mCrab/deg², (regions, K).
    region_intensity
        Mean brightness over the core of each region of the model's sky, mCrab/deg², (M, K).
    region_fov
        Flux seen by a pointing at the centre of each region, averaged over roll, mCrab, (M, K).
    centre_fov
        The same at l = b = 0, (K,).
    """

    components: tuple[tuple[Sky, Floats], ...]
    region_intensity: Floats
    region_fov: Floats
    centre_fov: Floats

    def seen(self, pointings: Pointings, response: Response, *, cache: bool = True) -> Floats:
        """Return the flux in the field of view of each ScW, mCrab, (N, K)."""
        total = np.zeros((len(pointings.ra), self.region_intensity.shape[1]))
        for part, intensity in self.components:
            total += exposure(pointings, part, response, cache=cache) @ intensity
        return total


def true_sky(truth: Truth, sky: Sky, response: Response, world: World | None = None) -> TrueSky:
    """Build the true sky.

    Parameters
    ----------
    truth
        Truth, which gives template and intensities.
    sky
        M regions that `truth.intensity` refers to, and for which the true intensities are computed.
    response
        Sets the scale of the template, whose FOV flux at l = b = 0 is `truth.gb_fov`.
    world
        World: `wrong_template` stretches and shifts template and regions in latitude; `strong_bar` makes the
        bar of the template brighter.

    Raises
    ------
    InputError
        If an intensity belongs to no region of the sky or does not have one element per band, or a strong bar
        is asked for without a template.
    """
    world = world or World()
    wrong = world.wrong_template or _UNCHANGED
    if world.strong_bar is not None and truth.template is None:
        raise InputError(
            "world: strong_bar changes the template, and the truth has none: give truth.template"
        )
    values = truth.values()
    own = np.zeros((len(sky), values.gb_fov.size))
    components: list[tuple[Sky, Floats]] = []
    for name, given in (truth.intensity or {}).items():
        row, intensity = sky.index(name), np.asarray(given, float)
        if intensity.shape != values.gb_fov.shape or not np.isfinite(intensity).all():
            raise InputError(
                f"truth: intensity of region '{name}' must be {values.gb_fov.size} finite numbers, one a band"
            )
        own[row] = intensity
    if truth.intensity:
        components.append((_moved(sky, wrong), own))
    if truth.template is not None:
        template = _Template(truth, wrong, world.strong_bar or _SAME_BAR)
        scale = values.gb_fov / _at(template.sky, np.zeros(1), np.zeros(1), response)[0]
        components.append((template.sky, scale[None]))
        own = own + np.array([template.core_mean(region) for region in sky.regions])[:, None] * scale
    # Order: centres of the regions, then l = b = 0.
    lon, lat = np.append(sky.centre_lon, 0.0), np.append(sky.centre_lat, 0.0)
    fov = sum(
        (_at(part, lon, lat, response) @ i for part, i in components), np.zeros((lon.size, own.shape[1]))
    )
    return TrueSky(tuple(components), own, fov[:-1], fov[-1])


class _Template:
    """Map of relative brightness, with a modified bar, stretched and shifted in latitude."""

    def __init__(self, truth: Truth, wrong: WrongTemplate, bar: StrongBar) -> None:
        source = truth.template
        self._map = starlight(_STARLIGHT) if source == "starlight" else read_template(str(source))
        self._grid = HEALPix(round((self._map.size / 12) ** 0.5), order="ring")
        self._bar, self._wrong, self._lat_max = bar, wrong, truth.template_lat
        self.sky = self._as_sky()

    def brightness(self, lon: Floats, lat: Floats) -> Floats:
        """Relative brightness at galactic positions in degrees."""
        original = (lat - self._wrong.shift_deg) / self._wrong.stretch
        inside = np.abs(original) < self._lat_max
        # astropy_healpix 2.0 interpolates to NaN at negative longitudes.
        position = (lon[inside] % 360 * u.deg, original[inside] * u.deg)
        out = np.zeros(lon.shape)
        found = interpolated(self._map, *self._grid.bilinear_interpolation_weights(*position))
        if np.isnan(found).any():
            first = int(np.argmax(np.isnan(found)))
            at = f"l = {lon[inside][first] % 360:.1f}, b = {original[inside][first]:.1f}"
            raise InputError(f"truth: the template has no data at {at}: lower template_lat, or fill the map")
        if self._bar != _SAME_BAR:
            found = found * (1 + (self._bar.factor - 1) * _share_of_bar(*position))
        out[inside] = found
        return out

    def core_mean(self, region: Region) -> float:
        """Mean brightness over the core of a region."""
        lon, lat, area, core = region.sample()
        return float(np.average(self.brightness(lon[core], lat[core]), weights=area[core]))

    def _as_sky(self) -> Sky:
        """Return a sky of one region; intensity 1 is brightness 1."""
        reach = self._lat_max * self._wrong.stretch + np.array([-1, 1]) * self._wrong.shift_deg
        low, high = max(-90.0, -float(reach[0])), min(90.0, float(reach[1]))
        region = Region.box("template", (-180.0, 180.0), (low, high))
        lon, lat, area, _ = region.sample()
        flux = self.brightness(lon, lat) * area
        pixel = HEALPix(_NSIDE, order="ring").lonlat_to_healpix(lon * u.deg, lat * u.deg)
        occupied, inverse = np.unique(pixel, return_inverse=True)
        total = np.bincount(inverse, flux)
        centre = np.stack([np.bincount(inverse, flux * v) for v in unit_vectors(lon, lat).T], axis=-1)
        lit = total > 0
        if not lit.any():
            raise InputError("truth: the template is zero everywhere: take another")
        weights = sparse.csr_array(
            (total[lit], occupied[lit], np.array([0, int(lit.sum())])), shape=(1, 12 * _NSIDE**2)
        )
        nodes = centre[lit] / np.linalg.norm(centre[lit], axis=1, keepdims=True)
        return Sky("template", (region,), weights, nodes)


def _share_of_bar(lon: u.Quantity, lat: u.Quantity) -> Floats:
    """Share of the bar in the starlight at galactic positions; 0 where there is no starlight."""
    whole, bar = starlight(_STARLIGHT), starlight(_STARLIGHT, component="bar")
    share = np.divide(bar, whole, out=np.zeros(bar.size), where=whole > 0)
    grid = HEALPix(_STARLIGHT, order="ring")
    return interpolated(share, *grid.bilinear_interpolation_weights(lon, lat))


def _moved(sky: Sky, wrong: WrongTemplate) -> Sky:
    """Stretch and shift every region in latitude, conserving its flux."""
    if wrong == _UNCHANGED:
        return sky
    lon = np.rad2deg(np.arctan2(sky.nodes[:, 1], sky.nodes[:, 0]))
    lat = np.rad2deg(np.arcsin(np.clip(sky.nodes[:, 2], -1, 1))) * wrong.stretch + wrong.shift_deg
    return replace(sky, nodes=unit_vectors(lon, np.clip(lat, -90, 90)))


def _at(sky: Sky, lon: Floats, lat: Floats, response: Response) -> Floats:
    """Exposure of pointings at galactic positions, averaged over roll, deg², (positions, regions)."""
    return roll_averaged(sky, unit_vectors(lon, lat), response)
