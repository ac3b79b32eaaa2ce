"""One simulation: ranks, their names, and what it ranks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import kstest, norm

from ridgebayes import models
from ridgebayes.sbc.campaign import make_task
from ridgebayes.sbc.one import Fitter, named_elements, rank, smallest_ess
from tests.helpers import quick_model


@pytest.fixture(scope="module")
def fitter_and_data(pointings, settings):
    task = make_task(quick_model.load(), pointings, settings=settings)
    data = jax.tree.map(jnp.asarray, task.parts[0])
    return Fitter(quick_model.load(), data, warmup=100, draws=39), data


def test_rank_counts_the_draws_below(rng):
    draws = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]])
    np.testing.assert_array_equal(rank(np.array([2.5, 9.0]), draws, rng), [2, 3])


def test_ties_are_broken_at_random(rng):
    found = [int(rank(np.array(1.0), np.array([0.0, 1.0, 1.0, 2.0]), rng)) for _ in range(300)]
    assert set(found) == {1, 2, 3}
    assert min(np.bincount(found)[1:]) > 60


def test_names_of_elements():
    labels = {
        "coords": {"band": ["A01", "A02"], "region": ["GB", "L+20"]},
        "dims": {"sky.norm": ("band", "region"), "one": ()},
    }
    values = np.array([[1, 2], [3, 4]])
    expected = {"[A01,GB]": 1, "[A01,L+20]": 2, "[A02,GB]": 3, "[A02,L+20]": 4}
    for name in ("sky.norm", "sky.fov_flux"):
        assert named_elements(name, values, labels) == {name + k: v for k, v in expected.items()}
    assert named_elements("one", np.array(7), labels) == {"one": 7}
    assert named_elements("log_likelihood", np.array(7), labels) == {"log_likelihood": 7}
    # A shared parameter has fewer elements than its axes say.
    assert named_elements("sky.norm", np.array([[5]]), labels) == {"sky.norm[0,0]": 5}


def test_smallest_ess_is_that_of_the_slowest_parameter(rng):
    n, memory = 20_000, 0.8
    z = rng.normal(size=(n, 2))
    z[:, 1] = lfilter([np.sqrt(1 - memory**2)], [1.0, -memory], z[:, 1])
    np.testing.assert_allclose(smallest_ess(z), n * (1 - memory) / (1 + memory), rtol=0.2)
    assert smallest_ess(np.ones((100, 2))) <= 100


@pytest.mark.slow
def test_truths_follow_the_prior_and_data_the_truths(fitter_and_data):
    fitter, data = fitter_and_data
    truths, residuals = [], []
    for number in range(200):
        truth, simulated = fitter.simulate(jax.random.key(number), data)
        truths.append({name: float(value[0]) for name, value in truth.items()})
        level = np.asarray(data.level)[0, np.asarray(data.block_revolution)][:, None] * truth["level"]
        filled = np.asarray(data.filled)
        residuals.append(np.mean((np.asarray(simulated.rate)[0] - level)[filled]))
    priors = {"level": norm(1.0, 0.1).cdf, "spread": lambda x: norm(-4, 0.5).cdf(np.log(x))}
    for name, cdf in priors.items():
        assert kstest([t[name] for t in truths], cdf).pvalue > 1e-3
    # Revolution terms and scatter have mean zero.
    assert abs(np.mean(residuals)) < 4 * np.std(residuals) / np.sqrt(len(residuals))


@pytest.mark.long
def test_derived_intensities_and_likelihood_are_ranked(small_mission, three_regions):
    model = models.template(three_regions).with_priors({"background.drift": 0.0, "sky.departure": 0.0})
    task = make_task(model, small_mission.take_bands(["A01"]))
    fitter = Fitter(model, jax.tree.map(jnp.asarray, task.parts[0]), warmup=10, draws=9)
    data = jax.tree.map(jnp.asarray, task.parts[0])
    truth, simulated = fitter.simulate(jax.random.key(1), data)
    z = jnp.zeros((9, fitter.posterior.size))
    values = fitter._quantities(truth, z, simulated)
    assert {"sky.norm", "sky.intensity", "sky.fov_flux", "log_likelihood", "crab.rate"} <= set(values)
    assert all(len(value) == 10 for value in values.values())
    # The truth comes first: an intensity is the norm times the template.
    np.testing.assert_allclose(values["sky.intensity"][0], truth["sky.norm"] @ np.asarray(data.template))
    # Prior and Jacobian do not depend on the data: what is left of the potential is the likelihood.
    vector = fitter.posterior.unconstrain({n: np.asarray(truth[n]) for n in fitter.posterior.shapes})
    other = fitter._quantities(truth, z, data)
    change = [float(np.sum(v["log_likelihood"][0])) for v in (values, other)]
    potential = [float(fitter.posterior.potential(jnp.asarray(vector), d)) for d in (simulated, data)]
    np.testing.assert_allclose(change[0] - change[1], potential[1] - potential[0], rtol=1e-9)
