"""What an export takes of a product: steps that write files, and the choices that they may heed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from astropy.table import QTable

from ridgebayes.classical import Calibration
from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum
from ridgebayes.io.atomic import whole_file
from ridgebayes.io.product_tables import write_ecsv
from ridgebayes.products.tablefiles import latex_table, write_csv
from ridgebayes.runs.convergence import COLUMN, mark
from ridgebayes.runs.intensity import provenance
from ridgebayes.runs.run import Run
from ridgebayes.table.scw import ScWTable

KINDS = ("tables", "maps", "spectra", "draws", "template")
DRAWS = ("intensity", "fov_flux")


class Options(NamedTuple):
    """What to export and how.

    Attributes
    ----------
    kinds
        Of `KINDS`.
    regions
        Of the spectra; all by default.
    draws
        Quantities of `ridgebayes.products.draws`.
    formats
        Of the draws: nc, fits, csv.
    every
        One draw in so many is exported.
    nside
        Of the HEALPix maps.
    crab
        Spectrum assumed for the Crab.
    scws
        The table that was fitted, or where it is now, for draws that are computed from it again.
    calibration
        Of the classical estimate, to stand beside the FOV fluxes.

    Examples
    --------
    >>> from ridgebayes.outputs.steps import Options
    >>> options = Options(kinds=("tables",), every=4)
    >>> options.formats, options.nside
    (('nc',), 64)
    """

    kinds: Sequence[str] = KINDS
    regions: Sequence[str] = ()
    draws: Sequence[str] = DRAWS
    formats: Sequence[str] = ("nc",)
    every: int = 1
    nside: int = 64
    crab: CrabSpectrum = CRAB
    scws: ScWTable | str | Path | None = None
    calibration: Calibration | None = None


class Step(NamedTuple):
    """One part of an export.

    Attributes
    ----------
    kind
        Of `KINDS`: the folder that it is written into.
    name
        As the index names it where it is left out.
    write
        Writes it into that folder and returns file → what it is.
    asked
        It was asked for by name: it may not be left out.

    Examples
    --------
    >>> from pathlib import Path
    >>> from ridgebayes.outputs.steps import Step
    >>> def write(folder):
    ...     _ = (folder / "notes.txt").write_text("The Crab was not removed.")
    ...     return {"notes.txt": "remarks about the data"}
    >>> Step("tables", "remarks", write).write(Path())
    {'notes.txt': 'remarks about the data'}
    """

    kind: str
    name: str
    write: Callable[[Path], dict[str, str]]
    asked: bool = False


def table(run: Run, name: str, what: str, make: Callable[[], QTable], *latex: str) -> Step:
    """Return the step that writes a table of a run as ECSV, CSV and, with a title and unit, LaTeX."""

    def write(folder: Path) -> dict[str, str]:
        made = stamped(run, make())
        write_ecsv(made, folder / f"{name}.ecsv")
        write_csv(made, folder / f"{name}.csv")
        files = {f"{name}.ecsv": what, f"{name}.csv": "the same"}
        if latex:
            with whole_file(folder / f"{name}.tex") as path:
                path.write_text(latex_table(made, *latex), encoding="utf-8")
            files[f"{name}.tex"] = "the same for a paper: value ± sd or upper limit"
        return files

    return Step("tables", what, write)


def stamped(run: Run, table: QTable) -> QTable:
    """Say in a table, where it does not, which run it is from and what of it did not converge."""
    if "origin" not in table.meta:
        table.meta = provenance(run) | table.meta
        if "band" in table.colnames and COLUMN not in table.colnames:
            mark(run, table)
    return table
