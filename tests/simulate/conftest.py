"""Small programmes with few moving parts."""

from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from ridgebayes.table import orbit
from ridgebayes.table.scw import ScWTable


@pytest.fixture(scope="session")
def realdata():
    """Return a function that gives the path of a real input, or skips."""
    folder = Path(__file__).parents[3] / "shared" / "realdata"

    def path(name):
        if not (folder / name).exists():
            pytest.skip(f"no real data: {name} is not beside this checkout")
        return folder / name

    return path


@pytest.fixture(scope="session")
def staring():
    """Return a function that points every ScW of some revolutions at one place (galactic degrees)."""

    def programme(lon, lat, *, revolutions=1, start=500, phases=(0.5,), exposure=2000.0):
        number = np.repeat(np.arange(start, start + revolutions), len(phases))
        phase = np.tile(np.asarray(phases, float), revolutions)
        rank = np.tile(np.arange(len(phases)), revolutions) + 1
        at = SkyCoord(lon, lat, unit="deg", frame="galactic").icrs
        empty = np.zeros((number.size, 0))
        return ScWTable(
            scw_id=np.array([f"{r:04d}{k:04d}0010" for r, k in zip(number, rank, strict=True)]),
            revolution=number,
            phase=phase,
            mjd=orbit.mjd_at(number, phase),
            exposure=np.full(number.size, exposure),
            ra=np.full(number.size, at.ra.deg),
            dec=np.full(number.size, at.dec.deg),
            rate=empty,
            stat_err=empty,
            bands=(),
        )

    return programme


@pytest.fixture(scope="session")
def coarse():
    from ridgebayes import sky

    return sky.load("coarse")
