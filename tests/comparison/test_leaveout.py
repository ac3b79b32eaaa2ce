"""Revolutions left out: density by revolution, PSIS and refits against dense algebra and each other."""

from functools import partial

import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import ridgebayes as rb
from ridgebayes import models
from ridgebayes.comparison import held_out, leaveout
from ridgebayes.comparison.densities import log_likelihood
from ridgebayes.comparison.held_out import mean_density
from ridgebayes.comparison.leaveout import format_loo, pointwise_table
from ridgebayes.comparison.refit import Refit, without
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.outliers import OutlierNormal
from ridgebayes.likelihood.revolution import RevolutionNormal
from ridgebayes.runs.reload import reopen
from ridgebayes.runs.sampling import meet
from tests.helpers import pickled
from tests.helpers.gaussian_run import gaussian_run
from tests.helpers.noise_cases import Mission, case, ragged

each_of = jax.jit(lambda d, value: d.log_prob_by_revolution(value))
total_of = jax.jit(lambda d, value: d.log_prob(value))
slope_of = jax.jit(jax.grad(lambda value, d: d.log_prob(value)))


def dense(where, loc, covariance, value, revolution):
    """Log density of each revolution by SciPy."""
    rows = [np.flatnonzero(revolution == number) for number in where.revolutions]
    return [stats.multivariate_normal(loc[r], covariance[np.ix_(r, r)]).logpdf(value[r]) for r in rows]


@pytest.mark.parametrize("coef_sd", [(2.0, 0.7, 0.4), (2.0, 0.0, 0.5)])
def test_each_revolution_is_the_dense_normal(coef_sd):
    d, where, loc, covariance, *_, revolution = ragged(coef_sd=coef_sd)
    value = np.random.default_rng(1).multivariate_normal(loc, covariance)
    each = each_of(d, where.pack(value))
    np.testing.assert_allclose(each, dense(where, loc, covariance, value, revolution), rtol=1e-9)
    assert each.sum() == pytest.approx(float(total_of(d, where.pack(value))), rel=1e-10)


def test_each_revolution_in_bands():
    d, where, loc, covariance, *_, revolution = ragged(bands=(2,))
    each = each_of(d, where.pack(loc + 0.3))
    for k in range(2):
        expected = dense(where, loc[k], covariance[k], loc[k] + 0.3, revolution)
        np.testing.assert_allclose(each[k], expected, rtol=1e-9)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.slow
def test_each_revolution_with_correlated_noise(groups):
    m = Mission(groups=groups)
    d = m.distribution(*m.arguments)
    each = each_of(d, m.where.pack(m.value))
    np.testing.assert_allclose(each, dense(m.where, m.loc, m.covariance, m.value, m.revolution), rtol=1e-9)
    assert each.sum() == pytest.approx(float(total_of(d, m.where.pack(m.value))), rel=1e-10)


@pytest.mark.slow
def test_each_revolution_with_outliers(rng):
    """The sum, and each revolution by itself as the only one."""
    where, given, mixture, value = case(rng)
    each = each_of(mixture, value)
    assert each.sum() == pytest.approx(float(total_of(mixture, value)), rel=1e-10)
    for rho in range(3):
        alone = {**given, "filled": given["filled"] & (where.block_revolution == rho)[:, None]}
        only = OutlierNormal(**alone, fraction=0.05, size=8.0)
        assert each[rho] == pytest.approx(float(total_of(only, value)), rel=1e-10)


def _emptied(kind):
    """A distribution whose second revolution has no filled cell, and rates."""
    if kind == "correlated":
        m = Mission()
        d, value, block = m.distribution(*m.arguments), m.where.pack(m.value), m.where.block_revolution
    else:
        where, given, d, value = case(np.random.default_rng(0))
        block = where.block_revolution
        d = RevolutionNormal(**given) if kind == "plain" else d
    d.filled = d.filled & (block != 1)[:, None]
    return d, value


