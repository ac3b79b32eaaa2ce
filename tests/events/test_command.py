"""``ridgebayes rates``: from event lists to a table that the other commands read."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ridgebayes.table.formats import read_scws
from tests.helpers.cli import call
from tests.helpers.event_maker import make_events, mask_shadow, write_events, write_pif

REVOLUTIONS = "REVOL,START,PERIOD\n2559,59863.0,2.5\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "revolutions.csv").write_text(REVOLUTIONS)
    for k in range(2):
        drawn = make_events(np.random.default_rng(k), 80.0)
        (tmp_path / f"scw{k}").mkdir()
        write_events(tmp_path / f"scw{k}" / "isgri_events.fits", drawn, scw_id=f"2559{k:04d}0010")
    return tmp_path


def rates_command(folder, *more):
    given = ["rates", str(folder), "--pixels", "all", "--out", str(folder / "scws.fits")]
    given += ["--revolution-table", str(folder / "revolutions.csv"), *map(str, more)]
    return call(*given)


def test_table_report_and_sources(folder):
    write_pif(folder / "pif.fits", mask_shadow(), scw_id="255900010010")
    bad = folder / "isgri_events_bad.fits"
    bad.write_bytes(b"SIMPLE  =")
    result = rates_command(
        folder, "--pif", folder / "pif.fits", "--energies", "25-60,80-200", "--dead-time", "0.1"
    )
    assert result.exit_code == 0, result.output
    assert result.stderr.count("skipped: ") == 1
    assert str(bad) in result.stderr
    scws = read_scws(folder / "scws.fits")
    assert [(b.name, b.e_min, b.e_max) for b in scws.bands] == [("A01", 25, 60), ("A02", 80, 200)]
    assert scws.meta["simulated"]
    assert_allclose(scws.exposure, 72.0, atol=0.01)
    assert_allclose(scws.rate, np.tile([560, 800], (2, 1)) / 0.9, rtol=0.1)
    assert (folder / "scws.report.ecsv").exists()
    assert (folder / "scws.sources.ecsv").exists()
    again = rates_command(folder, "--pif", folder / "pif.fits", "--energies", "25-60,80-200", "--overwrite")
    assert "2 of them measured before" in again.output


def test_what_the_user_must_give(folder):
    out = str(folder / "scws.fits")
    result = call("rates", folder, "--out", out)
    assert result.exit_code == 2
    assert "give --revolution-table TABLE" in result.stderr
    assert rates_command(folder, "--energies", "60-25").exit_code == 2
    assert rates_command(folder, "--dead-time", "1.5").exit_code == 2
    assert rates_command(folder, "--pointing", folder / "none.csv").exit_code == 2
    assert not (folder / "scws.fits").exists()
    assert rates_command(folder).exit_code == 0
    assert "exists already" in rates_command(folder).stderr


def test_no_event_list_that_works(folder):
    for path in folder.rglob("isgri_events.fits"):
        path.write_bytes(path.read_bytes()[:5000])
    result = rates_command(folder)
    assert result.exit_code == 2
    assert result.stderr.count("skipped: ") == 2
    assert "none of 2 event lists gave a rate" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_any_moment(folder, workers):
    for k in range(2, 40):
        drawn = make_events(np.random.default_rng(k), 80.0)
        write_events(folder / f"isgri_events{k}.fits", drawn, scw_id=f"2559{k:04d}0010")
    command = [sys.executable, "-c", "from ridgebayes.cli.main import main; main()", "rates", str(folder)]
    command += ["--scheduler", f"local:{workers}"]
    command += ["--revolution-table", str(folder / "revolutions.csv"), "--out", str(folder / "scws.fits")]
    parts = folder / "scws.fits.parts"
    for wanted in (1, 8, 15):  # killed three times, each time further on
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(parts.glob("*.json"))) < wanted:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (folder / "scws.fits").exists()
    before = len(list(parts.glob("*.json")))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert before >= 15
    assert "of them measured before" in done.stdout
    scws = read_scws(folder / "scws.fits")
    assert len(scws) == 40
    one = folder / "one.fits"
    command[command.index("--out") + 1] = str(one)
    subprocess.run(command, capture_output=True, check=True)
    assert read_scws(one).fingerprint() == scws.fingerprint()
