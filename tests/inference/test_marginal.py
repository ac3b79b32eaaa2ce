"""Linear parameters integrated out: against dense matrices, and against the full density."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from ridgebayes import models
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.marginal import Conditional, Marginal, draw, linear_parameters
from ridgebayes.likelihood import sequence as in_order
from ridgebayes.likelihood.design import prepare
from ridgebayes.likelihood.linear_terms import Term
from ridgebayes.likelihood.normal_equations import equations_of_bands
from ridgebayes.model import Model, components
from ridgebayes.models.regions import PRIORS
from ridgebayes.priors import Parameter
from ridgebayes.runs.sampling import independent, meet
from tests.helpers.dense_algebra import Dense, few_scws

SECOND = {"sky.second": Parameter(dist.Normal(0.0, 1.0), "", ("band", "region"), "a second sky")}


def two_tables(p, data):
    """A second sky of other columns: half as bright, seen through the response at the plane."""
    crab_rate = components.crab_rate(p, data)
    intensity = components.measured(p, "sky.intensity")
    seen = components.sky(p, intensity, crab_rate, data) + components.crab(crab_rate, data)
    seen.append(Term(crab_rate / 2000.0, data.exposure * data.basis[1], p("sky.second"), data.region))
    components.observe(p, data, components.background(p, data), seen, crab_rate)


CASES = {
    "white": ((), 2),
    "correlated": (("correlated_noise",), 2),
    "free latitude": (("free_latitude",), 1),
    "both": (("free_latitude", "correlated_noise"), 2),
    "two tables": (("two",), 2),
}


SLOW = ("correlated", "free latitude")  # `both` has either


@pytest.fixture(
    scope="module", params=[pytest.param(c, marks=[pytest.mark.slow] * (c in SLOW)) for c in CASES]
)
def dense(request, small_mission, three_regions):
    """About 60 ScWs in one band or two, and their dense algebra."""
    extras, bands = CASES[request.param]
    if extras == ("two",):
        model = Model("two tables", two_tables, {**PRIORS, **SECOND}, three_regions)
    else:
        model = models.regions(three_regions).with_extras(*extras)
    scws = few_scws(small_mission)
    return Dense(model, scws.take_bands(["A01", "A02"][:bands]))


@pytest.fixture(scope="module")
def marginal(dense):
    return Marginal(dense.posterior, dense.linear, dense.data)


def some(posterior, data, n=3, spread=0.5):
    """Vectors around the medians of the prior."""
    start = posterior.start(jax.random.key(0), data)
    return start + spread * posterior.scale * np.random.default_rng(1).normal(size=(n, start.size))


@pytest.mark.slow
def test_mean_precision_and_density_are_those_of_dense_matrices(dense, marginal):
    z = some(dense.posterior, dense.data)
    assert 50 < len(dense.scws) < 70
    assert dense.scws.crab.sum() > 10
    given = marginal.given(z[0], dense.data)
    found = marginal.conditionals(z[:, ~dense.linear], given)
    constant = 0.5 * dense.linear.sum() * np.log(2 * np.pi)
    for theta, value, mean, factor in zip(z[:, ~dense.linear], *found, strict=True):
        expected, precision = dense.conditional(theta)
        sd = np.sqrt(np.diag(np.linalg.inv(precision)))
        np.testing.assert_allclose((mean - expected) / sd, 0.0, atol=1e-6)
        scale = np.sqrt(np.diag(precision))
        np.testing.assert_allclose(
            factor @ factor.T / np.outer(scale, scale), precision / np.outer(scale, scale), atol=1e-8
        )
        np.testing.assert_allclose(value + constant, dense.log_density(theta), rtol=1e-9, atol=1e-6)
    assert np.ptp(found.log_density) > 1.0


@pytest.mark.slow
def test_the_reference_does_not_matter(dense, marginal):
    """Far from the mean of the linear parameters too; so sizes of slopes are no accident of the start."""
    z = some(dense.posterior, dense.data)
    thetas = z[:, ~dense.linear]
    far = z[0] + 20 * dense.posterior.scale * dense.linear
    near, other = (marginal.conditionals(thetas, marginal.given(x, dense.data)) for x in (z[0], far))
    np.testing.assert_allclose(near.log_density, other.log_density, rtol=1e-8, atol=1e-5)
    np.testing.assert_allclose(near.factor, other.factor, rtol=1e-7, atol=1e-7)


def moving_columns(p, data):
    """A sky that is seen the brighter the more the Crab scatters."""
    crab_rate = components.crab_rate(p, data)
    sky = components.sky(p, components.measured(p, "sky.intensity"), crab_rate, data)
    seen = [term._replace(column=term.column * (1.0 + p("crab.scatter")[0])) for term in sky]
    seen += components.crab(crab_rate, data)
    components.observe(p, data, components.background(p, data), seen, crab_rate)


@pytest.mark.slow
@pytest.mark.parametrize("fixed", [True, False])
def test_only_fixed_columns_are_put_in_order_once(fixed, small_mission, three_regions):
    model = models.regions(three_regions) if fixed else Model("moving", moving_columns, PRIORS, three_regions)
    model = model.with_extras("correlated_noise")
    data = prepare(few_scws(small_mission), three_regions, opened=model.asks_for).data.band(0)
    posterior = Posterior(model, data)
    marginal = Marginal(posterior, linear_parameters(posterior, data), data)
    z = some(posterior, data)
    given = marginal.given(z[0], data)
    assert (given.in_order is not None) == fixed
    found, each_time = (
        marginal.log_densities(z[:, marginal.nonlinear], x) for x in (given, given._replace(in_order=None))
    )
    np.testing.assert_allclose(found, each_time, rtol=1e-12)


@pytest.mark.slow
def test_two_tables_and_correlated_noise_are_refused(small_mission, three_regions):
    model = Model("two tables", two_tables, {**PRIORS, **SECOND}, three_regions)
    model = model.with_extras("correlated_noise")
    data = prepare(few_scws(small_mission), three_regions, opened=model.asks_for).data.band(0)
    posterior = Posterior(model, data)
    marginal = Marginal(posterior, linear_parameters(posterior, data), data)
    with pytest.raises(InputError, match="2 terms of the model have tables"):
        marginal.given(posterior.start(jax.random.key(0), data), data)


@pytest.mark.slow
def test_gradient_is_that_of_differences(dense, marginal):
    """NUTS of the nonlinear parameters takes it."""
    z = some(dense.posterior, dense.data)[0]
    theta, given = z[~dense.linear], marginal.given(z, dense.data)
    gradient = np.asarray(jax.jit(jax.grad(marginal.potential))(jnp.asarray(theta), given))
    step = 1e-5 * np.eye(theta.size)
    both = marginal.log_densities(np.concatenate([theta + step, theta - step]), given)
    differences = -(both[: theta.size] - both[theta.size :]) / 2e-5
    np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("build", "extras"),
    [
        pytest.param("template", (), marks=pytest.mark.slow),
        ("spectrum", ()),
        pytest.param("profile", (), marks=pytest.mark.slow),
        ("regions", ("correlated_noise",)),
        ("background", ("correlated_noise",)),  # its ScWs stand among others that are not fitted
    ],
)
@pytest.mark.long
def test_marginal_and_conditional_make_up_the_full_density(build, extras, small_mission, three_regions):
    """log p(θ, β, y) = log p(θ, y) + log p(β | θ, y), whatever β; slopes that depend on θ included."""
    scws = few_scws(small_mission)
    model = models.MODELS[build](three_regions).with_extras(*extras)
    data = prepare(scws, three_regions, opened=model.asks_for).data
    posterior = Posterior(model, data)
    linear = linear_parameters(posterior, data)
    assert linear.any()
    marginal = Marginal(posterior, linear, data)
    z = some(posterior, data, spread=0.3)
    found = marginal.conditionals(z[:, ~linear], marginal.given(z[0], data))
    potential = jax.jit(posterior.potential)
    for x, value, mean, factor in zip(z, *found, strict=True):
        whitened = factor.T @ (x[linear] - mean)
        of_linear = np.log(np.diag(factor)).sum() - 0.5 * whitened @ whitened
        np.testing.assert_allclose(value + of_linear, -float(potential(x, data)), rtol=1e-8)


def test_draws_have_mean_and_precision(rng):
    root = np.tril(rng.normal(size=(3, 3))) + 3 * np.eye(3)
    conditional = Conditional(0.0, np.array([1.0, -2.0, 0.5]), root)
    draws = np.array([draw(conditional, e)[0] for e in rng.normal(size=(40_000, 3))])
    covariance = np.linalg.inv(root @ root.T)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((draws.mean(0) - conditional.mean) / sd, 0.0, atol=0.025)
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(sd, sd), covariance / np.outer(sd, sd), atol=0.03)


@pytest.fixture(scope="module")
def data(small_mission, three_regions):
    return prepare(few_scws(small_mission), three_regions, opened={"crab.rate", "sky.latitude"}).data


@pytest.mark.slow
class TestLinearParameters:
    @staticmethod
    def names(model, data):
        posterior = Posterior(model, data)
        linear = linear_parameters(posterior, data)
        return {name for name in posterior.shapes if linear[posterior.named(name)].all()}

    ALL = frozenset(
        {"sky.intensity", "sky.latitude", "background.level", "background.drift", "background.tracer"}
    )

    def test_of_the_regions(self, data, three_regions):
        assert self.names(models.regions(three_regions), data) == self.ALL

    @pytest.mark.parametrize("name", ["background.tracer", "sky.intensity"])
    def test_a_prior_that_is_no_gaussian_demotes(self, data, three_regions, name):
        """Only the parameter that has it."""
        model = models.regions(three_regions).with_priors({name: dist.StudentT(4.0, 0.4, 0.5)})
        assert self.names(model, data) == self.ALL - {name}

    def test_a_positive_sky_is_not_linear(self, data, three_regions):
        model = models.regions(three_regions).with_priors({"sky.intensity": "TruncatedNormal(0.5, 1, low=0)"})
        assert self.names(model, data) == self.ALL - {"sky.intensity"}

    def test_of_two_that_are_multiplied_one_is_linear(self, data, three_regions):
        def product(p, data):
            background = components.background(p, data)
            level, tracer = background
            twisted = [level, Term(level.coefficient * tracer.coefficient / data.level, tracer.column)]
            components.observe(p, data, twisted, [])

        few = {n: q for n, q in PRIORS.items() if n.startswith("background.")}
        found = self.names(Model("product", product, few, three_regions), data)
        assert "background.tracer" not in found or not {"background.level", "background.drift"} & found
        assert found

    def test_none_where_revolutions_have_parameters(self, data, three_regions):
        assert self.names(models.regions(three_regions, marginal=False), data) == set()


@pytest.mark.parametrize("extra", [36, pytest.param(360, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_regions_that_no_scw_sees_leave_the_crab_alone(small_mission, extra):
    """Mean and sd of its rate, by quadrature, are the same whether there is one such region or many."""
    from ridgebayes.sky import Region, build

    # The mission looks at the bulge, the Crab and off the plane; what is far from all of these is not seen.
    scws = few_scws(small_mission).take_bands(["A01"])
    lon, lat = np.meshgrid(np.arange(0.0, 360.0, 4.0), np.arange(-86.0, 87.0, 4.0))
    far = _apart(scws, lon.ravel(), lat.ravel()) > 18.0
    centres = np.stack([lon.ravel(), lat.ravel()], 1)[far]
    centres = centres[np.linspace(0, len(centres) - 1, extra).astype(int)]
    seen = Region.box("GB", (-10.0, 10.0), (-5.0, 5.0))
    unseen = [Region.circle(f"far {k}", *at, 0.5) for k, at in enumerate(centres)]
    found = []
    for regions in ([seen, unseen[0]], [seen, *unseen]):
        model = models.regions(build("far", regions))
        data = prepare(scws, model.sky, opened=model.asks_for).data
        posterior = Posterior(model, data)
        marginal = Marginal(posterior, linear_parameters(posterior, data), data)
        z = posterior.start(jax.random.key(0), data)
        place = np.flatnonzero(posterior.named("crab.rate")[marginal.nonlinear])[0]
        log_rate = np.linspace(-0.4, 0.0, 101)
        thetas = np.repeat(z[None, marginal.nonlinear], log_rate.size, 0)
        thetas[:, place] = log_rate
        log_density = marginal.log_densities(thetas, marginal.given(z, data))
        weight = np.exp(log_density - log_density.max())
        weight /= weight.sum()
        mean = weight @ np.exp(log_rate)
        # The grid ends where nothing is left, and has several points a spread.
        assert max(weight[0], weight[-1]) < 1e-9
        assert (weight > 1e-3).sum() > 10
        found.append((mean, np.sqrt(weight @ (np.exp(log_rate) - mean) ** 2)))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def _apart(scws, lon, lat):
    """Distance of places to the nearest pointing, deg."""
    of = lambda lon, lat: np.stack(  # noqa: E731
        [np.cos(np.deg2rad(lat)) * np.cos(np.deg2rad(lon)), np.cos(np.deg2rad(lat)) * np.sin(np.deg2rad(lon)),
         np.sin(np.deg2rad(lat))], -1)  # fmt: skip
    return np.rad2deg(np.arccos(np.clip(of(lon, lat) @ of(scws.lon, scws.lat).T, -1, 1))).min(1)


@pytest.mark.slow
def test_groups_of_a_long_mission_change_nothing(small_mission, three_regions, monkeypatch):
    """Revolutions of about the same size then stand together: the same density in another order of sums."""
    model = models.regions(three_regions).with_extras("correlated_noise")
    found = []
    for many in (10**9, 1):
        monkeypatch.setattr(in_order, "_MANY", many)
        data = prepare(small_mission, three_regions, opened=model.asks_for).data.band(0)
        posterior = Posterior(model, data)
        marginal = Marginal(posterior, linear_parameters(posterior, data), data)
        z = posterior.start(jax.random.key(0), data)
        found.append(marginal.log_densities(z[None, marginal.nonlinear], marginal.given(z, data))[0])
        groups = [group.revolution.size for group in data.sequence.groups]
        assert len(groups) == (2 if many > 1 else 8)
    np.testing.assert_allclose(*found, rtol=1e-12)


@pytest.mark.long
def test_a_density_that_rounding_has_eaten_is_none(small_mission, three_regions):
    """Where the thermal part is cut off far below the bands, it outshines all else beyond 16 digits.

    Without a limit such a place had log densities of 1e200, and a chain that came there stayed.
    """
    model, prepared = meet(models.spectrum(three_regions), small_mission)
    (data,) = independent(model, prepared.data)
    posterior = Posterior(model, data)
    marginal = Marginal(posterior, linear_parameters(posterior, data), data)
    z = posterior.start(jax.random.key(0), data)
    given = marginal.given(z, data)
    coldness = posterior.named("sky.temperature")[marginal.nonlinear]
    thetas = z[marginal.nonlinear] - np.linspace(0.0, 10.0, 150)[:, None] * coldness
    finite = np.isfinite(marginal.log_densities(thetas, given))
    first = int(np.argmin(finite))
    assert finite[0]
    assert first > 0
    assert not finite[first:].any()
    # About the mean at the first of them, as in chains. Elsewhere rates are so far off there that the gain to
    # the mean cancels a density as large; what is left must be the same.
    mean = marginal.conditionals(thetas[:1], given).mean[0]
    same = marginal.log_densities(thetas, given._replace(reference=jnp.asarray(mean)))
    both = finite & np.isfinite(same)
    assert both[: first // 4].all()
    np.testing.assert_allclose(same[both], marginal.log_densities(thetas, given)[both], rtol=0.0, atol=0.1)


def test_rates_with_unknown_outliers_have_no_normal_equations(small_mission):
    model, made = meet(models.background().with_extras("outliers"), few_scws(small_mission))
    posterior = Posterior(model, made.data)
    rates = posterior.rates(posterior.start(jax.random.key(0), made.data), made.data)
    with pytest.raises(TypeError, match="OutlierTermsNormal is not Gaussian"):
        equations_of_bands(rates, None, made.data)
