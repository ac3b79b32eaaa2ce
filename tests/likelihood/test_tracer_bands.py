"""Bands without sky as tracers: the table, their columns, the Crab taken out, and what they are worth."""

import dataclasses

import jax
import numpy as np
import pytest
from numpy.polynomial import legendre

from ridgebayes import models, read_scws, sample, simulate, write_scws
from ridgebayes.convert import append
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.sampler import Sampler
from ridgebayes.likelihood.tracer_bands import TracerScales, columns, crab_of_tracers
from ridgebayes.runs.reload import reopen
from ridgebayes.runs.sampling import meet
from ridgebayes.runs.update import update
from ridgebayes.simulate import spectra
from ridgebayes.table.scw import Band
from tests.helpers.cli import call, one_line

HARD = Band("HARD", 200.0, 600.0)
CORRELATION = 0.8


@pytest.fixture(scope="module")
def missions(three_regions):
    """A simulated mission in which bands share noise, and one in which they do not; no sky in the last."""
    truth = simulate.Truth(bands=(spectra.BANDS[0], HARD), gb_fov=[150.0, 0.0])
    programme = simulate.programme(40, stop=2740, seed=5)
    worlds = {"shared": simulate.World.on("shared_noise"), "clean": None}
    return {
        name: simulate.mission(programme, truth, sky=three_regions, world=world, seed=5)
        for name, world in worlds.items()
    }


@pytest.fixture(scope="module")
def shared(missions):
    return missions["shared"]


def test_tables_put_bands_aside_and_take_them_back(shared, tmp_path):
    aside = shared.with_tracer_bands("HARD")
    assert aside.band_names == ("A01",)
    assert aside.tracer_bands == (HARD,)
    assert np.array_equal(aside.aside[:, 0], shared.rate[:, 1])
    assert aside.fingerprint() != shared.take_bands("A01").fingerprint()
    assert aside.without_tracer_bands().fingerprint() == shared.fingerprint()
    some = aside.select(np.arange(10))
    assert np.array_equal(some.aside, aside.aside[:10])
    write_scws(aside, tmp_path / "whole.fits")
    assert read_scws(tmp_path / "whole.fits").fingerprint() == shared.fingerprint()
    halves = [aside.select(half) for half in np.array_split(np.arange(len(aside)), 2)]
    assert append(halves).fingerprint() == aside.fingerprint()
    assert shared.with_tracer_bands(()) is shared


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("HRAD", "band 'HRAD' is not in the ScW table.*HARD"),
        (["HARD", "HARD"], "each only once"),
        (["HARD", "A01"], "no band is left to fit"),
    ],
)
def test_wrong_names_are_refused(shared, names, message):
    with pytest.raises(InputError, match=message):
        shared.with_tracer_bands(names)


def test_the_crab_is_found_beside_revolution_terms():
    rng = np.random.default_rng(2)
    position = np.repeat(np.arange(60), 40)
    phase = np.tile(np.linspace(0.05, 0.95, 40), 60)
    time = np.linspace(-1, 1, 60)
    response = np.where(rng.uniform(size=position.size) < 0.5, rng.uniform(size=position.size), 0.0)
    truth = np.array([[20.0, -3.0, -1.0, 0.5], [5.0, 0.0, 0.0, 0.0]])
    terms = rng.normal(size=(60, 3))[position] * legendre.legvander(2 * phase - 1, 2)
    signal = legendre.legval(time[position], truth.T) * response
    excess = (signal + terms.sum(1)).T + 0.01 * rng.normal(size=(position.size, 2))
    found = crab_of_tracers(excess, response, phase, position, time)
    np.testing.assert_allclose(found, truth, atol=0.01)
    assert not crab_of_tracers(excess, 0 * response, phase, position, time).any()
    # Of three revolutions only the mean rate is known.
    few = position < 3
    some = crab_of_tracers(excess[few], response[few], phase[few], position[few], time)
    assert some[:, 0] == pytest.approx(legendre.legval(-1.0, truth.T), rel=0.02)
    assert not some[:, 1:].any()


def test_columns_are_means_of_revolutions_and_what_is_left():
    position, time = np.array([0, 0, 1, 1, 1]), np.array([-1.0, 1.0])
    scales = TracerScales(np.array([[100.0, 50.0]]), np.array([[10.0, 0.0, 0.0, 0.0]]))
    rate = np.array([[101.0], [113.0], [50.0], [51.0], [52.0]])
    mean, rest = columns(rate, np.array([0.0, 1.0, 0.0, 0.0, 0.0]), position, time, scales)
    np.testing.assert_allclose(mean, [0.02, 0.02, 0.02, 0.02, 0.02])
    np.testing.assert_allclose(rest, [-0.01, 0.01, -0.02, 0.0, 0.02], atol=1e-12)


