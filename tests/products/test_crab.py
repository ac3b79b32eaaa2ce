"""The Crab over time: points and bins by brute force, a known rate recovered, no Crab, many bands."""

import astropy.units as u
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.style import context

from ridgebayes import InputError, read_table, write_scws
from ridgebayes.plots import crab as plots
from ridgebayes.plots import figures
from ridgebayes.plots.style import STYLE
from ridgebayes.products.crab import binned, crab_points, crab_table
from ridgebayes.products.truth import Truth, read_truth
from tests.helpers.cli import call
from tests.helpers.step_run import MJD, REVOLUTION, step_run

CTS = u.ct / u.s


@pytest.fixture(scope="module")
def run():
    return step_run(2)


def test_table_by_revolution_and_band(run):
    table = crab_table(run)
    constant = run.tree["constant_data"].dataset
    assert len(table) == 2 * REVOLUTION.size
    for k, band in enumerate(("E01", "E02")):
        rows = table[table["band"] == band]
        np.testing.assert_array_equal(rows["REVOL"], REVOLUTION)
        for name in ("mean", "sd", "lo", "hi"):
            assert rows[name].unit == CTS
            np.testing.assert_array_equal(rows[name].value, constant[f"crab_history_{name}"].values[k])
        assert rows["E_MIN"][0] == (20 + 10 * k) * u.keV
        # One revolution in five looks at the Crab, with all of its ScWs.
        assert rows["crab_scws"].tolist() == [16 if i % 5 == 2 else 0 for i in range(REVOLUTION.size)]
    assert table.meta["simulated"]
    assert table.meta["crab_rate"] == "fitted"
    assert "truth" not in table.colnames


def test_points_by_hand(run):
    scws, points = run.scws, crab_points(run, "E02")
    rows = [i for i in range(len(scws)) if scws["CRAB"][i]]
    assert len(points) == len(rows) == 80
    assert (np.diff(points["MJD"].value) >= 0).all()
    for i in rows[::11]:
        point = points[np.asarray(points["SCW_ID"]) == scws["SCW_ID"][i]][0]
        r = scws["CRAB_RESPONSE"][i]
        crab = 100 - 2 * np.interp(scws["REVOL"][i], REVOLUTION, np.linspace(-1, 1, REVOLUTION.size))
        others = scws["SKY"][i, 1].value - crab * r
        rate = (scws["RATE"][i, 1].value - scws["BACKGROUND"][i, 1].value - others) / r
        assert point["rate"].value == pytest.approx(rate, rel=1e-5)
        error = np.hypot(scws["NOISE"][i, 1].value, 0.2) / r
        assert point["error"].value == pytest.approx(error, rel=1e-5)


def test_points_scatter_about_the_true_rate_as_their_errors_say():
    """ScWs are drawn about a rate of 100 − 2t: the points give it back."""
    run = step_run(3)
    pulls = []
    for band in ("E01", "E02", "E03"):
        points = crab_points(run, band)
        true = 100 - 2 * (2 * (points["MJD"].value - MJD[0]) / (MJD[-1] - MJD[0]) - 1)
        pulls.append((points["rate"].value - true) / points["own"].value)
    pulls = np.concatenate(pulls)
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)
    assert pulls.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * pulls.size))


def test_scws_that_hardly_see_the_crab_give_no_point(run):
    faint = step_run(1)
    faint.fit["CRAB_RESPONSE"][np.flatnonzero(faint.fit["CRAB"])[:7]] = 0.0
    assert len(crab_points(faint, "E01")) == 73
    assert np.isfinite(crab_points(faint, "E01")["rate"].value).all()


def test_means_and_their_errors_by_the_whole_covariance(run):
    points = crab_points(run, "E01")
    means = binned(points, width=4.0)
    mjd, rate, own, shared = (points[n].value for n in ("MJD", "rate", "own", "shared"))
    revolution = np.asarray(points["REVOL"])
    same = revolution[:, None] == revolution[None]
    covariance = np.diag(own**2) + same * np.outer(shared, shared)
    step = np.floor((mjd - mjd[0]) / (4 * 365.25))
    assert len(means) == np.unique(step).size > 1
    assert means["scws"].sum() == len(points)
    for row, one in zip(means, np.unique(step), strict=True):
        w = np.where(step == one, 1 / np.diag(covariance), 0.0)
        w /= w.sum()
        assert row["rate"].value == pytest.approx(w @ rate)
        assert row["error"].value == pytest.approx(np.sqrt(w @ covariance @ w))
        assert row["MJD"].value == pytest.approx(w @ mjd)


def test_bins_of_no_points():
    assert len(binned(crab_points(step_run(1, crab=False), "E01"))) == 0


def test_truth_is_read_at_the_revolutions(run):
    truth = Truth(
        np.array([MJD[0], MJD[-1]]), {"E01": np.array([200.0, 100.0])}, {"E01": np.ones(2)}, {"E01": 0.01}
    )
    table = crab_table(run, truth)
    got = table["truth"][table["band"] == "E01"].value
    np.testing.assert_allclose(got, 200 - 100 * (MJD - MJD[0]) / (MJD[-1] - MJD[0]))
    assert np.isnan(table["truth"][table["band"] == "E02"].value).all()


