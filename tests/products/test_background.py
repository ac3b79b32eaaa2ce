"""The background: tables and phase curves by hand, monitor files of all kinds, no tracer, many bands."""

import numpy as np
import pytest
from astropy.time import Time
from matplotlib.figure import Figure
from matplotlib.style import context
from scipy import stats

from ridgebayes import InputError, read_table, simulate
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.plots import background as plots
from ridgebayes.plots.style import STYLE
from ridgebayes.products import background as products
from ridgebayes.products.monitor import Monitor, read_monitor
from ridgebayes.products.truth import Truth, level_at_trend
from ridgebayes.simulate import draw
from tests.helpers.cli import call, one_line
from tests.helpers.step_run import MJD, REVOLUTION, coefficients, step_run


@pytest.fixture(scope="module")
def run():
    return step_run(2)


# --- the truth ---------------------------------------------------------------------------------------------


def test_true_level_is_the_background_at_the_trend_of_the_fit(small_run, small_mission, three_regions):
    """A mission without terms of revolutions: its background, linear in the tracer, at the fit's trend."""
    truth = simulate.Truth(bands=simulate.BANDS[:2], template=None, tau=(0, 0, 0))
    programme = small_mission.select(np.argsort(small_mission.scw_id))
    parts = draw.expected(programme, truth, sky=three_regions, response=Trapezoid(), seed=3)
    level = level_at_trend(small_run, small_mission.truth)
    constant = small_run.tree["constant_data"].dataset
    moved = []
    for i, number in enumerate(constant["revolution"].values):
        here = programme.revolution == number
        trend = float(constant["tracer_trend"][i])
        for k in range(2):
            line = np.polynomial.Polynomial.fit(parts.tracer[here], parts.background[here, k], 1)
            want = line(trend)
            got = np.interp(float(constant["mjd"][i]), small_mission.truth["mjd"], level[:, k])
            assert got == pytest.approx(want, rel=3e-3)
            moved.append(want / parts.level[here, k].mean() - 1)
    assert np.std(moved) > 5e-3  # far beyond the tolerance
    # Tables of earlier versions do not hold the trend, and tables without a tracer need none.
    old = {name: value for name, value in small_mission.truth.items() if name != "tracer"}
    assert level_at_trend(small_run, old) is None
    still = level_at_trend(small_run, small_mission.truth | {"tracer": None})
    np.testing.assert_array_equal(still, small_mission.truth["level"])


# --- tables ------------------------------------------------------------------------------------------------


def test_coefficients_by_revolution(run):
    table = products.coefficient_table(run)
    terms = coefficients(2)
    level = run.tree["constant_data"].dataset["background_history_mean"].values
    for k, band in enumerate(("E01", "E02")):
        rows = table[table["band"] == band]
        np.testing.assert_array_equal(rows["REVOL"], REVOLUTION)
        for j, name in enumerate(("constant", "phase", "phase2")):
            np.testing.assert_array_equal(rows[name].value, terms[k, j])
            assert (rows[f"{name}_sd"].value == 0.25).all()
            assert str(rows[name].unit) == "ct / s"
        np.testing.assert_array_equal(rows["level"].value, level[k])
        assert (rows["scws"] == 16).all()
        for i, number in enumerate(REVOLUTION):
            mine = run.scws[np.asarray(run.scws["REVOL"]) == number]
            off = [abs(one["LAT"].value) > 20 and not one["CRAB"] for one in mine]
            assert rows["scws_bkg"][i] == sum(off)


def test_scatter_in_per_cent(run):
    table = products.scatter_table(run)
    draws = 100 * run.tree["posterior"].dataset["background.scatter"].values.reshape(-1, 2)
    np.testing.assert_allclose(table["mean"].value, draws.mean(0))
    np.testing.assert_allclose(table["sd"].value, draws.std(0, ddof=1))
    for name, q in (("lo68", 0.16), ("hi68", 0.84), ("lo94", 0.03), ("hi94", 0.97)):
        np.testing.assert_allclose(table[name].value, np.quantile(draws, q, axis=0))
    held = products.scatter_table(step_run(2, held=True))
    np.testing.assert_allclose([held["mean"].value, held["lo94"].value, held["hi68"].value], 1.2)
    assert (held["sd"].value == 0).all()


