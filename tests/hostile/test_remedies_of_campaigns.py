"""Remedies of errors of campaigns and of calibration by simulation: provoked, followed, and they work."""

import copy
import json
import re

import numpy as np
import pytest

from ridgebayes import InputError, simulate, write_scws
from ridgebayes.bench.report import BEGIN, END, around
from ridgebayes.campaign import Plan, run_campaign
from ridgebayes.campaign import running as module
from ridgebayes.campaign.measure import columns
from ridgebayes.campaign.plan import read_plan
from ridgebayes.parallel.software import software
from ridgebayes.sbc.folder import TABLE, Folder, read_ranks
from ridgebayes.sbc.one import Result
from tests.helpers import quick_model
from tests.helpers.cli import call
from tests.helpers.records import changed
from tests.helpers.remedies import both, follow, run, the_command, the_name, without_that_line, written

SMALL = 'missions = 1\nbands = ["A01"]\nregions = ["GB"]\n'
PLAN = Plan(missions=1, bands=("A01",), regions=("GB",))
WITH = "--scheduler local:1 --quiet"

VERSIONS = software()
RECORD = {
    "ridgebayes": VERSIONS["ridgebayes"],
    "versions": VERSIONS,
    "model": {"name": "regions", "options": {}, "extras": [], "priors": {}, "source": ""},
    "sky": {"name": "coarse"},
    "response": "trapezoid 4.2 14.6",
    "data": {"fingerprint": "abc", "crab_rate": {}, "path": ""},
    "sbc": {"draws": 9, "warmup": 100, "seed": 0, "target_accept": 0.8, "max_tree_depth": 10},
}


@pytest.fixture(autouse=True)
def _no_fits(monkeypatch):
    """Let a campaign take numbers that were made up in place of hours of fits."""

    def made_up(work, cases, place):
        for case in cases:
            ones = np.ones((1, 1))
            values = {"scws": 9, "r_hat": 1.0, "ess_bulk": 900.0, "ess_tail": 900.0, "divergences": 0}
            values |= {"converged": True, "wall_s": 1.0, "cpu_s": 2.0, "note": ""}
            for estimate in ("posterior", "calibrated"):
                values |= dict(zip(columns(estimate), (ones.tolist(),) * 3, strict=True))
            yield case, case._asdict() | values

    monkeypatch.setattr(module, "run", made_up)


def plan(text):
    return both(written(text, "p.toml"), lambda folder, **_: read_plan(folder / "p.toml"))


def campaign(out, **changes):
    return lambda folder, **_: run_campaign(Plan(**{**vars(PLAN), **changes}), folder / out, progress=False)


def simulations(out, *keys, to=None):
    """Return a step that has a simulation in a folder, whose record differs at `keys`."""

    def step(folder, **_):
        record = copy.deepcopy(RECORD)
        if keys:
            changed(record, *keys, to=to)
        found = Folder(folder / out, record)
        if not found.done():
            found.add(Result(0, {"a": 3}, ess=120.5, length=250, steps=7.0, seconds=1.5))
        found.close()
        read_ranks(folder / out)

    return step


def others(*keys, to):
    """Return a case: other simulations in a folder that has some, and in another folder."""
    return both(simulations("out"), simulations("out", *keys, to=to)), simulations("b", *keys, to=to)


def ranks(folder, **_):
    """Read the ranks of the folder `out`, named as in it."""
    return read_ranks(folder.joinpath("out").relative_to(folder))


def broken(line):
    def step(folder, **_):
        with (folder / "out" / TABLE).open("a") as file:
            file.write(f"{line}\n")

    return step


def sbc_ready(folder):
    truth = simulate.Truth(bands=simulate.BANDS[:1], template=None)
    write_scws(simulate.mission(simulate.programme(10, stop=2740, seed=11), truth, seed=1), folder / "s.fits")
    quick_model.write(folder / "quick.py")


def marked(text):
    return both(written(text, "r.md"), lambda folder, **_: around(folder / "r.md"))


