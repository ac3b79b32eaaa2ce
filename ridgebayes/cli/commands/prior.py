"""``ridgebayes prior``: what the priors of a model mean for rates, sky and Crab."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.model import change_priors, model_options
from ridgebayes.cli.commands.options import number, pairs

NAME = "prior_predictive"


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("prior"), show_default=True,
              help="Folder to write into; files of the same names are replaced.")  # fmt: skip
@click.option("--model", "name", default="regions", show_default=True, help="Model, as in models/.")
@click.option("--band", "bands", multiple=True, help="Only this band (repeat for more) [default: all].")
@model_options()
@click.option("--draws", default=200, show_default=True, help="Draws from the prior.")
@click.option("--seed", default=0, show_default=True, help="Everything random follows from it.")
@click.option(
    "--crab-rate", "crab_rates", multiple=True, metavar="BAND=CTS/S", help="Where no ScW contains the Crab."
)
def prior(
    file: Path,
    out: Path,
    name: str,
    bands: tuple[str, ...],
    sky: str,
    extras: tuple[str, ...],
    priors: tuple[str, ...],
    prior_file: Path | None,
    draws: int,
    seed: int,
    crab_rates: tuple[str, ...],
) -> None:
    """Draw from the priors of a model, for the pointings of a table, beside the data and published values.

    Rates of revolutions in cts/s, FOV flux in mCrab, the Crab's rate in cts/s per Crab, scatter in per cent:
    is what the priors allow what you believe before you see the data?

    \b
    Examples:
      ridgebayes prior scws.fits
      ridgebayes prior scws.fits --band A01 --prior 'sky.intensity=HalfNormal(2)' --out prior/positive
    """
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.plots.prior import prior_figure
    from ridgebayes.plots.style import write_figure
    from ridgebayes.products.prior_predictive import format_prior_table, prior_predictive, prior_table
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.runs.sampling import use_compilation_cache
    from ridgebayes.table.formats import read_scws

    model = change_priors(models.find(name)(skies.load(sky)).with_extras(*extras), priors, prior_file)
    rates = {b: number(v, f"--crab-rate {b}") for b, v in pairs(crab_rates, "--crab-rate").items()}
    scws = read_scws(file)
    if bands:
        scws = scws.take_bands(bands)
    use_compilation_cache()
    tree = prior_predictive(model, scws, draws, seed, crab_rate=rates or None)
    table = prior_table(tree)
    write_ecsv(table, out / f"{NAME}.ecsv")
    click.echo(out / f"{NAME}.ecsv")
    click.echo(write_figure(lambda: prior_figure(tree), out / f"{NAME}.png"))
    click.echo(format_prior_table(table))
