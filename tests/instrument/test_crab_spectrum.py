"""The Crab in physical units, against quadrature, astropy's units and one published number."""

import astropy.units as u
import numpy as np
import pytest
from scipy.integrate import quad

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import (
    ATEL4869,
    CRAB,
    NAMED,
    CrabSpectrum,
    crab_spectrum,
    mean_energy,
)

BANDS = [(25.0, 60.0), (60.0, 80.0), (80.0, 200.0), (99.0, 101.0), (17.3, 17.4)]
SPECTRA = [
    CRAB,
    ATEL4869,
    CrabSpectrum(3.0, 1.0),  # the closed form of the photon flux is a logarithm
    CrabSpectrum(3.0, 2.0),  # and here that of the energy flux
    CrabSpectrum(8.0, 1.0, 100.0, 2.0),
    CrabSpectrum(8.0, 2.0 + 1e-13, 30.0, 2.5),
]


def power_law(spectrum):
    """Return the photon spectrum as a plain function, written again."""

    def density(energy):
        if spectrum.e_break is None or energy < spectrum.e_break:
            return spectrum.norm * energy**-spectrum.index
        at_break = spectrum.norm * spectrum.e_break**-spectrum.index
        return at_break * (energy / spectrum.e_break) ** -spectrum.index2

    return density


def integral(function, low, high, *, at=None):
    points = [at] if at is not None and low < at < high else None
    return quad(function, low, high, points=points, epsrel=1e-11, epsabs=0)[0]


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize(("low", "high"), BANDS)
def test_fluxes_against_quadrature(spectrum, low, high):
    density = power_law(spectrum)
    at = spectrum.e_break
    photons = integral(density, low, high, at=at)
    energy = integral(lambda e: e * density(e), low, high, at=at)
    per_ln_e = integral(
        lambda x: np.exp(2 * x) * density(np.exp(x)), np.log(low), np.log(high), at=at and np.log(at)
    )
    erg = (energy * u.keV / u.s / u.cm**2).to_value(u.erg / u.s / u.cm**2)
    kev2 = per_ln_e / np.log(high / low) * u.keV / u.s / u.cm**2 / u.deg**2
    assert spectrum.photons_per_mcrab(low, high) == pytest.approx(photons / 1000, rel=1e-9)
    assert spectrum.erg_per_mcrab(low, high) == pytest.approx(erg / 1000, rel=1e-9)
    assert spectrum.kev2(low, high) == pytest.approx(
        kev2.to_value(u.keV / u.s / u.cm**2 / u.sr) / 1000, rel=1e-9
    )
    energies = np.linspace(low, high, 7)
    np.testing.assert_allclose(spectrum.photons(energies), [density(e) for e in energies], rtol=1e-12)


def test_default_agrees_with_the_published_mcrab_within_its_rounding():
    # Krivonos et al. 2012: 1.25e-10 erg/s/cm² = 12.8 mCrab in 25–60 keV.
    value = CRAB.erg_per_mcrab(25, 60)
    assert 1.245e-10 / 12.85 < value < 1.255e-10 / 12.75
    assert value == pytest.approx(9.77e-12, rel=0.005)


def test_what_the_documentation_says_of_the_alternative():
    assert ATEL4869.photons(100) == pytest.approx(6.6e-4)
    low, high = np.array([25.0, 60.0, 80.0]), np.array([60.0, 80.0, 200.0])
    ratio = ATEL4869.erg_per_mcrab(low, high) / CRAB.erg_per_mcrab(low, high)
    np.testing.assert_allclose(ratio, [1.017, 1.035, 1.001], atol=5e-4)
    assert ATEL4869.erg_per_mcrab(25, 60) == pytest.approx(9.77e-12, rel=0.015)


