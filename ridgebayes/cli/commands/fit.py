"""``ridgebayes fit``, ``demo`` and ``resume``: sample a posterior."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ridgebayes.cli.commands.model import change_priors, model_options, prior_options
from ridgebayes.cli.commands.options import (
    FILE,
    band_option,
    crab_rate_option,
    crab_rates_of,
    draws_option,
    max_time_option,
    model_option,
    quiet_option,
    redistribution_option,
    run_argument,
    scheduler_option,
    scws_option,
    seed_option,
    stacked,
    table_argument,
    tracer_band_option,
    warmup_option,
    workers_option,
)
from ridgebayes.cli.ending import end_with, said_at_the_end, same_command, say_next
from ridgebayes.errors import InputError, counted

if TYPE_CHECKING:
    from ridgebayes.model import Model


def _offer_devices(context: click.Context, option: click.Parameter, devices: int) -> int:
    """Set the number of CPU devices of JAX, which is possible only before its first use."""
    if devices > 1:
        import jax

        jax.config.update("jax_num_cpu_devices", devices)
    return devices


def sampling_options(command: Callable) -> Callable:
    """Add the options of every command that samples."""
    return stacked(
        click.option("--chains", default=4, show_default=True, help="Chains."),
        warmup_option,
        draws_option,
        seed_option,
        click.option("--target-accept", default=0.9, show_default=True, help="Target acceptance of NUTS."),
        click.option(
            "--sampler",
            type=click.Choice(["auto", "nuts"]),
            default="auto",
            show_default=True,
            help="NUTS alone, or NUTS with independent proposals if these are accepted (docs/sampling.md).",
        ),
        max_time_option,
        scheduler_option,
        workers_option,
        click.option(
            "--devices",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            callback=_offer_devices,
            help="Number of GPUs to divide the revolutions among (without a GPU: parts of the CPU).",
        ),
    )(command)


def run_out_option(default: Path | None = None) -> Callable[[Callable], Callable]:
    """``--out``, ``--overwrite`` and ``--quiet`` of a command that writes a run directory."""
    return stacked(
        click.option(
            "--out",
            type=FILE,
            **({"required": True} if default is None else {"default": default, "show_default": True}),
            help="Run directory to write.",
        ),
        click.option(
            "--overwrite",
            is_flag=True,
            help="Replace the whole run directory, with the products, checks and report in it.",
        ),
        quiet_option,
    )


@click.command(short_help="Sample the posterior of a model given a table")
@table_argument
@model_option
@model_options(more_extras="; auto: those that help")
@band_option
@tracer_band_option
@crab_rate_option
@click.option("--response", type=FILE, help="Measured response, a FITS image.")
@redistribution_option
@sampling_options
@run_out_option()
def fit(
    file: Path,
    name: str,
    sky: str,
    bands: tuple[str, ...],
    tracer_bands: tuple[str, ...],
    extras: tuple[str, ...],
    priors: tuple[str, ...],
    prior_file: Path | None,
    response: Path | None,
    redistribution: str | None,
    crab_rates: tuple[str, ...],
    out: Path,
    **settings: Any,
) -> None:
    """Sample the posterior of a model given a ScW rate table.

    The exit code is 3 if the chains did not converge; the run is written, and all its products are marked.
    --extra auto tries the extras, adds those that improve the prediction of revolutions left out, and checks.

    \b
    Examples:
      ridgebayes fit scws.fits --out runs/first
      ridgebayes fit scws.fits --out runs/auto --extra auto
      ridgebayes fit scws.fits --out runs/tight --band A01 --prior 'background.scatter=HalfNormal(0.02)'
      ridgebayes fit scws.fits --out runs/hard --tracer-band HARD
      ridgebayes fit scws.fits --out runs/free --extra free_latitude --extra smooth_crab
    """
    from ridgebayes.runs.run import check_free

    check_free(out, overwrite=settings["overwrite"])
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.checks.automatic import AUTO
    from ridgebayes.checks.automatic import words as extras_words
    from ridgebayes.instrument.response import ImageResponse
    from ridgebayes.table.formats import read_scws

    build = models.find(name)
    chosen = [name for name in extras if name != AUTO]
    opened = build(skies.load(sky), **_of_spectra(name, build, redistribution)).with_extras(*chosen)
    model = change_priors(opened.with_tracer_bands() if tracer_bands else opened, priors, prior_file)
    rates = crab_rates_of(crab_rates)
    scws = read_scws(file).with_tracer_bands(tracer_bands)
    if bands:
        scws = scws.take_bands(bands)
    run = _sample(
        model,
        scws,
        out,
        response=ImageResponse.from_fits(response) if response else None,
        crab_rate=rates,
        auto=AUTO in extras,
        **settings,
    )
    _report(run, extras_words(run.record.get(AUTO, ())))
    end_with(run)


def _of_spectra(name: str, build: Callable[..., Model], redistribution: str | None) -> dict[str, str]:
    """Return the options of a model that has a spectrum within the bands."""
    if redistribution is None:
        return {}
    if "redistribution" not in inspect.signature(build).parameters:
        raise InputError(
            f"redistribution=...: the model '{name}' has no spectrum within its bands: give --model spectrum "
            "or --model whitedwarf, or leave out redistribution=... here and give it to ridgebayes fitspec"
        )
    return {"redistribution": redistribution}


@click.command(short_help="Fit a bundled simulated mission, and compare with the truth")
@prior_options
@sampling_options
@run_out_option(Path("runs/demo"))
def demo(priors: tuple[str, ...], prior_file: Path | None, out: Path, **settings: Any) -> None:
    """Fit the bundled simulated mission in three bands and compare the result with the truth.

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
    model = change_priors(models.regions(skies.load("milkyway")), priors, prior_file)
    click.echo(f"{model}\n")
    _report(_sample(model, scws, out, **settings))


