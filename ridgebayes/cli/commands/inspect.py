"""``ridgebayes inspect``: what is in a table."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def inspect(file: Path) -> None:
    """Print what is in a ScW rate table, and what looks suspicious.

    \b
    Example:  ridgebayes inspect scws.fits
    """
    from ridgebayes.table.formats import read_scws
    from ridgebayes.table.summary import summary

    click.echo(summary(read_scws(file)))
