"""Sky maps of the posterior and of the residuals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ridgebayes.outputs.product import Figure, File, Message, Part, Product, Writes

if TYPE_CHECKING:
    from ridgebayes.outputs.steps import Options, Step
    from ridgebayes.runs.run import Run

NAME = "map"


def sky_map(run: Run, nside: int = 64, bands: tuple[str, ...] = (), radius: float = 2.0) -> Iterator[Part]:
    """Map the intensity, and the observed and expected residuals of the ScWs.

    \b
    Examples:
      ridgebayes map runs/first
      ridgebayes map runs/first --band A01 --nside 128
    """
    from ridgebayes.plots import maps as plots
    from ridgebayes.products.mapfiles import write_maps, write_plane
    from ridgebayes.products.maps import sky_maps

    yield Writes([f"{NAME}.fits"])
    maps = sky_maps(run, nside=nside, bands=bands, radius=radius)
    yield File(f"{NAME}.fits", lambda path: write_maps(run, maps, path, radius))
    yield File(f"{NAME}_plane.fits", lambda path: write_plane(run, maps, path, radius))
    for suffix, plane in (("", False), ("_plane", True)):
        yield Figure(f"{NAME}_intensity{suffix}", partial(plots.intensity_figure, run, maps, plane=plane))
        draw = partial(plots.residual_figure, run, maps, radius, plane=plane)
        yield Figure(f"{NAME}_residuals{suffix}", draw)
    yield Message(_summary(maps))


def _summary(maps: Any) -> str:
    """Lay out the brightest pixel of each band, and how far the residuals are from what is expected."""
    import numpy as np

    from ridgebayes.products.maps import centres

    lines = [f"{'band':<8}{'brightest pixel':>28}{'l':>8}{'b':>7}{'rms (residual − expected) / error':>36}"]
    for one in maps:
        pull = (one.residual - one.expected) / one.residual_error
        pull = pull[np.isfinite(pull)]
        spread = f"{np.sqrt(np.mean(pull**2)):.2f}" if pull.size else "no ScW"
        if not np.isfinite(one.intensity).any():
            lines.append(f"{one.band:<8}{'no region is seen':>28}{'':>15}{spread:>36}")
            continue
        top = int(np.nanargmax(one.intensity))
        lon, lat = (x[top] for x in centres(one.nside))
        value = f"{one.intensity[top]:.3f} ± {one.intensity_sd[top]:.3f} mCrab/deg²"
        lines.append(f"{one.band:<8}{value:>28}{180 - (180 - lon) % 360:>7.1f}°{lat:>6.1f}°{spread:>36}")
    return "\n".join(lines)


def _exported(run: Run, options: Options) -> Iterable[Step]:
    from ridgebayes.outputs.steps import Step
    from ridgebayes.products.mapfiles import write_maps, write_plane
    from ridgebayes.products.maps import RADIUS_DEG, sky_maps

    def write(folder: Path) -> dict[str, str]:
        maps = sky_maps(run, nside=options.nside)
        write_maps(run, maps, folder / "sky_healpix.fits", RADIUS_DEG)
        write_plane(run, maps, folder / "sky_plane.fits", RADIUS_DEG)
        what = "posterior intensity (mean, sd) and residuals beside what is expected of them (mCrab)"
        return {
            "sky_healpix.fits": f"HEALPix, RING, galactic: {what}; an extension a band",
            "sky_plane.fits": f"images within 30° of the plane, with WCS: {what}; an extension each",
        }

    return [Step("maps", "maps", write)]


SKY_MAP = Product(
    "map",
    "Maps of intensity and residuals",
    sky_map,
    (
        "nside",
        "bands",
        click.option(
            "--radius",
            default=2.0,
            show_default=True,
            help="Residuals are averaged over ScWs that point within this distance, degrees.",
        ),
    ),
    next=("ridgebayes flux {run}", "flux of every region, beside what is published"),
    exported=_exported,
)
