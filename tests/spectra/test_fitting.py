"""Spectral fits: known posteriors, known truth, and what the data do not say."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB
from ridgebayes.model.folding import CRAB_SPECTRUM
from ridgebayes.priors import with_priors
from ridgebayes.spectra import fitting
from ridgebayes.spectra.components import parameters, read_model
from ridgebayes.spectra.folding import fold

TEN = np.geomspace(20.0, 200.0, 11)
EDGES = np.stack([TEN[:-1], TEN[1:]])
TRUE = {"whitedwarf": (0.9, 0.65), "powerlaw": (0.4, 1.4)}


def expected(names=tuple(TRUE)):
    energy, weight = fold(EDGES, CRAB)
    return sum(
        TRUE[c.name][0] * np.asarray(c.photons(energy, TRUE[c.name][1]) * weight).sum(-1)
        for c in read_model("+".join(names))
    )


def made(model, mean, covariance, priors=(), edges=EDGES, **options):
    components = read_model(model)
    known = with_priors(parameters(components, "fov") | CRAB_SPECTRUM, dict(priors))
    return fitting.fit(components, known, edges, mean, covariance, CRAB, draws=500, **options)


@pytest.fixture(scope="module")
def both():
    rng = np.random.default_rng(4)
    mean = expected()
    sd = 0.02 * mean
    # Half of the variance is shared between the bands.
    covariance = np.outer(sd, sd) * (np.eye(len(sd)) + 1) / 2
    return made("whitedwarf+powerlaw", rng.multivariate_normal(mean, covariance), covariance)


@pytest.mark.slow
def test_truth_is_recovered(both):
    assert not both.diagnosis.warnings
    for name, (amplitude, shape) in TRUE.items():
        component = next(c for c in both.model if c.name == name)
        for key, true in ((component.amplitude_name, amplitude), (component.shape_name, shape)):
            draws = both.draws[key]
            assert abs(draws.mean() - true) < 3.5 * draws.std()
    assert 0.005 < both.draws["whitedwarf.mass"].std() < 0.1
    assert both.constraint("whitedwarf.mass") == ""


@pytest.mark.slow
def test_shares_and_crossing(both):
    white, hard = both.model
    share = both.share(white, 30, 80)
    np.testing.assert_allclose(share + both.share(hard, 30, 80), 1.0)
    energy = np.geomspace(30, 80, 2001)
    parts = [trapezoid(both.photons(c, energy)[7] * energy, energy) for c in both.model]
    assert share[7] == pytest.approx(parts[0] / sum(parts), rel=1e-5)
    at = both.crossing()
    assert np.isfinite(at).all()
    ratio = [float(c[7, 0]) for c in (both.photons(m, at[7:8]) for m in both.model)]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("revolutions", [0, 20])
def test_posterior_of_one_amplitude_is_that_on_a_grid(revolutions):
    """Also with a covariance from 20 revolutions, whose density is Student's."""
    mean, covariance = expected(["powerlaw"]), np.diag((0.3 * expected(["powerlaw"])) ** 2)
    found = made(
        "powerlaw",
        mean,
        covariance,
        {"powerlaw.index": 1.4, "powerlaw.amplitude": "HalfNormal(0.2)"},
        revolutions=revolutions,
    )
    grid = np.linspace(1e-4, 1.5, 4000)
    pulls = (mean - grid[:, None] / 0.4 * mean) / (0.3 * mean)
    square = (pulls**2).sum(1)
    density = np.exp(-0.5 * square)
    if revolutions:
        density = (1.0 + square / (revolutions - 1)) ** (-revolutions / 2)
    density *= stats.halfnorm(scale=0.2).pdf(grid)
    density /= trapezoid(density, grid)
    exact = trapezoid(grid * density, grid)
    sd = np.sqrt(trapezoid((grid - exact) ** 2 * density, grid))
    draws = found.draws["powerlaw.amplitude"]
    ess = float(found.diagnosis.ess_bulk["powerlaw.amplitude"])
    assert draws.mean() == pytest.approx(exact, abs=4 * sd / np.sqrt(ess))
    assert draws.std() == pytest.approx(sd, rel=4 / np.sqrt(2 * ess))
    assert found.constraint("powerlaw.index") == "fixed"


