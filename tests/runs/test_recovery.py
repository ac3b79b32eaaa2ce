"""The published bulge fluxes, put into the sky, come out of a fit."""

import numpy as np
import pytest

from ridgebayes import models, sample, simulate
from ridgebayes.instrument.response import Trapezoid
from ridgebayes.products.published import published_fov


@pytest.mark.slow
def test_published_fluxes_are_given_back(three_regions):
    """GB, L+20 and L-20 each with the FOV flux published for GB, in all three bands."""
    published, _ = published_fov("GB", simulate.BANDS)
    fov = three_regions.fov_matrix(Trapezoid())
    intensity = np.linalg.solve(fov, np.tile(published, (3, 1)))
    truth = simulate.Truth(
        template=None,
        intensity={n: row.tolist() for n, row in zip(three_regions.names, intensity, strict=True)},
    )
    mission = simulate.mission(simulate.programme(80, stop=2740, seed=11), truth, sky=three_regions, seed=5)
    run = sample(models.regions(three_regions), mission, seed=1, chains=2, draws=400)
    true = run.tree["constant_data"].dataset["true_fov_flux"].transpose("band", "region")
    np.testing.assert_allclose(true, np.tile(published[:, None], (1, 3)), rtol=1e-6)
    flux = run.fov_flux()
    over = ("chain", "draw")
    z = ((flux.mean(over) - true) / flux.std(over)).transpose("band", "region").values
    print("\n", flux.mean(over).values.round(1), flux.std(over).values.round(1), z.round(2), sep="\n")
    assert np.abs(z).max() < 3.5
    assert np.sqrt((z**2).mean()) < 1.7
    # And the numbers mean something: the bulge to a few per cent where it is bright.
    assert (flux.std(over) / true).sel(band="A01").max() < 0.05
