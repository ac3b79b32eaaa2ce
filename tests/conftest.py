"""Small simulated missions that several tests fit."""

import os
from pathlib import Path

import jax
import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
# Fits of one shape compile once for all tests and workers, and once for all sessions.
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".pytest_cache" / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keep exposures and starlight of the tests away from the user's cache."""
    before = os.environ.get("RIDGEBAYES_CACHE")
    os.environ["RIDGEBAYES_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["RIDGEBAYES_CACHE"]
    else:
        os.environ["RIDGEBAYES_CACHE"] = before


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
def small_run(small_mission, three_regions):
    """A fit of the small mission, in memory."""
    from ridgebayes import models, sample

    return sample(models.regions(three_regions), small_mission, seed=1, draws=250)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
