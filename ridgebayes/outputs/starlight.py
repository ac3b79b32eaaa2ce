"""Ratio of the intensity of the plane to a map of starlight."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ridgebayes.outputs.product import File, Message, Part, Product, Writes

if TYPE_CHECKING:
    from ridgebayes.runs.run import Run


def starlight(
    run: Run, image: Path | None = None, unit: str = "", crab_spectrum: str | None = None
) -> Iterator[Part]:
    """Ratio of the intensity of the plane to a map of starlight, and a test that it is a multiple of the map.

    The map is used unchanged: scale it and correct it for extinction first. To compare maps, fit a model to
    each (`--model template --sky MAP.fits`), and compare how they predict revolutions left out.

    \b
    Examples:
      ridgebayes starlight runs/first
      ridgebayes starlight runs/first --map irac_3.5um.fits --unit MJy/sr
    """
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.products.starlight import format_ratio, starlight_ratio

    name = "starlight.ecsv" if image is None else f"starlight_{image.name.split('.')[0]}.ecsv"
    yield Writes([name])
    table = starlight_ratio(run, image, unit=unit, crab=read_crab(crab_spectrum))
    yield File(name, table)
    yield Message(format_ratio(table))


STARLIGHT = Product(
    "starlight",
    "Ratio of the intensity to a map of starlight",
    starlight,
    (
        click.option(
            "--map",
            "image",
            type=click.Path(path_type=Path),
            help="Map of starlight, HEALPix or WCS image in FITS [default: the model of Freudenreich 1998].",
        ),
        click.option("--unit", default="", help="Unit of the map, if its header does not state it."),
        "crab_spectrum",
    ),
    next=("ridgebayes compare RUN RUN", "which map predicts revolutions left out better"),
)
