"""``ridgebayes inspect``: summary of a table."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import table_argument
from ridgebayes.cli.ending import fit_command, say_next
from ridgebayes.errors import command


@click.command(short_help="Summarise a table, and list suspicious ScWs")
@table_argument
def inspect(file: Path) -> None:
    """Print a summary of a ScW rate table, and list suspicious ScWs.

    \b
    Example:  ridgebayes inspect scws.fits
    """
    from ridgebayes.table.formats import read_scws
    from ridgebayes.table.summary import page, summarise

    scws = read_scws(file)
    found = summarise(scws)
    click.echo(page(found))
    steps = []
    if any(item["count"] > len(scws) / 2 for item in found["suspicious"]):
        steps = [(command("inspect", file), "again, after correction of the table: most ScWs are suspicious")]
    elif found["suspicious"] and found["left_out"] is None:
        screened = file.with_name(f"{file.name.split('.')[0]}_screened.fits")
        steps = [(command("screen", file, "--out", screened), "flag suspicious ScWs; then inspect again")]
    if found["crab_scws"]:
        fit, why = fit_command(file), "sample the posterior"
    else:
        fit = " ".join([fit_command(file), *(f"--crab-rate {band}=CTS/S" for band in scws.band_names)])
        why = "sample the posterior, with your rates of the Crab"
    say_next(*steps, (fit, why))
