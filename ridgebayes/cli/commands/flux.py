"""``ridgebayes flux``: FOV flux of regions, posterior beside classical and published."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.beside import classical_calibration, no_classical_option
from ridgebayes.cli.commands.options import (
    PRODUCTS,
    crab_spectrum_option,
    open_run,
    out_option,
    plain_option,
    run_argument,
    scws_option,
    sky_option,
)
from ridgebayes.cli.ending import Products

NAME = "flux"


@click.command()
@run_argument
@plain_option
@sky_option(None)
@no_classical_option
@crab_spectrum_option
@scws_option
@out_option()
def flux(
    run: Path,
    plain: bool,
    sky: str | None,
    no_classical: bool,
    crab_spectrum: str | None,
    scws: Path | None,
    out: Path | None,
    overwrite: bool,
) -> None:
    """FOV flux in every region: posterior, classical estimate, published value; ECSV and LaTeX.

    \b
    Examples:
      ridgebayes flux runs/first
      ridgebayes flux runs/first --sky my_regions.toml --crab-spectrum norm=9.7,index=2.1
    """
    from ridgebayes import sky as skies
    from ridgebayes.classical import fluxes
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.products.flux import flux_table, format_fluxes, latex
    from ridgebayes.runs.intensity import main_regions, need_sky

    crab = read_crab(crab_spectrum)
    files = Products(out or run / PRODUCTS, f"{NAME}.ecsv", overwrite=overwrite)
    opened = open_run(run, plain=plain)
    need_sky(opened)
    regions = opened.sky if sky is None else skies.load(sky)
    calibration = None if no_classical else classical_calibration(opened, scws)
    beside = None if calibration is None else fluxes(calibration, regions)
    table = flux_table(opened, regions, crab=crab, classical=beside)
    files.table(f"{NAME}.ecsv", table)
    files.text(f"{NAME}.tex", latex(table))
    shown = main_regions(table)
    click.echo(format_fluxes(shown))
    if len(shown) < len(table):
        click.echo(
            f"… {len(table) - len(shown)} more rows, of the other regions, in {files.folder / NAME}.ecsv"
        )
    click.echo(f"for the Crab: {crab.describe()}")
    files.end((f"ridgebayes longitude-profile {run}", "the plane along longitude"))
