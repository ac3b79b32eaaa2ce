"""The posterior of the sampler beside that of long plain NUTS, on small simulated missions.

python benchmarks/plain_nuts.py --revolutions 15 --extra correlated_noise --extra transients

NumPyro samples every parameter of the model as it stands, with a dense mass matrix and nothing integrated out
but the revolution terms and, where there are any, the outliers. Printed for one band: of each parameter the
difference of the means over its Monte Carlo error, and the ratio of the sds; then the worst of them.
"""

from __future__ import annotations

import argparse
import time

import jax
import numpy as np
import numpyro
from arviz_stats.base import array_stats
from numpyro.infer import MCMC, NUTS, init_to_median

from ridgebayes import models, sample, simulate, sky
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.runs.sampling import independent, meet

CHAINS = 2
AXES = {"chain_axis": 0, "draw_axis": 1}


def moments(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, sd, effective draws of the mean and R-hat of draws (chain, draw, parameter)."""
    flat = draws.reshape(-1, draws.shape[-1])
    ess = array_stats.ess(draws, method="mean", **AXES)
    return flat.mean(0), flat.std(0, ddof=1), ess, array_stats.rhat(draws, **AXES)


def main() -> None:
    """Fit a mission twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--revolutions", type=int, default=15)
    parser.add_argument("--world", action="append", default=[])
    parser.add_argument("--model", default="regions")
    parser.add_argument("--extra", action="append", default=[])
    parser.add_argument("--band", type=int, default=0)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    use_compilation_cache()
    milkyway = sky.load("milkyway")
    programme = simulate.programme(given.revolutions, stop=2740, seed=given.seed)
    world = simulate.World.on(*given.world)
    scws = simulate.mission(programme, simulate.Truth(), sky=milkyway, world=world, seed=given.seed)
    model = models.MODELS[given.model](milkyway).with_extras(*given.extra)

    start = time.process_time()
    run = sample(model, scws, seed=1)
    ours = time.process_time() - start
    met, prepared = meet(model, scws)
    data = independent(met, prepared.data)[given.band]

    start = time.process_time()
    numpyro.set_host_device_count(1)
    kernel = NUTS(met, dense_mass=True, target_accept_prob=0.9, init_strategy=init_to_median)
    chains = MCMC(
        kernel,
        num_warmup=given.draws // 2,
        num_samples=given.draws,
        num_chains=CHAINS,
        chain_method="sequential",
        progress_bar=False,
    )
    chains.run(jax.random.key(given.seed), data)
    plain = time.process_time() - start
    drawn = chains.get_samples(group_by_chain=True)

    worst_z, ratios, count = 0.0, [], 0
    print(f"{len(scws)} ScWs; CPU s: {ours:.0f} for all bands, {plain:.0f} by plain NUTS for one")
    for name, values in drawn.items():
        if name not in run.tree["posterior"].dataset or name not in met.parameters:
            continue
        mine = run.tree["posterior"].dataset[name]
        if "band" in mine.dims:
            mine = mine.isel(band=[given.band])
        a = moments(mine.values.reshape(*mine.shape[:2], -1))
        b = moments(np.asarray(values).reshape(*values.shape[:2], -1))
        z = (a[0] - b[0]) / np.sqrt(a[1] ** 2 / a[2] + b[1] ** 2 / b[2])
        ratio = a[1] / b[1]
        worst_z, count = max(worst_z, float(np.abs(z).max())), count + z.size
        ratios.extend(ratio)
        print(
            f"{name:26s} z {z.min():5.1f} … {z.max():4.1f}  sd ratio {ratio.min():.3f} … {ratio.max():.3f}  "
            f"plain NUTS: R-hat {b[3].max():.3f}, effective draws {b[2].min():.0f}"
        )
    print(f"{count} parameters: largest |z| {worst_z:.1f}, sd ratio {min(ratios):.3f} … {max(ratios):.3f}")


if __name__ == "__main__":
    main()
