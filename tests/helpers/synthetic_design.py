"""A design and residuals with known values."""

import numpy as np

from ridgebayes.checks.design import CLIP, Design, Residuals

N, REVOLUTIONS = 600, 12


def make_design(rng, bands=2, crab=True, tracer=True):
    """600 ScWs of 12 revolutions over four years, half of them near the plane, 60 with the Crab."""
    revolution = np.repeat(np.arange(REVOLUTIONS), N // REVOLUTIONS)
    mjd = 53000.0 + 120.0 * revolution + np.tile(np.linspace(0, 2.6, N // REVOLUTIONS), REVOLUTIONS)
    with_crab = np.arange(N) % 10 == 0
    shape = (bands, N)
    lat = np.where(rng.random(N) < 0.5, rng.uniform(-9, 9, N), rng.uniform(-60, 60, N))
    return Design(
        row=np.arange(N),
        revolution=revolution,
        mjd=mjd,
        phase=np.tile(np.linspace(0.05, 0.95, N // REVOLUTIONS), REVOLUTIONS),
        lon=np.linspace(-160, 160, REVOLUTIONS)[revolution] + rng.uniform(-9, 9, N),
        lat=lat,
        crab=with_crab & crab,
        crab_response=np.where(with_crab & crab, rng.uniform(0.3, 1, N), 0.0),
        plane=np.clip(1.2 - np.abs(lat) / 15, 0, 1),
        tracer=rng.normal(0, 0.02, N) if tracer else None,
        tracer_error=rng.uniform(0.003, 0.02, N) if tracer else None,
        background=np.full(shape, 70.0) + rng.normal(0, 2, shape),
        seen=np.where(np.abs(lat) < 15, rng.uniform(1, 10, shape), 0.0),
        noise=rng.uniform(0.5, 0.7, shape),
        counting=rng.uniform(0.1, 0.3, shape),
        per_mcrab=rng.uniform(0.1, 0.2, shape),
    )


def make_residuals(rng, bands=2):
    whole = rng.standard_normal((bands, N)) + 0.1
    whole[:, 7] = 6.0
    return Residuals(whole, np.clip(whole, -CLIP, CLIP), rng.standard_normal((bands, 3, REVOLUTIONS)))