@pytest.mark.parametrize(
    ("source", "low", "high", "error"),
    [
        (lambda e: np.exp(-e / 8) / e, 25, 60, -0.16),
        (lambda e: e**-1.55, 25, 60, 0.035),
        (lambda e: np.exp(-e / 8) / e, 25, 35, -0.023),
        (lambda e: e**-1.55, 25, 35, 0.005),
    ],
)
def test_what_the_documentation_says_of_other_shapes(source, low, high, error):
    crab = power_law(CRAB)
    mcrab = 1000 * integral(source, low, high) / integral(crab, low, high)
    energy = integral(lambda e: e * source(e), low, high) * u.keV.to(u.erg)
    assert energy / (mcrab * CRAB.erg_per_mcrab(low, high)) - 1 == pytest.approx(error, abs=1e-3)


def test_a_flat_spectrum_in_kev2_is_flat():
    flat = CrabSpectrum(5.0, 2.0)
    values = flat.kev2([25, 60, 80], [60, 80, 200])
    np.testing.assert_allclose(values, 5e-3 * (180 / np.pi) ** 2, rtol=1e-12)
    np.testing.assert_allclose(mean_energy([25, 80], [100, 200]), [50, 126.491106], rtol=1e-8)


@pytest.mark.parametrize(("low", "high"), [(60, 25), (0, 25), (-1, 5), (25, 25), (25, np.inf), (np.nan, 60)])
def test_bands_without_flux_are_refused(low, high):
    with pytest.raises(InputError, match="give 0 < E_MIN < E_MAX"):
        CRAB.kev2([25.0, low], [60.0, high])


def test_reading_what_a_user_writes():
    assert crab_spectrum() is CRAB
    assert crab_spectrum(ATEL4869) is ATEL4869
    assert crab_spectrum("norm=10,index=2.1") == CrabSpectrum(10.0, 2.1)
    assert crab_spectrum(" ATel4869 ") is NAMED["atel4869"]
    text = " norm = 9.11, index=2.07 ,break=100,index2=2.27, label=SPI"
    assert crab_spectrum(text) == CrabSpectrum(9.11, 2.07, 100.0, 2.27, "SPI")
    for spectrum in SPECTRA:
        assert crab_spectrum(spectrum.to_dict()) == spectrum


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("norm=10,indx=2.1", "unknown key 'indx'.*'index'"),
        ("norm=10", "index is missing"),
        ("index=2.1", "norm is missing"),
        ("norm=10,index=two", "index is 'two', not a number"),
        ("norm=10,2.1", "'2.1' is not key=value"),
        ("norm=10,index=2.1,index=2", "index is given twice"),
        ("norm=0,index=2.1", "norm 0 must be above 0"),
        ("norm=nan,index=2.1", "norm nan is not finite"),
        ("norm=1e40,index=2.1", "norm 1e\\+40 must be above 0, to 1e\\+10"),
        ("norm=10,index=999", "index 999 must lie within ±10"),
        ("norm=10,index=2.1,break=100,index2=-999", "index2 -999 must lie within ±10"),
        ("norm=10,index=2.1,break=1e99,index2=2", "above 1 keV, where norm is given, and below"),
        ({"norm": 10**400, "index": 2}, "not a number"),
        ("norm=10,index=2.1,break=100", "break and index2 together"),
        ("norm=10,index=2.1,break=0.5,index2=2", "break 0.5 must be above 1 keV"),
        ("norm=10,index=2.1,label=Crab²", "label 'Crab²'"),
        ("atel4896", "'atel4896' is not known.*'atel4869'"),
        ({"norm": True, "index": 2}, "norm is True, not a number"),
        ({"norm": 10, "index": [2]}, "index is \\[2\\], not a number"),
    ],
)
def test_mistakes_are_named_in_one_line(text, message):
    with pytest.raises(InputError, match=message) as caught:
        crab_spectrum(text)
    assert "\n" not in str(caught.value)


def test_the_assumption_in_words():
    text = CRAB.describe()
    assert text.isascii()
    assert text.isprintable()
    assert "10 E^-2.1 ph/cm2/s/keV" in text
    assert "1 mCrab = 9.734e-12 erg/s/cm2 in 25-60 keV" in text
    assert "up to 100 keV, index 2.27 above; SPI in March 2013" in ATEL4869.describe()
