"""Table of white-dwarf spectra: against fresh columns, SciPy's splines and finite differences."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits
from scipy.interpolate import RectBivariateSpline

from ridgebayes.errors import InputError
from ridgebayes.spectra import column, whitedwarf

FILE = Path(__file__).parents[2] / "data" / "whitedwarf.fits"


@pytest.fixture(scope="module")
def table():
    return whitedwarf.load()


def test_file_is_what_the_script_makes(table):
    few = table.mass[[0, 12, 30, -1]]
    fresh = whitedwarf.tabulate(few, table.energy, table.accretion)
    np.testing.assert_allclose(table.ln_e2[[0, 12, 30, -1]], fresh.ln_e2, rtol=1e-9)
    np.testing.assert_allclose(table.shock_temperature[[0, 12, 30, -1]], fresh.shock_temperature, rtol=1e-9)
    # Logarithms and powers differ in the last digit from processor to processor.
    np.testing.assert_allclose(table.mass, whitedwarf.MASSES, rtol=1e-14)
    np.testing.assert_allclose(table.energy, whitedwarf.ENERGIES, rtol=1e-14)


def test_file_is_small_and_says_where_it_is_from():
    assert FILE.stat().st_size < 300_000
    header = fits.getheader(FILE)
    assert header["CREATOR"] == "scripts/make_whitedwarf_table.py"
    assert header["ACCRATE"] == column.ACCRETION
    text = " ".join(header["COMMENT"])
    assert "Suleimanov" in text
    assert "Nauenberg" in text


def test_written_and_read_again(tmp_path, table):
    path = tmp_path / "again.fits"
    whitedwarf.write(table, path)
    with fits.open(path) as again, fits.open(FILE) as shipped:
        for name in ("SPECTRA", "ENERGIES"):
            for column in shipped[name].columns.names:
                np.testing.assert_allclose(again[name].data[column], shipped[name].data[column], rtol=1e-13)


@pytest.mark.parametrize("mass", [0.3, 0.3379, 0.61, 0.9871, 1.263, 1.35])
def test_between_nodes_against_a_fresh_column(table, mass):
    energy = np.geomspace(10, 250, 23)
    fresh = column.solve(mass)
    expected = energy * fresh.energy_spectrum(energy) / fresh.luminosity.sum()
    np.testing.assert_allclose(table.e2(mass, energy), expected, rtol=5e-4)
    assert float(table.temperature(mass)) == pytest.approx(fresh.shock_temperature, rel=1e-5)


def test_against_scipys_spline(table):
    spline = RectBivariateSpline(table.mass, np.log(table.energy), table.ln_e2)
    rng = np.random.default_rng(1)
    mass, energy = rng.uniform(0.3, 1.35, 200), np.exp(rng.uniform(np.log(10), np.log(1000), 200))
    np.testing.assert_allclose(jnp.log(table.e2(mass, energy)), spline.ev(mass, np.log(energy)), rtol=1e-9)


@pytest.mark.parametrize("mass", [0.35, 0.6, 1.0, 1.3])
@pytest.mark.slow
def test_gradient_against_finite_differences(table, mass):
    energy = jnp.array([20.0, 45.0, 150.0])
    step = 1e-5
    slope = jax.jacfwd(lambda m: jnp.log(table.e2(m, energy)))(mass)
    ends = [jnp.log(table.e2(mass + sign * step, energy)) for sign in (1, -1)]
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2 / step, rtol=1e-6)
    columns = [column.solve(mass + sign * 1e-3) for sign in (1, -1)]
    fresh = [np.log(c.energy_spectrum(energy) / c.luminosity.sum()) for c in columns]
    np.testing.assert_allclose(slope, (fresh[0] - fresh[1]) / 2e-3, rtol=2e-3)


def test_smooth_across_a_node(table):
    node, step = table.mass[17], 1e-6
    bend = jax.grad(jax.grad(lambda m: jnp.log(table.e2(m, 30.0))))
    assert float(bend(node - step)) == pytest.approx(float(bend(node + step)), rel=1e-3)


def test_outside_is_refused(table):
    for mass in (0.29, 1.36, np.nan):
        with pytest.raises(InputError, match=r"holds 0\.3 to 1\.35 solar masses") as caught:
            table.check(mass)
        assert len(str(caught.value).splitlines()) == 1
        assert np.isnan(table.e2(mass, 30.0))
    table.check(0.3)
    table.check(1.35)
    for low, high in ((5.0, 20.0), (600.0, 1500.0)):
        with pytest.raises(InputError, match="leave it out"):
            table.check_energies(low, high)
    table.check_energies(10.0, 1000.0)
