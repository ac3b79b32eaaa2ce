"""Synthetic ranks."""

import numpy as np

from ridgebayes.sbc import Ranks
from ridgebayes.sbc.one import Result


def synthetic_ranks(rng, wrong=""):
    """Return ranks of 100 simulations and 14 quantities; the posterior of `wrong` is too narrow."""
    names = (*(f"sky.intensity[A01,R{k}]" for k in range(12)), "crab.rate[A01]", "background.level[A01]")
    u = rng.random((100, len(names)))
    if wrong:
        k = names.index(wrong)
        u[:, k] = np.where(u[:, k] < 0.5, 2 * u[:, k] ** 2, 1 - 2 * (1 - u[:, k]) ** 2)
    record = {"sbc": {"draws": 99}, "model": {"name": "regions", "extras": []}}
    results = tuple(Result(number, {}, ess=200.0) for number in range(100))
    return Ranks(record, names, np.floor(u * 100).astype(int), results)
