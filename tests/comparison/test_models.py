"""Models compared: differences and errors, what is said of them, what cannot be compared."""

import copy

import matplotlib.style
import numpy as np
import pytest
import xarray as xr

import ridgebayes as rb
from ridgebayes.comparison import Comparison, Loo
from ridgebayes.comparison.models import format_comparison
from ridgebayes.errors import InputError
from ridgebayes.plots.compare import difference_figure
from ridgebayes.plots.style import STYLE
from tests.helpers.cli import call
from tests.helpers.gaussian_run import gaussian_run, other_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def far():
    """The Gaussian fit, and one whose prior is far off."""
    scws, run, linear = gaussian_run()
    return scws, {"near": run, "far": other_run(run, linear, 0.0)}, linear


def made(pointwise, k=0.2):
    """Predictions out of nothing."""
    n = len(pointwise)
    axes = ("fit", "revolution")
    values = {"elpd": np.asarray(pointwise, float)[None], "p_loo": np.ones((1, n))}
    values |= {"pareto_k": np.full((1, n), k), "exact": np.zeros((1, n), bool)}
    coords = {"fit": ["A01"], "revolution": 100 + np.arange(n), "mjd": ("revolution", 53000.0 + np.arange(n))}
    return Loo(xr.Dataset({name: (axes, x) for name, x in values.items()}, coords), "PSIS", 0.7)


def test_difference_is_the_closed_form(far):
    """The better model first, its lead that of dense algebra where PSIS works."""
    scws, runs, linear = far
    comparison = rb.compare({"far": runs["far"], "near": runs["near"]}, scws)
    assert comparison.names == ("near", "far")
    exact = linear.left_out(prior_mean=0.0) - linear.left_out()
    good = ~(comparison.loos[0].bad | comparison.loos[1].bad)[0]
    assert good.sum() >= 12
    np.testing.assert_allclose(comparison.difference(1)[good], exact[good], atol=0.3)
    assert np.abs(exact[good]).max() > 1


def test_table(rng):
    better = rng.normal(-70, 5, 150)
    worse = better - rng.normal(0.3, 1.0, 150)
    _, run, _ = gaussian_run()
    comparison = Comparison(("a", "b"), (run, run), (made(better), made(worse, k=0.9)))
    table = comparison.table
    difference = worse - better
    assert table["elpd_diff"][1] == pytest.approx(difference.sum())
    assert table["diff_se"][1] == pytest.approx(150 * difference.std(ddof=1) / np.sqrt(150))
    assert table["se"][0] == pytest.approx(150 * better.std(ddof=1) / np.sqrt(150))
    assert list(table["k_bad"]) == [0, 150]
    assert table["elpd_diff"][0] == table["diff_se"][0] == 0
    assert table.meta["simulated"]
    page = format_comparison(comparison)
    assert repr(comparison) == str(comparison) == page
    assert repr(comparison.loos[0]).startswith("Loo: ")
    assert len(repr(comparison.loos[0]).splitlines()) <= 3
    assert "150 of 150 revolutions have k̂ > 0.70" in page
    assert "folds=10" in page


@pytest.mark.parametrize(
    ("lead", "scatter", "said"),
    [(0.3, 1.0, "better than"), (0.3, 10.0, "alike"), (0.004, 0.01, "alike"), (0.0, 0.0, "alike")],
    ids=["clear", "noisy", "small", "same"],
)
def test_sentence(rng, lead, scatter, said):
    best = rng.normal(-70, 5, 150)
    noise = rng.normal(0.0, 1.0, 150)
    other = best - lead - scatter * (noise - noise.mean())
    _, run, _ = gaussian_run()
    sentences = Comparison(("a", "b"), (run, run), (made(best), made(other))).sentences()
    assert said in sentences[0]
    assert f"{150 * lead:.1f} ±" in sentences[0]
    assert len(sentences) == 1


