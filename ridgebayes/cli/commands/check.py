"""``ridgebayes check``: whether the data look like data of the model."""

from __future__ import annotations

from pathlib import Path

import click

from ridgebayes.cli.commands.options import run_argument, scws_option


@click.command()
@run_argument
@scws_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write into; files of the same names are replaced [default: RUN/checks].",
)
@click.option(
    "--replicates", default=100, show_default=True, help="How many data sets of the model to compare with."
)
@click.option("--seed", default=0, show_default=True, help="Everything random follows from it.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def check(run: Path, scws: Path | None, out: Path | None, replicates: int, seed: int, quiet: bool) -> None:
    """Compare the data of a run with data that its posterior would give (posterior predictive checks).

    Says in words what does not fit and which known unknown to open (--extra of `ridgebayes fit`). Writes
    checks.ecsv and checks.json (every statistic, its p-value, the verdicts), overview.png and a figure a
    subject. How to read them: docs/checks.md.

    \b
    Examples:
      ridgebayes check runs/first
      ridgebayes check runs/first --replicates 200 --out products/checks
    """
    import sys

    from ridgebayes.checks import check as compare
    from ridgebayes.plots.checks import figures
    from ridgebayes.plots.style import write_figure
    from ridgebayes.runs.run import Run
    from ridgebayes.runs.sampling import use_compilation_cache

    opened = Run.open(run)
    use_compilation_cache()
    progress = not quiet and sys.stderr.isatty()
    checks = compare(opened, scws, draws=replicates, seed=seed, progress=progress)
    out = out or run / "checks"
    for path in checks.save(out):
        click.echo(path)
    for name, make in figures(opened, checks).items():
        click.echo(write_figure(make, out / f"{name}.png"))
    if opened.simulated:
        click.echo("SIMULATED data")
    click.echo(checks)
