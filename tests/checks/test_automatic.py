"""Fits with the extras that help."""

import tomllib

import pytest

from ridgebayes import models, sample_auto, simulate
from ridgebayes.checks import automatic
from ridgebayes.checks.automatic import AUTO, words
from ridgebayes.report.build import write_report


@pytest.fixture(scope="module")
def dirty(three_regions):
    """A simulated mission of one band with correlated noise."""
    truth = simulate.Truth(template=None, tau=(0.01, 0.005, 0.003))
    world = simulate.World.on("correlated_noise")
    programme = simulate.programme(30, stop=2740, seed=11)
    return simulate.mission(programme, truth, sky=three_regions, world=world, seed=5).take_bands(["A01"])


@pytest.mark.slow
def test_it_opens_what_the_data_ask_for_and_tells_the_way(dirty, three_regions, tmp_path):
    out = tmp_path / "run"
    run = sample_auto(models.regions(three_regions), dirty, out=out, chains=2, draws=150, progress=False)
    assert run.record["model"]["extras"] == ["correlated_noise"]
    way = tomllib.loads((out / "run.toml").read_text())[AUTO]
    assert way == run.record[AUTO]
    assert way[0]["opened"] == ["correlated_noise"]
    assert way[0]["found"] == []
    assert len(way[0]["tried"]) == 2
    text = words(way)
    assert text[0].startswith("tried on 30 revolutions: correlated_noise: helps (+")
    assert text[-2:] == ["added: correlated_noise", f"check: {way[0]['check']}"]
    assert "tried on 30 revolutions" in write_report(run).read_text()


@pytest.mark.slow
def test_what_the_first_round_missed_the_second_finds(dirty, three_regions, monkeypatch):
    """Some revolutions may say too little: then the check finds it, and all revolutions are tried."""
    real, calls = automatic.Trials.steps, []

    def steps(self, **options):
        calls.append(self.revolutions)
        return iter(()) if len(calls) == 1 else real(self, **options)

    monkeypatch.setattr(automatic.Trials, "steps", steps)
    options = {"chains": 2, "draws": 150, "progress": False, "most_scws": 900}
    run = sample_auto(models.regions(three_regions), dirty, **options)
    first, second = run.record[AUTO]
    assert calls[0] < calls[1] == 30
    assert first["found"]
    assert second["opened"] == run.record["model"]["extras"] == ["correlated_noise"]