@pytest.mark.parametrize("kind", ["plain", "correlated", "outliers"])
@pytest.mark.slow
def test_an_emptied_revolution_says_nothing(kind):
    """Zero log density, whatever its rates, and finite derivatives."""
    d, value = _emptied(kind)
    each = each_of(d, value)
    assert each[1] == pytest.approx(0.0, abs=1e-12)
    assert float(total_of(d, value)) == pytest.approx(float(each.sum()), rel=1e-10)
    block = np.asarray(d.block_revolution)
    gradient = np.asarray(slope_of(np.asarray(value), d))
    assert np.isfinite(gradient).all()
    assert (gradient[block == 1] == 0).all()
    assert (gradient[block == 0] != 0).any()


@pytest.mark.slow
def test_psis_and_refits_are_the_closed_form():
    """elpd of each revolution: by PSIS where k̂ is low, by a refit where it is not."""
    scws, run, linear = gaussian_run()
    exact = linear.left_out()
    found = rb.loo(run, scws)
    assert found.table.sizes == {"fit": 1, "revolution": 24}
    k = found.table["pareto_k"].values[0]
    assert (k < 0.5).sum() > 15
    np.testing.assert_allclose(found.pointwise[k < 0.5], exact[k < 0.5], atol=0.08)
    assert np.ptp(exact) > 100
    assert found.elpd == pytest.approx(found.pointwise.sum())

    again = reopen(run, scws)
    fit, likelihood = Refit(again.posterior, draws=600), log_likelihood(again.posterior)
    worst = int(k.argmax())
    left_out = np.arange(24) == worst
    z = fit(without(again.parts[0], left_out), seed=3)
    mean, covariance = linear.given(np.flatnonzero(linear.position != worst))
    np.testing.assert_allclose(z.mean(0), mean, atol=0.25 * np.sqrt(covariance.diagonal()).max())
    np.testing.assert_allclose(np.cov(z.T), covariance, atol=0.2 * covariance.max())
    density = mean_density(np.asarray(likelihood(z, again.parts[0]))[:, worst])
    assert density == pytest.approx(exact[worst], abs=0.3)


@pytest.mark.slow
def test_refits_elsewhere_are_those_here(small_run, small_mission, monkeypatch):
    """Bit for bit: folds, and the refit of a revolution for which PSIS is said to fail."""
    here = rb.kfold(small_run, 2, small_mission)
    again = reopen(small_run, small_mission)
    density = log_likelihood(again.posterior)
    found = leaveout._table(small_run, "PSIS", [leaveout.psis(d) for d in leaveout._draws_of(again, density)])
    found.table["pareto_k"].values[:, 2] = 2.0
    refitted = leaveout._refitted(small_run, again, density, found, progress=False)
    monkeypatch.setattr(leaveout, "run_tasks", pickled.run)
    xr.testing.assert_identical(rb.kfold(small_run, 2, small_mission, scheduler="local:2").table, here.table)
    elsewhere = leaveout._refitted(small_run, again, density, found, progress=False, scheduler="local:2")
    xr.testing.assert_identical(elsewhere.table, refitted.table)
    assert refitted.table["exact"].values[:, 2].all()


@pytest.mark.slow
def test_kfold_is_the_closed_form():
    scws, run, linear = gaussian_run()
    folds = 3
    found = rb.kfold(run, folds, scws, seed=4)
    fold = np.random.default_rng(4).permutation(np.arange(24) % folds)
    assert sorted(np.bincount(fold)) == [8, 8, 8]
    expected = [
        linear.log_density(rho, np.flatnonzero(fold[linear.position] != fold[rho])) for rho in range(24)
    ]
    # What a revolution adds sets how noisy its prediction is.
    noise = 0.05 + 0.2 * np.abs(found.table["p_loo"].values[0])
    assert np.median(noise) < 0.1
    assert (np.abs(found.pointwise - expected) < noise).all()
    assert found.method == "3-fold"
    assert not found.bad.any()


