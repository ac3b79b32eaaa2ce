"""Campaigns in their folders: what goes on, what is refused, and the table, by numbers that were made up."""

import numpy as np
import pytest

from ridgebayes import read_table
from ridgebayes.campaign import Fit, Plan, open_campaign, run_campaign
from ridgebayes.campaign import running as module
from ridgebayes.campaign.measure import columns
from ridgebayes.campaign.summary import markdown, summary
from ridgebayes.errors import InputError
from tests.helpers.cli import call, one_line

PLAN = Plan(worlds=("clean", "outliers"), missions=2, bands=("A01", "A02"), regions=("GB", "L+20"))


def row(case, z=1.0, ratio=2.0, **changes):
    """One row: the posterior has this z and sd 1, calibrated sd are `ratio` times as wide."""
    error, ones = np.full((2, 4), float(z)), np.ones((2, 4))
    values = {}
    for estimate, sd in (("posterior", ones), ("calibrated", ratio * ones)):
        values |= dict(zip(columns(estimate), (error, sd, np.abs(error) < 1.88 * sd), strict=True))
    known = {"scws": 9, "r_hat": 1.0, "ess_bulk": 900.0, "ess_tail": 900.0, "divergences": 0}
    known |= {"converged": True, "wall_s": 1.0, "cpu_s": 2.0, "note": ""}
    return case._asdict() | known | {name: x.tolist() for name, x in values.items()} | changes


@pytest.fixture
def fitted(monkeypatch):
    """Cases that are fitted, in place of hours."""
    found = []

    def fake(work, cases, place):
        for case in cases:
            found.append(case)
            yield case, row(case)

    monkeypatch.setattr(module, "run", fake)
    return found


@pytest.mark.slow
def test_what_was_fitted_is_not_fitted_again(fitted, tmp_path):
    found = run_campaign(PLAN, tmp_path)
    assert fitted == PLAN.cases()
    assert len(found.results) == 4
    more = Plan(**{**vars(PLAN), "missions": 3, "fits": (Fit(), Fit("template"))})
    again = run_campaign(more, tmp_path)
    assert len(fitted) == len(set(fitted)) == 12
    assert set(fitted) == set(more.cases())
    assert open_campaign(tmp_path).plan == more
    # A smaller plan shows its own fits, and forgets none.
    assert len(run_campaign(PLAN, tmp_path).results) == 4
    assert run_campaign(more, tmp_path).results == again.results
    assert len(fitted) == 12
    assert list(read_table(tmp_path / "summary.ecsv")["world"]) == list(again.table["world"])


def test_a_campaign_that_is_stopped(tmp_path, monkeypatch):
    def stopped(work, cases, place):
        yield cases[0], row(cases[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run", stopped)
    with pytest.raises(KeyboardInterrupt, match=f"1 fits are kept in {tmp_path}: run it again to go on"):
        run_campaign(PLAN, tmp_path)
    assert len(open_campaign(tmp_path).results) == 1


@pytest.mark.slow
def test_another_campaign_is_refused(fitted, tmp_path, monkeypatch):
    run_campaign(PLAN, tmp_path)
    other = Plan(**{**vars(PLAN), "revolutions": 30})
    with pytest.raises(InputError, match=r"holds a campaign with revolutions = 200, and this has 30: give"):
        run_campaign(other, tmp_path)
    monkeypatch.setattr("ridgebayes.parallel.software.version", lambda package: "0.0")
    with pytest.raises(InputError, match=r"was begun with ridgebayes .*, and this is 0\.0: install that one"):
        run_campaign(PLAN, tmp_path)
    assert len(fitted) == 4


def test_no_campaign(tmp_path):
    with pytest.raises(InputError, match="is no campaign"):
        open_campaign(tmp_path)


def test_summary():
    cases = Plan(missions=4, bands=("A01", "A02")).cases()
    rows = [row(case, z) for case, z in zip(cases, (1.0, -2.0, 0.5, 3.0), strict=True)]
    rows[2] |= {"converged": False, "found": ["tails"]}
    rows[3] |= {"found": ["tails", "crab"]}
    table = summary(rows, ["A01", "A02"])
    assert list(table["estimate"]) == ["posterior", "calibrated"]
    posterior, calibrated = table
    rms = np.sqrt((1 + 4 + 0.25 + 9) / 4)
    assert posterior["bias"] == pytest.approx(2.5 / 4)
    assert posterior["rms_A01"] == posterior["rms_sums"] == pytest.approx(rms)
    assert calibrated["rms_differences"] == pytest.approx(rms / 2)
    assert calibrated["sd_ratio"] == 2.0
    assert posterior["not_converged"] == 1
    assert posterior["refused"] == 0
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown(table).splitlines()]
    told = dict(zip(lines[0], lines[2], strict=True))
    # 4 missions × 2 regions × 2 bands; of 16, 94 % is 13 to 16 with 95 % probability.
    assert told["bands covered"] == "8/16 (13 to 16)"
    assert told["checks found"] == "tails 2, crab 1"
    assert dict(zip(lines[0], lines[3], strict=True))["bands covered"] == "16/16 (13 to 16)"


def test_fits_without_fluxes_have_a_row():
    cases = Plan(missions=2).cases()
    bare = [{name: x for name, x in row(case).items() if "_posterior" not in name} for case in cases]
    bare = [{name: x for name, x in one.items() if "_calibrated" not in name} for one in bare]
    bare[1]["converged"] = None
    table = summary(bare, ["A01", "A02"])
    assert len(table) == 1
    assert (table["missions"][0], table["refused"][0]) == (2, 1)
    assert "| clean | regions | 2 |" in markdown(table)


def test_the_command(fitted, tmp_path):
    (tmp_path / "p.toml").write_text('missions = 2\nbands = ["A01", "A02"]\nregions = ["GB", "L+20"]\n')
    given = ["campaign", tmp_path / "p.toml", "--out", tmp_path / "out", "--quiet"]
    result = call(*given)
    assert result.exit_code == 0, result.output
    assert "| clean | regions | 2 | posterior | 1.00 |" in result.output
    assert "summary.ecsv, fits.jsonl" in result.output
    again = call(*given, "--summary")
    assert again.output.splitlines()[0] == result.output.splitlines()[0]
    assert len(fitted) == 2
    one_line(call("campaign", tmp_path / "none.toml"), "none.toml: no such file")
