"""Every statistic against loops or another library."""

import numpy as np
import pytest
from astropy.time import Time
from scipy import stats

from ridgebayes.checks.background import background
from ridgebayes.checks.bands import bands
from ridgebayes.checks.crab import crab
from ridgebayes.checks.design import Bins, half_years
from ridgebayes.checks.galaxy import galaxy
from ridgebayes.checks.noise import noise
from ridgebayes.checks.replicates import views
from ridgebayes.checks.verdicts import SUBJECTS
from tests.helpers.synthetic_design import N, make_design, make_residuals


@pytest.fixture
def design(rng):
    return make_design(rng)


@pytest.fixture
def r(rng):
    return make_residuals(rng)


def value(make, design, r, name):
    """Value of a statistic, (band,)."""
    (found,) = (s for s in make(design)[0] if s.name == name)
    return found.value(r)


def curve(make, design, r, name):
    (found,) = (c for c in make(design)[1] if c.name == name)
    return found.value(r)


def square_pull(rows_of_bins, signal, values, fewest=5):
    """Mean square pull of bins, by a loop; bins of few ScWs are not looked at."""
    squares = []
    for rows in rows_of_bins:
        if len(rows) < fewest:
            continue
        squares.append((signal[rows] @ values[rows]) ** 2 / (signal[rows] @ signal[rows]))
    return np.mean(squares)


def test_shape_and_tails(design, r):
    whole, cut = r.whole, r.cut
    raw = (cut**3).mean(1) / (cut**2).mean(1) ** 1.5
    np.testing.assert_allclose(value(noise, design, r, "shape.skewness"), raw)
    raw = (whole**4).mean(1) / (whole**2).mean(1) ** 2 - 3
    np.testing.assert_allclose(value(noise, design, r, "tails.kurtosis"), raw)
    np.testing.assert_array_equal(value(noise, design, r, "tails.beyond5"), [1, 1])
    np.testing.assert_array_equal(value(noise, design, r, "tails.largest"), [6, 6])
    pit = [stats.chisquare(np.histogram(stats.norm.cdf(row), 20, (0, 1))[0]).statistic for row in whole]
    np.testing.assert_allclose(value(noise, design, r, "shape.pit"), pit)
    assert (curve(noise, design, r, "distribution").sum(1) == N).all()


def test_score_of_the_largest_is_normal():
    """The maximum of n normals, on the scale of the score, has the quantiles of a normal."""
    (largest,) = (s for s in noise(make_design(np.random.default_rng(0)))[0] if s.name == "tails.largest")
    q = np.array([0.01, 0.5, 0.99, 0.9999])
    x = stats.norm.isf((1 - q ** (1 / N)) / 2)  # P(max |r| < x) = q
    np.testing.assert_allclose(largest.score(x), stats.norm.ppf(q), atol=1e-8)


def test_neighbours(design, r):
    found = curve(noise, design, r, "neighbours")
    for lag in (1, 3):
        products = [
            r.cut[:, i] * r.cut[:, i + lag]
            for i in range(N - lag)
            if design.revolution[i] == design.revolution[i + lag]
        ]
        np.testing.assert_allclose(found[:, lag - 1], np.mean(products, 0) / (r.cut**2).mean(1))
    np.testing.assert_allclose(value(noise, design, r, "neighbours.lag1"), found[:, 0])


def test_scatter(design, r):
    square = r.cut**2
    excess = (square - square.mean(1, keepdims=True)) / np.sqrt(2)
    year = np.floor(Time(design.mjd, format="mjd", scale="tt").decimalyear)
    rows = [np.flatnonzero(year == y) for y in np.unique(year)]
    expected = [square_pull(rows, np.ones(N), row) for row in excess]
    np.testing.assert_allclose(value(noise, design, r, "scatter.years"), expected)
    rows = [np.flatnonzero(design.revolution == k) for k in np.unique(design.revolution)]
    expected = [square_pull(rows, np.ones(N), row) for row in excess]
    np.testing.assert_allclose(value(noise, design, r, "scatter.revolutions"), expected)
    expected = [stats.pearsonr(a, b).statistic for a, b in zip(square, design.counting, strict=True)]
    np.testing.assert_allclose(value(noise, design, r, "scatter.counting"), expected)
    rate = design.background + design.seen
    expected = [stats.pearsonr(a, b).statistic for a, b in zip(square, rate, strict=True)]
    np.testing.assert_allclose(value(noise, design, r, "scatter.level"), expected)


