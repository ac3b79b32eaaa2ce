"""``ridgebayes campaign``: fit many simulated missions, and compare with the truth."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import FILE, quiet_option, scheduler_option
from ridgebayes.cli.ending import say_next, say_written


@click.command(short_help="Fit many simulated missions, and compare with the truth")
@click.argument("file", type=FILE, metavar="FILE.toml")
@scheduler_option
@click.option(
    "--out",
    type=FILE,
    help="Folder of the campaign; an existing campaign is continued [default: runs/campaign/FILE].",
)
@click.option("--summary", "only_summary", is_flag=True, help="Only print the table of the existing fits.")
@quiet_option
def campaign(file: Path, scheduler: str, out: Path | None, only_summary: bool, quiet: bool) -> None:
    """Fit many simulated missions of several worlds with several models, and compare with the truth.

    FILE.toml lists the worlds and models (docs/campaigns.md). Prints one table: bias, scatter and coverage of
    FOV fluxes, convergence and time. Results in --out are kept: the same command continues an interrupted
    campaign, and only runs missions, worlds or fits that were added.

    \b
    Examples:
      ridgebayes campaign benchmarks/coverage.toml
      ridgebayes campaign mine.toml --scheduler tcp://10.0.0.1:8786
    """
    from ridgebayes.campaign import open_campaign, read_plan, run_campaign
    from ridgebayes.campaign.running import SUMMARY, TABLE

    plan = read_plan(file)
    out = out or Path("runs/campaign") / file.stem
    if only_summary:
        click.echo(open_campaign(out))
    else:
        click.echo(run_campaign(plan, out, scheduler=scheduler, progress=not quiet))
        say_written([out / SUMMARY, out / TABLE])
    say_next(("docs/campaigns.md", "how to read the table"))