@pytest.mark.slow
def test_posterior_of_two_amplitudes_is_that_on_a_grid():
    # The change of variables in the sampler: exact only with its Jacobian.
    sd = 0.3 * expected()
    fixed = {"whitedwarf.mass": 0.65, "powerlaw.index": 1.4}
    prior = {"whitedwarf.amplitude": "HalfNormal(0.5)", "powerlaw.amplitude": "HalfNormal(0.3)"}
    found = made("whitedwarf+powerlaw", expected(), np.diag(sd**2), fixed | prior)
    unit = [expected([name]) / TRUE[name][0] for name in TRUE]
    a, b = np.meshgrid(np.linspace(1e-3, 2.5, 500), np.linspace(1e-3, 1.5, 500), indexing="ij")
    model = a[..., None] * unit[0] + b[..., None] * unit[1]
    log = -0.5 * (((expected() - model) / sd) ** 2).sum(-1) - 0.5 * (a / 0.5) ** 2 - 0.5 * (b / 0.3) ** 2
    weight = np.exp(log - log.max())
    for name, grid in (("whitedwarf.amplitude", a), ("powerlaw.amplitude", b)):
        exact = (grid * weight).sum() / weight.sum()
        spread = np.sqrt(((grid - exact) ** 2 * weight).sum() / weight.sum())
        ess = float(found.diagnosis.ess_bulk[name])
        assert found.draws[name].mean() == pytest.approx(exact, abs=4.5 * spread / np.sqrt(ess))
        assert found.draws[name].std() == pytest.approx(spread, rel=4.5 / np.sqrt(2 * ess))


def test_p_values_are_uniform_with_a_covariance_of_few_revolutions(rng):
    bands, revolutions, trials = 8, 20, 500
    rate = rng.normal(size=(trials, revolutions, bands))
    data = rng.normal(size=(trials, bands))
    covariance = np.stack([np.cov(x.T) for x in rate])
    square = np.einsum("ti,tij,tj->t", data, np.linalg.inv(covariance), data)

    def p(revolutions, chi_square):
        fit = SimpleNamespace(mean=data[0], revolutions=revolutions, chi_square=chi_square)
        return fitting.SpectralFit.p_value.fget(fit)

    assert stats.kstest([p(revolutions, x) for x in square], "uniform").pvalue > 0.01
    assert stats.kstest([p(0, x) for x in square], "uniform").pvalue < 1e-6


@pytest.mark.slow
def test_bad_model_is_found():
    mean = expected(["powerlaw"])
    covariance = np.diag((0.02 * mean) ** 2)
    good, bad = (made(name, mean, covariance) for name in ("powerlaw", "cutoff"))
    assert good.p_value > 0.3
    assert bad.p_value < 1e-3
    pulls = stats.multivariate_normal(np.zeros(len(mean)), covariance)
    first = mean - good.folded.sum(0)[0]
    density = -2 * (pulls.logpdf(first) - pulls.logpdf(np.zeros(len(mean))))
    assert good.chi_square[0] == pytest.approx(density, rel=1e-9)


@pytest.mark.slow
def test_what_the_data_do_not_say_is_said():
    edges = np.array([[25.0], [60.0]])
    found = made("powerlaw", np.array([150.0]), np.array([[1.0]]), edges=edges)
    assert found.constraint("powerlaw.index").startswith("prior only: sd")
    assert found.constraint("powerlaw.amplitude") == ""


def three_bands():
    """Three bands with the errors that the demo has: the parts can hardly be told apart."""
    edges = np.array([[25.0, 60.0, 80.0], [60.0, 80.0, 200.0]])
    energy, weight = fold(edges, CRAB)
    parts = [
        TRUE[c.name][0] * np.asarray(c.photons(energy, TRUE[c.name][1]) * weight).sum(-1)
        for c in read_model("whitedwarf+powerlaw")
    ]
    return edges, sum(parts)


