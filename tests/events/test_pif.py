"""Removing sources: against another solver, unbiased, with the right error."""

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

from ridgebayes.errors import InputError
from ridgebayes.events import read_pifs
from ridgebayes.events.pif import MODULES, fit_sources
from tests.helpers.event_maker import PIXELS, SCW, mask_shadow, write_pif

N = 134 * 130
USED = np.isin(np.arange(N), PIXELS)
TWO = np.stack([mask_shadow(3), mask_shadow(4, rows=70) * 0.7])


def test_least_squares_by_another_route():
    image = np.zeros(N)
    image[PIXELS] = np.random.default_rng(0).poisson(5 + 3 * TWO[0, PIXELS])
    fit = fit_sources(image, USED, TWO)
    z, y = np.divmod(PIXELS, 130)
    module = 2 * (z // 33.5).astype(int) + (y > 64)
    design = np.stack([*(module == k for k in range(8)), *TWO[:, PIXELS]], axis=1)
    want = np.linalg.lstsq(design, image[PIXELS], rcond=None)[0]
    assert_allclose([*fit.background, *fit.sources], want)
    # Residuals of least squares with constants sum to zero: what is left is the background of all pixels.
    assert_allclose(fit.cleaned, want[:8].sum() * 2048)
    one = fit_sources(image, USED, TWO, np.array([True, False]))
    assert_allclose(one.cleaned, image[PIXELS].sum() - want[8] * TWO[0, PIXELS].sum())


def test_without_sources_it_is_the_sum_and_its_root():
    image = np.where(USED, np.arange(N) % 7, 100.0)
    fit = fit_sources(image, USED, np.zeros((0, N)))
    assert_allclose([fit.cleaned, fit.cleaned_err**2], image[USED].sum())


@pytest.mark.parametrize("pattern", [0.0, 0.3])
@pytest.mark.slow
def test_unbiased_with_the_right_error_over_many_seeds(pattern):
    rng = np.random.default_rng(11)
    truth, flux = 4.0, np.array([3.0, 1.0])
    pulls = []
    for _ in range(150):
        # Pixels that differ by more than counting, as thresholds make them.
        modules = (1 + 0.1 * np.sin(np.arange(8))) @ MODULES[:, PIXELS]
        background = truth * modules * (1 + pattern * rng.standard_normal(PIXELS.size)).clip(0)
        image = np.zeros(N)
        image[PIXELS] = rng.poisson(background + flux @ TWO[:, PIXELS])
        fit = fit_sources(image, USED, TWO)
        pulls.append(
            [(fit.cleaned - background.sum()) / fit.cleaned_err, *(fit.sources - flux) / fit.sources_err]
        )
    pulls = np.array(pulls)
    assert_array_equal(np.abs(pulls.mean(axis=0)) < 4 / np.sqrt(len(pulls)), True)
    assert_allclose(pulls.std(axis=0), 1.0, atol=4 / np.sqrt(2 * len(pulls)))


def test_sources_that_cannot_be_told_apart():
    image = USED.astype(float)
    for pifs in (TWO[[0, 0]], np.ones((1, N))):
        with pytest.raises(InputError, match="cannot be told apart"):
            fit_sources(image, USED, pifs)


def test_reading_a_pif(tmp_path):
    shadow = mask_shadow()
    (pif,) = read_pifs(write_pif(tmp_path / "p.fits", shadow))
    assert (pif.scw_id, pif.name, pif.is_crab) == (SCW, "Test X-1", False)
    assert_allclose(pif.fraction, shadow)
    (crab,) = read_pifs(write_pif(tmp_path / "c.fits", shadow, ra=83.633, dec=22.014))
    assert crab.is_crab


def test_bad_pifs_in_one_line(tmp_path):
    path = tmp_path / "p.fits"
    with pytest.raises(InputError, match="no such file"):
        read_pifs(path)
    path.write_bytes(b"SIMPLE  =")
    with pytest.raises(InputError, match=r"p\.fits"):
        read_pifs(path)
    fits.HDUList([fits.PrimaryHDU()]).writeto(path, overwrite=True)
    with pytest.raises(InputError, match=r"no image extension ISGR-PIF\.-SHD"):
        read_pifs(path)
    with pytest.raises(InputError, match="outside 0 to 1"):
        read_pifs(write_pif(path, mask_shadow() * 3))
    with pytest.raises(InputError, match="no keyword SWID"):
        read_pifs(write_pif(path, mask_shadow(), scw_id=None))
    small = fits.ImageHDU(np.zeros((4, 4)), name="ISGR-PIF.-SHD")
    fits.HDUList([fits.PrimaryHDU(), small]).writeto(path, overwrite=True)
    with pytest.raises(InputError, match=r"of shape \(4, 4\)"):
        read_pifs(path)
