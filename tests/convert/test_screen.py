"""Screening: what is injected is found, what is clean stays, and every cut can be undone."""

import dataclasses

import numpy as np
import pytest

from ridgebayes.convert import Cuts, clear, screen
from ridgebayes.convert.screening import BITS
from ridgebayes.errors import InputError
from ridgebayes.table.formats import read_scws, write_scws
from ridgebayes.table.summary import summary
from tests.helpers.cli import call

FILES = ["a.fits", "a.ecsv", "a.csv", "a.parquet"]


def bit(scws, name):
    return (scws.screen >> BITS[name] & 1).astype(bool)


@pytest.fixture(scope="module")
def injected(demo):
    """Return the demo with flares, bursts and short ScWs put in, and where; errors follow the exposure."""
    rng = np.random.default_rng(4)
    rate, stat_err, tracer, exposure, phase = (
        getattr(demo, name).copy() for name in ("rate", "stat_err", "tracer", "exposure", "phase")
    )
    rows = rng.permutation(np.flatnonzero(~demo.crab))
    where = {"BELT": rows[:10], "SHORT": rows[10:30], "OUTLIER": rows[30:60]}
    order = np.argsort(demo.mjd)
    start = rng.choice(np.arange(200, len(demo) - 200), 4, replace=False)
    where["FLARE"] = np.unique(np.concatenate([order[s : s + 12] for s in start]))  # six hours each
    tracer[where["FLARE"]] *= 1.3
    rate[where["OUTLIER"][:20], 0] *= 1.15
    rate[where["OUTLIER"][20:], 1] *= 0.85
    phase[where["BELT"]] = 0.99
    longer = np.sqrt(exposure[where["SHORT"]] / 100)
    exposure[where["SHORT"]] = 100
    stat_err[where["SHORT"]] *= longer[:, None]
    changed = {"rate": rate, "stat_err": stat_err, "tracer": tracer, "exposure": exposure, "phase": phase}
    return dataclasses.replace(demo, **changed), where


def test_a_clean_simulated_mission_loses_next_to_nothing(demo):
    done = screen(demo)
    for name in BITS:
        assert bit(done, name).mean() < 0.005, name
    without = screen(dataclasses.replace(demo, tracer=None, tracer_err=None))
    assert bit(without, "FLARE").mean() < 0.005
    assert "A03" in without.meta["screening"]["FLARE"]["log"]


def test_what_was_injected_is_found(injected):
    scws, where = injected
    done = screen(scws)
    for name in ("FLARE", "BELT", "SHORT"):
        np.testing.assert_array_equal(np.flatnonzero(bit(done, name)), np.sort(where[name]))
    found = bit(done, "OUTLIER")
    tested = int(done.meta["screening"]["OUTLIER"]["log"].split("(")[1].split()[0]) / len(scws)
    assert found[where["OUTLIER"]].mean() > 0.85 * tested
    others = np.ones(len(scws), dtype=bool)
    others[where["OUTLIER"]] = False
    assert found[others].mean() < 0.002


def test_flares_are_found_in_the_highest_band_where_there_is_no_tracer(injected):
    scws, where = injected
    rate = scws.rate.copy()
    rate[where["FLARE"], 2] *= 1.3
    flaring = dataclasses.replace(scws, rate=rate, tracer=None, tracer_err=None)
    found = bit(screen(flaring), "FLARE")
    no_crab = where["FLARE"][~scws.crab[where["FLARE"]]]
    assert found[no_crab].all()


def test_the_flags_of_a_revolution_against_brute_force(injected):
    """OUTLIER by loops over ScWs, from separations that astropy computes."""
    scws, _ = injected
    few = scws.select(np.isin(scws.revolution, np.unique(scws.revolution)[:6]))
    deviation, spread = np.full(few.rate.shape, np.nan), np.full(few.rate.shape, np.nan)
    for i in range(len(few)):
        near = (few.revolution == few.revolution[i]) & ~few.crab & few.near(few.position[i], 6.0)
        if few.crab[i] or near.sum() < 5:
            continue
        centre = np.median(few.rate[near], axis=0)
        deviation[i] = np.abs(few.rate[i] - centre)
        spread[i] = np.median(np.abs(few.rate[near] - centre), axis=0)
    sigma = 1.482602 * np.fmax(spread, np.nanmedian(deviation, axis=0))
    expected = (deviation > 6 * np.fmax(sigma, few.stat_err)).any(axis=1)
    assert expected.any()
    np.testing.assert_array_equal(bit(screen(few), "OUTLIER"), expected)


def test_rows_in_any_order_get_the_same_flags(injected, rng):
    scws, _ = injected
    order = rng.permutation(len(scws))
    np.testing.assert_array_equal(screen(scws.select(order)).screen, screen(scws).screen[order])


