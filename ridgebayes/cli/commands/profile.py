"""``ridgebayes profile``: the Galactic plane along longitude."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.beside import classical_calibration, no_classical_option
from ridgebayes.cli.commands.options import out_option, plain_option, run_argument, scws_option

NAME = "06_longitude_profile"


@click.command()
@run_argument
@plain_option
@out_option
@no_classical_option
@scws_option
def profile(run: Path, plain: bool, out: Path, no_classical: bool, scws: Path | None) -> None:
    """Intensity and FOV flux against Galactic longitude, with starlight scaled to them.

    \b
    Examples:
      ridgebayes profile runs/first
      ridgebayes profile runs/first --no-classical --out products
    """
    import numpy as np

    from ridgebayes import classical
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.plots import profile as plots
    from ridgebayes.plots.style import write_figure
    from ridgebayes.products.profile import fov_profile, intensity_profile
    from ridgebayes.runs.run import Run

    opened = Run.open(run) if plain else Run.open(run).best
    intensity, flux = intensity_profile(opened), fov_profile(opened)
    calibration = None if no_classical else classical_calibration(opened, scws)
    points = None if calibration is None else classical.profile(calibration, np.arange(-185.0, 176.0, 10.0))
    tables = {NAME: intensity, f"{NAME}_fov": flux}
    if points is not None:
        tables[f"{NAME}_classical"] = points
    for name, table in tables.items():
        write_ecsv(table, out / f"{name}.ecsv")
        click.echo(f"{out / name}.ecsv")
    figures = {
        NAME: lambda: plots.intensity_figure(opened, intensity),
        f"{NAME}_fov": lambda: plots.fov_figure(opened, flux, points),
    }
    for name, make in figures.items():
        click.echo(write_figure(make, out / f"{name}.png"))
    click.echo(_summary(flux))


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
