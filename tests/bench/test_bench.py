"""The benchmark: what it measures, how it keeps and shows it. No test looks at a clock."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from ridgebayes.bench import gradient, suite
from ridgebayes.bench.cases import BANDS, QUICK, REGIONS, SCWS, Case, grid, read_case
from ridgebayes.bench.report import BEGIN, END, ess_per_second, format_results, insert, scaling_figure
from ridgebayes.bench.suite import Settings, measure, read_results
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare
from ridgebayes.models import regions
from ridgebayes.sky import load
from ridgebayes.table.formats import read_scws
from tests.helpers.cli import call


def result(case, **changes):
    """What a case might have found."""
    return {
        "case": vars(case), "programme": "simulated", "options": [], "commit": "0123456789",
        "machine": {"processor": "a processor", "cores": 2, "memory_gib": 8.0},
        "versions": {"python": "3.11", "jax": "0.10", "numpyro": "0.22", "numpy": "2.4"},
        "when": "2026-01-02T03:04:05+00:00", "load": 0.5, "scws": case.scws + 7,
        "parameters": 50 * case.bands,
        "gradient_ms": 3.0 * case.scws / 5000, "floor_ms": 1.5 * case.scws / 5000, "steps_a_draw": 7.5,
        "worst_ess_sky": 400.0, "worst_r_hat": 1.004, "divergences": 0,
        "stages_s": {"prepare": 1.0, "sampling": 5.0},
        "sampling": {"chains": 4, "warmup": 150, "draws": 500},
        "fit": {"wall_s": 10.0 * case.bands * (case.scws / 5000), "compile_s": 2.0, "peak_gib": 0.75,
                "programs": 40, "device": "1 × cpu"},
        **changes,
    }  # fmt: skip


def test_a_case_is_read():
    assert read_case("160000, 40,3") == Case(160_000, 40, 3)


@pytest.mark.parametrize("text", ["160000", "1,2,3,4", "many,40,3", ""])
def test_a_case_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="such as 160000,40,3"):
        read_case(text)


def test_the_grid_is_whole_and_cheap_ones_come_first():
    cases = grid()
    assert len(set(cases)) == len(SCWS) * len(REGIONS) * len(BANDS)
    assert cases[0] == Case(5_000, 10, 1)
    assert cases[-1] == Case(160_000, 100, 30)
    assert set(QUICK) <= set(cases)


@pytest.mark.parametrize("number", REGIONS)
def test_sky_is_equal_bins_along_the_plane(tmp_path, number):
    sky = load(Case(5_000, number, 1).sky(tmp_path))
    assert len(sky) == number
    np.testing.assert_allclose(np.diff(np.sort(sky.centre_lon)), 360 / number, atol=1e-9)


@pytest.mark.parametrize(("bands", "made", "chosen"), [(1, 3, ["--band", "A01"]), (3, 3, []), (5, 5, [])])
@pytest.mark.slow
def test_mission_has_the_bands(tmp_path, bands, made, chosen):
    case = Case(150, 10, bands)
    answer = call(*case.simulation(tmp_path, None))
    assert answer.exit_code == 0, answer.output
    scws = read_scws(case.mission(tmp_path))
    assert len(scws.bands) == made
    assert case.chosen_bands == chosen
    assert 50 < len(scws) < 250
    assert scws.meta["simulated"]


@pytest.mark.slow
def test_floor_reads_what_the_density_reads(small_mission, three_regions):
    data = prepare(small_mission, three_regions, opened={"crab.rate", "reshaped"}).data.band(0)
    posterior = Posterior(regions(three_regions), data)
    read = gradient.columns_read(posterior, jnp.zeros(posterior.size), data, len(small_mission))
    names = ("rate", "stat_variance", "tracer", "basis", "crab_response", "exposure", "filled")
    expected = [getattr(data, name) for name in names]
    assert {id(x) for x in expected} <= {id(x) for x in read}
    assert data.reshaped is not None
    assert not any(x is data.reshaped for x in read)  # only the extra free_latitude reads it
    total = gradient._total(expected)
    np.testing.assert_allclose(total, [np.asarray(x).sum(-1).sum() for x in expected])
    for a, b in zip(gradient._by_row(expected), expected, strict=True):
        np.testing.assert_allclose(a, np.asarray(b).sum(-1))


def test_calls_are_timed_in_turn():
    order = []
    calls = [lambda i=i: order.append(i) for i in range(3)]
    seconds = gradient.in_turn(calls)
    assert seconds.shape == (3, gradient.ROUNDS)
    assert (seconds > 0).all()
    changes = [i for i, before in zip(order[1:], order, strict=False) if i != before]
    assert changes[-5:] == [1, 2, 0, 1, 2]


def test_quality_is_that_of_the_run(small_run):
    found = gradient.quality(small_run)
    statistics = small_run.tree["sample_stats"]
    assert found["worst_ess_sky"] == pytest.approx(float(small_run.diagnosis.ess_bulk["sky.intensity"].min()))
    assert found["worst_ess"] <= found["worst_ess_sky"]
    assert found["steps_a_draw"] == pytest.approx(float(statistics["n_steps"].mean()) / 2)  # two bands
    assert found["sampling"]["draws"] == 250


def test_results_are_kept_and_not_measured_again(tmp_path, monkeypatch):
    case = Case(5_000, 10, 1)
    calls = []
    made = {k: v for k, v in result(case).items() if k in ("scws", "gradient_ms", "fit")}
    monkeypatch.setattr(suite, "_one", lambda *given: calls.append(given) or made)
    monkeypatch.setattr(suite, "git_commit", lambda: "abc")
    first = list(measure([case], tmp_path, Settings()))
    assert list(measure([case], tmp_path, Settings())) == first == read_results(tmp_path)
    assert len(calls) == 1
    list(measure([case], tmp_path, Settings(options=("--draws", "5"))))
    list(measure([case], tmp_path, Settings(again=True)))
    monkeypatch.setattr(suite, "git_commit", lambda: "abc+")  # a changed tree is another every time
    list(measure([case], tmp_path, Settings()))
    list(measure([case], tmp_path, Settings()))
    assert len(calls) == 5


@pytest.mark.slow
def test_a_case_that_fails_is_recorded_with_the_reason(tmp_path):
    case = Case(60, 10, 1)
    (found,) = measure([case], tmp_path, Settings(options=("--chains", "0")))
    assert "--chains 0" in found["failed"]
    assert json.loads((tmp_path / "results.jsonl").read_text())["failed"] == found["failed"]
    assert "Not measured: 60 scws, 10 regions, 1 bands" in format_results([found])
    (late,) = measure([case], tmp_path, Settings(limit_s=0.01))
    assert "not finished after 0.01 s" in late["failed"]


def test_table_has_the_numbers():
    case = Case(20_000, 40, 3)
    text = format_results([result(case)])
    assert "2 cores of a processor" in text
    assert "Simulated data" in text
    assert "commit 01234567;" in text
    header, _, row = [line for line in text.splitlines() if line.startswith("|")][:3]
    cells = dict(zip(header.strip("| ").split(" | "), row.strip("| ").split(" | "), strict=True))
    assert cells["ScWs"] == "20,007"
    assert cells["ratio"] == "2.0"
    assert cells["wall s"] == "120.0"
    assert cells["ESS a s"] == f"{400 / 120:.2f}"
    assert "| prepare | sampling |" in text
    assert f"| 1.0 | 5.0 | 114.0 | {5000 / (4 * 650 * 3):.2f} |" in text
    assert ess_per_second(result(case)) == pytest.approx(400 / 120)


def test_demo_is_told(tmp_path):
    demo = result(Case(1, 1, 1)) | {"case": "demo", "again": {"wall_s": 20.25}}
    assert "a second time 20.2 s" in format_results([demo])


def test_figure_has_a_line_for_every_regions_and_bands():
    results = [result(case) for case in grid(SCWS, REGIONS, (1, 3))]
    axes = scaling_figure(results).axes
    assert len(axes) == 4
    assert len(axes[1].lines) == 6
    x, y = axes[1].lines[0].get_data()
    np.testing.assert_allclose(x, np.array(SCWS) + 7)
    np.testing.assert_allclose(y, 10 * np.array(SCWS) / 5000)
    drawn = [line for line in axes[0].lines if len(line.get_xdata())]
    assert len(drawn) == 6  # gradient and floor, of one band each
    np.testing.assert_allclose(axes[0].lines[0].get_ydata() / axes[0].lines[1].get_ydata(), 2.0)


def test_markdown_between_marks(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text("# Before\n")
    insert("one\n", path)
    assert path.read_text() == f"# Before\n\n{BEGIN}\none\n{END}\n"
    path.write_text(path.read_text() + "after\n")
    insert("two\n", path)
    assert path.read_text() == f"# Before\n\n{BEGIN}\ntwo\n{END}\nafter\n"
    path.write_text(BEGIN)
    with pytest.raises(InputError, match="only one of the marks"):
        insert("three\n", path)
    with pytest.raises(InputError, match="no such file"):
        insert("three\n", tmp_path / "none.md")


def test_refusals(tmp_path):
    answer = call("bench", "--n-scws", "0", "--out", tmp_path)
    assert answer.exit_code == 2
    assert "--n-scws 0: must be at least 1" in answer.output
    answer = call("bench", "--n-scws", "60", "--programme", "none.csv", "--out", tmp_path)
    assert answer.exit_code == 2
    assert "none.csv: no such file" in answer.output
    (tmp_path / "results.jsonl").write_text("{")
    answer = call("bench", "--n-scws", "60", "--out", tmp_path)
    assert answer.exit_code == 2
    assert "results.jsonl: cannot be read" in answer.output
    answer = call("bench", "--markdown", "none.md", "--out", tmp_path / "new")
    assert answer.exit_code == 2
    assert "none.md: no such file" in answer.output
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_small_case_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "compiled"))
    out = tmp_path / "bench"
    arguments = ["--chains", "2", "--warmup", "50", "--draws", "50"]
    answer = call(
        "bench", "--n-scws", "4000", "--n-regions", "10", "--n-bands", "1", "--out", out, *arguments
    )
    assert answer.exit_code == 0, answer.output
    (found,) = read_results(out)
    assert "failed" not in found
    assert found["fit"]["programs"] > 10
    assert found["fit"]["cache_missed"] > 0
    assert 0.1 < found["fit"]["peak_gib"] < 4
    assert found["gradient_ms"] > 0
    assert found["floor_ms"] > 0
    assert 0 < found["steps_a_draw"] < 30
    assert (out / "scaling.png").exists()
    assert (out / "results.md").read_text() in answer.output
