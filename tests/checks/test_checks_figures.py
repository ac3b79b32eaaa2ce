"""Figures of checks: longitude runs to the left, and what the data hardly constrain sets no scale."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from ridgebayes.checks.results import Checks, CurveResult, Result
from ridgebayes.plots.checks import curve_figure, draw_curve, draw_overview
from tests.helpers.synthetic_run import make_run


def curve(x_label, width):
    x = np.linspace(-170, 170, 18)
    replicated = np.array([-2, -1, 0, 1, 2])[:, None, None] * width
    return CurveResult("longitude", x, x_label, "mCrab", np.zeros((1, x.size)), replicated)


def test_longitude_runs_to_the_left():
    ax = draw_curve(Figure().add_subplot(), curve("Galactic longitude [deg]", np.ones((1, 18))), 0)
    assert ax.get_xlim() == (180, -180)
    latitude = draw_curve(Figure().add_subplot(), curve("Galactic latitude [deg]", np.ones((1, 18))), 0)
    assert latitude.get_xlim()[0] < latitude.get_xlim()[1]


def test_a_bin_that_is_hardly_known_sets_no_scale():
    width = np.ones((1, 18))
    width[0, 3] = 100
    ax = draw_curve(Figure().add_subplot(), curve("Galactic longitude [deg]", width), 0)
    assert 2 < ax.get_ylim()[1] < 3


def result(statistic, z, p, found):
    return Result(statistic, "", "E01", 0.0, 0.0, -1.0, 1.0, p, z, found)


def test_arrows_at_the_edge_are_in_the_legend_where_there_are_any():
    results = [result("tails.kurtosis", 30.0, 1e-9, True), result("shape.pit", 1.0, 0.3, False)]
    names = [one.statistic for one in results]
    ax = draw_overview(Figure().add_subplot(), names, results)
    labels = ax.get_legend_handles_labels()[1]
    assert "found, beyond ±8 sd" in labels
    assert "data, beyond ±8 sd" not in labels
    assert (
        "data, beyond ±8 sd"
        in draw_overview(
            Figure().add_subplot(), names, [result("shape.pit", -9.0, 0.01, False)]
        ).get_legend_handles_labels()[1]
    )


@pytest.mark.parametrize(
    ("found", "outcome"),
    [(False, "Nothing found: no p is below 0.0003"), (True, "Found: the sky has another")],
)
def test_titles_say_what_was_tested_and_the_outcome(found, outcome):
    run = make_run(1)
    about = result("longitude.parts", 9.0 if found else 0.1, 1e-6 if found else 0.9, found)
    one = curve("Galactic longitude [deg]", np.ones((1, 18)))
    checks = Checks((about,), {"longitude": one}, ("E01",), (), 100, 0.0003)
    title, *more = curve_figure(run, checks, "longitude").get_suptitle().splitlines()
    assert title == "Tested: the profile in longitude is as fitted"
    assert " ".join(more).startswith(outcome)
