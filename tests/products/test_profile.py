"""Longitude profiles: closed forms, known norms, what is drawn, the command."""

from functools import cache

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy import integrate, interpolate, stats

from ridgebayes import InputError, read_table, write_scws
from ridgebayes.plots import profile as plots
from ridgebayes.plots.style import ORANGE
from ridgebayes.products.profile import (
    fov_profile,
    intensity_profile,
    scaled_starlight,
    widths,
)
from ridgebayes.products.skydraws import exposures, region_draws, spread
from ridgebayes.runs.intensity import MCRAB
from ridgebayes.sky import Freudenreich, Region, build, load
from tests.helpers.cli import call
from tests.helpers.sky_run import RESPONSE, core_starlight, sky_run, solid_angle_deg2


@cache
def coarse():
    """Return the shipped regions of 20°: here, not above, where the tests' own cache is not yet in place."""
    return load("coarse")


@pytest.fixture(scope="module")
def run():
    """Intensities of twice the starlight and noise that goes together in neighbours."""
    rng = np.random.default_rng(6)
    shape = core_starlight(coarse())
    noise = rng.normal(size=(400, 2, len(coarse())))
    noise -= 0.5 * np.roll(noise, 1, axis=2)
    return sky_run(coarse(), 2 * shape + 0.05 * noise, truth=np.tile(2 * shape, (2, 1)))


@pytest.fixture(scope="module")
def tables(run):
    return intensity_profile(run), fov_profile(run)


@pytest.fixture
def ax():
    return Figure().add_subplot()


# --- tables ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_intensities(run, tables):
    table = tables[0]
    assert len(table) == 2 * len(coarse())
    assert (np.diff(table["lon"][: len(coarse())].value) == 20).all()
    draws = run.intensity().sel(band="E02").values[0]
    for row in table[table["band"] == "E02"]:
        own = draws[:, coarse().index(row["region"])]
        got = [
            row[name].to_value(MCRAB / u.deg**2) for name in ("mean", "sd", "lo68", "hi68", "lo94", "hi94")
        ]
        expected = [own.mean(), own.std(ddof=1), *np.quantile(own, [0.16, 0.84, 0.03, 0.97])]
        np.testing.assert_allclose(got, expected, rtol=1e-10)
        assert row["truth"].value == pytest.approx(
            2 * core_starlight(coarse())[coarse().index(row["region"])]
        )
    assert table.meta["simulated"] is True
    assert table["lon_width"].unit == u.deg


def test_flux_per_degree_of_longitude():
    """A box of 20° × |b| < 5°: a degree of longitude holds I × 2 sin 5° in radians of latitude."""
    sky = build("box", [Region.box("a", (-30.0, -10.0), (-5.0, 5.0))])
    draws = np.random.default_rng(1).normal(3.0, 0.1, (50, 1, 1))
    table = intensity_profile(sky_run(sky, draws))
    height = np.rad2deg(2 * np.sin(np.deg2rad(5.0)))
    assert table["per_degree_mean"].unit == MCRAB / u.deg
    for name in ("mean", "sd", "lo94", "hi68"):
        assert table[f"per_degree_{name}"].value == pytest.approx(table[name].value * height, rel=1e-6)
    assert "width in longitude" in table["per_degree_mean"].info.description


def test_widths():
    sky = build("w", [Region.box("a", (170.0, 200.0), (-5, 5)), Region.circle("c", 0, 60.0, 3.0)])
    np.testing.assert_allclose(widths(sky), [30.0, 12.0])


def test_fov_flux_of_a_uniform_sky():
    """Everywhere I × ∫ R dΩ, and the same at both ends of the axis; the solid angle scales it."""
    regions = [Region.box(f"r{i}", (i * 60.0, i * 60.0 + 60.0), (-35.0, 35.0)) for i in range(6)]
    sky = build("belt", regions)
    intensity = np.random.default_rng(2).normal(0.5, 0.02, 80)
    run = sky_run(sky, np.repeat(intensity[:, None, None], 6, axis=2), solid_angle=1.1)
    table = fov_profile(run)
    assert len(table) == 361
    assert table["mean"].unit == MCRAB
    expected = 1.1 * solid_angle_deg2(RESPONSE) * intensity
    np.testing.assert_allclose(table["mean"].value, expected.mean(), rtol=3e-3)
    np.testing.assert_allclose(table["sd"].value, expected.std(ddof=1), rtol=3e-3)
    np.testing.assert_allclose(table["hi94"].value, np.quantile(expected, 0.97), rtol=3e-3)
    assert table["mean"][0].value == pytest.approx(table["mean"][-1].value, rel=1e-9)