@pytest.mark.slow
def test_refit_takes_the_place_of_psis(monkeypatch):
    """Only where k̂ is high: a lower limit here, so that there are some."""
    # Of the usual 1,000 draws the error is 0.3 where k̂ is high.
    monkeypatch.setattr(held_out, "Refit", partial(Refit, draws=8000))
    scws, run, linear = gaussian_run()
    psis = rb.loo(run, scws)
    limit = float(np.sort(psis.table["pareto_k"].values[0])[-2]) - 1e-6
    lower = leaveout.Loo(psis.table, "PSIS", limit)
    assert len(lower.bad_revolutions) == 2
    assert "2 of 24 revolutions" in lower.advice
    again = reopen(run, scws)
    found = leaveout._refitted(run, again, log_likelihood(again.posterior), lower, progress=False)
    refitted = found.table["exact"].values[0]
    assert refitted.sum() == 2
    np.testing.assert_array_equal(found.pointwise[~refitted], psis.pointwise[~refitted])
    np.testing.assert_allclose(found.pointwise[refitted], linear.left_out()[refitted], atol=0.3)
    assert not found.advice
    # What seeing a revolution adds is the same whichever way its prediction was found.
    both = found.table["p_loo"] + found.table["elpd"] - psis.table["p_loo"] - psis.table["elpd"]
    np.testing.assert_allclose(both, 0.0, atol=1e-9)


@pytest.mark.long
def test_kept_in_the_run_directory(tmp_path, monkeypatch):
    scws, run, _ = gaussian_run()
    saved = run.save(tmp_path / "run")
    found = rb.loo(saved, scws)
    monkeypatch.setattr(leaveout, "reopen", None)
    again = rb.loo(saved)
    np.testing.assert_array_equal(again.pointwise, found.pointwise)
    assert (again.threshold, again.method) == (found.threshold, "PSIS")
    # Draws made anew are other draws.
    other = type(run)(run.tree, {**run.record, "created": "later"}, saved.path)
    with pytest.raises(TypeError):
        rb.loo(other)


def test_table_and_page():
    scws, run, _ = gaussian_run()
    found = rb.loo(run, scws)
    table = pointwise_table(run, [found])
    assert table.colnames == ["REVOL", "MJD", "elpd A01", "p_loo A01", "pareto_k A01", "exact A01"]
    assert table.meta["simulated"]
    np.testing.assert_array_equal(table["elpd A01"], found.pointwise)
    page = format_loo(run, [found])
    assert page.startswith("SIMULATED")
    assert f"{found.elpd:.1f} ± {found.se:.1f}" in page


@pytest.mark.slow
def test_refusals(small_mission, three_regions):
    scws, run, _ = gaussian_run()
    with pytest.raises(InputError, match="folds = 1"):
        rb.kfold(run, 1, scws)
    model, prepared = meet(models.regions(three_regions, marginal=False), small_mission)
    posterior = Posterior(model, prepared.data)
    with pytest.raises(InputError, match="marginal=False"):
        log_likelihood(posterior)(np.zeros((1, posterior.size)), prepared.data)


@pytest.mark.slow
def test_psis_is_exact_refits_on_a_small_mission(small_run, small_mission):
    """Every parameter free: three revolutions of low k̂, each left out and fitted again."""
    found = rb.loo(small_run, small_mission)
    again = reopen(small_run, small_mission)
    fit, likelihood = Refit(again.posterior, chains=4, draws=500), log_likelihood(again.posterior)
    k = found.table["pareto_k"].values[0]
    for rho in np.argsort(k)[[0, k.size // 4, k.size // 2]]:
        left_out = np.arange(k.size) == rho
        z = fit(without(again.parts[0], left_out), seed=int(rho))
        density = mean_density(np.asarray(likelihood(z, again.parts[0]))[:, rho])
        assert found.table["elpd"].values[0, rho] == pytest.approx(density, abs=0.2)
