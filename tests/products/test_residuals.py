"""Residuals of the ScWs: numbers by hand, regions, files that others read, distributions."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from matplotlib.figure import Figure
from matplotlib.style import context
from scipy import stats

from ridgebayes import InputError, read_table
from ridgebayes.cli.main import main
from ridgebayes.plots import residuals as plots
from ridgebayes.plots.style import STYLE
from ridgebayes.products import residuals as products
from tests.helpers.cli import call, one_line
from tests.helpers.step_run import PER_REVOLUTION, step_run


@pytest.fixture(scope="module")
def run():
    return step_run(2)


def test_every_number_of_a_row(run):
    """One cell at a time, with the formula written out."""
    table = products.residual_table(run)
    scws, constant = run.scws, run.tree["constant_data"].dataset
    assert len(table) == len(scws)
    for i in (0, 37, 399):
        when = int(np.flatnonzero(constant["revolution"].values == scws["REVOL"][i])[0])
        for k, band in enumerate(("E01", "E02")):
            crab = float(constant["crab_history_mean"].values[k, when])
            rate, background, noise, sd, sky = (
                float(scws[name][i, k].value)
                for name in ("RATE", "BACKGROUND", "NOISE", "BACKGROUND_SD", "SKY")
            )
            got = [table[f"{name}_{band}"][i].value for name in ("RES", "ERR", "SKY")]
            want = np.array([rate - background, np.sqrt(noise**2 + sd**2), sky]) / crab * 1000
            np.testing.assert_allclose(got, want, rtol=1e-5)
            assert table[f"RES_{band}"].unit == products.MCRAB
        assert table["SCW_ID"][i] == scws["SCW_ID"][i]
    assert table["LAT"].unit == u.deg
    assert table.meta["simulated"] is True


def test_regions_share_the_scws_between_them(run):
    each = {name: products.residual_table(run, name) for name in products.REGIONS}
    assert (np.abs(each["GAL"]["LAT"].value) <= 20).all()
    assert (np.abs(each["BKG"]["LAT"].value) > 20).all()
    assert set(each["GAL"]["SCW_ID"]) | set(each["BKG"]["SCW_ID"]) == set(each["ALL"]["SCW_ID"])
    assert len(each["GAL"]) + len(each["BKG"]) == len(each["ALL"]) == len(run.scws)
    narrow = products.residual_table(run, "GAL", latitude=5.0)
    assert len(narrow) == (np.abs(run.scws["LAT"].value) <= 5).sum()
    assert narrow.meta["latitude"] == 5
    assert "|b| <= 5 deg" in narrow.meta["region_is"]


def test_the_limit_itself_is_in_the_galaxy():
    table = QTable({"LAT": [-20.0, 20.0, 20.001, -20.001] * u.deg})
    assert products.in_region(table, "GAL").tolist() == [True, True, False, False]
    assert products.in_region(table, "BKG").tolist() == [False, False, True, True]


def test_the_command_has_the_regions_and_limit_of_the_library():
    options = {option.name: option for option in main.commands["residuals"].params}
    assert tuple(options["region"].type.choices) == tuple(products.REGIONS)
    assert options["latitude"].default == products.LATITUDE


def test_files_are_read_by_astropy(run, tmp_path):
    """Without this package's unit enabled anew: as TOPCAT would see it."""
    table = products.residual_table(run, "GAL")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        products.write_residuals(table, tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus.verify("exception")
        header, data = hdus["RESIDUAL"].header, hdus["RESIDUAL"].data
        names = list(data.names)
        assert header.comments[f"TTYPE{names.index('RES_E02') + 1}"] == "[mCrab]"
        assert header[f"TUNIT{names.index('MJD') + 1}"] == "d"
        assert header["REGION"] == "GAL"
        assert header["LATITUDE"] == 20.0
        assert header["SIMUL"] is True
        assert header["DATAHASH"] == table.meta["data_fingerprint"]
        np.testing.assert_array_equal(data["RES_E02"], table["RES_E02"].value)
        np.testing.assert_array_equal(data["CRAB"], table["CRAB"])
        assert [str(x) for x in data["SCW_ID"]] == list(table["SCW_ID"])
    products.write_residuals(table, tmp_path / "a.ecsv")
    back = read_table(tmp_path / "a.ecsv")
    assert back.meta == dict(table.meta)
    np.testing.assert_allclose(back["ERR_E01"].value, table["ERR_E01"].value, rtol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ecsv", "a.fits"]


def test_normalised_residuals_leave_the_crab_out(run):
    scws = run.scws
    keep = ~np.asarray(scws["CRAB"])
    error = np.hypot(scws["NOISE"].value, scws["BACKGROUND_SD"].value)[keep]
    with_sky = ((scws["RATE"] - scws["BACKGROUND"]).value[keep]) / error
    bare = with_sky - scws["SKY"].value[keep] / error
    for k, band in enumerate(("E01", "E02")):
        np.testing.assert_allclose(products.normalised(run)[band], bare[:, k], rtol=1e-4, atol=1e-4)
        got = products.normalised(run, less_sky=False)[band]
        np.testing.assert_allclose(got, with_sky[:, k], rtol=1e-4, atol=1e-4)


def test_the_spread_finds_what_was_put_in():
    pulls = np.random.default_rng(1).normal(0.5, 1.4, (25 * PER_REVOLUTION, 2))
    run = step_run(2, pulls=pulls, crab=False)
    found = products.fit_residuals(run, np.ones(len(run.scws), bool))
    for k, band in enumerate(("E01", "E02")):
        np.testing.assert_allclose(found[band], pulls[:, k], atol=1e-3)
        got = products.spread(found[band])
        assert got.number == 400
        assert got.mean == pytest.approx(pulls[:, k].mean(), abs=1e-3)
        assert got.rms**2 == pytest.approx(pulls[:, k].var() + pulls[:, k].mean() ** 2, rel=1e-2)
        assert got.beyond == pytest.approx((np.abs(pulls[:, k]) > 3).mean(), abs=0.006)


def drawn(values, with_sky=None):
    figure = Figure()
    return plots.draw_distribution(figure.add_subplot(), values, with_sky)


def test_the_histogram_counts_every_scw_and_the_gaussian_has_its_area():
    values = np.concatenate([np.random.default_rng(2).normal(size=5000), [50.0, -70.0, 80.0]])
    ax = drawn(values)
    assert sum(bar.get_height() for bar in ax.patches) == values.size
    low, high = ax.get_xlim()
    ends = [bar for bar in ax.patches if bar.get_x() in (low,) or bar.get_x() + bar.get_width() == high]
    assert sum(bar.get_height() for bar in ends) == 3
    x, y = ax.lines[0].get_data()
    width = ax.patches[0].get_width()
    np.testing.assert_allclose(y, values.size * width * stats.norm.pdf(x))
    assert np.trapezoid(y, x) == pytest.approx(values.size * width, rel=1e-3)


def test_a_bright_sky_makes_room_for_itself_but_no_endless_axis():
    rng = np.random.default_rng(3)
    ax = drawn(rng.normal(size=900), rng.normal(20, 5, 900))
    assert 30 < ax.get_xlim()[1] <= 40
    ax = drawn(rng.normal(size=900), rng.normal(5000, 5, 900))
    assert ax.get_xlim()[1] <= 40
    assert any("900 beyond" in text.get_text() for text in ax.texts)


@context(STYLE, after_reset=True)
def test_thirty_bands_fit_a_page():
    run = step_run(30)
    bare = products.normalised(run, "GAL")
    figure = plots.distribution_figure(run, "Residuals", bare)
    assert len(figure.axes) == 6
    assert figure.get_size_inches()[1] < 10
    assert plots.needs_overview(run)
    overview = plots.spread_figure(run, "Residuals", bare)
    rms = next(line for line in overview.axes[0].lines if line.get_label() == "root mean square")
    np.testing.assert_allclose(rms.get_ydata(), [np.sqrt(np.mean(x**2)) for x in bare.values()])
    figure.canvas.draw()
    overview.canvas.draw()
    height = overview.bbox.height
    for label in overview.axes[0].get_xticklabels():
        assert 0 <= label.get_window_extent().y0 < height


@pytest.mark.parametrize("region", ["GAL", "bkg", "ALL"])
def test_command(tmp_path, region):
    saved = step_run(1).save(tmp_path / "run")
    out = tmp_path / "products"
    result = call("residuals", saved.path, "--where", region, "--out", out)
    assert result.exit_code == 0, result.output
    name = f"residuals_{region.upper()}"
    assert {path.name for path in out.iterdir()} == {f"{name}.fits", f"{name}.png"}
    assert "SIMULATED" in result.output
    number = len(fits.getdata(out / f"{name}.fits", "RESIDUAL"))
    assert f"{number} ScWs" in result.output
    assert {"GAL": 240, "BKG": 160, "ALL": 400}[region.upper()] == number


def test_what_cannot_be_done_is_said_in_one_line(tmp_path):
    path = step_run(1, off_plane=False).save(tmp_path / "run").path
    out = tmp_path / "products"
    one_line(call("residuals", path, "--where", "BKG", "--out", out), "no ScW in BKG", "|b| > 20 deg")
    one_line(call("residuals", path, "--latitude", 95, "--out", out), "latitude 95")
    assert not out.exists()
    (tmp_path / "file").write_text("")
    one_line(call("residuals", path, "--out", tmp_path / "file" / "x"), "cannot be written")
    with pytest.raises(InputError, match="did you mean 'GAL'"):
        products.residual_table(step_run(1), "GALL")


def test_only_crab_scws_give_a_table_and_no_figure(tmp_path):
    run = step_run(1)
    run.fit["CRAB"][:] = True
    result = call("residuals", run.save(tmp_path / "run").path, "--out", tmp_path / "p")
    assert result.exit_code == 0, result.output
    assert "nothing to draw" in result.output
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["residuals_ALL.fits"]
