"""``ridgebayes prior``: prior predictive distributions of rates, sky and Crab."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.model import change_priors, model_options
from ridgebayes.cli.commands.options import (
    FILE,
    band_option,
    crab_rate_option,
    crab_rates_of,
    model_option,
    overwrite_option,
    seed_option,
    table_argument,
)
from ridgebayes.cli.ending import Products, fit_command

NAME = "prior_predictive"


@click.command(short_help="Compare the priors with data and published values")
@table_argument
@model_option
@model_options()
@band_option
@crab_rate_option
@click.option("--prior-draws", default=200, show_default=True, help="Draws from the prior.")
@seed_option
@click.option(
    "--out",
    type=FILE,
    default=Path("runs/prior"),
    show_default=True,
    help="Folder to write into.",
)
@overwrite_option
def prior(
    file: Path,
    name: str,
    sky: str,
    extras: tuple[str, ...],
    priors: tuple[str, ...],
    prior_file: Path | None,
    bands: tuple[str, ...],
    crab_rates: tuple[str, ...],
    prior_draws: int,
    seed: int,
    out: Path,
    overwrite: bool,
) -> None:
    """Draw from the priors of a model for the pointings of a table; compare with data and published values.

    Shows rates of revolutions in cts/s, FOV flux in mCrab, Crab rate in cts/s per Crab, scatter in per cent.
    Use it to check that the priors agree with what you know before the fit.

    \b
    Examples:
      ridgebayes prior scws.fits
      ridgebayes prior scws.fits --band A01 --prior 'sky.intensity=HalfNormal(2)' --out runs/positive
    """
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.plots.prior import prior_figure
    from ridgebayes.products.prior_predictive import format_prior_table, prior_predictive, prior_table
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.table.formats import read_scws

    files = Products(out, f"{NAME}.ecsv", overwrite=overwrite)
    model = change_priors(models.find(name)(skies.load(sky)).with_extras(*extras), priors, prior_file)
    rates = crab_rates_of(crab_rates)
    scws = read_scws(file)
    if bands:
        scws = scws.take_bands(bands)
    use_compilation_cache()
    tree = prior_predictive(model, scws, prior_draws, seed, crab_rate=rates)
    table = prior_table(tree)
    files.table(f"{NAME}.ecsv", table)
    files.figure(f"{NAME}.png", lambda: prior_figure(tree))
    click.echo(format_prior_table(table))
    files.end((fit_command(file), "sample the posterior, with the same options"))
