"""All products of a run in one folder, with an index that says what each file is and how to read it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from astropy.table import QTable

from ridgebayes.classical import Calibration, fluxes
from ridgebayes.errors import InputError, nearest
from ridgebayes.instrument.crab_spectrum import CRAB, CrabSpectrum
from ridgebayes.io.atomic import check_folder, whole_file, whole_folder
from ridgebayes.io.product_tables import write_ecsv
from ridgebayes.products import provenance
from ridgebayes.products import spectrum as spectra
from ridgebayes.products.background import coefficient_table
from ridgebayes.products.crab import crab_table
from ridgebayes.products.draws import FORMATS, posterior_draws, write_draws
from ridgebayes.products.files import file_stems
from ridgebayes.products.flux import flux_table
from ridgebayes.products.mapfiles import write_maps, write_plane
from ridgebayes.products.maps import RADIUS_DEG, sky_maps
from ridgebayes.products.profile import fov_profile, intensity_profile
from ridgebayes.products.skytemplate import sky_template, write_template
from ridgebayes.products.tablefiles import latex_table, meta_lines, write_csv
from ridgebayes.runs.intensity import CXB_NOTE, need_sky
from ridgebayes.runs.run import Run
from ridgebayes.table.scw import ScWTable

logger = logging.getLogger(__name__)

KINDS = ("tables", "maps", "spectra", "draws", "template")
INDEX, SUMS = "INDEX.md", "SHA256SUMS"
DRAWS = ("intensity", "fov_flux")
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


class Exported(NamedTuple):
    """What an export holds.

    Attributes
    ----------
    files
        File, relative to the folder → what it is.
    left_out
        What a run cannot give → why.
    """

    files: dict[str, str]
    left_out: dict[str, str]


class _Step(NamedTuple):
    """One product: its name, what writes it into a folder and returns file → what it is.

    One that was `asked` for by name may not be left out.
    """

    name: str
    write: Callable[[Path], dict[str, str]]
    asked: bool = False


def export(run: Run, out: Path, options: Options | None = None, *, overwrite: bool = False) -> Exported:
    """Write the products of a run into a folder, whole or not at all.

    What a run cannot give, such as maps where the model has no sky, is left out, and the index says why.

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
        A kind, region or quantity that there is none of; a folder that exists or cannot be written; a run
        that gives nothing of what was asked for.
    """
    options = options or Options()
    out = Path(out)
    _check(run, options)
    check_folder(out, INDEX, overwrite=overwrite)
    found = Exported({}, {})
    with whole_folder(out, INDEX, overwrite=overwrite) as folder:
        for kind in KINDS:
            if kind in options.kinds:
                logger.info("%s", kind)
                (folder / kind).mkdir()
                for step in _STEPS[kind](run, options):
                    _take(step, folder / kind, kind, found)
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
    """Refuse, before anything is written, what no run could give."""
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
        raise InputError(f"every {options.every}: export one draw in 1 or more")


def _take(step: _Step, folder: Path, kind: str, found: Exported) -> None:
    """Write one product, or note why there is none."""
    try:
        files = step.write(folder)
    except InputError as error:
        if step.asked or isinstance(error.__cause__, OSError):  # a full disk is no property of the run
            raise
        found.left_out[step.name] = str(error)
        return
    found.files.update({f"{kind}/{name}": what for name, what in files.items()})


def _tables(run: Run, options: Options) -> Iterator[_Step]:
    def table(name: str, what: str, make: Callable[[], QTable], *latex: str) -> _Step:
        def write(folder: Path) -> dict[str, str]:
            made = make()
            write_ecsv(made, folder / f"{name}.ecsv")
            write_csv(made, folder / f"{name}.csv")
            files = {f"{name}.ecsv": what, f"{name}.csv": "the same"}
            if latex:
                with whole_file(folder / f"{name}.tex") as path:
                    path.write_text(latex_table(made, *latex), encoding="utf-8")
                files[f"{name}.tex"] = "the same for a paper: value ± sd or upper limit"
            return files

        return _Step(what, write)

    def intensity() -> QTable:
        need_sky(run)
        return run.table()

    def flux() -> QTable:
        beside = None if options.calibration is None else fluxes(options.calibration, run.sky)
        return flux_table(run, crab=options.crab, classical=beside)

    yield table(
        "intensity",
        "mean intensity of every region and band, mCrab/deg²",
        intensity,
        "Mean surface brightness",
        r"mCrab deg$^{-2}$",
    )
    yield table(
        "fov_flux", "FOV flux of every region and band, mCrab and erg/s/cm²", flux, "FOV flux", "mCrab"
    )
    yield table("longitude_profile", "intensity against longitude", lambda: intensity_profile(run))
    yield table("longitude_profile_fov", "FOV flux against longitude", lambda: fov_profile(run))
    yield table("crab_rate", "rate of the Crab in every revolution, cts/s", lambda: crab_table(run))
    yield table(
        "background", "background level and terms of every revolution, cts/s", lambda: coefficient_table(run)
    )


def _maps(run: Run, options: Options) -> Iterator[_Step]:
    def write(folder: Path) -> dict[str, str]:
        maps = sky_maps(run, nside=options.nside)
        write_maps(run, maps, folder / "sky_healpix.fits", RADIUS_DEG)
        write_plane(run, maps, folder / "sky_plane.fits", RADIUS_DEG)
        what = "posterior intensity (mean, sd) and residuals beside what is expected of them (mCrab)"
        return {
            "sky_healpix.fits": f"HEALPix, RING, galactic: {what}; an extension a band",
            "sky_plane.fits": f"images within 30° of the plane, with WCS: {what}; an extension each",
        }

    yield _Step("maps", write)


def _spectra(run: Run, options: Options) -> Iterator[_Step]:
    names = options.regions or ("all",)

    def table(quantity: spectra.Quantity, stem: str, what: str) -> _Step:
        def write(folder: Path) -> dict[str, str]:
            chosen = spectra.regions(run, names)
            made = [spectra.spectrum(run, name, quantity, options.crab) for name in chosen]
            both = spectra.spectrum_table(run, made)
            write_ecsv(both, folder / f"{stem}.ecsv")
            write_csv(both, folder / f"{stem}.csv")
            about = f"{what}: mCrab, erg/s/cm², keV² ph/cm²/s/keV/sr, over the Crab; covariance between bands"
            return {f"{stem}.ecsv": about, f"{stem}.csv": "the same"}

        return _Step(what, write)

    def ogip(folder: Path) -> dict[str, str]:
        chosen = spectra.regions(run, names)
        for name, stem in zip(chosen, file_stems(chosen), strict=True):
            one = spectra.spectrum(run, name, "fov", options.crab)
            spectra.write_ogip(run, one, folder / f"{stem}.pha")
        return {
            "*.pha": f"FOV flux of {len(chosen)} regions, a file each: OGIP type I, mCrab, with covariance",
            "*.rsp": "the responses beside them, through which a model in ph/cm²/s/keV folds to mCrab",
        }

    yield table("fov", "fov_flux", "spectra of FOV flux")
    yield table("intensity", "intensity", "spectra of intensity (per deg²)")
    yield _Step("OGIP spectra", ogip)


def _draws(run: Run, options: Options) -> Iterator[_Step]:
    def write(folder: Path) -> dict[str, str]:
        draws = posterior_draws(run, options.draws, crab=options.crab, scws=options.scws, every=options.every)
        files, what = {}, f"posterior draws: {', '.join(map(str, draws.data_vars))}"
        for number, suffix in enumerate(dict.fromkeys(options.formats)):
            write_draws(run, draws, folder / f"draws.{suffix}")
            files[f"draws.{suffix}"] = "the same" if number else what
        return files

    asked = tuple(options.draws) != DRAWS
    yield _Step(f"posterior draws of {', '.join(options.draws)}", write, asked)


def _template(run: Run, options: Options) -> Iterator[_Step]:
    def write(folder: Path) -> dict[str, str]:
        write_template(run, sky_template(run, options.crab), folder / "diffuse.fits")
        return {
            "diffuse.fits": "posterior mean as a diffuse sky model, ph/cm²/s/MeV/sr over energy; inside a "
            "band it has the shape of the Crab's spectrum"
        }

    yield _Step("diffuse sky model", write)


_STEPS: dict[str, Callable[[Run, Options], Iterator[_Step]]] = {
    "tables": _tables,
    "maps": _maps,
    "spectra": _spectra,
    "draws": _draws,
    "template": _template,
}


def index(run: Run, found: Exported, options: Options) -> str:
    """Say what each file of an export is, where it is from and how to read it, as Markdown."""
    meta = provenance(run)
    lines = ["# Export of a ridgebayes run", ""]
    lines += ["**SIMULATED data.**", ""] if run.simulated else []
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
