"""Joining tables: nothing mixes in silence."""

import dataclasses

import numpy as np
import pytest

from ridgebayes.convert import Cuts, append, screen
from ridgebayes.errors import InputError
from ridgebayes.table.formats import read_scws, write_scws
from ridgebayes.table.scw import Band
from tests.helpers.cli import call
from tests.helpers.convert_dialects import assert_same


@pytest.fixture
def halves(mission):
    late = mission.revolution == mission.revolution[-1]
    return mission.select(~late), mission.select(late)


def refusal(*tables, **options):
    with pytest.raises(InputError) as error:
        append(tables, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def changed(table, **meta):
    return dataclasses.replace(table, meta=table.meta | meta)


def test_what_was_parted_is_joined(mission, halves):
    for tables in (halves, halves[::-1]):
        both = append(tables)
        assert_same(both, mission, time_d=0)
        assert both.fingerprint() == mission.fingerprint()
        assert both.truth == mission.truth


def test_bands_in_another_order_are_put_in_order_and_others_refused(mission, halves):
    early, late = halves
    both = append([early, late.take_bands(late.band_names[::-1])])
    assert both.fingerprint() == mission.fingerprint()
    assert "join the same bands" in refusal(early, late.take_bands(late.band_names[:2]))
    other = dataclasses.replace(late, bands=(Band(late.bands[0].name, 20, 60), *late.bands[1:]))
    assert "20–60 keV" in refusal(early, other)
    many = tuple(Band(f"E{k:02d}", 20 + k, 21 + k) for k in range(30))
    wide = {name: np.ones((len(late), 30)) for name in ("rate", "stat_err")}
    message = refusal(early, dataclasses.replace(late, bands=many, **wide))
    assert "30 bands (E00 (20–21 keV), E01 (21–22 keV), E02 (22–23 keV), …)" in message


def test_duplicates(mission, halves):
    early = halves[0]
    again = dataclasses.replace(early.select(np.arange(5)), rate=early.rate[:5] + 1)
    message = refusal(early, again)
    assert "5 SCW_IDs" in message
    assert early.scw_id[0] in message
    assert_same(append([early, again], duplicates="first"), early, time_d=0)
    last = append([early, again], duplicates="last")
    np.testing.assert_array_equal(last.rate[:5], early.rate[:5] + 1)
    np.testing.assert_array_equal(last.rate[5:], early.rate[5:])
    assert "choose one of" in refusal(early, again, duplicates="frist")


def test_simulated_and_real_never_mix(halves):
    real = dataclasses.replace(changed(halves[1], simulated=False), truth=None)
    for options in ({}, {"mix_osa": True, "drop_optional": True}):
        assert "simulated" in refusal(halves[0], real, **options)


def test_osa_versions_mix_only_when_asked(halves):
    old, new = changed(halves[0], osa_version="10.2"), changed(halves[1], osa_version="11.2")
    assert "mix_osa=True" in refusal(old, new)
    assert "not stated" in refusal(old, changed(new, osa_version=None))
    assert append([old, new], mix_osa=True).meta["osa_version"] == "10.2+11.2"


def test_optional_columns_that_one_lacks(halves):
    bare = dataclasses.replace(halves[1], tracer=None, tracer_err=None)
    assert "no TRACER" in refusal(halves[0], bare)
    both = append([halves[0], bare], drop_optional=True)
    assert both.tracer is None
    assert both.tracer_err is None
    assert both.roll is not None


def test_truths_of_different_simulations_are_not_kept(halves):
    other = dataclasses.replace(halves[1], truth={"another": 1})
    assert append([halves[0], other]).truth is None


def test_flags_survive(mission, halves, tmp_path):
    flagged = screen(halves[0], Cuts(short=1700))
    both = append([flagged, halves[1]])
    rows = np.isin(both.scw_id, flagged.scw_id)
    np.testing.assert_array_equal(both.screen[rows], flagged.screen)
    assert not both.screen[~rows].any()
    write_scws(both, tmp_path / "both.fits")
    assert len(read_scws(tmp_path / "both.fits")) == (both.screen == 0).sum() < len(both)
    odd = dataclasses.replace(
        halves[1],
        screen=np.ones(len(halves[1])),
        meta=halves[1].meta | {"screening": {"MINE": {"bit": 0, "log": "x"}}},
    )
    assert "MINE" in refusal(flagged, odd)
    nameless = dataclasses.replace(odd, meta=halves[1].meta)
    message = refusal(flagged, nameless)
    assert "has no name" in message
    assert "FLARE" in message


def test_a_cut_that_was_not_applied_to_all_says_so(halves, tmp_path):
    write_scws(screen(halves[0], Cuts(short=1700)), tmp_path / "old.fits")
    write_scws(halves[1], tmp_path / "new.fits")
    paths = [str(tmp_path / name) for name in ("old.fits", "new.fits", "both.fits")]
    result = call("append", *paths[:2], "--out", paths[2])
    told = f"not applied to {len(halves[1])} ScWs of new.fits"
    assert f"SHORT: {told}: ridgebayes screen" in result.output
    joined = read_scws(paths[2], screened=False)
    assert all(cut["log"].endswith(told) for cut in joined.meta["screening"].values())
    again = screen(joined).meta["screening"]
    assert not any("not applied" in cut["log"] for cut in again.values())


def test_the_command(halves, mission, tmp_path):
    write_scws(halves[0], tmp_path / "a.fits")
    write_scws(halves[1], tmp_path / "b.ecsv")

    def command(*names):
        paths = [str(tmp_path / name) if "." in name else name for name in names]
        return call("append", *paths)

    assert command("a.fits", "b.ecsv", "--out", "both.fits").exit_code == 0
    assert read_scws(tmp_path / "both.fits").fingerprint() == mission.fingerprint()
    twice = command("a.fits", "a.fits", "--out", "twice.fits")
    assert (twice.exit_code, (tmp_path / "twice.fits").exists()) == (2, False)
    assert command("a.fits", "a.fits", "--out", "twice.fits", "--duplicates", "last").exit_code == 0
    assert len(read_scws(tmp_path / "twice.fits")) == len(halves[0])
