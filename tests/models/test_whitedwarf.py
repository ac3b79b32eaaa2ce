"""White dwarfs in all bands at once."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from scipy import integrate

from ridgebayes import InputError, sample, simulate
from ridgebayes.instrument.crab_spectrum import CRAB, DEG2_PER_SR
from ridgebayes.instrument.redistribution import redistribution
from ridgebayes.likelihood.design import prepare
from ridgebayes.model import folding
from ridgebayes.models.spectrum import hard
from ridgebayes.models.whitedwarf import thermal, whitedwarf
from ridgebayes.priors import Parameters, with_priors
from ridgebayes.spectra import column
from ridgebayes.spectra.folding import fold

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
    found = folding.fold(lambda e: thermal(e, jnp.asarray(TRUE["mass"])), data)
    found = found * TRUE["thermal"] + folding.fold(
        lambda e: hard(e, jnp.asarray(TRUE["index"])), data
    ) * TRUE["hard"]  # fmt: skip
    wanted = [band_intensity(band) for band in mission.bands]
    np.testing.assert_allclose(found / DEG2_PER_SR, wanted, rtol=1e-4)


@pytest.mark.slow
def test_the_parameters_are_recovered(mission, three_regions, pull):
    built = whitedwarf(three_regions)
    assert not built.bands_apart
    run = sample(built, mission, seed=1, chains=2, warmup=200, draws=150, target_accept=0.95)
    posterior = run.tree["posterior"]
    for name in ("thermal", "mass", "hard", "index"):
        assert np.abs(pull(posterior[f"sky.{name}"], TRUE[name])) < 4, name


def test_fold_with_a_redistribution_and_another_crab(mission, three_regions):
    data, mass = prepare(mission, three_regions).data, jnp.asarray(TRUE["mass"])
    spread = redistribution("fwhm=0.15")
    edges = np.array([[b.e_min for b in mission.bands], [b.e_max for b in mission.bands]])
    energy, weight = fold(edges, CRAB, redistribution=spread)
    found = folding.fold(lambda e: thermal(e, mass), data, None, spread)
    np.testing.assert_allclose(found, (thermal(energy, mass) * weight).sum(-1), rtol=1e-6)
    # A Crab that is 10 % brighter at 50 keV and steeper by 0.2.
    fixed = with_priors(folding.CRAB_SPECTRUM, {"crab_spectrum.norm": 1.1, "crab_spectrum.tilt": 0.2})
    changed = folding.fold(lambda e: thermal(e, mass), data, Parameters(fixed, {}))
    over = [
        integrate.quad(lambda e: CRAB.photons(e) * 1.1 * (e / 50) ** -0.2, *pair)[0]
        / integrate.quad(CRAB.photons, *pair)[0]
        for pair in edges.T
    ]
    plain = np.asarray(folding.fold(lambda e: thermal(e, mass), data))
    np.testing.assert_allclose(changed, plain / over, rtol=1e-6)


def test_the_model_takes_a_redistribution_and_records_it(mission, three_regions):
    data = prepare(mission, three_regions).data

    def intensity(model):
        fixed = {"sky.departure": np.zeros(3), "sky.hard_departure": np.zeros(3), "sky.hard": 0.0,
                 "sky.mass": 0.65, "sky.thermal": 18.0, "crab.rate": np.ones(3)}  # fmt: skip
        seeded = handlers.seed(handlers.substitute(model, fixed), 0)
        return np.asarray(handlers.trace(seeded).get_trace(data)["sky.intensity"]["value"])

    spread = whitedwarf(three_regions, redistribution="fwhm=0.15")
    assert spread.options == {"redistribution": "fwhm=0.15,at=60,power=-0.5"}
    ratio = intensity(spread) / intensity(whitedwarf(three_regions))
    one = [folding.fold(lambda e: thermal(e, jnp.asarray(0.65)), data, None, s)
           for s in (redistribution("fwhm=0.15"), None)]  # fmt: skip
    np.testing.assert_allclose(ratio, np.tile((one[0] / one[1])[:, None], 3), rtol=1e-6)
    assert (np.abs(ratio - 1) > 1e-3).any()
    with pytest.raises(InputError, match="no such file"):
        whitedwarf(three_regions, redistribution="rmf=nowhere.rmf")


def test_a_mass_outside_of_the_table_is_refused(three_regions):
    built = whitedwarf(three_regions)
    for prior in (1.4, "Uniform(0.1, 1)"):
        with pytest.raises(InputError, match=r"must lie between 0\.3 and 1\.35"):
            built.with_priors({"sky.mass": prior})
