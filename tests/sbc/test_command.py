"""``ridgebayes sbc``: what it writes and says, and a short run of a shipped model."""

import re

import pytest
from matplotlib.colors import to_hex
from PIL import Image

from ridgebayes import read_table, write_scws
from ridgebayes.plots.sbc import sbc_figure
from ridgebayes.plots.style import VERMILLION
from ridgebayes.sbc import read_ranks, uniformity
from tests.helpers import quick_model
from tests.helpers.cli import call
from tests.helpers.synthetic_ranks import synthetic_ranks


def test_help_has_an_example():
    result = call("sbc", "--help")
    assert result.exit_code == 0
    assert "ridgebayes sbc --simulations 20" in result.output


@pytest.fixture(scope="module")
def command(pointings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    write_scws(pointings, folder / "scws.fits")
    model = quick_model.write(folder / "quick.py")
    return [
        "sbc",
        folder / "scws.fits",
        "--model",
        model,
        "--rank-draws",
        39,
        "--warmup",
        100,
        "--seed",
        3,
        "--quiet",
    ]


@pytest.mark.slow
def test_campaign_and_what_it_leaves(command, campaign, tmp_path):
    result = call(*command, "--simulations", 8, "--scheduler", "local:1", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    # The same model, data and seed: the same ranks as in Python.
    assert (read_ranks(tmp_path / "out").values == campaign[1].values).all()
    table = read_table(tmp_path / "out" / "uniformity.ecsv")
    assert list(table["quantity"]) == list(campaign[1].quantities)
    assert str(uniformity(campaign[1])) in result.output
    with Image.open(tmp_path / "out" / "sbc.png") as image:
        assert image.size[0] > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["sbc", "--model", "region"],
            "model 'region': there is none of this name (did you mean 'regions'?)",
        ),
        (["sbc", "--simulations", 0], "--simulations 0, --rank-draws 99: must be at least 1"),
        (["sbc", "--scheduler", "local:0"], "--scheduler local:0: give local, local:N"),
        (["sbc", "--extra", "outlier"], "did you mean 'outliers'?"),
        (["sbc", "--crab-rate", "A01"], "not of the form NAME=VALUE"),
        (["sbc", "nowhere.fits"], "nowhere.fits"),
    ],
)
@pytest.mark.slow
def test_one_line_errors(arguments, message, tmp_path):
    result = call(*arguments, "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_other_campaign_is_refused(command, tmp_path):
    given = [*command, "--simulations", 1, "--scheduler", "local:1", "--out", tmp_path]
    assert call(*given).exit_code == 0
    before = (tmp_path / "simulations.jsonl").read_bytes()
    result = call(*given, "--prior", "level=Normal(1, 0.2)")
    assert result.exit_code == 2
    assert re.search(
        r"holds a campaign with level Normal\(1, 0.1\), and this has Normal\(1, 0.2\)", result.output
    )
    assert (tmp_path / "simulations.jsonl").read_bytes() == before


@pytest.mark.slow
def test_figure_shows_the_band_and_what_is_wrong(rng):
    ranks = synthetic_ranks(rng, wrong="crab.rate[A01]")
    figure = sbc_figure(ranks)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes if ax.get_title(loc="left")}
    assert list(panels) == ["sky.intensity (12)", "crab.rate", "background.level"]
    assert "100 simulations, NOT uniform: 1 of 14 quantities" in figure.get_suptitle()
    wrong = {name: [to_hex(line.get_color()) for line in ax.lines] for name, ax in panels.items()}
    assert VERMILLION.lower() in wrong["crab.rate"]
    assert VERMILLION.lower() not in wrong["sky.intensity (12)"] + wrong["background.level"]
    # A curve is the distribution of ranks less the uniform one: from 0 to 0, and what counting by hand gives.
    x, y = panels["background.level"].lines[1].get_data()
    assert (y[0], y[-1]) == (0.0, 0.0)
    values = ranks.of("background.level")["background.level[A01]"]
    assert y[30] == pytest.approx((values < 30).mean() - x[30])
    assert len(panels["sky.intensity (12)"].lines) == 13
    assert any("simulated data" in text.get_text() for text in figure.texts)


SKY = {
    "regions": {"sky.intensity"},
    "template": {"sky.norm", "sky.intensity"},
}


@pytest.mark.slow
@pytest.mark.parametrize("model", SKY)
def test_short_run_of_a_shipped_model(model, tmp_path):
    """What `ridgebayes sbc` does, on fewer revolutions, with a known unknown opened.

    Twelve simulations find only what is badly wrong; hundreds are for campaigns.
    """
    given = [
        "--revolutions",
        12,
        "--simulations",
        12,
        "--rank-draws",
        29,
        "--warmup",
        100,
        "--scheduler",
        "local:1",
    ]
    fixed = ["--prior", "background.drift=0", "--extra", "smooth_crab", "--prior", "crab.smooth=0"]
    result = call("sbc", "--model", model, *given, *fixed, "--out", tmp_path, "--quiet")
    assert result.exit_code == 0, result.output
    ranks = read_ranks(tmp_path)
    assert not ranks.failures
    assert ranks.record["model"]["extras"] == ["smooth_crab"]
    assert SKY[model] | {"sky.fov_flux", "crab.rate", "log_likelihood"} <= set(ranks.parameters)
    assert uniformity(ranks).uniform, result.output
