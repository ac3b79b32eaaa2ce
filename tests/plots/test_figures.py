"""Whole figures: what a run directory gets, marked and legible."""

from itertools import combinations

import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.table import QTable
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ridgebayes.errors import InputError
from ridgebayes.plots import figures, paper, style
from ridgebayes.plots import fit as plots
from ridgebayes.plots.figures import write_figures
from ridgebayes.plots.fitspec import fitspec_figure
from ridgebayes.plots.profile import fov_figure
from ridgebayes.plots.spectrum import spectrum_figure
from ridgebayes.plots.style import chosen_bands
from ridgebayes.products import fitspec
from ridgebayes.products.latitude import latitude_profile
from ridgebayes.products.profile import fov_profile
from ridgebayes.products.spectrum import spectrum
from ridgebayes.runs.intensity import MCRAB
from ridgebayes.runs.run import Run
from tests.helpers.synthetic_run import REGIONS, make_run, off_the_plane
from tests.products.test_fitspec import made
from tests.products.test_latitude import run as latitude_run  # noqa: F401


def marks(figure):
    return [text.get_text() for text in figure.texts if text.get_gid() == "mark"]


ALL_FIGURES = {"longitude_profile", "longitude_profile_fov", "residuals", "background", "crab", "predictive",
               "traces"}  # fmt: skip


def test_marks_stand_once_on_a_figure():
    run = make_run(1, warnings=["ESS"])
    figure = Figure()
    for ax in figure.subplots(1, 2):
        plots.background(run, "E01", ax)
    assert marks(figure) == ["simulated data, not converged: E01"]
    inner = figure.subfigures(1, 1).add_subplot()
    plots.background(run, "E01", inner)
    assert len(marks(figure)) == 1
    quiet = plots.background(make_run(1, simulated=False), "E01", Figure().add_subplot())
    assert marks(quiet.figure) == []


def test_chosen_bands():
    assert chosen_bands(make_run(3)) == ["E01", "E02", "E03"]
    assert chosen_bands(make_run(11), 6) == ["E01", "E03", "E05", "E07", "E09", "E11"]


def overlaps(figure):
    """Pairs of texts that overlap, and texts that leave the page."""
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    hidden = set()  # the labels of ticks beyond the axis
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
    drawn = [(t, t.get_window_extent()) for t in texts if t not in hidden]
    page = figure.bbox
    out = [t.get_text() for t, b in drawn
           if b.x0 < -1 or b.y0 < -1 or b.x1 > page.x1 + 1 or b.y1 > page.y1 + 1]  # fmt: skip
    pairs = [(a.get_text(), b.get_text()) for (a, x), (b, y) in combinations(drawn, 2)
             if min(x.x1, y.x1) - max(x.x0, y.x0) > 1 and min(x.y1, y.y1) - max(x.y0, y.y0) > 1]  # fmt: skip
    return out + pairs


def covered(figure):
    """Texts over an error bar, an interval or a bar of a band."""
    figure.draw_without_rendering()
    found = []
    for ax in figure.axes:
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        boxes = [(t.get_text(), t.get_window_extent()) for t in texts]
        for bars in ax.collections:
            if not isinstance(bars, LineCollection):
                continue
            for ends in bars.get_segments():
                (x0, y0), (x1, y1) = bars.get_transform().transform(ends)[[0, -1]]
                bar = Bbox([[min(x0, x1), min(y0, y1)], [max(x0, x1), max(y0, y1)]])
                bar = Bbox.intersection(bar, ax.bbox)
                found += [text for text, box in boxes if bar is not None and bar.overlaps(box)]
    return found


def points_at(x):
    """Averages of ScWs at some places, high at both ends of the axis."""
    flux = 300.0 * np.linspace(-1.0, 1.0, len(x)) ** 2 * MCRAB
    band = ["E01"] * len(x)
    return QTable({"lon": x * u.deg, "lat": x * u.deg, "band": band, "flux": flux, "error": 0.2 * flux})


