"""The main job on a small simulated mission."""

import dataclasses
import logging
import re
from unittest.mock import Mock

import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from ridgebayes import models, sample
from ridgebayes.errors import InputError, RidgeBayesWarning
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.settings import resolve_device
from ridgebayes.likelihood.design import prepare
from ridgebayes.runs import assemble, sampling
from ridgebayes.runs.run import Run, as_run
from ridgebayes.runs.sampling import meet
from ridgebayes.table.formats import write_scws


def test_the_truth_is_recovered(small_run, small_mission):
    table = small_run.table()
    z = ((table["mean"] - table["truth"]) / table["sd"]).value
    assert np.abs(z).max() < 4
    assert np.sum(z**2) < stats.chi2(z.size).ppf(0.999)
    for name, key in (("background.scatter", "sigma"), ("background.tracer", "alpha")):
        draws = small_run.tree["posterior"][name]
        pull = (draws.mean(("chain", "draw")) - small_mission.truth[key]) / draws.std(("chain", "draw"))
        assert np.abs(pull).max() < 4


def test_the_sampler_did_its_work(small_run):
    # One in a thousand happens at the default target acceptance; a wrong gradient makes hundreds.
    assert small_run.diagnosis.divergences <= 2
    r_hat, ess, _ = small_run.diagnosis.worst
    assert r_hat < 1.03
    assert ess > 300
    # Whitening: a handful of steps a transition of NUTS and band, not a hundred; proposals take none.
    steps = small_run.tree["sample_stats"]["n_steps_band"]
    assert steps.where(steps > 0).mean() < 20


def test_nothing_per_scw_is_stored(small_run, small_mission):
    for group in small_run.tree.children.values():
        assert len(small_mission) not in group.sizes.values()


@pytest.mark.long
def test_same_seed_same_draws(small_mission, three_regions, small_run):
    model = models.regions(three_regions)
    again = sample(model, small_mission, seed=1, draws=250, workers=1)
    xr.testing.assert_identical(again.intensity(), small_run.intensity())


@pytest.mark.slow
def test_bands_alone_agree_with_bands_together(small_mission, three_regions, small_run):
    """One joint fit of both bands is the same posterior."""
    together = dataclasses.replace(models.regions(three_regions), factorises=False)
    run = sample(together, small_mission, seed=2, draws=250)
    a, b = small_run.intensity(), run.intensity()
    error = np.sqrt((a.var(("chain", "draw")) + b.var(("chain", "draw"))) / 400)
    assert (np.abs(a.mean(("chain", "draw")) - b.mean(("chain", "draw"))) < 4 * error).all()
    np.testing.assert_allclose(a.std(("chain", "draw")), b.std(("chain", "draw")), rtol=0.2)


@pytest.mark.slow
def test_few_draws_are_warned_of(small_mission, three_regions):
    few = small_mission.take_bands(["A01"])
    with pytest.warns(RidgeBayesWarning, match=r"not converged: A01 \(run in memory\)") as warned:
        run = sample(models.regions(three_regions), few, warmup=30, draws=20, chains=2)
    assert [w.filename for w in warned] == [__file__]
    assert run.converged == {"A01": False}
    assert run.record["not_converged"] == ["A01"]
    text = " ".join(run.diagnosis.warnings)
    assert "ESS" in text
    assert any(name in text for name in run.tree["posterior"].data_vars)
    assert run.record["warnings"] == list(run.diagnosis.warnings)
    assert all("ESS" in str(w) for w in run.table()["warning"])


@pytest.mark.slow
def test_given_crab_rate_holds_it(small_mission, three_regions, caplog):
    caplog.set_level(logging.INFO, logger="ridgebayes")
    bare = small_mission.select(~small_mission.crab).take_bands(["A01"])
    run = sample(models.regions(three_regions), bare, crab_rate={"A01": 119.0}, warmup=30, draws=20, chains=1)
    assert "crab.rate" not in run.tree["posterior"]
    assert "held at the given one" in caplog.text


@pytest.mark.slow
def test_the_error_of_a_given_crab_rate_is_in_the_intervals(small_mission, three_regions):
    """Intensity times Crab rate is what data know: the relative errors add in quadrature."""
    bare = small_mission.select(~small_mission.crab).take_bands(["A01"])
    plain = models.regions(three_regions)
    held, known = (
        sample(model, bare, crab_rate={"A01": 119.0}, chains=2, seed=1).tree["posterior"].dataset
        for model in (plain, plain.with_priors({"crab.rate": "LogNormal(0, 0.05)"}))
    )
    over_draws = ("chain", "draw")
    assert float(known["crab.rate"].std()) == pytest.approx(0.05, rel=0.1)
    expected = np.hypot(held["sky.fov_flux"].std(over_draws), 0.05 * held["sky.fov_flux"].mean(over_draws))
    np.testing.assert_allclose(known["sky.fov_flux"].std(over_draws), expected, rtol=0.1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"chains": 0}, "chains = 0"), ({"draws": -1}, "draws = -1"), ({"target_accept": 1.0}, "target_accept"),
     ({"seed": -1}, "seed"), ({"n_draws": 10}, "n_draws=.*did you mean 'draws'"),
     ({"overwite": True}, "overwite=.*did you mean 'overwrite'")],
)  # fmt: skip
def test_bad_settings(small_mission, three_regions, settings, words):
    with pytest.raises(InputError, match=words):
        sample(models.regions(three_regions), small_mission, **settings)