def test_truth_of_a_simulated_mission(small_run, small_mission, tmp_path):
    """The simulator's record, found again by the name of the band; another table is refused."""
    path = tmp_path / "mission.fits"
    write_scws(small_mission, path)
    truth = read_truth(small_run, path)
    want = np.array(small_mission.truth["crab_rate"])
    np.testing.assert_allclose(truth.crab_rate["A02"], want[:, 1])
    assert truth.scatter["A01"] == pytest.approx(small_mission.truth["sigma"][0])
    assert read_truth(small_run) is None  # the fit was of a table in memory
    other = tmp_path / "other.fits"
    write_scws(small_mission.select(np.arange(100)), other)
    with pytest.raises(InputError, match="is not the table that was fitted"):
        read_truth(small_run, other)
    # The rate that was fitted is the true one, and the ScWs lie about it.
    table = crab_table(small_run, truth)
    pull = (table["mean"] - table["truth"]) / table["sd"]
    assert np.abs(pull).max() < 5
    points = crab_points(small_run, "A01")
    true = np.interp(points["MJD"].value, truth.mjd, truth.crab_rate["A01"])
    rms = np.sqrt(np.mean(((points["rate"].value - true) / points["error"].value) ** 2))
    assert 0.6 < rms < 1.4


def test_figure_draws_the_posterior_and_the_points(run):
    ax = plots.draw_crab(run, "E01", Figure().add_subplot())
    labels = ax.get_legend_handles_labels()[1]
    assert {"Crab rate", "94% interval"} < set(labels)
    assert any("means" in label for label in labels)
    low, high = ax.get_ylim()
    assert low < 98 < 102 < high
    line = next(line for line in ax.lines if line.get_label() == "Crab rate")
    np.testing.assert_allclose(line.get_ydata(), 100 - 2 * np.linspace(-1, 1, REVOLUTION.size))


def test_figure_of_the_run_directory_has_data_and_truth(small_run, small_mission, tmp_path):
    table = tmp_path / "mission.fits"
    write_scws(small_mission, table)
    truth = read_truth(small_run, table)
    figure = plots.history_figure(small_run, truth)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert {"Crab rate", "94% interval", "truth", "ScW, less all but the Crab"} <= set(labels)
    of_run = figures._figures(small_run)["crab"](small_run)  # the table is in memory: no truth
    assert "ScW, less all but the Crab" in of_run.axes[0].get_legend_handles_labels()[1]


def test_few_scws_have_error_bars():
    few = step_run(1)
    few.fit["CRAB"][np.flatnonzero(few.fit["CRAB"])[10:]] = False
    ax = plots.draw_crab(few, "E01", Figure().add_subplot())
    assert len(ax.collections) >= 2  # the interval and the bars
    assert not any("means" in label for label in ax.get_legend_handles_labels()[1])


def test_scws_beyond_the_axis_are_triangles_on_its_edge():
    run = step_run(1)
    seen = np.flatnonzero(run.fit["CRAB"])
    rate = run.fit["RATE"]
    rate[seen[3]] = rate[seen[3]] * 20
    ax = plots.draw_crab(run, "E01", Figure().add_subplot())
    total = len(crab_points(run, "E01"))
    assert f"1 of {total} ScWs beyond the axis" in ax.get_title("left")
    (mark,) = [line for line in ax.lines if line.get_label() == "beyond the axis"]
    assert mark.get_marker() == "^"
    assert mark.get_ydata().tolist() == [ax.get_ylim()[1]]


@context(STYLE, after_reset=True)
@pytest.mark.slow
def test_thirty_bands_fit_a_page():
    run = step_run(30)
    for figure in (plots.history_figure(run), plots.residual_figure(run)):
        assert len(figure.axes) == 6
        assert figure.get_size_inches()[1] < 9
        figure.canvas.draw()
        legend = figure.legends[0].get_window_extent()
        assert legend.x0 >= 0
        assert legend.x1 <= figure.bbox.width
        title, mark = figure._suptitle, next(t for t in figure.texts if t.get_gid() == "mark")
        assert title.get_window_extent().x1 < mark.get_window_extent().x0


def test_command(tmp_path):
    saved = step_run(1).save(tmp_path / "run")
    out = tmp_path / "products"
    result = call("crab-history", saved.path, "--out", out)
    assert result.exit_code == 0, result.output
    names = {"crab_history.ecsv", "crab_history.png", "crab_history_residuals.png"}
    assert {path.name for path in out.iterdir()} == names
    assert "SIMULATED" in result.output
    table = read_table(out / "crab_history.ecsv")
    assert table.meta["crab_scws"] == 80
    np.testing.assert_allclose(table["mean"].value, crab_table(saved)["mean"].value)


def test_without_a_crab_the_held_rate_is_drawn(tmp_path):
    run = step_run(1, crab=False, held=True)
    ax = plots.draw_crab(run, "E01", Figure().add_subplot())
    assert "held" in ax.get_title("left")
    assert "no ScW contains the Crab" in ax.get_title("left")
    out = tmp_path / "p"
    result = call("crab-history", run.save(tmp_path / "run").path, "--out", out)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"crab_history.ecsv", "crab_history.png"}
    assert sum("no ScW contains the Crab" in line for line in result.output.splitlines()) == 1
    assert read_table(out / "crab_history.ecsv").meta["crab_rate"] == "given, not fitted"


def test_a_wrong_table_is_one_line(tmp_path):
    path = step_run(1).save(tmp_path / "run").path
    result = call("crab-history", path, "--scws", tmp_path / "none.fits", "--out", tmp_path / "p")
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1
    assert "none.fits" in result.output
