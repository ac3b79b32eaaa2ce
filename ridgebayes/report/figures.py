"""The figures of a report, as data within the page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure as MatplotlibFigure

from ridgebayes.errors import InputError
from ridgebayes.plots.style import write_figure
from ridgebayes.runs.run import FIGURES, Run


@dataclass(frozen=True)
class Figure:
    """A figure in a report.

    Attributes
    ----------
    name
        Short name, for links.
    caption
        What it shows, in a sentence or two.
    source
        The picture as a ``data:`` address; empty where there is none.
    missing
        Why there is none.
    """

    name: str
    caption: str
    source: str = ""
    missing: str = ""


FROM_FIT = {
    "residuals": "Residuals of the ScWs over their noise, beside the normal distribution they should have.",
    "predictive": "Mean rate of each revolution, observed and as the fitted model would produce it again.",
    "background": "Background level over the years.",
    "crab": "Rate of the Crab over the years.",
    "traces": "Chains of the parameters that were hardest to sample, then of the hyperparameters.",
    "other_regions": "Intensity of the regions off the Galactic plane.",
}
"""Figure that a fit leaves → its caption."""


def sky_figures(run: Run) -> list[Figure]:
    """Profile along the plane and spectrum of the bulge (or of the first region)."""
    return [
        _made("profile", "Intensity along the Galactic plane, with starlight scaled to it.", _profile, run),
        _made("profile_fov", "Flux that a field of view sees, along the Galactic plane.", _flux, run),
        _made(
            "spectrum",
            "Spectrum of the bulge, or of the first region where there is no bulge.",
            _spectrum,
            run,
        ),
    ]


def fit_figures(run: Run) -> Iterator[Figure]:
    """Figures that the fit left in its directory."""
    assert run.path is not None
    for name, caption in FROM_FIT.items():
        path = run.path / FIGURES / f"{name}.png"
        if path.is_file():
            yield Figure(name, caption, embedded(path))


def embedded(path: Path) -> str:
    """Return a PNG file as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _made(name: str, caption: str, make: Callable[[Run], MatplotlibFigure], run: Run) -> Figure:
    with TemporaryDirectory() as folder:
        try:
            return Figure(name, caption, embedded(write_figure(lambda: make(run), Path(folder) / "it.png")))
        except InputError as error:
            return Figure(name, caption, missing=str(error))


def _profile(run: Run) -> MatplotlibFigure:
    from ridgebayes.plots.profile import intensity_figure
    from ridgebayes.products.profile import intensity_profile

    return intensity_figure(run, intensity_profile(run))


def _flux(run: Run) -> MatplotlibFigure:
    from ridgebayes.plots.profile import fov_figure
    from ridgebayes.products.profile import fov_profile

    return fov_figure(run, fov_profile(run), None)


def _spectrum(run: Run) -> MatplotlibFigure:
    from ridgebayes.instrument.crab_spectrum import crab_spectrum
    from ridgebayes.plots.spectrum import spectrum_figure
    from ridgebayes.products import spectrum as products

    names = run.sky.names
    region = "GB" if "GB" in names else names[0]
    return spectrum_figure(run, products.spectrum(run, region, "fov", crab_spectrum(None)))
