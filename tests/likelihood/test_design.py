"""From table to arrays: reference scales, Crab calibration, what does not change a result."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ridgebayes import simulate
from ridgebayes.errors import InputError
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import prepare
from ridgebayes.likelihood.reference import reference_level
from ridgebayes.models import regions
from ridgebayes.runs.sampling import meet


@pytest.fixture(scope="module")
def prepared(small_mission, three_regions):
    return prepare(small_mission, three_regions)


def log_density(prepared, sky):
    posterior = Posterior(regions(sky), prepared.data)
    z = jnp.linspace(-0.1, 0.1, posterior.size)
    return float(jax.jit(posterior.potential)(z, prepared.data))


def test_reference_level_is_near_the_truth(prepared, small_mission):
    truth = small_mission.truth
    for k in range(2):
        level = np.interp(prepared.revolution_mjd, truth["mjd"], np.array(truth["level"])[:, k])
        assert np.abs(prepared.data.level[k] / level - 1).max() < 0.12


def test_reference_level_stays_near_the_data_where_they_are_few(rng):
    """A few odd revolutions before a long gap and a bright flare: no polynomial's wild ends."""
    years = np.sort(np.r_[0.0, 0.02, 0.04, 2.6, rng.uniform(4, 12, 80)])
    truth = 70 * (1 + 0.1 * np.sin(2 * np.pi * years / 11))
    each = truth * rng.normal(1, 0.03, years.size)
    each[40] *= 3.0
    position = np.repeat(np.arange(years.size), 8)
    rate = rng.normal(each[position], 0.3)[:, None]
    quiet = np.full(position.size, 40.0)
    level = reference_level(rate, quiet, np.zeros(position.size, bool), position, years)[0]
    assert np.abs(level / truth - 1).max() < 0.06


def test_reference_crab_is_near_the_truth(prepared, small_mission):
    crab = np.array(small_mission.truth["crab_rate"]).mean(0)
    np.testing.assert_allclose(prepared.data.crab_rate, crab, rtol=0.25)


def test_reference_crab_is_that_of_dense_least_squares(prepared, small_mission):
    """In a hard band the revolutions' background would hide the Crab."""
    scws, level, trend = prepared.scws, prepared.scales.level, prepared.scales.trend
    position = np.searchsorted(prepared.scales.revolution, scws.revolution)
    response = prepared.layout.unpack(np.asarray(prepared.data.crab_response)) * scws.crab
    kept = np.isin(position, position[scws.crab]) | (np.abs(scws.lat) > 20)
    same = position[kept][:, None] == position[kept]
    for band in range(2):
        base = level[band, position[kept]]
        design = np.stack([response[kept], base * (scws.tracer[kept] / trend[position[kept]] - 1)], -1)
        noise = (
            np.diag(scws.stat_err[kept, band] ** 2 + (0.01 * base) ** 2) + same * (0.03 * base.mean()) ** 2
        )
        solved = np.linalg.solve(noise, design)
        rate = np.linalg.solve(design.T @ solved, solved.T @ (scws.rate[kept, band] - base))[0]
        np.testing.assert_allclose(prepared.data.crab_rate[band], rate, rtol=1e-8)


@pytest.mark.parametrize("tracer", [True, False])
def test_reference_crab_of_a_hard_band_of_few_revolutions(three_regions, tracer):
    """Beside its background, of which revolutions differ by more than the Crab gives, the Crab is found."""
    for seed in (0, 1, 2):
        scws = simulate.mission(simulate.programme(30, stop=2740, seed=seed), sky=three_regions, seed=seed)
        scws = (
            scws.take_bands(["A03"]) if tracer else dataclasses.replace(scws, tracer=None).take_bands(["A03"])
        )
        true = np.array(scws.truth["crab_rate"])[:, 2]
        assert true.min() / 1.25 < prepare(scws, three_regions).data.crab_rate[0] < true.max() * 1.25