def test_phase_curves_with_the_polynomials_written_out(run):
    curves = products.phase_curves(run, "E02", points=7)
    level = run.tree["constant_data"].dataset["background_history_mean"].values[1]
    c = coefficients(2)[1]
    for i, phase in enumerate(np.linspace(0, 1, 7)):
        x = 2 * phase - 1
        shape = 100 * (c[1] * x + c[2] * (3 * x**2 - 1) / 2) / level
        whole = shape + 100 * c[0] / level
        assert curves.phase[i] == pytest.approx(phase)
        assert curves.median[i] == pytest.approx(np.median(whole))
        assert curves.lo[i] == pytest.approx(np.quantile(whole, 0.16))
        assert curves.shape_hi[i] == pytest.approx(np.quantile(shape, 0.84))
    assert 0.05 <= curves.seen[0] < curves.seen[1] <= 0.95


def test_residuals_off_the_plane(run):
    found = products.quiet_residuals(run)
    scws = run.scws
    off = (np.abs(scws["LAT"].value) > 20) & ~np.asarray(scws["CRAB"])
    want = ((scws["RATE"] - scws["BACKGROUND"] - scws["SKY"]) / scws["NOISE"]).value[off]
    np.testing.assert_allclose(np.array(list(found.values())).T, want, rtol=1e-5, atol=1e-5)
    assert products.quiet_residuals(step_run(1, off_plane=False))["E01"].size == 0


@pytest.mark.slow
def test_a_fit_finds_the_true_background(small_run, small_mission):
    """Level and constant of the revolutions, and the scatter, of a simulated mission that was fitted."""
    true = small_mission.truth
    table = products.scatter_table(small_run)
    pull = (table["mean"].value / 100 - np.array(true["sigma"])[:2]) / (table["sd"].value / 100)
    assert np.abs(pull).max() < 5
    found = products.coefficient_table(small_run)
    for k, band in enumerate(("A01", "A02")):
        rows = found[found["band"] == band]
        level = np.interp(rows["MJD"].value, true["mjd"], np.array(true["level"])[:, k])
        # The true level lies within a few sd of the constants (1.5 to 3 % of it) of what was found.
        assert np.abs((rows["level"] + rows["constant"]).value / level - 1).max() < 0.15
    pulls = products.quiet_residuals(small_run)["A01"]
    assert 0.8 < np.sqrt(np.mean(pulls**2)) < 1.1


# --- monitor -----------------------------------------------------------------------------------------------


def written(tmp_path, text):
    path = tmp_path / "monitor.csv"
    path.write_text(text)
    return path


DATES = ["2004-01-01", "2004-02-01", "2004-03-01"]
AT = Time(DATES, scale="utc").mjd


@pytest.mark.parametrize(
    ("text", "mjd"),
    [
        ("date,OULU,APTY\n2004-01-01,1,9\n2004-02-01,2,9\n2004-03-01,3,9\n", AT),
        ("# from somewhere\n\nDate;count\n2004/01/01;1\n2004/02/01;2\n2004/03/01;3\n", AT),
        ("mjd\tOULU\n53005\t1\n53036\t2\n53065\t3\n", AT),
        ("JD OULU\n2453005.5 1\n2453036.5 2\n2453065.5 3\n", AT),
        ("YEAR,month,rate\n2004,1,1\n2004,2,2\n2004,3,3\n", AT + 14),
        ("month,rate\n2004-01,1\n2004-02,2\n2004-03,3\n", AT + 14),
        ("year,month,day,rate\n2004,1,1,1\n2004,2,1,2\n2004,3,1,3\n", AT),
        ("time,rate\n2004-01-01 12:00,1\n2004-02-01T12:00:00Z,2\n2004-03-01 12:00:00,3\n", AT + 0.5),
        ("year,rate\n2004,1\n2005,2\n2006,3\n", Time([2004.5, 2005.5, 2006.5], format="decimalyear").mjd),
        ("rate,year\n1,2004.25\n2,2005.0\n3,2006.0\n", Time([2004.25, 2005, 2006], format="decimalyear").mjd),
        ("date,rate\n2004-03-01,3\n2004-01-01,1\n2004-02-01,2\n2004-04-01,nan\n2004-05-01,\n", AT),
        ("\ufeffdate,rate\r\n2004-01-01,1\r\n2004-02-01,2\r\n2004-03-01,3\r\n", AT),
    ],
)
def test_monitor_files(tmp_path, text, mjd):
    monitor = read_monitor(written(tmp_path, text))
    np.testing.assert_allclose(monitor.mjd, mjd, atol=1e-6)
    assert monitor.value.tolist() == [1, 2, 3]


