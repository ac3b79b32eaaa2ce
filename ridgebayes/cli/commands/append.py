"""``ridgebayes append``: join ScW tables, such as new revolutions to old ones."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import FILE, table_out_option
from ridgebayes.cli.ending import check_new, say_next
from ridgebayes.errors import command, counted


@click.command(short_help="Join tables of the same bands")
@click.argument("file", type=FILE)
@click.argument("more", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option(
    "--duplicates",
    type=click.Choice(["refuse", "first", "last"]),
    default="refuse",
    show_default=True,
    help="If a SCW_ID is in several tables: raise an error, or keep that of the first or last table.",
)
@click.option("--mix-osa", is_flag=True, help="Join tables of different OSA versions.")
@click.option("--drop-optional", is_flag=True, help="Drop ROLL or TRACER if a table lacks it.")
@table_out_option()
def append(
    file: Path,
    more: tuple[Path, ...],
    duplicates: str,
    mix_osa: bool,
    drop_optional: bool,
    out: Path,
    overwrite: bool,
) -> None:
    """Join ScW tables of the same bands; simulated and real data cannot be joined.

    \b
    Example:  ridgebayes append scws.fits new.fits --out both.fits
    """
    check_new([out], overwrite=overwrite)
    from ridgebayes import convert as doors
    from ridgebayes.table.formats import read_scws, write_scws

    tables = [read_scws(path, screened=False) for path in (file, *more)]
    joined = doors.append(tables, duplicates=duplicates, mix_osa=mix_osa, drop_optional=drop_optional)
    write_scws(joined, out, overwrite=overwrite)
    dropped = sum(map(len, tables)) - len(joined)
    if any(t.truth is not None for t in tables) and joined.truth is None:
        click.echo("truth: left out, the tables are of different simulations")
    for name in ("roll", "tracer", "tracer_err"):
        if getattr(joined, name) is None and any(getattr(t, name) is not None for t in tables):
            click.echo(f"{name.upper()}: left out, not all tables have it")
    for name, cut in joined.meta.get("screening", {}).items():
        new_to = [text for text in cut["log"].split("; ") if text.startswith("not applied")]
        if new_to:
            click.echo(f"{name}: {'; '.join(new_to)}: {command('screen', out, '--out', 'NEW.fits')}")
    size = f"{counted(len(joined), 'ScW')} of {counted(len(tables), 'table')}"
    click.echo(f"wrote {out}: {size}, {counted(dropped, 'duplicate')} left out")
    say_next((f"ridgebayes inspect {out}", "what is in it"))
