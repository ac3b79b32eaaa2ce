"""``ridgebayes convert``: any rate table becomes a ScW table."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.errors import InputError


@click.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="ScW table to write (.fits, .ecsv).")
@click.option(
    "--mapping", "mapping_file", type=click.Path(path_type=Path), help="TOML: what is known of the columns."
)
@click.option("--guess", "only_guess", is_flag=True, help="Print the mapping as inferred, and write nothing.")
@click.option(
    "--revolutions",
    type=click.Path(path_type=Path),
    help="Table REVOL, START (MJD, TT), END or PERIOD (d): for a phase or a time that is missing.",
)
@click.option("--common", is_flag=True, help="One file a band: keep the ScWs that all files have.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def convert(
    sources: tuple[Path, ...],
    out: Path | None,
    mapping_file: Path | None,
    only_guess: bool,
    revolutions: Path | None,
    common: bool,
    overwrite: bool,
) -> None:
    """Convert a rate table, or one a band, in FITS, ECSV, CSV, ASCII, Parquet or VOTable.

    What the columns are is guessed from names, units and headers, and every guess is shown; what is ambiguous
    is refused with the line that settles it. See docs/convert.md.

    \b
    Example:  ridgebayes convert rates.fits --guess > map.toml
              ridgebayes convert rates.fits --mapping map.toml --out scws.fits
    """
    from ridgebayes import convert as doors
    from ridgebayes.convert.guessing import Unclear
    from ridgebayes.convert.sources import open_source
    from ridgebayes.table.formats import write_scws

    mapping = doors.load_mapping(mapping_file) if mapping_file else None
    if only_guess:
        opened = [open_source(path, mapping.extension if mapping else None) for path in sources]
        found = doors.guess(opened, mapping, revolutions=revolutions is not None)
        remarks = [f"guessed: {note}" for note in found.notes] + found.unused
        remarks += [f"DOUBT: {doubt}" for doubt in found.doubts] + [f"TO DO: {p}" for p in found.problems]
        remarks += found.skeleton.splitlines()
        click.echo(doors.dump_mapping(found.mapping, remarks), nl=False)
        return
    if out is None:
        raise InputError("no --out: name the ScW table to write, or ask for the mapping with --guess")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: exists already: choose another --out, or --overwrite it")
    try:
        done = doors.convert(sources, mapping, revolutions=revolutions, common=common)
    except Unclear as error:
        found = error.guess
        for line in (*found.problems[1:], *found.unused, *(f"DOUBT: {doubt}" for doubt in found.doubts)):
            click.echo(line, err=True)
        if found.skeleton:
            click.echo(f"to edit and put into the mapping:\n{found.skeleton}", err=True)
        raise InputError(found.problems[0]) from error
    for note in done.notes:
        click.echo(note if note.startswith("DOUBT") else f"guessed: {note}")
    for line in done.unused:
        click.echo(line)
    write_scws(done.scws, out, overwrite=overwrite)
    kind = "simulated " if done.scws.meta["simulated"] else ""
    click.echo(f"{out}: {len(done.scws)} {kind}ScWs in {len(done.scws.bands)} bands")
