"""What the prior expects: draws, units, comparisons, table, figure, command."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import ridgebayes as rb
from ridgebayes import read_table
from ridgebayes.errors import InputError
from ridgebayes.likelihood.design import prepare
from ridgebayes.plots.prior import prior_figure
from ridgebayes.products.prior_predictive import (
    format_prior_table,
    interval,
    observed_scatter,
    plane_regions,
    prior_table,
    scatter_draws,
)
from tests.helpers.cli import call

DRAWS = 150


@pytest.fixture(scope="module")
def tree(small_mission, three_regions):
    return rb.prior_predictive(rb.models.regions(three_regions), small_mission, DRAWS, seed=2)


@pytest.mark.slow
def test_groups_axes_and_units(tree, small_mission):
    predictive, revolutions = tree["prior_predictive"].dataset, len(np.unique(small_mission.revolution))
    assert predictive["revolution_rate"].shape == (1, DRAWS, 2, revolutions)
    assert predictive["crab.history"].shape == (1, DRAWS, 2, revolutions)
    assert predictive["sky.fov_flux"].dims == ("chain", "draw", "band", "region")
    assert predictive["sky.fov_flux"].attrs["units"] == "mCrab"
    assert predictive["sky.intensity"].attrs["units"] == "mCrab / deg2"
    assert tree["prior"].dataset["crab.shape"].shape == (1, DRAWS, 2, 3)
    assert predictive["band"].values.tolist() == ["A01", "A02"]
    assert tree.attrs["simulated"] == 1


@pytest.mark.slow
def test_same_seed_same_draws(tree, small_mission, three_regions):
    again = rb.prior_predictive(rb.models.regions(three_regions), small_mission, DRAWS, seed=2)
    assert tree.identical(again)


@pytest.mark.slow
def test_draws_follow_the_priors(tree):
    """Kolmogorov-Smirnov against the distributions that are written down."""
    prior = tree["prior"].dataset
    measured = prior["sky.intensity"] * prior["crab.rate"]
    for draws, expected in (
        (prior["crab.rate"], stats.lognorm(0.3)),
        (prior["background.scatter"], stats.halfnorm(scale=0.03)),
        (measured, stats.norm(0, 2)),
    ):
        assert stats.kstest(draws.values.ravel(), expected.cdf).pvalue > 1e-3, draws.name


def test_quantities_follow_from_the_parameters(tree, small_mission, three_regions):
    """FOV flux and Crab rate by hand, from the parameters of every draw."""
    data = prepare(small_mission, three_regions, opened={"sky.latitude", "crab.rate"}).data
    prior, predictive = tree["prior"].dataset, tree["prior_predictive"].dataset
    flux = prior["sky.intensity"].values[0] @ np.asarray(data.fov).T
    flux += prior["sky.latitude"].values[0] @ np.asarray(data.latitude_fov).T
    np.testing.assert_allclose(predictive["sky.fov_flux"].values[0], flux)
    shape = np.exp(prior["crab.shape"].values[0] @ np.asarray(data.crab_basis)[1:])
    crab = np.asarray(data.crab_rate)[:, None] * prior["crab.rate"].values[0][..., None] * shape
    np.testing.assert_allclose(predictive["crab.history"].values[0], crab)


@pytest.mark.slow
def test_replicates_scatter_about_their_expectation(small_mission, three_regions):
    """With everything fixed they are the expected rate and its noise, in the mean over draws."""
    held = {"sky.intensity": 0.0, "sky.latitude": 0.0, "background.level": 1.0, "background.drift": 0.0,
            "background.tracer": 0.0, "background.revolution_sd": 1e-6, "background.scatter": 0.0,
            "crab.rate": 1.0, "crab.shape": 0.0, "crab.scatter": 0.0}  # fmt: skip
    dark = small_mission.select(~small_mission.crab)
    model = rb.models.regions(three_regions).with_priors(held)
    tree = rb.prior_predictive(model, dark, 100, crab_rate={"A01": 100.0, "A02": 15.0})
    constant, rates = (
        tree["constant_data"].dataset,
        tree["prior_predictive"].dataset["revolution_rate"].values[0],
    )
    np.testing.assert_array_equal(constant["crab_rate"], [100.0, 15.0])
    revolution = np.unique(dark.revolution)
    variance = np.array([(dark.stat_err[dark.revolution == r] ** 2).mean(0) / (dark.revolution == r).sum()
                         for r in revolution]).T  # fmt: skip
    pull = (rates - constant["level"].values) / np.sqrt(variance)
    assert stats.kstest(pull.ravel(), "norm").pvalue > 1e-3
    assert "the given rate" in prior_table(tree)["with"].tolist()


def test_table_says_what_it_compares_with(tree):
    table = prior_table(tree)
    first = {str(row["quantity"]): row for row in table if row["band"] == "A01"}
    assert set(first) == {
        "mean rate of a revolution",
        "FOV flux of GB",
        "Crab rate",
        "scatter beyond counting",
    }
    flux = first["FOV flux of GB"]
    assert (flux["compared"], flux["error"]) == (154.886, 3.088)  # of the published table, this band
    draws = tree["prior_predictive"].dataset["sky.fov_flux"].sel(band="A01", region="GB").values
    np.testing.assert_allclose([flux["lo"], flux["hi"]], np.quantile(draws, [0.03, 0.97]))
    scatter = first["scatter beyond counting"]
    assert scatter["hi"] == pytest.approx(100 * 0.03 * stats.halfnorm.ppf(0.97), rel=0.25)
    assert "SIMULATED" in format_prior_table(table)
    assert (table["lo"] < table["median"]).all()


def test_observed_scatter_is_what_was_put_in(small_mission, rng):
    """Rates of one level with a scatter of 2 % and counting noise."""
    error = np.full_like(small_mission.rate, 0.5)
    rate = 100 * (1 + 0.02 * rng.normal(size=error.shape)) + 0.5 * rng.normal(size=error.shape)
    made = dataclasses.replace(small_mission, rate=rate, stat_err=error)
    np.testing.assert_allclose(observed_scatter(made), 0.02, rtol=0.15)
    crab = small_mission.select(small_mission.crab)
    assert np.isnan(observed_scatter(crab)).all()


@pytest.mark.parametrize(
    "extras",
    [
        ("correlated_noise", "transients"),
        pytest.param(("outliers", "smooth_crab", "free_latitude"), marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_extras(extras, small_mission, three_regions, tmp_path):
    model = rb.models.regions(three_regions).with_extras(*extras)
    model = model.with_priors({"background.scatter": 0.01, "sky.intensity": "Shared(HalfNormal(1), band)"})
    found = rb.prior_predictive(model, small_mission.take_bands(["A02"]), 20)
    assert (found["prior_predictive"].dataset["sky.fov_flux"] > 0).all()
    np.testing.assert_array_equal(scatter_draws(found), [[1.0]])
    figure = prior_figure(found)
    assert len(figure.axes) == 4
    assert extras[0] in figure.get_suptitle()


def test_what_a_model_does_not_compute_is_left_out(tree):
    bare = tree.copy()
    bare["prior_predictive"] = (
        bare["prior_predictive"].to_dataset().drop_vars(["sky.fov_flux", "crab.history"])
    )
    bare["prior"] = bare["prior"].to_dataset().drop_vars("background.scatter")
    assert set(prior_table(bare)["quantity"]) == {"mean rate of a revolution"}
    assert len(prior_figure(bare).axes) == 2


def test_figure_shows_the_numbers(tree):
    figure = prior_figure(tree)
    axes = figure.axes
    assert len(axes) == 8
    assert axes[0].get_title(loc="left") == "A01: 25–60 keV"
    assert [ax.get_ylabel().split("[")[-1] for ax in axes[::2]] == [
        "cts/s]",
        "mCrab]",
        "cts/s per Crab]",
        "Draws",
    ]
    lines = {line.get_label(): line for line in axes[0].get_lines()}
    observed = tree["observed_data"].dataset["revolution_rate"].values[0]
    np.testing.assert_array_equal(lines["observed"].get_ydata(), observed)
    median = np.median(tree["prior_predictive"].dataset["revolution_rate"].values[0, :, 0], axis=0)
    np.testing.assert_array_equal(lines["prior, median"].get_ydata(), median)
    assert any(text.get_text() == "simulated data" for text in figure.texts)


def test_plane_regions_run_along_the_plane(tree):
    lon = tree["constant_data"].dataset["lon"].values[plane_regions(tree)]
    np.testing.assert_array_equal((lon + 180) % 360 - 180, [-20, 0, 20])
    np.testing.assert_allclose(interval(np.arange(101.0)), [3, 97])


def test_the_longitude_axis_goes_round():
    """A region across 180° is drawn at both ends; the axis is that of the profiles."""
    lon = np.array([0.0, 60.0, 120.0, 180.0, -120.0, -60.0])
    draws = np.arange(6.0) * np.ones((1, 40, 1, 1))
    unknown = {
        name: (("band", "region"), np.full((1, 6), np.nan)) for name in ("published", "published_error")
    }
    constant = {"lon": ("region", lon), "lat": ("region", np.zeros(6)), "e_min": ("band", [25.0]),
                "e_max": ("band", [60.0]), "mjd": ("revolution", [55000.0, 56000.0])}  # fmt: skip
    predictive = {"sky.fov_flux": (("chain", "draw", "band", "region"), draws),
                  "revolution_rate": (("chain", "draw", "band", "revolution"), draws[..., :2])}  # fmt: skip
    tree = xr.DataTree.from_dict({
        "constant_data": xr.Dataset(constant | unknown, {"band": ["A01"]}),
        "prior_predictive": xr.Dataset(predictive),
        "observed_data": xr.Dataset({"revolution_rate": (("band", "revolution"), np.ones((1, 2)))}),
        "prior": xr.Dataset(),
    })  # fmt: skip
    tree.attrs |= {"model": "regions", "extras": [], "simulated": False}
    ax = prior_figure(tree).axes[1]
    assert ax.get_xlim() == (180, -180)
    np.testing.assert_array_equal(ax.get_xticks(), np.arange(-180, 181, 60))
    step = next(line for line in ax.lines if line.get_label() == "prior, median")
    x, y = step.get_xdata(), step.get_ydata()
    assert x.min() <= -180
    assert x.max() >= 180
    for at, index in ((-180, 3), (-120, 4), (0, 0), (120, 2), (180, 3)):
        assert y[np.flatnonzero(x == at)[0]] == index


def test_too_few_draws(small_mission, three_regions):
    with pytest.raises(InputError, match="at least 2 draws"):
        rb.prior_predictive(rb.models.regions(three_regions), small_mission, 1)


@pytest.mark.slow
def test_command(small_mission, tmp_path):
    rb.write_scws(small_mission, tmp_path / "m.fits")
    given = ["prior", str(tmp_path / "m.fits"), "--sky", "coarse", "--band", "A01", "--prior-draws", "10"]
    found = call(*given, "--out", tmp_path / "p")
    assert found.exit_code == 0, found.output
    assert (tmp_path / "p" / "prior_predictive.png").stat().st_size > 10_000
    table = read_table(tmp_path / "p" / "prior_predictive.ecsv")
    assert table.meta["simulated"] is True
    assert "94 % of the prior" in found.output
    wrong = call(*given, "--prior", "sky.intensity=Normal([0, 1], 1)")
    assert wrong.exit_code == 2
    assert "sky.intensity" in wrong.output
