"""The examples in docstrings run, and every public name has a page in the reference."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import ridgebayes
from ridgebayes import models, sample, simulate, sky, write_scws

API = Path(__file__).parents[2] / "docs" / "api"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


def examples():
    """Docstrings with examples of all modules, by name."""
    names = {"ridgebayes", *(m.name for m in pkgutil.walk_packages(ridgebayes.__path__, "ridgebayes."))}
    names |= {f"ridgebayes.models.{m.name}" for m in pkgutil.iter_modules(models.__path__)}
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    for name in sorted(names - {"ridgebayes.__main__"}):
        module = importlib.import_module(name)
        for test in finder.find(module, name, module=module):
            if any(not example.options.get(doctest.SKIP) for example in test.examples):
                found[test.name] = test
    return found


EXAMPLES = examples()
OF_RUN = {name for name, test in EXAMPLES.items() if any("runs/first" in e.source for e in test.examples)}


@pytest.fixture(scope="module")
def mission(tmp_path_factory):
    """A folder with a small simulated mission."""
    path = tmp_path_factory.mktemp("examples")
    programme = simulate.programme(20, stop=2740, seed=1)
    mission = simulate.mission(programme, simulate.Truth(), sky=sky.load("coarse"), seed=1)
    write_scws(mission.take_bands(["A01"]), path / "mission.fits")
    return path


@pytest.fixture(scope="module")
def run(mission):
    """The same folder, with a run of the mission."""
    scws = ridgebayes.read_scws(mission / "mission.fits")
    sample(models.regions(sky.load("coarse")), scws, out=mission / "runs" / "first")
    return mission


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - OF_RUN))
def test_example(name, mission, monkeypatch):
    monkeypatch.chdir(mission)
    (mission / "late.fits").unlink(missing_ok=True)
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OF_RUN))
def test_example_with_a_run(name, run, monkeypatch):
    monkeypatch.chdir(run)
    check(name)


def check(name):
    told = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(EXAMPLES[name], out=told.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(told)


def test_every_public_name_is_in_the_reference():
    text = "\n".join(page.read_text(encoding="utf-8") for page in API.glob("*.md"))
    for name in ridgebayes.__all__:
        assert re.search(rf"`{name}`|ridgebayes\.{name}\b|:: {name}\b", text), name
        assert getattr(ridgebayes, name).__doc__, name
