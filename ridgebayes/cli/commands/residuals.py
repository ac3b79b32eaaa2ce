"""``ridgebayes residuals``: rate less background of every ScW."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import PRODUCTS, out_option, run_argument
from ridgebayes.cli.ending import Products

NAME = "residuals"


@click.command()
@run_argument
@click.option(
    "--where",
    "region",
    type=click.Choice(["GAL", "BKG", "ALL"], case_sensitive=False),
    metavar="[GAL|BKG|ALL]",
    default="ALL",
    show_default=True,
    help="GAL: pointings at |b| up to --latitude; BKG: those beyond it; ALL.",
)
@click.option(
    "--latitude", default=20.0, show_default=True, help="Limit in |b| between GAL and BKG, degrees."
)
@click.option(
    "--table-format",
    "suffix",
    type=click.Choice(["fits", "ecsv"]),
    default="fits",
    show_default=True,
    help="FITS, or ECSV to read in an editor.",
)
@out_option()
def residuals(
    run: Path, region: str, latitude: float, suffix: str, out: Path | None, overwrite: bool
) -> None:
    """Rate less background in mCrab of every ScW, with its error, and how the residuals are distributed.

    The table has three columns a band: RES_<band> (rate less background), ERR_<band> (its error) and
    SKY_<band> (what the fit expects of the sky). ScWs that still contain the Crab are marked in the column
    CRAB and are left out of the figure.

    \b
    Examples:
      ridgebayes residuals runs/first --where GAL
      ridgebayes residuals runs/first --where BKG --latitude 30 --table-format ecsv
    """
    from ridgebayes.errors import InputError
    from ridgebayes.plots import residuals as plots
    from ridgebayes.products import residuals as products
    from ridgebayes.runs.run import Run

    name = f"{NAME}_{region}"
    files = Products(out or run / PRODUCTS, f"{name}.{suffix}", overwrite=overwrite)
    opened = Run.open(run)
    table = products.residual_table(opened, region, latitude)
    products.write_residuals(table, files.path(f"{name}.{suffix}"))
    try:
        bare = products.normalised(opened, region, latitude)
    except InputError as error:  # only Crab ScWs: the table is whole, there is nothing to draw
        click.echo(error)
        files.end((f"ridgebayes crab-history {run}", "the Crab over time"))
        return
    with_sky = products.normalised(opened, region, latitude, less_sky=False)
    title = f"Residuals of {region}: {products.described(region, latitude).replace('<=', '≤')}"
    figures = {
        "": lambda: plots.distribution_figure(opened, title, bare, with_sky=with_sky, what="residual / error")
    }
    if plots.needs_overview(opened):
        figures["_bands"] = lambda: plots.spread_figure(opened, f"{title}, sky taken off", bare)
    for part, make in figures.items():
        files.figure(f"{name}{part}.png", make)
    click.echo(_summary(opened, table, bare, with_sky))
    files.end((f"ridgebayes map {run}", "maps of the posterior and of the residuals"))


def _summary(run: Any, table: Any, bare: dict[str, Any], with_sky: dict[str, Any]) -> str:
    """Lay out how the residuals of each band are distributed."""
    from ridgebayes.products.residuals import spread

    crab = int(table["CRAB"].sum())
    lines = ["SIMULATED data"] if run.simulated else []
    lines.append(
        f"{table.meta['region']}: {table.meta['region_is']}; {len(table)} ScWs, {crab} with the Crab"
    )
    lines.append(f"{'':<8}{'residual / error':^32}{'sky taken off':^32}")
    head = f"{'mean':>9}{'rms':>8}{'beyond ±3':>12}   "
    lines.append(f"{'band':<8}{head}{head}".rstrip())
    for band in bare:
        parts = (spread(each[band]) for each in (with_sky, bare))
        text = "".join(f"{one.mean:>9.2f}{one.rms:>8.2f}{one.beyond:>12.2%}   " for one in parts)
        lines.append(f"{band:<8}{text}".rstrip())
    return "\n".join(lines)
