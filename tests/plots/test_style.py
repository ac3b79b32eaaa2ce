"""The common style is that of every figure, whatever the caller's is."""

import ast
from pathlib import Path

import matplotlib
import pytest
from matplotlib.text import Text

import ridgebayes
from ridgebayes.plots import background, crab, figures, style
from tests.helpers.step_run import step_run

PACKAGE = Path(ridgebayes.__file__).parent
LOUD = {"font.size": 20.0, "legend.frameon": True, "xtick.labelsize": 19.0, "ytick.direction": "out"}


@pytest.mark.parametrize(
    "make",
    [background.level_figure, background.scatter_figure, crab.history_figure, figures._traces],
)
def test_figures_do_not_take_the_style_of_the_caller(make):
    run = step_run(2)
    with matplotlib.rc_context(LOUD):
        figure = make(run)
        figure.draw_without_rendering()
    sizes = {text.get_fontsize() for text in figure.findobj(Text) if text.get_text()}
    assert max(sizes) <= style.STYLE["figure.titlesize"]
    assert not any(legend.get_frame_on() for legend in figure.legends)
    ticks = [tick for ax in figure.axes for tick in (*ax.yaxis.majorTicks, *ax.yaxis.minorTicks)]
    assert {tick.get_tickdir() for tick in ticks} == {"in"}


def test_every_function_that_begins_a_figure_sets_the_style():
    found = []
    for path in (*sorted((PACKAGE / "plots").glob("*.py")), PACKAGE / "bench" / "report.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            calls = {call.func.id for call in ast.walk(node)
                     if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}  # fmt: skip
            if calls & {"new_figure", "Figure"} and node.name not in ("new_figure", "each_band"):
                found.append(node.name)
                marks = [mark.id for mark in node.decorator_list if isinstance(mark, ast.Name)]
                assert marks == ["in_style"], f"{path.name}: {node.name}"
    assert "prior_figure" in found
