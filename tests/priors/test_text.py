"""Priors as text: what is read, what comes back to the last bit, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ridgebayes.errors import InputError
from ridgebayes.priors.text import MAX_LENGTH, Shared, describe, parse_prior, spell

TEXTS = [
    "Normal(0, 2)",
    "TruncatedNormal(0, 1, low=0)",
    "TruncatedNormal(0.1, 1, low=-inf, high=3)",
    "TruncatedNormal(1, 0.1, low=0.5, high=1.5)",
    "TruncatedDistribution(StudentT(4, 0, 1), low=0)",
    "TruncatedGamma(2, 1, low=0.1, high=3)",
    "TruncatedCauchy(0, 1, low=0.5)",
    "MultivariateNormal([0, 0], scale_tril=[[1, 0], [0.5, 2]])",
    "MultivariateStudentT(4, [0, 0], [[1, 0], [0.3, 1]])",
    "MixtureSameFamily(Categorical([0.5, 0.5]), Normal([0, 5], [1, 1]))",
    "MixtureGeneral(Categorical([0.25, 0.75]), [Normal(0, 1), StudentT(3, 1, 1)])",
    "Shared(HalfNormal(0.02))",
    "Shared(TruncatedNormal(0, 1, low=0), band, region)",
    "Normal(0, 1).expand([3]).to_event(1)",
    "GaussianRandomWalk(0.1, 5)",
    "LogUniform(0.1, 3)",
    "InverseGamma(2, 3)",
    "Dirichlet([1, 2, 3])",
    "0.25",
    "-1e-300",
    "[[1, 2.5], [3, -4]]",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back(text):
    prior = parse_prior(text)
    assert spell(prior) == text
    assert describe(prior).removeprefix("fixed ").count("(") >= text.count("(")


@pytest.mark.parametrize(
    ("text", "reference", "at"),
    [
        ("TruncatedNormal(0.5, 2, low=0)", stats.truncnorm(-0.25, np.inf, 0.5, 2), 1.2),
        ("TruncatedDistribution(Normal(0, 1), low=0.5)", stats.truncnorm(0.5, np.inf), 0.7),
        ("MultivariateNormal([0, 1], [[1, .5], [.5, 1]])",
         stats.multivariate_normal([0, 1], [[1, 0.5], [0.5, 1]]), [0.3, -0.2]),
        ("TruncatedNormal(-1, 1, high=-0.5)", stats.truncnorm(-np.inf, 0.5, -1, 1), -1.4),
    ],
)  # fmt: skip
def test_density_is_that_of_scipy(text, reference, at):
    assert float(parse_prior(text).log_prob(jnp.asarray(at))) == pytest.approx(reference.logpdf(at))


def test_mixture_is_the_sum_of_its_parts():
    mixture = parse_prior("MixtureSameFamily(Categorical([0.3, 0.7]), Normal([0, 5], [1, 2]))")
    expected = 0.3 * stats.norm.pdf(2.0) + 0.7 * stats.norm(5, 2).pdf(2.0)
    assert float(jnp.exp(mixture.log_prob(2.0))) == pytest.approx(expected)


finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
positive = st.floats(1e-300, 1e300)
pairs = st.lists(finite, min_size=2, max_size=2)
PRIORS = st.one_of(
    st.builds(dist.Normal, finite, positive),
    st.builds(dist.HalfNormal, positive),
    st.builds(dist.LogNormal, finite, positive),
    st.builds(lambda x, s: dist.Normal(jnp.array(x), s), pairs, positive),
    st.builds(lambda x, s, low: dist.TruncatedNormal(x, s, low=low), finite, positive, finite),
    st.builds(lambda c: dist.MultivariateNormal(jnp.zeros(2), jnp.array([[1.0, c], [c, 1.0]])),
              st.floats(-0.99, 0.99)),
    st.builds(lambda p: Shared(dist.HalfNormal(p), "band"), positive),
    finite,
    st.builds(np.array, st.lists(pairs, min_size=1, max_size=3)),
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(PRIORS)
def test_every_digit_comes_back(prior):
    text = spell(prior)
    assert text is not None
    again = parse_prior(text)
    if isinstance(prior, Shared):
        prior, again = prior.prior, again.prior
    before, after = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(p)]) for p in (prior, again))
    assert before.astype(float).tobytes() == after.astype(float).tobytes()
    assert type(again) is type(prior) or isinstance(prior, float | np.ndarray)


def test_what_has_no_text_gives_none():
    exponential = dist.TransformedDistribution(dist.Normal(0, 1), dist.transforms.ExpTransform())

    class Mine(dist.Normal):
        pass

    for prior in (exponential, Mine(0, 1), dist.Normal(0, 1).mask(False), float("nan")):
        assert spell(prior) is None
        assert "\n" not in describe(prior)


def test_description_is_short_and_right():
    covariance = np.array([[1.0, 0.5], [0.5, 1.0]])
    assert describe(dist.MultivariateNormal(np.zeros(2), covariance)) == (
        "MultivariateNormal([0, 0], [[1, 0.5], [0.5, 1]])"
    )
    assert len(describe(dist.MultivariateNormal(np.zeros(30), np.eye(30)))) < 80
    assert describe(Shared(dist.HalfNormal(1 / 3), "band")) == "Shared(HalfNormal(0.3333), band)"
    assert describe(np.linspace(0, 1, 30)) == "fixed [0, … 30 values …, 1]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Nrmal(0, 1)", "did you mean 'Normal'"),
        ("Shraed(Normal(0, 1))", "did you mean 'Shared'"),
        ("Normal(1, 2, 3)", "its arguments: loc, scale"),
        ("Normal(mean=1)", "its arguments: loc, scale"),
        ("Normal(0, Normal(0, 1))", "not a number"),
        ("TruncatedDistribution(3, low=0)", "not a distribution"),
        ("TruncatedDistribution(HalfNormal(1), low=0)", "not supported"),
        ("TruncatedDistribution(" * 9 + "Normal(0, 1)" + ")" * 9, "deep"),
        ("Normal(0, 1).sample(3)", "'.sample' is not understood"),
        ("Normal(0, 1).expand([1e9])", "whole number"),
        ("Normal(0, 1).__class__", "not a number"),
        ("Shared(0.5)", "not of the form Shared"),
        ("Shared(Normal(0, 1), 3)", "not the name of an axis"),
        ("Shared(Shared(Normal(0, 1)))", "no distribution 'Shared'"),
        ("Normal(*[1, 2])", "not a number"),
        ("Normal(True, 1)", "not a number"),
        ("Normal([], 1)", "not a number"),
        ("[[1, 2], [3]]", "not a number"),
        ("1" * 400, "not a number"),
        ("inf", "must be finite"),
        ("MultivariateNormal([0, 0], [[1, 2], [2, 1]])", "covariance_matrix"),
        ("1+" * 50_000 + "1", "not of the form"),
        ("-" * 50_000 + "1", "not of the form"),
        (" " * (MAX_LENGTH + 1), "longer than"),
    ],
)
def test_bad_text_is_one_short_line(text, words):
    with pytest.raises(InputError, match="prior") as caught:
        parse_prior(text)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 400
