"""A linear fit that knows the hyperparameters recovers the truth: the whole chain, from the table alone."""

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy import stats

from ridgebayes import simulate
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.sky import exposure, point_response
from ridgebayes.table.scw import CRAB


def generalised_least_squares(scws, design, k):
    """Best linear unbiased estimate and covariance, revolution by revolution with dense covariances."""
    truth = scws.truth
    times = np.array(truth["mjd"])
    level = np.interp(scws.mjd, times, np.array(truth["level"])[:, k])
    precision, projected = 0.0, 0.0
    for revolution in np.unique(scws.revolution):
        rows = scws.revolution == revolution
        phi = legendre.legvander(2 * scws.phase[rows] - 1, 2) * level[rows, None]
        noise = scws.stat_err[rows, k] ** 2 + (truth["sigma"][k] * level[rows]) ** 2
        covariance = np.diag(noise) + phi * np.square(truth["tau"][k]) @ phi.T
        weighted = np.linalg.solve(covariance, design[rows])
        precision = precision + design[rows].T @ weighted
        projected = projected + scws.rate[rows, k] @ weighted
    covariance = np.linalg.inv(precision)
    return covariance @ projected, covariance


@pytest.mark.parametrize("k", range(3))
def test_intensities_are_recovered(coarse, k):
    scws = simulate.mission(simulate.programme(120, stop=2740, seed=6), sky=coarse, seed=k)
    truth = scws.truth
    crab = np.interp(scws.mjd, truth["mjd"], np.array(truth["crab_rate"])[:, k])
    level = np.interp(scws.mjd, truth["mjd"], np.array(truth["level"])[:, k])
    sky = crab[:, None] / 1000 * exposure(scws, coarse, Trapezoid())
    on_crab = crab * scws.crab * point_response(scws, CRAB, Trapezoid())
    trend = level / np.interp(59864.0, truth["mjd"], np.array(truth["level"])[:, k])  # 1 in October 2022
    tracer = level * (scws.tracer / (30.0 * trend) - 1)
    time = 2 * (scws.mjd - scws.mjd.min()) / np.ptp(scws.mjd) - 1
    drift = level[:, None] * legendre.legvander(time, 6)
    design = np.column_stack([sky, on_crab, tracer, drift])
    estimate, covariance = generalised_least_squares(scws, design, k)

    m = len(coarse)
    expected = np.array([truth["intensity"][name][k] for name in coarse.names])
    off = estimate[:m] - expected
    chi2 = off @ np.linalg.solve(covariance[:m, :m], off)
    assert 0.005 < stats.chi2(m).cdf(chi2) < 0.995
    for row, value in ((m, 1.0), (m + 1, truth["alpha"][k])):  # the Crab, the elasticity
        assert abs(estimate[row] - value) < 4 * np.sqrt(covariance[row, row])
    # A mission of this size has something to say: the bulge at 25-60 keV to a few per cent.
    error = np.sqrt(np.diag(covariance))[coarse.index("GB")]
    assert k > 0 or error < 0.05 * expected[coarse.index("GB")]
