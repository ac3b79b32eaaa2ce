"""``ridgebayes starlight``: ratio of the intensity of the plane to a map of starlight."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import (
    FILE,
    PRODUCTS,
    crab_spectrum_option,
    open_run,
    out_option,
    plain_option,
    run_argument,
)
from ridgebayes.cli.ending import Products

NAME = "starlight"


@click.command()
@run_argument
@plain_option
@click.option(
    "--map",
    "image",
    type=FILE,
    help="Map of starlight, HEALPix or WCS image in FITS [default: the model of Freudenreich 1998].",
)
@click.option("--unit", default="", help="Of the map, where its header does not say.")
@crab_spectrum_option
@out_option()
def starlight(
    run: Path,
    plain: bool,
    image: Path | None,
    unit: str,
    crab_spectrum: str | None,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Ratio of the intensity of the plane to a map of starlight, and whether it is a multiple of the map.

    The map is taken as it is: scale it and clean it of extinction before. To compare maps, fit one each
    (`--model template --sky MAP.fits`), and compare how they predict revolutions left out.

    \b
    Examples:
      ridgebayes starlight runs/first
      ridgebayes starlight runs/first --map irac_3.5um.fits --unit MJy/sr
    """
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.products.starlight import format_ratio, starlight_ratio

    stem = NAME if image is None else f"{NAME}_{image.name.split('.')[0]}"
    files = Products(out or run / PRODUCTS, f"{stem}.ecsv", overwrite=overwrite)
    table = starlight_ratio(open_run(run, plain=plain), image, unit=unit, crab=read_crab(crab_spectrum))
    files.table(f"{stem}.ecsv", table)
    click.echo(format_ratio(table))
    files.end(("ridgebayes compare RUN RUN", "which map predicts revolutions left out better"))
