"""``ridgebayes campaign``: many simulated missions, fitted, beside the truth."""

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
    help="Folder of the campaign, which goes on there [default: runs/campaign/FILE].",
)
@click.option("--summary", "only_summary", is_flag=True, help="Fit nothing: the table of what is there.")
@quiet_option
def campaign(file: Path, scheduler: str, out: Path | None, only_summary: bool, quiet: bool) -> None:
    """Fit many simulated missions of several worlds with several models, and compare with the truth.

    FILE.toml says which (docs/campaigns.md). Prints one table: bias, scatter and coverage of FOV fluxes,
    convergence and time. What is in --out already is kept: the same command goes on where it was stopped, and
    with more missions, worlds or fits does only these.

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