def found_at_mode(table, sky):
    """Mean and sd of the linear parameters of one band given the nonlinear ones at their mode, by name."""
    model, prepared = meet(models.regions(sky), table)
    data = prepared.data.band(0)
    posterior = Posterior(model, data)
    sampler = Sampler(posterior, data, warmup=0)
    around, given = sampler.search.mode(posterior.start(jax.random.key(0), data), data)
    at = sampler.marginal.conditionals(around.mode[None], given)
    sd = np.sqrt(np.diag(np.linalg.inv(at.factor[0] @ at.factor[0].T)))
    linear = sampler.marginal.linear
    return {
        name: (at.mean[0][posterior.named(name)[linear]], sd[posterior.named(name)[linear]])
        for name in ("sky.intensity", "background.tracer_bands")
    }


@pytest.mark.slow
def test_intervals_narrow_as_far_as_noise_is_shared(missions, three_regions):
    sd = {}
    for world, table in missions.items():
        plain = found_at_mode(table.take_bands("A01"), three_regions)["sky.intensity"][1]
        traced = found_at_mode(table.with_tracer_bands("HARD"), three_regions)
        sd[world] = traced["sky.intensity"][1] / plain
        slope, error = (x[1] for x in traced["background.tracer_bands"])
        # Covariance over variance of the relative rates of HARD: scatter that is shared, and counting noise.
        scatter, hard = simulate.Truth(bands=(spectra.BANDS[0], HARD)).values().sigma
        counting = np.mean((table.stat_err[:, 1] / table.rate[:, 1]) ** 2)
        expected = CORRELATION * scatter * hard / (hard**2 + counting) if world == "shared" else 0.0
        assert abs(slope - expected) < 4 * error
    left = np.sqrt(1 - CORRELATION**2)
    assert (sd["shared"] < 0.85).all()
    assert (sd["shared"] > left).all()
    np.testing.assert_allclose(sd["clean"], 1.0, atol=0.08)


@pytest.fixture(scope="module")
def run(shared, three_regions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("traced")
    inside = np.unique(shared.revolution)
    write_scws(shared, folder / "all.fits")
    write_scws(shared.select(shared.revolution < inside[-2]), folder / "old.fits")
    table = read_scws(folder / "old.fits").with_tracer_bands("HARD")
    made = sample(models.regions(three_regions), table, out=folder / "run", draws=250, seed=1)
    return folder, made


@pytest.mark.slow
def test_a_run_is_opened_again_as_it_was(run):
    _, made = run
    again = reopen(made)
    assert again.prepared.scws.tracer_bands == (HARD,)
    assert made.record["data"]["tracer_bands"] == ["HARD"]
    columns = list(made.tree["posterior"].dataset["tracer_column"].values)
    assert columns == ["HARD revolutions", "HARD ScWs"]
    one = jax.jit(again.posterior.potential)
    stored = made.tree["sample_stats"].dataset["lp"].values[0, :3]
    np.testing.assert_allclose([-one(z, again.parts[0]) for z in again.z[0, 0, :3]], stored, rtol=1e-9)


@pytest.mark.slow
def test_a_run_is_brought_up_to_date(run):
    folder, made = run
    later = update(made, folder / "all.fits", folder / "later")
    assert later.record["data"]["tracer_bands"] == ["HARD"]
    assert later.record["update"]["new_scws"] > 0
    scales = [reopen(each).prepared.scales for each in (made, later)]
    # Scales of the old revolutions stay, so that parameters keep their meaning.
    before = scales[0].tracers.level
    assert np.array_equal(before, scales[1].tracers.level[:, : before.shape[1]])
    assert np.array_equal(scales[0].tracers.crab, scales[1].tracers.crab)


def test_a_model_that_follows_tracer_bands_needs_them(shared, three_regions):
    with pytest.raises(InputError, match=r"say which \(scws.with_tracer_bands"):
        meet(models.regions(three_regions).with_tracer_bands(), shared)
    model = models.regions(three_regions)
    without = {n: p for n, p in model.parameters.items() if n != "background.tracer"}
    with pytest.raises(InputError, match="no background that follows a tracer"):
        dataclasses.replace(model, parameters=without).with_tracer_bands()


@pytest.mark.long
def test_the_command_line_names_what_is_wrong(run):
    folder, _ = run
    said = call("fit", folder / "old.fits", "--tracer-band", "HRAD", "--out", folder / "no")
    one_line(said, "band 'HRAD' is not in the ScW table", "HARD")
