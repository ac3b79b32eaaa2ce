"""``ridgebayes flux``: FOV flux of regions, posterior beside classical and published."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.beside import classical_calibration, no_classical_option
from ridgebayes.cli.commands.options import out_option, plain_option, run_argument, scws_option

NAME = "05_flux"


@click.command()
@run_argument
@plain_option
@click.option("--regions", help="Shipped region set, or a TOML file [default: the regions of the model].")
@no_classical_option
@click.option(
    "--crab-spectrum",
    help="What the Crab is assumed to be, 'norm=10,index=2.1', or atel4869 [default: 10 E^-2.1].",
)
@scws_option
@out_option
def flux(
    run: Path,
    plain: bool,
    regions: str | None,
    no_classical: bool,
    crab_spectrum: str | None,
    scws: Path | None,
    out: Path,
) -> None:
    """FOV flux in every region: posterior, classical estimate, published value; ECSV and LaTeX.

    \b
    Examples:
      ridgebayes flux runs/first
      ridgebayes flux runs/first --regions my_regions.toml --crab-spectrum norm=9.7,index=2.1
    """
    from ridgebayes import sky as skies
    from ridgebayes.classical import fluxes
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.products.files import whole_file
    from ridgebayes.products.flux import flux_table, format_fluxes, latex
    from ridgebayes.runs.intensity import need_sky
    from ridgebayes.runs.run import Run

    crab, opened = read_crab(crab_spectrum), Run.open(run) if plain else Run.open(run).best
    need_sky(opened)
    sky = opened.sky if regions is None else skies.load(regions)
    calibration = None if no_classical else classical_calibration(opened, scws)
    beside = None if calibration is None else fluxes(calibration, sky)
    table = flux_table(opened, sky, crab=crab, classical=beside)
    write_ecsv(table, out / f"{NAME}.ecsv")
    with whole_file(out / f"{NAME}.tex") as path:
        path.write_text(latex(table), encoding="utf-8")
    click.echo(format_fluxes(table))
    click.echo(f"for the Crab: {crab.describe()}")
    for warning in table.meta["warnings"]:
        click.echo(f"WARNING: {warning}")
    click.echo(f"{out / NAME}.ecsv\n{out / NAME}.tex")
