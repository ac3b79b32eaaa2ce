"""The main job on a small simulated mission."""

import dataclasses
import logging

import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from ridgebayes import models, sample
from ridgebayes.errors import InputError
from ridgebayes.inference.kernels import Draws, Sampler
from ridgebayes.inference.laplace import Curvature, laplace
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.runner import resolve_device
from ridgebayes.likelihood.design import prepare


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


def test_few_draws_are_warned_of(small_mission, three_regions):
    run = sample(
        models.regions(three_regions), small_mission.take_bands(["A01"]), warmup=30, draws=20, chains=2
    )
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


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"chains": 0}, "chains = 0"), ({"draws": -1}, "draws = -1"), ({"target_accept": 1.0}, "target_accept"),
     ({"seed": -1}, "seed")],
)  # fmt: skip
def test_bad_settings(small_mission, three_regions, settings, words):
    with pytest.raises(InputError, match=words):
        sample(models.regions(three_regions), small_mission, **settings)


def test_devices_that_are_not_there(small_mission, three_regions):
    with pytest.raises(InputError, match="--devices 99: there are 1 cpu devices"):
        sample(models.regions(three_regions), small_mission, devices=99)


def test_device_is_resolved():
    assert resolve_device(12, devices=2).workers == 1
    assert resolve_device(1).workers == 1
    assert resolve_device(12, workers=3).workers == 3
    assert "threads" in str(resolve_device(12, workers=3))


class TestEngine:
    """Laplace start and NUTS on a density known in closed form."""

    @staticmethod
    def potential(z, data):
        mean, precision = data
        return 0.5 * (z - mean) @ precision @ (z - mean)

    @pytest.fixture
    def target(self, rng):
        # Neighbours anticorrelated, scales from 1e-2 to 1e2.
        n = 12
        chol = np.tril(rng.normal(size=(n, n)) * 0.5) + np.eye(n)
        scale = np.diag(np.logspace(-2, 2, n))
        covariance = scale @ chol @ chol.T @ scale
        return np.arange(n, dtype=float), covariance

    def test_laplace_is_exact_for_a_gaussian(self, target):
        mean, covariance = target
        data = (mean, np.linalg.inv(covariance))
        found = laplace(Curvature(self.potential), np.zeros(12), data, np.ones(12, bool), np.full(12, 100.0))
        sd = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(found.mode / sd, mean / sd, atol=1e-3)
        np.testing.assert_allclose(
            found.root @ found.root.T / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=1e-6
        )

    def test_laplace_stays_within_reach_of_the_prior(self):
        """A direction that the data leave flat is no wider than a few times what the prior gives it."""
        flat = lambda z, scale: 0.5 * ((z[0] / 3) ** 2 + 1e-14 * z[1] ** 2)  # noqa: E731
        found = laplace(Curvature(flat), np.ones(2), None, np.ones(2, bool), np.array([5.0, 2.0]))
        np.testing.assert_allclose(np.abs(found.root).max(1), [3.0, 2.0 / np.sqrt(0.05)], rtol=1e-6)

    def test_nuts_has_the_moments(self, target):
        mean, covariance = target
        data = (mean, np.linalg.inv(covariance))
        curvature = Curvature(self.potential)
        approximation = laplace(curvature, np.zeros(12), data, np.ones(12, bool), np.full(12, 100.0))
        sampler = Sampler(curvature, warmup=200)
        blocks = [
            b for b in sampler.chain(jax.random.key(0), data, approximation, 4000) if isinstance(b, Draws)
        ]
        z = np.concatenate([b.z for b in blocks])
        assert z.shape == (4000, 12)
        sd = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(z.mean(0) / sd, mean / sd, atol=0.1)
        np.testing.assert_allclose(np.cov(z.T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=0.12)


def test_compiled_code_holds_no_data(small_mission, three_regions):
    """Arrays are arguments: the lowered text does not grow with the mission."""
    data = prepare(small_mission, three_regions).data
    posterior = Posterior(models.regions(three_regions), data)
    z = np.zeros(posterior.size)
    text = jax.jit(jax.value_and_grad(posterior.potential)).lower(z, data).as_text()
    assert data.rate.size > 3000
    assert len(text) < 400_000


@pytest.mark.slow
def test_marginal_and_explicit_models_agree(small_mission, three_regions):
    """Integrating the revolution terms out changes nothing but the speed."""
    few = small_mission.take_bands(["A01"]).select(np.isin(
        small_mission.revolution, np.unique(small_mission.revolution)[::2]))  # fmt: skip
    runs = [
        sample(models.regions(three_regions, marginal=marginal), few, seed=4, warmup=500, draws=1000)
        for marginal in (True, False)
    ]
    for name in runs[0].diagnosis.ess_bulk:
        a, b = (run.tree["posterior"][name] for run in runs)
        ess = np.minimum(*(run.diagnosis.ess_bulk[name] for run in runs))
        error = np.sqrt((a.var(("chain", "draw")) + b.var(("chain", "draw"))) / ess)
        assert (np.abs(a.mean(("chain", "draw")) - b.mean(("chain", "draw"))) < 4 * error).all(), name