def test_few_revolutions_that_decide_are_named():
    best = np.full(150, -70.0)
    other = best - np.where(np.arange(150) == 17, 30.0, 0.01)
    _, run, _ = gaussian_run()
    sentences = Comparison(("a", "b"), (run, run), (made(best), made(other))).sentences()
    assert "117 (+30.0)" in sentences[1]
    few = Comparison(("a", "b"), (run, run), (made(best[:20]), made(other[:20]))).sentences()
    assert "only 20 revolutions" in few[-1]


def test_other_data_are_refused(far):
    scws, runs, _ = far
    for key, value, said in (("fingerprint", "0", "table"), ("bands", ["A02"], "same bands")):
        record = copy.deepcopy(runs["near"].record)
        record["data"][key] = value
        other = type(runs["near"])(runs["near"].tree, record)
        with pytest.raises(InputError, match=said):
            rb.compare({"near": runs["near"], "other": other}, scws)
    with pytest.raises(InputError, match="two runs"):
        rb.compare([runs["near"]], scws)
    with pytest.raises(InputError, match="twice"):
        rb.compare([runs["near"], runs["near"]], scws)


def test_figure(far, rng):
    """Cumulative and pointwise differences as they are; one line for each model but the best."""
    _, runs, _ = far
    run = runs["near"]
    loos = [made(rng.normal(-70 - i, 3, 40)) for i in range(3)]
    comparison = Comparison(("a", "b", "c"), (run,) * 3, tuple(loos))
    with matplotlib.style.context(STYLE, after_reset=True):
        figure = difference_figure(comparison)
        figure.canvas.draw()
    top, bottom = figure.axes
    for line, points, i in zip(top.lines, bottom.lines, (1, 2), strict=False):
        np.testing.assert_allclose(line.get_ydata()[-1], comparison.difference(i).sum())
        np.testing.assert_allclose(points.get_ydata(), comparison.difference(i))
    assert [text.get_text() for text in figure.legends[0].texts] == ["b", "c"]
    assert "“a”" in figure.get_suptitle()
    assert "“a” is ahead" in top.get_title("right")
    assert any("simulated" in text.get_text() for text in figure.texts)


def test_no_revolution_lies_on_the_edge_of_the_figure(far, rng):
    """Where a few differ by far more than the others, too, which takes a logarithmic axis."""
    _, runs, _ = far
    near = rng.normal(-70, 0.1, 40)
    other = near + rng.normal(0, 0.3, 40)
    other[17] -= 60
    comparison = Comparison(("a", "b"), (runs["near"],) * 2, (made(near), made(other)))
    with matplotlib.style.context(STYLE, after_reset=True):
        bottom = difference_figure(comparison).axes[1]
    assert bottom.get_yscale() == "symlog"
    place = bottom.transAxes.inverted().transform(bottom.transData.transform([(2010, other[17] - near[17])]))
    assert 0.03 < place[0, 1] < 0.1


def test_commands(far, tmp_path):
    scws, runs, _ = far
    rb.write_scws(scws, tmp_path / "mission.fits")
    for name, run in runs.items():
        run.save(tmp_path / name)
    where = ["--scws", str(tmp_path / "mission.fits"), "--out", str(tmp_path / "out")]
    command = lambda *args: call(*args, *where)  # noqa: E731
    done = command("compare", str(tmp_path / "far"), str(tmp_path / "near"))
    assert done.exit_code == 0, done.output
    assert done.output.count("near") >= 2
    assert "predict" in done.output
    for name in ("compare.ecsv", "compare_revolutions.ecsv", "compare.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000
    alone = command("loo", str(tmp_path / "near"))
    assert alone.exit_code == 0, alone.output
    assert (tmp_path / "out" / "loo.ecsv").exists()
    sensitive = command("sensitivity", str(tmp_path / "far"))
    assert sensitive.exit_code == 0, sensitive.output
    assert "sky.intensity GB" in sensitive.output
    assert (tmp_path / "out" / "sensitivity.png").stat().st_size > 1000
    one = command("compare", str(tmp_path / "near"))
    assert (one.exit_code, one.output.count("\n")) == (2, 1)
    folds = command("loo", str(tmp_path / "near"), "--folds", "99", "--overwrite")
    assert folds.exit_code == 2
    assert "--folds 99" in folds.output
