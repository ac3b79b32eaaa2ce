"""What a run says of every ScW."""

import astropy.units as u
import jax
import numpy as np
import pytest
from scipy import stats

from ridgebayes import InputError, Run, models, simulate
from ridgebayes.inference.log_density import Posterior
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.likelihood.design import TERMS
from ridgebayes.runs.fitted import fitted, sites
from ridgebayes.runs.fitted_scws import residuals
from ridgebayes.runs.sampling import meet
from ridgebayes.simulate.draw import expected


def test_background_and_sky_are_those_simulated(small_run, small_mission, three_regions):
    truth = small_mission.truth
    intensity = {n: truth["intensity"][n] for n in three_regions.names}
    given = simulate.Truth(bands=simulate.BANDS[:2], template=None, intensity=intensity)
    true = expected(small_mission, given, sky=three_regions, response=Trapezoid(), seed=3)
    table = small_run.scws
    assert table["SCW_ID"].tolist() == sorted(small_mission.scw_id.tolist())
    cts = u.ct / u.s
    off = table["BACKGROUND"].to_value(cts) - true.background
    # The noise that a single ScW adds to its background: none beyond the terms of its revolution.
    pull = off / table["BACKGROUND_SD"].to_value(cts)
    assert 0.7 < np.sqrt((pull**2).mean()) < 1.4
    np.testing.assert_allclose(
        table["SKY"].to_value(cts), true.crab_rate / 1000 * true.sky, atol=5 * 0.02 * true.crab_rate.max()
    )
    # The reference level, which the scatter is relative to, is good to a tenth.
    noise = np.hypot(table["STAT_ERR"].to_value(cts), truth["sigma"] * true.level)
    plain = ~table["CRAB"]
    np.testing.assert_allclose(table["NOISE"].to_value(cts)[plain], noise[plain], rtol=0.15)


def test_residuals_off_the_plane_are_noise(small_run):
    table = small_run.scws
    history = small_run.tree["constant_data"].dataset["crab_history_mean"]
    crab = history.sel(revolution=table["REVOL"]).transpose(..., "band").values
    residual, error = residuals(table, crab)
    off = np.abs(table["LAT"].value) > 30
    chi2 = (residual[off] / error[off]) ** 2
    low, high = stats.chi2.interval(0.9999, chi2.size)
    assert low * 0.9 < chi2.sum() < high


def test_is_saved_and_read(small_run, tmp_path):
    saved = small_run.save(tmp_path / "run")
    read = Run.open(saved.path)
    for name in small_run.scws.colnames:
        assert (read.scws[name] == small_run.scws[name]).all()
        assert read.scws[name].unit == small_run.scws[name].unit
    assert read.scws.meta == small_run.scws.meta
    assert read.sky.key == small_run.sky.key
    (saved.path / "scws.fits").unlink()
    with pytest.raises(InputError, match=r"scws.fits is missing: fit again"):
        Run.open(saved.path).scws  # noqa: B018


def test_a_torn_file_is_one_line(small_run, tmp_path):
    saved = small_run.save(tmp_path / "run")
    file = saved.path / "scws.fits"
    file.write_bytes(file.read_bytes()[:4000])
    with pytest.raises(InputError, match=r"scws.fits: is not the file that the fit wrote .*, or fit again"):
        Run.open(saved.path).scws  # noqa: B018


@pytest.mark.slow
def test_flares_are_of_the_sky(small_mission, three_regions):
    """What a revolution has more along the plane counts as seen of it, not as background."""
    model = models.regions(three_regions).with_extras("transients")
    model, prepared = meet(model, small_mission.take_bands(["A01"]))
    data, posterior = prepared.data, Posterior(model, prepared.data)
    z = np.asarray(posterior.start(jax.random.key(0), data))
    found = sites(posterior, z, data)
    rate = found["rate"]
    mean, covariance = rate.coefficient_posterior(data.rate)
    phase, flare = np.split(np.moveaxis(np.asarray(mean), -1, 1), [len(TERMS)], axis=1)
    assert flare.shape[1] == 1
    assert np.abs(flare).max() > 0
    revolution = np.asarray(data.block_revolution)
    by_phase = np.einsum("kjbw,jbw->kbw", phase[..., revolution, None] + 0 * data.filled, data.basis[:3])
    by_flare = flare[:, 0][..., revolution, None] * np.asarray(data.basis[3])
    fit = fitted(posterior, data, z[None])
    np.testing.assert_allclose(fit.background, found["background.rate"] + by_phase, rtol=1e-9)
    np.testing.assert_allclose(fit.rate, rate.loc + by_phase + by_flare, rtol=1e-9)
    assert fit.coefficients.shape == phase.shape
    sd = np.sqrt(np.diagonal(np.asarray(covariance), axis1=-2, axis2=-1))[..., :3]
    np.testing.assert_allclose(np.moveaxis(fit.coefficients_sd, 1, -1), sd, rtol=1e-6)
