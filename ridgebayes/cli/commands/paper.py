"""``ridgebayes paper``: the figures and the table of a paper, at the width of a journal's column."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.beside import classical_calibration, no_classical_option
from ridgebayes.cli.commands.options import (
    crab_spectrum_option,
    draws_option,
    format_option,
    open_run,
    out_option,
    plain_option,
    region_option,
    run_argument,
    scws_option,
    seed_option,
)
from ridgebayes.cli.ending import Products

FOLDER = "paper"


@click.command()
@run_argument
@plain_option
@click.option("--profile-band", "band", help="Band of the two profiles [default: the first].")
@region_option
@click.option(
    "--components",
    "model",
    default="whitedwarf+powerlaw",
    show_default=True,
    help="Of the spectra, joined by +; a run of whitedwarf or spectrum has its own.",
)
@click.option("--lon", default=0.0, show_default=True, help="Longitude of the cut in latitude, degrees.")
@click.option(
    "--column",
    type=click.Choice(["single", "double"]),
    default="single",
    show_default=True,
    help="Width of the figures: 88 or 180 mm.",
)
@no_classical_option
@crab_spectrum_option
@scws_option
@draws_option
@seed_option
@format_option("pdf")
@out_option(FOLDER)
def paper(
    run: Path,
    plain: bool,
    band: str | None,
    names: tuple[str, ...],
    model: str,
    lon: float,
    column: Any,
    no_classical: bool,
    crab_spectrum: str | None,
    scws: Path | None,
    draws: int,
    seed: int,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Figures and table of a paper: profiles in longitude and latitude, spectrum, Crab, background, regions.

    The spectrum of every --region is fitted (as `fitspec` does) and drawn with its components and published
    values; the regions stand side by side in regions.tex. captions.md says what each file shows, and where
    published values are from.

    \b
    Examples:
      ridgebayes paper runs/first
      ridgebayes paper runs/first --region GB --region L+20 --region L-20 --format pdf --column double
    """
    import numpy as np

    from ridgebayes import classical
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.plots import background
    from ridgebayes.plots import crab as crabs
    from ridgebayes.plots import paper as plots
    from ridgebayes.plots.style import known_band
    from ridgebayes.products import fitspec, latitude, profile, spectrum
    from ridgebayes.products.captions import captions
    from ridgebayes.products.files import file_stems
    from ridgebayes.products.jointspec import MODELS, joint_fit
    from ridgebayes.products.regiontable import region_latex, region_table
    from ridgebayes.products.truth import read_truth
    from ridgebayes.runs.compilation import use_compilation_cache

    files = Products(out or run / FOLDER, "regions.tex", overwrite=overwrite)
    assumed = read_crab(crab_spectrum)
    opened = open_run(run, plain=plain)
    band = known_band(opened, band or str(opened.record["data"]["bands"][0]))
    chosen = spectrum.regions(opened, names)
    use_compilation_cache()
    along, across = profile.fov_profile(opened), latitude.latitude_profile(opened, lon)
    calibration = None if no_classical else classical_calibration(opened, scws)
    beside = None if calibration is None else classical.profile(calibration, np.arange(-185.0, 176.0, 10.0))
    has_crab = "crab_history_mean" in opened.tree["constant_data"].dataset
    points = latitude.latitude_points(opened, lon) if has_crab else None
    if opened.record["model"]["name"] in MODELS:
        results = [joint_fit(opened, region) for region in chosen]
    else:
        results = [
            fitspec.fit_region(
                fitspec.region_spectrum(opened, region, crab=assumed), model, draws=draws, seed=seed
            )
            for region in chosen
        ]
    truth = read_truth(opened, scws)
    figures = {
        "longitude": partial(plots.longitude_figure, opened, band, along, beside, column),
        "latitude": partial(plots.latitude_figure, opened, band, across, points, column),
    }
    stems = file_stems(f"spectrum_{region}" for region in chosen)
    for stem, result in zip(stems, results, strict=True):
        figures[stem] = partial(plots.spectrum_figure, opened, result, column)
    if has_crab:
        figures["crab"] = partial(crabs.history_figure, opened, truth)
    figures["background"] = partial(background.level_figure, opened, truth)
    for name, make in figures.items():
        files.figure(f"{name}.pdf", make)
    for name, table in (("longitude", along), ("latitude", across), ("latitude_scws", points)):
        if table is not None:
            files.table(f"{name}.ecsv", table)
    regions = region_table(opened, results)
    files.table("regions.ecsv", regions)
    files.text("regions.tex", region_latex(regions))
    files.text(
        "captions.md", captions(opened, band, along, across, results, stems, classical=beside is not None)
    )
    files.end((f"ridgebayes export {run}", "all products in one folder, for other software"))
