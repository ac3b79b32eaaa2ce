"""Step 5: FOV fluxes beside the classical and the published ones."""

import numpy as np
import pytest

from ridgebayes import classical, read_table, write_scws
from ridgebayes.instrument.crab_spectrum import CrabSpectrum
from ridgebayes.products.flux import flux_table, format_fluxes, latex, longitude_width
from ridgebayes.sky import load
from tests.helpers.cli import call


@pytest.fixture(scope="module")
def table(small_run, small_mission, three_regions):
    beside = classical.fluxes(classical.calibrate(small_mission), three_regions)
    return flux_table(small_run, classical=beside)


def test_values_are_those_of_the_draws(table, small_run):
    flux = small_run.fov_flux()
    for row in table:
        draws = flux.sel(region=row["region"], band=row["band"]).values.ravel()
        assert row["mean"].value == pytest.approx(draws.mean(), rel=1e-5)
        assert row["sd"].value == pytest.approx(draws.std(ddof=1), rel=1e-5)
        interval = np.quantile(draws, [0.03, 0.97])
        np.testing.assert_allclose([row["lo"].value, row["hi"].value], interval, rtol=1e-5)
        assert row["p_positive"] == (draws > 0).mean()
        assert np.isfinite(row["upper"]) == (row["lo"] <= 0)
        truth = small_run.tree["constant_data"]["true_fov_flux"].sel(region=row["region"], band=row["band"])
        assert row["truth"].value == pytest.approx(float(truth))
    assert table.meta["simulated"]
    assert "Crab" in table.meta["crab_spectrum"]


def test_published_values_stand_where_they_belong(table):
    shown = table[np.isfinite(table["published"])]
    assert shown["region"].tolist() == ["GB", "GB"]
    assert shown["published"].value.tolist() == [154.886, 96.473]
    assert "2409.20058" in table.meta["published"]


def test_classical_estimates_agree(table):
    pull = (table["classical"] - table["mean"]) / np.hypot(table["classical_error"], table["sd"])
    assert np.abs(pull[np.isfinite(pull)]).max() < 4


def test_physical_units_follow_the_crab(table, small_run):
    """Twice the Crab, twice the flux; and 1 mCrab per degree fills the field of view along the plane."""
    double = flux_table(small_run, crab=CrabSpectrum(20.0, 2.1, label="twice"))
    np.testing.assert_allclose(double["mean_erg"] / table["mean_erg"], 2.0)
    angle = np.arange(-25, 25, 0.01) + 0.005
    ridge = small_run.response.averaged(np.abs(angle)).sum() * 0.01
    assert longitude_width(small_run) == pytest.approx(ridge, rel=1e-3)
    ratio = (table["mean"] / table["per_degree"]).to_value("deg")
    np.testing.assert_allclose(ratio, longitude_width(small_run))


def test_other_regions_see_the_same_sky(small_run):
    """A pointing between two regions sees what the exposure there says."""
    other = load("coarse").select(["L+20", "L+40"])
    table = flux_table(small_run, other)
    assert table["region"].tolist() == ["L+20", "L+20", "L+40", "L+40"]
    same = flux_table(small_run)
    np.testing.assert_allclose(table["mean"][:2], same["mean"][same["region"] == "L+20"], rtol=1e-6)
    assert (table["mean"][2:] < table["mean"][:2]).all()
    # The run knows the truth of its own regions alone.
    assert np.isnan(table["truth"]).tolist() == [False, False, True, True]


def test_latex_has_significant_digits(table):
    text = latex(table)
    assert "% SIMULATED data" in text
    assert r"Region & A01 (25--60 keV) & A02 (60--80 keV) \\" in text
    row = next(line for line in text.splitlines() if line.startswith("GB"))
    gb = table[(table["region"] == "GB") & (table["band"] == "A01")][0]
    digits = max(0, 1 - int(np.floor(np.log10(gb["sd"].value))))
    assert rf"${gb['mean'].value:.{digits}f} \pm {gb['sd'].value:.{digits}f}$" in row
    table = table.copy()
    table["lo"][0], table["hi"][0] = (end * table["lo"].unit for end in (-3, 12.3456))
    assert "$<12" in latex(table)
    for key in ("run_created", "git_commit", "data_fingerprint"):
        assert f"% {key}: {table.meta[key]}".rstrip() in text


def test_terminal_table_says_what_is_simulated(table):
    text = format_fluxes(table)
    assert text.startswith("SIMULATED data")
    assert "published" in text
    assert len(text.splitlines()) == 2 + len(table)


@pytest.mark.slow
def test_command(small_run, small_mission, tmp_path):
    small_run.save(tmp_path / "run")
    arguments = ["flux", str(tmp_path / "run"), "--out", str(tmp_path / "products")]
    alone = call(*arguments)
    assert alone.exit_code == 0, alone.output
    assert "no classical estimate" in alone.output
    write_scws(small_mission, tmp_path / "mission.fits")
    refused = call(*arguments)
    assert (refused.exit_code, "exists already" in refused.output) == (2, True)
    arguments.append("--overwrite")
    both = call(*arguments, "--scws", tmp_path / "mission.fits")
    assert both.exit_code == 0, both.output
    written = read_table(tmp_path / "products" / "flux.ecsv")
    assert "classical" in written.colnames
    assert (tmp_path / "products" / "flux.tex").read_text().startswith("%")
    write_scws(small_mission.select(np.arange(1, len(small_mission))), tmp_path / "other.fits")
    other = call(*arguments, "--scws", tmp_path / "other.fits")
    assert other.exit_code == 2
    assert "is not the table that was fitted" in other.output
    wrong = call(*arguments, "--sky", "milkywy")
    assert wrong.exit_code == 2
    assert "milkyway" in wrong.output
