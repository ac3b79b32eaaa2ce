"""``ridgebayes append``: new revolutions join a table."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.errors import InputError, command


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.argument("new", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="ScW table to write.")
@click.option(
    "--duplicates",
    type=click.Choice(["refuse", "first", "last"]),
    default="refuse",
    show_default=True,
    help="The same SCW_ID in several tables: which one stays.",
)
@click.option("--mix-osa", is_flag=True, help="Join tables of different OSA versions.")
@click.option("--drop-optional", is_flag=True, help="Leave out ROLL or TRACER where a table lacks it.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def append(
    table: Path,
    new: tuple[Path, ...],
    out: Path,
    duplicates: str,
    mix_osa: bool,
    drop_optional: bool,
    overwrite: bool,
) -> None:
    """Join ScW tables of the same bands; simulated and real data never mix.

    \b
    Example:  ridgebayes append scws.fits new.fits --out both.fits
    """
    if out.exists() and not overwrite:
        raise InputError(f"{out}: exists already: choose another --out, or --overwrite it")
    from ridgebayes import convert as doors
    from ridgebayes.table.formats import read_scws, write_scws

    tables = [read_scws(path, screened=False) for path in (table, *new)]
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
    click.echo(f"{out}: {len(joined)} ScWs of {len(tables)} tables, {dropped} duplicates left out")
