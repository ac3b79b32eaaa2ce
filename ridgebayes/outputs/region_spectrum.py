"""Spectra of regions over all bands: tables, figures, and files for XSPEC, Sherpa and 3ML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ridgebayes.outputs.product import Figure, File, Message, Part, Product, Shown, Writes

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.figure import Figure as MatplotlibFigure

    from ridgebayes.outputs.steps import Options, Step
    from ridgebayes.runs.run import Run


def region_spectrum(
    run: Run, names: tuple[str, ...] = (), quantity: Any = "fov", crab_spectrum: str | None = None
) -> Iterator[Part]:
    """Spectrum of a region over all bands: table, figure, OGIP file with its response.

    Each region has its own files, such as spectrum_GB.ecsv.

    \b
    Examples:
      ridgebayes region-spectrum runs/first
      ridgebayes region-spectrum runs/first --region GB --region L+20 --crab-spectrum norm=9.7,index=2.1
    """
    from ridgebayes.instrument.crab_spectrum import crab_spectrum as read_crab
    from ridgebayes.plots.spectrum import spectrum_figure
    from ridgebayes.products import spectrum as products
    from ridgebayes.products.files import file_stems

    crab = read_crab(crab_spectrum)
    chosen = products.regions(run, names)
    stems = file_stems(f"spectrum_{region}" for region in chosen)
    yield Writes([f"{stem}.ecsv" for stem in stems])
    spectra = [products.spectrum(run, region, quantity, crab) for region in chosen]
    refused: list[str] = []
    for one, stem in zip(spectra, stems, strict=True):
        yield File(f"{stem}.ecsv", products.spectrum_table(run, [one]))
        yield Figure(stem, partial(spectrum_figure, run, one))
        yield File(f"{stem}.pha", partial(products.write_ogip, run, one), refused)
    yield Message(_summary(products.spectrum_table(run, spectra)))
    if refused:
        which = f" of {len(refused)} of {len(chosen)} regions" if len(chosen) > 1 else ""
        yield Message(f"WARNING: no OGIP file{which}: {refused[0]}", marked=False)


def _summary(table: Any) -> str:
    """Lay out the spectra, the truth and published values beside them."""
    unit = str(table["mean"].unit).replace(" ", "")
    beside = [name for name in ("truth", "published") if name in table.colnames]
    head = f"{'region':<10}{'band':<8}{'keV':>11}{unit:>20}{'94 % interval':>21}{'E² dN/dE':>20}"
    lines = [head + "".join(f"{name:>11}" for name in beside)]
    for row in table:
        value = {name: getattr(row[name], "value", row[name]) for name in table.colnames}
        line = f"{value['region']:<10}{value['band']:<8}{value['E_MIN']:>5.4g}–{value['E_MAX']:<5.4g}"
        line += f"{value['mean']:>10.4g} ± {value['sd']:<7.2g}{value['lo94']:>11.4g} … {value['hi94']:<7.4g}"
        line += f"{value['e2_mean']:>10.3g} ± {value['e2_sd']:<7.2g}"
        line += "".join(f"{value[name]:>11.4g}".replace("nan", "   ") for name in beside)
        lines.append(line.rstrip() + ("" if value["seen"] else "  no ScW sees it: prior only"))
    lines.append("E² dN/dE in keV² ph/cm²/s/keV/sr; " + table.meta["crab"])
    lines.append(f"Covariance between bands: {table.meta['covariance']}")
    return "\n".join(lines)


def _exported(run: Run, options: Options) -> Iterable[Step]:
    from ridgebayes.outputs import steps
    from ridgebayes.products import spectrum as products
    from ridgebayes.products.files import file_stems

    names = options.regions or ("all",)

    def table(quantity: products.Quantity, stem: str, what: str) -> Step:
        def make() -> QTable:
            chosen = products.regions(run, names)
            made = [products.spectrum(run, name, quantity, options.crab) for name in chosen]
            return products.spectrum_table(run, made)

        about = f"{what}: mCrab, erg/s/cm², keV² ph/cm²/s/keV/sr, over the Crab; covariance between bands"
        return steps.table(run, stem, about, make)._replace(kind="spectra", name=what)

    def ogip(folder: Path) -> dict[str, str]:
        chosen = products.regions(run, names)
        for name, stem in zip(chosen, file_stems(chosen), strict=True):
            one = products.spectrum(run, name, "fov", options.crab)
            products.write_ogip(run, one, folder / f"{stem}.pha")
        return {
            "*.pha": f"FOV flux of {len(chosen)} regions, a file each: OGIP type I, mCrab, with covariance",
            "*.rsp": "the responses beside them, through which a model in ph/cm²/s/keV folds to mCrab",
        }

    return [
        table("fov", "fov_flux", "spectra of FOV flux"),
        table("intensity", "intensity", "spectra of intensity (per deg²)"),
        steps.Step("spectra", "OGIP spectra", ogip),
    ]


def _figure(run: Run) -> MatplotlibFigure:
    from ridgebayes.instrument.crab_spectrum import crab_spectrum
    from ridgebayes.plots.spectrum import spectrum_figure
    from ridgebayes.products import spectrum as products

    names = run.sky.names
    region = "GB" if "GB" in names else names[0]
    return spectrum_figure(run, products.spectrum(run, region, "fov", crab_spectrum(None)))


REGION_SPECTRUM = Product(
    "region-spectrum",
    "Spectrum of a region, also as OGIP file",
    region_spectrum,
    ("names", "quantity", "crab_spectrum"),
    next=("ridgebayes fitspec {run}{regions}", "fit white dwarfs, a cut-off, a power law to it"),
    figures="png",
    exported=_exported,
    shown=(
        Shown(
            "spectrum", "Spectrum of the region that the title names: the bulge, if the sky has one.", _figure
        ),
    ),
)
