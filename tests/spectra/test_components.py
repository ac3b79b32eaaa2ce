"""Components of spectral models: normalisation, limits, and names that are wrong."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB
from ridgebayes.priors import with_priors
from ridgebayes.spectra import column
from ridgebayes.spectra.components import COMPONENTS, check_bands, parameters, read_model
from ridgebayes.spectra.folding import fold

SHAPES = {"whitedwarf": 0.7, "cutoff": 12.0, "powerlaw": 1.5}
EDGES = np.array([[20.0, 60.0, 80.0], [60.0, 80.0, 200.0]])


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.slow
def test_amplitude_is_e2_at_the_pivot(name):
    component = COMPONENTS[name]
    photons = component.photons(jnp.array(component.pivot), jnp.array(SHAPES[name]))
    assert float(photons) * component.pivot**2 == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.slow
def test_folded_against_quadrature(name):
    component, shape = COMPONENTS[name], jnp.array(SHAPES[name])
    found = component.folded(*fold(EDGES, CRAB))(shape)
    for k, (low, high) in enumerate(EDGES.T):
        photons = quad(lambda e: float(component.photons(jnp.array(e), shape)), low, high)[0]
        crab = quad(lambda e: float(CRAB.photons(e)), low, high)[0] / 1000
        assert float(found[k]) == pytest.approx(photons / crab, rel=1e-5)


def test_whitedwarf_has_the_shape_of_its_column():
    energy = np.array([15.0, 35.0, 60.0, 120.0])
    found = COMPONENTS["whitedwarf"].photons(jnp.array(energy), jnp.array(0.83)) * energy**2
    fresh = energy * column.solve(0.83).energy_spectrum(energy)
    np.testing.assert_allclose(found, fresh / fresh[1], rtol=1e-4)


def test_models_are_read():
    assert [c.name for c in read_model("whitedwarf + powerlaw")] == ["whitedwarf", "powerlaw"]
    with pytest.raises(InputError, match=r"no component 'whitedwarfs' \(did you mean 'whitedwarf'\?\)"):
        read_model("whitedwarfs")
    with pytest.raises(InputError, match="given twice"):
        read_model("powerlaw+powerlaw")


def test_masses_and_bands_outside_of_the_table_are_refused():
    known = parameters(read_model("whitedwarf"), "fov")
    for prior in (1.5, "Uniform(0.2, 1.0)", "Normal(0.7, 0.1)"):
        with pytest.raises(InputError, match=r"must lie between 0\.3 and 1\.35"):
            with_priors(known, {"whitedwarf.mass": prior})
    with_priors(known, {"whitedwarf.mass": "TruncatedNormal(0.7, 0.1, low=0.3, high=1.35)"})
    check_bands(read_model("cutoff"), np.array([[5.0], [9.0]]))
    with pytest.raises(InputError, match="band 5-9 keV"):
        check_bands(read_model("whitedwarf"), np.array([[5.0], [9.0]]))