def test_fov_flux_at_the_regions_is_the_one_of_the_run(run, tables):
    flux = run.fov_flux().mean(("chain", "draw"))
    for band in ("E01", "E02"):
        rows = tables[1][tables[1]["band"] == band]
        for name, lon in zip(coarse().names, coarse().centre_lon, strict=True):
            (at,) = rows[rows["lon"].value == lon]["mean"].value
            assert at == pytest.approx(float(flux.sel(band=band, region=name)), rel=1e-6)


def test_a_solid_angle_with_draws_is_shared_by_all():
    """Intensity and solid angle that cancel leave a FOV flux that is known exactly."""
    sky = build("one", [Region.box("a", (-20.0, 20.0), (-10, 10))])
    solid_angle = np.random.default_rng(3).uniform(0.8, 1.2, 60)
    table = fov_profile(sky_run(sky, 1.0 / solid_angle[:, None, None], solid_angle=solid_angle))
    np.testing.assert_allclose(table["sd"].value, 0.0, atol=1e-9)
    np.testing.assert_allclose(table["template_sd"].value, 0.0, atol=1e-9)
    # Longitudes from which the region is not seen are left out.
    assert np.abs(table["lon"].value).max() < 20 + RESPONSE.radius_deg
    assert np.abs(table["lon"].value).max() > 30


@pytest.mark.slow
def test_a_free_width_in_latitude():
    """The exposure of every draw, interpolated by SciPy, and a shift by the mean of north and south."""
    sky = coarse().select(["L-20", "GB", "L+20"])
    run = sky_run(sky, np.random.default_rng(4).normal(1, 0.1, (20, 1, len(sky))))
    width = np.linspace(0.75, 1.3, 20)
    axes = ("chain", "draw", "band")
    here = ([0.0], [3.0], RESPONSE)
    for shift in (0.0, 1.0):
        run.tree["posterior"] = run.tree["posterior"].dataset.assign(
            {"sky.width": (axes, width[None, :, None]),
             "sky.shift": (axes, np.full((1, 20, 1), shift))}
        )  # fmt: skip
        draws = region_draws(run, "E01")
        flux = spread(run, "E01", draws) @ exposures(run, np.array([0.0]), np.array([3.0])).T
        at = {w: sky.reshaped(w, 0.0).fov_exposure(*here)[0] for w in (0.7, 1.0, 1.4, 2.0)}
        curve = interpolate.KroghInterpolator(np.log(list(at)), np.array(list(at.values())))
        moved = sky.reshaped(1.0, shift).fov_exposure(*here)[0] - at[1.0]
        expected = np.einsum("dm,dm->d", draws, curve(np.log(width)) + moved)
        np.testing.assert_allclose(flux[:, 0], expected, rtol=1e-6)
        # And the interpolation is good.
        exact = sky.reshaped(width[7], shift).fov_exposure(*here)[0] @ draws[7]
        assert flux[7, 0] == pytest.approx(exact, rel=0.01)


# --- starlight ---------------------------------------------------------------------------------------------


def test_starlight_in_the_cores():
    """Against lines of sight through the model, without any map."""
    sky = build("s", [Region.box("a", (-10, 10), (-5, 5)), Region.box("b", (170, 190), (-2, 2)),
                      Region.circle("c", 40.0, 3.0, 4.0)])  # fmt: skip
    model = Freudenreich()
    for region, got in zip(sky.regions, core_starlight(sky), strict=True):
        patch = region.sample()
        exact = np.average(model.brightness(patch.lon, patch.lat), weights=patch.area)
        assert got * model.brightness(0.0, 0.0)[0] == pytest.approx(exact, rel=0.01)


