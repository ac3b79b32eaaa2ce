"""Redistribution of energies: closed forms, matrices in OGIP files, refusals."""

import jax
import numpy as np
import pytest
from astropy.io import fits
from scipy import stats
from scipy.integrate import quad

from ridgebayes.errors import InputError
from ridgebayes.instrument import ogip
from ridgebayes.instrument.crab_spectrum import CRAB
from ridgebayes.instrument.redistribution import Gaussian, redistribution
from ridgebayes.spectra.folding import fold
from ridgebayes.table.scw import Band

EDGES = np.array([[25.0, 30.0, 60.0, 80.0], [30.0, 60.0, 80.0, 200.0]])


def folded(spectrum, spread, edges=EDGES):
    """MCrab of a photon spectrum in bands."""
    energy, weight = fold(edges, CRAB, redistribution=spread)
    return (spectrum(energy) * weight).sum(-1)


def steep(energy):
    return np.exp(-energy / 8.0) / energy


def write_matrix(path, spread, *, channels, energies=None, first=1, groups=1, name="MATRIX"):
    """Write a redistribution as OGIP file; in two groups of channels where asked for."""
    energies = np.geomspace(12.0, 900.0, 1500) if energies is None else energies
    low, high = energies[:-1], energies[1:]
    middle = np.sqrt(low * high)
    sigma = spread._relative(middle) * middle / 2.354820045
    cdf = stats.norm.cdf((channels[None] - middle[:, None]) / sigma[:, None])
    rows = np.diff(cdf, axis=1)
    count = rows.shape[1]
    begin, many = [first], [count]
    if groups == 2:
        begin, many = [first, first + 7], [7, count - 7]
    size, n = len(begin), len(low)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("ENERG_LO", "D", array=low),
            fits.Column("ENERG_HI", "D", array=high),
            fits.Column("N_GRP", "I", array=np.full(n, size)),
            fits.Column("F_CHAN", f"{size}I", array=np.tile(begin, (n, 1)).squeeze()),
            fits.Column("N_CHAN", f"{size}I", array=np.tile(many, (n, 1)).squeeze()),
            fits.Column("MATRIX", f"PD({count})", array=rows),
        ],
        name=name,
    )
    table.header["TLMIN4"] = first
    bounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "I", array=np.arange(count) + first),
            fits.Column("E_MIN", "D", array=channels[:-1]),
            fits.Column("E_MAX", "D", array=channels[1:]),
        ],
        name="EBOUNDS",
    )
    fits.HDUList([fits.PrimaryHDU(), table, bounds]).writeto(path)
    return path


def test_gaussian_against_quadrature():
    spread = Gaussian(0.1, 60.0, -0.5)

    def seen(spectrum, low, high):
        def integrand(x):
            energy = np.exp(x)
            sigma = 0.1 * (energy / 60) ** -0.5 * energy / (2 * np.sqrt(2 * np.log(2)))
            inside = np.diff(stats.norm.cdf((np.array([low, high]) - energy) / sigma))[0]
            return spectrum(energy) * inside * energy

        return quad(integrand, np.log(10), np.log(1000), limit=400, epsrel=1e-9, points=np.log([low, high]))[
            0
        ]

    wanted = [1000 * seen(steep, *pair) / seen(CRAB.photons, *pair) for pair in EDGES.T]
    np.testing.assert_allclose(folded(steep, spread), wanted, rtol=1e-5)


def test_crab_is_1000_whatever_the_redistribution():
    for spread in (None, Gaussian(0.08), Gaussian(0.3, 60.0, 0.0)):
        np.testing.assert_allclose(folded(CRAB.photons, spread), 1000.0, rtol=1e-12)


def test_a_narrow_one_changes_little_and_a_wide_one_much():
    none = folded(steep, None)
    assert np.abs(folded(steep, Gaussian(0.02, 60.0, 0.0)) / none - 1).max() < 5e-3
    # Photons of a steep spectrum leak upwards.
    assert folded(steep, Gaussian(0.2, 60.0, 0.0))[2] / none[2] > 1.05


