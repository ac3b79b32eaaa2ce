"""Options of several commands, each with one name, meaning and default."""

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
    """Combine decorators into one, in the order of the help."""

    def add(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return add


overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")


def out_option(default: str = FOLDER) -> Callable[[Callable], Callable]:
    """``--out`` and ``--overwrite`` of a command that writes into a folder of the run."""
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
    """``--format`` of the figures of a command, stored for `ridgebayes.cli.ending.Products`."""
    return click.option(
        "--format",
        "figure_format",
        type=click.Choice(["png", "pdf", "svg"]),
        default=default,
        show_default=True,
        expose_value=False,
        callback=_keep_format,
        help="Format of the figures; pdf and svg for print.",
    )


def sky_option(default: str | None = "milkyway") -> Callable[[Callable], Callable]:
    """``--sky``; if it has no default, the regions are those of the model of a run."""
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
    help="Use the intervals of the posterior, not those calibrated by revolution.",
)
scws_option = click.option(
    "--scws",
    type=FILE,
    help="The fitted ScW table, if it has been moved since the fit.",
)
model_option = click.option(
    "--model",
    "name",
    default="regions",
    show_default=True,
    shell_complete=complete_models,
    help="Model, as `ridgebayes models` lists them, or a Python file of your own, which is executed "
    "(docs/cookbook.md).",
)
components_option = click.option(
    "--components",
    "model",
    default="whitedwarf+powerlaw",
    show_default=True,
    help="Components of the spectral model, joined by +: whitedwarf, cutoff, powerlaw. Ignored if those of "
    "the run are used: by fitspec --joint, and by paper for a run of whitedwarf or spectrum.",
)
band_option = click.option(
    "--band", "bands", multiple=True, help="Only this band (repeatable) [default: all]."
)
tracer_band_option = click.option(
    "--tracer-band",
    "tracer_bands",
    multiple=True,
    help="Band without sky, used as a tracer of the background and not fitted (repeatable).",
)
region_option = click.option(
    "--region", "names", multiple=True, help="Region of the sky (repeatable), or all [default: GB]."
)
quantity_option = click.option(
    "--quantity",
    type=click.Choice(["fov", "intensity"]),
    default="fov",
    show_default=True,
    help="FOV flux (as published fluxes), or intensity of the region's core.",
)
crab_rate_option = click.option(
    "--crab-rate",
    "crab_rates",
    multiple=True,
    metavar="BAND=CTS/S",
    help="Crab rate, needed if no ScW contains the Crab.",
)
crab_spectrum_option = click.option(
    "--crab-spectrum",
    help="Spectrum assumed for the Crab: 'norm=10,index=2.1', or atel4869 [default: 10 E^-2.1].",
)
redistribution_option = click.option(
    "--redistribution",
    metavar="SPEC",
    help="Energy redistribution of the detector: 'fwhm=0.08,at=60,power=-0.5', or 'rmf=FILE,arf=FILE' (OGIP) "
    "[default: none].",
)
nside_option = click.option(
    "--nside", default=64, show_default=True, help="Nside of the HEALPix maps: a power of 2 up to 128."
)
seed_option = click.option("--seed", default=0, show_default=True, help="Seed of all random numbers.")
warmup_option = click.option(
    "--warmup", default=150, show_default=True, help="Warm-up draws per chain, not kept."
)
draws_option = click.option(
    "--draws",
    default=500,
    show_default=True,
    help="Draws per chain to keep. Chains that have not converged take up to 8 times as many.",
)
workers_option = click.option(
    "--workers", type=int, help="Number of chains that a process runs in parallel [default: number of cores]."
)
scheduler_option = click.option(
    "--scheduler",
    default="local",
    show_default=True,
    metavar="WHERE",
    # An invalid one raises an error before anything is read.
    callback=lambda context, option, text: Scheduler.of(text) and text,
    help="Where tasks run: local, the cores of this machine; local:N, N processes on it; or a Dask cluster: "
    "the address of its scheduler, or its scheduler file (docs/clusters.md).",
)
max_time_option = click.option(
    "--max-time",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="Stop the chains after this time, and keep the draws so far.",
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")
refit_option = click.option(
    "--refit", is_flag=True, help="For each revolution whose k̂ is too high, fit again without it."
)
folds_option = click.option(
    "--folds", type=int, help="Cross-validate with this number of folds: refit without each fold."
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
    help="Table with REVOL, START (MJD, TT) and PERIOD (d) or END, needed if phase or time is missing.",
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
    """Read a number; an error names `what`."""
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{what}={text}: not a number") from None


def crab_rates_of(texts: tuple[str, ...]) -> dict[str, float] | None:
    """Read the Crab rates of ``--crab-rate``; None if there are none."""
    given = pairs(texts, "--crab-rate")
    return {band: number(rate, f"--crab-rate {band}") for band, rate in given.items()} or None


def open_run(path: Path, *, plain: bool = False) -> Any:
    """Open a run, with its calibrated draws if it has them and `plain` is False."""
    from ridgebayes.runs.run import Run

    run = Run.open(path)
    return run if plain else run.best


no_classical_option = click.option(
    "--no-classical", is_flag=True, help="Leave out the classical estimate, which needs the fitted table."
)
