"""Priors: changing, parsing, describing, refusing."""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from scipy import stats

from ridgebayes.errors import InputError
from ridgebayes.priors import Parameter, Parameters, describe, parse_prior, with_priors

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
