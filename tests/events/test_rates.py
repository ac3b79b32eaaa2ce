"""Rates of a ScW: known rates come back, with the right error, whatever is cut."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ridgebayes.errors import InputError
from ridgebayes.events import Cuts, EventList, measure, parse_bands, read_events, read_pifs
from tests.helpers.event_maker import LIT, make_events, mask_shadow, write_events, write_pif

BANDS = parse_bands("25-60,60-80,80-200")
FULL = 8.0  # the lists have an eighth of the pixels
TRUE = FULL * np.array([70.0, 45.0, 100.0, 30.0])  # and the tracer


def in_memory(events, seconds=600.0):
    time, energy, pixel = events
    gti = np.array([[0.0, seconds]])
    return EventList("list", "255900280010", time, energy, pixel, np.ones(time.size, bool), gti, 59864.0)


WHOLE = Cuts(full_detector=True)


def test_unbiased_with_the_right_error_over_many_seeds():
    pulls = []
    for seed in range(60):
        rates = measure(in_memory(make_events(np.random.default_rng(seed), 100.0), 100.0), BANDS, cuts=WHOLE)
        assert (rates.pixels > 2044, rates.noisy) == (True, 0)
        got = np.array([*rates.rate, rates.tracer])
        pulls.append((got - TRUE) / np.array([*rates.stat_err, rates.tracer_err]))
    pulls = np.array(pulls)
    assert np.abs(pulls.mean(axis=0)).max() < 4 / np.sqrt(60)
    assert_allclose(pulls.std(axis=0), 1.0, atol=4 / np.sqrt(120))


def test_all_cuts_at_once(tmp_path):
    """Gaps, flagged events, noisy pixels and bursts leave the rate of the whole detector."""
    rng = np.random.default_rng(3)
    hot = rng.choice(LIT, 40, replace=False)
    drawn = make_events(rng, 900.0, hot=hot, bursts=[100, 101, 420])
    gti = [[50.0, 400.5], [410.25, 880.0]]
    flagged = drawn[2] % 130 < 10  # pixels that the archive calls noisy, events and all
    events = read_events(write_events(tmp_path / "e.fits", drawn, gti=gti, selected=~flagged))
    rates = measure(events, BANDS, cuts=WHOLE)
    off = (LIT % 130 < 10).sum()
    assert rates.pixels == 2048 - off
    assert abs(rates.noisy - (hot % 130 >= 10).sum()) <= 2
    assert_allclose(rates.good_s, 350.5 + 469.75, atol=1e-4)
    assert 3 <= rates.burst_s <= 5  # seconds start with the good time
    got, error = np.array([*rates.rate, rates.tracer]), np.array([*rates.stat_err, rates.tracer_err])
    assert np.abs((got - TRUE) / error).max() < 3.5
    assert_allclose(error, np.sqrt(TRUE / (rates.exposure * (2048 - off - rates.noisy) / 16384)), rtol=0.02)
    used = measure(events, BANDS)
    assert_allclose(used.rate, np.array(rates.rate) * (rates.pixels - rates.noisy) / 16384)
    raw = measure(events, BANDS, cuts=Cuts(noisy_sigma=0, burst_sigma=0))
    inside = np.any([(drawn[0] >= a) & (drawn[0] < b) for a, b in gti], axis=0) & ~flagged
    count = (inside & (drawn[1] >= 25) & (drawn[1] < 60)).sum()
    assert_allclose(raw.rate[0] * raw.good_s, count, atol=1.5)


def test_a_source_is_removed_or_kept(tmp_path):
    shadow = mask_shadow(5, rows=100)
    pifs = read_pifs(write_pif(tmp_path / "p.fits", shadow))
    pulls, fluxes = [], []
    for seed in range(40):
        rng = np.random.default_rng(100 + seed)
        events = in_memory(make_events(rng, 100.0, pif=shadow, flux=40.0), 100.0)
        rates = measure(events, BANDS, pifs, WHOLE)
        pulls.append((rates.rate[0] - FULL * 70.0) / rates.stat_err[0])
        fluxes.append((rates.flux[0][0] - FULL * 40.0) / rates.flux_err[0][0])
    for values in (pulls, fluxes):
        assert abs(np.mean(values)) < 4 / np.sqrt(40)
        assert_allclose(np.std(values), 1.0, atol=4 / np.sqrt(80))
    kept = measure(events, BANDS, pifs, Cuts(full_detector=True, keep=("test x-1",)))
    assert (kept.removed, kept.sources) == ([False], ["Test X-1"])
    assert abs(kept.rate[0] - FULL * 110.0) < 4 * kept.stat_err[0]
    assert_allclose(kept.stat_err[0] ** 2, FULL * kept.rate[0] / 100.0, rtol=1e-6)


def test_scatter_within_the_scw():
    rng = np.random.default_rng(1)
    steps = 1 + 0.05 * np.tile([1, -1], 10)  # of 300 s each
    times = np.concatenate(
        [300 * k + rng.uniform(0, 300, rng.poisson(200 * 300 * s)) for k, s in enumerate(steps)]
    )
    times.sort()
    events = in_memory((times, np.full(times.size, 40.0), rng.choice(LIT, times.size)), 6000.0)
    scatter = measure(events, parse_bands("25-60"), cuts=Cuts(burst_sigma=0)).scatter
    assert_allclose(scatter[0], 0.05 * np.sqrt(20 / 19), rtol=0.1)
    assert np.isnan(scatter[1])  # no events at 600–1000 keV


def test_edges_of_bands():
    energy = np.array([24.999, 25.0, 59.999, 60.0])
    events = in_memory((np.arange(16.0) / 2, np.tile(energy, 4), np.repeat(LIT[:2], 8)), 10.0)
    rates = measure(events, parse_bands("25-60"), cuts=Cuts(0, 0))
    assert_allclose(rates.rate, [0.8])


@pytest.mark.parametrize("text", ["", "25", "60-25", "a-b", "25-60,", "-5-10", "25-inf"])
def test_bands_that_are_none(text):
    with pytest.raises(InputError, match="no interval"):
        parse_bands(text)


def test_what_cannot_be_measured(tmp_path):
    drawn = make_events(np.random.default_rng(0), 100.0)
    events = read_events(write_events(tmp_path / "e.fits", drawn, selected=np.zeros(drawn[0].size, bool)))
    with pytest.raises(InputError, match=r"e\.fits: no selected event"):
        measure(events, BANDS)
    with pytest.raises(InputError, match=r"list: [\d.]+ selected events a pixel"):
        measure(in_memory(make_events(np.random.default_rng(0), 20.0)), BANDS)
    pifs = read_pifs(write_pif(tmp_path / "p.fits", mask_shadow(), scw_id="000100010010"))
    with pytest.raises(InputError, match="is of ScW 000100010010"):
        measure(in_memory(drawn, 100.0), BANDS, pifs)
    twice = read_pifs(write_pif(tmp_path / "p.fits", mask_shadow())) * 2
    with pytest.raises(InputError, match="list: sources cannot be told apart"):
        measure(in_memory(drawn, 100.0), BANDS, twice)
    for bad in ({"noisy_sigma": -1}, {"burst_sigma": np.nan}, {"scatter_s": 0}):
        with pytest.raises(InputError, match="give"):
            Cuts(**bad)
