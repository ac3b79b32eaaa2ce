"""The Galactic plane along longitude."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ridgebayes.outputs.product import Figure, File, Message, Part, Product, Shown, Writes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from ridgebayes.outputs.steps import Options, Step
    from ridgebayes.runs.run import Run

NAME = "longitude_profile"


def longitude_profile(run: Run, no_classical: bool = False, scws: Path | None = None) -> Iterator[Part]:
    """Intensity and FOV flux against Galactic longitude, with starlight scaled to them.

    \b
    Examples:
      ridgebayes longitude-profile runs/first
      ridgebayes longitude-profile runs/first --no-classical --out figures
    """
    from ridgebayes.io.product_tables import write_ecsv
    from ridgebayes.outputs.beside import classical_profile
    from ridgebayes.plots import profile as plots
    from ridgebayes.products.profile import fov_profile, intensity_profile

    yield Writes([f"{NAME}.ecsv"])
    intensity, flux = intensity_profile(run), fov_profile(run)
    points = None if no_classical else classical_profile(run, scws)
    yield File(f"{NAME}.ecsv", intensity)
    yield File(f"{NAME}_fov.ecsv", flux)
    if points is not None:  # of the data, not of the run: its provenance is not that of the run
        yield File(f"{NAME}_classical.ecsv", partial(write_ecsv, points))
    yield Figure(NAME, lambda: plots.intensity_figure(run, intensity))
    yield Figure(f"{NAME}_fov", lambda: plots.fov_figure(run, flux, points))
    yield Message(_summary(flux))


def _summary(flux: Any) -> str:
    """Lay out the largest FOV flux and the norm of the starlight of each band."""
    lines = [f"{'band':<8}{'largest FOV flux':>26}{'at l':>9}  starlight"]
    for band in dict.fromkeys(flux["band"]):
        rows = flux[(flux["band"] == band) & flux["seen"]]
        if not len(rows):
            lines.append(f"{band:<8}no longitude where all regions in view are seen")
            continue
        top = rows[rows["mean"].argmax()]
        value = f"{top['mean'].value:.1f} ± {top['sd'].value:.1f} mCrab"
        lines.append(f"{band:<8}{value:>26}{top['lon'].value:>8.0f}°  {flux.meta['starlight'].get(band, '')}")
    return "\n".join(lines)


def _exported(run: Run, options: Options) -> Iterable[Step]:
    from ridgebayes.outputs.steps import table
    from ridgebayes.products.profile import fov_profile, intensity_profile

    return [
        table(run, NAME, "intensity against longitude", lambda: intensity_profile(run)),
        table(run, f"{NAME}_fov", "FOV flux against longitude", lambda: fov_profile(run)),
    ]


def _intensity(run: Run) -> MatplotlibFigure:
    from ridgebayes.plots.profile import intensity_figure
    from ridgebayes.products.profile import intensity_profile

    return intensity_figure(run, intensity_profile(run))


def _flux(run: Run) -> MatplotlibFigure:
    from ridgebayes.plots.profile import fov_figure
    from ridgebayes.products.profile import fov_profile

    return fov_figure(run, fov_profile(run), None)


LONGITUDE_PROFILE = Product(
    "longitude-profile",
    "Intensity against Galactic longitude, with starlight",
    longitude_profile,
    ("no_classical", "scws"),
    next=("ridgebayes region-spectrum {run}", "the bulge over all bands"),
    figures="png",
    exported=_exported,
    shown=(
        Shown("profile", "Intensity along the Galactic plane, with starlight scaled to it.", _intensity),
        Shown("profile_fov", "Flux that a field of view sees, along the Galactic plane.", _flux),
    ),
)
