"""Spectral fits of a run: the bands that are fitted, luminosities, tables, the figure, refusals."""

import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from ridgebayes import read_table
from ridgebayes.cli.main import main
from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB, DEG2_PER_SR
from ridgebayes.plots.fitspec import draw_parameter, fitspec_figure
from ridgebayes.plots.style import new_figure, write_figure
from ridgebayes.products import fitspec as products
from ridgebayes.runs.run import Run
from ridgebayes.sky import Region, build
from ridgebayes.spectra.components import COMPONENTS
from ridgebayes.spectra.folding import fold
from tests.helpers.synthetic_run import CHAINS, DRAWS, LON, NAMES, make_run

pytestmark = pytest.mark.slow

TEN = np.geomspace(20.0, 200.0, 9)
EDGES = np.stack([TEN[:-1], TEN[1:]])
BANDS = EDGES.shape[1]


def truth(scale=1.0):
    """MCrab of white dwarfs of 0.7 solar masses and a power law in `EDGES`."""
    energy, weight = fold(EDGES, CRAB, scale)
    each = [("whitedwarf", 0.8, 0.7), ("powerlaw", 0.4, 1.5)]
    return sum(a * np.asarray(COMPONENTS[n].photons(energy, s) * weight).sum(-1) for n, a, s in each)


def made(*, joint=True, common=0.02, change=None, **options):
    """Make a run whose regions have the spectrum of `truth`, 2 % of error a band and some in common."""
    rng = np.random.default_rng(3)
    shape = (CHAINS, DRAWS, BANDS, 2)
    noise = 0.02 * rng.normal(size=shape) + common * rng.normal(size=(CHAINS, DRAWS, 1, 2))

    def edit(groups):
        posterior = groups["posterior"][["sky.fov_flux", "sky.intensity"]].sel(region=["GB", "L+20"])
        draws = {name: (x.dims, truth()[:, None] * (1 + noise)) for name, x in posterior.items()}
        groups["posterior"] = posterior.assign(draws)
        groups["constant_data"] = groups["constant_data"].assign(
            e_min=("band", EDGES[0]), e_max=("band", EDGES[1])
        )
        if joint:
            groups["sample_stats"] = groups["sample_stats"].drop_vars("diverging_band")
        if change:
            change(groups)

    return make_run(BANDS, change=edit, **options)


@pytest.fixture(scope="module")
def run():
    return made()


@pytest.fixture(scope="module")
def result(run):
    spectrum = products.region_spectrum(run, "GB")
    return products.fit_region(spectrum, distance=8.0, stellar_mass=1e10, draws=400)


def test_what_is_fitted_is_mean_and_covariance_of_the_draws(run, result):
    draws = run.tree["posterior"]["sky.fov_flux"].sel(region="GB").values.reshape(-1, BANDS)
    np.testing.assert_allclose(result.fit.mean, draws.mean(0))
    np.testing.assert_allclose(result.fit.covariance, np.cov(draws.T))
    # Bands sampled apart share nothing: the correlation of their draws is noise.
    apart = products.region_spectrum(made(joint=False, common=0.0), "GB")
    found = products.fit_region(apart, "powerlaw", draws=100).fit.covariance
    np.testing.assert_allclose(found, np.diag(np.diag(apart.covariance)))


