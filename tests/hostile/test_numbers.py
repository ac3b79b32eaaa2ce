"""Numbers that must not move: units and zeros of time, and those that must in a known way: exposure, regions.

With its scales held the model is linear, so that its posterior is found here by dense algebra.
"""

import dataclasses
from itertools import pairwise
from typing import NamedTuple

import jax
import numpy as np
import pytest
from astropy.table import Column, Table
from numpy.testing import assert_allclose

from ridgebayes import models, sky
from ridgebayes.convert import BandColumns, Mapping, convert
from ridgebayes.inference.log_density import Posterior
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.runs.sampling import independent, meet

HELD = {
    "sky.latitude": 0.0,
    "background.scatter": 0.01,
    "background.revolution_sd": 0.04,
    "crab.rate": 1.0,
    "crab.shape": 0.0,
    "crab.scatter": 0.005,
}


class Solved(NamedTuple):
    """Posterior mean and covariance of the intensities of the first band."""

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def sd(self):
        return np.sqrt(np.diag(self.covariance))


def solved(scws, regions, **priors):
    """Solve the linear model; priors by name with _ for the dot."""
    changes = HELD | {name.replace("_", ".", 1): prior for name, prior in priors.items()}
    model, prepared = meet(models.regions(regions).with_priors(changes), scws)
    part = independent(model, prepared.data)[0]
    posterior = Posterior(model, part)
    gradient = jax.jit(jax.grad(posterior.potential))
    # Minus the log density is a quadratic form: its gradient is linear, and these are its columns.
    at_zero = np.asarray(gradient(np.zeros(posterior.size), part))
    curvature = np.array([np.asarray(gradient(unit, part)) - at_zero for unit in np.eye(posterior.size)])
    mode = -np.linalg.solve(curvature, at_zero)
    assert_allclose(gradient(mode, part), 0.0, atol=1e-6 * np.abs(at_zero).max())
    to_sky = np.asarray(jax.jacobian(lambda z: posterior.constrain_one(z)["sky.intensity"].ravel())(mode))
    mean = posterior.constrain(mode)["sky.intensity"].ravel()
    return Solved(mean, to_sky @ np.linalg.inv(curvature) @ to_sky.T)


@pytest.fixture(scope="module")
def mission(small_mission):
    return small_mission.take_bands(["A01"])


@pytest.fixture(scope="module")
def plain(mission, three_regions):
    return solved(mission, three_regions)


@pytest.mark.slow
def test_the_solution_finds_the_truth(mission, three_regions, small_run):
    """With the Crab's rate over time as a fit has found it; held constant it would be wrong by a fifth."""
    draws = small_run.tree["posterior"].dataset.sel(band="A01")
    means = {name: draws[name].mean(("chain", "draw")).values for name in ("crab.rate", "crab.shape")}
    found = solved(
        mission, three_regions, crab_rate=float(means["crab.rate"]), crab_shape=means["crab.shape"].tolist()
    )
    assert np.all(np.abs(found.mean - [0.3, 0.7, 0.3]) < 4 * found.sd)
    assert found.sd.max() < 0.1


UNITS = {
    "tiny": ("ns", "ct/Ms", "arcsec", "rad", "s"),
    "huge": ("Myr", "ct/ns", "hourangle", "arcmin", "yr"),
    "counts": ("ks", "ct", "rad", "mas", "ms"),
}


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.slow
def test_odd_units_give_the_same_intensities(name, mission, plain, three_regions, tmp_path):
    exposure, rate, ra, dec, time = UNITS[name]
    table = Table({"SCW_ID": mission.scw_id, "PHASE": mission.phase * 100, "CRAB": mission.crab})
    table["PHASE"].unit = "%"
    per = mission.exposure if rate == "ct" else 1.0
    columns = {
        "EXPOSURE": (mission.exposure, "s", exposure),
        "RA": (mission.ra, "deg", ra),
        "DEC": (mission.dec, "deg", dec),
        "TIME": (mission.mjd - 51544.0, "d", time),
        "ROLL": (mission.roll, "deg", "arcsec"),
        "RATE": (mission.rate[:, 0] * per, "ct" if rate == "ct" else "ct/s", rate),
        "RATE_ERR": (mission.stat_err[:, 0] * per, "ct" if rate == "ct" else "ct/s", rate),
        "TRACER": (mission.tracer, "ct/s", "ct/ks"),
        "TRACER_ERR": (mission.tracer_err, "ct/s", "ct/ks"),
    }
    for column, (values, own, unit) in columns.items():
        table[column] = Column(values, unit=own)
        table[column].convert_unit_to(unit)
    table.write(tmp_path / "odd.ecsv")
    bands = (BandColumns("A01", 25.0, 60.0, "RATE", "RATE_ERR"),)
    done = convert([tmp_path / "odd.ecsv"], Mapping(bands=bands, system="ijd", scale="tt", simulated=True))
    again = solved(done.scws, three_regions)
    assert_allclose(again.mean, plain.mean, rtol=1e-6)
    assert_allclose(again.covariance, plain.covariance, rtol=1e-6, atol=1e-12)


