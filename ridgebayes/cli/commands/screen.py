"""``ridgebayes screen``: flag ScWs that a fit should leave out."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import table_argument, table_out_option
from ridgebayes.cli.ending import check_new, say_next


@click.command(short_help="Flag flares, belts, outlying rates and short ScWs")
@table_argument
@click.option(
    "--flare",
    default=6.0,
    show_default=True,
    help="FLARE: robust sigma of the tracer (or highest band) above its running median; 0: no cut.",
)
@click.option(
    "--phase",
    nargs=2,
    type=float,
    default=(0.04, 0.96),
    show_default=True,
    help="BELT: orbital phases between which a ScW is kept; 0 1: no cut.",
)
@click.option(
    "--outlier",
    default=6.0,
    show_default=True,
    help="OUTLIER: robust sigma of a rate from its neighbours in the revolution; 0: no cut.",
)
@click.option("--short", default=300.0, show_default=True, help="SHORT: smallest exposure, s; 0: no cut.")
@click.option(
    "--clear", "cleared", multiple=True, metavar="CUT", help="Only remove the flags of this cut (repeatable)."
)
@click.option("--undo", is_flag=True, help="Only remove all flags and the column SCREEN.")
@table_out_option()
def screen(
    file: Path,
    flare: float,
    phase: tuple[float, float],
    outlier: float,
    short: float,
    cleared: tuple[str, ...],
    undo: bool,
    out: Path,
    overwrite: bool,
) -> None:
    """Flag solar flares, belts, outlying rates and short ScWs in the column SCREEN.

    No row is removed: other commands ignore flagged ScWs; --clear or --undo removes flags.

    \b
    Example:  ridgebayes screen scws.fits --out screened.fits --flare 8
              ridgebayes screen screened.fits --clear FLARE --out cleared.fits
    """
    check_new([out], overwrite=overwrite)
    from ridgebayes import convert as doors
    from ridgebayes.table.formats import read_scws, write_scws

    scws = read_scws(file, screened=False)
    if undo or cleared:
        done = doors.clear(scws, None if undo else [name.upper() for name in cleared])
    else:
        done = doors.screen(scws, doors.Cuts(flare, None if phase == (0, 1) else phase, outlier, short))
    write_scws(done, out, overwrite=overwrite)
    for name, cut in done.meta.get("screening", {}).items():
        click.echo(f"{name:<8} {cut['log']}")
    for name in scws.meta.get("screening", {}):
        if name not in done.meta.get("screening", {}):
            click.echo(f"{name:<8} taken back")
    out_of = 0 if done.screen is None else int((done.screen != 0).sum())
    click.echo(f"wrote {out}: {out_of} of {len(done)} ScWs flagged")
    say_next((f"ridgebayes inspect {out}", "what is in it"))
