"""Post-shock column: closed forms, conserved energy, limits, published temperatures."""

import astropy.constants as const
import astropy.units as u
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp, trapezoid
from scipy.special import kv

from ridgebayes.errors import InputError
from ridgebayes.spectra import column

G, SUN, MP = const.G.cgs.value, const.M_sun.cgs.value, const.m_p.cgs.value
KEV = (1 * u.keV).to_value(u.erg)
MASSES = [0.3, 0.6, 1.0, 1.35]


@pytest.fixture(scope="module", params=MASSES)
def solved(request):
    return column.solve(request.param)


def chandrasekhar(central):
    """Mass (solar) and radius (cm) of a cold star of degenerate electrons, from the structure equations."""
    me, c, h, mu = const.m_e.cgs.value, const.c.cgs.value, const.h.cgs.value, const.u.cgs.value
    pressure_unit = np.pi * me**4 * c**5 / (3 * h**3)
    density_unit = 8 * np.pi * me**3 * c**3 * column.MU_E * mu / (3 * h**3)

    def slope(r, state):
        x, mass = max(state[0], 0.0), state[1]
        change = 8 * x**4 / np.sqrt(1 + x**2) * pressure_unit  # dP/dx
        density = density_unit * x**3
        return [-G * mass * density / r**2 / change if x > 0 else -1.0, 4 * np.pi * r**2 * density]

    surface = lambda r, state: state[0] - 1e-4 * central  # noqa: E731
    surface.terminal = True
    start = 1e3
    first = [central, 4 / 3 * np.pi * start**3 * density_unit * central**3]
    found = solve_ivp(slope, (start, 1e11), first, "RK45", events=surface, rtol=1e-8)
    return found.y[1, -1] / SUN, found.t[-1]


@pytest.mark.parametrize(("central", "within"), [(0.7, 0.01), (1.3, 0.02), (2.5, 0.04), (5.0, 0.08)])
def test_radius_against_the_structure_of_a_degenerate_star(central, within):
    mass, radius = chandrasekhar(central)
    assert 0.2 < mass < 1.4
    # The closed form is an approximation of these equations.
    assert float(column.radius(mass)) == pytest.approx(radius, rel=within)


def test_radius_at_low_mass_and_at_the_limit():
    assert float(column.radius(1e-4) / column.radius(8e-4)) == pytest.approx(2.0, rel=1e-4)
    assert float(column.radius(column.MASS_LIMIT * (1 - 1e-9))) < 1e5
    for mass in (0.0, -1.0, column.MASS_LIMIT, 2.0, np.nan):
        with pytest.raises(InputError, match="none of this mass is stable"):
            column.radius(mass)


def test_cooling_in_gaussian_units():
    # As in textbooks (Rybicki & Lightman 1979, chapter 5): erg/cm³/s at n_e Σ n_i Z² = 1.
    e, me, c = const.e.esu.value, const.m_e.cgs.value, const.c.cgs.value
    h, k = const.h.cgs.value, const.k_B.cgs.value
    per_root = 2**5 * np.pi * e**6 / (3 * h * me * c**3) * np.sqrt(2 * np.pi * k / (3 * me))
    gaunt = quad(lambda x: np.sqrt(3) / np.pi * np.exp(-x / 2) * kv(0, x / 2), 0, 60, limit=200)[0]
    density, temperature = 3e-9, 2e8
    electrons = density / MP * (column.HYDROGEN + (1 - column.HYDROGEN) / 2)
    ions = density / MP * (column.HYDROGEN + (1 - column.HYDROGEN) / 4 * 4)  # times Z²
    expected = per_root * np.sqrt(temperature) * electrons * ions * gaunt
    pressure = density * k * temperature / column.MU / MP
    assert column.cooling() * density**1.5 * pressure**0.5 == pytest.approx(expected, rel=1e-6)


def test_strong_shock_temperature(solved):
    kt = 3 / 8 * column.MU * MP * G * solved.mass * SUN / (solved.radius + solved.height) / KEV
    assert solved.shock_temperature == pytest.approx(kt, rel=1e-12)
    hottest = solved.velocity.argmax()  # next to the shock
    assert solved.temperature[hottest] == pytest.approx(kt, rel=2e-3)


@pytest.mark.slow
def test_energy_is_conserved(solved):
    brought = solved.accretion * G * solved.mass * SUN / solved.radius
    assert solved.luminosity.sum() == pytest.approx(brought, rel=1e-8)
    # The same in the spectrum, from X-rays so soft that nothing is missing.
    energy = np.geomspace(1e-7, 50, 20_000) * solved.shock_temperature
    total = trapezoid(solved.energy_spectrum(energy), energy)
    assert total == pytest.approx(brought, rel=1e-4)


def test_momentum_is_conserved(solved):
    order = solved.altitude.argsort()
    z, v, p = (x[order] for x in (solved.altitude, solved.velocity, solved.pressure))
    weight = solved.accretion / v * G * solved.mass * SUN / (solved.radius + z) ** 2
    change = p + solved.accretion * v
    lost = change[:1] - change[-1:]
    assert trapezoid(weight, z) == pytest.approx(lost[0], rel=1e-3)


