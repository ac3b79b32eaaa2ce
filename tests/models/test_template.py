"""Templates times norms."""

import jax
import numpy as np
import pytest
from numpyro import handlers

from ridgebayes import models, sample, simulate, sky
from ridgebayes.errors import InputError
from ridgebayes.likelihood.design import prepare
from tests.helpers.sky_run import core_starlight


@pytest.mark.slow
def test_the_norm_of_the_starlight_is_recovered(starry_mission, three_regions, pull):
    model = models.template(three_regions).with_priors({"sky.departure_sd": 0.0})
    assert model.bands_apart
    run = sample(model, starry_mission.take_bands(["A01"]), seed=1, chains=2, warmup=100, draws=150)
    posterior = run.tree["posterior"]
    assert posterior["sky.norm"].dims == ("chain", "draw", "band", "template")
    truth = starry_mission.truth["intensity"]["GB"][0]
    assert np.abs(pull(posterior["sky.norm"], truth)).max() < 4
    # The intensities of the regions stand in the relation of their starlight, in every draw: departures of
    # no scale are 1e-4 mCrab/deg² at most.
    ratio = run.intensity() / run.intensity().sel(region="GB")
    np.testing.assert_allclose(ratio.mean(("chain", "draw", "band")), three_regions.stars, rtol=1e-3)
    assert len(run.table()) == 3


@pytest.mark.slow
def test_a_region_may_depart_from_its_map(starry_mission, three_regions, pull):
    """The bulge is twice as bright as the map says: an exact map is wrong by many sd."""
    known = starry_mission.truth
    intensity = {name: list(known["intensity"][name]) for name in three_regions.names}
    intensity["GB"] = [2 * value for value in intensity["GB"]]
    truth = simulate.Truth(template=None, intensity=intensity, tau=(0.01, 0.005, 0.003), sigma=[0.003] * 3)
    programme = simulate.programme(30, stop=2740, seed=11)
    brighter = simulate.mission(programme, truth, sky=three_regions, seed=4).take_bands(["A01"])
    true = np.array([intensity[name][0] for name in three_regions.names])

    def pulls(model):
        run = sample(model, brighter, seed=1, chains=2, warmup=100, draws=150)
        return pull(run.tree["posterior"]["sky.intensity"].isel(band=0).transpose(..., "region"), true)

    model = models.template(three_regions)
    assert np.abs(pulls(model)).max() < 4
    assert np.abs(pulls(model.with_priors({"sky.departure_sd": 0.0}))).max() > 8


@pytest.mark.slow
def test_a_map_that_is_one_region_has_no_departure():
    for name in ("bar_disc", "starlight"):
        assert "sky.departure" not in models.template(sky.load(name)).parameters
    assert "sky.departure" not in models.spectrum(sky.load("starlight")).parameters
    assert "sky.departure" in models.spectrum(sky.load("bar_disc")).parameters


@pytest.mark.slow
def test_departures_scatter_as_the_root_of_the_brightness(three_regions, starry_mission):
    data = prepare(starry_mission, three_regions).data
    known = {
        "sky.norm": np.zeros((3, 1)),
        "sky.departure_sd": np.array([0.1, 0.2, 0.3]),
        "crab.rate": np.array([1.0, 2.0, 0.5]),
    }

    def intensity(key):
        model = handlers.substitute(handlers.seed(models.template(three_regions), key), known)
        return handlers.trace(model).get_trace(data)["sky.intensity"]["value"]

    found = np.std(jax.lax.map(intensity, jax.random.split(jax.random.key(0), 4000)), axis=0)
    wanted = np.array([0.1, 0.1, 0.6])[:, None] * np.sqrt(three_regions.stars)
    np.testing.assert_allclose(found, wanted, rtol=0.05)


@pytest.mark.slow
def test_regions_of_one_map_are_one_template():
    coarse = sky.load("coarse")
    assert list(coarse.templates) == ["starlight"]
    bright = core_starlight(coarse)
    np.testing.assert_allclose(coarse.templates["starlight"], bright / bright.max())
    np.testing.assert_allclose(coarse.stars, bright / bright.max())


@pytest.mark.slow
def test_bar_and_disc_add_up_to_the_starlight():
    """Where both shine, their maps overlap; their sum is the map of all stars."""
    parts, whole = sky.load("bar_disc"), sky.load("starlight")
    assert list(parts.templates) == ["bar", "disc"]
    mean = [sky.skymap.core_brightness([region])[0] for region in parts.regions]
    together = np.asarray(parts.weights.T @ mean)
    alone = np.asarray(whole.weights.T @ sky.skymap.core_brightness(whole.regions))
    assert np.abs(together - alone).max() < 0.01 * alone.max()


@pytest.mark.slow
def test_two_maps_may_overlap_but_not_one_with_itself(tmp_path):
    cell = '[[region]]\nname = "{}"\nlon = [-20, 20]\nshape = "{}"\n'
    path = tmp_path / "sky.toml"
    path.write_text(cell.format("A", "starlight") + cell.format("B", "disc"))
    assert list(sky.load(path).templates) == ["starlight", "disc"]
    path.write_text(cell.format("A", "disc") + cell.format("B", "disc"))
    with pytest.raises(InputError, match="overlap"):
        sky.load(path)


def test_a_region_without_a_map_is_its_own_template():
    found = sky.load("example").templates
    assert list(found) == ["starlight", "first quadrant", "fourth quadrant", "Cygnus", "anticentre"]
    np.testing.assert_array_equal(np.stack(list(found.values())), np.eye(5))
