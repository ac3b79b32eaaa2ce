"""Figures for a journal: width, fonts, and what is drawn."""

import re

import numpy as np
import pytest

from ridgebayes.plots import paper
from ridgebayes.plots.background import draw_level
from ridgebayes.plots.crab import draw_crab
from ridgebayes.plots.style import write_figure
from ridgebayes.products.latitude import latitude_profile
from ridgebayes.products.profile import fov_profile
from tests.products.test_fitspec import made
from tests.products.test_latitude import run as latitude_run  # noqa: F401


@pytest.fixture(scope="module")
def spectrum():
    from ridgebayes.products import fitspec

    run = made()
    return run, fitspec.fit_region(fitspec.region_spectrum(run, "GB"), "cutoff+powerlaw", draws=100)


@pytest.mark.parametrize(("column", "width"), [("single", 88), ("double", 180)])
def test_width_fonts_and_marks(latitude_run, tmp_path, column, width):  # noqa: F811
    table = latitude_profile(latitude_run)
    make = lambda: paper.latitude_figure(latitude_run, "E01", table, None, column)  # noqa: E731
    path = write_figure(make, tmp_path / "a.pdf")
    content = path.read_bytes()
    assert b"/Type3" not in content
    assert b"/FontFile2" in content  # TrueType, in the file
    box = re.search(rb"/MediaBox \[ ?0 0 ([0-9.]+) ([0-9.]+)", content)
    assert float(box[1]) == pytest.approx(width / 25.4 * 72, rel=1e-3)
    figure = make()
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "mean"]
    np.testing.assert_allclose(line.get_ydata(), table["mean"].value)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "68% interval" in legend


def test_longitude(latitude_run):  # noqa: F811
    figure = paper.longitude_figure(latitude_run, "E01", fov_profile(latitude_run, step=10.0))
    (ax,) = figure.axes
    assert [ax.get_title(loc=side) for side in ("left", "center", "right")] == ["", "", ""]
    assert "20–30 keV" in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("draw", [draw_crab, draw_level])
def test_histories_fit_a_column(small_run, draw):
    figure = paper.history_figure(small_run, draw)
    assert figure.get_figwidth() * 25.4 == pytest.approx(88)
    assert len(figure.axes) == small_run.tree["constant_data"].sizes["band"]
    for ax in figure.axes:
        assert not any(ax.get_title(loc=side) for side in ("left", "center", "right"))


@pytest.mark.slow
def test_spectrum_has_published_fluxes_and_slopes(spectrum):
    run, result = spectrum
    figure = paper.spectrum_figure(run, result)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"Krivonos 2024", "Γ = 1.55, Bouchet 2008", "Γ = 1.39, Siegert 2022"} <= set(legend)
    assert "simulated data" in [text.get_text() for text in figure.texts]
    (slope,) = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("Γ = 1.55")]
    energy, value = slope.get_data()
    assert np.log(value[1] / value[0]) / np.log(energy[1] / energy[0]) == pytest.approx(0.45)
    hard = result.fit.model[1]
    at100 = np.median(result.fit.photons(hard, np.array([100.0]))) * 1e4
    assert np.exp(np.interp(np.log(100), np.log(energy), np.log(value))) == pytest.approx(at100, rel=1e-6)
