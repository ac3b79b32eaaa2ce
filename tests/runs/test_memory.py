"""Memory does not grow with the number of draws, but for the draws of the parameters themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ridgebayes import write_scws

SCRIPT = Path(__file__).with_name("memory_of_a_fit.py")
FEW, MANY, CHAINS = 200, 6000, 2


@pytest.fixture(scope="module")
def peaks(small_mission, tmp_path_factory):
    """Peak memory in MiB and number of scalars a draw, for few and for many draws."""
    path = tmp_path_factory.mktemp("memory") / "mission.fits"
    write_scws(small_mission, path)
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    found = []
    for draws in (FEW, MANY):
        command = [sys.executable, str(SCRIPT), str(path), str(draws)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        peak, scalars = ended.stdout.split()[-2:]
        found.append((float(peak), int(scalars)))
    return found


@pytest.mark.long
def test_peak_does_not_grow_with_the_draws(peaks, small_mission):
    (few, scalars), (many, _) = peaks
    drawn = CHAINS * (MANY - FEW)
    # One number a ScW and band and draw, kept, would be seen.
    kept = drawn * small_mission.rate.size * 8 / 2**20
    # A few copies of the draws, and what compiling happens to take.
    allowed = 100 + 10 * drawn * scalars * 8 / 2**20
    assert allowed < 0.7 * kept
    assert many - few < allowed, (few, many, allowed)
