"""``ridgebayes region-spectrum``: regions over all bands, for the eye and for XSPEC, Sherpa and 3ML."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import (
    PRODUCTS,
    crab_spectrum_option,
    format_option,
    open_run,
    out_option,
    plain_option,
    quantity_option,
    region_option,
    run_argument,
)
from ridgebayes.cli.ending import Products, check_new

NAME = "spectrum"


@click.command("region-spectrum")
@run_argument
@plain_option
@region_option
@quantity_option
@crab_spectrum_option
@format_option()
@out_option()
def region_spectrum(
    run: Path,
    plain: bool,
    names: tuple[str, ...],
    quantity: Any,
    crab_spectrum: str | None,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Spectrum of a region over all bands: table, figure, OGIP file with its response.

    \b
    Examples:
      ridgebayes region-spectrum runs/first
      ridgebayes region-spectrum runs/first --region GB --region L+20 --crab-spectrum norm=9.7,index=2.1
    """
    from ridgebayes.errors import InputError
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.plots.spectrum import spectrum_figure
    from ridgebayes.products import spectrum as products
    from ridgebayes.products.files import file_stems

    crab = read_crab(crab_spectrum)
    files = Products(out or run / PRODUCTS, f"{NAME}.ecsv", overwrite=overwrite)
    opened = open_run(run, plain=plain)
    chosen = products.regions(opened, names)
    spectra = [products.spectrum(opened, region, quantity, crab) for region in chosen]
    table = products.spectrum_table(opened, spectra)
    files.table(f"{NAME}.ecsv", table)
    refused: list[str] = []
    for one, stem in zip(spectra, file_stems(f"{NAME}_{region}" for region in chosen), strict=True):
        files.figure(f"{stem}.png", partial(spectrum_figure, opened, one))
        try:
            check_new([files.folder / f"{stem}.pha"], overwrite=overwrite)
            files.written += products.write_ogip(opened, one, files.folder / f"{stem}.pha")
        except InputError as error:
            refused.append(str(error))
    click.echo(_summary(table))
    if refused:
        which = f" of {len(refused)} of {len(chosen)} regions" if len(chosen) > 1 else ""
        click.echo(f"WARNING: no OGIP file{which}: {refused[0]}")
    files.end((f"ridgebayes fitspec {run}", "fit white dwarfs, a cut-off, a power law to it"))


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
