"""``ridgebayes sbc``: whether the posteriors of a model are right for data of that model."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.model import change_priors, model_options
from ridgebayes.cli.commands.options import number, pairs

NAME = "sbc"


@click.command()
@click.argument("name", metavar="MODEL")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the campaign, which goes on there [default: sbc/MODEL].",
)
@click.option("--simulations", default=200, show_default=True, help="How many there are to be in the end.")
@model_options(sky="coarse")
@click.option(
    "--own-priors",
    is_flag=True,
    help="Draw truths from the model's own priors also where they are very wide.",
)
@click.option(
    "--scws",
    type=click.Path(path_type=Path),
    help="Table whose pointings and errors are simulated for [default: a small simulated mission].",
)
@click.option(
    "--crab-rate", "crab_rates", multiple=True, metavar="BAND=CTS/S", help="Where no ScW contains the Crab."
)
@click.option("--revolutions", default=24, show_default=True, help="Of the small mission, where no --scws.")
@click.option("--draws", default=99, show_default=True, help="Posterior draws to rank a truth among.")
@click.option("--warmup", default=150, show_default=True, help="Adaptive draws of each fit.")
@click.option("--seed", default=0, show_default=True, help="Everything random follows from it.")
@click.option("--workers", type=int, help="Processes on this machine [default: the cores].")
@click.option(
    "--scheduler",
    metavar="local|ADDRESS",
    help="Run on a Dask cluster: one on this machine, or that of the scheduler at this address.",
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
def sbc(
    name: str,
    out: Path | None,
    simulations: int,
    sky: str,
    extras: tuple[str, ...],
    priors: tuple[str, ...],
    prior_file: Path | None,
    own_priors: bool,
    scws: Path | None,
    crab_rates: tuple[str, ...],
    revolutions: int,
    draws: int,
    warmup: int,
    seed: int,
    workers: int | None,
    scheduler: str | None,
    quiet: bool,
) -> None:
    """Calibrate MODEL by simulation: whether its posteriors are right for data of that model.

    Draws parameters from the prior, simulates data, fits them, and ranks the truths among the draws, many
    times. If all is right the ranks are uniform. What is in --out already is kept: run again to go on.

    \b
    Examples:
      ridgebayes sbc regions --simulations 20
      ridgebayes sbc template --extra correlated_noise --out sbc/correlated
      ridgebayes sbc my_model.py --scws mission.fits --scheduler tcp://10.0.0.1:8786
    """
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.inference.runner import Settings
    from ridgebayes.plots.sbc import sbc_figure
    from ridgebayes.plots.style import write_figure
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.runs.sampling import use_compilation_cache
    from ridgebayes.sbc import base_mission, campaign_priors, run_sbc, uniformity
    from ridgebayes.table.formats import read_scws

    use_compilation_cache()
    model = models.find(name)(skies.load(sky)).with_extras(*extras)
    if not own_priors:
        model = campaign_priors(model)
    model = change_priors(model, priors, prior_file)
    rates = pairs(crab_rates, "--crab-rate")
    out = out or Path("sbc") / model.name
    ranks = run_sbc(
        model,
        simulations,
        out=out,
        scws=read_scws(scws) if scws else base_mission(model, revolutions),
        crab_rate={band: number(rate, f"--crab-rate {band}") for band, rate in rates.items()} or None,
        draws=draws,
        settings=Settings(warmup=warmup, seed=seed),
        workers=workers,
        scheduler=scheduler,
        progress=not quiet,
    )
    found = uniformity(ranks)
    write_ecsv(found.table, out / "uniformity.ecsv")
    click.echo(out / "uniformity.ecsv")
    click.echo(write_figure(lambda: sbc_figure(ranks), out / f"{NAME}.png"))
    click.echo(found)
