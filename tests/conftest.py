"""What all tests share: how they compile, and small simulated missions that several of them fit."""

import gc
import os
import subprocess
import sys
import time

import jax
import matplotlib
import numpy as np
import psutil
import pytest

from ridgebayes.environment import give_back_memory
from tests.helpers.shared import made_once, shared_folder

matplotlib.use("Agg")

QUICK = (
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
)
"""With these the derivatives of a density compile in 2 s rather than 8, and evaluate 2.5 times as slowly."""

LARGE = 2**30
"""A worker that has grown by so much, bytes, since it was last cleaned up is so again after a test."""

BEGUN = time.monotonic()


def pytest_addoption(parser):
    """Add an option for machines that have to come to an end, fast or slow."""
    parser.addoption("--minutes", type=float, help="start no test after so many minutes; skip those left")


def pytest_runtest_setup(item):
    """Skip a test for which no time is left."""
    minutes = item.config.getoption("--minutes")
    if minutes is not None and time.monotonic() > BEGUN + 60 * minutes:
        pytest.skip(f"not run: {minutes:g} minutes are over")


def pytest_configure(config):
    """Choose how programs are compiled, before the first one is.

    Slow tests too spend more on compiling than on sampling. The tutorials, which `make docs` runs, compile as
    users do.
    """
    gc.set_threshold(200_000, 20, 20)  # as the command line does: JAX makes many objects
    # Workers have what the process that started them has chosen.
    if not hasattr(config, "workerinput"):
        os.environ["XLA_FLAGS"] = " ".join([*os.environ.get("XLA_FLAGS", "").split(), *_known(config)])
    # Programs of one shape compile once for all workers and for the processes that tests start.
    folder = config.rootpath / ".pytest_cache" / "compiled"
    settings = {"jax_compilation_cache_dir": str(folder), "jax_persistent_cache_min_compile_time_secs": 0.1}
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)


def _known(config):
    """Return those of the quick flags that this XLA has: one that it has not ends the process."""
    key, cache = f"xla_flags/{jax.__version__}", getattr(config, "cache", None)
    known = cache.get(key, None) if cache else None
    if known is None:
        command = [sys.executable, "-c", "import jax; jax.devices()"]
        tried = {
            f: subprocess.Popen(command, env={**os.environ, "XLA_FLAGS": f}, stderr=subprocess.DEVNULL)
            for f in QUICK
        }
        known = [flag for flag, process in tried.items() if process.wait() == 0]
        if cache:
            cache.set(key, known)
    return known


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread():
    """As in a fit. Only libraries that are loaded are limited: by now the test modules have loaded theirs."""
    from ridgebayes.parallel.cores import one_blas_thread

    with one_blas_thread():
        yield


@pytest.fixture(scope="module", autouse=True)
def _forget_programs():
    """Drop compiled programs after a module that left many, so that no worker grows large."""
    yield
    if _grown() > LARGE / 4:
        jax.clear_caches()
        _free()


@pytest.fixture(autouse=True)
def _free_when_large():
    """Free what a test has left, where it is much: the programs of one fit are 400 MB of garbage."""
    yield
    if _grown() > LARGE:
        _free()


_left = {"rss": 0}
"""What a worker held after it was last cleaned up, bytes: what it keeps then, as fits that tests share, costs
seconds to look through again."""


def _grown():
    return psutil.Process().memory_info().rss - _left["rss"]


def _free():
    gc.collect()
    give_back_memory()  # a worker would grow to 3 GB
    _left["rss"] = psutil.Process().memory_info().rss


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep exposures and starlight of the tests away from the user's cache; all workers share them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIDGEBAYES_CACHE", str(shared_folder(tmp_path_factory, "cache")))
        yield


@pytest.fixture(scope="session")
def three_regions():
    """The bulge and its neighbours: enough sky for a quick fit."""
    from ridgebayes import sky

    return sky.load("coarse").select(["L-20", "GB", "L+20"])


@pytest.fixture(scope="session")
def small_mission(three_regions):
    """About 1,500 simulated ScWs in two bands, sky truth in three regions only."""
    from ridgebayes import simulate

    programme = simulate.programme(24, stop=2740, seed=11)
    intensity = {"L-20": [0.3, 0.2], "GB": [0.7, 0.5], "L+20": [0.3, 0.2]}
    truth = simulate.Truth(bands=simulate.BANDS[:2], template=None, intensity=intensity)
    return simulate.mission(programme, truth, sky=three_regions, seed=3)


@pytest.fixture(scope="session")
def small_run(small_mission, three_regions, tmp_path_factory):
    """A fit of the small mission, in memory; one worker samples it, the others read it."""
    from ridgebayes import Run, models, sample

    def make(path):
        sample(models.regions(three_regions), small_mission, seed=1, draws=250).save(path)

    kept = Run.open(made_once(shared_folder(tmp_path_factory, "made"), "small_run", make))
    return Run(kept.tree, kept.record, None, kept.scws)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