def test_table_says_mass_share_crossing_and_luminosity(run, result):
    table = products.fit_table(run, result)
    row = {str(r["name"]): r for r in table}
    assert abs(row["whitedwarf.mass"]["mean"] - 0.7) < 3.5 * row["whitedwarf.mass"]["sd"]
    assert row["whitedwarf.mass"]["unit"] == "solMass"
    assert row["whitedwarf.mass"]["prior"] == "Uniform(0.3, 1.35)"
    assert row["whitedwarf.share"]["mean"] + row["powerlaw.share"]["mean"] == pytest.approx(1.0)
    assert row["whitedwarf.flux"]["unit"] == "erg / (s cm2)"
    area = 4 * np.pi * (8.0 * 3.0856775814913673e21) ** 2
    luminosity = row["whitedwarf.luminosity"]
    assert luminosity["mean"] == pytest.approx(area * row["whitedwarf.flux"]["mean"], rel=1e-9)
    assert row["whitedwarf.emissivity"]["mean"] == pytest.approx(luminosity["mean"] / 1e10, rel=1e-9)
    assert row["crossing"]["lo94"] < row["crossing"]["mean"] < row["crossing"]["hi94"]
    assert table.meta["p_value"] == pytest.approx(result.fit.p_value)
    assert "Suleimanov" in table.meta["whitedwarf"]
    text = products.format_fit(table)
    assert text.startswith("SIMULATED data\nGB, whitedwarf+powerlaw")
    assert "over 1e+10 solar masses of stars" in text


def test_energy_flux_adds_up_with_the_crab(result):
    # A power law of the Crab's own index has the Crab's energy flux a mCrab.
    spectrum = result.spectrum
    found = products.fit_region(spectrum, "powerlaw", priors={"powerlaw.index": 2.1}, draws=100)
    fit, power = found.fit, COMPONENTS["powerlaw"]
    mcrab = fit.folded[0][:, 2]
    erg = fit.energy_flux(power, *EDGES[:, 2])
    np.testing.assert_allclose(erg, mcrab * CRAB.erg_per_mcrab(*EDGES[:, 2]), rtol=1e-6)


def test_intensity_is_per_steradian(run):
    spectrum = products.region_spectrum(run, "GB", "intensity")
    found = products.fit_region(spectrum, "powerlaw", draws=100)
    energy, weight = fold(EDGES, CRAB)
    amplitude, index = (found.fit.draws[f"powerlaw.{name}"][:, None, None] for name in ("amplitude", "index"))
    per_sr = (amplitude * np.asarray(COMPONENTS["powerlaw"].photons(energy, index)) * weight).sum(-1)
    np.testing.assert_allclose(found.fit.folded[0], per_sr / DEG2_PER_SR, rtol=1e-9)
    table = products.fit_table(run, found)
    assert table["unit"][0] == "keV / (cm2 s sr)"
    assert "no luminosity" in table.meta["luminosity"]
    with pytest.raises(InputError, match="an intensity has no luminosity"):
        products.fit_region(spectrum, "powerlaw", distance=8.0)


def test_nothing_stated_no_luminosity(run, result):
    bare = products.RegionFit(result.spectrum, result.fit, result.model, (30.0, 80.0), None, None)
    assert not [name for name in products.derived(bare) if "luminosity" in name or "emissivity" in name]
    assert "no distance was stated" in products.fit_table(run, bare).meta["luminosity"]


def test_bands_that_are_left_out(run):
    spectrum = products.region_spectrum(run, "GB")
    fewer = products.take_bands(spectrum, ["E03", "E01"])
    assert [b.name for b in fewer.bands] == ["E01", "E03"]
    np.testing.assert_array_equal(fewer.draws, spectrum.draws[:, [0, 2]])
    with pytest.raises(InputError, match=r"no band 'E1' \(did you mean"):
        products.take_bands(spectrum, ["E1"])


def test_region_of_a_file(demo_like):
    run, sky = demo_like
    found = products.region_spectrum(run, "elsewhere", sky=sky)
    seen = run.sky.fov_exposure(sky.centre_lon, sky.centre_lat, run.response)[0]
    intensity = run.tree["posterior"]["sky.intensity"].sel(band="E01").values.reshape(-1, seen.size)
    np.testing.assert_allclose(found.draws[:, 0], 1.1 * intensity @ seen)  # its solid angle is 1.1
    with pytest.raises(InputError, match="no region 'GB'"):
        products.region_spectrum(run, "GB", sky=sky)
    with pytest.raises(InputError, match="take quantity='fov'"):
        products.region_spectrum(run, "elsewhere", "intensity", sky=sky)


