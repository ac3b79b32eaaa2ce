"""The density on several devices, and in several processes, is that on one."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import jax
import numpy as np
import pytest

from ridgebayes import write_scws
from ridgebayes.errors import InputError
from ridgebayes.inference.sharding import Sharded, mesh
from ridgebayes.likelihood.design import prepare

SCRIPT = Path(__file__).with_name("several_devices.py")


@pytest.fixture(scope="module")
def mission(small_mission, tmp_path_factory):
    path = tmp_path_factory.mktemp("devices") / "mission.fits"
    write_scws(small_mission, path)
    return path


def start(mission, *arguments, devices):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags.strip()}
    command = [sys.executable, str(SCRIPT), str(mission), *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def result(process):
    try:
        out, errors = process.communicate(timeout=600)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


def agree(found, n):
    for several, plain in zip(found[str(n)], found["plain"], strict=True):
        # Of the order of the sums, whose terms cancel in some of the elements.
        np.testing.assert_allclose(several, plain, rtol=1e-10, atol=1e-10 * np.abs(plain).max())


@pytest.mark.long
def test_density_does_not_depend_on_the_number_of_devices(mission):
    found = result(start(mission, devices=4))
    for n in (1, 2, 4):
        agree(found, n)
        assert found[f"{n} collectives"] == []  # only sums over the devices
        sizes = found[f"{n} parts"]
        assert len(sizes) == n
        assert sizes[0] == sizes[-1]
    # A device holds its part, not the whole.
    assert found["4 parts"][0] < 0.5 * found["1 parts"][0]


@pytest.mark.slow
def test_the_sampler_runs_on_two_devices(mission):
    """The same draws, to what rounding becomes in a few steps."""
    found = result(start(mission, "sample", devices=2))
    assert np.shape(found["1"])[0] == 5
    assert np.ptp(found["1"], axis=0).min() > 0
    np.testing.assert_allclose(found["2"], found["1"], rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_two_processes(mission):
    """Each has two devices; gloo over the loopback carries the sums."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    with ExitStack() as ends:
        processes = [ends.enter_context(start(mission, coordinator, 2, rank, devices=2)) for rank in range(2)]
        for process in processes:
            ends.callback(process.kill)
        results = [result(process) for process in processes]
    for found in results:
        agree(found, 4)
        assert len(found["4 parts"]) == 2  # of the four, those in this process


def test_refusals(small_mission, three_regions):
    with pytest.raises(InputError, match=f"there are {jax.device_count()} cpu devices"):
        mesh(1000)
    correlated = prepare(small_mission, three_regions, opened=("crab.rate", "sequence")).data
    with pytest.raises(InputError, match=r"correlated_noise.*devices="):
        Sharded(lambda z, data: z.sum(), mesh(1)).share(correlated)
