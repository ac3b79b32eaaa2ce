"""A real event list: that of ScW 255900280010, which the source package isgri 0.1.0 (MIT licence) brings.

Skipped where it is absent. To have it:

    pip download --no-deps --no-binary :all: isgri==0.1.0
    tar xf isgri-0.1.0.tar.gz
    RIDGEBAYES_ISGRI=isgri-0.1.0/demo/data pytest tests/events/test_real.py
"""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

from ridgebayes.events import Cuts, measure, parse_bands, read_events, read_pifs


def _folder() -> Path | None:
    places = [Path(os.environ["RIDGEBAYES_ISGRI"])] if "RIDGEBAYES_ISGRI" in os.environ else []
    spec = find_spec("isgri")
    if spec is not None and spec.origin:
        package = Path(spec.origin).parent
        places += [package / "demo/data", package.parents[1] / "demo/data"]  # an unpacked source package
    return next((place for place in places if (place / "isgri_events.fits.gz").exists()), None)


FOLDER = _folder()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="no event list of isgri 0.1.0: set RIDGEBAYES_ISGRI")
BANDS = parse_bands("25-60,60-80,80-200,200-600")


@pytest.fixture(scope="module")
def events():
    return read_events(FOLDER / "isgri_events.fits.gz")


def test_what_its_header_says(events):
    assert events.scw_id == "255900280010"
    assert events.live is None
    assert not events.simulated
    assert_allclose([events.ra, events.dec], [286.8229, 20.2763], atol=1e-4)
    assert_allclose(events.roll, 262.670, atol=1e-3)
    assert_allclose((events.gti[:, 1] - events.gti[:, 0]).sum(), 3548.47, atol=0.01)


def test_rates_of_an_earlier_reduction(events):
    rates = measure(events, BANDS, cuts=Cuts())
    assert_allclose(rates.rate, [74.09, 46.51, 275.99, 174.21], rtol=0.02)
    assert_allclose(rates.tracer, 30.00, rtol=0.02)
    assert_allclose(rates.stat_err, [0.15, 0.12, 0.29, 0.23], rtol=0.05)
    # Its scatter, with another cut of the bursts of SGR 1935+2154: 0.8, 0.8, 0.5, 0.6 %.
    assert_allclose(rates.scatter[:4], [0.008, 0.008, 0.005, 0.006], atol=0.004)


def test_its_magnetar_is_faint_without_the_bursts(events):
    pifs = read_pifs(FOLDER / "255900280010_isgri_model.fits.gz")
    rates = measure(events, BANDS, pifs)
    assert rates.sources == ["SGR1935"]
    assert abs(rates.flux[0][0]) < 5 * rates.flux_err[0][0]
    assert_allclose(rates.rate, measure(events, BANDS).rate, rtol=0.02)
