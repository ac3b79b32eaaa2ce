"""A small simulated mission whose sky follows the starlight, in all three bands of the simulator."""

import numpy as np
import pytest
from starry_sky import band_intensity


@pytest.fixture(scope="session")
def starry_mission(three_regions):
    """About 1,900 ScWs; the intensity of every region is starlight times a number a band."""
    from ridgebayes import simulate

    brightest = np.array([band_intensity(band) for band in simulate.BANDS])
    intensity = {
        n: (s * brightest).tolist() for n, s in zip(three_regions.names, three_regions.stars, strict=True)
    }
    truth = simulate.Truth(template=None, intensity=intensity)
    return simulate.mission(simulate.programme(30, stop=2740, seed=11), truth, sky=three_regions, seed=4)


@pytest.fixture(scope="session")
def pull():
    """(Posterior mean − truth) / sd of a parameter."""

    def of(draws, truth):
        over = ("chain", "draw")
        return ((draws.mean(over) - truth) / draws.std(over)).values

    return of
