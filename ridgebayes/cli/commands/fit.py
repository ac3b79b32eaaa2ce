"""``ridgebayes fit``, ``demo`` and ``resume``: sample a posterior."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.model import change_priors, model_options, priors_option
from ridgebayes.cli.commands.options import number, pairs, run_argument, scws_option


def _offer_devices(context: click.Context, option: click.Parameter, devices: int) -> int:
    """Make JAX see so many CPU devices: before it is first used, or never."""
    if devices > 1:
        import jax

        jax.config.update("jax_num_cpu_devices", devices)
    return devices


def sampling_options(command: Callable) -> Callable:
    """Options of every command that samples."""
    options = [
        click.option("--chains", default=4, show_default=True, help="Chains."),
        click.option("--warmup", default=150, show_default=True, help="Adaptive draws a chain, not kept."),
        click.option("--draws", default=500, show_default=True, help="Draws a chain to keep."),
        click.option("--seed", default=0, show_default=True, help="Everything random follows from it."),
        click.option("--target-accept", default=0.9, show_default=True, help="Acceptance NUTS aims at."),
        click.option(
            "--sampler",
            type=click.Choice(["auto", "nuts"]),
            default="auto",
            show_default=True,
            help="NUTS alone, or with independent proposals where these are accepted (docs/model.md).",
        ),
        click.option("--workers", type=int, help="Chains at a time [default: the cores]."),
        click.option(
            "--devices",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            callback=_offer_devices,
            help="GPUs among which the revolutions are shared (without a GPU: parts of the CPU).",
        ),
        click.option("--overwrite", is_flag=True, help="Replace an existing run directory."),
        click.option("--quiet", is_flag=True, help="No progress bar."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run directory to write.")
@click.option(
    "--model",
    "name",
    default="regions",
    show_default=True,
    help="Model, as in models/, or a Python file of your own, which is run (docs/cookbook.md).",
)
@model_options()
@click.option("--band", "bands", multiple=True, help="Only this band (repeat for more) [default: all].")
@click.option("--response", type=click.Path(path_type=Path), help="Measured response, a FITS image.")
@click.option(
    "--crab-rate", "crab_rates", multiple=True, metavar="BAND=CTS/S", help="Where no ScW contains the Crab."
)
@sampling_options
def fit(
    file: Path,
    out: Path,
    name: str,
    sky: str,
    bands: tuple[str, ...],
    extras: tuple[str, ...],
    priors: tuple[str, ...],
    prior_file: Path | None,
    response: Path | None,
    crab_rates: tuple[str, ...],
    **settings: Any,
) -> None:
    """Sample the posterior of a model given a ScW rate table.

    \b
    Examples:
      ridgebayes fit scws.fits --out runs/first
      ridgebayes fit scws.fits --out runs/tight --band A01 --prior 'background.scatter=HalfNormal(0.02)'
      ridgebayes fit scws.fits --out runs/free --extra free_latitude --extra smooth_crab
    """
    from ridgebayes.runs.run import check_free

    check_free(out, overwrite=settings["overwrite"])
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.instrument.response import ImageResponse
    from ridgebayes.table.formats import read_scws

    build = models.find(name)
    model = change_priors(build(skies.load(sky)).with_extras(*extras), priors, prior_file)
    rates = {
        band: number(value, f"--crab-rate {band}") for band, value in pairs(crab_rates, "--crab-rate").items()
    }
    scws = read_scws(file)
    if bands:
        scws = scws.take_bands(bands)
    run = _sample(
        model,
        scws,
        out,
        response=ImageResponse.from_fits(response) if response else None,
        crab_rate=rates or None,
        **settings,
    )
    _report(run)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
@priors_option
@sampling_options
def demo(out: Path, prior_file: Path | None, **settings: Any) -> None:
    """Fit the bundled simulated mission in three bands and show the result beside the truth.

    \b
    Example:  ridgebayes demo --overwrite
    """
    from ridgebayes.runs.run import check_free

    check_free(out, overwrite=settings["overwrite"])
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.table.formats import read_scws
    from ridgebayes.table.summary import summary

    with as_file(files("ridgebayes.data") / "demo.fits") as path:
        scws = read_scws(path)
    click.echo(summary(scws) + "\n")
    model = change_priors(models.regions(skies.load("milkyway")), (), prior_file)
    click.echo(f"{model}\n")
    _report(_sample(model, scws, out, **settings))


@click.command()
@run_argument
@scws_option
@click.option("--workers", type=int, help="Chains at a time [default: the cores].")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def resume(run: Path, scws: Path | None, workers: int | None, quiet: bool) -> None:
    """Go on with a fit that was interrupted, as if it had never been.

    \b
    Example:  ridgebayes resume runs/first
    """
    from ridgebayes.runs.sampling import resume as go_on
    from ridgebayes.runs.sampling import use_compilation_cache

    use_compilation_cache()
    _report(_drawn(go_on(run, scws=scws, workers=workers, progress=not quiet)))


@click.command()
@run_argument
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run directory to write.")
@scws_option
@click.option("--workers", type=int, help="Chains at a time [default: the cores].")
@click.option("--overwrite", is_flag=True, help="Replace an existing run directory.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def update(run: Path, new: Path, quiet: bool, **options: Any) -> None:
    """Bring a fit up to date with a table of new ScWs (alone, or with the old ones).

    \b
    Example:  ridgebayes update runs/first new_revolutions.fits --out runs/second
    """
    from ridgebayes.runs.run import Run
    from ridgebayes.runs.sampling import use_compilation_cache
    from ridgebayes.runs.update import CHAINS
    from ridgebayes.runs.update import update as bring_up_to_date

    use_compilation_cache()
    result = _drawn(bring_up_to_date(Run.open(run), new, progress=not quiet, **options))
    _report(result)
    told = result.record["update"]
    click.echo(f"{told['new_scws']} new ScWs")
    for part, how in told["how"].items():
        worth = f"worth {told['efficiency'][part]:.0%} of them, Pareto k {told['pareto_k'][part]:.2f}"
        click.echo(f"{part}: {how}" + (f" ({worth})" if how != CHAINS else ""))


def _sample(model: Any, scws: Any, out: Path, *, quiet: bool, **keywords: Any) -> Any:
    """Sample, write the run directory with its figures, and return the run."""
    from ridgebayes.runs.sampling import sample, use_compilation_cache

    use_compilation_cache()
    return _drawn(sample(model, scws, out=out, progress=not quiet, **keywords))


def _drawn(run: Any) -> Any:
    """Add the figures to a run directory."""
    from ridgebayes.plots.figures import write_figures
    from ridgebayes.runs.run import FIGURES

    write_figures(run, run.path / FIGURES)
    return run


def _report(run: Any) -> None:
    """Print the intensity table, the warnings and where things are."""
    from ridgebayes.products import CXB_NOTE, format_table
    from ridgebayes.runs.intensity import calibration_words

    click.echo(format_table(run.table(), simulated=run.simulated))
    click.echo(f"\n{CXB_NOTE}")
    r_hat, ess, _ = run.diagnosis.worst
    seconds = sum(run.record["seconds"].values())
    click.echo(
        f"worst R-hat {r_hat:.4f}, worst bulk ESS {ess:.0f}, {run.diagnosis.divergences} divergences; "
        f"{seconds:.0f} s, {run.record['peak_memory_gib']:.1f} GiB"
    )
    for warning in run.diagnosis.warnings:
        click.echo(f"WARNING: {warning}")
    for region in run.record["data"]["unseen_regions"]:
        click.echo(f"WARNING: no ScW sees {region}: its intensity is prior only")
    click.echo(calibration_words(run))
    click.echo(f"run: {run.path} (posterior.nc, intensity.ecsv, scws.fits, run.toml, figures/)")