def test_a_crab_that_is_not_seen_counts_as_its_error(prepared, small_mission, three_regions):
    hidden = np.where(small_mission.crab[:, None], small_mission.rate * 0.3, small_mission.rate)
    found = prepare(dataclasses.replace(small_mission, rate=hidden), three_regions).data.crab_rate
    assert (found > 0).all()
    assert (found < 0.1 * np.asarray(prepared.data.crab_rate)).all()


def test_tracer_is_relative_to_its_trend(prepared, small_mission):
    tracer = prepared.layout.unpack(prepared.data.tracer)
    assert np.abs(np.median(tracer)) < 0.02
    assert np.corrcoef(tracer, small_mission.tracer)[0, 1] > 0.2


def test_phase_basis_is_orthogonal(prepared):
    """Against the shifted Legendre polynomials written out."""
    p = prepared.scws.phase
    expected = np.stack([np.ones_like(p), 2 * p - 1, 6 * p**2 - 6 * p + 1])
    np.testing.assert_allclose(prepared.layout.unpack(prepared.data.basis), expected, atol=1e-14)


@pytest.mark.slow
def test_row_order_changes_nothing(prepared, small_mission, three_regions, rng):
    shuffled = prepare(small_mission.select(rng.permutation(len(small_mission))), three_regions)
    assert log_density(shuffled, three_regions) == log_density(prepared, three_regions)


@pytest.mark.slow
def test_time_offset_changes_nothing(prepared, small_mission, three_regions):
    later = prepare(dataclasses.replace(small_mission, mjd=small_mission.mjd + 1000), three_regions)
    assert log_density(later, three_regions) == pytest.approx(log_density(prepared, three_regions), rel=1e-9)


@pytest.mark.slow
def test_without_tracer_and_roll(small_mission, three_regions):
    bare = dataclasses.replace(small_mission, tracer=None, tracer_err=None, roll=None)
    data = prepare(bare, three_regions).data
    assert (data.tracer == 0).all()
    assert np.isfinite(log_density(prepare(bare, three_regions), three_regions))


def test_bands_of_the_data(prepared):
    one = prepared.data.band(1)
    assert one.rate.shape[0] == one.level.shape[0] == one.crab_rate.shape[0] == 1
    np.testing.assert_array_equal(one.rate[0], prepared.data.rate[1])


@pytest.fixture(scope="module")
def no_crab(small_mission):
    return small_mission.select(~small_mission.crab)


def test_no_crab_needs_a_rate(no_crab, three_regions):
    message = "no ScW contains the Crab.*given for A01, A02: .*such as crab_rate={'A01': 119, 'A02': …}"
    with pytest.raises(InputError, match=message):
        prepare(no_crab, three_regions)
    with pytest.raises(InputError, match="given for A02"):
        prepare(no_crab, three_regions, crab_rate={"A01": 119.0})


def test_given_crab_rate(no_crab, small_mission, three_regions):
    prepared = prepare(no_crab, three_regions, crab_rate={"A02": 20.0, "A01": 119.0})
    np.testing.assert_array_equal(prepared.data.crab_rate, [119.0, 20.0])
    assert prepared.crab_given
    with pytest.raises(InputError, match=r"no band 'A1'.*did you mean 'A01'"):
        prepare(no_crab, three_regions, crab_rate={"A1": 119.0})
    with pytest.raises(InputError, match="must be positive"):
        prepare(no_crab, three_regions, crab_rate={"A01": -1.0, "A02": 1.0})
    with pytest.raises(InputError, match="leave out the given Crab rate"):
        prepare(small_mission, three_regions, crab_rate={"A01": 119.0, "A02": 20.0})


def test_crab_out_of_view_is_an_error(no_crab, three_regions):
    wrong = dataclasses.replace(no_crab, crab=no_crab.at_high_latitude(40.0))
    with pytest.raises(InputError, match="do not have the Crab in their field of view"):
        prepare(wrong, three_regions)


@pytest.mark.slow
def test_unseen_region_is_named(small_mission, caplog):
    from ridgebayes import sky

    coarse = sky.load("coarse")
    away = small_mission.select(small_mission.lon > -60)
    _, prepared = meet(regions(coarse), away)
    assert "L-140" in prepared.unseen
    assert "prior only" in caplog.text
