"""A campaign of a small model on a small mission."""

import pytest

from ridgebayes import simulate
from ridgebayes.inference.settings import Settings
from tests.helpers import quick_model


@pytest.fixture(scope="session")
def pointings():
    """About 600 ScWs in ten revolutions, one band."""
    truth = simulate.Truth(bands=simulate.BANDS[:1], template=None)
    return simulate.mission(simulate.programme(10, stop=2740, seed=11), truth, seed=1)


@pytest.fixture(scope="session")
def settings():
    return Settings(warmup=100, seed=3)


@pytest.fixture(scope="session")
def campaign(pointings, settings, tmp_path_factory):
    """Folder and ranks of a campaign that nobody interrupted, simulated one after the other."""
    from ridgebayes.sbc import run_sbc

    out = tmp_path_factory.mktemp("sbc") / "whole"
    given = {"scws": pointings, "settings": settings, "draws": 39, "scheduler": "local:1"}
    return out, run_sbc(quick_model.load(), quick_model.SIMULATIONS, out=out, **given)
