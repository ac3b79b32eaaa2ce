"""``ridgebayes simulate``: a mission with known truth."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from ridgebayes.errors import InputError


@click.command()
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
    """Simulate a mission with known truth; all that is made from it is marked as simulated.

    \b
    Example:  ridgebayes simulate --revolutions 300 --world outliers --out mission.fits
    """
    if out.exists() and not overwrite:
        raise InputError(f"{out}: exists already: choose another --out, or --overwrite it")
    from ridgebayes import simulate as sim
    from ridgebayes import sky as skies
    from ridgebayes.table.formats import write_scws

    world = sim.World.on(*switches)
    regions = skies.load(sky)
    if source:
        programme = sim.read_programme(source, dither_deg=dither, seed=seed)
        if revolutions:
            programme = thinned(programme, revolutions)
    else:
        programme = sim.programme(revolutions, stop=2740, seed=seed)
    truth = sim.Truth(bands=sim.BANDS if n_bands is None else _narrow_bands(n_bands))
    scws = sim.mission(programme, truth, sky=regions, world=world, seed=seed)
    write_scws(scws, out, overwrite=overwrite)
    click.echo(f"{out}: {len(scws)} simulated ScWs in {len(scws.bands)} bands")


def thinned(programme: Any, revolutions: int) -> Any:
    """Keep so many revolutions of a programme, spread evenly."""
    import numpy as np

    present = np.unique(programme.revolution)
    kept = present[np.linspace(0, present.size - 1, min(revolutions, present.size)).astype(int)]
    return programme.select(np.isin(programme.revolution, kept))


def _narrow_bands(n: int) -> tuple:
    """Bands of equal width in log energy, 20–200 keV."""
    import numpy as np

    from ridgebayes.table.scw import Band

    if n < 1:
        raise InputError(f"--bands {n}: give at least one")
    edges = np.geomspace(20.0, 200.0, n + 1).round(3)
    return tuple(Band(f"E{k + 1:02d}", lo, hi) for k, (lo, hi) in enumerate(pairwise(edges)))
