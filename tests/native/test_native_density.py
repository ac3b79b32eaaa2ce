"""Machine code of our own against the plain form, which is tested against dense algebra."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from terms_mission import agree, both, free, mission, with_free

from ridgebayes import terms
from ridgebayes.native import call
from ridgebayes.terms import Term, TermsNormal, total


@pytest.mark.parametrize("width", [8, 16, 24])
@pytest.mark.parametrize("coef_sd", [(2.0, 0.7, 0.4), (3.0,), (2.0, 0.0, 0.5), (1.0, 0.5)])
@pytest.mark.parametrize("bands", [1, 3])
def test_value_and_derivatives_are_those_of_the_plain_form(rng, bands, width, coef_sd):
    given, rate, _ = mission(rng, bands, width, coef_sd)
    assert call.usable(width, rate.dtype)
    weight = jnp.arange(1.0, bands + 1)
    density = lambda x: (weight * TermsNormal(*with_free(given, x)).log_prob(rate)).sum()  # noqa: E731
    agree(*both(lambda: jax.value_and_grad(density)(free(given))))
    agree(*both(lambda: TermsNormal(*given).log_prob(rate)))


@pytest.mark.parametrize("shares", [2, 3, 8])
def test_threads_share_the_revolutions(rng, monkeypatch, shares):
    """One revolution has most of the blocks: some threads have nothing to do."""
    monkeypatch.setattr(call, "_BLOCKS_A_SHARE", 1)
    monkeypatch.setattr(call, "_threads", lambda: shares)
    given, rate, _ = mission(rng, bands=2)
    density = lambda x: TermsNormal(*with_free(given, x)).log_prob(rate).sum()  # noqa: E731
    agree(*both(lambda: jax.value_and_grad(density)(free(given))))


def test_it_is_the_code_that_is_called(rng):
    given, rate, _ = mission(rng)
    text = lambda: jax.jit(lambda: TermsNormal(*given).log_prob(rate)).lower().as_text()  # noqa: E731
    assert "ridgebayes_density" in text()
    with call.plainly():
        assert "ridgebayes_density" not in text()


def test_scatter_of_nothing_but_counting(rng):
    given, rate, _ = mission(rng)
    quiet = [Term(jnp.zeros_like(given[3][:, 0]))]
    density = lambda sd: TermsNormal(*given[:2], quiet, sd, *given[4:]).log_prob(rate).sum()  # noqa: E731
    agree(*both(lambda: jax.value_and_grad(density)(given[3])))


@pytest.mark.parametrize("scale", [1e-150, 1e-20, 1e20, 1e150])
def test_a_product_of_variances_may_be_any_size(rng, scale):
    """Of 130 ScWs: far beyond what a number holds."""
    given, rate, _ = mission(rng)
    scatter = [Term(scale * t.coefficient, t.column) for t in given[2]]
    counting = scale**2 * given[1]
    found, plain = both(lambda: TermsNormal(given[0], counting, scatter, *given[3:]).log_prob(rate))
    agree(found, plain)


def test_not_a_number_stays_one(rng):
    given, rate, _ = mission(rng)
    for x in jax.tree.leaves(free(given)):
        broken = jax.tree.map(lambda y, x=x: y.at[..., 1].set(jnp.nan) if y is x else y, free(given))
        density = jax.jit(lambda x: TermsNormal(*with_free(given, x)).log_prob(rate))
        assert jnp.isnan(density(broken)).all()


def test_empty_cells_do_not_matter(rng):
    given, rate, _ = mission(rng)
    filled = given[-1]
    other = jnp.where(filled, rate, 1e6)
    density = lambda rate: TermsNormal(*given).log_prob(rate)  # noqa: E731
    assert density(rate) == density(other)


def test_side_by_side(rng):
    """Under `vmap` one after the other."""
    given, rate, _ = mission(rng)
    sds = jnp.stack([given[3], 2 * given[3], 0.1 * given[3]])
    density = lambda sd: TermsNormal(*given[:3], sd, *given[4:]).log_prob(rate)[0]  # noqa: E731
    found = jax.vmap(jax.value_and_grad(density))(sds)
    one_by_one = [jax.value_and_grad(density)(sd) for sd in sds]
    agree(found, jax.tree.map(lambda *x: jnp.stack(x), *one_by_one))


def test_second_derivatives(rng):
    given, rate, _ = mission(rng, counts=(1, 5, 20))
    mean, _, scatter, sd = given[:4]

    def density(x):
        moved = [t._replace(coefficient=x[0] * t.coefficient) for t in mean]
        wider = [t._replace(coefficient=x[1] * t.coefficient) for t in scatter]
        return TermsNormal(moved, given[1], wider, x[2] * sd, *given[4:]).log_prob(rate).sum()

    rows = lambda: [jax.jvp(jax.grad(density), (jnp.ones(3),), (e,))[1] for e in jnp.eye(3)]  # noqa: E731
    agree(*both(rows), rtol=1e-9)


def test_a_parameter_in_a_column(rng):
    """As a model of a user's may have: its derivative goes the plain way."""
    given, rate, _ = mission(rng, bands=2)
    mean = given[0]

    def density(x, how):
        moved = [mean[0], how(mean[1], x), *mean[2:]]
        return TermsNormal(moved, *given[1:]).log_prob(rate).sum()

    in_column = lambda term, x: term._replace(column=x * term.column)  # noqa: E731
    in_coefficient = lambda term, x: term._replace(coefficient=x * term.coefficient)  # noqa: E731
    agree(*(jax.value_and_grad(density)(1.3, how) for how in (in_column, in_coefficient)))


