"""The density of many bands, one of which changes: against that of all linear parameters together."""

import jax
import numpy as np
import pytest

from ridgebayes import models
from ridgebayes.inference.by_band import ByBand
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.marginal import Conditional, Marginal, draw, linear_parameters
from ridgebayes.model import Model, components
from ridgebayes.models.regions import PRIORS
from ridgebayes.runs.sampling import meet
from tests.helpers.dense_algebra import few_scws


def made(model, scws):
    """Densities both ways, the data, and vectors of the nonlinear parameters."""
    model, prepared = meet(model, scws)
    data = prepared.data
    posterior = Posterior(model, data)
    marginal = Marginal(posterior, linear_parameters(posterior, data), data)
    z = posterior.start(jax.random.key(0), data)
    off = 0.3 * posterior.scale * np.random.default_rng(1).normal(size=(3, z.size))
    return marginal, ByBand(marginal), marginal.given(z, data), (z + off)[:, marginal.nonlinear]


MODELS = {
    "spectrum": models.spectrum,
    "regions": models.regions,
    "correlated": lambda sky: models.spectrum(sky).with_extras("correlated_noise"),
}


@pytest.fixture(scope="module", params=[pytest.param(m, marks=pytest.mark.slow) for m in MODELS])
def found(request, small_mission, three_regions):
    return made(MODELS[request.param](three_regions), few_scws(small_mission))


def test_density_and_draws_are_those_of_all_bands_together(found):
    marginal, by_band, given, thetas = found
    assert by_band.serves(thetas[0], given)
    noise = np.random.default_rng(2).normal(size=(3, marginal.linear.size))
    for theta, *dense in zip(thetas, *marginal.conditionals(thetas, given), strict=True):
        expected = Conditional(*dense)
        together, pieces = by_band.whole(theta, given)
        np.testing.assert_allclose(together.log_density, expected.log_density, rtol=1e-9)
        mean, lp = by_band.draw(together, pieces, given, np.zeros(marginal.linear.size))
        np.testing.assert_allclose(mean, expected.mean, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(lp, draw(expected, 0 * noise[0])[1], rtol=1e-9)
        # Draws from the same noise are others, as the order of the factor is; their distance is the same.
        for e in noise:
            beta, lp = by_band.draw(together, pieces, given, e)
            off = expected.factor.T @ (beta - expected.mean)
            np.testing.assert_allclose(off @ off, e @ e, rtol=1e-6)
            np.testing.assert_allclose(lp, draw(expected, off)[1], rtol=1e-9)


def test_one_band_moves(found):
    marginal, by_band, given, (here, *_) = found
    _, pieces = by_band.whole(here, given)
    for band, at in enumerate(by_band.own):
        there = here.copy()
        there[at] += 0.1 * np.random.default_rng(band).normal(size=at.size)
        together, piece = by_band.moved(there, band, pieces, given)
        all_together, all_pieces = by_band.whole(there, given)
        np.testing.assert_allclose(together.log_density, all_together.log_density, rtol=1e-9)
        np.testing.assert_allclose(
            together.log_density, marginal.log_densities(there[None], given)[0], rtol=1e-9
        )
        for x, y in zip(piece, all_pieces, strict=True):
            np.testing.assert_allclose(x, y[band], rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_bands_that_depend_on_each_other_are_found_out(small_mission, three_regions):
    """The Crab of each band shines in the other, too: nothing says so but the formula of the model."""

    def rates(p, data):
        crab_rate = components.crab_rate(p, data)
        seen = components.sky(p, components.measured(p, "sky.intensity"), crab_rate, data)
        seen += components.crab(crab_rate * p("crab.rate")[::-1, None], data)
        components.observe(p, data, components.background(p, data), seen, crab_rate)

    scws = few_scws(small_mission)
    _, by_band, given, thetas = made(Model("tied", rates, PRIORS, three_regions, factorises=False), scws)
    assert by_band.bands == 2
    assert not by_band.serves(thetas[0], given)
    _, by_band, given, thetas = made(models.regions(three_regions), scws.take_bands(["A01"]))
    assert not by_band.serves(thetas[0], given)