@pytest.mark.slow
def test_another_zero_of_time_changes_no_intensity(mission, plain, three_regions):
    later = solved(dataclasses.replace(mission, mjd=mission.mjd + 1000.0), three_regions)
    assert_allclose(later.mean, plain.mean, rtol=1e-6)
    assert_allclose(later.covariance, plain.covariance, rtol=1e-6, atol=1e-12)


@pytest.mark.slow
def test_row_order_changes_no_intensity(mission, plain, three_regions, rng):
    again = solved(mission.select(rng.permutation(len(mission))), three_regions)
    assert_allclose(again.mean, plain.mean, rtol=1e-9)


@pytest.mark.slow
def test_twice_the_exposure_shrinks_counting_errors_by_the_root_of_two(mission, three_regions):
    twice = dataclasses.replace(
        mission, exposure=2 * mission.exposure, stat_err=mission.stat_err / np.sqrt(2.0)
    )
    counting = {"background_scatter": 1e-6, "crab_scatter": 1e-6}
    one, two = (solved(scws, three_regions, **counting) for scws in (mission, twice))
    assert_allclose(one.sd / two.sd, np.sqrt(2.0), rtol=0.03)
    # Where the scatter of the background rules, more exposure hardly helps.
    one, two = (solved(scws, three_regions, background_scatter=0.05) for scws in (mission, twice))
    assert np.all(one.sd / two.sd < 1.05)


def test_simulated_errors_shrink_as_counts_do(three_regions):
    from ridgebayes import simulate

    programme = simulate.programme(2, stop=2740, seed=1)
    truth = simulate.Truth(
        bands=simulate.BANDS[:1], template=None, intensity={n: [0.4] for n in three_regions.names}
    )
    longer = dataclasses.replace(programme, exposure=2 * programme.exposure)
    one, two = (simulate.mission(p, truth, sky=three_regions, seed=2) for p in (programme, longer))
    assert_allclose(np.median(one.stat_err / two.stat_err), np.sqrt(2.0), rtol=0.01)


# --- a region split in two


def cells(folder, shape, *edges):
    text = "".join(
        f'[[region]]\nname = "c{k}"\nlon = [{low}, {high}]\nshape = {shape}\ncore_lat = 5\n'
        for k, (low, high) in enumerate(pairwise(edges))
    )
    path = folder / f"cells{len(edges)}.toml"
    path.write_text(text)
    return sky.load(path)


SECH = '{kind = "sech2", scale = 2.0, lat_max = 15}'


@pytest.mark.parametrize("shape", [SECH, '{kind = "starlight", lat_max = 15}', '{kind = "uniform"}'])
def test_exposures_of_the_parts_add_up_to_the_whole(shape, mission, tmp_path):
    near = mission.select(np.abs((mission.lon + 180) % 360 - 180) < 25)
    whole, parts = cells(tmp_path, shape, -10, 10), cells(tmp_path, shape, -10, -3, 10)
    # One intensity is the mean over a core: brightness of the parts over that of the whole, where it changes.
    share = [1.0, 1.0]
    if "starlight" in shape:
        share = parts.stars / (parts.stars @ [7 / 20, 13 / 20])
    one = sky.exposure(near, whole, Trapezoid(), cache=False)[:, 0]
    two = sky.exposure(near, parts, Trapezoid(), cache=False) @ share
    assert one.max() > 20
    assert_allclose(two, one, atol=2e-3 * one.max())
    assert_allclose(parts.solid_angles @ share, whole.solid_angles[0], rtol=1e-3)


@pytest.mark.slow
def test_the_posterior_of_two_halves_that_share_an_intensity_is_that_of_the_whole(mission, tmp_path):
    whole, parts = (cells(tmp_path, SECH, *edges) for edges in ((-30, 30), (-30, -7, 30)))
    one = solved(mission, whole)
    both = solved(mission, parts, sky_intensity="Shared(Normal(0, 10), region)")
    assert_allclose(both.mean, one.mean[0], rtol=2e-3)
    assert_allclose(both.sd, one.sd[0], rtol=2e-3)


@pytest.mark.slow
def test_halves_that_are_free_add_up_to_the_whole_within_their_errors(mission, tmp_path):
    whole, parts = (cells(tmp_path, SECH, *edges) for edges in ((-30, 30), (-30, 0, 30)))
    one, two = solved(mission, whole), solved(mission, parts)
    weight = parts.solid_angles / parts.solid_angles.sum()
    mean, sd = weight @ two.mean, np.sqrt(weight @ two.covariance @ weight)
    # The whole is estimated from the same data with less freedom: it differs by what the freedom costs.
    assert abs(mean - one.mean[0]) < 3 * np.sqrt(max(sd**2 - one.sd[0] ** 2, 1e-6)) + 0.1 * sd
