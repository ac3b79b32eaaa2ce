"""Steps of an export, which write the files of a product, and their options."""

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
        Kinds of products, from `KINDS`.
    regions
        Regions of the spectra; default: all.
    draws
        Quantities of `ridgebayes.products.draws`.
    formats
        Formats of the draws: nc, fits, csv.
    every
        Every n-th draw is exported.
    nside
        Nside of the HEALPix maps.
    crab
        Spectrum assumed for the Crab.
    scws
        The fitted table or its path, for draws that are computed from it again.
    calibration
        Calibration of the classical estimate, to compare with the FOV fluxes.

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
        One of `KINDS`: the folder to write into.
    name
        Name in the index if it is left out.
    write
        Function that writes it into that folder and returns file → description.
    asked
        Whether it was requested by name: then it may not be left out.

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
    """Return the step that writes a table of a run as ECSV, CSV and, if title and unit are given, LaTeX."""

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
    """Add to a table without provenance that of the run, and mark bands that did not converge."""
    if "origin" not in table.meta:
        table.meta = provenance(run) | table.meta
        if "band" in table.colnames and COLUMN not in table.colnames:
            mark(run, table)
    return table
