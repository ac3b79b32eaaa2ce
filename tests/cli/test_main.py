"""The command line: what it prints, what it refuses, and how."""

import dataclasses
import re
import shlex
import subprocess
import sys

import click
import numpy as np
import pytest
from click.testing import CliRunner

from ridgebayes import RidgeBayesWarning, Run, open_run, read_table, write_scws
from ridgebayes.cli.ending import same_command
from ridgebayes.cli.main import main
from tests.helpers.cli import call, one_line

QUICK = ["--warmup", "30", "--draws", "20", "--chains", "2", "--quiet", "--seed", "5"]


@pytest.fixture(scope="module")
def mission(small_mission, tmp_path_factory):
    path = tmp_path_factory.mktemp("mission") / "mission.fits"
    write_scws(small_mission, path)
    return path


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    path = tmp_path_factory.mktemp("sky") / "three.toml"
    path.write_text(
        "".join(
            f'[[region]]\nname = "{name}"\nlon = [{lon - 10}, {lon + 10}]\nshape = {{kind = "starlight"}}\n'
            for name, lon in (("L-20", -20), ("GB", 0), ("L+20", 20))
        )
    )
    return path


@pytest.fixture(scope="module")
def fitted(mission, sky, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    result = call("fit", mission, "--out", out, "--sky", sky, "--band", "A01", *QUICK)
    return out, result


@pytest.mark.parametrize("command", sorted(["", *main.commands]))
def test_help_has_an_example(command):
    result = call(*command.split(), "--help")
    assert result.exit_code == 0
    assert "ridgebayes" in result.output
    assert not command or "Example" in result.output


def test_runs_as_a_module():
    command = [sys.executable, "-m", "ridgebayes", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("Usage: ridgebayes ")


def test_inspect(mission):
    result = call("inspect", mission)
    assert result.exit_code == 0
    assert "SIMULATED" in result.output
    assert "ScWs at |b| > 20°" in result.output


def steps_after(*words):
    """Return the commands that a command offers to go on with."""
    lines = call(*words).stdout.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("next:"))
    return [line[6:].partition("  ")[0] for line in lines[first:]]


def test_one_is_no_plural(small_mission, tmp_path):
    write_scws(small_mission.take_bands("A01"), tmp_path / "one.fits")
    result = call("convert", tmp_path / "one.fits", "--out", tmp_path / "again.fits")
    assert result.stdout.splitlines()[-2].endswith(" simulated ScWs in 1 band")


def test_inspect_offers_what_can_be_done(small_mission, tmp_path):
    clean = small_mission.select((small_mission.phase > 0.1) & (small_mission.phase < 0.9))
    odd = dataclasses.replace(clean, exposure=np.where(np.arange(len(clean)) < 3, 200.0, clean.exposure))
    nocrab = clean.select(~clean.crab)
    wrong = dataclasses.replace(clean, rate=1000 * clean.rate, stat_err=1000 * clean.stat_err)
    for name, scws in {"odd": odd, "no crab": nocrab, "wrong": wrong}.items():
        write_scws(scws, tmp_path / f"{name}.fits")
    again = steps_after("inspect", tmp_path / "wrong.fits")[0]
    assert again == f"ridgebayes inspect {tmp_path / 'wrong.fits'}"
    screen, fit = steps_after("inspect", tmp_path / "odd.fits")
    assert screen == f"ridgebayes screen {tmp_path / 'odd.fits'} --out {tmp_path / 'odd_screened.fits'}"
    assert fit == f"ridgebayes fit {tmp_path / 'odd.fits'} --out runs/odd"
    fit = steps_after("inspect", tmp_path / "no crab.fits")[-1]
    assert fit.endswith("no crab.fits' --out 'runs/no crab' --crab-rate A01=CTS/S --crab-rate A02=CTS/S")
    assert "a fit needs --crab-rate BAND=CTS/S" in call("inspect", tmp_path / "no crab.fits").stdout


def test_fit_writes_the_contract(fitted):
    out, result = fitted
    assert result.exit_code == 3, result.output  # written, and not converged: 20 draws
    parts = ["figures", "intensity.ecsv", "posterior.nc", "run.toml", "scws.fits"]
    assert sorted(p.name for p in out.iterdir()) == parts
    assert list((out / "figures").glob("*.png"))
    run = Run.open(out)
    groups = {"posterior", "sample_stats", "prior", "posterior_predictive", "observed_data"}
    assert groups <= set(run.tree.children)
    assert set(run.intensity().dims) == {"chain", "draw", "band", "region"}
    table = read_table(out / "intensity.ecsv")
    columns = ["region", "band", "E_MIN", "E_MAX", "mean", "sd", "lo", "hi", "ess_bulk", "r_hat"]
    columns += ["fov_mean", "fov_sd", "fov_lo", "fov_hi"]
    assert set(columns) <= set(table.colnames)
    assert table["E_MIN"].unit == "keV"
    assert table["mean"].unit == "mCrab / deg2"
    assert table["fov_mean"].unit == "mCrab"
    assert table.meta["simulated"] is True
    record = run.record
    assert record["sampling"]["seed"] == 5
    assert record["data"]["simulated"]
    assert record["model"]["priors"]["background.scatter"].startswith("HalfNormal")
    assert {"jax", "numpyro", "python"} <= set(record["versions"])


def test_fit_prints_table_and_warnings(fitted):
    _, result = fitted
    assert "SIMULATED" in result.output
    assert "GB" in result.output
    assert "WARNING" in result.output
    assert "ESS" in result.output


def test_fit_ends_with_warnings_verdict_and_what_to_do_next(fitted):
    out, result = fitted
    lines = result.stdout.splitlines()
    where = {word: max(i for i, line in enumerate(lines) if line.startswith(word)) for word in
             ("SIMULATED", "wrote", "WARNING", "verdict", "next:")}  # fmt: skip
    assert sorted(where, key=where.get) == list(where)
    assert lines[where["verdict"]].startswith("verdict: NOT CONVERGED")  # 20 draws
    # No check of what must not be used: the same fit with as many draws as the warnings ask for.
    said, _, why = lines[-1].removeprefix("next: ").rpartition("  ")
    assert why == "the same fit, longer"
    program, name, *words = shlex.split(said)
    assert (program, name) == ("ridgebayes", "fit")
    again = main.commands["fit"].make_context("fit", words).params
    advised = {int(n) for line in lines for n in re.findall(r"^WARNING.*--draws (\d+)", line)}
    assert again["draws"] == max(advised) > 20
    assert again["overwrite"]
    assert again["bands"] == ("A01",)
    assert again["out"] == out


def test_the_same_command_is_said_as_a_shell_takes_it():
    @click.command()
    @click.argument("file")
    @click.option("--prior", "priors", multiple=True)
    @click.option("--max-time", type=float)
    @click.option("--draws", default=500)
    @click.option("--overwrite", is_flag=True)
    def fit(**_):
        click.echo(same_command(draws=900, overwrite=True, max_time=None))

    told = ["my scws.fits", "--prior", "a=Normal(0, 1)", "--prior", "b=1", "--max-time", "3"]
    said = CliRunner().invoke(fit, told).output.strip()
    assert (
        said == "ridgebayes fit 'my scws.fits' --prior 'a=Normal(0, 1)' --prior b=1 --draws 900 --overwrite"
    )


def test_what_is_made_of_it_says_so_in_one_line(fitted, tmp_path):
    out, _ = fitted
    result = call("flux", out, "--no-classical", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert [line for line in result.output.splitlines() if line.startswith("WARNING")] == [
        line for line in result.stderr.splitlines() if line
    ]
    assert result.stderr.startswith(f"WARNING: not converged: A01 ({out}): ")
    table = read_table(tmp_path / "flux.ecsv")
    assert not table["converged"].any()
    assert not np.isfinite(table["p_positive"]).any()
    assert not np.isfinite(table["upper"]).any()
    assert table.meta["not_converged"] == ["A01"]
    assert r"\dagger" in (tmp_path / "flux.tex").read_text()


def test_opening_it_warns_in_python(fitted):
    with pytest.warns(RidgeBayesWarning, match="not converged: A01") as warned:
        run = Run.open(fitted[0])
    assert warned[0].filename == __file__
    with pytest.warns(RidgeBayesWarning, match="not converged: A01") as warned:
        open_run(fitted[0])
    assert warned[0].filename == __file__
    assert str(run).splitlines()[-1].startswith("NOT CONVERGED: do not use")


@pytest.mark.slow
def test_time_that_is_over_keeps_what_there_is(mission, sky, tmp_path):
    arguments = ["fit", mission, "--out", tmp_path / "run", "--sky", sky, "--band", "A01", *QUICK]
    result = call(*arguments, "--max-time", 1e-6)
    assert result.exit_code == 2, result.output
    said = result.stderr.splitlines()[-1]
    assert said.startswith("ridgebayes: stopped after 1e-06 min with 0 of 20 draws")
    assert said.endswith(f"go on with `ridgebayes resume {tmp_path / 'run'}`")
    result = call("resume", tmp_path / "run", "--quiet")
    assert result.exit_code == 3, result.output
    refused = call(*arguments, "--overwrite", "--max-time", 0)
    assert refused.exit_code == 2
    assert "--max-time" in refused.output


def test_fov_flux_is_the_matrix_times_intensity(fitted):
    """And what a sky of another width, and a shifted one, add in proportion to starlight."""
    run = Run.open(fitted[0])
    sky = run.sky
    expected = np.einsum(
        "pr,cdbr->cdbp", run.tree["constant_data"]["fov"].values,
        run.intensity().transpose("chain", "draw", "band", "region").values,
    )  # fmt: skip
    shapes = (sky, sky.reshaped(1.4, 0.0), sky.reshaped(1.0, -1.0), sky.reshaped(1.0, 1.0))
    plain, wide, south, north = (shape.fov_matrix(run.response) @ sky.stars for shape in shapes)
    latitude = run.tree["posterior"]["sky.latitude"].transpose("chain", "draw", "band", "latitude").values
    expected = expected + latitude @ np.stack([wide - plain, (north - south) / 2])
    flux = run.fov_flux().transpose("chain", "draw", "band", "region").values
    np.testing.assert_allclose(flux, expected, rtol=1e-6)
    row = run.table()[run.table()["region"] == "GB"][0]
    assert row["fov_mean"].value == pytest.approx(expected[..., 1].mean())
    assert row["fov_lo"].value == pytest.approx(np.quantile(expected[..., 1], 0.03))


def test_existing_run_is_kept(fitted, mission, sky):
    out, _ = fitted
    before = (out / "run.toml").read_bytes()
    result = call("fit", mission, "--out", out, "--sky", sky, *QUICK)
    assert result.exit_code == 2
    assert "--overwrite" in result.output
    assert (out / "run.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "region"], ["'region'", "did you mean 'regions'"]),
        (["--band", "A1"], ["'A1'", "did you mean 'A01'"]),
        (["--sky", "milkway"], ["milkway", "milkyway"]),
        (["--sky", "no/such.toml"], ["no/such.toml"]),
        (["--prior", "background.scater=HalfNormal(1)"], ["did you mean 'background.scatter'"]),
        (["--prior", "background.scatter"], ["NAME=VALUE", "background.scatter"]),
        (["--prior", "background.scatter=HalfNorm(1)"], ["HalfNormal"]),
        (["--response", "no.fits"], ["no.fits"]),
        (["--crab-rate", "A01=x"], ["A01", "not a number"]),
        (["--crab-rate", "A01=100"], ["leave out the given Crab rate"]),
        (["--chains", "0"], ["--chains 0"]),
    ],
)
def test_bad_options(mission, tmp_path, arguments, words):
    one_line(call("fit", mission, "--out", tmp_path / "run", "--quiet", *arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_bad_files(tmp_path, small_mission):
    out = tmp_path / "run"
    one_line(call("fit", tmp_path / "none.fits", "--out", out), "none.fits", "no such file")
    (tmp_path / "text.fits").write_text("not a table")
    one_line(call("inspect", tmp_path / "text.fits"), "text.fits")
    (tmp_path / "not_a_run").mkdir()
    (tmp_path / "not_a_run" / "precious.txt").write_text("keep me")
    bad = ["fit", tmp_path / "text.fits", "--out", tmp_path / "not_a_run", "--overwrite"]
    one_line(call(*bad), "not a run directory")
    assert (tmp_path / "not_a_run" / "precious.txt").exists()
    no_crab = small_mission.select(~small_mission.crab)
    write_scws(no_crab, tmp_path / "no_crab.fits")
    one_line(call("fit", tmp_path / "no_crab.fits", "--out", out, "--quiet"), "no_crab.fits", "--crab-rate")
    assert not out.exists()


def test_overlapping_regions(mission, tmp_path):
    sky = tmp_path / "overlap.toml"
    sky.write_text(
        '[[region]]\nname = "one"\nbox = {lon = [0, 20], lat = [-5, 5]}\n'
        '[[region]]\nname = "two"\nbox = {lon = [10, 30], lat = [-5, 5]}\n'
    )
    one_line(call("fit", mission, "--out", tmp_path / "run", "--sky", sky), "one", "two", "overlap")


@pytest.mark.slow
def test_unseen_region_is_a_warning(small_mission, tmp_path):
    away = small_mission.select((small_mission.lon < -160) | (small_mission.lon > -40))
    write_scws(away, tmp_path / "away.fits")
    result = call(
        "fit", tmp_path / "away.fits", "--out", tmp_path / "run", "--sky", "coarse", "--band", "A01", *QUICK
    )
    assert result.exit_code == 3, result.output  # written, and not converged: 20 draws
    assert "no ScW sees L-100" in result.output
    table = read_table(tmp_path / "run" / "intensity.ecsv")
    assert "prior only" in str(table["warning"][table["region"] == "L-100"][0])


@pytest.mark.slow
def test_simulate_and_refuse_to_overwrite(tmp_path):
    out = tmp_path / "sim.fits"
    arguments = ["simulate", "--out", out, "--revolutions", 3, "--sky", "coarse", "--seed", 2]
    result = call(*arguments, "--world", "outliers")
    assert result.exit_code == 0, result.output
    assert "simulated ScWs in 3 bands" in result.output
    before = out.read_bytes()
    one_line(call(*arguments), "--overwrite")
    assert out.read_bytes() == before
    one_line(call(*arguments, "--overwrite", "--world", "outlier"), "outliers")
    result = call(*arguments, "--overwrite", "--n-bands", 5)
    assert "in 5 bands" in result.output


def test_debug_shows_the_traceback(tmp_path):
    result = call("--debug", "inspect", tmp_path / "none.fits")
    assert result.exit_code != 0
    assert result.exc_info is not None
    assert "none.fits" in str(result.exception)


def test_table_of_real_data_has_no_truth(small_mission, three_regions, tmp_path):
    """Unmarked data stay unmarked, everywhere."""
    real = dataclasses.replace(
        small_mission, truth=None, meta={**small_mission.meta, "simulated": False, "origin": None}
    )
    write_scws(real, tmp_path / "real.fits")
    result = call("inspect", tmp_path / "real.fits")
    assert "SIMULATED" not in result.output