@click.command(short_help="Continue a fit that was interrupted")
@run_argument
@scws_option
@max_time_option
@scheduler_option
@workers_option
@quiet_option
def resume(run: Path, scws: Path | None, quiet: bool, **options: Any) -> None:
    """Continue a fit that was interrupted; the result is the same as without it. Exit codes as of `fit`.

    \b
    Example:  ridgebayes resume runs/first
    """
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.runs.sampling import resume as go_on

    use_compilation_cache()
    with said_at_the_end():
        result = _drawn(go_on(run, scws=scws, progress=not quiet, **options))
    _report(result)
    end_with(result)


@click.command(short_help="Bring a fit up to date with new ScWs")
@run_argument
@table_argument
@scws_option
@max_time_option
@scheduler_option
@workers_option
@run_out_option()
def update(run: Path, file: Path, quiet: bool, **options: Any) -> None:
    """Bring a fit up to date with a table of new ScWs (alone, or with the old ones).

    The exit code is 3 if the chains did not converge.

    \b
    Example:  ridgebayes update runs/first new_revolutions.fits --out runs/second
    """
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.runs.run import Run
    from ridgebayes.runs.update import CHAINS
    from ridgebayes.runs.update import update as bring_up_to_date

    use_compilation_cache()
    old = Run.open(run)
    with said_at_the_end():
        result = _drawn(bring_up_to_date(old, file, progress=not quiet, **options))
    told = result.record["update"]
    lines = [counted(told["new_scws"], "new ScW")]
    for part, how in told["how"].items():
        worth = f"worth {told['efficiency'][part]:.0%} of them, Pareto k {told['pareto_k'][part]:.2f}"
        lines.append(f"{part}: {how}" + (f" ({worth})" if how != CHAINS else ""))
    _report(result, lines)
    end_with(result)


def _sample(model: Any, scws: Any, out: Path, *, quiet: bool, auto: bool = False, **keywords: Any) -> Any:
    """Sample, write the run directory with its figures, and return the run."""
    from ridgebayes.checks.automatic import sample_auto
    from ridgebayes.runs.compilation import use_compilation_cache
    from ridgebayes.runs.sampling import sample as sample_once

    use_compilation_cache()
    sample = sample_auto if auto else sample_once
    with said_at_the_end():
        return _drawn(sample(model, scws, out=out, progress=not quiet, **keywords))


def _drawn(run: Any) -> Any:
    """Add the figures to a run directory."""
    from ridgebayes.plots.figures import write_figures
    from ridgebayes.runs.run import FIGURES

    write_figures(run, run.path / FIGURES)
    return run


def _report(run: Any, lines: Iterable[str] = ()) -> None:
    """Print a short table, the files, the warnings, the verdict and what to do next."""
    from ridgebayes.inference.advice import together
    from ridgebayes.products import CXB_NOTE, format_table
    from ridgebayes.runs.intensity import calibration_words, main_regions
    from ridgebayes.runs.run import TABLE

    table = run.table()
    shown = main_regions(table)
    click.echo(format_table(shown, simulated=run.simulated))
    if len(shown) < len(table):
        click.echo(f"… {len(table) - len(shown)} more rows, of the other regions, in {run.path / TABLE}")
    click.echo(f"\n{CXB_NOTE}")
    seconds = sum(run.record["seconds"].values())
    click.echo(f"{run.diagnosis.in_short}; {seconds:.0f} s, {run.record['peak_memory_gib']:.1f} GiB")
    click.echo(calibration_words(run))
    for line in lines:
        click.echo(line)
    click.echo(f"wrote {run.path}: posterior.nc, intensity.ecsv, scws.fits, run.toml, figures/")
    unseen = run.record["data"]["unseen_regions"]
    for region in unseen:
        click.echo(f"WARNING: no ScW sees {region}: its intensity is prior only")
    for warning in run.diagnosis.warnings:
        click.echo(f"WARNING: {warning}")
    verdict = run.verdict + (f"; prior only: {counted(len(unseen), 'region')}" if unseen else "")
    click.echo(f"verdict: {verdict}")
    more = together(finding.advice for finding in run.diagnosis.failures)
    if more:
        say_next((_again(more), "the same fit, longer"))
        return
    say_next(
        (f"ridgebayes check {run.path}", "do the data look like data of the model?"),
        (f"ridgebayes report {run.path}", "one page about the run"),
    )


def _again(more: dict[str, int]) -> str:
    """Return the command that repeats the fit with more draws or chains."""
    known = {parameter.name for parameter in click.get_current_context().command.params}
    if known >= {*more, "overwrite"}:
        return same_command(**more, overwrite=True, max_time=None)
    return "ridgebayes fit … " + " ".join(f"--{name} {number}" for name, number in more.items())
