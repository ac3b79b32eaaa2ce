"""A valid simulated ScW table with all optional columns."""

import numpy as np

from ridgebayes.table.scw import Band, ScWTable

BANDS = (Band("25-60", 25.0, 60.0), Band("60-80", 60.0, 80.0), Band("80-200", 80.0, 200.0))


def make_scws(n=40, per_revolution=8, seed=1, **changes):
    """Return a valid simulated table of `n` ScWs from revolution 70 on, all optional columns filled."""
    rng = np.random.default_rng(seed)
    revolution = 70 + np.arange(n) // per_revolution
    pointing = np.arange(n) % per_revolution
    exposure = rng.uniform(1600, 3500, n)
    rate = np.array([74.1, 46.5, 276.0]) * rng.normal(1, 0.005, (n, 3))
    columns = {
        "scw_id": [f"{r:04d}{p + 1:04d}0010" for r, p in zip(revolution, pointing, strict=True)],
        "revolution": revolution,
        "phase": (pointing + rng.uniform(0.1, 0.9, n)) / per_revolution * 0.9 + 0.05,
        "mjd": 52769 + 2.991 * (revolution - 70 + pointing / per_revolution),
        "exposure": exposure,
        "ra": rng.uniform(0, 360, n),
        "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        "roll": rng.uniform(0, 360, n),
        "rate": rate,
        "stat_err": np.sqrt(rate / exposure[:, None]),
        "tracer": rng.normal(30, 0.1, n),
        "tracer_err": np.full(n, 0.09),
        "crab": pointing == 0,
        "bands": BANDS,
        "meta": {"origin": "tests", "simulated": True, "osa_version": "11.2"},
        "truth": {"intensity": {"GB": [1 / 3, 2e-17]}, "note": 'two  blanks, a "quote" and a µ'},
    }
    return ScWTable(**(columns | changes))