def test_energy_equation_at_every_height(solved):
    order = solved.altitude.argsort()[100:-100]
    z, v, p = (x[order] for x in (solved.altitude, solved.velocity, solved.pressure))
    cooled = 2 / 3 * column.cooling() * (solved.accretion / v) ** 1.5 * p**0.5
    left = v * np.gradient(p, z) + 5 / 3 * p * np.gradient(v, z)
    np.testing.assert_allclose(left[2:-2], cooled[2:-2], rtol=2e-3)


@pytest.mark.parametrize("mass", [0.4, 1.2])
def test_without_gravity_the_column_has_a_closed_form(mass):
    found = column.solve(mass, 2.0, gravity=False)
    fall = np.sqrt(2 * G * mass * SUN / (found.radius + found.height))
    w = found.velocity / fall
    np.testing.assert_allclose(found.pressure, 2.0 * fall * (1 - w), rtol=1e-8)
    np.testing.assert_allclose(found.temperature, column.MU * MP * fall**2 * w * (1 - w) / KEV, rtol=1e-8)
    length = fall**3 / (column.cooling() * 2.0)
    # ∫ w^(3/2) (5 - 8 w) / (2 (1 - w)^(1/2)) dw from 0 to 1/4: Wu 1994 (doi:10.1086/174103).
    assert found.height == pytest.approx(length * (39 * np.sqrt(3) - 20 * np.pi) / 192, rel=1e-7)
    for k in (50, 300, 500):
        at = quad(lambda x: x**1.5 * (5 - 8 * x) / 2 / np.sqrt(1 - x), 0, w[k])[0]
        assert found.altitude[k] == pytest.approx(length * at, rel=1e-6)
    assert found.luminosity.sum() == pytest.approx(2.0 * fall**2 / 2, rel=1e-8)


def test_spectrum_against_the_emissivity_summed_over_heights(solved):
    order = solved.altitude.argsort()
    z, density = solved.altitude[order], solved.accretion / solved.velocity[order]
    kt = solved.temperature[order] * KEV
    e, me, c = const.e.esu.value, const.m_e.cgs.value, const.c.cgs.value
    h, k = const.h.cgs.value, const.k_B.cgs.value
    squared = (density / MP) ** 2 * (1 + column.HYDROGEN) / 2
    for energy in (0.7, 2.0):
        x = np.minimum(energy * solved.shock_temperature * KEV / kt, 600)  # beyond it nothing is emitted
        gaunt = np.sqrt(3) / np.pi * np.exp(x / 2) * kv(0, x / 2)
        # As in textbooks, per Hz.
        each = 2**5 * np.pi * e**6 / (3 * me * c**3) * np.sqrt(2 * np.pi / (3 * k * me))
        emitted = each * np.sqrt(k / kt) * squared * np.exp(-x) * gaunt
        expected = trapezoid(emitted, z) / h * KEV
        found = solved.energy_spectrum(energy * solved.shock_temperature)
        assert float(found) == pytest.approx(expected, rel=1e-3)


def test_low_mass_and_much_gas_make_the_column_low():
    low = column.solve(0.1)
    assert low.height < 1e-3 * low.radius
    dense, denser = column.solve(1.2, 100.0), column.solve(1.2, 1000.0)
    assert dense.height / denser.height == pytest.approx(10, rel=0.05)
    flat = column.solve(1.2, 1000.0, gravity=False)
    energy = np.geomspace(5, 200, 30)
    np.testing.assert_allclose(denser.energy_spectrum(energy), flat.energy_spectrum(energy), rtol=0.05)


def test_gravity_matters_at_high_mass():
    high = column.solve(1.35)
    # The column compresses below the shock: its hottest gas is not at the top.
    assert high.temperature.max() > 1.1 * high.shock_temperature


def test_heavier_is_harder():
    energy = np.array([30.0, 80.0])
    ratio = [np.divide(*column.solve(mass).energy_spectrum(energy)[::-1]) for mass in MASSES]
    assert (np.diff(ratio) > 0).all()


def test_published_shock_temperatures():
    # V1223 Sgr, Hayashi et al. 2011 (arXiv:1106.6111, abstract): 37.9 (+5.1 -4.6) keV and 0.82 solar masses,
    # (6.9 ± 0.4)e8 cm. V709 Cas, Falanga et al. 2005 (astro-ph/0509489, abstract): about 40 keV and 0.82.
    assert float(column.radius(0.82)) == pytest.approx(6.9e8, abs=0.4e8)
    for accretion in (1.0, 10.0):
        assert 37.9 - 4.6 < column.solve(0.82, accretion).shock_temperature < 37.9 + 5.1


@pytest.mark.parametrize("accretion", [0.0, -1.0, np.nan])
def test_no_gas_is_refused(accretion):
    with pytest.raises(InputError, match="more than 0"):
        column.solve(0.6, accretion)
