"""FOV flux of regions, posterior beside classical and published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ridgebayes.outputs.product import File, Message, Part, Product, Writes

if TYPE_CHECKING:
    from astropy.table import QTable

    from ridgebayes.outputs.steps import Options, Step
    from ridgebayes.runs.run import Run


def flux(
    run: Run,
    sky: str | None = None,
    no_classical: bool = False,
    crab_spectrum: str | None = None,
    scws: Path | None = None,
) -> Iterator[Part]:
    """FOV flux in every region: posterior, classical estimate, published value; ECSV and LaTeX.

    \b
    Examples:
      ridgebayes flux runs/first
      ridgebayes flux runs/first --sky my_regions.toml --crab-spectrum norm=9.7,index=2.1
    """
    from ridgebayes import sky as skies
    from ridgebayes.classical import fluxes
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.outputs.beside import classical_calibration
    from ridgebayes.products.flux import flux_table, format_fluxes, latex
    from ridgebayes.runs.intensity import main_regions, need_sky

    crab = read_crab(crab_spectrum)
    yield Writes(["flux.ecsv"])
    need_sky(run)
    regions = run.sky if sky is None else skies.load(sky)
    calibration = None if no_classical else classical_calibration(run, scws)
    beside = None if calibration is None else fluxes(calibration, regions)
    table = flux_table(run, regions, crab=crab, classical=beside)
    yield File("flux.ecsv", table)
    yield File("flux.tex", latex(table))
    shown = main_regions(table)
    lines = [format_fluxes(shown)]
    if len(shown) < len(table):
        lines.append(f"… {len(table) - len(shown)} more rows, of the other regions, in {{folder}}/flux.ecsv")
    yield Message("\n".join([*lines, f"for the Crab: {crab.describe()}"]))


def _exported(run: Run, options: Options) -> Iterable[Step]:
    from ridgebayes.classical import fluxes
    from ridgebayes.outputs.steps import table
    from ridgebayes.products.flux import flux_table

    def make() -> QTable:
        beside = None if options.calibration is None else fluxes(options.calibration, run.sky)
        return flux_table(run, crab=options.crab, classical=beside)

    what = "FOV flux of every region and band, mCrab and erg/s/cm²"
    return [table(run, "fov_flux", what, make, "FOV flux", "mCrab")]


FLUX = Product(
    "flux",
    "FOV flux of every region, beside published values",
    flux,
    ("sky", "no_classical", "crab_spectrum", "scws"),
    next=("ridgebayes longitude-profile {run}", "the plane along longitude"),
    exported=_exported,
)
