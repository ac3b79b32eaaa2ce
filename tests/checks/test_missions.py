"""Whole checks: quiet where the data are the model's, and finding what is wrong where they are not."""

import json

import numpy as np
import pytest

from ridgebayes import check, models, read_table, sample, simulate, write_scws
from ridgebayes.errors import InputError
from ridgebayes.runs.reload import reopen
from tests.helpers import pickled
from tests.helpers.cli import call


@pytest.fixture(scope="module")
def checks(small_run, small_mission):
    return check(small_run, small_mission, draws=40)


def mission_of(small_mission, three_regions, world, seed=3):
    """The small mission again, in another world."""
    intensity = {"L-20": [0.3], "GB": [0.7], "L+20": [0.3]}
    truth = simulate.Truth(bands=simulate.BANDS[:1], template=None, intensity=intensity)
    return simulate.mission(
        small_mission, truth, sky=three_regions, world=simulate.World.on(world), seed=seed
    )


@pytest.fixture(scope="module")
def clean(three_regions):
    """Checks of a mission on which no statistic happens to be at the limit, as `small_mission` has one."""
    programme = simulate.programme(24, stop=2740, seed=11)
    intensity = {"L-20": [0.3], "GB": [0.7], "L+20": [0.3]}
    truth = simulate.Truth(bands=simulate.BANDS[:1], template=None, intensity=intensity)
    mission = simulate.mission(programme, truth, sky=three_regions, seed=4)
    run = sample(models.regions(three_regions), mission, seed=1, draws=250)
    return check(run, mission, draws=40)


@pytest.mark.long
def test_clean_data_are_not_found_fault_with(clean):
    checks = clean
    assert checks.found == ()
    assert checks.verdict.startswith("Nothing found")
    assert all(not result.found for result in checks.results)
    p = np.array([result.p for result in checks.results])
    assert checks.limit == 0.01 / len(p)
    assert (
        0.3 < np.median(p) < 0.7
    )  # of some sixty statistics; all near 0.5 or 1 where the fit is not made again


@pytest.mark.slow
def test_same_seed_same_answer(small_run, small_mission, checks):
    again = check(small_run, small_mission, draws=40)
    assert again.results == checks.results


@pytest.mark.slow
def test_replicates_elsewhere_are_those_here(small_run, small_mission, checks, monkeypatch):
    monkeypatch.setattr("ridgebayes.checks.checking.run_tasks", pickled.run)
    again = check(small_run, small_mission, draws=40, trials=False, scheduler="local:2")
    assert again.results == checks.results


@pytest.mark.slow
def test_rows_are_statistics_of_bands(checks, small_mission):
    table = checks.table()
    assert set(table["band"]) == set(small_mission.band_names)
    assert np.all((table["p"] > 0) & (table["p"] <= 1))
    assert np.all(table["lo"] <= table["hi"])
    correlated = table[table["statistic"] == "bands.next"]
    assert list(correlated["band"]) == [small_mission.band_names[0]]


@pytest.fixture(scope="module")
def noisy_run(small_mission, three_regions):
    """A fit of the small mission with neighbouring ScWs correlated, one band."""
    mission = mission_of(small_mission, three_regions, "correlated_noise")
    return sample(models.regions(three_regions), mission, seed=1, chains=2, draws=300), mission


@pytest.mark.slow
def test_correlated_noise_is_found_and_named_first(noisy_run):
    checks = check(*noisy_run, draws=40)
    assert checks.found[0] == "neighbours"
    assert "--extra correlated_noise" in checks.verdict
    assert checks.verdict in str(checks)


@pytest.mark.slow
def test_command_writes_tables_and_figures(noisy_run, tmp_path):
    run, mission = noisy_run
    table = tmp_path / "m.fits"
    write_scws(mission, table)
    run.save(tmp_path / "run")
    given = ["check", str(tmp_path / "run"), "--scws", str(table), "--replicates", "30"]
    done = call(*given)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "run" / "checks"
    told = json.loads((folder / "checks.json").read_text())
    assert told["verdict"] in done.output
    assert told["verdicts"][0]["subject"] == "neighbours"
    assert told["meta"]["simulated"] is True
    rows = read_table(folder / "checks.ecsv")
    assert len(rows) == len(told["results"])
    assert rows.meta["verdict"] == told["verdict"]
    (lag,) = rows[rows["statistic"] == "neighbours.lag1"]
    assert "correlated_noise" in lag["verdict"]
    for name in ("overview", "neighbours", "distribution", "crab", "latitude"):
        assert (folder / f"{name}.png").stat().st_size > 10_000


@pytest.mark.slow
def test_too_few_draws_are_refused(small_run, small_mission):
    with pytest.raises(InputError, match="at least 20"):
        check(small_run, small_mission, draws=5)
    with pytest.raises(InputError, match="the run has 1000"):
        check(small_run, small_mission, draws=2000)


@pytest.mark.slow
def test_reopened_parts_are_the_bands(small_run, small_mission):
    assert len(reopen(small_run, small_mission).parts) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "extra", "subject"),
    [("outliers", "outliers", "tails"), ("correlated_noise", "correlated_noise", "neighbours")],
)
def test_the_right_extra_makes_it_quiet(small_mission, three_regions, world, extra, subject):
    mission = mission_of(small_mission, three_regions, world)
    model = models.regions(three_regions)
    plain = check(sample(model, mission, seed=1, chains=2, draws=300), mission, draws=40)
    run = sample(model.with_extras(extra), mission, seed=1, chains=2, draws=300)
    opened = check(run, mission, draws=40)
    assert subject in plain.found
    assert opened.found == ()
    assert (run.scws["NOISE"].value >= 0.999 * run.scws["STAT_ERR"].value).all()


@pytest.mark.slow
def test_a_sky_of_another_shape_is_found():
    from ridgebayes import sky

    programme = simulate.programme(60, stop=2740, seed=7)
    coarse = sky.load("coarse")
    truth = simulate.Truth(bands=simulate.BANDS[:1])
    mission = simulate.mission(
        programme, truth, sky=coarse, world=simulate.World.on("wrong_template"), seed=1
    )
    model = models.regions(coarse)
    held = sample(model.with_priors({"sky.latitude": 0.0}), mission, seed=1, chains=2, draws=300)
    assert check(held, mission, draws=40).found[0] == "latitude"
    # By default the width follows the data, and nothing is left to find.
    run = sample(model, mission, seed=1, chains=2, draws=300)
    assert "latitude" not in check(run, mission, draws=40).found
