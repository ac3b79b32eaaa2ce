"""``ridgebayes simulate``: simulate a mission with known truth."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from ridgebayes.cli.commands.options import (
    programme_option,
    redistribution_option,
    seed_option,
    sky_option,
    table_out_option,
)
from ridgebayes.cli.ending import check_new, fit_command, say_next
from ridgebayes.errors import InputError, counted


@click.command(short_help="Simulate a mission with known truth")
@programme_option
@click.option(
    "--dither",
    default=2.5,
    show_default=True,
    help="With --programme: scatter its positions by up to this, degrees.",
)
@click.option(
    "--revolutions", type=int, help="Number of revolutions, spread over the mission [default: all]."
)
@click.option(
    "--n-bands",
    "n_bands",
    type=int,
    help="Number of bands from 20 to 200 keV [default: the three published bands].",
)
@click.option(
    "--hard-band",
    is_flag=True,
    help="Add a band HARD (200–600 keV), in which the Crab is the only source.",
)
@sky_option()
@click.option(
    "--world",
    "switches",
    multiple=True,
    metavar="SWITCH",
    help="Effect that the model does not include: one of the names above (repeatable).",
)
@click.option(
    "--white-dwarfs",
    "spectrum",
    nargs=3,
    type=float,
    metavar="MASS INDEX SHARE",
    help="Spectrum of the sky: white dwarfs of this mass (solar), a power law of this photon index, and the "
    "share of the former in 30-80 keV; flux in 25-60 keV as published.",
)
@redistribution_option
@seed_option
@table_out_option()
def simulate(
    programme: Path | None,
    dither: float,
    revolutions: int | None,
    n_bands: int | None,
    hard_band: bool,
    sky: str,
    switches: tuple[str, ...],
    spectrum: tuple[float, float, float] | None,
    redistribution: str | None,
    seed: int,
    out: Path,
    overwrite: bool,
) -> None:
    """Simulate a mission with known truth; all products made from it are marked as simulated.

    The truth is recorded for the regions of --sky. By default the data follow the model; --world adds:

    \b
      outliers          some ScWs, also of the Crab, are off by eight standard deviations
      correlated_noise  excess scatter is correlated in time within a revolution
      shared_noise      part of scatter and revolution terms is the same in all bands
      wrong_template    the sky is wider in latitude than the template, and shifted
      strong_bar        the Galactic bar is brighter than that of the template
      transients        sources near the plane flare up and decay
      crab_step         the detector's rate of the Crab jumps
      noisy_tracer      the background follows the true tracer, not the measured one
      everything        all of these at once

    \b
    Examples:
      ridgebayes simulate --revolutions 300 --world outliers --out mission.fits
      ridgebayes simulate --revolutions 60 --n-bands 30 --white-dwarfs 0.65 1.55 0.67 --out narrow.fits
    """
    check_new([out], overwrite=overwrite)
    if redistribution is not None and spectrum is None:
        raise InputError("redistribution=...: it needs the spectrum of the sky: --white-dwarfs")
    from ridgebayes import simulate as sim
    from ridgebayes import sky as skies
    from ridgebayes.table.formats import write_scws
    from ridgebayes.table.scw import Band

    world = sim.World.on(*switches)
    regions = skies.load(sky)
    if programme:
        pointings = sim.read_programme(programme, dither_deg=dither, seed=seed)
        if revolutions:
            pointings = thinned(pointings, revolutions)
    else:
        pointings = sim.programme(revolutions, stop=2740, seed=seed)
    bands = sim.BANDS if n_bands is None else _narrow_bands(n_bands)
    flux, told = (None, {}) if spectrum is None else _spectrum(bands, spectrum, redistribution)
    truth = sim.Truth(bands=bands, gb_fov=flux)
    if hard_band:
        seen = [*truth.values().gb_fov, 0.0]
        truth = sim.Truth(bands=(*truth.bands, Band("HARD", 200.0, 600.0)), gb_fov=seen)
    scws = sim.mission(pointings, truth, sky=regions, world=world, seed=seed)
    scws = replace(scws, truth=(scws.truth or {}) | told)
    write_scws(scws, out, overwrite=overwrite)
    click.echo(f"wrote {out}: {counted(len(scws), 'simulated ScW')} in {counted(len(scws.bands), 'band')}")
    say_next(
        (f"ridgebayes inspect {out}", "what is in it"),
        (fit_command(out), "sample the posterior"),
    )


def _spectrum(
    bands: Any, spectrum: tuple[float, float, float], redistribution: str | None
) -> tuple[Any, dict[str, Any]]:
    """Return the flux of the bulge in the bands, and the record of its spectrum."""
    from ridgebayes.instrument.redistribution import redistribution as read_redistribution
    from ridgebayes.simulate.spectra import GB_FOV
    from ridgebayes.spectra.known import bulge

    mass, index, share = spectrum
    spread = read_redistribution(redistribution) if redistribution else None
    flux = bulge(bands, GB_FOV[0], mass=mass, index=index, share=share, redistribution=spread)
    told = {"mass": mass, "index": index, "share": share, "redistribution": spread.spec if spread else ""}
    return flux, {"spectrum": told}


def thinned(programme: Any, revolutions: int) -> Any:
    """Keep this number of revolutions of a programme, spread evenly."""
    import numpy as np

    present = np.unique(programme.revolution)
    kept = present[np.linspace(0, present.size - 1, min(revolutions, present.size)).astype(int)]
    return programme.select(np.isin(programme.revolution, kept))


def _narrow_bands(n: int) -> tuple:
    """Bands of equal width in log energy, 20–200 keV."""
    import numpy as np

    from ridgebayes.table.scw import Band

    if n < 1:
        raise InputError(f"--n-bands {n}: give at least one")
    edges = np.geomspace(20.0, 200.0, n + 1).round(3)
    return tuple(Band(f"E{k + 1:02d}", lo, hi) for k, (lo, hi) in enumerate(pairwise(edges)))
