"""White dwarfs in all bands at once."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from ridgebayes import InputError, sample, simulate
from ridgebayes.instrument.crab_spectrum import CRAB, DEG2_PER_SR
from ridgebayes.likelihood.design import prepare
from ridgebayes.model import components
from ridgebayes.models.spectrum import hard
from ridgebayes.models.whitedwarf import thermal, whitedwarf
from ridgebayes.spectra import column

TRUE = {"thermal": 18.0, "mass": 0.65, "hard": 6.5, "index": 1.55}


def band_intensity(band):
    """Intensity where stars are brightest, mCrab/deg², from a freshly solved column."""
    solved = column.solve(TRUE["mass"])
    at = float(solved.energy_spectrum(35.0)) * 35
    soft = lambda e: TRUE["thermal"] * float(solved.energy_spectrum(e)) / e / at  # noqa: E731
    stiff = lambda e: TRUE["hard"] * float(hard(jnp.asarray(e), TRUE["index"]))  # noqa: E731
    total = sum(integrate.quad(f, band.e_min, band.e_max)[0] for f in (soft, stiff))
    return total / integrate.quad(CRAB.photons, band.e_min, band.e_max)[0] * 1000 / DEG2_PER_SR


@pytest.fixture(scope="module")
def mission(three_regions):
    """The mission of `starry_mission` with a sky of white dwarfs."""
    brightest = np.array([band_intensity(band) for band in simulate.BANDS])
    intensity = {
        n: (s * brightest).tolist() for n, s in zip(three_regions.names, three_regions.stars, strict=True)
    }
    truth = simulate.Truth(template=None, intensity=intensity, tau=(0.01, 0.005, 0.003), sigma=[0.003] * 3)
    return simulate.mission(simulate.programme(30, stop=2740, seed=11), truth, sky=three_regions, seed=4)


def test_fold_against_a_fresh_column(mission, three_regions):
    data = prepare(mission, three_regions).data
    found = components.fold(lambda e: thermal(e, jnp.asarray(TRUE["mass"])), data)
    found = found * TRUE["thermal"] + components.fold(
        lambda e: hard(e, jnp.asarray(TRUE["index"])), data
    ) * TRUE["hard"]  # fmt: skip
    wanted = [band_intensity(band) for band in mission.bands]
    np.testing.assert_allclose(found / DEG2_PER_SR, wanted, rtol=1e-4)


def test_the_parameters_are_recovered(mission, three_regions, pull):
    built = whitedwarf(three_regions)
    assert not built.bands_apart
    run = sample(built, mission, seed=1, chains=2, warmup=200, draws=150, target_accept=0.95)
    posterior = run.tree["posterior"]
    for name in ("thermal", "mass", "hard", "index"):
        assert np.abs(pull(posterior[f"sky.{name}"], TRUE[name])) < 4, name


def test_a_mass_outside_of_the_table_is_refused(three_regions):
    built = whitedwarf(three_regions)
    for prior in (1.4, "Uniform(0.1, 1)"):
        with pytest.raises(InputError, match=r"must lie between 0\.3 and 1\.35"):
            built.with_priors({"sky.mass": prior})
