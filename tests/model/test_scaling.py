"""Priors over another parameter: their density in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from scipy import stats

from ridgebayes.errors import InputError
from ridgebayes.model.scaling import scaled

SD = np.array([[2.0], [0.5]])


def site(prior, sd=SD):
    """Return the site of a parameter (band, region) whose prior is widened."""

    def model():
        with scaled("x", jnp.asarray(sd)):
            numpyro.sample("x", prior.expand([2, 3]).to_event(2))

    return handlers.trace(handlers.seed(model, jax.random.key(0))).get_trace()["x"]


@pytest.mark.parametrize(
    ("prior", "one"),
    [(dist.Normal(0.3, 2.0), stats.norm(0.3, 2.0)), (dist.HalfNormal(2.0), stats.halfnorm(0, 2))],
)
@pytest.mark.parametrize("sd", [SD, np.array([[3.0]])], ids=["each band", "all"])
def test_density_is_that_of_every_element_once(prior, one, sd):
    """Log density of x over its factor, less the log of the factor, summed over the elements."""
    found = site(prior, sd)
    x = np.asarray(found["value"])
    assert found["fn"].event_shape == (2, 3)
    expected = (one.logpdf(x / sd) - np.log(sd)).sum()
    np.testing.assert_allclose(found["fn"].log_prob(x), expected, rtol=1e-10)


def test_draws_are_as_wide():
    draws = site(dist.Normal(0.0, 2.0))["fn"].sample(jax.random.key(1), (4000,))
    np.testing.assert_allclose(draws.std(0), 2.0 * SD + np.zeros((2, 3)), rtol=0.06)


def test_what_ends_elsewhere_cannot_be_widened():
    with pytest.raises(InputError, match="must allow any number, or any positive one"):
        site(dist.Uniform(0.0, 1.0))