def test_names_in_place_of_a_table_and_a_model(small_mission, three_regions, tmp_path):
    write_scws(small_mission, tmp_path / "mission.fits")
    with pytest.raises(InputError, match="devices=99"):  # the table was read
        sample(models.regions(three_regions), str(tmp_path / "mission.fits"), devices=99)
    with pytest.raises(InputError, match=r"nowhere.fits: no such file"):
        sample(models.regions(three_regions), "nowhere.fits")
    with pytest.raises(InputError, match=r"scws: is of type dict: .*rb.read_scws"):
        sample(models.regions(three_regions), {})
    with pytest.raises(InputError, match=r"model: is of type str: .*rb.models.regions"):
        sample("regions", small_mission)


def test_devices_that_are_not_there(small_mission, three_regions):
    with pytest.raises(InputError, match="devices=99: there are 1 cpu devices"):
        sample(models.regions(three_regions), small_mission, devices=99)


def test_device_is_resolved():
    assert resolve_device(12, devices=2).workers == 1
    assert resolve_device(1).workers == 1
    assert resolve_device(12, workers=3).workers == 3
    assert "threads" in str(resolve_device(12, workers=3))


@pytest.mark.slow
def test_compiled_code_holds_no_data(small_mission, three_regions):
    """Arrays are arguments: the lowered text does not grow with the mission."""
    data = prepare(small_mission, three_regions).data
    posterior = Posterior(models.regions(three_regions), data)
    z = np.zeros(posterior.size)
    text = jax.jit(jax.value_and_grad(posterior.potential)).lower(z, data).as_text()
    assert data.rate.size > 3000
    assert len(text) < 400_000


@pytest.mark.slow
def test_chains_of_the_explicit_model_agree(small_mission, three_regions):
    """Its revolution coefficients are sampled. That the densities are the same is tested beside the density.

    Four revolutions would allow several histories of the Crab, and NUTS stays in one; with few coefficients
    their sd is the neck of a funnel. So both are fixed.
    """
    numbers = np.unique(small_mission.revolution)[::7]
    few = small_mission.take_bands(["A01"]).select(np.isin(small_mission.revolution, numbers))
    fixed = {"background.revolution_sd": 0.03, "crab.rate": 1.0, "crab.shape": 0.0}
    runs = [
        sample(
            models.regions(three_regions, marginal=marginal).with_priors(fixed),
            few, seed=4, chains=2, warmup=200, draws=400,
        )
        for marginal in (True, False)
    ]  # fmt: skip
    assert "background.coefficients" in runs[1].tree["posterior"]
    assert all(run.diagnosis.divergences == 0 for run in runs)
    for name in runs[0].diagnosis.ess_bulk:
        a, b = (run.tree["posterior"][name] for run in runs)
        ess = np.minimum(*(run.diagnosis.ess_bulk[name] for run in runs))
        assert ess.min() > 100, name
        error = np.sqrt((a.var(("chain", "draw")) + b.var(("chain", "draw"))) / ess)
        assert (np.abs(a.mean(("chain", "draw")) - b.mean(("chain", "draw"))) < 4 * error).all(), name


def test_few_draws_are_not_calibrated(small_mission, three_regions, monkeypatch):
    """A covariance of 72 parameters needs more than 60 draws; bands fitted together have another remedy."""
    model, made = meet(models.regions(three_regions), small_mission)
    monkeypatch.setattr(assemble, "MIN_REVOLUTIONS", 1)
    bands = len(small_mission.bands)
    few = assemble.not_calibrated(model, made, (bands, 4, 15, 72))
    assert re.fullmatch(r"none: 60 draws, at least (\d+) are needed \(--draws (\d+)\)", few)
    least = int(few.split()[5])
    assert least >= 216
    assert few.endswith(f"(--draws {-(-least // 4)})")
    assert not assemble.not_calibrated(model, made, (bands, 4, -(-least // 4), 72))
    assert few + "; noise that bands share" in assemble.not_calibrated(model, made, (1, 4, 15, 72))


def test_what_weights_draws_takes_those_of_the_posterior(small_run):
    wider = small_run.tree.copy()
    wider["calibrated"] = 3.0 * small_run.tree["posterior"].dataset
    run = Run(wider, small_run.record)
    assert float(run.calibrated.intensity().std()) == pytest.approx(3.0 * float(run.intensity().std()))
    assert as_run(run.calibrated) is run
    assert as_run(run) is run


def test_many_bands_together_are_warned_of_before_they_are_sampled(small_mission, monkeypatch, caplog):
    monkeypatch.setattr(assemble, "MIN_REVOLUTIONS", 1)
    monkeypatch.setattr(sampling, "run_anywhere", Mock(side_effect=StopIteration))
    for model, warned in ((models.spectrum("milkyway"), True), (models.regions("milkyway"), False)):
        caplog.clear()
        with pytest.raises(StopIteration):
            sample(model, small_mission, draws=10, progress=False)
        assert ("not be calibrated" in caplog.text) == warned
