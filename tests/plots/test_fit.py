"""Figures of a run: what is drawn are the run's numbers."""

import math

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ridgebayes.errors import InputError
from ridgebayes.plots import fit as plots
from ridgebayes.plots.crab import draw_crab
from ridgebayes.plots.style import known_range, years
from ridgebayes.sky import load
from tests.helpers.synthetic_run import (
    CHAINS,
    DRAWS,
    LON,
    NAMES,
    REGIONS,
    REVOLUTIONS,
    make_run,
    off_the_plane,
)


@pytest.fixture(scope="module")
def run():
    return make_run()


@pytest.fixture
def ax():
    return Figure().add_subplot()


def artist(ax, label):
    """Return the one artist with a label."""
    handles, labels = ax.get_legend_handles_labels()
    assert labels.count(label) == 1, labels
    return handles[labels.index(label)]


def segments(ax, label):
    """Ends of the line segments with a label, sorted: (n, 2 ends, x and y)."""
    found = np.array([np.sort(s, axis=0) for s in artist(ax, label).get_segments()])
    return found[np.argsort(found[:, 0, 0])]


def boxes(ax, label):
    """Boxes with a label, sorted: left, right, bottom, top."""
    corners = [path.vertices for path in artist(ax, label).get_paths()]
    return np.array(sorted([*np.ravel([(x.min(), x.max()) for x in c.T])] for c in corners))


# --- longitude profiles ------------------------------------------------------------------------------------


def flux_draws(run, band):
    k = run.record["data"]["bands"].index(band)
    intensity = run.tree["posterior"]["sky.intensity"].values[:, :, k]
    return 1.1 * np.einsum("cdm,pm->cdp", intensity, run.tree["constant_data"]["fov"].values)


@pytest.mark.parametrize("quantity", ["intensity", "fov_flux"])
def test_profile_draws_the_posterior(run, ax, quantity):
    assert plots.longitude_profile(run, "E02", ax, quantity=quantity) is ax
    draws = run.tree["posterior"]["sky.intensity"].values[:, :, 1]
    draws = (draws if quantity == "intensity" else flux_draws(run, "E02")).reshape(-1, REGIONS)
    # L+180 is cut in two: it comes first and last.
    order = np.r_[REGIONS - 1, : REGIONS - 1, REGIONS - 1]
    edges = np.r_[-180.0, np.arange(-170.0, 171.0, 20.0), 180.0]
    for label, prob in (("94% interval", 0.94), ("68% interval", 0.68)):
        low, high = np.quantile(draws, [(1 - prob) / 2, (1 + prob) / 2], axis=0)[:, order]
        found = boxes(ax, label)
        np.testing.assert_allclose(found, np.array([edges[:-1], edges[1:], low, high]).T, rtol=1e-9)
    truth = run.tree["constant_data"][f"true_{quantity}"].values[1]
    for label, value in (("mean", draws.mean(0)), ("truth", truth)):
        found = segments(ax, label)
        np.testing.assert_allclose(found[:, :, 0], np.array([edges[:-1], edges[1:]]).T)
        np.testing.assert_allclose(found[:, :, 1], np.repeat(value[order][:, None], 2, 1), rtol=1e-9)
    unit = {"intensity": "[mCrab/deg²]", "fov_flux": "[mCrab]"}[quantity]
    assert unit in ax.get_ylabel()
    assert "[deg]" in ax.get_xlabel()
    assert ax.get_xlim() == (180, -180)
    assert ax.get_title("left") == "E02: 30–40 keV"


def no_truth(groups):
    groups["constant_data"] = groups["constant_data"].drop_vars(["true_intensity", "true_fov_flux"])


@pytest.mark.parametrize(
    ("simulated", "change", "drawn"), [(True, None, True), (True, no_truth, False), (False, None, False)]
)
@pytest.mark.parametrize("quantity", ["intensity", "fov_flux"])
def test_truth_only_where_simulated_and_known(ax, simulated, change, drawn, quantity):
    run = make_run(1, simulated=simulated, change=change)
    plots.longitude_profile(run, "E01", ax, quantity=quantity)
    assert ("truth" in ax.get_legend_handles_labels()[1]) is drawn


def test_without_widths_regions_are_points(ax):
    def change(groups):
        names = [f"box {i}" for i in range(REGIONS)]
        for group in ("posterior", "constant_data"):
            groups[group] = groups[group].assign_coords(region=names)

    run = make_run(change=change)
    plots.longitude_profile(run, "E01", ax)
    mean = run.tree["posterior"]["sky.intensity"].values[:, :, 0].mean((0, 1))
    np.testing.assert_allclose(artist(ax, "mean").get_offsets(), np.array([LON, mean]).T)
    truth = run.tree["constant_data"]["true_intensity"].values[0]
    np.testing.assert_allclose(artist(ax, "truth").get_offsets(), np.array([LON, truth]).T)


