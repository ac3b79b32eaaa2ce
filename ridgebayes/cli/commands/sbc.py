"""``ridgebayes sbc``: simulation-based calibration of the posteriors of a model."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.model import change_priors, model_options
from ridgebayes.cli.commands.options import (
    FILE,
    crab_rate_option,
    crab_rates_of,
    model_option,
    quiet_option,
    scheduler_option,
    seed_option,
    warmup_option,
)
from ridgebayes.cli.ending import say_next, say_written

NAME = "sbc"


@click.command(short_help="Calibrate a model by simulation")
@click.argument("file", type=FILE, metavar="[FILE]", required=False)
@model_option
@model_options(sky="coarse")
@click.option("--simulations", default=200, show_default=True, help="Total number of simulations.")
@click.option(
    "--own-priors",
    is_flag=True,
    help="Draw truths from the model's own priors even if they are very wide.",
)
@crab_rate_option
@click.option(
    "--revolutions",
    default=24,
    show_default=True,
    help="Revolutions of the small mission that is used without FILE.",
)
@click.option(
    "--rank-draws",
    default=99,
    show_default=True,
    help="Number of posterior draws among which a truth is ranked.",
)
@warmup_option
@seed_option
@scheduler_option
@click.option(
    "--out",
    type=FILE,
    help="Folder of the campaign; an existing campaign is continued [default: runs/sbc/MODEL].",
)
@quiet_option
def sbc(
    file: Path | None,
    name: str,
    sky: str,
    extras: tuple[str, ...],
    priors: tuple[str, ...],
    prior_file: Path | None,
    simulations: int,
    own_priors: bool,
    crab_rates: tuple[str, ...],
    revolutions: int,
    rank_draws: int,
    warmup: int,
    seed: int,
    scheduler: str,
    out: Path | None,
    quiet: bool,
) -> None:
    """Test by simulation whether the posteriors of a model are correct for data of that model.

    Repeatedly draws parameters from the prior, simulates data, fits them, and ranks the truths among the
    draws. Pointings and errors are those of the ScW table FILE, or of a small simulated mission. Correct
    posteriors have uniform ranks. Results in --out are kept: run again to continue.

    \b
    Examples:
      ridgebayes sbc --simulations 20
      ridgebayes sbc --model template --extra correlated_noise --out runs/sbc/correlated
      ridgebayes sbc mission.fits --model my_model.py --scheduler tcp://10.0.0.1:8786
    """
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.inference.settings import Settings
    from ridgebayes.plots.sbc import sbc_figure
    from ridgebayes.plots.style import write_figure
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.sbc import base_mission, campaign_priors, run_sbc, uniformity
    from ridgebayes.table.formats import read_scws

    use_compilation_cache()
    model = models.find(name)(skies.load(sky)).with_extras(*extras)
    if not own_priors:
        model = campaign_priors(model)
    model = change_priors(model, priors, prior_file)
    out = out or Path("runs/sbc") / model.name
    ranks = run_sbc(
        model,
        simulations,
        out=out,
        scws=read_scws(file) if file else base_mission(model, revolutions),
        crab_rate=crab_rates_of(crab_rates),
        draws=rank_draws,
        settings=Settings(warmup=warmup, seed=seed),
        scheduler=scheduler,
        progress=not quiet,
    )
    found = uniformity(ranks)
    write_ecsv(found.table, out / "uniformity.ecsv")
    figure = write_figure(lambda: sbc_figure(ranks), out / f"{NAME}.png")
    click.echo(found)
    say_written([out / "uniformity.ecsv", figure])
    say_next(("docs/sbc.md", "how to read the verdict"))