def test_background(design, r):
    constants = r.coefficients[:, 0]
    mean = [design.tracer[design.revolution == k].mean() for k in np.unique(design.revolution)]
    expected = [stats.pearsonr(row, mean).statistic for row in constants]
    np.testing.assert_allclose(value(background, design, r, "tracer.revolutions"), expected)
    h = design.tracer - np.repeat(mean, N // len(mean))
    spread = np.mean(h**2) - np.mean(design.tracer_error**2)
    reliability = spread / (spread + design.tracer_error**2)
    by = h * (1 - reliability)
    by -= np.polynomial.polynomial.Polynomial([0, np.sum(h * by) / np.sum(h * h)])(h)
    expected = [stats.pearsonr(row, by).statistic for row in r.cut]
    np.testing.assert_allclose(value(background, design, r, "tracer.errors"), expected)
    off = constants - constants.mean(1, keepdims=True)
    expected = [np.mean(row[1:] * row[:-1]) / row.var() for row in off]
    np.testing.assert_allclose(value(background, design, r, "level.revolutions"), expected)
    expected = [np.mean(stats.kurtosis(row + 0, axis=1)) for row in centred(r.coefficients)]
    r = r._replace(coefficients=centred(r.coefficients))  # SciPy takes the mean off
    np.testing.assert_allclose(value(background, design, r, "terms.kurtosis"), expected)
    phase = np.unique(design.phase)  # 50 phases in each revolution: bins of three or four of them
    edges = np.quantile(design.phase, np.linspace(0, 1, 17)[1:-1])
    rows = [np.flatnonzero(np.searchsorted(edges, design.phase) == k) for k in range(16)]
    assert sum(map(len, rows)) == 12 * len(phase)
    expected = [square_pull(rows, np.ones(N), row) for row in r.cut]
    np.testing.assert_allclose(value(background, design, r, "phase.bins"), expected)


def centred(coefficients):
    return coefficients - coefficients.mean(-1, keepdims=True)


def test_latitude(design, r):
    rows = np.flatnonzero(~design.crab & (np.abs(design.lat) < 22.5))
    for name, power in (("latitude.north_south", 1), ("latitude.width", 2)):
        signal = design.seen / design.noise * (design.lat / 15) ** power
        expected = [s[rows] @ x[rows] / np.linalg.norm(s[rows]) for s, x in zip(signal, r.cut, strict=True)]
        np.testing.assert_allclose(value(galaxy, design, r, name), expected)
    strip = np.flatnonzero(~design.crab & (design.lat >= -2) & (design.lat < 2))
    signal = design.per_mcrab[:, strip]
    expected = (signal * r.cut[:, strip]).sum(1) / (signal**2).sum(1)
    np.testing.assert_allclose(curve(galaxy, design, r, "latitude")[:, 6], expected)


def test_changes_of_the_plane(design, r):
    near = ~design.crab & (np.abs(design.lat) < 10)
    half, _ = half_years(design.mjd)
    cells = {}
    for i in np.flatnonzero(near):
        cells.setdefault((half[i], (design.lon[i] + 180) // 20), []).append(i)
    signal = design.per_mcrab * design.plane
    expected = [square_pull(cells.values(), s, x) for s, x in zip(signal, r.cut, strict=True)]
    np.testing.assert_allclose(value(galaxy, design, r, "variable.half_years"), expected)
    away = ~design.crab & (np.abs(design.lat) > 20)
    expected = (r.cut[:, near] ** 2).mean(1) / (r.cut[:, away] ** 2).mean(1)
    np.testing.assert_allclose(value(galaxy, design, r, "variable.scatter"), expected)


def test_an_outburst_is_seen_and_a_dip_is_not(design, r):
    """Of 20 mCrab in one revolution."""
    (found,) = (s for s in galaxy(design)[0] if s.name == "variable.outbursts")
    here = design.revolution == 3
    change = np.where(here, 20 * design.per_mcrab * design.plane, 0)
    up, flat, down = (found.value(r._replace(cut=r.cut + k * change)) for k in (1, 0, -1))
    assert (up > flat).all()
    assert (flat > down).all()


def test_crab(design, r):
    rows = np.flatnonzero(design.crab)
    signal = 10 * design.per_mcrab * design.crab_response
    for k in range(2):
        total, largest = 0.0, 0.0
        for i in rows:
            total += signal[k, i] * r.cut[k, i]
            largest = max(largest, abs(total))
        expected = largest / np.linalg.norm(signal[k, rows])
        np.testing.assert_allclose(value(crab, design, r, "crab.path")[k], expected)
    step = np.where(design.mjd > design.mjd.mean(), 3.0, -3.0) * signal
    moved = r._replace(cut=r.cut + step)
    assert (value(crab, design, moved, "crab.path") > 3 * value(crab, design, r, "crab.path")).all()


def test_bands(design, r):
    found = value(bands, design, r, "bands.next")
    a, b = r.cut
    np.testing.assert_allclose(found[0], a @ b / np.sqrt((a @ a) * (b @ b)))
    assert np.isnan(found[1])


def test_bins_without_a_signal_are_not_looked_at(rng):
    bins = Bins(np.repeat([0, 1, -1], 20), 2, np.repeat([1.0, 0.0, 1.0], 20))
    values = rng.standard_normal((1, 60))
    np.testing.assert_allclose(bins.amplitude(values)[0, 0], values[0, :20].mean())
    assert np.isnan(bins.amplitude(values)[0, 1])
    np.testing.assert_allclose(bins.chi2(values), values[0, :20].sum() ** 2 / 20)


@pytest.mark.parametrize("lacks", ["crab", "tracer"])
def test_what_the_data_lack_is_not_tested(rng, r, lacks):
    design = make_design(rng, **{lacks: False})
    assert lacks not in {s.subject for s in views(design)[0]}


def test_a_tracer_that_is_constant_in_revolutions_is_not_diluted(design, r):
    constant = design._replace(tracer=0.001 * design.revolution)
    statistics, _ = background(constant)
    assert "tracer.errors" not in {s.name for s in statistics}
    assert "tracer.revolutions" in {s.name for s in statistics}


def test_a_model_without_sky_has_no_statistics_of_it(design):
    assert galaxy(design._replace(seen=0 * design.seen)) == ([], [])


def test_every_subject_has_words(design):
    assert {s.subject for s in views(design)[0]} == set(SUBJECTS)
