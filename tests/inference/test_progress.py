"""What is said of the time to go, by a clock that the test moves."""

import inspect
import subprocess
import sys

import pytest

import ridgebayes as rb
from ridgebayes.campaign.running import run_campaign
from ridgebayes.inference import progress
from ridgebayes.inference.progress import ProgressBar, in_words, wanted


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_nothing_is_said_while_modes_are_searched(clock):
    with ProgressBar(2, 400, shown=False, now=clock) as bar:
        clock.now = 100.0
        bar.begins(0)
        bar.done(100)
        assert bar.to_go is None  # the other part has no mode yet
        bar.begins(0)
        assert bar.to_go is None  # nothing is done since


def test_time_to_go_is_that_of_the_chains_alone(clock):
    """100 s for the mode, then 10 iterations a second."""
    with ProgressBar(1, 400, shown=False, now=clock) as bar:
        clock.now = 100.0
        bar.begins(more=-100)
        clock.now = 105.0
        bar.done(50)
        assert bar.to_go == pytest.approx(25.0)
        clock.now = 120.0
        bar.done(150)
        assert bar.to_go == pytest.approx(10.0)


def test_what_an_earlier_process_did_is_no_speed(clock):
    with ProgressBar(1, 1000, shown=False, now=clock) as bar:
        bar.begins(0)
        bar.known(900)
        clock.now = 10.0
        bar.done(50)
        assert bar.to_go == pytest.approx(10.0)


def test_it_is_printed(clock, capsys):
    with ProgressBar(1, 100, shown=True, now=clock) as bar:
        bar.begins(0)
        clock.now = 4.0
        bar.done(40)
        bar._bar.refresh()
    assert "about 7 s to go" in capsys.readouterr().err


def test_what_is_printed_of_chains_that_go_on(clock, capsys):
    with ProgressBar(1, 100, shown=True, now=clock) as bar:
        bar.begins(more=20)
        clock.now = 12.0
        bar.done(120)
        bar._bar.refresh()
        at_their_end = capsys.readouterr().err
        bar.grows(60, judged=True)
        going_on = capsys.readouterr().err.split("\r")[-1]
        clock.now = 18.0
        bar.done(60)
    assert "120/120" in at_their_end
    assert "done" not in at_their_end + going_on
    assert "sampling on, not yet converged:  67%" in going_on
    assert "about 7 s to go" in going_on
    assert "done]" in capsys.readouterr().err
    assert ": :" not in at_their_end


def test_words():
    assert in_words(0.3) == "1 s"
    assert in_words(59.5) == "60 s"
    assert in_words(61) == "70 s"
    assert in_words(3600) == "60 min"


@pytest.mark.parametrize(("terminal", "notebook"), [(True, False), (False, True), (False, False)])
def test_shown_where_somebody_looks(monkeypatch, terminal, notebook):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(progress, "_in_notebook", lambda: notebook)
    assert wanted(None) == (terminal or notebook)
    assert wanted(True)
    assert not wanted(False)


def test_a_notebook_without_widgets_is_not_warned():
    told = (
        "import sys, warnings, ipykernel.zmqshell; warnings.simplefilter('always')\n"
        "sys.modules['ipywidgets'] = None\n"
        "from ridgebayes.inference import progress\n"
        "print(progress.tqdm.__mro__)\n"
    )
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert "notebook" not in found.stdout
    assert "IProgress" not in found.stderr


@pytest.mark.parametrize("function", [rb.sample, rb.sample_auto, rb.check, rb.loo, rb.kfold, rb.compare,
                                      rb.sbc.run_sbc, run_campaign])  # fmt: skip
def test_all_show_it_by_default_where_somebody_looks(function):
    assert inspect.signature(function).parameters["progress"].default is None
