"""``ridgebayes convert``: convert a rate table to a ScW table."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ridgebayes.cli.commands.options import FILE, revolution_table_option, table_out_option
from ridgebayes.cli.ending import check_new, say_next
from ridgebayes.cli.wording import in_options, options_of
from ridgebayes.errors import InputError, counted

if TYPE_CHECKING:
    from ridgebayes.convert.guessing import Guess
    from ridgebayes.convert.mapping import Mapping


@click.command(short_help="Convert a rate table of any format and names")
@click.argument("sources", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("--mapping", "mapping_file", type=FILE, help="TOML file with the known columns and units.")
@click.option("--guess", "only_guess", is_flag=True, help="Print the guessed mapping, and write nothing.")
@revolution_table_option
@click.option(
    "--common", is_flag=True, help="With one file per band: keep only the ScWs that are in all files."
)
@table_out_option(required=False)
def convert(
    sources: tuple[Path, ...],
    mapping_file: Path | None,
    only_guess: bool,
    revolutions: Path | None,
    common: bool,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Convert a rate table, or one per band, in FITS, ECSV, CSV, ASCII, Parquet or VOTable.

    The meaning of the columns is guessed from names, units and headers, and every guess is printed. If it is
    ambiguous, an error gives the line to add to the mapping. See docs/convert.md.

    \b
    Example:  ridgebayes convert rates.fits --guess > map.toml
              ridgebayes convert rates.fits --mapping map.toml --out scws.fits
    """
    from ridgebayes import convert as tables
    from ridgebayes.convert.guessing import Unclear
    from ridgebayes.table.formats import write_scws

    mapping = tables.load_mapping(mapping_file) if mapping_file else None
    if only_guess:
        _print_mapping(sources, mapping, revolutions=revolutions is not None)
        command = f"ridgebayes convert {shlex.join(map(str, sources))} --mapping FILE.toml --out scws.fits"
        say_next((command, "with this output, saved as FILE.toml"), err=True)
        return
    if out is None:
        raise InputError("no --out: name the ScW table to write, or ask for the mapping with --guess")
    check_new([out], overwrite=overwrite)
    try:
        done = tables.convert(sources, mapping, revolutions=revolutions, common=common)
    except Unclear as error:
        _print_problems(error.guess)
        raise InputError(error.guess.problems[0]) from error
    for note in done.notes:
        click.echo(note if note.startswith("DOUBT") else f"guessed: {note}")
    for line in done.unused:
        click.echo(line)
    write_scws(done.scws, out, overwrite=overwrite)
    kind = "simulated " if done.scws.meta["simulated"] else ""
    size = f"{counted(len(done.scws), f'{kind}ScW')} in {counted(len(done.scws.bands), 'band')}"
    click.echo(f"wrote {out}: {size}")
    say_next((f"ridgebayes inspect {out}", "what is in it, and what looks suspicious"))


def _print_mapping(sources: tuple[Path, ...], mapping: Mapping | None, *, revolutions: bool) -> None:
    """Print the guessed mapping, with remarks on the guesses as comments."""
    from ridgebayes.convert import dump_mapping, guess
    from ridgebayes.convert.sources import open_source

    opened = [open_source(path, mapping.extension if mapping else None) for path in sources]
    found = guess(opened, mapping, revolutions=revolutions)
    remarks = [f"guessed: {note}" for note in found.notes] + found.unused
    remarks += [f"DOUBT: {doubt}" for doubt in found.doubts] + [f"TO DO: {p}" for p in found.problems]
    remarks += found.skeleton.splitlines()
    click.echo(dump_mapping(found.mapping, remarks), nl=False)


def _print_problems(found: Guess) -> None:
    """Print what could not be guessed, except for the first problem, which is the error itself."""
    options = options_of(click.get_current_context().command)
    for line in (*found.problems[1:], *found.unused, *(f"DOUBT: {doubt}" for doubt in found.doubts)):
        click.echo(in_options(line, options), err=True)
    if found.skeleton:
        click.echo(f"to edit and put into the mapping:\n{found.skeleton}", err=True)
