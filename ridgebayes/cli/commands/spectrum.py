"""``ridgebayes spectrum``: regions of the sky over all bands, for the eye and for XSPEC, Sherpa and 3ML."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import out_option, plain_option, run_argument

NAME = "07_spectrum"


@click.command()
@run_argument
@plain_option
@click.option("--region", "names", multiple=True, help="Region (repeatable), or all [default: GB].")
@click.option(
    "--quantity",
    type=click.Choice(["fov", "intensity"]),
    default="fov",
    show_default=True,
    help="FOV flux, as published ones are, or intensity of the region's core.",
)
@click.option(
    "--crab-spectrum",
    help="What the Crab is assumed to be, 'norm=10,index=2.1', or atel4869 [default: 10 E^-2.1].",
)
@out_option
def spectrum(
    run: Path, plain: bool, names: tuple[str, ...], quantity: Any, crab_spectrum: str | None, out: Path
) -> None:
    """Spectrum of a region over all bands: table, figure, OGIP file with its response.

    \b
    Examples:
      ridgebayes spectrum runs/first
      ridgebayes spectrum runs/first --region GB --region L+20 --crab-spectrum norm=9.7,index=2.1
    """
    from ridgebayes.errors import InputError
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.plots.spectrum import spectrum_figure
    from ridgebayes.plots.style import write_figure
    from ridgebayes.products import spectrum as products
    from ridgebayes.products.files import file_stems
    from ridgebayes.runs.run import Run

    crab, opened = read_crab(crab_spectrum), Run.open(run) if plain else Run.open(run).best
    chosen = products.regions(opened, names)
    spectra = [products.spectrum(opened, region, quantity, crab) for region in chosen]
    table = products.spectrum_table(opened, spectra)
    write_ecsv(table, out / f"{NAME}.ecsv")
    click.echo(out / f"{NAME}.ecsv")
    refused: list[str] = []
    for one, stem in zip(spectra, file_stems(f"{NAME}_{region}" for region in chosen), strict=True):
        click.echo(write_figure(partial(spectrum_figure, opened, one), out / f"{stem}.png"))
        try:
            for path in products.write_ogip(opened, one, out / f"{stem}.pha"):
                click.echo(path)
        except InputError as error:
            refused.append(str(error))
    click.echo(_summary(table))
    if refused:
        which = f" of {len(refused)} of {len(chosen)} regions" if len(chosen) > 1 else ""
        click.echo(f"WARNING: no OGIP file{which}: {refused[0]}")


def _summary(table: Any) -> str:
    """Lay out the spectra, the truth and published values beside them."""
    lines = ["SIMULATED data"] if table.meta["simulated"] else []
    unit = str(table["mean"].unit).replace(" ", "")
    beside = [name for name in ("truth", "published") if name in table.colnames]
    lines.append(
        f"{'region':<10}{'band':<8}{'keV':>11}{unit:>20}{'94 % interval':>21}{'E² dN/dE':>20}"
        + "".join(f"{name:>11}" for name in beside)
    )
    for row in table:
        value = {name: getattr(row[name], "value", row[name]) for name in table.colnames}
        line = f"{value['region']:<10}{value['band']:<8}{value['E_MIN']:>5.4g}–{value['E_MAX']:<5.4g}"
        line += f"{value['mean']:>10.4g} ± {value['sd']:<7.2g}{value['lo94']:>11.4g} … {value['hi94']:<7.4g}"
        line += f"{value['e2_mean']:>10.3g} ± {value['e2_sd']:<7.2g}"
        line += "".join(f"{value[name]:>11.4g}".replace("nan", "   ") for name in beside)
        lines.append(line.rstrip() + ("" if value["seen"] else "  no ScW sees it: prior only"))
    lines.append("E² dN/dE in keV² ph/cm²/s/keV/sr; " + table.meta["crab"])
    lines.append(f"Covariance between bands: {table.meta['covariance']}")
    return "\n".join(lines)
