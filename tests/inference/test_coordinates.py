"""Coordinates of what may vanish: against SciPy, by quadrature, and their tails."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats

from ridgebayes.inference.coordinates import FromZero, coordinates, is_real, may_vanish

SCALE = 0.3


def test_there_and_back():
    z = np.concatenate([np.linspace(-12, 12, 200), [40.0, 1e3]])
    x = np.asarray(FromZero(SCALE)(z))
    assert (x > 0).all()
    assert (np.diff(x) > 0).all()
    np.testing.assert_allclose(FromZero(SCALE).inv(x), z, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(x[-2:], SCALE * z[-2:])


def test_slope_is_that_of_automatic_differentiation():
    z = np.linspace(-8, 8, 30)
    transform = FromZero(SCALE)
    slope = jax.vmap(jax.grad(transform))(jnp.asarray(z))
    np.testing.assert_allclose(transform.log_abs_det_jacobian(z, None), np.log(slope), rtol=1e-9)


def test_a_prior_that_is_finite_at_zero_has_a_gaussian_tail():
    """Its density in z integrates to one; far to the left it falls like a Gaussian, not like exp(z)."""
    transform = FromZero(SCALE)

    def density(z):
        log_slope = float(transform.log_abs_det_jacobian(z, None))
        return stats.halfnorm.pdf(float(transform(z)), scale=0.4) * np.exp(log_slope)

    assert integrate.quad(density, -10, 10)[0] == pytest.approx(1.0, abs=1e-6)
    assert density(-6.0) / density(-3.0) < 1e-5
    assert density(-6.0) / density(-3.0) == pytest.approx(stats.norm.cdf(-6) / stats.norm.cdf(-3), rel=0.01)


@pytest.mark.parametrize(
    ("prior", "vanishes"),
    [
        (dist.HalfNormal(0.1), True),
        (dist.HalfNormal(jnp.full((2, 3), 0.1)).to_event(1), True),
        (dist.HalfNormal(0.1).expand([2]).mask(True), True),
        (dist.Exponential(2.0), True),
        (dist.LogNormal(0.0, 1.0), False),
        (dist.HalfCauchy(1.0), False),
        (dist.Normal(0.0, 1.0), False),
    ],
)
def test_which_priors_are_of_what_may_vanish(prior, vanishes):
    assert may_vanish(prior) == vanishes


def test_the_whole_line_needs_no_coordinates():
    assert is_real(coordinates(dist.Normal(0.0, 1.0)))
    assert is_real(coordinates(dist.Normal(jnp.zeros(3), 1.0).to_event(1)))
    assert not is_real(coordinates(dist.LogNormal(0.0, 1.0)))
    assert not is_real(coordinates(dist.HalfNormal(1.0), 0.8))