@pytest.fixture
def demo_like(monkeypatch):
    """A run whose sky is known, and a sky of one region elsewhere."""
    regions = [Region.box(n, (lon - 10, lon + 10), (-5, 5)) for n, lon in zip(NAMES, LON, strict=True)]
    monkeypatch.setattr(Run, "sky", build("own", regions, nside=16))
    run = make_run(2)
    return run, build("mine", [Region.box("elsewhere", (25, 35), (0, 10))], nside=16)


def test_refusals(run, result):
    spectrum = result.spectrum
    for options, message in (
        ({"distance": -1.0}, "distance=-1: give a positive number"),
        ({"stellar_mass": 1e10}, r"needs distance=\.\.\. too"),
        ({"share_band": (80.0, 30.0)}, "the lower first"),
        ({"share_band": (1.0, 5.0)}, "the table of white dwarfs holds 10 to 1000 keV"),
        ({"priors": {"whitedwarf.mas": 0.6}}, "did you mean 'whitedwarf.mass'"),
        ({"priors": {"whitedwarf.mass": 1.4}}, r"must lie between 0\.3 and 1\.35"),
    ):
        with pytest.raises(InputError, match=message):
            products.fit_region(spectrum, **options)
    few = replace(spectrum, draws=spectrum.draws[:40])
    with pytest.raises(InputError, match="40 draws are too few for the covariance of 8 bands"):
        products.fit_region(few)
    with pytest.raises(InputError, match="10 revolutions are too few for the covariance of 8 bands"):
        products.fit_region(replace(spectrum, revolutions=10))
    no_sky = make_run(2, change=lambda g: g.update(posterior=g["posterior"].drop_vars("sky.intensity")))
    with pytest.raises(InputError, match="has no sky"):
        products.region_spectrum(no_sky, "GB")


def test_figure_shows_posterior_and_prior(run, result, tmp_path):
    path = write_figure(lambda: fitspec_figure(run, result), tmp_path / "fit.png")
    assert path.stat().st_size > 10_000
    figure = fitspec_figure(run, result)
    assert figure.axes[0].get_ylabel() == "E² dN/dE in the field of view\n[keV/cm²/s]"
    legends = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"model", "white dwarfs (68%)", "power law (68%)", "posterior", "prior"} <= set(legends)
    ax = draw_parameter(run, result, "whitedwarf.mass", new_figure("", 60).add_subplot())
    assert ax.get_title(loc="left").startswith(f"{result.fit.draws['whitedwarf.mass'].mean():.3g}")
    assert "simulated data" in [text.get_text() for text in figure.texts]


def test_command(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "open", classmethod(lambda _cls, _path: run))
    arguments = ["fitspec", str(tmp_path / "run"), "--components", "cutoff", "--draws", "100",
                 "--band", "E01", "--band", "E03", "--region", "L+20"]  # fmt: skip
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "run" / "products"
    assert sorted(p.name for p in folder.iterdir()) == [
        "fitspec_L+20_cutoff.ecsv", "fitspec_L+20_cutoff.png", "fitspec_L+20_cutoff_bands.ecsv",
    ]  # fmt: skip
    table = read_table(folder / "fitspec_L+20_cutoff.ecsv")
    assert list(table["name"][:2]) == ["cutoff.amplitude", "cutoff.temperature"]
    bands = read_table(folder / "fitspec_L+20_cutoff_bands.ecsv")
    np.testing.assert_allclose(bands["pull"], (bands["mean"] - bands["model"]) / bands["sd"])
    assert re.search(r"posterior predictive check: p = 0\.\d+", done.output)
    for bad in (["--components", "iron"], ["--region", "Nowhere"], ["--prior", "x"]):
        failed = CliRunner().invoke(main, ["fitspec", str(tmp_path), *bad])
        assert failed.exit_code == 2
        assert len(failed.output.strip().splitlines()) == 1
