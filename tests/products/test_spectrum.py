"""Spectrum of a region: against quadrature, the draws themselves, and readers of the files."""

import astropy.units as u
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from matplotlib.figure import Figure
from scipy.integrate import quad

from ridgebayes import read_table
from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import ATEL4869, CRAB, crab_spectrum
from ridgebayes.plots import spectrum as plots
from ridgebayes.products import spectrum as products
from ridgebayes.runs.intensity import MCRAB
from ridgebayes.runs.run import Run
from tests.helpers.cli import call
from tests.helpers.synthetic_run import CHAINS, DRAWS, NAMES, REGIONS, make_run

THREE = np.array([[25.0, 60.0, 80.0], [60.0, 80.0, 200.0]])
PUBLISHED = [154.886, 96.473, 102.207]


def changed(bands=3, *, edges=THREE, mean=None, sd=1.0, common=0.0, joint=False, truth=None, **options):
    """Make a run whose FOV flux and intensity have a given mean, sd and error in common, (band,)."""
    rng = np.random.default_rng(2)
    mean = np.array(PUBLISHED) if mean is None else np.asarray(mean, float)
    shape = (CHAINS, DRAWS, bands, REGIONS)
    noise = rng.normal(size=shape) + common * rng.normal(size=(CHAINS, DRAWS, 1, REGIONS))
    draws = mean[:, None] + np.reshape(sd, (-1, 1)) * noise

    def change(groups):
        # Two regions of the sky are all that is asked for, and the rest takes seconds to diagnose.
        posterior = groups["posterior"][["sky.fov_flux", "sky.intensity"]]
        posterior = posterior.assign({name: (x.dims, draws) for name, x in posterior.items()})
        groups["posterior"] = posterior.sel(region=["GB", "L+20"])
        true = np.tile(np.reshape(mean if truth is None else truth, (-1, 1)), REGIONS)
        groups["constant_data"] = groups["constant_data"].assign(
            e_min=("band", edges[0]),
            e_max=("band", edges[1]),
            true_fov_flux=(("band", "region"), true),
            true_intensity=(("band", "region"), true),
        )
        if joint:
            groups["sample_stats"] = groups["sample_stats"].drop_vars("diverging_band")

    return make_run(bands, change=change, **options)


def draws_of(run, site, region):
    """Return the draws (draw, band) by hand."""
    values = run.tree["posterior"][site].sel(region=region).values
    return values.reshape(-1, values.shape[-1])


@pytest.fixture(scope="module")
def run():
    return changed(common=1.0, joint=True, sd=[3.0, 9.0, 13.0])


def save(run, path, monkeypatch):
    """Let the command line open a run that lives in memory."""
    monkeypatch.setattr(Run, "open", classmethod(lambda _cls, _path: run))
    return str(path)


# --- numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "site"), [("fov", "sky.fov_flux"), ("intensity", "sky.intensity")])
def test_table_holds_the_draws(run, quantity, site):
    spectra = [products.spectrum(run, region, quantity) for region in ("GB", "L+20")]
    table = products.spectrum_table(run, spectra)
    assert list(table["region"]) == ["GB"] * 3 + ["L+20"] * 3
    assert list(table["band"]) == ["E01", "E02", "E03"] * 2
    unit = MCRAB if quantity == "fov" else MCRAB / u.deg**2
    for region in ("GB", "L+20"):
        draws, rows = draws_of(run, site, region), table[table["region"] == region]
        np.testing.assert_allclose(rows["mean"].to_value(unit), draws.mean(axis=0))
        np.testing.assert_allclose(rows["sd"].to_value(unit), np.sqrt(np.var(draws, axis=0, ddof=1)))
        for prob, suffix in ((0.68, "68"), (0.94, "94")):
            order = np.sort(draws, axis=0)
            for tail, name in (((1 - prob) / 2, "lo"), ((1 + prob) / 2, "hi")):
                at = tail * (len(order) - 1)
                by_hand = order[int(at)] * (1 - at % 1) + order[int(at) + 1] * (at % 1)
                np.testing.assert_allclose(rows[name + suffix].to_value(unit), by_hand)
        centred = draws - draws.mean(axis=0)
        np.testing.assert_allclose(
            rows["covariance"].to_value(unit**2), centred.T @ centred / (len(draws) - 1), rtol=1e-10
        )
    np.testing.assert_allclose(table["energy"].to_value(u.keV)[:3], np.sqrt(THREE[0] * THREE[1]))


