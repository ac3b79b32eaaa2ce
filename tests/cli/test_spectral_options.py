"""Commands that know a spectrum within the bands, and the figures of a paper."""

import pytest

from ridgebayes import read_scws, read_table
from ridgebayes.runs.run import Run
from tests.helpers.cli import call, one_line


@pytest.mark.slow
def test_a_simulated_sky_of_known_spectrum(tmp_path):
    path = tmp_path / "mission.fits"
    call("simulate", "--revolutions", 2, "--white-dwarfs", 0.6, 1.4, 0.7, "--redistribution", "fwhm=0.1",
         "--sky", "coarse", "--out", path)  # fmt: skip
    truth = read_scws(path).truth
    assert truth["spectrum"] == {
        "mass": 0.6, "index": 1.4, "share": 0.7, "redistribution": "fwhm=0.1,at=60,power=-0.5",
    }  # fmt: skip
    assert truth["gb_fov"][0] == pytest.approx(154.886, rel=1e-6)
    one_line(call("simulate", "--redistribution", "fwhm=0.1", "--out", tmp_path / "x.fits"), "--white-dwarfs")


def test_models_without_a_spectrum_refuse_a_redistribution(tmp_path):
    done = call("fit", "none.fits", "--redistribution", "fwhm=0.1", "--out", tmp_path / "run")
    one_line(done, "the model 'regions' has no spectrum within its bands")


def test_joint_takes_nothing_that_the_fit_has_settled(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "open", classmethod(lambda _cls, _path: small_run))
    for option in (["--band", "A01"], ["--redistribution", "fwhm=0.1"], ["--crab-spectrum", "atel4869"]):
        one_line(call("fitspec", tmp_path / "run", "--joint", *option), "those of the fit")
    one_line(call("fitspec", tmp_path / "run", "--joint"), "its model 'regions' has no components")


@pytest.mark.slow
def test_paper(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "open", classmethod(lambda _cls, _path: small_run))
    done = call("paper", tmp_path / "run", "--components", "powerlaw", "--region", "GB", "--region", "L+20",
                "--no-classical", "--draws", 100)  # fmt: skip
    folder = tmp_path / "run" / "paper"
    assert "wrote" in done.output
    for name in ("longitude", "latitude", "spectrum_GB", "spectrum_L+20", "crab", "background"):
        content = (folder / f"{name}.pdf").read_bytes()
        assert content.startswith(b"%PDF"), name
        assert b"/Type3" not in content, name
    assert len(read_table(folder / "regions.ecsv")) == 2
    assert r"\begin{tabular}" in (folder / "regions.tex").read_text(encoding="utf-8")
    captions = (folder / "captions.md").read_text(encoding="utf-8")
    assert captions.splitlines()[2] == "**Simulated data.**"
    assert "arXiv:2409.20058" in captions  # no band of these has the edges of a published one, the region has
    one_line(call("paper", tmp_path / "run"), "exists already")
