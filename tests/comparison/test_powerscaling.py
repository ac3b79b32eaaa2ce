"""Power scaling against a posterior that is Gaussian, where everything follows from linear algebra."""

from itertools import pairwise

import matplotlib.style
import numpy as np
import pytest
from scipy import stats

import ridgebayes as rb
from ridgebayes.comparison.densities import log_prior
from ridgebayes.comparison.powerscaling import CONFLICT, STRONG, diagnose, format_sensitivity, prior_weights
from ridgebayes.plots.sensitivity import sensitivity_figure
from ridgebayes.plots.style import STYLE
from ridgebayes.runs.reload import reopen
from tests.helpers.gaussian_run import FIXED, PRIOR_MEAN, PRIOR_SD, gaussian_run, other_run

ALPHAS = (0.99, 1.01)


def distance(p, q, grid):
    """Cumulative Jensen-Shannon distance of two cumulative distributions on a grid."""
    middle = (p + q) / 2
    integral = lambda y: np.trapezoid(y, grid)  # noqa: E731
    entropy = lambda y: integral(y * np.log2(y / middle))  # noqa: E731
    area = integral(p), integral(q)
    divergence = entropy(p) + (area[1] - area[0]) / (2 * np.log(2))
    divergence += entropy(q) + (area[0] - area[1]) / (2 * np.log(2))
    return np.sqrt(divergence / sum(area))


def expected(base, scaled, low, high):
    """Sensitivity of a normal posterior (mean, sd) for those of scaled priors or likelihoods."""
    grid = np.linspace(low, high, 20001)
    slopes = []
    for alpha, normal in zip(ALPHAS, scaled, strict=True):
        left = distance(stats.norm.cdf(grid, *base), stats.norm.cdf(grid, *normal), grid)
        right = distance(stats.norm.sf(grid, *base), stats.norm.sf(grid, *normal), grid)
        slopes.append(max(left, right) / abs(np.log2(alpha)))
    return np.mean(slopes)


@pytest.fixture(scope="module")
def found():
    scws, run, linear = gaussian_run()
    table, fits = rb.sensitivity(run, scws)
    return run, linear, table, fits


@pytest.mark.long
def test_sensitivity_is_the_analytic_one():
    """Of 2,500 draws a chain the estimate scatters by up to 8 % from seed to seed, of 10,000 by half."""
    scws, few, linear = gaussian_run()
    run = rb.sample(reopen(few, scws).posterior.model, scws, seed=1, draws=10_000)
    table, _ = rb.sensitivity(run, scws)
    rows = np.arange(linear.y.size)
    mean, covariance = linear.given(rows)
    for i, region in enumerate(["L-20", "GB", "L+20"]):
        row = table[(table["parameter"] == "sky.intensity") & (table["element"] == region)][0]
        draws = run.intensity().sel(region=region).values
        sd = np.sqrt(covariance[i, i])
        for what, power in (("prior", "power"), ("likelihood", "of_likelihood")):
            scaled = []
            for alpha in ALPHAS:
                m, c = linear.given(rows, **{power: alpha})
                scaled.append((m[i], np.sqrt(c[i, i])))
            assert row[what] == pytest.approx(
                expected((mean[i], sd), scaled, draws.min(), draws.max()), rel=0.12, abs=0.01
            )


@pytest.mark.slow
def test_log_prior_is_scipy_s(found):
    """It is for intensity times Crab rate over its reference."""
    scws, run, _ = gaussian_run()
    again = reopen(run, scws)
    prior = log_prior(again.posterior, again.z[0, 0, :7], again.parts[0])
    assert list(prior) == ["sky.intensity"]
    values = run.intensity().values[0, :7].reshape(7, -1)
    crab = FIXED["crab.rate"]
    expected = stats.norm(PRIOR_MEAN, PRIOR_SD).logpdf(values * crab).sum(1)
    np.testing.assert_allclose(prior["sky.intensity"], expected, rtol=1e-10)