def test_widths_of_the_run_are_used(ax):
    def change(groups):
        width = np.where(LON == 0, 8.0, np.nan)
        groups["constant_data"] = groups["constant_data"].assign(lon_width=("region", width))

    plots.longitude_profile(make_run(1, change=change), "E01", ax)
    np.testing.assert_allclose(boxes_of_kind(ax, "94% interval")[0][:2], [-4, 4])


def boxes_of_kind(ax, label):
    """Boxes with a label that error bars carry too."""
    filled = [c for c in ax.collections if isinstance(c, PolyCollection) and c.get_label() == label]
    return [(p.vertices[:, 0].min(), p.vertices[:, 0].max()) for c in filled for p in c.get_paths()]


def test_regions_off_the_plane_are_not_on_the_longitude_axis(ax):
    run = make_run(change=off_the_plane)
    plots.longitude_profile(run, "E01", ax)
    middle = segments(ax, "mean")[:, :, 0].mean(1)
    assert not np.isin(LON[[2, 11]], middle).any()
    assert np.isin(np.delete(LON, [2, 11, 17]), middle).all()
    assert "2 off the plane not shown" in ax.get_xlabel()

    other = plots.other_regions(run, "E01", Figure().add_subplot())
    assert [label.get_text() for label in other.get_xticklabels()] == [NAMES[2], NAMES[11]]
    mean = run.tree["posterior"]["sky.intensity"].values[:, :, 0, [2, 11]].mean((0, 1))
    np.testing.assert_allclose(artist(other, "mean").get_offsets()[:, 1], mean)


def test_a_region_seen_by_no_scw_does_not_set_the_scale(ax):
    def change(groups):
        groups["posterior"]["sky.intensity"][..., 4] = np.random.default_rng(1).normal(
            0, 10, (CHAINS, DRAWS, 2)
        )

    run = make_run(change=change, unseen=[NAMES[4]])
    plots.longitude_profile(run, "E01", ax)
    assert ax.get_ylim()[1] < 2
    assert "1 interval beyond the axis" in ax.get_title("left")
    grey = artist(ax, "seen by no ScW: prior only").get_color()
    inner = artist(ax, "68% interval")
    left = [path.vertices[:, 0].min() for path in inner.get_paths()]
    assert to_hex(inner.get_facecolor()[left.index(LON[4] - 10)]).upper() == grey


def test_what_is_hardly_known_sets_no_axis():
    low, high = np.array([0.0, 0.1, 0.2, -90.0]), np.array([1.0, 1.2, 1.1, 80.0])
    assert known_range(low, high) == pytest.approx((-0.06, 1.26))
    assert known_range(low, high, 3.0, [np.nan]) == pytest.approx((-0.15, 3.15))
    assert known_range(low, high, seen=np.array([True, True, False, False]))[1] == pytest.approx(1.26)
    assert known_range(low[:0], high[:0]) == pytest.approx((-0.05, 1.05))


# --- the other plots ---------------------------------------------------------------------------------------


def test_residuals(ax):
    def change(groups):
        groups["constant_data"]["residual_histogram"][1, [0, -1]] = [7, 11]

    run = make_run(change=change)
    plots.residuals(run, "E02", ax)
    count = run.tree["constant_data"]["residual_histogram"].values[1]
    np.testing.assert_array_equal(artist(ax, "ScWs").get_data().values, count[1:-1])
    ends = artist(ax, "ScWs beyond ±5.9").patches
    assert [p.get_height() for p in ends] == [7, 11]
    assert ends[0].get_x() == pytest.approx(-6)
    x, y = next(line for line in ax.lines if "Gaussian" in line.get_label()).get_data()
    np.testing.assert_allclose(y, count.sum() * 0.1 * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), rtol=1e-9)
    assert ax.get_yscale() == "log"
    # Bins are 0.1 wide: 30 of them below −3 and 30 above +3.
    share = (count[:30].sum() + count[-30:].sum()) / count.sum()
    assert [text.get_text() for text in ax.texts] == [f"{100 * share:.2f}%\nbeyond ±3"]


def band_of(ax):
    """Lower and upper boundary of the one filled band, in the order of time."""
    (path,) = artist(ax, "94% interval").get_paths()
    x, y = path.vertices.T
    when = np.unique(x)
    return when, *np.array([(y[x == t].min(), y[x == t].max()) for t in when]).T


@pytest.mark.parametrize(
    ("plot", "history", "label"),
    [
        (plots.background, "background_history", "background level without tracer term"),
        (draw_crab, "crab_history", "Crab rate"),
    ],
)
def test_histories_are_drawn(run, ax, plot, history, label):
    plot(run, "E02", ax)
    constant = run.tree["constant_data"].dataset.sel(band="E02")
    expected = {key: constant[f"{history}_{key}"].values for key in ("mean", "lo", "hi")}
    x, y = artist(ax, label).get_data()
    np.testing.assert_allclose(x, years(run))
    np.testing.assert_allclose(y, expected["mean"])
    when, low, high = band_of(ax)
    np.testing.assert_allclose(when, x)
    np.testing.assert_allclose([low, high], [expected["lo"], expected["hi"]])
    assert "[cts/s]" in ax.get_ylabel()
    assert ax.get_xlabel() == "Year"


