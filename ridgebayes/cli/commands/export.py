"""``ridgebayes export``: all products of a run in one folder."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import (
    crab_spectrum_option,
    no_classical_option,
    nside_option,
    open_run,
    out_option,
    plain_option,
    run_argument,
    scws_option,
)
from ridgebayes.cli.ending import say_next


@click.command(short_help="Tables, maps, spectra and draws for other software")
@run_argument
@plain_option
@click.option(
    "--only",
    "kinds",
    multiple=True,
    type=click.Choice(["tables", "maps", "spectra", "draws", "template"]),
    help="Only these products (repeatable) [default: all].",
)
@click.option(
    "--spectra-of",
    "regions",
    multiple=True,
    metavar="REGION",
    help="Spectra of this region (repeatable) [default: all].",
)
@click.option(
    "--draws-of",
    "draws",
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
@click.option("--every", default=1, show_default=True, help="Export every n-th draw.")
@nside_option
@crab_spectrum_option
@no_classical_option
@scws_option
@out_option("export")
def export(
    run: Path,
    plain: bool,
    kinds: tuple[str, ...],
    regions: tuple[str, ...],
    draws: tuple[str, ...],
    formats: tuple[str, ...],
    every: int,
    nside: int,
    crab_spectrum: str | None,
    no_classical: bool,
    scws: Path | None,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Tables, maps, spectra, posterior draws and a sky model for other software, with an index.

    \b
    Examples:
      ridgebayes export runs/first
      ridgebayes export runs/first --only draws --draws-of level --draws-of crab --draws-as fits
    """
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.io.atomic import check_folder
    from ridgebayes.markup import marked
    from ridgebayes.outputs.beside import classical_calibration
    from ridgebayes.outputs.export import INDEX
    from ridgebayes.outputs.export import export as write
    from ridgebayes.outputs.steps import DRAWS, KINDS, Options

    crab, out = read_crab(crab_spectrum), out or run / "export"
    check_folder(out, INDEX, overwrite=overwrite)
    opened = open_run(run, plain=plain)
    chosen = kinds or KINDS
    calibration = classical_calibration(opened, scws) if "tables" in chosen and not no_classical else None
    options = Options(chosen, regions, draws or DRAWS, formats, every, nside, crab, scws, calibration)
    found = write(opened, out, options, overwrite=overwrite)
    lines = [f"{name:<34} {what}" for name, what in found.files.items()]
    lines += [f"left out: {name}: {why}" for name, why in found.left_out.items()]
    click.echo(marked("\n".join(lines), opened.simulated))
    click.echo(f"wrote {out}: {INDEX} and {len(found.files)} files")
    say_next((str(out / INDEX), "says what each file is, and what reads it"))