def test_monitor_column(tmp_path):
    path = written(tmp_path, "date,OULU,APTY\n2004-01-01,1,9\n2004-02-01,2,8\n")
    assert read_monitor(path).name == "OULU"
    assert read_monitor(path, "APTY").value.tolist() == [9, 8]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no table"),
        ("date,OULU\n", "holds no table"),
        ("station,OULU\nx,1\ny,2\n", "no column is a time"),
        ("date\n2004-01-01\n2004-02-01\n", "no column of values"),
        ("date,OULU\n2004-01-01,1\n2004-02-01,two\n", "row 2: OULU is 'two'"),
        ("date,OULU\n2004-01-01,1\nyesterday,2\n", "row 2: date is 'yesterday'"),
        ("date,OULU\n2004-13-01,1\n2004-02-01,2\n", "row 1: date is '2004-13-01'"),
        ("date,OULU\n2004-01-01,1\n2004-02-01,2,3\n", "equally long rows"),
        ("date,OULU\n2004-01-01,1\n2004-02-01,\n", "has 1 values"),
        ("year,month,rate\n2004,,1\n2004,2,2\n", "row 1: year, month"),
    ],
)
def test_bad_monitor_files_are_one_line(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_monitor(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_misspelt_column_gets_a_suggestion(tmp_path):
    path = written(tmp_path, "date,OULU\n2004-01-01,1\n2004-02-01,2\n")
    with pytest.raises(InputError, match="did you mean 'OULU'"):
        read_monitor(path, "OLU")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "monitor.fits"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(InputError, match="not a text file"):
        read_monitor(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_monitor(tmp_path / "none.csv")


def test_rank_correlation(run):
    level = run.tree["constant_data"].dataset["background_history_mean"].values[0] + coefficients(2)[0, 0]
    value = np.random.default_rng(4).normal(size=REVOLUTION.size)
    got = products.follows(run, "E01", Monitor(MJD, value, "X"))
    assert got == pytest.approx(stats.spearmanr(level, value).statistic)
    assert products.follows(run, "E01", Monitor(MJD, level**3, "X")) == pytest.approx(1.0)
    # Only where the monitor is: the last ten revolutions.
    late = products.follows(run, "E01", Monitor(MJD[-10:], -level[-10:], "X"))
    assert late == pytest.approx(-1.0)
    assert np.isnan(products.follows(run, "E01", Monitor(MJD[:2], value[:2], "X")))
    assert np.isnan(products.follows(run, "E01", Monitor(MJD, np.ones(MJD.size), "X")))


# --- figures and command -----------------------------------------------------------------------------------


def test_level_with_truth_and_monitor(run):
    truth = Truth(MJD, {}, {"E01": np.full(MJD.size, 90.0)}, {"E01": 0.01, "E02": 0.02})
    monitor = Monitor(MJD, np.arange(MJD.size, dtype=float), "OULU")
    figure = plots.level_figure(run, truth, monitor)
    assert len(figure.axes) == 4
    left, right = figure.axes[0], figure.axes[1]
    assert right.get_ylabel().startswith("OULU")
    assert left.get_ylim()[1] > 90
    assert "rank correlation with OULU" in left.get_title("left")
    level = next(line for line in left.lines if line.get_label() == "revolution")
    none = next(line for line in left.lines if "no ScW" in line.get_label())
    assert len(level.get_xdata()) + len(none.get_xdata()) == REVOLUTION.size
    marks = plots.scatter_figure(run, truth).axes[0]
    assert "truth" in marks.get_legend_handles_labels()[1]


@context(STYLE, after_reset=True)
@pytest.mark.slow
def test_thirty_bands_fit_a_page():
    run = step_run(30)
    monitor = Monitor(MJD, np.arange(MJD.size, dtype=float), "A long name of a station")
    truth = Truth(MJD, {}, {"E01": np.full(MJD.size, 70.0)}, {})
    level, scatter = plots.level_figure(run, truth, monitor), plots.scatter_figure(run)
    for figure in (level, scatter, plots.phase_figure(run), plots.residual_figure(run)):
        assert figure.get_size_inches()[1] < 9
        figure.canvas.draw()
        legend = figure.legends[0].get_window_extent()
        assert legend.x0 >= 0
        assert legend.x1 <= figure.bbox.width
        title, mark = figure._suptitle, next(t for t in figure.texts if t.get_gid() == "mark")
        assert title.get_window_extent().x1 < mark.get_window_extent().x0
        for ax in figure.axes:
            assert ax.title.get_window_extent().x1 <= figure.bbox.width
    assert len(scatter.axes[0].get_xticks()) == 30


def test_revolutions_beyond_the_axis_are_counted():
    far = step_run(1)
    far.tree["constant_data"]["coefficient"][0, 0, 3] = 500.0
    ax = plots.draw_level(far, "E01", Figure().add_subplot())
    assert 55 < ax.get_ylim()[0] < 66 < 75 < ax.get_ylim()[1] < 85
    assert "1 of 25 revolutions beyond the axis" in ax.get_title("left")
    near = plots.draw_level(step_run(1), "E01", Figure().add_subplot())
    assert "beyond" not in near.get_title("left")


@pytest.mark.slow
def test_command(tmp_path):
    saved = step_run(1).save(tmp_path / "run")
    out = tmp_path / "products"
    dates = Time(np.linspace(MJD[0], MJD[-1], 40), format="mjd").iso
    csv = written(tmp_path, "date,OULU\n" + "".join(f"{d},{i}\n" for i, d in enumerate(dates)))
    result = call("background-history", saved.path, "--monitor", csv, "--out", out)
    assert result.exit_code == 0, result.output
    names = {f"background_history{part}.png" for part in ("", "_phase", "_scatter", "_residuals")}
    assert {path.name for path in out.iterdir()} == names | {
        "background_history.ecsv",
        "background_history_scatter.ecsv",
    }
    assert "rank correlation with OULU" in result.output
    table = read_table(out / "background_history.ecsv")
    np.testing.assert_allclose(table["phase2"].value, coefficients(1)[0, 2])
    assert table.meta["simulated"]


@pytest.mark.slow
def test_nothing_off_the_plane_is_said(tmp_path):
    saved = step_run(1, off_plane=False, crab=False, held=True).save(tmp_path / "run")
    result = call("background-history", saved.path, "--out", tmp_path / "p")
    assert result.exit_code == 0, result.output
    assert sum("no ScW is pointed off the plane" in line for line in result.output.splitlines()) == 1
    assert not (tmp_path / "p" / "background_history_residuals.png").exists()


def test_a_bad_monitor_stops_before_anything_is_written(tmp_path):
    path, out = step_run(1).save(tmp_path / "run").path, tmp_path / "p"
    one_line(call("background-history", path, "--monitor", tmp_path / "none.csv", "--out", out), "none.csv")
    early = written(tmp_path, "date,OULU\n1990-01-01,1\n1990-02-01,2\n")
    one_line(call("background-history", path, "--monitor", early, "--out", out), "no value in the mission")
    one_line(call("background-history", path, "--monitor-column", "OULU", "--out", out), "--monitor")
    assert not out.exists()
