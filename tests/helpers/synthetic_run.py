"""A run of synthetic draws with known values, without sampling."""

import numpy as np
import xarray as xr
from scipy import stats

from ridgebayes.inference.diagnostics import Finding
from ridgebayes.runs.run import Run

CHAINS, DRAWS, REGIONS, REVOLUTIONS, MODES, REPLICATES = 4, 60, 18, 25, 5, 20
LON = np.arange(-160.0, 181.0, 20.0)
NAMES = ["GB" if lon == 0 else f"L{lon:+g}" for lon in LON]


def history(name, mean):
    """Mean, sd and interval of a slow quantity, (band, revolution)."""
    off = {"mean": 0.0, "sd": None, "lo": -0.3, "hi": 0.4}
    values = {key: np.full(mean.shape, 0.2) if o is None else mean + o for key, o in off.items()}
    return {f"{name}_{key}": (("band", "revolution"), value) for key, value in values.items()}


def make_run(bands=2, *, simulated=True, change=None, unseen=(), warnings=()):
    """Return a run with independent synthetic draws; `change` edits the groups before they are combined."""
    rng = np.random.default_rng(5)
    band = [f"E{k + 1:02d}" for k in range(bands)]
    axes = ("chain", "draw")
    draw = {"chain": np.arange(CHAINS), "draw": np.arange(DRAWS), "band": band}
    normal = lambda *shape: rng.normal(size=(CHAINS, DRAWS, bands, *shape))  # noqa: E731
    profile = np.exp(-((LON / 40) ** 2))
    time = np.linspace(-1, 1, REVOLUTIONS)
    revolution = np.arange(100, 100 + 10 * REVOLUTIONS, 10)
    level = 70 + 5 * np.sin(3 * time) + 10 * np.arange(bands)[:, None]
    statistic = np.zeros((CHAINS, DRAWS, bands), bool)
    edges = np.linspace(-6, 6, 121)
    counts = rng.poisson(4000 * 0.1 * stats.norm.pdf((edges[1:] + edges[:-1]) / 2), (bands, 120))
    fov = np.random.default_rng(6).uniform(0, 200, (REGIONS, REGIONS))
    groups = {
        "posterior": xr.Dataset(
            {
                "sky.intensity": ((*axes, "band", "region"), intensity := profile + 0.02 * normal(REGIONS)),
                "sky.fov_flux": ((*axes, "band", "region"), 1.1 * intensity @ fov.T),
                "background.level": ((*axes, "band"), 1 + 0.01 * normal()),
                "background.drift": ((*axes, "band", "mode"), normal(MODES)),
                "background.drift_length": ((*axes, "band"), np.exp(0.1 * normal())),
                "background.scatter": ((*axes, "band"), 0.01 * np.exp(0.1 * normal())),
                "crab.rate": ((*axes, "band"), 1 + 0.01 * normal()),
                "crab.shape": ((*axes, "band", "order"), 0.05 * normal(3)),
            },
            {**draw, "region": NAMES, "mode": np.arange(MODES) + 1, "order": [1, 2, 3]},
        ),
        "sample_stats": xr.Dataset(
            {
                "diverging": (axes, statistic.any(-1)),
                "diverging_band": ((*axes, "band"), statistic),
                "reached_max_treedepth": (axes, statistic.any(-1)),
            },
            draw,
        ),
        "observed_data": xr.Dataset(
            {"revolution_rate": (("band", "revolution"), level + rng.normal(size=level.shape))},
            {"band": band, "revolution": revolution},
        ),
        "posterior_predictive": xr.Dataset(
            {
                "revolution_rate": (
                    (*axes, "band", "revolution"),
                    level + rng.normal(size=(1, REPLICATES, *level.shape)),
                )
            },
            {"chain": [0], "draw": np.arange(REPLICATES), "band": band, "revolution": revolution},
        ),
        "constant_data": xr.Dataset(
            {
                "e_min": ("band", 20.0 + 10 * np.arange(bands)),
                "e_max": ("band", 30.0 + 10 * np.arange(bands)),
                "fov": (("pointing", "region"), fov),
                "level": (("band", "revolution"), level),
                "crab_rate": ("band", 100.0 - np.arange(bands)),
                **history("background_history", level),
                **history("crab_history", np.tile(100.0 - 2 * time, (bands, 1))),
                "response_angle": ("angle", np.array([0.0, 5.0, 15.0])),
                "response_averaged": ("angle", np.array([1.0, 0.9, 0.0])),
                "mjd": ("revolution", 53000 + 250.0 * np.arange(REVOLUTIONS)),
                "lon": ("region", LON),
                "lat": ("region", np.zeros(REGIONS)),
                "background.drift_sd": ((), 0.05),
                "response.solid_angle": ((), 1.1),
                "residual_histogram": (("band", "bin"), counts),
                "residual_bin": ("bin", (edges[1:] + edges[:-1]) / 2),
                "true_intensity": (("band", "region"), np.tile(profile, (bands, 1)) + 0.01),
                "true_fov_flux": (("band", "region"), np.tile(100 * profile, (bands, 1))),
            },
            {"band": band, "region": NAMES, "pointing": NAMES, "revolution": revolution},
        ),
    }
    if change:
        change(groups)
    record = {
        "ridgebayes": "0", "git_commit": "",
        "data": {"simulated": simulated, "bands": band, "unseen_regions": list(unseen),
                 "path": "", "fingerprint": ""},
    }  # fmt: skip
    run = Run(xr.DataTree.from_dict(groups), record)
    object.__setattr__(run.diagnosis, "findings", tuple(map(Finding, warnings)))
    return run


def off_the_plane(groups):
    lat = np.zeros(REGIONS)
    lat[[2, 11]] = 12.0, -30.0
    groups["constant_data"] = groups["constant_data"].assign(lat=("region", lat))
