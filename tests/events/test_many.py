"""Many event lists: in parallel as one by one, resumable, bad ones skipped; and the table made of them."""

import dataclasses
import json
import os

import numpy as np
import pytest
from astropy.table import Table
from numpy.testing import assert_allclose, assert_array_equal

from ridgebayes.convert.times import Revolutions
from ridgebayes.errors import InputError
from ridgebayes.events import (
    Cuts,
    assemble,
    measure_files,
    parse_bands,
    read_pointings,
    report,
    source_report,
)
from ridgebayes.events import many as module
from ridgebayes.table.scw import CRAB_DEC, CRAB_RA
from tests.helpers.event_maker import START, make_events, mask_shadow, write_events, write_pif

BANDS = parse_bands("25-60,80-200")
REVOLUTIONS = Revolutions(np.array([2559]), np.array([59863.0]), np.array([59865.5]))


def scw(number):
    return f"2559{number:04d}0010"


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    paths = []
    for k in range(3):
        drawn = make_events(np.random.default_rng(k), 80.0)
        paths.append(write_events(folder / f"e{k}.fits", drawn, scw_id=scw(k)))
    return paths


def plain(rates):
    return json.dumps([r.as_dict() for r in rates])


@pytest.mark.slow
def test_processes_give_what_one_gives(lists, tmp_path):
    bad = tmp_path / "bad.fits"
    bad.write_bytes(lists[0].read_bytes()[:4000])
    alone = measure_files(lists, BANDS)
    both = measure_files(
        [bad, *lists[::-1], tmp_path / "none.fits"], BANDS, scheduler="local:2", folder=tmp_path / "done"
    )
    assert plain(alone.rates) == plain(both.rates)
    assert [r.scw_id for r in both.rates] == [scw(0), scw(1), scw(2)]
    assert set(both.skipped) == {bad, tmp_path / "none.fits"}
    assert all("\n" not in line for line in both.skipped.values())