def test_norm_is_that_of_a_model_with_a_norm(run):
    """Bayes by quadrature: the likelihood of the intensities, had the sky been starlight times a norm."""
    template = scaled_starlight(run)["E01"]
    draws = run.intensity().sel(band="E01").values[0]
    centre, covariance = draws.mean(0), np.cov(draws.T)
    likelihood = stats.multivariate_normal(centre, covariance)
    around = np.linspace(-8, 8, 401) * template.norm.std() + template.norm.mean()
    density = np.exp([likelihood.logpdf(n * template.brightness) for n in around] - likelihood.logpdf(centre))
    density /= integrate.trapezoid(density, around)
    mean = integrate.trapezoid(density * around, around)
    sd = np.sqrt(integrate.trapezoid(density * (around - mean) ** 2, around))
    assert template.norm.mean() == pytest.approx(mean, rel=1e-4)
    assert template.norm.std(ddof=1) == pytest.approx(sd, rel=1e-3)
    assert mean == pytest.approx(2.0, abs=5 * sd)
    assert template.dof == len(coarse()) - 1
    # The draws scatter about their mean, which is 2 × starlight to a twentieth of their sd.
    assert template.misfit < 5
    assert str(template) == f"starlight × ({mean:.3f} ± {sd:.3f}) mCrab/deg², χ² {template.misfit:.0f} of 17"


def test_misfit_tells_that_the_sky_is_no_starlight(run):
    draws = run.intensity().values[0] + np.linspace(-1, 1, len(coarse()))
    assert scaled_starlight(sky_run(coarse(), draws))["E01"].misfit > 500


def test_template_columns(run, tables):
    template = scaled_starlight(run)["E01"]
    intensity, flux = (table[table["band"] == "E01"] for table in tables)
    gb = intensity[intensity["region"] == "GB"][0]
    bright = template.brightness[coarse().index("GB")]
    assert gb["template_mean"].value == pytest.approx(bright * template.norm.mean())
    assert gb["template_sd"].value == pytest.approx(bright * template.norm.std(ddof=1))
    middle = flux[flux["lon"].value == 0][0]
    seen = coarse().fov_matrix(RESPONSE)[coarse().index("GB")] @ template.brightness
    assert middle["template_mean"].value == pytest.approx(seen * template.norm.mean(), rel=1e-3)
    assert tables[1].meta["starlight"]["E01"] == str(template)


def test_few_draws_do_not_break_the_norm():
    draws = np.random.default_rng(5).normal(1.0, 0.1, (10, 1, len(coarse())))
    template = scaled_starlight(sky_run(coarse(), draws))["E01"]
    assert np.isfinite(template.norm).all()


# --- regions of any kind -----------------------------------------------------------------------------------


def test_one_region(ax):
    sky = build("one", [Region.box("GB", (-10, 10), (-5, 5))])
    draws = np.random.default_rng(7).normal(0.7, 0.1, (30, 1, 1))
    run = sky_run(sky, draws)
    template = scaled_starlight(run)["E01"]
    np.testing.assert_allclose(template.norm, draws.ravel() / core_starlight(sky)[0])
    assert "χ²" not in str(template)
    table = intensity_profile(run)
    assert table["template_mean"][0].value == pytest.approx(table["mean"][0].value)
    plots.draw_fov(run, "E01", ax, table=fov_profile(run))
    assert ax.get_ylim()[1] > fov_profile(run)["mean"].value.max()


def test_regions_off_the_plane_only():
    sky = build("off", [Region.circle("n", 0, 60.0, 10.0), Region.circle("s", 90, -40.0, 10.0)])
    run = sky_run(sky, np.ones((10, 1, 2)))
    for make in (intensity_profile, fov_profile):
        with pytest.raises(InputError, match=r"no region within 5 degrees of the Galactic plane") as error:
            make(run)
        assert "\n" not in str(error.value)


