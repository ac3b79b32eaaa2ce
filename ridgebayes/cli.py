"""The command line: ``ridgebayes COMMAND``.

Exit code 0 on success, 2 for input a user can mend (one line on stderr), 1 for anything else; `--debug`
shows where it came from.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from ridgebayes.errors import InputError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Commands(click.Group):
    """A group whose unknown commands and errors read well."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"ridgebayes: {error}", err=True)
            ctx.exit(2)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("ridgebayes: interrupted, nothing was written", err=True)
            ctx.exit(130)
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            reason = str(error).splitlines()[0] if str(error) else ""
            click.echo(f"ridgebayes: {type(error).__name__}: {reason} (--debug shows where)", err=True)
            ctx.exit(1)


@click.group(cls=_Commands, context_settings=CONTEXT)
@click.option("--debug", is_flag=True, help="Show tracebacks and debugging messages.")
@click.version_option(package_name="ridgebayes")
def main(debug: bool) -> None:
    r"""Measure the Galactic diffuse hard X-ray emission with INTEGRAL/IBIS/ISGRI.

    \b
    Start with:  ridgebayes demo
    Then:        ridgebayes inspect FILE,  ridgebayes fit FILE --out runs/first
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)
    logging.getLogger("ridgebayes").setLevel(logging.DEBUG if debug else logging.INFO)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def inspect(file: Path) -> None:
    r"""Print what is in a ScW rate table, and what looks suspicious.

    \b
    Example:  ridgebayes inspect scws.fits
    """
    from ridgebayes.scw import read_scws
    from ridgebayes.summary import summary

    click.echo(summary(read_scws(file)))


def sampling_options(command: Callable) -> Callable:
    """Options of every command that samples."""
    options = [
        click.option("--chains", default=4, show_default=True, help="Chains."),
        click.option("--warmup", default=150, show_default=True, help="Adaptive draws a chain, not kept."),
        click.option("--draws", default=700, show_default=True, help="Draws a chain to keep."),
        click.option("--seed", default=0, show_default=True, help="Everything random follows from it."),
        click.option("--target-accept", default=0.8, show_default=True, help="Acceptance NUTS aims at."),
        click.option("--workers", type=int, help="Chains at a time [default: the cores]."),
        click.option("--overwrite", is_flag=True, help="Replace an existing run directory."),
        click.option("--quiet", is_flag=True, help="No progress bar."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run directory to write.")
@click.option("--model", "name", default="regions", show_default=True, help="Model, as in models/.")
@click.option("--sky", default="milkyway", show_default=True, help="Shipped region set, or a TOML file.")
@click.option("--band", "bands", multiple=True, help="Only this band (repeat for more) [default: all].")
@click.option("--prior", "priors", multiple=True, metavar="NAME=PRIOR", help="Change a prior (repeatable).")
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
    priors: tuple[str, ...],
    response: Path | None,
    crab_rates: tuple[str, ...],
    **settings: Any,
) -> None:
    r"""Sample the posterior of a model given a ScW rate table.

    \b
    Examples:
      ridgebayes fit scws.fits --out runs/first
      ridgebayes fit scws.fits --out runs/tight --band A01 --prior 'background.scatter=HalfNormal(0.02)'
    """
    from ridgebayes.run import check_free

    check_free(out, overwrite=settings["overwrite"])
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.response import ImageResponse
    from ridgebayes.scw import read_scws

    build = models.find(name)
    model = build(skies.load(sky)).with_priors(_pairs(priors, "--prior"))
    rates = {
        band: _number(value, f"--crab-rate {band}")
        for band, value in _pairs(crab_rates, "--crab-rate").items()
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


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
@sampling_options
def demo(out: Path, **settings: Any) -> None:
    r"""Fit the bundled simulated mission in three bands and show the result beside the truth.

    \b
    Example:  ridgebayes demo --overwrite
    """
    from ridgebayes.run import check_free

    check_free(out, overwrite=settings["overwrite"])
    from ridgebayes import models, sky as skies  # noqa: I001
    from ridgebayes.scw import read_scws
    from ridgebayes.summary import summary

    with as_file(files("ridgebayes.data") / "demo.fits") as path:
        scws = read_scws(path)
    click.echo(summary(scws) + "\n")
    model = models.regions(skies.load("milkyway"))
    click.echo(f"{model}\n")
    _report(_sample(model, scws, out, **settings))


def _sample(model: Any, scws: Any, out: Path, *, quiet: bool, **keywords: Any) -> Any:
    """Sample, write the run directory with its figures, and return the run."""
    from ridgebayes.figures import write_figures
    from ridgebayes.run import FIGURES
    from ridgebayes.sampling import sample, use_compilation_cache

    use_compilation_cache()
    run = sample(model, scws, out=out, progress=not quiet, **keywords)
    assert run.path is not None
    write_figures(run, run.path / FIGURES)
    return run


def _report(run: Any) -> None:
    """Print the intensity table, the warnings and where things are."""
    from ridgebayes.products import CXB_NOTE, format_table

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
    click.echo(f"run: {run.path} (posterior.nc, intensity.ecsv, run.toml, figures/)")


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="ScW table to write (.fits, .ecsv)."
)
@click.option(
    "--programme",
    "source",
    type=click.Path(path_type=Path),
    help="Pointings from a table with scw, rev and positions [default: generated].",
)
@click.option(
    "--dither",
    default=2.5,
    show_default=True,
    help="With --programme: scatter its positions by up to this, degrees.",
)
@click.option("--revolutions", type=int, help="How many revolutions, spread over the mission [default: all].")
@click.option(
    "--bands", "n_bands", type=int, help="This many bands from 20 to 200 keV [default: the published three]."
)
@click.option("--sky", default="milkyway", show_default=True, help="Regions for which the truth is recorded.")
@click.option(
    "--world",
    "switches",
    multiple=True,
    metavar="SWITCH",
    help="What the model does not know (repeatable): outliers, correlated_noise, wrong_template, "
    "transients, crab_step, noisy_tracer.",
)
@click.option("--seed", default=0, show_default=True, help="Everything random follows from it.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def simulate(
    out: Path,
    source: Path | None,
    dither: float,
    revolutions: int | None,
    n_bands: int | None,
    sky: str,
    switches: tuple[str, ...],
    seed: int,
    overwrite: bool,
) -> None:
    r"""Simulate a mission with known truth; all that is made from it is marked as simulated.

    \b
    Example:  ridgebayes simulate --revolutions 300 --world outliers --out mission.fits
    """
    if out.exists() and not overwrite:
        raise InputError(f"{out}: exists already: choose another --out, or --overwrite it")
    from ridgebayes import simulate as sim
    from ridgebayes import sky as skies
    from ridgebayes.scw import write_scws

    world = sim.World.on(*switches)
    regions = skies.load(sky)
    if source:
        programme = sim.read_programme(source, dither_deg=dither, seed=seed)
        if revolutions:
            programme = _thinned(programme, revolutions)
    else:
        programme = sim.programme(revolutions, stop=2740, seed=seed)
    truth = sim.Truth(bands=sim.BANDS if n_bands is None else _narrow_bands(n_bands))
    scws = sim.mission(programme, truth, sky=regions, world=world, seed=seed)
    write_scws(scws, out, overwrite=overwrite)
    click.echo(f"{out}: {len(scws)} simulated ScWs in {len(scws.bands)} bands")


def _thinned(programme: Any, revolutions: int) -> Any:
    """Keep so many revolutions, spread evenly."""
    import numpy as np

    present = np.unique(programme.revolution)
    kept = present[np.linspace(0, present.size - 1, min(revolutions, present.size)).astype(int)]
    return programme.select(np.isin(programme.revolution, kept))


def _narrow_bands(n: int) -> tuple:
    """Bands of equal width in log energy, 20–200 keV."""
    import numpy as np

    from ridgebayes.scw import Band

    if n < 1:
        raise InputError(f"--bands {n}: give at least one")
    edges = np.geomspace(20.0, 200.0, n + 1).round(3)
    return tuple(Band(f"E{k + 1:02d}", lo, hi) for k, (lo, hi) in enumerate(pairwise(edges)))


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(f"{option} {text}: not of the form NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{what}={text}: not a number") from None