def test_covariance_is_that_which_went_in(run):
    found = products.spectrum(run, "GB")
    sd = np.array([3.0, 9.0, 13.0])
    true = np.outer(sd, sd) * (np.eye(3) + 1)
    # The draws have exactly this covariance in expectation; 240 of them.
    np.testing.assert_allclose(found.covariance, true, atol=4 * np.sqrt(2 / 240) * true.max())
    assert found.correlation[0, 1] == pytest.approx(0.5, abs=4 / np.sqrt(240))
    assert "joint draws" in found.about_covariance()
    apart = products.spectrum(changed(), "GB")
    assert abs(apart.correlation[0, 1]) < 4 / np.sqrt(240)
    assert "sampled independently" in apart.about_covariance()


@pytest.mark.parametrize("crab", [CRAB, ATEL4869])
def test_physical_units_against_quadrature(run, crab):
    def integral(power, low, high):
        middle = [100.0] if low < 100 < high else None
        return quad(lambda e: e**power * float(crab.photons(e)), low, high, points=middle)[0]

    energy = np.array([integral(1, *edges) for edges in THREE.T]) / 1000
    fov = products.spectrum_table(run, [products.spectrum(run, "GB", "fov", crab)])
    intensity = products.spectrum_table(run, [products.spectrum(run, "GB", "intensity", crab)])
    mean = fov["mean"].value
    np.testing.assert_allclose(fov["energy_flux_mean"].to_value(u.keV / u.s / u.cm**2), mean * energy)
    np.testing.assert_allclose(
        intensity["energy_flux_sd"].to_value(u.keV / u.s / u.cm**2 / u.deg**2), intensity["sd"].value * energy
    )
    e2 = intensity["mean"].value * energy / np.log(THREE[1] / THREE[0]) / u.deg**2
    per_sr = u.keV * u.photon / u.cm**2 / u.s / u.sr
    np.testing.assert_allclose(intensity["e2_mean"].to_value(per_sr), e2.to_value(u.sr**-1))
    # The synthetic run's response is 1, 0.9, 0 at 0, 5, 15 degrees, its solid angle 1.1 of the nominal one.
    ring = quad(lambda t: np.interp(t, [0, 5, 15], [1, 0.9, 0]) * np.sin(np.deg2rad(t)), 0, 15, points=[5])[0]
    angle = 1.1 * 2 * np.pi * np.rad2deg(1) * ring
    ratio = fov["e2_mean"].value / intensity["e2_mean"].value
    np.testing.assert_allclose(ratio * intensity["mean"].value / mean, 1 / angle, rtol=1e-5)
    np.testing.assert_allclose(fov["crab_hi94"].value, fov["hi94"].value / 1000)
    assert fov["crab_mean"].unit == u.dimensionless_unscaled
    assert intensity["crab_mean"].unit == u.deg**-2
    assert fov.meta["crab"] == crab.describe()
    assert crab_spectrum(fov.meta["crab_spectrum"]) == crab


def test_an_uncertain_solid_angle_widens_the_mean_of_the_field_only():
    scale = np.exp(0.1 * np.random.default_rng(1).normal(size=(CHAINS, DRAWS)))
    run = changed(sd=1e-6)
    posterior = (
        run.tree["posterior"].to_dataset().assign({"response.solid_angle": (("chain", "draw"), scale)})
    )
    run.tree["posterior"] = xr.DataTree(posterior)
    row = products.spectrum_table(run, [products.spectrum(run, "GB")])[0]
    assert row["sd"] / row["mean"] < 1e-7
    assert float(row["e2_sd"] / row["e2_mean"]) == pytest.approx(
        np.std(1 / scale) / np.mean(1 / scale), rel=0.01
    )
    found = products.spectrum(run, "GB").expressed("e2")
    np.testing.assert_allclose(found.draws.mean(axis=0) / found.factor, PUBLISHED, rtol=1e-6)


