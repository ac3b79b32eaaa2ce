from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from ridgebayes.errors import InputError
from ridgebayes.simulate import spectra
from ridgebayes.table.scw import Band

EDGES = np.geomspace(20.0, 200.0, 31)
NARROW = tuple(Band(f"N{i:02d}", lo, hi) for i, (lo, hi) in enumerate(pairwise(EDGES)))


def test_published_fluxes_of_the_bulge():
    np.testing.assert_allclose(spectra.gb_fov(spectra.BANDS), [154.886, 96.473, 102.207], rtol=1e-9)


def test_bulge_has_its_minimum_near_80_kev():
    flux = spectra.gb_fov(NARROW)
    assert (flux > 0).all()
    assert 70 < EDGES[np.argmin(flux)] < 105
    assert (np.diff(np.sign(np.diff(flux))) != 0).sum() == 1  # falls, then rises


def split(low, high):
    edges = np.linspace(low, high, 8)
    return [Band(f"p{i}", *edges[i : i + 2]) for i in range(7)]


@pytest.mark.parametrize("band", spectra.BANDS, ids=lambda band: band.name)
def test_rates_of_parts_add_up(band):
    parts = split(band.e_min, band.e_max)
    crab = spectra.crab(parts)
    np.testing.assert_allclose(crab.sum(), spectra.crab([band])[0], rtol=1e-9)
    # mCrab times the Crab's rate are counts, which add up too.
    np.testing.assert_allclose(
        spectra.gb_fov(parts) @ crab, spectra.gb_fov([band])[0] * crab.sum(), rtol=1e-9
    )
    whole = spectra.background([band], [0.0])[0]
    np.testing.assert_allclose(spectra.background(parts, np.zeros(7)).sum(), whole, rtol=1e-12)


def test_crab_is_its_power_law_times_the_efficiency():
    def counts(energy):
        return energy**-2.1 / (1 + (energy / 130) ** 2.2)

    inner, total = quad(counts, 60, 80)[0], quad(counts, 25, 60)[0]
    np.testing.assert_allclose(spectra.crab(spectra.BANDS)[:2], [119.0, 119.0 * inner / total], rtol=1e-9)


def test_background_of_the_measured_bands():
    bands = (*spectra.BANDS, Band("A04", 200.0, 600.0))
    np.testing.assert_allclose(spectra.background(bands, np.zeros(4)), [74.09, 46.51, 275.99, 174.21])
    np.testing.assert_allclose(spectra.background(bands[:1], [100.0]), 74.09 - 2.0)  # 20 mCrab of sources


def test_narrow_bands_are_smooth():
    density = spectra.background(NARROW, np.zeros(30)) / np.diff(EDGES)
    assert (density > 0).all()
    assert np.abs(np.diff(np.log(density))).max() < 0.3
    for values in (spectra.scatter(NARROW), spectra.elasticity(NARROW)):
        assert ((values > 0.004) & (values < 1)).all()


@pytest.mark.parametrize("band", [Band("low", 5, 20), Band("high", 500, 2000), Band("empty", 50, 50)])
def test_energies_outside_what_is_known(band):
    with pytest.raises(InputError, match=f"'{band.name}'.*15 to 1000 keV"):
        spectra.check([band])
    with pytest.raises(InputError, match="no energy bands"):
        spectra.check([])
