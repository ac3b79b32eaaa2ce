"""``ridgebayes inspect``: what is in a table."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import table_argument
from ridgebayes.cli.ending import say_next


@click.command()
@table_argument
def inspect(file: Path) -> None:
    """Print what is in a ScW rate table, and what looks suspicious.

    \b
    Example:  ridgebayes inspect scws.fits
    """
    from ridgebayes.table.formats import read_scws
    from ridgebayes.table.summary import summary

    click.echo(summary(read_scws(file)))
    say_next((f"ridgebayes fit {file} --out runs/first", "sample the posterior"))
