"""A few revolutions of the bundled, simulated demo."""

from importlib.resources import files

import numpy as np
import pytest

from ridgebayes.table.formats import read_scws


@pytest.fixture(scope="session")
def demo():
    return read_scws(files("ridgebayes.data") / "demo.fits")


@pytest.fixture(scope="session")
def mission(demo):
    """Three revolutions of the demo: the first (leading zeros), one in the middle, the last; sorted."""
    chosen = np.unique(demo.revolution)[[0, 40, -1]]
    few = demo.select(np.isin(demo.revolution, chosen))
    return few.select(np.argsort(few.scw_id))
