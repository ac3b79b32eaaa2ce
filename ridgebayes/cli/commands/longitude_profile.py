"""``ridgebayes longitude-profile``: the Galactic plane along longitude."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.beside import classical_calibration, no_classical_option
from ridgebayes.cli.commands.options import (
    PRODUCTS,
    format_option,
    open_run,
    out_option,
    plain_option,
    run_argument,
    scws_option,
)
from ridgebayes.cli.ending import Products

NAME = "longitude_profile"


@click.command("longitude-profile")
@run_argument
@plain_option
@no_classical_option
@scws_option
@format_option()
@out_option()
def longitude_profile(
    run: Path, plain: bool, no_classical: bool, scws: Path | None, out: Path | None, overwrite: bool
) -> None:
    """Intensity and FOV flux against Galactic longitude, with starlight scaled to them.

    \b
    Examples:
      ridgebayes longitude-profile runs/first
      ridgebayes longitude-profile runs/first --no-classical --out figures
    """
    import numpy as np

    from ridgebayes import classical
    from ridgebayes.plots import profile as plots
    from ridgebayes.products.profile import fov_profile, intensity_profile

    files = Products(out or run / PRODUCTS, f"{NAME}.ecsv", overwrite=overwrite)
    opened = open_run(run, plain=plain)
    intensity, flux = intensity_profile(opened), fov_profile(opened)
    calibration = None if no_classical else classical_calibration(opened, scws)
    points = None if calibration is None else classical.profile(calibration, np.arange(-185.0, 176.0, 10.0))
    tables = {NAME: intensity, f"{NAME}_fov": flux}
    if points is not None:
        tables[f"{NAME}_classical"] = points
    for name, table in tables.items():
        files.table(f"{name}.ecsv", table)
    figures = {
        NAME: lambda: plots.intensity_figure(opened, intensity),
        f"{NAME}_fov": lambda: plots.fov_figure(opened, flux, points),
    }
    for name, make in figures.items():
        files.figure(f"{name}.png", make)
    click.echo(_summary(flux))
    files.end((f"ridgebayes region-spectrum {run}", "the bulge over all bands"))


def _summary(flux: Any) -> str:
    """Lay out the largest FOV flux and the norm of the starlight of each band."""
    lines = ["SIMULATED data"] if flux.meta["simulated"] else []
    lines.append(f"{'band':<8}{'largest FOV flux':>26}{'at l':>9}  starlight")
    for band in dict.fromkeys(flux["band"]):
        rows = flux[(flux["band"] == band) & flux["seen"]]
        if not len(rows):
            lines.append(f"{band:<8}no longitude where all regions in view are seen")
            continue
        top = rows[rows["mean"].argmax()]
        value = f"{top['mean'].value:.1f} ± {top['sd'].value:.1f} mCrab"
        lines.append(f"{band:<8}{value:>26}{top['lon'].value:>8.0f}°  {flux.meta['starlight'].get(band, '')}")
    return "\n".join(lines)