@pytest.mark.slow
def test_chains_that_have_not_converged_go_on(monkeypatch):
    edges, mean = three_bands()
    covariance = np.diag((mean * [0.01, 0.04, 0.13]) ** 2)
    found = made("whitedwarf+powerlaw", mean, covariance, edges=edges)
    assert not found.diagnosis.warnings
    assert found.draws["whitedwarf.mass"].shape == (4 * 500,)
    monkeypatch.setattr(fitting, "_TIMES", (1,))
    short = made("whitedwarf+powerlaw", mean, covariance, edges=edges)
    assert short.diagnosis.warnings
    np.testing.assert_allclose(
        found.draws["whitedwarf.mass"].mean(),
        short.draws["whitedwarf.mass"].mean(),
        atol=short.draws["whitedwarf.mass"].std() / 2,
    )


@pytest.mark.slow
def test_three_components():
    mean = expected()
    found = made("whitedwarf+cutoff+powerlaw", mean, np.diag((0.02 * mean) ** 2))
    assert sum(found.share(c, 30, 80).mean() for c in found.model) == pytest.approx(1.0)


@pytest.mark.slow
def test_same_seed_same_draws(both):
    again = [made("powerlaw", expected(["powerlaw"]), np.diag(np.ones(10)), seed=s) for s in (5, 5, 6)]
    first, second, other = (x.draws["powerlaw.index"] for x in again)
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_refusals():
    mean = expected()
    with pytest.raises(InputError, match="not positive definite"):
        made("powerlaw", mean, np.zeros((10, 10)))
    with pytest.raises(InputError, match="every parameter is fixed"):
        made("powerlaw", mean, np.eye(10), {"powerlaw.index": 1.4, "powerlaw.amplitude": 1.0})
    with pytest.raises(InputError, match="single number"):
        made("powerlaw", mean, np.eye(10), {"powerlaw.amplitude": "HalfNormal([1, 2])"})


@pytest.mark.slow
def test_an_uncertain_crab_widens_what_is_physical():
    mean = expected(["powerlaw"])
    tight = np.diag((1e-3 * mean) ** 2)
    fixed = {"powerlaw.index": 1.4}
    known = made("powerlaw", mean, tight, fixed)
    open_ = made("powerlaw", mean, tight, fixed | {"crab_spectrum.norm": "LogNormal(0, 0.1)"})
    amplitude = open_.draws["powerlaw.amplitude"]
    assert known.draws["powerlaw.amplitude"].std() / 0.4 < 2e-3
    assert amplitude.std() / amplitude.mean() == pytest.approx(0.1, rel=0.15)
    # Measured is the ratio to the Crab: where the Crab is brighter, so is the region.
    assert np.corrcoef(amplitude, open_.draws["crab_spectrum.norm"])[0, 1] > 0.99
    assert open_.constraint("crab_spectrum.norm").startswith("prior only")
    np.testing.assert_allclose(open_.folded.sum(0).mean(0), mean, rtol=1e-3)


@pytest.mark.slow
def test_a_tilted_crab_tilts_what_is_found():
    # Relative to a Crab that is steeper by 0.1, the same mCrab are a spectrum steeper by 0.1.
    mean = expected(["powerlaw"])
    tight = np.diag((1e-3 * mean) ** 2)
    wide = {"powerlaw.index": "Normal(1.5, 1)"}
    plain = made("powerlaw", mean, tight, wide).draws["powerlaw.index"]
    tilted = made("powerlaw", mean, tight, wide | {"crab_spectrum.tilt": 0.1}).draws["powerlaw.index"]
    assert plain.mean() == pytest.approx(1.4, abs=0.01)
    assert tilted.mean() == pytest.approx(1.5, abs=0.01)
