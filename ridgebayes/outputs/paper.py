"""The figures and the table of a paper, at the width of a journal's column."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ridgebayes.outputs.product import Figure, File, Message, Part, Product, Writes

if TYPE_CHECKING:
    from ridgebayes.instrument.crab_spectrum import CrabSpectrum
    from ridgebayes.products.fitspec import RegionFit
    from ridgebayes.runs.run import Run


def paper(
    run: Run,
    band: str | None = None,
    names: tuple[str, ...] = (),
    model: str = "whitedwarf+powerlaw",
    lon: float = 0.0,
    column: Any = "single",
    no_classical: bool = False,
    crab_spectrum: str | None = None,
    scws: Path | None = None,
    draws: int = 500,
    seed: int = 0,
) -> Iterator[Part]:
    """Figures and table of a paper: profiles in longitude and latitude, spectrum, Crab, background, regions.

    The spectrum of every --region is fitted (as by `fitspec`) and drawn with its components and published
    values; regions.tex compares the regions. captions.md describes each file and gives the sources of
    published values.

    \b
    Examples:
      ridgebayes paper runs/first
      ridgebayes paper runs/first --region GB --region L+20 --region L-20 --format pdf --column double
    """
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.outputs.beside import classical_profile
    from ridgebayes.plots import background
    from ridgebayes.plots import crab as crabs
    from ridgebayes.plots import paper as plots
    from ridgebayes.plots.style import known_band
    from ridgebayes.products import latitude, profile, spectrum
    from ridgebayes.products.captions import captions
    from ridgebayes.products.files import file_stems
    from ridgebayes.products.regiontable import region_latex, region_table
    from ridgebayes.products.truth import read_truth
    from ridgebayes.runs.compilation import use_compilation_cache

    yield Writes(["regions.tex"])
    assumed = read_crab(crab_spectrum)
    band = known_band(run, band or str(run.record["data"]["bands"][0]))
    chosen = spectrum.regions(run, names)
    use_compilation_cache()
    along, across = profile.fov_profile(run), latitude.latitude_profile(run, lon)
    beside = None if no_classical else classical_profile(run, scws)
    has_crab = "crab_history_mean" in run.tree["constant_data"].dataset
    points = latitude.latitude_points(run, lon) if has_crab else None
    results = _spectral_fits(run, chosen, model, assumed, draws, seed)
    truth = read_truth(run, scws)
    stems = file_stems(f"spectrum_{region}" for region in chosen)

    yield Figure("longitude", partial(plots.longitude_figure, run, band, along, beside, column))
    yield Figure("latitude", partial(plots.latitude_figure, run, band, across, points, column))
    for stem, result in zip(stems, results, strict=True):
        yield Figure(stem, partial(plots.spectrum_figure, run, result, column))
    if has_crab:
        yield Figure(
            "crab", partial(plots.history_figure, run, partial(crabs.draw_crab, truth=truth), column)
        )
    level = partial(background.draw_level, truth=truth)
    yield Figure("background", partial(plots.history_figure, run, level, column))
    for name, table in (("longitude", along), ("latitude", across), ("latitude_scws", points)):
        if table is not None:
            yield File(f"{name}.ecsv", table)
    regions = region_table(run, results)
    yield File("regions.ecsv", regions)
    yield File("regions.tex", region_latex(regions))
    words = captions(run, band, along, across, results, stems, classical=beside is not None)
    yield File("captions.md", words)
    for result in results:
        for warning in result.warnings:
            yield Message(f"WARNING: {result.spectrum.region}: {warning}", marked=False)


def _spectral_fits(
    run: Run, regions: list[str], model: str, crab: CrabSpectrum, draws: int, seed: int
) -> list[RegionFit]:
    """Fit the spectra of the regions, or take the components of a run that fitted all bands jointly."""
    from ridgebayes.products import fitspec
    from ridgebayes.products.jointspec import MODELS, joint_fit

    if run.record["model"]["name"] in MODELS:
        return [joint_fit(run, region) for region in regions]
    spectra = (fitspec.region_spectrum(run, region, crab=crab) for region in regions)
    return [fitspec.fit_region(one, model, draws=draws, seed=seed) for one in spectra]


PAPER = Product(
    "paper",
    "Figures and a table for a paper",
    paper,
    (
        click.option("--profile-band", "band", help="Band of the two profiles [default: the first]."),
        "names",
        "model",
        click.option(
            "--lon", default=0.0, show_default=True, help="Longitude of the cut in latitude, degrees."
        ),
        click.option(
            "--column",
            type=click.Choice(["single", "double"]),
            default="single",
            show_default=True,
            help="Width of the figures: 88 or 180 mm.",
        ),
        "no_classical",
        "crab_spectrum",
        "scws",
        "draws",
        "seed",
    ),
    next=("ridgebayes export {run}", "all products in one folder, for other software"),
    figures="pdf",
    folder="paper",
)
