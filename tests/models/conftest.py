"""A small simulated mission whose sky follows the starlight, in all three bands of the simulator."""

import numpy as np
import pytest

from tests.helpers.starry_sky import band_intensity


@pytest.fixture(scope="session")
def starry_mission(three_regions):
    """About 1,900 ScWs; the intensity of every region is starlight times a number a band."""
    from ridgebayes import simulate

    brightest = np.array([band_intensity(band) for band in simulate.BANDS])
    intensity = {
        n: (s * brightest).tolist() for n, s in zip(three_regions.names, three_regions.stars, strict=True)
    }
    # Quieter than the sky is: a few thousand ScWs then say as much as many of the real mission's.
    truth = simulate.Truth(template=None, intensity=intensity, tau=(0.01, 0.005, 0.003), sigma=[0.003] * 3)
    return simulate.mission(simulate.programme(30, stop=2740, seed=11), truth, sky=three_regions, seed=4)


@pytest.fixture(scope="session")
def pull():
    """(Posterior mean − truth) / sd of a parameter."""

    def of(draws, truth):
        over = ("chain", "draw")
        return ((draws.mean(over) - truth) / draws.std(over)).values

    return of
