"""``ridgebayes rates``: ISGRI event lists to a ScW rate table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import (
    FILE,
    quiet_option,
    revolution_table_option,
    scheduler_option,
    table_out_option,
)
from ridgebayes.cli.ending import check_new, say_next, say_written
from ridgebayes.errors import InputError, counted


@click.command(short_help="Make a table of rates from ISGRI event lists")
@click.argument("events", nargs=-1, required=True, type=FILE)
@revolution_table_option
@click.option(
    "--pointing",
    "pointings",
    type=FILE,
    help="Table with SCW_ID, RA, DEC, optional ROLL and DEADC (live fraction) [default: headers].",
)
@click.option(
    "--pif",
    "pifs",
    multiple=True,
    type=FILE,
    help="Pixel illumination fractions (PIF) of sources to remove: files, or a folder of them (repeatable).",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="NAME",
    help="Do not remove this source, though it has a PIF (repeatable).",
)
@click.option(
    "--energies",
    "bands",
    default="25-60,60-80,80-200",
    show_default=True,
    help="Energy bands in keV, named A01, A02, …",
)
@click.option(
    "--noisy-sigma",
    default=5.0,
    show_default=True,
    help="Cut pixels this many sigma above the others; 0: none.",
)
@click.option(
    "--burst-sigma",
    default=4.0,
    show_default=True,
    help="Cut seconds this many sigma above the others; 0: none.",
)
@click.option(
    "--pixels",
    type=click.Choice(["all", "used"]),
    default="used",
    show_default=True,
    help="Rates of the pixels that were used, or scaled to all 16384.",
)
@click.option("--dead-time", type=float, help="Dead time as a fraction, if no file states it.")
@click.option("--osa-version", help="Version of OSA that made the energies; it is recorded.")
@scheduler_option
@table_out_option()
@quiet_option
def rates(
    events: tuple[Path, ...],
    revolutions: Path | None,
    pointings: Path | None,
    pifs: tuple[Path, ...],
    keep: tuple[str, ...],
    bands: str,
    noisy_sigma: float,
    burst_sigma: float,
    pixels: str,
    dead_time: float | None,
    osa_version: str | None,
    scheduler: str,
    out: Path,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Make a ScW rate table from ISGRI event lists (ISGR-EVTS-ALL), or from folders that hold them.

    Results of each event list are kept in the folder OUT.parts: the same command continues an interrupted
    run, and processes only event lists that were added. Bad event lists are named and left out. A process
    takes 0.5 GB; on a cluster, all workers must see the files under the same path. <OUT>.report.ecsv lists
    how each rate was obtained, <OUT>.sources.ecsv the fitted sources.

    \b
    Example:  ridgebayes rates scw/ --revolution-table revolutions.csv --out scws.fits
    """
    check_new([out], overwrite=overwrite)
    if revolutions is None:
        raise InputError(
            "the phase cannot be known from event lists: give --revolution-table TABLE with columns REVOL, "
            "START (MJD, TT) and PERIOD (d) or END (MJD, TT)"
        )
    from ridgebayes import events as ev
    from ridgebayes.convert.times import read_revolutions
    from ridgebayes.table.formats import write_scws

    # Raise all possible errors before hours of counting.
    if dead_time is not None and not 0 <= dead_time < 1:
        raise InputError(f"--dead-time {dead_time:g}: give a fraction from 0 to below 1")
    energy = ev.parse_bands(bands)
    cuts = ev.Cuts(noisy_sigma, burst_sigma, pixels == "all", keep=keep)
    table = read_revolutions(revolutions)
    known = None if pointings is None else ev.read_pointings(pointings)
    paths = _files(events, "*isgri_events*.fits*", "event lists")

    with click.progressbar(length=len(paths), label="event lists", hidden=quiet or len(paths) < 3) as bar:
        outcome = ev.measure_files(
            paths,
            energy,
            pifs=_files(pifs, "*.fits*", "PIF files"),
            cuts=cuts,
            folder=out.with_name(out.name + ".parts"),
            scheduler=scheduler,
            progress=lambda: bar.update(1),
        )
    for line in outcome.skipped.values():
        click.echo(f"skipped: {line}", err=True)
    if not outcome.rates:
        raise InputError(f"none of {len(paths)} event lists gave a rate: see the reasons above")
    live = None if dead_time is None else 1.0 - dead_time
    scws = ev.assemble(outcome.rates, energy, table, pointings=known, live=live, osa_version=osa_version)
    write_scws(scws, out, overwrite=overwrite)
    skipped = f", {len(outcome.skipped)} event lists skipped" if outcome.skipped else ""
    again = f", {outcome.reused} of them measured before" if outcome.reused else ""
    click.echo(f"{counted(len(scws), 'ScW')} in {counted(len(scws.bands), 'band')}{again}{skipped}")
    reports = _write_reports(outcome.rates, energy, out)
    _summary(scws, outcome.rates)
    say_written([out, *reports])
    say_next((f"ridgebayes inspect {out}", "what is in it, and what looks suspicious"))


def _files(given: tuple[Path, ...], pattern: str, what: str) -> list[Path]:
    """Return the given files, and those in given folders."""
    found: list[Path] = []
    for path in given:
        inside = sorted(path.rglob(pattern)) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{path}: holds no {what} ({pattern}): name the files")
        found += inside
    return found


def _write_reports(rates: Any, bands: Any, out: Path) -> list[Path]:
    """Write the tables of rates and of fitted sources that go with the ScW table, unless they are empty."""
    from ridgebayes import events as ev
    from ridgebayes.io.product_tables import write_ecsv

    written = []
    for name, report in (("report", ev.report), ("sources", ev.source_report)):
        content = report(rates, bands)
        if len(content):
            path = out.with_name(f"{out.stem}.{name}.ecsv")
            write_ecsv(content, path)
            written.append(path)
    return written


def _summary(scws: Any, rates: Any) -> None:
    import numpy as np

    scatter = 100 * np.array([r.scatter[:-1] for r in rates])
    for k, band in enumerate(scws.bands):
        known = scatter[np.isfinite(scatter[:, k]), k]
        within = f"{np.median(known):.2f} %" if known.size else "not known"
        rate, error = np.median(scws.rate[:, k]), np.median(scws.stat_err[:, k])
        click.echo(f"  {band}: median {rate:.2f} ± {error:.2f} cts/s, scatter within a ScW {within}")
    if scws.crab.any():
        click.echo(f"  the Crab is in the field of {scws.crab.sum()} ScWs and was not removed: SOURCE = Crab")
    if not any(r.sources for r in rates):
        click.echo("  no PIF was given: point sources are still in these rates")