CASES = {
    # plans
    "a key of a plan misspelt": (
        "p.toml: 'mission': there is no such key .did you mean 'missions'",
        plan(SMALL.replace("missions", "mission")),
        the_name(lambda name: plan(SMALL.replace("missions", name))),
    ),
    "a key of a fit misspelt": (
        "fits: 'modle': there is no such key .did you mean 'model'",
        plan(SMALL + '[[fits]]\nmodle = "regions"\n'),
        the_name(lambda name: plan(SMALL + f'[[fits]]\n{name} = "regions"\n')),
    ),
    "a region of a plan misspelt": (
        "region 'GBB': there is none of this name .did you mean 'GB'",
        plan(SMALL.replace("GB", "GBB")),
        the_name(lambda name: plan(SMALL.replace("GB", name))),
    ),
    # folders of campaigns
    "no campaign": (
        r"my out: is no campaign \(.*\): run `ridgebayes campaign FILE\.toml --out 'my out'`",
        both(written(SMALL, "p.toml"), run("campaign p.toml --summary --out 'my out'")),
        both(the_command(WITH, FILE="p.toml"), run("campaign p.toml --summary --out 'my out'")),
    ),
    "another campaign": (
        "holds a campaign with revolutions = 200, and this has 30: give another folder",
        both(campaign("out"), campaign("out", revolutions=30)),
        campaign("b", revolutions=30),
    ),
    # folders of simulations
    "other draws": (
        "holds a campaign with draws 9, and this has 19: give another folder", *others("sbc", "draws", to=19),
    ),
    "another model": (
        "holds a campaign with name regions, and this has crab: give another folder",
        *others("model", "name", to="crab"),
    ),
    "other ScWs": (
        "holds a campaign on other ScWs: give another folder", *others("data", "fingerprint", to="def"),
    ),
    "another Crab rate": (
        "holds a campaign with another Crab rate: give another folder",
        *others("data", "crab_rate", to={"A01": 113.0}),
    ),
    "another version": (
        r"was begun with jax \S+, and this is 0\.1: install that one, or give another folder",
        *others("versions", "jax", to="0.1"),
    ),
    "a line that is no table": (
        r"^out/\S+, line 2: cannot be read .*: remove that line$",
        both(simulations("out"), broken("[1"), ranks),
        both(without_that_line, ranks),
    ),
    "a line of something else": (
        r"^out/\S+, line 2: cannot be read .*: remove that line$",
        both(simulations("out"), broken(json.dumps({"number": 7, "rank": 3})), ranks),
        both(without_that_line, ranks),
    ),
    # tables in pages
    "one mark": (
        "has only one of the marks .*: put both, or none",
        marked(f"a\n{BEGIN}\nb\n"),
        both(marked(f"a\n{BEGIN}\n{END}\nb\n"), marked("a\nb\n")),
    ),
}  # fmt: skip
"""Name → message, step that meets it, step that it advises."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_the_remedy_works(name, tmp_path, monkeypatch):
    follow(CASES[name], tmp_path, monkeypatch)


@pytest.mark.slow
def test_no_simulations(tmp_path, monkeypatch):
    """The command that the message advises makes the folder that was missing."""
    monkeypatch.chdir(tmp_path)
    sbc_ready(tmp_path)
    with pytest.raises(InputError, match=r"run `ridgebayes sbc --out 'my sbc'`") as caught:
        read_ranks("my sbc")
    small = "s.fits --model quick.py --simulations 2 --rank-draws 39 --warmup 100"
    the_command(f"{small} {WITH}")(tmp_path, message=str(caught.value))
    assert len(read_ranks("my sbc").values) == 2


def test_a_campaign_that_is_stopped(tmp_path, monkeypatch):
    """What the message says last is the same command again."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.toml").write_text(SMALL)
    line, fits = ["campaign", "p.toml", "--out", "c", *WITH.split()], module.run

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run", stopped)
    first = call(*line)
    assert re.search(r"stopped: 0 fits are kept in c: run it again to go on", first.stderr)
    monkeypatch.setattr(module, "run", fits)
    assert call(*line).exit_code == 0
