"""Machine code of the density with shared noise against the plain form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from terms_mission import agree, both, free, mission, with_free

from ridgebayes.correlated import sequence
from ridgebayes.native import call
from ridgebayes.terms import CorrelatedTermsNormal, TermsNormal


def correlated(rng, bands=1, width=16, coef_sd=(2.0, 0.7, 0.4), counts=(1, 5, 16, 17, 130)):
    """Arguments of `CorrelatedTermsNormal` as `mission` gives them, process and sequence; and rates."""
    given, rate, where = mission(rng, bands, width, coef_sd, counts, unseen=0)
    mjd = np.cumsum(rng.uniform(0.01, 0.2, where.n_scws))[rng.permutation(where.n_scws)]
    order = sequence(where, mjd, given[4])
    sd = jnp.asarray(rng.uniform(0.5, 1.5, (bands, len(counts))))
    return given, (sd, jnp.asarray(rng.uniform(0.05, 0.3, bands))), order, rate


@pytest.mark.parametrize("coef_sd", [(2.0, 0.7, 0.4), (3.0,), (2.0, 0.0, 0.5)])
@pytest.mark.parametrize("bands", [1, 3])
def test_value_and_derivatives_are_those_of_the_plain_form(rng, bands, coef_sd):
    given, process, order, rate = correlated(rng, bands, coef_sd=coef_sd)
    weight = jnp.arange(1.0, bands + 1)

    def density(x, process):
        return (weight * CorrelatedTermsNormal(*with_free(given, x), *process, order).log_prob(rate)).sum()

    agree(*both(lambda: jax.value_and_grad(density, (0, 1))(free(given), process)), rtol=1e-11)
    agree(*both(lambda: CorrelatedTermsNormal(*given, *process, order).log_prob(rate)))


@pytest.mark.parametrize("shares", [2, 5])
def test_threads_share_the_revolutions(rng, monkeypatch, shares):
    monkeypatch.setattr(call, "_BLOCKS_A_SHARE", 1)
    monkeypatch.setattr(call, "_threads", lambda: shares)
    given, process, order, rate = correlated(rng, bands=2)

    def density(x, process):
        return CorrelatedTermsNormal(*with_free(given, x), *process, order).log_prob(rate).sum()

    agree(*both(lambda: jax.value_and_grad(density, (0, 1))(free(given), process)), rtol=1e-11)


@pytest.mark.parametrize("memory", [0.0, 1e-12, 1e6])
def test_a_memory_may_be_any_length(rng, memory):
    given, (sd, _), order, rate = correlated(rng)
    density = lambda m: CorrelatedTermsNormal(*given, sd, m, order).log_prob(rate).sum()  # noqa: E731
    found, plain = both(lambda: jax.value_and_grad(density)(jnp.array([memory])))
    assert np.isfinite(found[1]).all()
    agree(found, plain, rtol=1e-9)


def test_without_the_process_it_is_the_white_density(rng):
    given, (sd, memory), order, rate = correlated(rng, bands=2)
    quiet = CorrelatedTermsNormal(*given, 0.0 * sd, memory, order)
    agree(quiet.log_prob(rate), TermsNormal(*given).log_prob(rate))


def test_much_noise_in_few_weights(rng):
    """What is left of the process once a ScW is seen: its product underflows."""
    given, (sd, memory), order, rate = correlated(rng)
    density = lambda s: CorrelatedTermsNormal(*given, s * sd, memory, order).log_prob(rate).sum()  # noqa: E731
    agree(*both(lambda: jax.value_and_grad(density)(1e4)), rtol=1e-8)
