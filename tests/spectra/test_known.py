"""Fluxes of a sky of a known spectrum."""

from itertools import pairwise

import numpy as np
import pytest

from ridgebayes.errors import InputError
from ridgebayes.instrument.crab_spectrum import CRAB
from ridgebayes.instrument.redistribution import Gaussian
from ridgebayes.priors import with_priors
from ridgebayes.simulate import BANDS
from ridgebayes.spectra import fitting
from ridgebayes.spectra.components import parameters, read_model
from ridgebayes.spectra.known import bulge
from ridgebayes.table.scw import Band

EDGES = np.geomspace(20.0, 200.0, 13)
NARROW = [Band(f"E{k}", low, high) for k, (low, high) in enumerate(pairwise(EDGES))]


def test_the_reference_band_has_its_flux():
    found = bulge(BANDS, 150.0, mass=0.6, index=1.5, share=0.7)
    assert found[0] == pytest.approx(150.0, rel=1e-9)
    assert (np.diff(found) < 0).all()


@pytest.mark.parametrize("spread", [None, Gaussian(0.15, 60.0, -0.5)])
@pytest.mark.slow
def test_a_fit_to_it_finds_mass_index_and_share(spread):
    mean = bulge(NARROW, 150.0, mass=0.6, index=1.4, share=0.7, redistribution=spread)
    model = read_model("whitedwarf+powerlaw")
    edges = np.stack([EDGES[:-1], EDGES[1:]])
    priors = with_priors(parameters(model, "fov"), {"powerlaw.index": "Normal(1.5, 1)"})
    fit = fitting.fit(
        model, priors, edges, mean, np.diag((0.002 * mean) ** 2), CRAB, redistribution=spread, draws=200
    )
    for draws, true in (
        (fit.draws["whitedwarf.mass"], 0.6),
        (fit.draws["powerlaw.index"], 1.4),
        (fit.share(model[0], 30.0, 80.0), 0.7),
    ):
        assert abs(draws.mean() - true) < 2 * draws.std()
        assert draws.std() < 0.1 * true
    assert fit.p_value > 0.1
    if spread is not None:  # to leave it out is seen in the fit
        # 3.1 sd: few draws leave 0.2 of it to chance.
        wrong = fitting.fit(model, priors, edges, mean, np.diag((0.002 * mean) ** 2), CRAB, draws=2000)
        assert abs(wrong.draws["whitedwarf.mass"].mean() - 0.6) > 3 * wrong.draws["whitedwarf.mass"].std()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"mass": 1.5}, "must lie between"), ({"share": 1.2}, "from 0 to 1"), ({"index": 9.0}, "from -5 to 5")],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        bulge(BANDS, 150.0, **({"mass": 0.6, "index": 1.5, "share": 0.7} | options))
