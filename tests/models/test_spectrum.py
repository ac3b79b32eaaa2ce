"""All bands at once."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from ridgebayes import models, sample
from ridgebayes.instrument.crab_spectrum import CRAB
from ridgebayes.likelihood.design import prepare
from ridgebayes.model import folding
from ridgebayes.models.spectrum import hard, thermal
from tests.helpers.starry_sky import TRUE, band_intensity


@pytest.fixture(scope="module")
def data(starry_mission, three_regions):
    return prepare(starry_mission, three_regions).data


@pytest.mark.parametrize("temperature", [4.0, 9.0, 40.0])
def test_fold_of_the_thermal_part(data, starry_mission, temperature):
    found = folding.fold(lambda e: thermal(e, jnp.asarray(temperature)), data)
    wanted = [
        integrate.quad(lambda e: np.exp((35 - e) / temperature) / (35 * e), b.e_min, b.e_max, epsabs=0)[0]
        / (integrate.quad(CRAB.photons, b.e_min, b.e_max, epsabs=0)[0] / 1000)
        for b in starry_mission.bands
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


def test_fold_of_the_hard_part_and_of_the_crab(data, starry_mission):
    found = folding.fold(lambda e: hard(e, jnp.asarray(1.55)), data)
    wanted = [
        integrate.quad(lambda e: (e / 60) ** -1.55 / 60**2, b.e_min, b.e_max, epsabs=0)[0]
        / (integrate.quad(CRAB.photons, b.e_min, b.e_max, epsabs=0)[0] / 1000)
        for b in starry_mission.bands
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    crab = folding.fold(lambda e: CRAB.norm * e**-CRAB.index, data)
    np.testing.assert_allclose(crab, 1000.0, rtol=1e-12)


@pytest.mark.slow
def test_the_parameters_are_recovered(starry_mission, three_regions, pull):
    model = models.spectrum(three_regions)
    assert not model.bands_apart
    run = sample(model, starry_mission, seed=1, chains=2, warmup=200, draws=150, target_accept=0.95)
    posterior = run.tree["posterior"]
    assert "diverging_band" not in run.tree["sample_stats"]  # one joint fit
    for name in ("thermal", "temperature", "hard", "index"):
        assert np.abs(pull(posterior[f"sky.{name}"], TRUE[name])) < 4, name
    # Intensities in mCrab/deg² are what these parameters fold into, by an independent integral.
    first = posterior.dataset.isel(chain=0, draw=0).sel(region="GB")
    at = {name: float(first[f"sky.{name}"]) for name in TRUE}
    at["thermal"] += float(first["sky.departure"])
    at["hard"] += float(first["sky.hard_departure"])
    wanted = [band_intensity(band, at) for band in starry_mission.bands]
    np.testing.assert_allclose(first["sky.intensity"], wanted, rtol=1e-6)
