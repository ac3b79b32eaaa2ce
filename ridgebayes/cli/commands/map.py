"""``ridgebayes map``: sky maps of the posterior and of the residuals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import (
    PRODUCTS,
    band_option,
    nside_option,
    open_run,
    out_option,
    plain_option,
    run_argument,
)
from ridgebayes.cli.ending import Products

NAME = "map"


@click.command("map")
@run_argument
@plain_option
@nside_option
@band_option
@click.option(
    "--radius",
    default=2.0,
    show_default=True,
    help="Residuals are averaged over ScWs that point within so many degrees.",
)
@out_option()
def sky_map(
    run: Path,
    plain: bool,
    nside: int,
    bands: tuple[str, ...],
    radius: float,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Map the intensity, and the residuals of the ScWs beside what the posterior expects of them.

    \b
    Examples:
      ridgebayes map runs/first
      ridgebayes map runs/first --band A01 --nside 128
    """
    from ridgebayes.plots import maps as plots
    from ridgebayes.products.mapfiles import write_maps, write_plane
    from ridgebayes.products.maps import sky_maps

    files = Products(out or run / PRODUCTS, f"{NAME}.fits", overwrite=overwrite)
    opened = open_run(run, plain=plain)
    maps = sky_maps(opened, nside=nside, bands=bands, radius=radius)
    for name, write in ((NAME, write_maps), (f"{NAME}_plane", write_plane)):
        write(opened, maps, files.path(f"{name}.fits"), radius)
    for suffix, plane in (("", False), ("_plane", True)):
        figures = {
            "intensity": lambda plane=plane: plots.intensity_figure(opened, maps, plane=plane),
            "residuals": lambda plane=plane: plots.residual_figure(opened, maps, radius, plane=plane),
        }
        for name, make in figures.items():
            files.figure(f"{NAME}_{name}{suffix}.png", make)
    click.echo(_summary(opened, maps))
    files.end((f"ridgebayes flux {run}", "flux of every region, beside what is published"))


def _summary(run: Any, maps: Any) -> str:
    """Lay out the brightest pixel of each band, and how far the residuals are from what is expected."""
    import numpy as np

    from ridgebayes.products.maps import centres

    lines = ["SIMULATED data"] if run.simulated else []
    lines.append(
        f"{'band':<8}{'brightest pixel':>28}{'l':>8}{'b':>7}{'rms (residual − expected) / error':>36}"
    )
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
