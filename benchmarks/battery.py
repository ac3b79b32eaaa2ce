"""Fit random combinations of mission, model and extras: which converge, and are their intervals right.

python benchmarks/battery.py --number 20 --seed 1 --out battery.ecsv

Every row is a simulated mission with known truth, fitted with default settings. Columns: what was fitted,
worst R-hat, worst bulk and tail ESS, divergences, CPU seconds, and the rms of (FOV flux − truth) / sd of
all regions and bands, by the own sd of the posterior and by the calibrated one; ``times`` is by how much
chains became longer until they agreed. Rows are written as they come; a second run goes on after them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import jax
import numpy as np
from astropy.table import Table

from ridgebayes import models, sample, simulate, sky
from ridgebayes.inference.diagnostics import MAX_R_HAT, MIN_ESS
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.runs.run import Run
from ridgebayes.simulate.world import SWITCHES

EXTRAS = ("correlated_noise", "outliers", "transients", "smooth_crab", "free_latitude")
TOGETHER = (
    ("transients", "smooth_crab"),
    ("correlated_noise", "transients"),
    ("outliers", "transients"),
    ("outliers", "correlated_noise"),
    EXTRAS,
)
MODELS = ("regions", "regions", "template", "profile", "spectrum", "whitedwarf", "background", "crab")
REVOLUTIONS = (15, 30, 60, 120)


def one(rng: np.random.Generator) -> dict[str, object]:
    """Fit one combination and tell how it went."""
    name, revolutions = str(rng.choice(MODELS)), int(rng.choice(REVOLUTIONS))
    world = str(rng.choice(["clean", *SWITCHES]))
    extras: tuple[str, ...] = ()
    if name in ("regions", "template", "profile"):
        choice = int(rng.integers(0, 2 + len(EXTRAS) + len(TOGETHER)))
        extras = () if choice < 2 else ((*((e,) for e in EXTRAS), *TOGETHER)[choice - 2])
    seed = int(rng.integers(2**31))
    milkyway = sky.load("milkyway")
    programme = simulate.programme(revolutions, stop=2740, seed=seed)
    switches = simulate.World.on(*([] if world == "clean" else [world]))
    scws = simulate.mission(programme, simulate.Truth(), sky=milkyway, world=switches, seed=seed)
    model = models.MODELS[name](milkyway).with_extras(*extras)
    start = time.process_time()
    run = sample(model, scws, seed=1, progress=False)
    seconds = time.process_time() - start
    r_hat, bulk, tail = (float(x) for x in run.diagnosis.worst)
    times = max(run.record["sampling"].get("times_as_long", [1]))
    row = {
        "model": name, "extras": "+".join(extras), "world": world, "revolutions": revolutions,
        "scws": len(scws), "seed": seed, "r_hat": r_hat, "ess_bulk": bulk, "ess_tail": tail,
        "divergences": run.diagnosis.divergences, "times": times, "cpu_s": round(seconds, 1),
        "converged": r_hat <= MAX_R_HAT and min(bulk, tail) >= MIN_ESS and not run.diagnosis.divergences,
    }  # fmt: skip
    return row | {"rms_z": rms_z(run), "rms_z_cal": rms_z(run.best)}


def rms_z(run: Run) -> float:
    """Root mean square of (FOV flux − truth) / sd; NaN without a sky or truth."""
    constant, posterior = run.tree["constant_data"].dataset, run.tree["posterior"].dataset
    if "sky.fov_flux" not in posterior or "true_fov_flux" not in constant:
        return float("nan")
    flux = posterior["sky.fov_flux"]
    z = (flux.mean(("chain", "draw")) - constant["true_fov_flux"]) / flux.std(("chain", "draw"))
    return float(np.sqrt((z**2).mean()))


def main() -> None:
    """Fit as many combinations as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("battery.ecsv"))
    given = parser.parse_args()
    use_compilation_cache()
    rows = [dict(row) for row in Table.read(given.out, format="ascii.ecsv")] if given.out.exists() else []
    for number in range(len(rows), given.number):
        rows.append(one(np.random.default_rng([given.seed, number])))
        jax.clear_caches()
        table = Table(rows=rows)
        table.write(given.out, format="ascii.ecsv", overwrite=True)
        print({k: v for k, v in rows[-1].items() if k != "seed"}, flush=True)
    print(f"{np.sum(table['converged'])} of {len(table)} converged")


if __name__ == "__main__":
    main()
