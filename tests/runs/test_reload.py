"""A run reopened: the same density at the same draws, whatever the model was given."""

import jax
import numpy as np
import pytest

import ridgebayes as rb
from ridgebayes import models, sample
from ridgebayes.errors import InputError
from ridgebayes.instrument.response import ImageResponse
from ridgebayes.runs.reload import reopen


def densities(again):
    """Log density of every draw, (part, chain, draw)."""
    one = jax.jit(again.posterior.potential)
    found = [
        -np.array([[one(z, part) for z in chain] for chain in draws])
        for part, draws in zip(again.parts, again.z, strict=True)
    ]
    return np.stack(found)


@pytest.mark.slow
def test_density_of_reopened_draws_is_the_sampler_s(small_run, small_mission, tmp_path):
    saved = small_run.save(tmp_path / "run")
    again = reopen(type(saved).open(saved.path), small_mission)
    few = again._replace(z=again.z[:, :, :5])
    stored = small_run.tree["sample_stats"]["lp_band"].values[:, :5]
    np.testing.assert_allclose(np.moveaxis(densities(few), 0, -1), stored, rtol=1e-10)


@pytest.mark.slow
def test_priors_extras_and_response_come_back(small_mission, three_regions, tmp_path):
    priors = {"sky.intensity": "MultivariateNormal([0, 0, 0], [[1, 0, 0], [0, 1, 0.5], [0, 0.5, 1]])"}
    priors |= {"background.scatter": "Shared(HalfNormal(0.02))", "crab.rate": 1.0}
    model = models.regions(three_regions).with_extras("transients").with_priors(priors)
    x = (np.arange(60) - 30) * 0.5
    image = np.clip(1 - np.abs(x) / 15, 0, 1)
    response = ImageResponse(np.outer(image, image), 0.5, (30.0, 30.0))
    run = sample(model, small_mission, response=response, chains=1, warmup=10, draws=4, seed=2)
    run.save(tmp_path / "run")
    again = reopen(type(run).open(tmp_path / "run"), small_mission)
    assert str(again.model) == str(model)
    assert again.prepared.response.key() == response.key()
    stored = run.tree["sample_stats"]["lp"].values
    np.testing.assert_allclose(densities(again)[0], stored, rtol=1e-10)


@pytest.mark.slow
def test_a_background_without_the_crab_comes_back(small_mission, tmp_path):
    """It needs no Crab rate, and none is recorded."""
    table = small_mission.select(~small_mission.crab).take_bands(["A01"])
    run = sample(models.background(), table, out=tmp_path / "run", chains=1, warmup=10, draws=4, seed=2)
    assert run.record["data"]["crab_rate"] == {}
    again = reopen(run, table)
    np.testing.assert_allclose(densities(again)[0], run.tree["sample_stats"]["lp"].values, rtol=1e-10)


def test_a_prior_that_has_no_text_is_refused(small_run, small_mission):
    record = {**small_run.record, "model": {**small_run.record["model"], "priors": {"crab.rate": "odd"}}}
    broken = type(small_run)(small_run.tree, record)
    with pytest.raises(InputError, match="cannot be built again"):
        reopen(broken, small_mission)


@pytest.mark.parametrize("judge", [rb.check, rb.loo, rb.kfold, rb.sensitivity, lambda run: rb.compare([run])])
def test_a_directory_stands_for_its_run(judge, small_run, tmp_path):
    path = small_run.save(tmp_path / "run").path
    (path / "posterior.nc").unlink()
    with pytest.raises(InputError, match=r"run: not a run directory \(posterior.nc"):
        judge(str(path))
    with pytest.raises(InputError, match=r"of type int: give a run, as rb.open_run"):
        judge(1)


def test_check_reads_the_run_that_is_named(small_run, small_mission, tmp_path):
    with pytest.raises(InputError, match="draws = 5: a check needs at least 20"):
        rb.check(small_run.save(tmp_path / "run").path, small_mission, draws=5)
