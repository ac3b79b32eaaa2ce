"""A run that did not converge says so in all that is made of it, and only where it did not."""

import warnings

import numpy as np
import pytest
from astropy.io import fits

from ridgebayes.checks.results import Checks
from ridgebayes.errors import RidgeBayesWarning
from ridgebayes.inference.diagnostics import Finding, diagnose
from ridgebayes.plots import fit
from ridgebayes.plots.style import new_figure
from ridgebayes.products.background import coefficient_table, scatter_table
from ridgebayes.products.crab import crab_table
from ridgebayes.products.files import fits_provenance
from ridgebayes.products.residuals import residual_table, write_residuals
from ridgebayes.products.tablefiles import latex_table
from ridgebayes.runs import convergence
from ridgebayes.runs.intensity import format_table, provenance
from tests.helpers.step_run import step_run
from tests.helpers.synthetic_run import make_run


def apart(groups):
    """The chains of the second band stand where they began, each elsewhere."""
    away = 3 * np.arange(4)[:, None]
    groups["posterior"]["crab.rate"].values[:, :, 1] += away
    groups["posterior"]["sky.intensity"].values[:, :, 1] += away[..., None]


@pytest.fixture
def failed():
    """Of two bands the first may be used, and the second may not."""
    run = step_run(2)
    object.__setattr__(run.diagnosis, "findings", (Finding("R-hat 2 of x[E02]", "--draws 800", ("E02",)),))
    return run


def test_the_band_whose_chains_disagree_is_found():
    run = make_run(3, change=apart)
    found = diagnose(run.tree)
    r_hat = [f for f in found.findings if f.what.startswith("R-hat") and "E02" in f.bands]
    assert r_hat
    assert found.fails("E02")
    # Draws of another band are as good as before: 240 independent ones, which are too few by ESS alone.
    others = [f for f in found.findings if not f.what.startswith(("bulk", "tail", "R-hat"))]
    assert not others


def test_bands_fitted_together_fail_together():
    def together(groups):
        apart(groups)
        groups["sample_stats"] = groups["sample_stats"].drop_vars("diverging_band")

    found = diagnose(make_run(3, change=together).tree)
    assert all(found.fails(band) for band in ("E01", "E02", "E03"))


def test_what_does_no_harm_fails_nothing():
    run = make_run(2)
    object.__setattr__(run.diagnosis, "findings", (Finding("3 draws reached the largest tree", fails=False),))
    assert run.converged == {"E01": True, "E02": True}
    assert run.verdict.startswith("converged")


def test_one_place_decides(failed):
    assert failed.converged == {"E01": True, "E02": False}
    assert convergence.not_converged(failed) == ["E02"]
    assert failed.verdict.startswith("NOT CONVERGED in E02")
    assert provenance(failed)["not_converged"] == ["E02"]


@pytest.mark.parametrize("make", [crab_table, coefficient_table, scatter_table, lambda run: run.table()])
def test_every_row_of_the_band_is_marked(failed, make):
    table = make(failed)
    assert (table["converged"] == (table["band"] == "E01")).all()
    assert 0 < table["converged"].sum() < len(table)
    assert table.meta["not_converged"] == ["E02"]


def test_rows_of_all_bands_are_as_good_as_the_worst(failed, tmp_path):
    table = residual_table(failed)
    assert not table["converged"].any()
    write_residuals(table, tmp_path / "r.fits")
    header = fits.getheader(tmp_path / "r.fits", 1)
    assert header["CONVERGD"] is False
    assert any("not converged: E02" in str(line) for line in header["COMMENT"])


def test_headers_are_of_their_band(failed):
    assert fits_provenance(failed)["CONVERGD"] is False
    assert fits_provenance(failed, "E02")["CONVERGD"] is False
    assert fits_provenance(failed, "E01")["CONVERGD"] is True
    assert fits_provenance(make_run(2))["CONVERGD"] is True


def test_latex_states_no_detection(failed):
    text = latex_table(failed.table(), "Intensity", "mCrab")
    rows = [line.split(" & ") for line in text.splitlines() if line.startswith(("GB ", "L"))]
    assert rows
    assert all(r"\dagger" in second and r"\dagger" not in first for _, first, second in rows)
    assert "The chains of E02 did not converge" in text
    assert "dagger" not in latex_table(make_run(2).table(), "Intensity", "mCrab")


def test_terminal_says_it(failed):
    lines = format_table(failed.table(), simulated=True).splitlines()
    assert all(("NOT CONVERGED" in line) == ("E02" in line) for line in lines)


def test_figures_say_it(failed):
    for run, words in ((failed, "not converged: E02"), (make_run(2), "")):
        figure = new_figure("", 80)
        fit.background(run, "E01", figure.add_subplot())
        marks = " ".join(text.get_text() for text in figure.texts if text.get_gid() == "mark")
        assert ("not converged" in marks) == bool(words)
        assert words in marks


def test_checks_say_it(failed):
    checks = Checks((), {}, ("E01", "E02"), (), 10, 0.01, provenance(failed))
    assert checks.verdict.startswith("NOT CONVERGED in E02")
    assert "Nothing found" in checks.verdict
    assert checks.verdict in str(checks)


def test_a_run_that_failed_warns_where_the_user_is():
    def user():
        convergence.warn({"not_converged": ["A03"], "warnings": ["R-hat 2", "ESS 3"]}, "runs/a", level=1)

    with pytest.warns(
        RidgeBayesWarning, match=r"not converged: A03 \(runs/a\): R-hat 2 \(and 1 more\)"
    ) as seen:
        user()
    assert seen[0].filename == __file__


@pytest.mark.parametrize(
    "record", [{"not_converged": [], "warnings": ["slow, not wrong"]}, {"warnings": []}, {}]
)
def test_a_run_that_did_well_does_not(record):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convergence.warn(record, "", level=1)


def test_runs_of_earlier_versions_warn_too():
    record = {"warnings": ["R-hat 2"], "data": {"bands": ["A01"]}}
    with pytest.warns(RidgeBayesWarning, match="not converged: A01"):
        convergence.warn(record, "", level=1)
