"""Spectral models fitted to a region of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from ridgebayes.outputs.product import Figure, File, Message, Part, Product, Writes

if TYPE_CHECKING:
    from ridgebayes.runs.run import Run
    from ridgebayes.sky import Sky


def fitspec(
    run: Run,
    names: tuple[str, ...] = (),
    model: str = "whitedwarf+powerlaw",
    joint: bool = False,
    sky: str | None = None,
    bands: tuple[str, ...] = (),
    quantity: Any = "fov",
    priors: Mapping[str, str] | None = None,
    share_band: tuple[float, float] = (30.0, 80.0),
    distance: float | None = None,
    stellar_mass: float | None = None,
    crab_spectrum: str | None = None,
    redistribution: str | None = None,
    draws: int = 500,
    seed: int = 0,
) -> Iterator[Part]:
    """Fit a spectral model to the posterior of a region: white dwarfs by mass, cut-off, power law.

    The bands are fitted with the covariance between them. Writes two tables and a figure per region.

    \b
    Examples:
      ridgebayes fitspec runs/first
      ridgebayes fitspec runs/first --region L+20 --components cutoff+powerlaw
      ridgebayes fitspec runs/first --prior 'whitedwarf.mass=TruncatedNormal(0.8, 0.1, low=0.3, high=1.35)'
      ridgebayes fitspec runs/first --distance 8.2 --share-band 17 60
      ridgebayes fitspec runs/whitedwarf --joint
    """
    from ridgebayes import sky as skies
    from ridgebayes.errors import InputError
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.instrument.redistribution import redistribution as read_redistribution
    from ridgebayes.plots.fitspec import fitspec_figure
    from ridgebayes.products import fitspec as products
    from ridgebayes.products.files import file_stems
    from ridgebayes.products.jointspec import joint_fit
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.runs.intensity import need_sky
    from ridgebayes.spectra.components import read_model

    spread = read_redistribution(redistribution) if redistribution else None
    crab = read_crab(crab_spectrum)
    read_model(model)
    need_sky(run)
    regions = None if sky is None else skies.load(sky)
    chosen = _chosen(run, regions, names)
    if joint and (bands or priors or redistribution or crab_spectrum):
        raise InputError(
            "joint=True: bands, priors, redistribution and Crab are those of the fit: leave out bands=..., "
            "priors=..., redistribution=... and crab_spectrum=..."
        )
    stems = file_stems(f"fitspec_{region}_{'joint' if joint else model}" for region in chosen)
    yield Writes([f"{stem}.ecsv" for stem in stems])
    use_compilation_cache()
    stated: dict[str, Any] = {"share_band": share_band, "distance": distance, "stellar_mass": stellar_mass}
    for region, stem in zip(chosen, stems, strict=True):
        if joint:
            result = joint_fit(run, region, quantity, sky=regions, **stated)
        else:
            spectrum = products.region_spectrum(run, region, quantity, sky=regions, crab=crab)
            if bands:
                spectrum = products.take_bands(spectrum, bands)
            result = products.fit_region(
                spectrum, model, priors=priors or {}, **stated, redistribution=spread, draws=draws, seed=seed
            )
        table = products.fit_table(run, result)
        yield File(f"{stem}.ecsv", table)
        yield File(f"{stem}_bands.ecsv", products.band_table(run, result))
        yield Figure(stem, partial(fitspec_figure, run, result))
        yield Message(products.format_fit(table))


def _chosen(run: Run, sky: Sky | None, names: tuple[str, ...]) -> list[str]:
    """Return the requested regions, of the sky of a file if there is one, else of the run."""
    from ridgebayes.products import spectrum

    if sky is None:
        return spectrum.regions(run, names)
    return list(sky.names) if not names or "all" in names else list(dict.fromkeys(names))


FITSPEC = Product(
    "fitspec",
    "Fit a spectral model to the posterior of a region",
    fitspec,
    (
        "names",
        "model",
        click.option(
            "--joint",
            is_flag=True,
            help="Use the components of the model of the run (whitedwarf, spectrum), fitted to the rates.",
        ),
        "sky",
        "bands",
        "quantity",
        "priors",
        click.option(
            "--share-band",
            nargs=2,
            type=float,
            default=(30.0, 80.0),
            show_default=True,
            metavar="LOW HIGH",
            help="Band for shares and fluxes of the components, keV.",
        ),
        click.option("--distance", type=float, help="Distance in kpc; without it there is no luminosity."),
        click.option(
            "--stellar-mass",
            type=float,
            help="Stellar mass in view, solar masses: gives luminosity per mass.",
        ),
        "crab_spectrum",
        "redistribution",
        "draws",
        "seed",
    ),
    next=("ridgebayes export {run}", "all products in one folder, for other software"),
    figures="png",
)