def test_regions_off_the_plane_are_left_out_but_seen():
    """A disc at b = 10° has no bar, and is in the field of view nevertheless."""
    regions = [Region.box("a", (-10, 10), (-3, 3)), Region.circle("n", 0, 12.0, 3.0)]
    draws = np.random.default_rng(8).normal([1.0, 50.0], 0.1, (30, 1, 2))
    run = sky_run(build("mixed", regions), draws)
    assert intensity_profile(run)["region"].tolist() == ["a"]
    alone = fov_profile(sky_run(build("alone", regions[:1]), draws[:, :, :1]))
    both = fov_profile(run)
    at = lambda table: table[table["lon"].value == 0]["mean"][0].value  # noqa: E731
    assert at(both) > 2 * at(alone)


def test_regions_across_the_end_of_the_axis(ax):
    sky = build("end", [Region.box("far", (170, 190), (-5, 5))])
    run = sky_run(sky, np.random.default_rng(9).normal(1.0, 0.1, (30, 1, 1)))
    table = fov_profile(run)
    lon = table["lon"].value
    assert lon.min() == -180
    assert lon.max() == 180
    assert (np.abs(lon) > 150).all()
    plots.draw_fov(run, "E01", ax, table=table)
    # Two pieces, and no line between them through the centre.
    lines = [line for line in ax.lines if line.get_color() == "#0072B2"]
    assert [len(line.get_xdata()) for line in lines] == [len(lon) // 2] * 2
    assert all(np.ptp(line.get_xdata()) < 40 for line in lines)


def test_unseen_regions(ax):
    draws = np.random.default_rng(10).normal(0.5, 0.02, (100, 1, len(coarse())))
    k = coarse().index("L+100")
    draws[:, :, k] = np.random.default_rng(11).normal(0, 10, (100, 1))
    run = sky_run(coarse(), draws, unseen=["L+100"])
    table, flux = intensity_profile(run), fov_profile(run)
    assert table[~table["seen"]]["region"].tolist() == ["L+100"]
    hidden = flux["lon"][~flux["seen"]].value
    assert hidden.min() < 85 < 115 < hidden.max()
    assert (np.abs(hidden - 100) < 10 + RESPONSE.radius_deg).all()
    assert scaled_starlight(run)["E01"].dof == len(coarse()) - 2
    plots.draw_fov(run, "E01", ax, table=flux)
    assert "a region in view is seen by no ScW" in ax.get_legend_handles_labels()[1]
    assert ax.get_ylim()[1] < 2 * flux["hi94"][flux["seen"]].value.max()
    assert flux["hi94"].value.max() > 4 * ax.get_ylim()[1]
    (mean,) = (line for line in ax.lines if line.get_label() == "mean")
    np.testing.assert_array_equal(np.isnan(mean.get_ydata()), ~flux["seen"])


# --- figures -----------------------------------------------------------------------------------------------


def test_what_is_drawn(run, tables, ax):
    classical = QTable({"lon": [-180.0, 0.0, 40.0] * u.deg, "band": ["E01"] * 3,
                        "flux": [20.0, 900.0, np.nan] * MCRAB,
                        "error": [5.0, 6.0, np.nan] * MCRAB})  # fmt: skip
    rows = tables[1][tables[1]["band"] == "E01"]
    assert plots.draw_fov(run, "E01", ax, table=tables[1], classical=classical) is ax
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    assert set(handles) == {"94% interval", "68% interval", "mean", plots.STARLIGHT, "truth", "classical"}
    np.testing.assert_array_equal(handles["mean"].get_ydata(), rows["mean"].value)
    np.testing.assert_array_equal(handles[plots.STARLIGHT].get_ydata(), rows["template_mean"].value)
    corners = handles["94% interval"].get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(rows["hi94"].value.max())
    true = run.tree["constant_data"].dataset["true_fov_flux"].sel(band="E01").values
    np.testing.assert_allclose(handles["truth"].get_ydata(), true)
    points = handles["classical"].lines[0]
    np.testing.assert_array_equal(points.get_xdata(), [180.0, 0.0])  # L+180, and no NaN
    assert to_hex(points.get_color()).upper() == ORANGE
    assert ax.get_ylim()[1] > 900
    assert ax.get_xlim() == (180, -180)
    assert ax.get_ylabel() == "FOV flux [mCrab]"
    assert ax.get_title("left") == "E01: 20–30 keV"
    assert ax.get_title("right").startswith("starlight × (1.999 ±")
    assert not ax.texts  # nothing is written over error bars


def test_an_uncertain_classical_value_sets_no_axis(run, tables, ax):
    classical = QTable({"lon": [0.0, 40.0] * u.deg, "band": ["E01"] * 2,
                        "flux": [900.0, 9e6] * MCRAB, "error": [6.0, 5e6] * MCRAB})  # fmt: skip
    plots.draw_fov(run, "E01", ax, table=tables[1], classical=classical)
    assert 900 < ax.get_ylim()[1] < 2000
    assert "1 classical beyond the axis" in ax.get_title("left")


def test_intensity_is_drawn_with_starlight(run, tables, ax):
    plots.draw_intensity(run, "E02", ax, table=tables[0])
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    rows = tables[0][tables[0]["band"] == "E02"]
    np.testing.assert_array_equal(handles[plots.STARLIGHT].lines[0].get_ydata(), rows["template_mean"].value)
    assert {"68% interval", "94% interval", "mean", "truth"} <= set(handles)


@pytest.mark.slow
def test_thirty_bands_are_thinned():
    draws = np.repeat(np.random.default_rng(12).normal(1, 0.1, (30, 1, len(coarse()))), 30, axis=1)
    run = sky_run(coarse(), draws)
    table = fov_profile(run, step=10)
    assert len(set(table["band"])) == 30
    figure = plots.fov_figure(run, table)
    assert "6 of 30 bands" in figure.get_suptitle()
    assert len(figure.axes) == 6


def test_an_unknown_band_is_one_line(run, tables, ax):
    with pytest.raises(InputError, match="has no band 'E3'"):
        plots.draw_fov(run, "E3", ax, table=tables[1])


# --- command -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_command(run, tables, tmp_path):
    saved = run.save(tmp_path / "run")
    out = tmp_path / "products"
    result = call("longitude-profile", saved.path, "--out", out)
    assert result.exit_code == 0, result.output
    names = {f"longitude_profile{what}.{kind}" for what in ("", "_fov") for kind in ("ecsv", "png")}
    assert {path.name for path in out.iterdir()} == names
    for name in names:
        assert name in result.output.split(f"wrote {out}: ")[1]
    assert "SIMULATED data" in result.output
    for name, table in zip(("", "_fov"), tables, strict=True):
        read = read_table(out / f"longitude_profile{name}.ecsv")
        assert read.colnames == table.colnames
        np.testing.assert_allclose(read["mean"].value, table["mean"].value)
        assert read["mean"].unit == table["mean"].unit
        assert read.meta["simulated"] is True


@pytest.mark.slow
def test_classical_needs_the_table(run, tmp_path):
    saved = run.save(tmp_path / "run")
    result = call("longitude-profile", saved.path, "--out", tmp_path / "products")
    assert result.exit_code == 0
    assert "no classical estimate: " in result.output
    assert "the table that was fitted is not there" in result.output
    command = ("longitude-profile", saved.path, "--out", tmp_path / "products", "--overwrite")
    gone = call(*command, "--scws", tmp_path / "gone.fits")
    assert gone.exit_code == 2
    assert "gone.fits" in gone.output


@pytest.mark.slow
def test_command_with_the_classical_points(small_mission, tmp_path):
    """Of the mission that was fitted, wherever it is now."""
    bands = list(small_mission.band_names)
    run = sky_run(coarse(), np.random.default_rng(13).normal(0.5, 0.1, (30, 2, len(coarse()))))
    groups = {name: group.to_dataset() for name, group in run.tree.children.items()}
    for name, group in groups.items():
        run.tree[name] = group.assign_coords(band=bands) if "band" in group.dims else group
    run.record["data"] |= {"bands": bands, "fingerprint": small_mission.fingerprint()}
    saved = run.save(tmp_path / "run")
    write_scws(small_mission, tmp_path / "mission.fits")
    out = tmp_path / "products"
    result = call("longitude-profile", saved.path, "--out", out, "--scws", tmp_path / "mission.fits")
    assert result.exit_code == 0, result.output
    points = read_table(out / "longitude_profile_classical.ecsv")
    assert set(points["band"]) == set(bands)
    assert np.isfinite(points["flux"]).any()