def test_a_given_crab_rate_is_said_to_be_held(ax):
    def change(groups):
        groups["posterior"] = groups["posterior"].drop_vars(["crab.rate", "crab.shape"])

    draw_crab(make_run(1, change=change), "E01", ax)
    assert "held at the given rate" in ax.get_title("left")


def test_background_shows_every_observed_mean():
    def change(groups):
        groups["observed_data"]["revolution_rate"][0, 3] = 500.0

    run = make_run(change=change)
    ax = plots.background(run, "E01", Figure().add_subplot())
    rate = run.tree["observed_data"]["revolution_rate"].values[0]
    _, y = artist(ax, "revolution means, sky included").get_data()
    np.testing.assert_array_equal(y, np.delete(rate, 3))
    x, y = artist(ax, "beyond the axis").get_data()
    assert x.tolist() == [years(run)[3]]
    assert y.tolist() == [ax.get_ylim()[1]]
    assert y[0] < 500
    assert f"1 of {REVOLUTIONS} revolutions beyond the axis" in ax.get_title("left")


def test_predictive(run, ax):
    plots.predictive(run, "E02", ax)
    replicates = run.tree["posterior_predictive"]["revolution_rate"].values[0, :, 1]
    observed = run.tree["observed_data"]["revolution_rate"].values[1]
    x, y = artist(ax, "a revolution").get_data()
    np.testing.assert_allclose(x, years(run))
    np.testing.assert_allclose(y, (observed - replicates.mean(0)) / replicates.std(0, ddof=1))
    inside = np.mean(np.abs(y) < 2)
    assert f"{100 * inside:.0f}% within ±2 sd" in ax.get_title("left")


def stuck(groups):
    """One chain that stays elsewhere, and divergent draws in the second band."""
    groups["posterior"]["sky.intensity"][0, :, 1, 9] += 5.0
    groups["sample_stats"]["diverging_band"][2, [4, 40], 1] = True
    groups["sample_stats"]["diverging"][2, [4, 40]] = True


def test_traces_are_of_the_worst_and_of_the_hyperparameters():
    run = make_run(change=stuck)
    chosen = plots.worth_tracing(run, 8)
    assert str(chosen[0]) == f"sky.intensity[E02, {NAMES[9]}]"
    assert chosen[0].r_hat > 1.5
    assert len({str(s) for s in chosen}) == 8
    assert {"background.scatter", "crab.rate", "background.level"} <= {s.name for s in chosen}
    assert len(plots.worth_tracing(run, 3)) == 3


def test_trace_draws_the_chains():
    run = make_run(change=stuck)
    ax, side = Figure().subplots(1, 2)
    worst = plots.worth_tracing(run)[0]
    plots.trace(run, worst, ax, side)
    draws = run.tree["posterior"]["sky.intensity"].values[:, :, 1, 9]
    for chain in range(CHAINS):
        np.testing.assert_array_equal(artist(ax, f"chain {chain + 1}").get_ydata(), draws[chain])
    assert artist(ax, "divergent draw").get_xdata().tolist() == [4, 40]
    assert [step.get_data().values.sum() for step in side.patches] == [DRAWS] * CHAINS
    assert side.get_ylim() == ax.get_ylim()
    assert "mCrab/deg²" in ax.get_ylabel()
    # The first band did not diverge.
    fine = plots.Scalar("background.scatter", {"band": "E01"}, 1.0, 1000.0)
    other = plots.trace(run, fine, Figure().add_subplot())
    assert "divergent draw" not in other.get_legend_handles_labels()[1]


def test_traces_have_the_units_of_the_model():
    def change(groups):
        rate = groups["posterior"]["crab.rate"]
        groups["posterior"]["sky.latitude"] = rate.expand_dims(latitude=["width", "shift"], axis=-1)

    run = make_run(change=change)
    model = {"name": "template", "extras": [], "priors": {}, "options": {}, "source": ""}
    run.record["model"], run.__dict__["sky"] = model, load("coarse")
    where = {"band": "E01", "latitude": "width"}
    ax = plots.trace(run, plots.Scalar("sky.latitude", where, 1.0, 1000.0), Figure().add_subplot())
    assert ax.get_ylabel() == "[mCrab/deg²]"
    ax = plots.trace(run, plots.Scalar("crab.rate", {"band": "E01"}, 1.0, 1000.0), Figure().add_subplot())
    assert ax.get_ylabel() == ""


def test_unknown_band(run, ax):
    with pytest.raises(InputError, match=r"no band 'E2'.*E02"):
        plots.residuals(run, "E2", ax)
