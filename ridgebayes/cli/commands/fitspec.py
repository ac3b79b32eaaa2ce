"""``ridgebayes fitspec``: spectral models fitted to a region of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import (
    PRODUCTS,
    band_option,
    crab_spectrum_option,
    draws_option,
    format_option,
    open_run,
    out_option,
    pairs,
    plain_option,
    quantity_option,
    redistribution_option,
    region_option,
    run_argument,
    seed_option,
    sky_option,
)
from ridgebayes.cli.ending import Products
from ridgebayes.errors import InputError


@click.command()
@run_argument
@plain_option
@region_option
@click.option(
    "--components",
    "model",
    default="whitedwarf+powerlaw",
    show_default=True,
    help="Of the spectral model, joined by +: whitedwarf, cutoff, powerlaw.",
)
@click.option(
    "--joint",
    is_flag=True,
    help="Take the components of the model of the run (whitedwarf, spectrum), fitted to the rates.",
)
@sky_option(None)
@band_option
@quantity_option
@click.option("--prior", "priors", multiple=True, metavar="NAME=PRIOR", help="Change a prior (repeatable).")
@click.option(
    "--share-band",
    nargs=2,
    type=float,
    default=(30.0, 80.0),
    show_default=True,
    metavar="LOW HIGH",
    help="Band of the components' shares and fluxes, keV.",
)
@click.option("--distance", type=float, help="Distance in kpc; without it there is no luminosity.")
@click.option("--stellar-mass", type=float, help="Stars that are seen, solar masses: luminosity over it.")
@crab_spectrum_option
@redistribution_option
@draws_option
@seed_option
@format_option()
@out_option()
def fitspec(
    run: Path,
    plain: bool,
    names: tuple[str, ...],
    model: str,
    joint: bool,
    sky: str | None,
    bands: tuple[str, ...],
    quantity: Any,
    priors: tuple[str, ...],
    share_band: tuple[float, float],
    distance: float | None,
    stellar_mass: float | None,
    crab_spectrum: str | None,
    redistribution: str | None,
    draws: int,
    seed: int,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Fit a spectral model to the posterior of a region: white dwarfs by mass, cut-off, power law.

    The bands are fitted with the covariance between them. Writes two tables and a figure a region.

    \b
    Examples:
      ridgebayes fitspec runs/first
      ridgebayes fitspec runs/first --region L+20 --components cutoff+powerlaw
      ridgebayes fitspec runs/first --prior 'whitedwarf.mass=TruncatedNormal(0.8, 0.1, low=0.3, high=1.35)'
      ridgebayes fitspec runs/first --distance 8.2 --share-band 17 60
      ridgebayes fitspec runs/whitedwarf --joint
    """
    from ridgebayes import sky as skies
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.instrument.redistribution import redistribution as read_redistribution
    from ridgebayes.plots.fitspec import fitspec_figure
    from ridgebayes.products import fitspec as products
    from ridgebayes.products import spectrum as spectra
    from ridgebayes.products.files import file_stems
    from ridgebayes.products.jointspec import joint_fit
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.runs.intensity import need_sky
    from ridgebayes.spectra.components import read_model

    spread = read_redistribution(redistribution) if redistribution else None
    crab, changes = read_crab(crab_spectrum), pairs(priors, "--prior")
    read_model(model)
    opened = open_run(run, plain=plain)
    need_sky(opened)
    regions = None if sky is None else skies.load(sky)
    if regions is None:
        chosen = spectra.regions(opened, names)
    else:
        chosen = list(regions.names) if not names or "all" in names else list(dict.fromkeys(names))
    if joint and (bands or changes or redistribution or crab_spectrum):
        raise InputError(
            "joint=True: bands, priors, redistribution and Crab are those of the fit: leave away --band, "
            "--prior, --redistribution and --crab-spectrum"
        )
    stems = file_stems(f"fitspec_{region}_{'joint' if joint else model}" for region in chosen)
    files = Products(out or run / PRODUCTS, *(f"{stem}.ecsv" for stem in stems), overwrite=overwrite)
    use_compilation_cache()
    for region, stem in zip(chosen, stems, strict=True):
        stated: dict[str, Any] = {
            "share_band": share_band,
            "distance": distance,
            "stellar_mass": stellar_mass,
        }
        if joint:
            result = joint_fit(opened, region, quantity, sky=regions, **stated)
        else:
            spectrum = products.region_spectrum(opened, region, quantity, sky=regions, crab=crab)
            if bands:
                spectrum = products.take_bands(spectrum, bands)
            result = products.fit_region(
                spectrum,
                model,
                priors=changes,
                **stated,
                redistribution=spread,
                draws=draws,
                seed=seed,
            )
        table = products.fit_table(opened, result)
        for suffix, written in (("", table), ("_bands", products.band_table(opened, result))):
            files.table(f"{stem}{suffix}.ecsv", written)
        files.figure(f"{stem}.png", partial(fitspec_figure, opened, result))
        click.echo(products.format_fit(table))
    files.end((f"ridgebayes export {run}", "all products in one folder, for other software"))