def test_bands_come_in_the_order_of_energy():
    order = [2, 0, 1]
    run = changed(edges=THREE[:, order], mean=np.array(PUBLISHED)[order], sd=0.1)
    found = products.spectrum(run, "GB")
    assert [band.name for band in found.bands] == ["E02", "E03", "E01"]
    np.testing.assert_array_equal(found.edges, THREE)
    np.testing.assert_allclose(found.mean, PUBLISHED, atol=0.1)
    np.testing.assert_allclose(found.truth, PUBLISHED)
    np.testing.assert_allclose(found.published.value, PUBLISHED)


def test_published_values_are_compared_where_region_and_edges_match():
    bands = products.spectrum(changed(), "GB").bands
    value, error = products.published_fov("GB", bands)
    np.testing.assert_array_equal(value, PUBLISHED)
    np.testing.assert_array_equal(error, [3.088, 9.218, 13.292])
    assert "arXiv:2409.20058" in products.published_source("GB")
    assert np.isnan(products.published_fov("L+20", bands)).all()
    assert products.published_source("L+20") == ""
    shifted = changed(edges=np.array([[25.0, 60.0, 85.0], [60.0, 85.0, 200.0]]))
    # Only the first band has the edges of a published one.
    both = products.spectrum_table(shifted, [products.spectrum(shifted, name) for name in ("L+20", "GB")])
    np.testing.assert_array_equal(both["published"].value, [np.nan] * 3 + [154.886, np.nan, np.nan])
    assert "published" not in products.spectrum_table(shifted, [products.spectrum(shifted, "L+20")]).colnames
    assert products.spectrum(changed(), "GB", "intensity").published.source == ""


def test_limits_are_where_the_interval_includes_zero():
    run = changed(mean=[100.0, 0.5, -50.0])
    row = products.spectrum_table(run, [products.spectrum(run, "GB")])
    assert list(row["limit"]) == [False, True, False]
    assert row["hi94"][1].value == pytest.approx(0.5 + 1.881, abs=0.5)  # 97 % quantile of a Gaussian


def test_without_truth_where_it_is_real_or_not_known():
    real = changed(simulated=False)
    assert products.spectrum(real, "GB").truth is None
    table = products.spectrum_table(real, [products.spectrum(real, "GB")])
    assert "truth" not in table.colnames
    assert table.meta["simulated"] is False


# --- regions -----------------------------------------------------------------------------------------------


def test_regions_that_are_asked_for():
    run = changed()
    assert products.regions(run) == ["GB"]
    assert products.regions(run, ["L+20", "GB", "L+20"]) == ["L+20", "GB"]
    assert products.regions(run, ["all"]) == NAMES
    with pytest.raises(InputError, match=r"no region 'L\+21'.*did you mean 'L\+2"):
        products.regions(run, ["L+21"])
    with pytest.raises(InputError, match=r"no region 'gb'.*did you mean 'GB'"):
        products.spectrum(run, "gb")
    names = [f"P{i}" for i in range(REGIONS)]
    run.tree["constant_data"] = xr.DataTree(
        run.tree["constant_data"].to_dataset().assign_coords(region=names)
    )
    with pytest.raises(InputError, match=r"no region 'GB': choose one of P0, P1, ") as caught:
        products.regions(run)
    assert "\n" not in str(caught.value)


# --- figures -----------------------------------------------------------------------------------------------


def artist(ax, label):
    handles, labels = ax.get_legend_handles_labels()
    return handles[labels.index(label)]


def test_what_is_drawn(run):
    spectrum = products.spectrum(run, "GB")
    ax = Figure().add_subplot()
    assert plots.draw_spectrum(run, spectrum, ax) is ax
    assert ax.get_xscale() == ax.get_yscale() == "log"
    rows = products.spectrum_table(run, [spectrum])
    energy = np.sqrt(THREE[0] * THREE[1])
    for prob in ("68", "94"):
        found = np.array(artist(ax, f"{prob}% interval").get_segments())
        np.testing.assert_allclose(found[:, :, 0], np.tile(energy[:, None], 2))
        np.testing.assert_allclose(
            found[:, 0, 1], rows[f"lo{prob}"].value * (rows["e2_mean"] / rows["mean"]).value
        )
        np.testing.assert_allclose(found[:, 1, 1], rows[f"e2_hi{prob}"].value)
    marks, _, bars = artist(ax, "mean")
    np.testing.assert_allclose(marks.get_ydata(), rows["e2_mean"].value)
    np.testing.assert_allclose(np.array(bars[0].get_segments())[:, :, 0], THREE.T)
    truth = np.array(artist(ax, "truth").get_segments())
    np.testing.assert_allclose(truth[:, :, 0], THREE.T)
    factor = (rows["e2_mean"] / rows["mean"]).value
    np.testing.assert_allclose(truth[:, 0, 1], np.array(PUBLISHED) * factor)
    np.testing.assert_allclose(artist(ax, "published (1σ)")[0].get_ydata(), np.array(PUBLISHED) * factor)
    assert ax.get_ylabel() == "E² dN/dE per sr, mean of FOV\n[keV² ph/cm²/s/keV/sr]"
    assert "10 (E/keV)^-2.1" in ax.get_title("left")