@pytest.mark.parametrize(("first", "groups", "name"), [(0, 1, "MATRIX"), (1, 2, "SPECRESP MATRIX")])
@pytest.mark.slow
def test_matrix_in_a_file(tmp_path, first, groups, name):
    spread = Gaussian(0.1, 60.0, -0.5)
    channels = np.unique(np.concatenate([np.geomspace(13.0, 800.0, 300), EDGES.ravel()]))
    path = write_matrix(tmp_path / "a.rmf", spread, channels=channels, first=first, groups=groups, name=name)
    read = redistribution(str(path))
    np.testing.assert_allclose(folded(steep, read), folded(steep, spread), rtol=2e-3)
    assert read.describe() == "matrix a.rmf"
    # Also where edges are traced, as in the model of the rates.
    area = jax.jit(read.area)(*EDGES)
    np.testing.assert_allclose(area, read.area(*EDGES), rtol=1e-12)


def test_area_of_a_file_counts(tmp_path):
    channels = np.geomspace(13.0, 800.0, 200)
    energies = np.geomspace(12.0, 900.0, 1500)
    spread = Gaussian(0.05, 60.0, 0.0)
    path = write_matrix(tmp_path / "a.rmf", spread, channels=channels, energies=energies)
    middle = np.sqrt(energies[1:] * energies[:-1])
    arf = fits.BinTableHDU.from_columns(
        [
            fits.Column("ENERG_LO", "D", array=energies[:-1]),
            fits.Column("ENERG_HI", "D", array=energies[1:]),
            fits.Column("SPECRESP", "D", array=middle**-0.7),
        ],
        name="SPECRESP",
    )
    arf.writeto(tmp_path / "a.arf")
    both = redistribution(f"rmf={path},arf={tmp_path / 'a.arf'}")
    flat = redistribution(f"rmf={path}")
    # An area E^-0.7 weights as a spectrum that is so much steeper does.
    tilted = folded(lambda e: steep(e) * e**-0.7, flat) / folded(lambda e: CRAB.photons(e) * e**-0.7, flat)
    np.testing.assert_allclose(folded(steep, both), 1000 * tilted, rtol=1e-4)


def test_our_own_response_is_none_within_the_bands(tmp_path):
    bands = [Band(f"B{k}", *pair) for k, pair in enumerate(EDGES.T)]
    ogip.write_rmf(tmp_path / "own.rsp", bands, simulated=True)
    read = redistribution(str(tmp_path / "own.rsp"))
    np.testing.assert_allclose(folded(steep, read), folded(steep, None), rtol=5e-3)
    with pytest.raises(InputError, match="reach from 25 to 200 keV"):
        fold(np.array([[20.0], [30.0]]), CRAB, redistribution=read)


def test_a_file_that_was_changed_is_refused(tmp_path):
    channels = np.geomspace(13.0, 800.0, 50)
    path = write_matrix(tmp_path / "a.rmf", Gaussian(0.1), channels=channels)
    spec = redistribution(str(path)).spec
    assert redistribution(spec).spec == spec
    path.unlink()
    write_matrix(path, Gaussian(0.2), channels=channels)
    with pytest.raises(InputError, match="is not what it was in the fit"):
        redistribution(spec + " ")


def test_text_and_back():
    found = redistribution("fwhm=0.08, at=100")
    assert (found.fwhm, found.at, found.power) == (0.08, 100.0, -0.5)
    assert redistribution(found.spec) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fwhm=0.001", "give 0.02 or more"),
        ("fwhm=0.9,at=60,power=-1", "no more than 1"),
        ("fwhm=0.05,at=10,power=-1", "less than 0.01"),
        ("fwhm=wide", "is not a number"),
        ("fwhn=0.1", r"unknown key 'fwhn' \(did you mean 'fwhm'"),
        ("fwhm=0.1,fwhm=0.2", "given twice"),
        ("fwhm=0.1,rmf=x", "give one of them"),
        ("at=60", "neither fwhm nor rmf"),
        ("nowhere.rmf", "no such file"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(InputError, match=message):
        redistribution(text)


def test_files_that_are_no_matrix(tmp_path):
    (tmp_path / "text.rmf").write_text("no matrix")
    fits.PrimaryHDU(np.zeros((2, 2))).writeto(tmp_path / "image.rmf")
    for name in ("text.rmf", "image.rmf"):
        with pytest.raises(InputError, match=name):
            redistribution(str(tmp_path / name))