def test_a_stopped_run_goes_on(lists, tmp_path, monkeypatch):
    want = plain(measure_files(lists, BANDS).rates)
    replace, moved = os.replace, []

    def killed(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        replace(source, target)

    monkeypatch.setattr(module.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        measure_files(lists, BANDS, folder=tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 1
    assert len(list(tmp_path.iterdir())) == 1, "half a file is left"
    monkeypatch.undo()
    outcome = measure_files(lists, BANDS, folder=tmp_path)
    assert (outcome.reused, plain(outcome.rates)) == (1, want)
    # What was kept by halves, were it ever so, is measured again.
    done = sorted(tmp_path.glob("*.json"))
    done[0].write_text(done[0].read_text()[:50])
    done[1].write_text("[1]")
    outcome = measure_files(lists, BANDS, folder=tmp_path)
    assert (outcome.reused, plain(outcome.rates)) == (1, want)


def test_other_bands_cuts_files_or_sources_are_measured_again(lists, tmp_path):
    lists = lists[:1]
    measure_files(lists, BANDS, folder=tmp_path)
    assert measure_files(lists, BANDS, folder=tmp_path).reused == 1
    assert measure_files(lists, BANDS[:1], folder=tmp_path).reused == 0
    assert measure_files(lists, BANDS, cuts=Cuts(noisy_sigma=6), folder=tmp_path).reused == 0
    pif = write_pif(tmp_path / "pif.fits", mask_shadow(), scw_id=scw(0))
    other = write_pif(tmp_path / "other.fits", mask_shadow(), scw_id=scw(9))
    assert measure_files(lists, BANDS, pifs=[other], folder=tmp_path).reused == 1
    outcome = measure_files(lists, BANDS, pifs=[pif, other], folder=tmp_path)
    assert outcome.reused == 0
    assert outcome.rates[0].sources == ["Test X-1"]
    assert measure_files(lists, BANDS, pifs=[pif], folder=tmp_path).reused == 1
    os.utime(lists[0], ns=(1, 1))
    assert measure_files(lists, BANDS, pifs=[pif], folder=tmp_path).reused == 0


def test_the_same_scw_twice_and_a_broken_pif(lists, tmp_path):
    copy = tmp_path / "zcopy.fits"
    copy.write_bytes(lists[0].read_bytes())
    outcome = measure_files([lists[0], lists[0], copy], BANDS)
    assert len(outcome.rates) == 1
    (line,) = outcome.skipped.values()
    assert "the same ScW" in line
    broken = tmp_path / "pif.fits"
    broken.write_bytes(b"x")
    with pytest.raises(InputError, match=r"pif\.fits"):
        measure_files(lists, BANDS, pifs=[broken])


def test_folder_that_cannot_be_written(lists, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        measure_files(lists, BANDS, folder=tmp_path / "file" / "parts")


@pytest.fixture(scope="module")
def measured(lists):
    return measure_files(lists, BANDS).rates


def test_table_of_rates(measured):
    scws = assemble(measured, BANDS, REVOLUTIONS, osa_version="11.2")
    assert scws.meta["simulated"]
    assert scws.meta["osa_version"] == "11.2"
    assert_allclose(scws.rate, [r.rate for r in measured])
    assert_allclose(scws.exposure, 80.0, atol=0.01)
    # Start of the lists, and half of their 80 s.
    assert_allclose(scws.mjd, 51544 + START + 40 / 86400, atol=1e-6)
    assert_allclose(scws.phase, (scws.mjd - 59863.0) / 2.5)
    assert_allclose(scws.ra, 286.8229)
    assert not scws.crab.any()
    table = report(measured, BANDS)
    assert table.colnames[:4] == ["SCW_ID", "FILE", "GOOD_TIME", "BURST_TIME"]
    assert table.meta["SIMUL"]
    assert len(source_report(measured, BANDS)) == 0


def test_dead_time(measured):
    bare = assemble(measured, BANDS, REVOLUTIONS)
    scws = assemble(measured, BANDS, REVOLUTIONS, live=0.8)
    for name in ("rate", "stat_err", "tracer", "tracer_err"):
        assert_allclose(getattr(scws, name), getattr(bare, name) / 0.8)
    assert_allclose(scws.exposure, bare.exposure * 0.8)
    mixed = [dataclasses.replace(measured[0], live=0.5), *measured[1:]]
    assert_allclose(assemble(mixed, BANDS, REVOLUTIONS, live=0.8).exposure / bare.exposure, [0.5, 0.8, 0.8])
    with pytest.raises(InputError, match="dead time is known of some ScWs and not of 2"):
        assemble(mixed, BANDS, REVOLUTIONS)
    with pytest.raises(InputError, match="live fraction"):
        assemble(measured, BANDS, REVOLUTIONS, live=0.0)


def test_pointing_table_goes_before_the_header(measured, tmp_path):
    bare = [dataclasses.replace(r, ra=np.nan, dec=np.nan, roll=np.nan) for r in measured]
    with pytest.raises(InputError, match=r"e0.fits: the pointing of ScW 255900000010 \(and of 2 more\)"):
        assemble(bare, BANDS, REVOLUTIONS)
    path = tmp_path / "pointings.csv"
    Table({"SCW_ID": [scw(2), scw(0)], "RA": [CRAB_RA, 266.0], "DEC": [CRAB_DEC, -29.0]}).write(path)
    pointings = read_pointings(path)
    scws = assemble(measured, BANDS, REVOLUTIONS, pointings=pointings)
    assert_allclose(scws.ra, [266.0, 286.8229, CRAB_RA])
    assert_array_equal(scws.crab, [False, False, True])
    assert scws.roll is None  # the table does not say
    gone = [*measured[:2], dataclasses.replace(measured[2], crab="removed")]
    assert not assemble(gone, BANDS, REVOLUTIONS, pointings=pointings).crab.any()
    Table({"SCW_ID": [scw(1)] * 2, "RA": [1.0, 1.0], "DEC": [2.0, 2.0]}).write(path, overwrite=True)
    with pytest.raises(InputError, match="occurs twice"):
        read_pointings(path)
    Table({"SCW_ID": [scw(1)], "RA": [1.0], "DEC": [2.0], "DEADC": [3.0]}).write(path, overwrite=True)
    with pytest.raises(InputError, match="DEADC is 3"):
        read_pointings(path)


def test_phase_needs_its_revolution(measured):
    with pytest.raises(InputError, match=r"give revolutions=\.\.\."):
        assemble(measured, BANDS, None)
    with pytest.raises(InputError, match="2559"):
        assemble(measured, BANDS, Revolutions(np.array([1]), np.array([52560.0]), np.array([52563.0])))