@pytest.mark.parametrize(
    ("mean", "truth", "scale", "limits"),
    [
        ([100.0, 80.0, 60.0], None, "log", 0),
        ([100.0, 0.5, 60.0], None, "log", 1),
        ([100.0, 0.5, 60.0], [100.0, 0.0, 60.0], "linear", 1),
        ([100.0, -50.0, 60.0], None, "linear", 0),
        ([0.1, 0.2, 0.3], None, "log", 3),
    ],
)
def test_axes_suit_what_is_drawn(mean, truth, scale, limits):
    run = changed(mean=mean, truth=truth)
    spectrum = products.spectrum(run, "L+20")
    ax = plots.draw_spectrum(run, spectrum, Figure().add_subplot(), kind="mcrab")
    assert ax.get_yscale() == scale
    labels = ax.get_legend_handles_labels()[1]
    assert ("upper limit (97%)" in labels) == bool(limits)
    assert ("mean" in labels) == (limits < 3)
    arrows = sorted(text.xy for text in ax.texts)
    top = np.quantile(spectrum.draws, 0.97, axis=0)[spectrum.limits]
    np.testing.assert_allclose([y for _, y in arrows], top)
    low, high = ax.get_ylim()
    shown = np.concatenate([top, spectrum.truth, spectrum.mean[~spectrum.limits]])
    assert (low < shown).all()
    assert (shown < high).all()


def test_the_figure_says_what_a_reader_must_know(run):
    spectrum = products.spectrum(run, "GB")
    figure = plots.spectrum_figure(run, spectrum)
    assert [text.get_text() for text in figure.texts if text.get_gid() == "mark"] == ["simulated data"]
    image = figure.axes[2].images[0].get_array()
    np.testing.assert_allclose(image, np.corrcoef(draws_of(run, "sky.fov_flux", "GB").T))
    assert "sampled jointly" in figure.axes[3].get_xlabel()
    assert any("Krivonos" in ax.get_title("left") for ax in figure.axes)
    hidden = changed(unseen=["L+20"])
    title = plots.spectrum_figure(hidden, products.spectrum(hidden, "L+20")).get_suptitle()
    assert "no ScW sees it" in title


