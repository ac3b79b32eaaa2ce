"""Figures of sky maps: what is shown is where it is."""

from dataclasses import replace

import matplotlib.style
import numpy as np
import pytest

from ridgebayes.plots import maps as plots
from ridgebayes.plots import style
from ridgebayes.products.maps import sky_maps
from tests.helpers.map_run import NSIDE, draws, maps, pixel, run, scws, sky
from tests.helpers.sky_run import sky_run

__all__ = ["draws", "maps", "run", "scws", "sky"]  # fixtures


def draw(make):
    with matplotlib.style.context(style.STYLE, after_reset=True):
        return make()


@pytest.mark.parametrize("plane", [False, True])
def test_figures(run, maps, plane):
    intensity = draw(lambda: plots.intensity_figure(run, maps, plane=plane))
    residual = draw(lambda: plots.residual_figure(run, maps, 2.0, plane=plane))
    labels = [ax.get_xlabel() for f in (intensity, residual) for ax in f.axes]
    assert labels.count("Intensity [mCrab/deg²]") == labels.count("Rate less background [mCrab]") == 2
    assert labels.count("Posterior sd [mCrab/deg²]") == labels.count("Posterior FOV flux [mCrab]") == 2
    for figure in (intensity, residual):
        assert [t.get_text() for t in figure.texts if t.get_gid() == "mark"] == ["simulated data"]
        assert min(t.get_fontsize() for t in figure.findobj(matplotlib.text.Text)) >= 7
    assert "no ScW points within 2°" in [t.get_text() for t in residual.legends[0].get_texts()]
    assert [t.get_text() for t in intensity.legends[0].get_texts()] == ["in no region"]


@pytest.mark.parametrize("plane", [False, True])
def test_picture_shows_the_map_where_it_is(run, maps, plane):
    """East is to the left; the pixel of the picture at a position has the map's value there."""
    ax = plots.intensity_figure(run, maps[:1], plane=plane).axes[0]
    image = ax.images[-1].get_array()
    scale = (lambda lon: lon) if plane else (lambda lon: lon * 4 * np.sqrt(2) / np.pi / 2)
    step = 0.25 if plane else 0.45
    for lon in (10.0, -10.0):
        column = round((image.shape[1] - 1) / 2 - scale(lon) / step)
        got = image[image.shape[0] // 2, column]
        assert got == pytest.approx(maps[0].intensity[pixel(lon, 0)], rel=0.02)
    low, high = ax.images[-1].get_clim()
    assert -low == high == pytest.approx(np.nanmax(np.abs(maps[0].intensity)))


def test_graticule_is_labelled_where_it_is(run, maps):
    ax = plots.intensity_figure(run, maps[:1]).axes[0]
    at = {t.get_text(): t.get_position() for t in ax.texts if t.get_gid() == "graticule"}
    middle = np.mean(ax.get_xlim())
    assert at["l = 0°"][0] == pytest.approx(middle)
    assert at["+120°"][0] < middle < at["−120°"][0]


def test_unseen_regions_are_grey(sky, draws, scws):
    run = sky_run(sky, draws, scws=scws, unseen=["east"])
    figure = plots.intensity_figure(run, sky_maps(run, nside=NSIDE, bands=["E01"]), plane=True)
    grey, image = figure.axes[0].images
    where = (image.get_array().shape[0] // 2, round((90 - 10) / 0.25))
    assert grey.get_array()[where] == 1
    assert grey.cmap(0)[:3] == pytest.approx(matplotlib.colors.to_rgb(plots.EMPTY))
    assert image.get_array().mask[where]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "seen by no ScW: prior only", "in no region"]  # fmt: skip


def test_sky_in_no_region_is_hatched_and_named_where_it_shows(run, maps):
    """Light grey would be taken for an intensity near zero."""
    figure = plots.intensity_figure(run, maps[:1])
    ax = figure.axes[0]
    (lines,) = ax.collections[:1]
    assert lines.hatches == [plots.HATCH]
    nowhere = np.isnan(ax.images[-1].get_array().filled(np.nan))
    middle = round((ax.images[-1].get_array().shape[1] - 1) / 2)
    column = np.flatnonzero(nowhere[:, middle])
    for row in (column[len(column) // 2 // 2], column[-1]):
        assert lines.get_paths()[0].contains_point((middle, row))
    handle = figure.legends[0].legend_handles[0]
    assert handle.get_hatch() == plots.HATCH
    # All of this cut-out is in a region.
    whole = replace(
        maps[0], intensity=np.nan_to_num(maps[0].intensity), centre_sd=np.nan_to_num(maps[0].centre_sd)
    )
    assert not plots.intensity_figure(run, [whole], plane=True).legends


def test_a_region_hardly_seen_sets_no_scale(sky, draws, scws):
    wild = draws.copy()
    wild[:, :, 3] = 400 * (draws[:, :, 3] - draws[:, :, 3].mean(0)) + 7
    (one,) = sky_maps(sky_run(sky, wild, scws=scws), nside=NSIDE, bands=["E01"])
    assert one.loose[pixel(60, 50)]
    assert not one.loose[pixel(10, 0)]
    mean, sd = plots.intensity_layers(one)
    assert mean.limits[1] == pytest.approx(np.nanmax(one.intensity[~one.loose]))
    assert mean.limits[1] < 2 < np.nanmax(one.intensity)
    assert sd.limits[1] < 0.5 < np.nanmax(one.intensity_sd)


@pytest.mark.slow
def test_thirty_bands_and_one(sky, draws, scws):
    scws = scws | {k: np.repeat(v[:, :1], 30, 1) for k, v in scws.items() if np.ndim(v) == 2}
    run = sky_run(sky, np.repeat(draws[:, :1], 30, 1), scws=scws)
    maps = sky_maps(run, nside=8)
    assert len(maps) == 30
    figure = plots.intensity_figure(run, maps)
    assert "4 of 30 bands" in figure.get_suptitle()
    titles = [ax.get_title("left").split(":")[0] for ax in figure.axes]
    assert [t for t in titles if t.startswith("E")] == ["E01", "E11", "E20", "E30"]
    assert "bands" not in plots.intensity_figure(run, maps[3:4]).get_suptitle()
