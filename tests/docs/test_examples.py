"""The examples in docstrings run, and every public name has a page in the reference."""

import doctest
import importlib
import pkgutil
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ridgebayes
from ridgebayes import models, simulate, write_scws
from tests.helpers.event_maker import make_events, write_events

API = Path(__file__).parents[2] / "docs" / "api"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS


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
OF_RUN = {name for name, test in EXAMPLES.items() if any("runs/" in e.source for e in test.examples)}
SAMPLED = {"ridgebayes.runs.sampling.sample"}


@pytest.fixture(scope="module")
def mission(small_mission, three_regions, tmp_path_factory):
    """A folder with a small simulated mission, later revolutions, and an event list."""
    path = tmp_path_factory.mktemp("examples")
    write_scws(small_mission, path / "mission.fits")
    programme = simulate.programme(60, stop=2740, seed=12)
    new = programme.select(~np.isin(programme.revolution, small_mission.revolution))
    new = new.select(np.isin(new.revolution, np.unique(new.revolution)[-4:]))
    intensity = {name: small_mission.truth["intensity"][name] for name in three_regions.names}
    truth = simulate.Truth(bands=simulate.BANDS[:2], template=None, intensity=intensity)
    write_scws(simulate.mission(new, truth, sky=three_regions, seed=4), path / "new.fits")
    write_events(path / "isgri_events.fits", make_events(np.random.default_rng(0), 80.0))
    return path


@pytest.fixture(scope="module")
def run(mission, small_run):
    """The same folder, with two runs of the mission, which are one."""
    data = small_run.record["data"] | {"path": str(mission / "mission.fits")}
    fitted = replace(small_run, record=small_run.record | {"data": data})
    for name in ("first", "second"):
        fitted.save(mission / "runs" / name)
    return mission


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - OF_RUN - SAMPLED))
def test_example(name, mission, monkeypatch):
    monkeypatch.chdir(mission)
    (mission / "late.fits").unlink(missing_ok=True)
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(OF_RUN | SAMPLED))
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
        assert ">>>" in getattr(ridgebayes, name).__doc__, name
