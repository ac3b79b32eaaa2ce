"""A synthetic run with known revolution terms and ScWs, for the first steps of the pipeline."""

import astropy.units as u
import numpy as np
from astropy.table import QTable

from tests.helpers.synthetic_run import REVOLUTIONS, make_run

PER_REVOLUTION = 16
REVOLUTION = np.arange(100, 100 + 10 * REVOLUTIONS, 10)
MJD = 53000 + 250.0 * np.arange(REVOLUTIONS)


def coefficients(bands):
    """Revolution terms, cts/s, (band, term, revolution)."""
    return np.random.default_rng(8).normal(0, [[[1.0], [0.5], [0.3]]], (bands, 3, REVOLUTIONS))


def step_run(bands=2, *, crab=True, off_plane=True, held=False, pulls=None, **keywords):
    """Return a run whose ScWs are consistent with its posterior.

    One revolution in five points at the Crab (`crab`), half of the others off the plane (`off_plane`). `held`
    removes Crab rate and scatter from the posterior, as if they were fixed; `pulls` are the normalised
    residuals of ScWs, (scw, band). `keywords` are passed to `make_run`.
    """
    terms = coefficients(bands)

    def change(groups):
        if keywords.get("change"):
            keywords["change"](groups)
        axes = ("band", "term", "revolution")
        groups["constant_data"] = groups["constant_data"].assign_coords(
            term=["constant", "phase", "phase2"]
        ).assign(coefficient=(axes, terms), coefficient_sd=(axes, np.full(terms.shape, 0.25)))  # fmt: skip
        if held:
            groups["posterior"] = groups["posterior"].drop_vars(
                ["crab.rate", "crab.shape", "background.scatter"]
            )
            groups["constant_data"]["background.scatter"] = ("band", np.full(bands, 0.012))

    run = make_run(bands, **{**keywords, "change": change})
    table = scw_table(run, crab, off_plane, pulls)
    object.__setattr__(run, "fit", table)
    return run


def scw_table(run, crab, off_plane, pulls):
    rng = np.random.default_rng(9)
    constant = run.tree["constant_data"].dataset
    bands = constant.sizes["band"]
    row = np.repeat(np.arange(REVOLUTIONS), PER_REVOLUTION)
    n = row.size
    is_crab = (row % 5 == 2) & crab
    lat = rng.uniform(-15, 15, n)
    if off_plane:
        away = (row % 2 == 0) & ~is_crab
        lat[away] = rng.choice([-1, 1], away.sum()) * rng.uniform(25, 80, away.sum())
    response = np.where(is_crab, rng.uniform(0.3, 1.0, n), 0.0)
    rate_of_crab = constant["crab_history_mean"].values.T[row]
    sky = rate_of_crab / 1000 * np.where(np.abs(lat) < 20, rng.uniform(20, 150, n), 0.0)[:, None]
    sky = sky + rate_of_crab * response[:, None]
    noise = rng.uniform(0.4, 0.8, (n, bands))
    background = constant["background_history_mean"].values.T[row] + rng.normal(0, 1, (n, bands))
    pulls = rng.normal(size=(n, bands)) if pulls is None else pulls
    cts = u.ct / u.s
    return QTable(
        {
            "SCW_ID": np.array([f"{r:04d}{i:08d}" for i, r in enumerate(REVOLUTION[row])]),
            "REVOL": REVOLUTION[row],
            "PHASE": rng.uniform(0.05, 0.95, n),
            "MJD": (MJD[row] + rng.uniform(-1, 1, n)) * u.d,
            "EXPOSURE": np.full(n, 1800.0) * u.s,
            "LON": rng.uniform(-180, 180, n) * u.deg,
            "LAT": lat * u.deg,
            "CRAB": is_crab,
            "CRAB_RESPONSE": response,
            "RATE": (background + sky + noise * pulls).astype(np.float32) * cts,
            "STAT_ERR": (0.8 * noise).astype(np.float32) * cts,
            "BACKGROUND": background.astype(np.float32) * cts,
            "BACKGROUND_SD": np.full((n, bands), 0.2, np.float32) * cts,
            "SKY": sky.astype(np.float32) * cts,
            "NOISE": noise.astype(np.float32) * cts,
        },
        meta={
            "BAND": constant["band"].values.tolist(),
            "E_MIN": constant["e_min"].values.tolist(),
            "E_MAX": constant["e_max"].values.tolist(),
            "SIMUL": run.simulated,
        },
    )