# --- command and files -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_command_writes_what_readers_read(run, tmp_path, monkeypatch):
    out = tmp_path / "products"
    result = call("region-spectrum", save(run, tmp_path, monkeypatch), "--region", "GB", "--region", "L+20",
                    "--crab-spectrum", "norm=9.7,index=2.1", "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    names = {f"spectrum_{region}.{end}" for region in ("GB", "L+20") for end in ("ecsv", "png", "pha", "rsp")}
    assert {path.name for path in out.iterdir()} == names
    for name in names:
        assert name in result.output.split(f"wrote {out}: ")[1]
    assert "SIMULATED data" in result.output
    assert f"next: ridgebayes fitspec {tmp_path} --region GB --region L+20 " in result.output
    gb = table = read_table(out / "spectrum_GB.ecsv")
    assert table["mean"].unit == MCRAB
    assert table["covariance"].shape == (3, 3)
    assert table.meta["simulated"] is True
    assert "9.7 E^-2.1" in table.meta["crab"]
    np.testing.assert_allclose(gb["covariance"].value, np.cov(draws_of(run, "sky.fov_flux", "GB").T))
    with fits.open(out / "spectrum_GB.pha") as hdus:
        header = hdus["SPECTRUM"].header
        assert header["OBJECT"] == "GB"
        assert header["SIMUL"] is True
        assert header["RESPFILE"] == "spectrum_GB.rsp"
        comment = " ".join(header["COMMENT"])
        assert "FOV flux" in comment
        assert "joint draws" in comment
        np.testing.assert_allclose(hdus["SPECTRUM"].data["RATE"], gb["mean"].value, rtol=1e-6)
        np.testing.assert_allclose(hdus["SPECTRUM"].data["STAT_ERR"], gb["sd"].value, rtol=1e-6)
        np.testing.assert_allclose(hdus["COVMAT"].data, gb["covariance"].value)
    with fits.open(out / "spectrum_GB.rsp") as hdus:
        np.testing.assert_allclose(hdus["EBOUNDS"].data["E_MIN"], THREE[0])
        assert "9.7 E^-2.1" in " ".join(hdus["SPECRESP MATRIX"].header["COMMENT"])


def test_sherpa_finds_the_crab_times_a_tenth(tmp_path):
    ui = pytest.importorskip("sherpa.astro.ui")
    run = changed(mean=[100.0, 100.0, 100.0], sd=0.1)
    pha, _ = products.write_ogip(run, products.spectrum(run, "GB"), tmp_path / "s.pha")
    ui.clean()
    ui.load_pha(str(pha), use_errors=True)
    source = ui.powlaw1d.source
    source.ref, source.gamma, source.ampl = 1.0, 1.8, 0.5
    ui.set_source(source)
    ui.set_stat("chi2")
    ui.fit()
    assert source.gamma.val == pytest.approx(2.1, abs=0.01)
    assert source.ampl.val == pytest.approx(1.0, rel=0.05)


def test_intensity_says_that_it_is_per_square_degree(run, tmp_path):
    pha, _ = products.write_ogip(run, products.spectrum(run, "GB", "intensity"), tmp_path / "s.pha")
    assert "RATE is per deg2" in " ".join(fits.getheader(pha, "SPECTRUM")["COMMENT"])


def test_bands_that_overlap_go_without_an_ogip_file(tmp_path, monkeypatch):
    run = changed(edges=np.array([[25.0, 50.0, 80.0], [60.0, 80.0, 200.0]]))
    result = call("region-spectrum", save(run, tmp_path, monkeypatch), "--out", tmp_path / "o")
    assert result.exit_code == 0, result.output
    assert "WARNING: no OGIP file: " in result.output
    assert "overlap" in result.output.split("WARNING: no OGIP file: ")[1].splitlines()[0]
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"spectrum_GB.ecsv", "spectrum_GB.png"}


@pytest.mark.parametrize(
    ("bands", "edges", "mean"),
    [
        (1, THREE[:, :1], [150.0]),
        (2, THREE[:, [0, 2]], [150.0, -3.0]),
        (30, np.array([np.geomspace(17, 200, 31)[:-1], np.geomspace(17, 200, 31)[1:]]), np.full(30, 50.0)),
    ],
)
@pytest.mark.slow
def test_one_band_a_gap_and_thirty(tmp_path, monkeypatch, bands, edges, mean):
    run = changed(bands, edges=edges, mean=mean)
    path = save(run, tmp_path, monkeypatch)
    result = call(
        "region-spectrum", path, "--quantity", "intensity", "--region", "L+20", "--out", tmp_path / "o"
    )
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "o").iterdir())) == 4
    assert len(read_table(tmp_path / "o" / "spectrum_L+20.ecsv")) == bands
    assert "WARNING" not in result.output


def test_mistakes_are_one_line_and_write_nothing(run, tmp_path, monkeypatch):
    path, out = save(run, tmp_path, monkeypatch), tmp_path / "o"
    for options, message in (
        (["--region", "GBB"], "did you mean 'GB'"),
        (["--crab-spectrum", "norm=10"], "index is missing"),
        (["--out", __file__], "cannot be written"),
    ):
        result = call("region-spectrum", path, "--out", out, *options)
        assert result.exit_code == 2
        assert message in result.output
        assert len(result.output.strip().splitlines()) == 1
    assert not out.exists()


def test_every_region_has_files_of_its_own():
    from ridgebayes.products.files import file_stems

    assert file_stems(["GB", "l = 60", "l/60", "L+20"]) == ["GB", "l_60", "l_60_", "L+20"]
