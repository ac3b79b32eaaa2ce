"""Rate minus background of every ScW."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ridgebayes.outputs.product import Figure, File, Message, Part, Product, Writes

if TYPE_CHECKING:
    from ridgebayes.runs.run import Run


def residuals(run: Run, region: str = "ALL", latitude: float = 20.0, suffix: str = "fits") -> Iterator[Part]:
    """Rate minus background in mCrab of every ScW, with its error, and the distribution of the residuals.

    The table has three columns per band: RES_<band> (rate minus background), ERR_<band> (its error) and
    SKY_<band> (fitted rate of the sky). ScWs that contain the Crab are marked in the column CRAB and are left
    out of the figure.

    \b
    Examples:
      ridgebayes residuals runs/first --where GAL
      ridgebayes residuals runs/first --where BKG --latitude 30 --table-format ecsv
    """
    from ridgebayes.errors import InputError
    from ridgebayes.plots import residuals as plots
    from ridgebayes.products import residuals as products

    name = f"residuals_{region}"
    yield Writes([f"{name}.{suffix}"])
    table = products.residual_table(run, region, latitude)
    yield File(f"{name}.{suffix}", lambda path: products.write_residuals(table, path))
    try:
        bare = products.normalised(run, region, latitude)
    except InputError as error:  # only Crab ScWs: the table is whole, there is nothing to draw
        yield Message(str(error), marked=False, ends=("ridgebayes crab-history {run}", "the Crab over time"))
        return
    with_sky = products.normalised(run, region, latitude, less_sky=False)
    title = f"Residuals of {region}: {products.described(region, latitude).replace('<=', '≤')}"
    yield Figure(
        name,
        lambda: plots.distribution_figure(run, title, bare, with_sky=with_sky, what="residual / error"),
    )
    if plots.needs_overview(run):
        yield Figure(f"{name}_bands", lambda: plots.spread_figure(run, f"{title}, sky taken off", bare))
    yield Message(_summary(table, bare, with_sky))


def _summary(table: Any, bare: dict[str, Any], with_sky: dict[str, Any]) -> str:
    """Lay out how the residuals of each band are distributed."""
    from ridgebayes.products.residuals import spread

    crab = int(table["CRAB"].sum())
    head = f"{'mean':>9}{'rms':>8}{'beyond ±3':>12}   "
    lines = [
        f"{table.meta['region']}: {table.meta['region_is']}; {len(table)} ScWs, {crab} with the Crab",
        f"{'':<8}{'residual / error':^32}{'sky taken off':^32}",
        f"{'band':<8}{head}{head}".rstrip(),
    ]
    for band in bare:
        parts = (spread(each[band]) for each in (with_sky, bare))
        text = "".join(f"{one.mean:>9.2f}{one.rms:>8.2f}{one.beyond:>12.2%}   " for one in parts)
        lines.append(f"{band:<8}{text}".rstrip())
    return "\n".join(lines)


RESIDUALS = Product(
    "residuals",
    "Rate minus background of every ScW, in mCrab",
    residuals,
    (
        click.option(
            "--where",
            "region",
            type=click.Choice(["GAL", "BKG", "ALL"], case_sensitive=False),
            metavar="[GAL|BKG|ALL]",
            default="ALL",
            show_default=True,
            help="GAL: pointings at |b| up to --latitude; BKG: the other pointings; ALL: all pointings.",
        ),
        click.option(
            "--latitude", default=20.0, show_default=True, help="Limit in |b| between GAL and BKG, degrees."
        ),
        click.option(
            "--table-format",
            "suffix",
            type=click.Choice(["fits", "ecsv"]),
            default="fits",
            show_default=True,
            help="Format of the table: FITS, or ECSV to read in an editor.",
        ),
    ),
    next=("ridgebayes map {run}", "maps of the posterior and of the residuals"),
    calibrated=False,
    section="Detector",
)
