"""``ridgebayes fitspec``: spectral models fitted to a region of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import pairs, plain_option, run_argument


@click.command()
@run_argument
@plain_option
@click.option("--region", "names", multiple=True, help="Region (repeatable), or all [default: GB].")
@click.option(
    "--model",
    "model",
    default="whitedwarf+powerlaw",
    show_default=True,
    help="Components joined by +: whitedwarf, cutoff, powerlaw.",
)
@click.option("--regions", help="Shipped region set, or a TOML file, to take regions from.")
@click.option("--band", "bands", multiple=True, help="Fit only this band (repeat for more) [default: all].")
@click.option(
    "--quantity",
    type=click.Choice(["fov", "intensity"]),
    default="fov",
    show_default=True,
    help="FOV flux, or intensity of the region's core.",
)
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
@click.option(
    "--crab-spectrum",
    help="What the Crab is assumed to be, 'norm=10,index=2.1', or atel4869 [default: 10 E^-2.1].",
)
@click.option("--draws", type=click.IntRange(min=100), default=1000, show_default=True, help="Of each chain.")
@click.option("--seed", default=0, show_default=True, help="Everything random follows from it.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write into [default: RUN/fitspec].")
def fitspec(
    run: Path,
    plain: bool,
    names: tuple[str, ...],
    model: str,
    regions: str | None,
    bands: tuple[str, ...],
    quantity: Any,
    priors: tuple[str, ...],
    share_band: tuple[float, float],
    distance: float | None,
    stellar_mass: float | None,
    crab_spectrum: str | None,
    draws: int,
    seed: int,
    out: Path | None,
) -> None:
    """Fit a spectral model to the posterior of a region: white dwarfs by mass, cut-off, power law.

    The bands are fitted with the covariance between them. Writes two tables and a figure a region.

    \b
    Examples:
      ridgebayes fitspec runs/first
      ridgebayes fitspec runs/first --region L+20 --model cutoff+powerlaw
      ridgebayes fitspec runs/first --prior 'whitedwarf.mass=TruncatedNormal(0.8, 0.1, low=0.3, high=1.35)'
      ridgebayes fitspec runs/first --distance 8.2 --share-band 17 60
    """
    from ridgebayes import sky as skies
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.plots.fitspec import fitspec_figure
    from ridgebayes.plots.style import write_figure
    from ridgebayes.products import fitspec as products
    from ridgebayes.products import spectrum as spectra
    from ridgebayes.products.files import file_stems
    from ridgebayes.runs.intensity import need_sky
    from ridgebayes.runs.run import Run
    from ridgebayes.runs.sampling import use_compilation_cache
    from ridgebayes.spectra.components import read_model

    crab, changes = read_crab(crab_spectrum), pairs(priors, "--prior")
    read_model(model)
    opened = Run.open(run) if plain else Run.open(run).best
    need_sky(opened)
    sky = None if regions is None else skies.load(regions)
    if sky is None:
        chosen = spectra.regions(opened, names)
    else:
        chosen = list(sky.names) if not names or "all" in names else list(dict.fromkeys(names))
    folder = run / "fitspec" if out is None else out
    use_compilation_cache()
    for region, stem in zip(chosen, file_stems(f"{region}_{model}" for region in chosen), strict=True):
        spectrum = products.region_spectrum(opened, region, quantity, sky=sky, crab=crab)
        if bands:
            spectrum = products.take_bands(spectrum, bands)
        result = products.fit_region(
            spectrum,
            model,
            priors=changes,
            share_band=share_band,
            distance=distance,
            stellar_mass=stellar_mass,
            draws=draws,
            seed=seed,
        )
        table = products.fit_table(opened, result)
        for suffix, written in (("", table), ("_bands", products.band_table(opened, result))):
            write_ecsv(written, folder / f"{stem}{suffix}.ecsv")
            click.echo(folder / f"{stem}{suffix}.ecsv")
        click.echo(write_figure(partial(fitspec_figure, opened, result), folder / f"{stem}.png"))
        click.echo(products.format_fit(table))
