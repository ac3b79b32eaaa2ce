"""Export all products of a run to one folder, with an index that describes each file."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import NamedTuple

from astropy.table import QTable

from ridgebayes.errors import InputError, nearest
from ridgebayes.io.atomic import check_folder, whole_file, whole_folder
from ridgebayes.markup import SIMULATED
from ridgebayes.outputs import PRODUCTS
from ridgebayes.outputs.product import SECTIONS
from ridgebayes.outputs.steps import DRAWS, KINDS, Options, Step, table
from ridgebayes.products import provenance
from ridgebayes.products import spectrum as spectra
from ridgebayes.products.draws import FORMATS, posterior_draws, write_draws
from ridgebayes.products.skytemplate import sky_template, write_template
from ridgebayes.products.tablefiles import meta_lines
from ridgebayes.runs.intensity import CXB_NOTE, need_sky
from ridgebayes.runs.run import Run

logger = logging.getLogger(__name__)

INDEX, SUMS = "INDEX.md", "SHA256SUMS"
_NSIDES = tuple(2**k for k in range(8))

_READ = {
    ".ecsv": '`ridgebayes.read_table("FILE")`, `astropy.table.Table.read("FILE")`',
    ".csv": '`pandas.read_csv("FILE", comment="#")`',
    ".tex": r"`\input{FILE}`",
    ".nc": '`xarray.open_dataset("FILE")`',
    ".pha": '`sherpa.astro.ui.load_pha("FILE", use_errors=True)`, XSPEC `data FILE`',
    "healpix.fits": '`healpy.read_map("FILE", hdu=1)`, an hdu a band',
    "plane.fits": '`astropy.io.fits.open("FILE")`, DS9',
    "draws.fits": '`ridgebayes.read_table("FILE", extension="DRAWS")`, TOPCAT',
    "diffuse.fits": '`gammapy.modeling.models.TemplateSpatialModel(gammapy.maps.Map.read("FILE"), '
    "normalize=False)`, times a `PowerLawNormSpectralModel()`",
}


class Exported(NamedTuple):
    """Contents of an export.

    Attributes
    ----------
    files
        File, relative to the folder → description.
    left_out
        Product that the run cannot provide → reason.
    """

    files: dict[str, str]
    left_out: dict[str, str]


def export(run: Run, out: Path, options: Options | None = None, *, overwrite: bool = False) -> Exported:
    """Write the products of a run into a folder, whole or not at all.

    Products that the run cannot provide (such as maps, if the model has no sky) are left out; the index gives
    the reason.

    Parameters
    ----------
    run
        The run.
    out
        The folder.
    options
        What to export and how.
    overwrite
        Replace an earlier export.

    Raises
    ------
    InputError
        If a kind, region or quantity is unknown, the folder exists or cannot be written, or the run provides
        none of the requested products.
    """
    options = options or Options()
    out = Path(out)
    _check(run, options)
    check_folder(out, INDEX, overwrite=overwrite)
    found, steps = Exported({}, {}), _steps(run, options)
    with whole_folder(out, INDEX, overwrite=overwrite) as folder:
        for kind in KINDS:
            if kind in options.kinds:
                logger.info("%s", kind)
                (folder / kind).mkdir()
                for step in steps:
                    if step.kind == kind:
                        _take(step, folder / kind, found)
        if not found.files:
            raise InputError(next(iter(found.left_out.values())))
        for kind in options.kinds:
            if not any((folder / kind).iterdir()):
                (folder / kind).rmdir()
        with whole_file(folder / SUMS) as path:
            path.write_text(_sums(folder), encoding="utf-8")
        with whole_file(folder / INDEX) as path:
            path.write_text(index(run, found, options), encoding="utf-8")
    return found


def _check(run: Run, options: Options) -> None:
    """Raise an error for invalid options, before anything is written."""
    for kind in options.kinds:
        if kind not in KINDS:
            raise InputError(f"there is no '{kind}' to export{nearest(kind, KINDS)}")
    for suffix in options.formats:
        if suffix not in FORMATS:
            raise InputError(f"draws are not exported as '{suffix}'{nearest(suffix, FORMATS)}")
    if options.regions:
        spectra.regions(run, options.regions)
    if options.nside not in _NSIDES:
        raise InputError(f"nside {options.nside}: not a power of 2 up to {_NSIDES[-1]}")
    if options.every < 1:
        raise InputError(f"every {options.every}: give 1 or more")


def _take(step: Step, folder: Path, found: Exported) -> None:
    """Write one product, or note why it is left out."""
    try:
        files = step.write(folder)
    except InputError as error:
        if step.asked or isinstance(error.__cause__, OSError):  # a full disk is no property of the run
            raise
        found.left_out[step.name] = str(error)
        return
    found.files.update({f"{step.kind}/{name}": what for name, what in files.items()})


def _steps(run: Run, options: Options) -> list[Step]:
    """Return the steps: intensities, products about the sky, about the detector, draws and template."""
    products = sorted(PRODUCTS.values(), key=lambda product: SECTIONS.index(product.section))
    taken = [step for product in products if product.exported for step in product.exported(run, options)]
    return [_intensity(run), *taken, _draws(run, options), _template(run, options)]


def _intensity(run: Run) -> Step:
    def make() -> QTable:
        need_sky(run)
        return run.table()

    what = "mean intensity of every region and band, mCrab/deg²"
    return table(run, "intensity", what, make, "Mean surface brightness", r"mCrab deg$^{-2}$")


def _draws(run: Run, options: Options) -> Step:
    def write(folder: Path) -> dict[str, str]:
        draws = posterior_draws(run, options.draws, crab=options.crab, scws=options.scws, every=options.every)
        files, what = {}, f"posterior draws: {', '.join(map(str, draws.data_vars))}"
        for number, suffix in enumerate(dict.fromkeys(options.formats)):
            write_draws(run, draws, folder / f"draws.{suffix}")
            files[f"draws.{suffix}"] = "the same" if number else what
        return files

    asked = tuple(options.draws) != DRAWS
    return Step("draws", f"posterior draws of {', '.join(options.draws)}", write, asked)


def _template(run: Run, options: Options) -> Step:
    def write(folder: Path) -> dict[str, str]:
        write_template(run, sky_template(run, options.crab), folder / "diffuse.fits")
        return {
            "diffuse.fits": "posterior mean as a diffuse sky model, ph/cm²/s/MeV/sr over energy; inside a "
            "band it has the shape of the Crab's spectrum"
        }

    return Step("template", "diffuse sky model", write)


def index(run: Run, found: Exported, options: Options) -> str:
    """Return the index of an export as Markdown: description, provenance and reader of each file."""
    meta = provenance(run)
    lines = ["# Export of a ridgebayes run", ""]
    lines += [f"**{SIMULATED}.**", ""] if run.simulated else []
    lines += [f"- {line}" for line in meta_lines({k: v for k, v in meta.items() if k != "simulated"})]
    lines += [f"- {options.crab.describe()}", f"- {CXB_NOTE}", "", "| file | what it is | read it with |"]
    lines += ["|---|---|---|"]
    for name, what in found.files.items():
        read = next((how for end, how in _READ.items() if name.endswith(end)), "")
        lines.append(f"| {name} | {what} | {read.replace('FILE', name.replace('*', 'NAME'))} |")
    lines.append(f"| {SUMS} | checksums of all files | `sha256sum -c {SUMS}` |")
    if found.left_out:
        lines += ["", "Left out:", "", *(f"- {name}: {why}" for name, why in found.left_out.items())]
    return "\n".join([*lines, ""])


def _sums(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files
    )