@pytest.mark.slow
def test_log_prior_by_parameter(small_run, small_mission):
    """In each parameter's own units, without Jacobians, a band by itself."""
    again = reopen(small_run, small_mission)
    prior = log_prior(again.posterior, again.z[1, 0, :5], again.parts[1])
    posterior = small_run.tree["posterior"].dataset.isel(chain=0, draw=slice(5), band=1)
    scatter = stats.halfnorm(0, 0.03).logpdf(posterior["background.scatter"])
    np.testing.assert_allclose(prior["background.scatter"], scatter, rtol=1e-10)
    crab = stats.lognorm(0.5, scale=0.005).logpdf(posterior["crab.scatter"])
    np.testing.assert_allclose(prior["crab.scatter"], crab, rtol=1e-10)
    # Of intensity times Crab rate: that of the intensity alone would be a prior on the Crab rate besides.
    rate = posterior["crab.rate"].values[:, None]
    for name in ("sky.intensity", "sky.latitude"):
        sd = 2.0 if name == "sky.intensity" else 1.0
        sky = stats.norm(0, sd).logpdf(posterior[name] * rate).sum(-1)
        np.testing.assert_allclose(prior[name], sky, rtol=1e-10)
    drift = stats.norm().logpdf(posterior["background.drift"]).sum(-1)
    np.testing.assert_allclose(prior["background.drift"], drift, rtol=1e-10)


@pytest.mark.slow
def test_table_of_all_parameters(small_run, small_mission):
    """A row for each element but the weights of functions; each band by itself; most sensitive first."""
    table, fits = rb.sensitivity(small_run, small_mission)
    assert len(fits) == 2
    per_band = (
        3 + 3 + 2 + 1 + 1 + 3 + 1 + 1 + 3 + 1
    )  # sky, FOV, latitude, level, tracer, revolution sd, scatter, Crab's three
    assert len(table) == 2 * per_band
    assert set(table["band"]) == {"A01", "A02"}
    assert (np.diff(table["prior"]) <= 0).all()
    assert not any(name.startswith("background.drift") for name in table["parameter"])
    units = dict(zip(table["parameter"], table["unit"], strict=True))
    assert units["sky.intensity"] == "mCrab / deg2"
    assert units["sky.fov_flux"] == "mCrab"
    # The flux of the bulge is measured to a per cent: priors cannot matter.
    bulge = table[(table["parameter"] == "sky.fov_flux") & (table["element"] == "GB")]
    assert (bulge["likelihood"] > 0.05).all()
    assert (bulge["prior"] < 0.05).all()


def test_words():
    assert diagnose(0.01, 0.5) == diagnose(0.01, 0.01) == ""
    assert diagnose(0.2, 0.01) == STRONG
    assert diagnose(0.2, 0.2) == CONFLICT


@pytest.mark.slow
def test_prior_and_data_that_pull_apart_are_found():
    scws, run, linear = gaussian_run()
    far = other_run(run, linear, 0.1)
    table, _ = rb.sensitivity(far, scws)
    near, _ = rb.sensitivity(run, scws)
    assert (table["diagnosis"] == CONFLICT).sum() >= 4
    assert table["prior"].max() > 1.5 * near["prior"].max()
    page = format_sensitivity(table, simulated=True)
    assert page.startswith("SIMULATED")
    assert CONFLICT in page


def test_reweighted_posterior_is_the_analytic_one(found):
    """What the figure shows: mean and sd of a posterior with a weaker or stronger prior."""
    run, linear, _, fits = found
    rows = np.arange(linear.y.size)
    draws = run.intensity().values.reshape(-1, 3)
    for alpha in (0.8, 1.25):
        weight, k = prior_weights(fits[0], "sky", alpha)
        assert k < 0.7
        mean, covariance = linear.given(rows, power=alpha)
        sd = np.sqrt(covariance.diagonal())
        np.testing.assert_allclose(weight @ draws, mean, atol=0.12 * sd.max())
        np.testing.assert_allclose(np.sqrt(weight @ (draws - mean) ** 2), sd, rtol=0.1)


@pytest.mark.slow
def test_figure(found):
    run, _, table, fits = found
    with matplotlib.style.context(STYLE, after_reset=True):
        figure = sensitivity_figure(run, table, fits)
        figure.canvas.draw()
    drawn = [ax for ax in figure.axes if ax.axison]
    assert len(drawn) == 6
    first = table[0]
    assert drawn[0].get_title("left") == f"{first['parameter']} {first['element']} {first['band']}"
    for ax, row in zip(drawn, table, strict=True):
        labels = [text.get_window_extent() for text in ax.get_xticklabels() if text.get_text()]
        inside = sorted((box for box in labels if ax.bbox.x0 <= (box.x0 + box.x1) / 2 <= ax.bbox.x1),
                        key=lambda box: box.x0)  # fmt: skip
        assert 2 <= len(inside) <= 4
        assert all(left.x1 < right.x0 for left, right in pairwise(inside))
        for line in ax.lines:
            x, density = line.get_data()
            assert np.trapezoid(density, x) == pytest.approx(1.0, abs=0.03)
        assert any(text.get_text().startswith(f"prior {row['prior']:.2f}") for text in ax.texts)