def test_second_derivatives_by_a_parameter_in_a_column_are_refused(rng):
    """Rather than taken for none."""
    given, rate, _ = mission(rng)
    mean = given[0]

    def density(x, y):
        moved = [mean[0], mean[1]._replace(coefficient=x * mean[1].coefficient, column=y * mean[1].column)]
        return TermsNormal(moved, *given[1:]).log_prob(rate).sum()

    with pytest.raises(NotImplementedError, match="stand in columns"):
        jax.jvp(lambda y: jax.grad(density)(1.0, y), (1.0,), (1.0,))


def test_blocks_of_another_width_go_the_plain_way(rng):
    given, rate, _ = mission(rng, width=4)
    assert not call.usable(4, rate.dtype)
    assert not call.usable(16, jnp.float32)
    assert np.isfinite(TermsNormal(*given).log_prob(rate)).all()


def test_without_the_interface_the_plain_form_is_used(rng, monkeypatch, caplog):
    def refused(*_, **__):
        raise RuntimeError("incompatible")

    monkeypatch.setattr(call, "_target", refused)
    call._taken.cache_clear()
    with caplog.at_level(logging.WARNING, "ridgebayes"):
        assert not call.usable(16, jnp.float64)
        assert not call.usable(16, jnp.float64)
    assert [r.getMessage() for r in caplog.records] == [
        "no machine code of our own with this version of JAX, so a fit takes longer: incompatible"
    ]
    call._taken.cache_clear()


def test_total_adds_terms_up(rng):
    given, _, _ = mission(rng, bands=2)
    where, cells = given[5], given[6].shape
    one, plain, looked_up = (total([t], where, cells) for t in given[0][:3])
    np.testing.assert_allclose(one, np.broadcast_to(given[0][0].coefficient[:, where, None], one.shape))
    np.testing.assert_allclose(plain, given[0][1].coefficient[:, where, None] * given[0][1].column)
    c, x, t, place = given[0][2]
    np.testing.assert_allclose(looked_up, c[:, where, None] * np.einsum("bsn,snw->bnw", t[:, place], x))
    np.testing.assert_allclose(total(given[0][:3], where, cells), one + plain + looked_up)
    assert terms.squares(given[2])[0].column is None
