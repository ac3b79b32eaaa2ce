"""The figures of a report, as data within the page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ridgebayes.errors import InputError
from ridgebayes.outputs import PRODUCTS
from ridgebayes.outputs.product import SECTIONS, Section, Shown
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


def product_figures(run: Run) -> dict[Section, list[Figure]]:
    """Draw the figures of the products: section of the report → figures; sections with figures only."""
    figures: dict[Section, list[Figure]] = {section: [] for section in SECTIONS}
    for product in PRODUCTS.values():
        figures[product.section] += [_made(shown, run) for shown in product.shown]
    return {section: found for section, found in figures.items() if found}


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


def _made(shown: Shown, run: Run) -> Figure:
    with TemporaryDirectory() as folder:
        try:
            path = write_figure(lambda: shown.draw(run), Path(folder) / "it.png")
            return Figure(shown.name, shown.caption, embedded(path))
        except InputError as error:
            return Figure(shown.name, shown.caption, missing=str(error))