@pytest.mark.parametrize("name", FILES)
def test_reading_leaves_flagged_rows_out_and_everything_can_be_undone(injected, tmp_path, name):
    scws = injected[0].select(np.arange(900))
    done = screen(scws)
    path = tmp_path / name
    write_scws(done, path)
    kept, every = read_scws(path), read_scws(path, screened=False)
    np.testing.assert_array_equal(every.screen, done.screen)
    assert every.meta["screening"] == done.meta["screening"]
    assert every.fingerprint() == scws.fingerprint()
    # The fingerprint is that of the rows kept, whether they were flagged or never there.
    assert kept.screen is None
    assert kept.fingerprint() == scws.select(done.screen == 0).fingerprint()
    assert kept.meta["left_out"]["ScWs"] == np.count_nonzero(done.screen) > 0
    assert f"{np.count_nonzero(done.screen)} flagged ScWs left out" in summary(kept)
    less = clear(every, ["SHORT"])
    assert not bit(less, "SHORT").any()
    assert bit(less, "BELT").sum() == bit(done, "BELT").sum()
    write_scws(clear(every), path, overwrite=True)
    back = read_scws(path)
    assert (back.screen, back.fingerprint(), back.meta.get("screening")) == (None, scws.fingerprint(), None)


def test_screening_again_makes_its_own_flags_anew_and_leaves_others(mission):
    mine = dataclasses.replace(
        mission,
        screen=np.arange(len(mission)) % 2 << 9,
        meta=mission.meta | {"screening": {"MINE": {"bit": 9, "log": "odd rows"}}},
    )
    once, twice = screen(mine, Cuts(short=1e9)), screen(screen(mine, Cuts(short=1e9)), Cuts(short=0))
    assert bit(once, "SHORT").all()
    np.testing.assert_array_equal(twice.screen, mine.screen)
    assert {"MINE"} < set(twice.meta["screening"])
    assert "SHORT" not in twice.meta["screening"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: screen(m, Cuts(flare=-1)), "threshold above 0"),
        (lambda m: screen(m, Cuts(phase=(0.9, 0.1))), "rising"),
        (lambda m: clear(m, ["FLARE"]), "no column SCREEN"),
        (lambda m: clear(screen(m), ["FLAIR"]), "did you mean 'FLARE'"),
        (lambda m: screen(dataclasses.replace(m, screen=np.ones(len(m)))), "is taken"),
    ],
)
def test_mistakes(mission, change, words):
    with pytest.raises(InputError) as error:
        change(mission)
    assert words in str(error.value)


@pytest.mark.parametrize("value", [-1, 0.5, 2.0**60, np.nan])
def test_a_bad_screen_column_is_named(mission, tmp_path, value):
    table = mission.to_table(vectors=False)
    table["SCREEN"] = 0.0
    table["SCREEN"][4] = value
    write_scws(mission, tmp_path / "a.csv")
    table.write(tmp_path / "a.csv", format="ascii.csv", overwrite=True)
    with pytest.raises(InputError, match=r"row 5 .*SCREEN"):
        read_scws(tmp_path / "a.csv")


def test_a_table_that_is_flagged_altogether(mission, tmp_path):
    write_scws(screen(mission, Cuts(short=1e9)), tmp_path / "a.fits")
    with pytest.raises(InputError, match="flags all"):
        read_scws(tmp_path / "a.fits")


def test_one_scw_can_be_screened(mission):
    assert screen(mission.select([0])).screen.tolist() == [0]


def test_the_command(injected, tmp_path):
    scws = injected[0].select(np.arange(900))
    write_scws(scws, tmp_path / "a.fits")

    def command(*names):
        paths = [str(tmp_path / name) if ".fits" in name else name for name in names]
        return call(*paths)

    done = command("screen", "a.fits", "--out", "b.fits", "--flare", "0")
    assert done.exit_code == 0, done.output
    assert "SHORT    exposure below 300 s: " in done.output
    assert "FLARE" not in done.output
    page = command("inspect", "b.fits").stdout
    assert "flagged ScWs left out of all below" in page
    assert command("screen", "b.fits", "--out", "c.fits", "--clear", "short").exit_code == 0
    assert not bit(read_scws(tmp_path / "c.fits", screened=False), "SHORT").any()
    assert command("screen", "b.fits", "--out", "d.fits", "--undo").exit_code == 0
    assert read_scws(tmp_path / "d.fits").fingerprint() == scws.fingerprint()
    assert command("screen", "b.fits", "--out", "d.fits").exit_code == 2


def test_a_tracer_that_is_off_tests_nothing(mission):
    tracer = mission.tracer.copy()
    off = np.argsort(mission.mjd)[: len(mission) // 2]
    tracer[off] = 0.0
    found = screen(dataclasses.replace(mission, tracer=tracer), Cuts(phase=None, outlier=None, short=None))
    assert not found.screen[off].any()
    none = screen(dataclasses.replace(mission, tracer=np.zeros(len(mission))), Cuts(outlier=None, short=None))
    assert "(0 tested)" in none.meta["screening"]["FLARE"]["log"]
