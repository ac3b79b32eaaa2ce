"""Priors: changing, parsing, describing, refusing."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from scipy import stats

from ridgebayes import models, sample
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare
from ridgebayes.priors import (
    Parameter,
    Parameters,
    Shared,
    describe,
    format_parameters,
    parse_prior,
    with_priors,
)
from ridgebayes.runs import assemble
from ridgebayes.runs.fitted import sites
from tests.helpers.cli import call

PARAMETERS = {
    "sky.intensity": Parameter(dist.Normal(0.0, 10.0), "mCrab / deg2", ("band", "region"), "intensity"),
    "background.scatter": Parameter(dist.HalfNormal(0.03), "", ("band",), "scatter"),
}
SIZES = {"band": 2, "region": 3}


def drawn(parameters, name):
    draw = Parameters(parameters, SIZES)
    return handlers.trace(handlers.seed(lambda: draw(name), jax.random.key(0))).get_trace()


@pytest.mark.parametrize(
    ("text", "reference", "x"),
    [
        ("HalfNormal(0.02)", stats.halfnorm(scale=0.02), 0.01),
        ("Normal(loc=1, scale=2.5)", stats.norm(1, 2.5), -3.0),
        ("LogNormal(-5, 1)", stats.lognorm(1, scale=np.exp(-5)), 0.01),
        ("Uniform(-1, 3)", stats.uniform(-1, 4), 0.5),
        ("StudentT(4, 0, 2)", stats.t(4, 0, 2), 1.0),
        ("  Gamma(2, 0.5) ", stats.gamma(2, scale=2), 1.0),
    ],
)
def test_text_becomes_the_distribution(text, reference, x):
    assert float(parse_prior(text).log_prob(x)) == pytest.approx(reference.logpdf(x))


def test_vector_and_number():
    assert parse_prior("0.5") == 0.5
    assert parse_prior("-1e-3") == -1e-3
    assert parse_prior("Normal([0, 1, 2], 1)").batch_shape == (3,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("HalfNormall(0.02)", "did you mean 'HalfNormal'"),
        ("HalfNormal(", "not of the form"),
        ("HalfNormal(-1)", "scale"),
        ("__import__('os').system('true')", "no distribution"),
        ("Normal(0, open('x'))", "not a number"),
        ("Normal(0, [1, 'a'])", "not a number"),
        ("nan", "not a number"),
        ("", "not of the form"),
        ("(" * 5000, "not of the form"),
    ],
)
def test_bad_text_is_one_line(text, words):
    with pytest.raises(InputError, match="prior") as caught:
        parse_prior(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_runs_no_code(tmp_path):
    target = tmp_path / "x"
    with pytest.raises(InputError):
        parse_prior(f"Normal(0, open('{target}', 'w').write('1'))")
    assert not target.exists()


def test_unknown_name_names_the_nearest():
    with pytest.raises(InputError, match=r"did you mean 'background\.scatter'"):
        with_priors(PARAMETERS, {"background.scater": 1.0})


def test_changes_leave_the_original_alone():
    changed = with_priors(PARAMETERS, {"background.scatter": "LogNormal(-4, 0.5)"})
    assert isinstance(changed["background.scatter"].prior, dist.LogNormal)
    assert isinstance(PARAMETERS["background.scatter"].prior, dist.HalfNormal)


def test_shapes_of_draws():
    site = drawn(PARAMETERS, "sky.intensity")["sky.intensity"]
    assert site["value"].shape == (2, 3)
    assert site["fn"].event_shape == (2, 3)


def test_prior_with_an_axis_of_its_own():
    """One scale a region, shared by the bands; and correlated regions."""
    changed = with_priors(PARAMETERS, {"sky.intensity": dist.Normal(0.0, np.array([1e-9, 1.0, 1e9]))})
    value = drawn(changed, "sky.intensity")["sky.intensity"]["value"]
    assert (np.abs(value[:, 0]) < 1e-6).all()
    assert (np.abs(value[:, 2]) > 1e3).all()
    joint = dist.MultivariateNormal(np.zeros(3), np.eye(3))
    site = drawn(with_priors(PARAMETERS, {"sky.intensity": joint}), "sky.intensity")["sky.intensity"]
    assert site["value"].shape == (2, 3)


def test_wrong_shape_is_an_error():
    changed = with_priors(PARAMETERS, {"sky.intensity": dist.Normal(0.0, np.ones(5))})
    with pytest.raises(InputError, match=r"sky\.intensity.*does not fit"):
        drawn(changed, "sky.intensity")


def test_fixed_value_is_not_sampled():
    changed = with_priors(PARAMETERS, {"background.scatter": 0.01})
    assert changed["background.scatter"].fixed
    assert drawn(changed, "background.scatter") == {}
    np.testing.assert_array_equal(Parameters(changed, SIZES)("background.scatter"), [0.01, 0.01])


@pytest.mark.parametrize("text", ["HalfNormal(0.02)", "Normal(1, 2.5)", "LogNormal(-5, 1)", "Uniform(-1, 3)"])
def test_description_reads_back(text):
    assert describe(parse_prior(text)) == text
    assert describe(parse_prior(describe(parse_prior(text)))) == text


class TestShared:
    """One value along some axes."""

    def value(self, prior, name="sky.intensity"):
        changed = with_priors(PARAMETERS, {name: prior})
        seeded = handlers.seed(lambda: Parameters(changed, SIZES)(name), jax.random.key(0))
        with handlers.trace() as trace:
            value = seeded()
        return np.asarray(value), trace[name]

    def test_is_one_value_along_its_axes(self):
        value, site = self.value("Shared(Normal(0, 1), band)")
        assert value.shape == (2, 3)
        assert site["value"].shape == (1, 3)
        assert (value[0] == value[1]).all()
        assert np.unique(value).size == 3

    def test_is_one_number_where_no_axis_is_named(self):
        value, site = self.value(Shared(dist.Normal(0, 1)))
        assert np.unique(value).size == site["value"].size == 1

    def test_may_have_an_axis_of_its_own(self):
        value, _ = self.value("Shared(Normal([0, 100, 200], 1), band)")
        assert (np.round(value[0] / 100) == [0, 1, 2]).all()

    def test_its_axes_are_checked(self):
        with pytest.raises(InputError, match=r"sky\.intensity.*no axis 'bnad' \(did you mean 'band'"):
            with_priors(PARAMETERS, {"sky.intensity": "Shared(Normal(0, 1), bnad)"})
        with pytest.raises(InputError, match="only a distribution can be shared"):
            Shared(0.5)


@pytest.mark.parametrize(
    ("name", "prior", "words"),
    [
        (
            "background.scatter",
            "Normal(0, 1)",
            r"Normal\(0, 1\): .* must not be below 0: take TruncatedNormal",
        ),
        ("background.scatter", "Shared(Normal(0, 1), band)", "must not be below 0"),
        ("background.scatter", [0.1, -0.1], "must not be below 0: give another number"),
        ("share", "HalfNormal(1)", r"between 0 and 1: take .*high=1\).*Beta"),
        ("length", "Normal(1, 1)", "must not be below 0"),
        ("sky.intensity", "Poisson(2)", "only continuous"),
        ("sky.intensity", "Delta(2)", "the number itself"),
        ("sky.intensity", [], "not finite"),
    ],
)
def test_impossible_values_are_refused(name, prior, words):
    parameters = {
        **PARAMETERS,
        "share": Parameter(dist.Beta(1.0, 9.0), "", ("band",), "share"),
        "length": Parameter(2.5, "yr", ("band",), "length"),
    }
    with pytest.raises(InputError, match=words) as caught:
        with_priors(parameters, {name: prior})
    assert name in str(caught.value)


def test_what_is_possible_stays_so():
    """A positive prior does not make an intensity positive for ever; a scale may be held at zero."""
    positive = with_priors(PARAMETERS, {"sky.intensity": "HalfNormal(1)", "background.scatter": 0.0})
    again = with_priors(positive, {"sky.intensity": "Normal(0, 1)", "background.scatter": "LogNormal(-4, 1)"})
    assert describe(again["sky.intensity"].prior) == "Normal(0, 1)"
    signed = Parameter(1.0, "", (), "may be negative", within=(-np.inf, np.inf))
    assert with_priors({"x": signed}, {"x": -1.0})["x"].prior == -1.0


@pytest.mark.parametrize(
    ("prior", "shape"),
    [([1.0, 2.0, 3.0], (3,)), ("MultivariateNormal([0], [[1]])", (1,)), ("Normal([0, 1], 1)", (2,)),
     ("Normal(0, 1).expand([4, 2, 3])", (4, 2, 3))],
)  # fmt: skip
def test_shapes_that_do_not_fit(prior, shape):
    name = "background.scatter" if isinstance(prior, list) else "sky.intensity"
    changed = with_priors(PARAMETERS, {name: prior})
    with pytest.raises(InputError, match=r"does not fit the parameter's axes \(band 2") as caught:
        drawn(changed, name)
    assert str(shape) in str(caught.value)


def test_fixed_values_along_any_axes():
    for value in (0.5, [1.0, 2.0, 3.0], [[1.0], [2.0]], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]):
        changed = with_priors(PARAMETERS, {"sky.intensity": value})
        found = Parameters(changed, SIZES)("sky.intensity")
        np.testing.assert_array_equal(found, np.broadcast_to(value, (2, 3)))


def test_printed_model_fits_the_terminal(three_regions):
    joint = dist.MultivariateNormal(jnp.zeros(3), jnp.eye(3))
    model = models.regions(three_regions).with_extras("smooth_crab", "outliers")
    text = str(
        model.with_priors({"sky.intensity": joint, "background.scatter": "Shared(HalfNormal(0.02), band)"})
    )
    assert max(map(len, text.splitlines())) <= 110
    for name, parameter in model.parameters.items():
        assert name in text
        assert parameter.meaning.split()[0] in text
    assert "region 3" in text
    assert "mCrab/deg2" in format_parameters(PARAMETERS)


class TestCommands:
    """``ridgebayes model`` and ``--priors``."""

    def test_model_prints(self):
        found = call("model", "--sky", "coarse", "--extra", "outliers", "--prior", "crab.rate=2")
        assert found.exit_code == 0, found.output
        assert "outlier.fraction" in found.output
        assert "fixed 2" in found.output

    def test_toml_goes_round(self, tmp_path):
        given = ("model", "--sky", "coarse", "--toml")
        first = call(*given, "--prior", "background.scatter=Shared(HalfNormal(0.02), band)")
        (tmp_path / "p.toml").write_text(first.stdout)
        assert call(*given, "--priors", tmp_path / "p.toml").stdout == first.stdout
        over = call(*given, "--priors", tmp_path / "p.toml", "--prior", "background.scatter=0.5").stdout
        assert "scatter = 0.5" in over

    def test_unknown_name_in_a_file(self, tmp_path):
        (tmp_path / "p.toml").write_text("[background]\nscater = 1")
        found = call("model", "--sky", "coarse", "--priors", tmp_path / "p.toml")
        assert found.exit_code == 2
        assert "p.toml: prior 'background.scater'" in found.output
        assert "did you mean 'background.scatter'" in found.output


FIXED = {
    "sky.latitude": 0.0,
    "sky.intensity": dist.Normal(0.4, 1e-7),  # as good as fixed
    "background.drift": 0.0, "background.tracer": 0.3, "background.revolution_sd": 0.02,
    "background.scatter": 0.01, "crab.rate": 1.0, "crab.shape": 0.0, "crab.scatter": 0.005,
}  # fmt: skip
"""All but the level, in which the rates are then linear and Gaussian."""
PRIOR_SD = 0.002


@pytest.fixture(scope="module")
def levels(small_mission, three_regions):
    """Estimate and variance of the level of each band, by generalised least squares on dense matrices."""
    data = prepare(small_mission, three_regions).data
    model = models.regions(three_regions).with_priors(FIXED)
    at = {}
    for value in (0.0, 1.0):
        posterior = Posterior(model.with_priors({"background.level": value}), data)
        z = jnp.full(posterior.size, 0.4)
        at[value] = jax.jit(lambda z, d, p=posterior: sites(p, z, d)["rate"].loc)(z, data)
    full = np.asarray(data.filled)
    which = np.broadcast_to(np.asarray(data.block_revolution)[:, None], full.shape)[full]
    estimate, variance = [], []
    for k in range(data.rate.shape[0]):
        slope = np.asarray(at[1.0] - at[0.0])[k][full]
        rest = np.asarray(data.rate[k] - at[0.0][k])[full]
        scale = np.asarray(data.level)[k][which]
        crab = 0.005 * float(data.crab_rate[k]) * np.asarray(data.crab_response)[full]
        noise = np.asarray(data.stat_variance)[k][full] + (0.01 * scale) ** 2 + crab**2
        basis = np.asarray(data.basis)[:, full]
        information = score = 0.0
        for revolution in np.unique(which):
            rows = which == revolution
            terms = 0.02 * scale[rows] * basis[:, rows]
            solved = np.linalg.solve(
                np.diag(noise[rows]) + terms.T @ terms, np.stack([slope[rows], rest[rows]], 1)
            )
            information += slope[rows] @ solved[:, 0]
            score += slope[rows] @ solved[:, 1]
        estimate.append(score / information)
        variance.append(1 / information)
    return np.array(estimate), np.array(variance)


def fit(small_mission, three_regions, prior):
    model = models.regions(three_regions).with_priors({**FIXED, "background.level": prior})
    run = sample(model, small_mission, seed=1, chains=2, warmup=100, draws=700)
    return model, run, run.tree["posterior"]["background.level"].values.reshape(-1, 2)


def gaussian(levels, centre, covariance):
    """Posterior mean and covariance of the levels for a Gaussian prior: conjugate."""
    estimate, variance = levels
    prior, data = np.linalg.inv(covariance), np.diag(1 / variance)
    found = np.linalg.inv(prior + data)
    return found @ (prior @ centre + data @ estimate), found


@pytest.mark.slow
def test_shared_level_is_one_with_the_posterior_of_both_bands(small_mission, three_regions, levels):
    estimate, variance = levels
    centre = estimate.mean()
    prior = Shared(dist.Normal(centre, PRIOR_SD), "band")
    model, run, draws = fit(small_mission, three_regions, prior)
    assert not model.bands_apart
    assert (draws[:, 0] == draws[:, 1]).all()
    assert run.tree["prior"]["background.level"].shape == (1, 500, 2)
    precision = 1 / PRIOR_SD**2 + (1 / variance).sum()
    mean = (centre / PRIOR_SD**2 + (estimate / variance).sum()) / precision
    assert draws[:, 0].mean() == pytest.approx(mean, abs=0.2 / np.sqrt(precision))
    assert draws[:, 0].std() == pytest.approx(1 / np.sqrt(precision), rel=0.12)
    assert run.record["model"]["priors"]["background.level"].startswith("Shared(Normal(")
    assert {"background.level"} <= set(run.diagnosis.ess_bulk)
    assert len(run.table()) == 6


def test_given_sky_is_there_for_products(small_mission, three_regions):
    data = prepare(small_mission, three_regions).data
    model = models.regions(three_regions).with_priors({"sky.intensity": [0.1, 0.7, 0.2]})
    found = assemble._fixed_sky(model, data, np.zeros((2, 4, 5, 9)))["sky.intensity"]
    np.testing.assert_array_equal(found, np.broadcast_to([0.1, 0.7, 0.2], (4, 5, 2, 3)))
    assert assemble._fixed_sky(models.regions(three_regions), data, np.zeros((1, 1, 1, 1))) == {}


@pytest.mark.slow
def test_correlated_prior_is_conjugate(small_mission, three_regions, levels):
    centre = levels[0] + [PRIOR_SD, -PRIOR_SD]
    covariance = PRIOR_SD**2 * np.array([[1.0, 0.9], [0.9, 1.0]])
    prior = dist.MultivariateNormal(jnp.asarray(centre), jnp.asarray(covariance))
    model, _, draws = fit(small_mission, three_regions, prior)
    assert not model.bands_apart
    mean, expected = gaussian(levels, centre, covariance)
    sd = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.2 * sd.min())
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(sd, sd), expected / np.outer(sd, sd), atol=0.2)


@pytest.mark.slow
def test_truncated_prior_cuts_the_posterior(small_mission, three_regions, levels):
    low = levels[0].mean()
    prior = dist.TruncatedNormal(low, PRIOR_SD, low=low)
    model, _, draws = fit(small_mission, three_regions, prior)
    assert model.bands_apart
    assert draws.min() >= low
    mean, covariance = gaussian(levels, np.full(2, low), PRIOR_SD**2 * np.eye(2))
    for k, sd in enumerate(np.sqrt(np.diag(covariance))):
        expected = stats.truncnorm((low - mean[k]) / sd, np.inf, mean[k], sd)
        assert draws[:, k].mean() == pytest.approx(expected.mean(), abs=0.25 * expected.std())
        assert draws[:, k].std() == pytest.approx(expected.std(), rel=0.2)
