"""Figures of checks: longitude runs to the left, and what the data hardly constrain sets no scale."""

import numpy as np
from matplotlib.figure import Figure

from ridgebayes.checks.results import CurveResult
from ridgebayes.plots.checks import draw_curve


def curve(x_label, width):
    x = np.linspace(-170, 170, 18)
    replicated = np.array([-2, -1, 0, 1, 2])[:, None, None] * width
    return CurveResult("longitude", x, x_label, "mCrab", np.zeros((1, x.size)), replicated)


def test_longitude_runs_to_the_left():
    ax = draw_curve(Figure().add_subplot(), curve("Galactic longitude (°)", np.ones((1, 18))), 0)
    assert ax.get_xlim() == (180, -180)
    latitude = draw_curve(Figure().add_subplot(), curve("Galactic latitude (°)", np.ones((1, 18))), 0)
    assert latitude.get_xlim()[0] < latitude.get_xlim()[1]


def test_a_bin_that_is_hardly_known_sets_no_scale():
    width = np.ones((1, 18))
    width[0, 3] = 100
    ax = draw_curve(Figure().add_subplot(), curve("Galactic longitude (°)", width), 0)
    assert 2 < ax.get_ylim()[1] < 3
