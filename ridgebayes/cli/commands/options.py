"""Options that several commands take, each with one name, meaning and default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.completion import complete_models, complete_skies
from ridgebayes.cli.ending import FIGURE_FORMAT
from ridgebayes.errors import InputError
from ridgebayes.outputs.product import FOLDER
from ridgebayes.parallel.scheduler import Scheduler

FILE = click.Path(path_type=Path)

run_argument = click.argument("run", type=FILE)
"""The run directory that a product is made from."""

table_argument = click.argument("file", type=FILE, metavar="FILE")
"""The ScW table that a command reads."""


def stacked(*options: Callable) -> Callable[[Callable], Callable]:
    """Make one decorator of several, in the order in which help shows them."""

    def add(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return add


overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what is there already.")


def out_option(default: str = FOLDER) -> Callable[[Callable], Callable]:
    """``--out`` and ``--overwrite`` of a command whose files go to a folder of the run."""
    return stacked(
        click.option("--out", type=FILE, help=f"Folder to write into [default: RUN/{default}]."),
        overwrite_option,
    )


def table_out_option(*, required: bool = True) -> Callable[[Callable], Callable]:
    """``--out`` and ``--overwrite`` of a command that writes a ScW table."""
    return stacked(
        click.option(
            "--out", type=FILE, required=required, help="ScW table to write (.fits, .ecsv, .csv, .parquet)."
        ),
        overwrite_option,
    )


def _keep_format(context: click.Context, option: click.Parameter, value: str) -> None:
    context.meta[FIGURE_FORMAT] = value


def format_option(default: str = "png") -> Callable[[Callable], Callable]:
    """``--format`` of the figures of a command, kept for `ridgebayes.cli.ending.Products`."""
    return click.option(
        "--format",
        "figure_format",
        type=click.Choice(["png", "pdf", "svg"]),
        default=default,
        show_default=True,
        expose_value=False,
        callback=_keep_format,
        help="Of the figures; pdf and svg for print.",
    )


def sky_option(default: str | None = "milkyway") -> Callable[[Callable], Callable]:
    """``--sky``; without a default the regions of the model of a run."""
    own = "." if default else " [default: the regions of the model]."
    return click.option(
        "--sky",
        default=default,
        show_default=default is not None,
        shell_complete=complete_skies,
        help=f"Shipped region set, or a TOML file{own}",
    )


plain_option = click.option(
    "--plain",
    is_flag=True,
    help="Take the posterior's own intervals, not those calibrated by revolution.",
)
scws_option = click.option(
    "--scws",
    type=FILE,
    help="The ScW table that was fitted, where it is no longer where it was.",
)
model_option = click.option(
    "--model",
    "name",
    default="regions",
    show_default=True,
    shell_complete=complete_models,
    help="Model, as `ridgebayes models` lists them, or a Python file of your own, which is run "
    "(docs/cookbook.md).",
)
components_option = click.option(
    "--components",
    "model",
    default="whitedwarf+powerlaw",
    show_default=True,
    help="Components of the spectral model, joined by +: whitedwarf, cutoff, powerlaw. Not used where the "
    "spectral model that was fitted to the rates is taken.",
)
band_option = click.option(
    "--band", "bands", multiple=True, help="Only this band (repeatable) [default: all]."
)
tracer_band_option = click.option(
    "--tracer-band",
    "tracer_bands",
    multiple=True,
    help="Band without sky: not fitted, a tracer of the others' background (repeatable).",
)
region_option = click.option(
    "--region", "names", multiple=True, help="Region of the sky (repeatable), or all [default: GB]."
)
quantity_option = click.option(
    "--quantity",
    type=click.Choice(["fov", "intensity"]),
    default="fov",
    show_default=True,
    help="FOV flux, as published ones are, or intensity of the region's core.",
)
crab_rate_option = click.option(
    "--crab-rate", "crab_rates", multiple=True, metavar="BAND=CTS/S", help="Where no ScW contains the Crab."
)
crab_spectrum_option = click.option(
    "--crab-spectrum",
    help="What the Crab is assumed to be, 'norm=10,index=2.1', or atel4869 [default: 10 E^-2.1].",
)
redistribution_option = click.option(
    "--redistribution",
    metavar="SPEC",
    help="How the detector spreads energies: 'fwhm=0.08,at=60,power=-0.5', or 'rmf=FILE,arf=FILE' (OGIP) "
    "[default: not at all].",
)
nside_option = click.option(
    "--nside", default=64, show_default=True, help="Of the HEALPix maps: a power of 2 up to 128."
)
seed_option = click.option("--seed", default=0, show_default=True, help="Everything random follows from it.")
warmup_option = click.option(
    "--warmup", default=150, show_default=True, help="Adaptive draws a chain, not kept."
)
draws_option = click.option(
    "--draws",
    default=500,
    show_default=True,
    help="Draws a chain to keep. Chains that have not converged take up to 8 times as many.",
)
workers_option = click.option(
    "--workers", type=int, help="Chains at a time in a process [default: the cores]."
)
scheduler_option = click.option(
    "--scheduler",
    default="local",
    show_default=True,
    metavar="WHERE",
    callback=lambda context, option, text: Scheduler.of(text) and text,  # refused before anything is read
    help="Where tasks run: local, the cores of this machine; local:N, N processes on it; or a Dask cluster: "
    "the address of its scheduler, or its scheduler file (docs/clusters.md).",
)
max_time_option = click.option(
    "--max-time",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="Stop the chains after so long, and keep what there is.",
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")
refit_option = click.option(
    "--refit", is_flag=True, help="Fit again without each revolution whose k̂ is too high."
)
folds_option = click.option(
    "--folds", type=int, help="Leave out a share of the revolutions at a time, so many times, and refit."
)
leave_out_options = stacked(
    refit_option, folds_option, scws_option, scheduler_option, out_option(), quiet_option
)
"""Options of commands that leave revolutions out."""
programme_option = click.option(
    "--programme",
    type=FILE,
    help="Pointings from a table with scw, rev and positions [default: generated].",
)
revolution_table_option = click.option(
    "--revolution-table",
    "revolutions",
    type=FILE,
    help="Table with REVOL, START (MJD, TT) and PERIOD (d) or END: for a phase or a time that is missing.",
)


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """Read NAME=VALUE texts of a repeatable option."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(f"{option} {text}: not of the form NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def number(text: str, what: str) -> float:
    """Read a number, or say what it was for."""
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{what}={text}: not a number") from None


def crab_rates_of(texts: tuple[str, ...]) -> dict[str, float] | None:
    """Read the Crab rates that ``--crab-rate`` gives; None without any."""
    given = pairs(texts, "--crab-rate")
    return {band: number(rate, f"--crab-rate {band}") for band, rate in given.items()} or None


def open_run(path: Path, *, plain: bool = False) -> Any:
    """Open a run, with calibrated draws where it has these and `plain` does not ask for the others."""
    from ridgebayes.runs.run import Run

    run = Run.open(path)
    return run if plain else run.best


no_classical_option = click.option(
    "--no-classical", is_flag=True, help="Leave the classical estimate out; it needs the fitted table."
)
