"""The distribution with correlated noise against dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ridgebayes.likelihood.ou_noise import CorrelatedNormal
from ridgebayes.likelihood.packing import layout
from ridgebayes.likelihood.revolution import RevolutionNormal
from ridgebayes.likelihood.sequence import sequence
from tests.helpers.noise_cases import COUNTS, Mission, dense_covariance


@jax.jit
def log_prob(arguments, fixed):
    shared, order, value = fixed
    loc, white, coef_sd, sd, memory = arguments
    return CorrelatedNormal(loc, white, coef_sd, *shared, sd, memory, order).log_prob(value)


@jax.jit
def dense_log_prob(arguments, rows):
    """The same density, arguments in blocks, through a dense covariance."""
    loc, white, *scales = arguments
    cells, revolution, mjd, basis, value = rows
    covariance = dense_covariance(white.ravel()[cells], *scales, revolution, mjd, basis)
    return jax.scipy.stats.multivariate_normal.logpdf(value, loc.ravel()[cells], covariance)


def along(function):
    """Compile the gradient, and its derivative along a direction as the start of a fit takes it."""
    gradient = jax.jit(jax.grad(function))
    return gradient, jax.jit(lambda x, v, data: jax.jvp(lambda y: gradient(y, data), (x,), (v,))[1])


GRADIENT, PRODUCT = along(log_prob)
DENSE_GRADIENT, DENSE_PRODUCT = along(dense_log_prob)


SETTINGS = {
    "plain": {},
    "one term": {"coef_sd": (3.0,)},
    "term off": {"coef_sd": (2.0, 0.0, 0.5)},
    "long memory": {"memory": 1e4, "sd": 3.0},
    "short memory": {"memory": 1e-3},
    "strong": {"sd": 300.0, "memory": 0.02},
    "groups": {"groups": 3},
    "narrow blocks": {"width": 4, "groups": 9},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_log_prob_is_the_dense_normal(settings):
    m = Mission(**settings)
    dense = stats.multivariate_normal(m.loc, m.covariance).logpdf(m.value)
    assert log_prob(m.arguments, m.fixed) == pytest.approx(dense, rel=1e-9)


@pytest.mark.slow
def test_switched_off_it_is_the_distribution_without():
    m = Mission()
    loc, white, coef_sd, sd, memory = m.arguments
    value = m.where.pack(m.value)
    off = m.distribution(loc, white, coef_sd, 0 * sd, memory)
    log_prob_off = log_prob((loc, white, coef_sd, 0 * sd, memory), m.fixed)
    without = m.distribution(loc, white, coef_sd, sd, memory, kind=RevolutionNormal)
    assert log_prob_off == pytest.approx(float(without.log_prob(value)), rel=1e-13)
    for one, other in zip(
        off.coefficient_posterior(value), without.coefficient_posterior(value), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("memory", [0.0, 1e-300, 1e-9])
def test_without_memory_it_is_white(memory):
    """As memory goes to zero the process adds to the white variance; gradients stay finite."""
    m = Mission()
    loc, white, coef_sd, sd, _ = m.arguments
    white = white + (sd**2)[m.where.block_revolution][:, None]
    without = m.distribution(loc, white, coef_sd, sd, memory, kind=RevolutionNormal)
    arguments = (*m.arguments[:4], memory)
    assert log_prob(arguments, m.fixed) == pytest.approx(
        float(without.log_prob(m.where.pack(m.value))), rel=1e-12
    )
    gradient = GRADIENT(jax.tree.map(jnp.asarray, arguments), m.fixed)
    assert all(jnp.isfinite(g).all() for g in gradient)


@pytest.mark.parametrize(
    "settings", [{"groups": 2}, {"coef_sd": (2.0, 0.0, 0.5)}, {"sd": 0.0}, {"memory": 20.0}]
)
def test_gradient_is_the_dense_one(settings):
    m = Mission(**settings)
    arguments = jax.tree.map(jnp.asarray, m.arguments)
    ours, dense = GRADIENT(arguments, m.fixed), DENSE_GRADIENT(arguments, m.rows)
    for one, other in zip(ours, dense, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("settings", [{}, {"coef_sd": (2.0, 0.0, 0.5)}, {"sd": 0.0}])
@pytest.mark.slow
def test_second_derivatives_are_the_dense_ones(settings):
    """Hessian times a random vector, forward over reverse as the start of a fit takes it."""
    m = Mission(**settings)
    arguments = jax.tree.map(jnp.asarray, m.arguments)
    rng = np.random.default_rng(5)
    direction = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), arguments)
    ours, dense = PRODUCT(arguments, direction, m.fixed), DENSE_PRODUCT(arguments, direction, m.rows)
    for one, other in zip(ours, dense, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-8)


def test_the_basis_is_not_differentiated():
    m = Mission()
    loc, white, coef_sd, sd, memory = m.arguments

    def of_basis(basis):
        shared = (basis, m.where.block_revolution, m.where.mask, sd, memory, m.order)
        return CorrelatedNormal(loc, white, coef_sd, *shared).log_prob(m.where.pack(m.value))

    with pytest.raises(NotImplementedError, match="basis is data"):
        jax.grad(of_basis)(jnp.asarray(m.where.pack(m.basis)))


def test_bands_masks_and_jit():
    """Bands share nothing; the distribution passes through jit and to_event as a pytree."""
    m = Mission()
    loc, white, coef_sd, sd, memory = m.arguments
    bands = (jnp.stack([loc, loc + 0.2]), white, coef_sd, jnp.stack([sd, 2 * sd]), jnp.array([memory, 1.0]))
    value = jnp.stack([jnp.asarray(m.where.pack(m.value))] * 2)
    d = m.distribution(*bands)
    second = (loc + 0.2, white, coef_sd, 2 * sd, 1.0)
    each = [log_prob(m.arguments, m.fixed), log_prob(second, m.fixed)]
    assert d.batch_shape == (2,)
    of = jax.jit(lambda d, value: d.log_prob(value))
    assert of(d.to_event(1), value) == pytest.approx(float(sum(each)), rel=1e-12)
    assert of(d.mask(jnp.array([True, False])).to_event(1), value) == pytest.approx(float(each[0]), rel=1e-12)
    with pytest.raises(ValueError, match="correlated_sd"):
        CorrelatedNormal(
            loc,
            white,
            coef_sd,
            d.basis,
            d.block_revolution,
            d.filled,
            -sd,
            memory,
            m.order,
            validate_args=True,
        )


def test_empty_cells_do_not_matter():
    m = Mission()
    shared, order, value = m.fixed
    wild = np.where(m.where.mask, value, 1e6)
    assert log_prob(m.arguments, m.fixed) == log_prob(m.arguments, (shared, order, wild))
    gradient = GRADIENT(m.arguments, m.fixed)
    assert all((g[~m.where.mask] == 0).all() for g in gradient[:2])


def test_row_order_is_irrelevant():
    m, shuffled = Mission(), Mission()
    order = np.random.default_rng(1).permutation(m.revolution.size)
    for name in ("revolution", "mjd", "loc", "white", "value"):
        setattr(shuffled, name, getattr(m, name)[order])
    shuffled.basis = m.basis[:, order]
    shuffled.where = layout(shuffled.revolution, width=4)
    shuffled.order = sequence(shuffled.where, shuffled.mjd, shuffled.where.pack(shuffled.basis), groups=2)
    assert log_prob(shuffled.arguments, shuffled.fixed) == pytest.approx(
        float(log_prob(m.arguments, m.fixed)), rel=1e-13
    )


def test_sequence_holds_every_scw_once_in_order():
    m = Mission()
    mjd, found = m.where.pack(m.mjd).ravel(), []
    for group in m.order.groups:
        assert (group.present.sum(0) == np.bincount(m.revolution)[group.revolution]).all()
        for column, revolution in enumerate(group.revolution):
            cells = group.index[group.present[:, column], column]
            assert (m.revolution[m.where.index.ravel()[cells]] == revolution).all()
            np.testing.assert_allclose(
                group.gap[group.present[:, column], column], np.diff(mjd[cells], prepend=mjd[cells[0]])
            )
            assert (np.diff(mjd[cells]) >= 0).all()
            found += cells.tolist()
    assert sorted(found) == np.flatnonzero(m.where.mask).tolist()
    flat = np.concatenate([group.index.ravel() for group in m.order.groups])
    assert (flat[m.order.position[m.where.mask]] == np.flatnonzero(m.where.mask)).all()
    assert (m.order.position[~m.where.mask] == flat.size).all()


@pytest.mark.parametrize("coef_sd", [(2.0, 0.7, 0.4), (2.0, 0.0, 0.5)])
def test_coefficients_are_the_dense_conditional(coef_sd):
    m = Mission(coef_sd=coef_sd)
    d = m.distribution(*m.arguments)
    mean, cov = jax.jit(lambda value: d.coefficient_posterior(value))(m.where.pack(m.value))
    covariance = m.covariance
    for k in range(len(COUNTS)):
        here = m.revolution == k
        prior = np.diag(m.coef_sd[:, k] ** 2)
        cross = prior @ m.basis[:, here]
        gain = cross @ np.linalg.inv(covariance[np.ix_(here, here)])
        np.testing.assert_allclose(mean[k], gain @ (m.value - m.loc)[here], atol=1e-10)
        np.testing.assert_allclose(cov[k], prior - gain @ cross.T, atol=1e-10)


@pytest.mark.slow
def test_sample_has_the_dense_covariance():
    m = Mission(counts=(1, 4, 6))
    covariance = m.covariance
    d = m.distribution(*m.arguments)
    n_draws = 50_000
    blocks = jax.jit(lambda key: d.sample(key, (n_draws,)))(jax.random.key(0))
    assert not np.asarray(blocks)[:, ~m.where.mask].any()
    draws = m.where.unpack(blocks)
    np.testing.assert_allclose(draws.mean(0), m.loc, atol=5 * np.sqrt(covariance.max() / n_draws))
    sd = np.sqrt(np.diag(covariance))
    error = (np.cov(draws.T) - covariance) / np.outer(sd, sd)
    assert np.abs(error).max() < 5 * np.sqrt(2 / n_draws)
    np.testing.assert_allclose(m.where.unpack(d.variance), np.diag(covariance), rtol=1e-12)
