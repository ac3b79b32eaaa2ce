"""Intervals calibrated by revolution: the map of whitened draws, and the scores of a mission."""

import jax
import jax.numpy as jnp
import numpy as np

from ridgebayes import models
from ridgebayes.inference.calibration import Calibrator, Scores, stretched
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare


def _scores(score, prior):
    size = score.shape[1]
    return Scores(np.zeros(size), np.eye(size), score, np.zeros_like(score), prior)


def test_the_map_squared_is_the_sandwich(rng):
    """Of two parts together: R/(R-1) times the scatter of the scores, plus what each prior says."""
    one, two = rng.normal(size=(40, 2)), rng.normal(size=(40, 3))
    two[:, 0] += one[:, 1]
    prior = 0.2 * np.eye(2), 0.1 * np.eye(3)
    found = stretched([_scores(one, prior[0]), _scores(two, prior[1])])
    expected = 40 * np.cov(np.hstack([one, two]).T)
    expected[:2, :2] += prior[0]
    expected[2:, 2:] += prior[1]
    np.testing.assert_allclose(found @ found, expected, rtol=1e-10, atol=1e-12)


def test_a_revolution_that_pulls_the_fit_counts_more(rng):
    score = rng.normal(size=(30, 1))
    score -= score.mean()
    plain = _scores(score, np.zeros((1, 1)))
    pulled = plain._replace(share=np.full_like(score, 0.5))
    np.testing.assert_allclose(stretched([pulled]), np.sqrt(2.0) * stretched([plain]))


def test_scores_add_up_to_the_gradient_of_the_likelihood(small_mission, three_regions):
    model = models.regions(three_regions)
    data = prepare(small_mission, three_regions, opened=model.parameters.keys()).data.band(0)
    posterior = Posterior(model, data)
    middle = posterior.start(jax.random.key(0), data)
    draws = middle + 1e-3 * posterior.scale * np.random.default_rng(0).normal(size=(400, posterior.size))
    found = Calibrator(posterior).scores(draws, data)

    def log_likelihood(z):
        return posterior.prior_potential(z, data) - posterior.potential(z, data)

    gradient = jax.grad(log_likelihood)(jnp.asarray(found.mean))
    np.testing.assert_allclose(found.score.sum(0), found.root.T @ np.asarray(gradient), rtol=1e-6, atol=1e-8)
