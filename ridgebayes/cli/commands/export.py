"""``ridgebayes export``: all products of a run in one folder."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.beside import classical_calibration, no_classical_option
from ridgebayes.cli.commands.options import plain_option, run_argument, scws_option


@click.command()
@run_argument
@plain_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("export"),
    show_default=True,
    help="Folder to write.",
)
@click.option(
    "--only",
    "kinds",
    multiple=True,
    type=click.Choice(["tables", "maps", "spectra", "draws", "template"]),
    help="Only these products (repeat for more) [default: all].",
)
@click.option(
    "--region", "regions", multiple=True, help="Spectra of this region (repeatable) [default: all]."
)
@click.option(
    "--draws",
    multiple=True,
    metavar="NAME",
    help="Posterior draws of intensity, fov_flux, energy_flux, e2, plane (FOV flux along the plane), level "
    "(background over time), crab (its rate over time), parameters, or a parameter of the model by its name; "
    "repeatable [default: intensity, fov_flux].",
)
@click.option(
    "--draws-as",
    "formats",
    multiple=True,
    type=click.Choice(["nc", "fits", "csv"]),
    default=("nc",),
    show_default=True,
    help="Format of the draws (repeatable).",
)
@click.option("--every", default=1, show_default=True, help="Export one draw in so many.")
@click.option("--nside", default=64, show_default=True, help="Of the HEALPix maps: a power of 2 up to 128.")
@click.option(
    "--crab-spectrum",
    help="What the Crab is assumed to be, 'norm=10,index=2.1', or atel4869 [default: 10 E^-2.1].",
)
@no_classical_option
@scws_option
@click.option("--overwrite", is_flag=True, help="Replace an earlier export.")
def export(
    run: Path,
    plain: bool,
    out: Path,
    kinds: tuple[str, ...],
    regions: tuple[str, ...],
    draws: tuple[str, ...],
    formats: tuple[str, ...],
    every: int,
    nside: int,
    crab_spectrum: str | None,
    no_classical: bool,
    scws: Path | None,
    overwrite: bool,
) -> None:
    """Tables, maps, spectra, posterior draws and a sky model for other software, with an index.

    \b
    Examples:
      ridgebayes export runs/first --out export
      ridgebayes export runs/first --only draws --draws level --draws crab --draws-as fits
    """
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.io.atomic import check_folder
    from ridgebayes.products.export import DRAWS, INDEX, KINDS, Options
    from ridgebayes.products.export import export as write
    from ridgebayes.runs.run import Run

    crab = read_crab(crab_spectrum)
    check_folder(out, INDEX, overwrite=overwrite)
    opened = Run.open(run) if plain else Run.open(run).best
    chosen = kinds or KINDS
    calibration = classical_calibration(opened, scws) if "tables" in chosen and not no_classical else None
    options = Options(chosen, regions, draws or DRAWS, formats, every, nside, crab, scws, calibration)
    found = write(opened, out, options, overwrite=overwrite)
    if opened.simulated:
        click.echo("SIMULATED data")
    for name, what in found.files.items():
        click.echo(f"{name:<34} {what}")
    for name, why in found.left_out.items():
        click.echo(f"left out: {name}: {why}")
    click.echo(f"{out / INDEX}: {len(found.files)} files")