@pytest.mark.parametrize("column", ["single", "double"])
def test_no_text_over_error_bars_of_profiles(latitude_run, column):  # noqa: F811
    run, lon = latitude_run, np.arange(-175.0, 176.0, 10.0)
    with matplotlib.style.context(style.STYLE, after_reset=True):
        drawn = [figures._figures(run)["longitude_profile"](run)]
        along = fov_profile(run, step=10.0)
        drawn.append(fov_figure(run, along, points_at(lon)))
        drawn.append(paper.longitude_figure(run, "E01", along, points_at(lon), column))
        across = latitude_profile(run)
        drawn.append(paper.latitude_figure(run, "E01", across, points_at(np.linspace(-19, 19, 9)), column))
        for place, figure in enumerate(drawn):
            assert any(isinstance(c, LineCollection) for c in figure.axes[0].collections)
            assert covered(figure) == [], place
            assert overlaps(figure) == [], place


@pytest.mark.slow
@pytest.mark.parametrize("column", ["single", "double"])
def test_no_text_over_error_bars_of_spectra(column):
    run = made()
    result = fitspec.fit_region(fitspec.region_spectrum(run, "GB"), "cutoff+powerlaw", draws=100)
    with matplotlib.style.context(style.STYLE, after_reset=True):
        for figure in (spectrum_figure(run, spectrum(run, "GB")), paper.spectrum_figure(run, result, column),
                       fitspec_figure(run, result)):  # fmt: skip
            assert any(isinstance(c, LineCollection) for c in figure.axes[0].collections)
            assert covered(figure) == []
            assert overlaps(figure) == []


@pytest.mark.parametrize(
    ("bands", "names"),
    [
        (1, {"traces"}),
        (4, {"longitude_profile", "background"}),
        (30, {"residuals", "predictive"}),
    ],
)
@pytest.mark.slow
def test_no_text_overlaps(bands, names):
    def change(groups):
        off_the_plane(groups)
        groups["observed_data"]["revolution_rate"][:, 3] = 500.0

    run = make_run(bands, change=change, warnings=["ESS"])
    with matplotlib.style.context(style.STYLE, after_reset=True):
        made = figures._figures(run)
        for name in names:
            figure = made[name](run)
            assert overlaps(figure) == [], name
            assert min(t.get_fontsize() for t in figure.findobj(Text)) >= 7
            assert len(figure.axes) == (16 if name == "traces" else min(bands, 6))
            assert ("6 of 30 bands" in figure.get_suptitle()) is (bands == 30)


@pytest.mark.parametrize(("simulated", "warnings", "mark"), [(True, [], ["simulated data"]), (False, [], [])])
def test_every_figure_is_marked(simulated, warnings, mark):
    run = make_run(1, simulated=simulated, warnings=warnings, change=off_the_plane)
    made = figures._figures(run)
    assert set(made) == ALL_FIGURES | {"other_regions", "other_regions_fov"}
    for name, make in made.items():
        assert marks(make(run)) == mark, name


@pytest.mark.slow
def test_figures_of_a_run_directory(tmp_path):
    """From the directory alone, without touching what the caller has set in Matplotlib."""
    saved = make_run(1).save(tmp_path / "run")
    before = dict(matplotlib.rcParams)
    written = write_figures(Run.open(saved.path), saved.path / "figures")
    assert dict(matplotlib.rcParams) == before
    assert {path.stem for path in written} == ALL_FIGURES
    assert {path.name for path in (saved.path / "figures").iterdir()} == {path.name for path in written}
    image = matplotlib.image.imread(next(p for p in written if p.stem == "background"))
    assert image.shape[1] == pytest.approx(180 / 25.4 * 200, abs=1)
    # The mark: upper right corner, in its own colour.
    corner = image[: image.shape[0] // 15, -image.shape[1] // 4 :, :3].reshape(-1, 3)
    assert np.abs(corner - to_rgb(plots.VERMILLION)).max(1).min() < 0.02


def test_regions_all_off_the_plane_have_no_longitude_profile():
    def change(groups):
        groups["constant_data"] = groups["constant_data"].assign(lat=("region", np.full(REGIONS, 40.0)))

    names = set(figures._figures(make_run(1, change=change)))
    assert names == ALL_FIGURES - {"longitude_profile", "longitude_profile_fov"} | {
        "other_regions", "other_regions_fov"}  # fmt: skip


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_figures(make_run(1), tmp_path / "file")
