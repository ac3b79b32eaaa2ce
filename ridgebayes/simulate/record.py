"""The truth that is stored with a simulated table: a dict that JSON can represent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ridgebayes.instrument.response import Response
from ridgebayes.simulate.truesky import TrueSky
from ridgebayes.simulate.truth import Truth
from ridgebayes.simulate.world import World
from ridgebayes.sky.skymap import Sky
from ridgebayes.table.scw import ScWTable

_STEP_D = 91.3125  # step of the time series


def record(
    scws: ScWTable,
    truth: Truth,
    sky: Sky,
    shining: TrueSky,
    response: Response,
    world: World,
    seed: int,
) -> dict[str, Any]:
    """Collect the truth of a mission.

    Returns
    -------
    dict
        ``simulator``, ``seed``, ``world`` (switches that are on, with their sizes), ``response``,
        ``template``, ``sky`` (name of the model's sky), ``bands`` (names);
        ``intensity``: region → mCrab/deg² (K,); ``fov``: region → mCrab (K,); ``gb_fov``: at l = b = 0 (K,);
        ``alpha`` (K,), ``tau`` (K, 3), ``sigma`` (K,): relative to the level;
        ``crab_scatter``: relative to the Crab;
        ``mjd`` (T,), ``level`` (T, K), ``crab_rate`` (T, K) and ``tracer`` (T,), or None without one:
        L_k(t), C_k(t) and H(t) in cts/s.
    """
    values = truth.values()
    count = 2 + int(np.ptp(scws.mjd) / _STEP_D)
    mjd = np.linspace(scws.mjd.min(), scws.mjd.max(), count)
    return {
        "simulator": "ridgebayes",
        "seed": int(seed),
        "world": world.as_dict(),
        "response": response.key(),
        "template": None if truth.template is None else str(truth.template),
        "sky": sky.name,
        "bands": [band.name for band in truth.bands],
        "intensity": {n: _plain(v) for n, v in zip(sky.names, shining.region_intensity, strict=True)},
        "fov": {n: _plain(v) for n, v in zip(sky.names, shining.region_fov, strict=True)},
        "gb_fov": _plain(shining.centre_fov),
        "alpha": _plain(values.alpha),
        "tau": _plain(values.tau),
        "sigma": _plain(values.sigma),
        "crab_scatter": truth.crab_scatter,
        "mjd": _plain(mjd, 3),
        "level": _plain(truth.level_mjd(mjd)),
        "crab_rate": _plain(world.crab_factor(mjd)[:, None] * truth.crab_mjd(mjd)),
        "tracer": None if truth.tracer is None else _plain(truth.tracer_mjd(mjd)),
    }


def _plain(values: ArrayLike, decimals: int | None = None) -> Any:
    """Return nested lists of numbers, rounded to eight significant digits or to `decimals`."""
    array: NDArray[Any] = np.asarray(values, float)
    if array.ndim:
        return [_plain(v, decimals) for v in array]
    return round(float(array), decimals) if decimals is not None else float(f"{array:.8g}")
