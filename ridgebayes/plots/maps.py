"""Figures of sky maps: whole sky (Mollweide) and Galactic plane (plate carrée), on WCS axes.

Longitude increases to the left, l = 0 is in the middle. Each panel has its own colour bar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
from astropy.visualization.wcsaxes import WCSAxes
from astropy.wcs import WCS
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from ridgebayes.plots.style import GREY, band_title, chosen_bands, finish, in_style, legend_below, new_figure
from ridgebayes.products.mapfiles import galactic_wcs, plane_wcs
from ridgebayes.products.maps import BandMap, Reprojection
from ridgebayes.runs.run import Run

MAX_BANDS = 4  # more do not fit a page
PLANE_LON, PLANE_LAT = 90.0, 30.0
EMPTY = "#D4D4D4"
"""Colour of pixels without a value: seen by no ScW, or no pointing near."""

SIGNED = "RdBu_r"
"""Colour map of quantities that can be negative: white at zero, the middle of the scale."""
HATCH = "/////"
"""Style of sky outside all regions: hatched, because grey could be taken for a value or for `EMPTY`."""

_STEP = 0.45  # degrees per pixel of the all-sky image
_MERIDIANS = (120, 60, 0, -60, -120)
_PARALLELS = (-60, -30, 0, 30, 60)
_PULL = 4.0


class Layer(NamedTuple):
    """One quantity of a map and its style.

    Attributes
    ----------
    title, label
        Title of the panel, label of its colour bar (with the unit).
    values
        (12 nside²,); NaN where there is no value.
    limits
        Ends of the colour bar.
    colours
        Name of the colour map.
    empty
        (12 nside²,): pixels to draw in grey.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.plots.maps import SIGNED, Layer
    >>> values = np.linspace(-1.0, 1.0, 12 * 2**2)
    >>> layer = Layer("residuals", "Residual [mCrab]", values, (-1.0, 1.0), SIGNED, empty=np.isnan(values))
    >>> layer.colours, int(layer.empty.sum())
    ('RdBu_r', 0)
    """

    title: str
    label: str
    values: NDArray[np.float64]
    limits: tuple[float, float]
    colours: str
    empty: NDArray[np.bool_]


class Panel(NamedTuple):
    """Axes and the projection to their pixels.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from ridgebayes.plots.maps import plane_axes
    >>> figure = Figure()
    >>> panel = plane_axes(figure, figure.add_gridspec(1, 1)[0])
    >>> panel.columns > panel.rows
    True
    """

    ax: Axes
    wcs: WCS
    rows: int
    columns: int

    def reprojection(self, nside: int) -> Reprojection:
        """Return the function that projects HEALPix maps to the pixels."""
        x, y = np.meshgrid(np.arange(self.columns), np.arange(self.rows))
        return Reprojection(nside, *self.wcs.wcs_pix2world(x, y, 0))


def intensity_layers(one: BandMap) -> list[Layer]:
    """Return the layers of posterior mean and sd of the intensity.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.plots.maps import intensity_layers
    >>> from ridgebayes.products.maps import BandMap
    >>> mean, sd, no = np.linspace(-0.1, 0.7, 48), np.full(48, 0.1), np.zeros(48, bool)
    >>> number = np.full(48, 9)  # of ScWs near each pixel
    >>> one = BandMap("A01", 25.0, 60.0, mean, sd, sd, no, no, mean, sd, number, mean, sd)
    >>> intensity_layers(one)[0].limits  # white is zero
    (-0.7, 0.7)
    """
    # Weakly constrained regions, whose posterior is as wide as the prior, must not set the scale.
    tight = ~one.loose
    reach = _quantile(np.abs(one.intensity[tight]), 1.0)
    unit = "[mCrab/deg²]"
    return [
        Layer("mean", f"Intensity {unit}", one.intensity, (-reach, reach), SIGNED, one.unseen),
        Layer("sd", f"Posterior sd {unit}", one.centre_sd, (0.0, _quantile(one.centre_sd[tight], 1.0)),
              "cividis", one.unseen),
    ]  # fmt: skip


def residual_layers(one: BandMap) -> list[Layer]:
    """Return the layers of residuals, of their posterior expectation, and of their difference over error.

    Examples
    --------
    >>> import numpy as np
    >>> from ridgebayes.plots.maps import residual_layers
    >>> from ridgebayes.products.maps import BandMap
    >>> mean, sd, no = np.linspace(-0.1, 0.7, 48), np.full(48, 0.1), np.zeros(48, bool)
    >>> number = np.full(48, 9)  # of ScWs near each pixel
    >>> one = BandMap("A01", 25.0, 60.0, mean, sd, sd, no, no, mean, sd, number, mean, sd)
    >>> [layer.title for layer in residual_layers(one)]
    ['residuals', 'expected', 'difference']
    """
    empty = one.scws == 0
    known = one.residual_error <= 10 * _quantile(one.residual_error, 0.5)
    each = (one.residual[known], 0.99), (one.expected[known], 1.0)
    reach = max(_quantile(np.abs(values), share) for values, share in each)
    limits = (-reach, reach)
    pull = (one.residual - one.expected) / one.residual_error
    return [
        Layer("residuals", "Rate less background [mCrab]", one.residual, limits, SIGNED, empty),
        Layer("expected", "Posterior FOV flux [mCrab]", one.expected, limits, SIGNED, empty),
        Layer("difference", "(residual − expected) / error", pull, (-_PULL, _PULL), SIGNED, empty),
    ]


def all_sky_axes(figure: Figure, place: SubplotSpec) -> Panel:
    """Add axes with the whole sky, Mollweide, and a labelled graticule.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from ridgebayes.plots.maps import all_sky_axes
    >>> figure = Figure()
    >>> panel = all_sky_axes(figure, figure.add_gridspec(1, 1)[0])
    >>> list(panel.wcs.wcs.ctype)
    ['GLON-MOL', 'GLAT-MOL']
    """
    columns, rows = (2 * round(size * np.sqrt(2) * np.rad2deg(1) / _STEP) for size in (2, 1))
    wcs = galactic_wcs("MOL", _STEP, rows, columns)
    ax = figure.add_subplot(place)
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5), aspect="equal")
    ax.axis("off")

    def line(lon: ArrayLike, lat: ArrayLike, **style: Any) -> None:
        at = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
        ax.plot(*wcs.wcs_world2pix(*at, 0), zorder=3, clip_on=False, **style)

    along, across = np.linspace(-179.999, 179.999, 181), np.linspace(-90, 90, 91)
    for lon in _MERIDIANS:
        line(lon, across, color=GREY, lw=0.3)
    for lat in _PARALLELS:
        line(along, lat, color=GREY, lw=0.3)
    for edge in (-179.999, 179.999):
        line(edge, across, color="black", lw=0.6)
    outline = [patheffects.withStroke(linewidth=1.6, foreground="white")]
    style: dict[str, Any] = {"fontsize": 7, "path_effects": outline, "gid": "graticule", "zorder": 4}
    for lon in (120, 0, -120):
        label = f"{lon:+d}°".replace("-", "−") if lon else "l = 0°"
        x, y = wcs.wcs_world2pix(lon, -42, 0)
        ax.text(x, y, label, ha="center", va="center", **style)
    for lat in (-60, -30, 30, 60):
        ax.annotate(f"{lat:+d}°".replace("-", "−"), wcs.wcs_world2pix(179.999, lat, 0), xytext=(-3, 0),
                    textcoords="offset points", ha="right", va="center", **style)  # fmt: skip
    return Panel(ax, wcs, rows, columns)


def plane_axes(figure: Figure, place: SubplotSpec) -> Panel:
    """Add axes with the Galactic plane, plate carrée.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from ridgebayes.plots.maps import plane_axes
    >>> figure = Figure()
    >>> panel = plane_axes(figure, figure.add_gridspec(1, 1)[0])
    >>> list(panel.wcs.wcs.ctype)
    ['GLON-CAR', 'GLAT-CAR']
    """
    wcs, (rows, columns) = plane_wcs(PLANE_LON, PLANE_LAT, 0.25)
    ax = figure.add_subplot(place, projection=wcs)
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5))
    lon, lat = ax.coords
    lon.set_coord_type("longitude", coord_wrap=180 * u.deg)
    lon.set_ticks(np.arange(-60, 61, 30) * u.deg)  # labels at ±90° would overlap those of the next panel
    lat.set_ticks(np.arange(-20, 21, 20) * u.deg)
    for coordinate, name in ((lon, "longitude"), (lat, "latitude")):
        coordinate.set_major_formatter("d")
        coordinate.set_axislabel(f"Galactic {name}", minpad=0.5)
        coordinate.tick_params(direction="in", color=GREY)
        coordinate.display_minor_ticks(False)
    ax.coords.grid(color=GREY, lw=0.3)
    return Panel(ax, wcs, rows, columns)


def draw_layer(run: Run, band: str, layer: Layer, ax: Axes, project: Reprojection) -> Axes:
    """Draw one layer of a band with its colour bar below.

    Parameters
    ----------
    run, band, layer
        The run, the map of a band, and the layer to draw.
    ax
        Axes of `all_sky_axes` or `plane_axes`.
    project
        Projection to the pixels of `ax`.
    """
    image = project(layer.values)
    finite = image[np.isfinite(image)]
    low, high = layer.limits
    high = high if high > low else low + 1.0
    empty = project(layer.empty.astype(float))
    if (empty > 0.5).any():
        plain = np.where(empty > 0.5, 1.0, np.nan)
        ax.imshow(plain, cmap=ListedColormap([EMPTY]), interpolation="nearest", origin="lower", gid="empty")
    nowhere = np.isnan(image) & (empty <= 0.5)
    if nowhere.any():
        lines = ax.contourf(nowhere, levels=[0.5, 1.5], colors="none", hatches=[HATCH], gid="nowhere")
        lines.set(edgecolor=GREY, linewidth=0.0)
    shown = ax.imshow(image, cmap=layer.colours, vmin=low, vmax=high, interpolation="nearest", origin="lower")
    above, below = (finite > high * (1 + 1e-9)).any(), (finite < low).any()
    extend = "both" if above and below else "max" if above else "min" if below else "neither"
    figure = ax.figure.figure
    bar = figure.colorbar(shown, ax=ax, orientation="horizontal", label=layer.label, extend=extend, aspect=35,
                    shrink=0.9, pad=0.03)  # fmt: skip
    bar.ax.xaxis.set_major_locator(MaxNLocator(5))
    return finish(run, ax, band_title(run, band, layer.title))


def intensity_figure(run: Run, maps: Sequence[BandMap], *, plane: bool = False) -> Figure:
    """Draw posterior mean and sd of the intensity of some bands, for the whole sky or the plane."""
    title = f"Intensity {'of the Galactic plane' if plane else 'of the sky'}: posterior"
    return _figure(run, maps, title, intensity_layers, plane, "seen by no ScW: prior only")


def residual_figure(run: Run, maps: Sequence[BandMap], radius: float, *, plane: bool = False) -> Figure:
    """Draw residuals and their posterior expectation in some bands, for the whole sky or the plane."""
    title = f"What pointings see {'along the Galactic plane' if plane else 'of the sky'}"
    return _figure(run, maps, title, residual_layers, plane, f"no ScW points within {radius:g}°")


@in_style
def _figure(
    run: Run,
    maps: Sequence[BandMap],
    title: str,
    layers: Callable[[BandMap], list[Layer]],
    plane: bool,
    empty: str,
) -> Figure:
    """Draw one row of panels per band, one panel per layer."""
    shown = shown_bands(run, maps)
    if len(shown) < len(maps):
        title += f" ({len(shown)} of {len(maps)} bands)"
    of_band = [layers(one) for one in shown]
    columns = len(of_band[0])
    width = 170 / columns
    height = (width - 12) / 3 + 30 if plane else width / 2 + 16
    figure = new_figure(title, height_mm=13 + height * len(shown))
    if plane:
        # In inches, because the layout ignores some texts around WCS axes.
        figure.set_layout_engine("constrained", h_pad=0.1)
    grid = figure.add_gridspec(len(shown), columns)
    project: Reprojection | None = None  # all panels of a figure have the same projection
    for row, (one, found) in enumerate(zip(shown, of_band, strict=True)):
        for column, layer in enumerate(found):
            panel = (plane_axes if plane else all_sky_axes)(figure, grid[row, column])
            project = project or panel.reprojection(one.nside)
            ax = draw_layer(run, one.band, layer, panel.ax, project)
            if isinstance(ax, WCSAxes) and column:
                ax.coords[1].set_axislabel("")
                ax.coords[1].set_ticklabel_visible(False)
            if column:
                ax.set_title(layer.title, loc="left")
    drawn = {artist.get_gid() for artist in figure.findobj()}
    if "empty" in drawn:
        figure.axes[0].plot([], [], "s", color=EMPTY, label=empty)
    if "nowhere" in drawn:
        figure.axes[0].fill_between([], [], facecolor="white", edgecolor=GREY, hatch=HATCH, lw=0.3,
                                    label="in no region")  # fmt: skip
    legend_below(figure)
    return figure


def shown_bands(run: Run, maps: Sequence[BandMap]) -> list[BandMap]:
    """Return as many maps as fit on a page, evenly chosen as in other figures."""
    if len(maps) == len(run.record["data"]["bands"]):
        chosen = chosen_bands(run, MAX_BANDS)
        return [one for one in maps if one.band in chosen]
    return list(maps[:MAX_BANDS])


def _quantile(values: NDArray, share: float) -> float:
    """Quantile of the finite values; 0 if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, share)) if finite.size else 0.0
