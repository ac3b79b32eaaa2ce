"""Fit random combinations of mission, model and extras: which converge, and are their intervals right.

python benchmarks/battery.py --number 20 --seed 1 --out battery.ecsv

Every row is a simulated mission with known truth, fitted with default settings. Columns: what was fitted,
worst R-hat, worst bulk and tail ESS, divergences, CPU seconds, and the rms of (FOV flux − truth) / sd of
all regions and bands, by the own sd of the posterior and by the calibrated one; ``times`` is by how much
chains became longer until they agreed; ``refused`` is why there was no fit, where there was none. Rows are
written as they come; a second run goes on after them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from astropy.table import Table

from ridgebayes import models, sample, simulate, sky
from ridgebayes.errors import InputError
from ridgebayes.inference.diagnostics import MAX_R_HAT, MIN_ESS
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.runs.run import Run
from ridgebayes.simulate import spectra
from ridgebayes.simulate.world import SWITCHES
from ridgebayes.table.scw import Band, ScWTable

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
    """Fit one combination and return a row of results."""
    name = str(rng.choice(MODELS))
    world = str(rng.choice(["clean", *SWITCHES]))
    extras: tuple[str, ...] = ()
    if name in ("regions", "template", "profile"):
        choice = int(rng.integers(0, 2 + len(EXTRAS) + len(TOGETHER)))
        extras = () if choice < 2 else ((*((e,) for e in EXTRAS), *TOGETHER)[choice - 2])
    schedule = str(rng.choice(("whole", "whole", "plane", "year")))
    crab = str(rng.choice(("rich", "rich", "poor", "absent")))
    bands = str(rng.choice(list(BANDS)))
    tracer = bool(rng.random() < 0.8)
    revolutions, seed = int(rng.choice(REVOLUTIONS)), int(rng.integers(2**31))
    row: dict[str, object] = {
        "model": name, "extras": "+".join(extras), "world": world, "schedule": schedule, "crab": crab,
        "tracer": tracer, "bands": len(BANDS[bands]), "revolutions": revolutions, "scws": 0, "seed": seed,
        "refused": "-", "r_hat": np.nan, "ess_bulk": np.nan, "ess_tail": np.nan, "divergences": 0,
        "times": 0, "cpu_s": np.nan, "converged": False, "rms_z": np.nan, "rms_z_cal": np.nan,
    }  # fmt: skip
    truth = simulate.Truth(bands=BANDS[bands], crab_fraction=CRAB[crab])
    if not tracer:
        truth = replace(truth, tracer=None)
    milkyway = sky.load("milkyway")
    switches = simulate.World.on(*([] if world == "clean" else [world]))
    scws = simulate.mission(
        SCHEDULES[schedule](revolutions, seed), truth, sky=milkyway, world=switches, seed=seed
    )
    given = None
    if not scws.crab.any():
        # The Crab rate declines, so the given one is that of the time of the mission.
        assert scws.truth is not None
        rates = np.mean(scws.truth["crab_rate"], axis=0)
        given = {band.name: float(rate) for band, rate in zip(truth.bands, rates, strict=True)}
    start = time.process_time()
    try:
        model = models.MODELS[name](milkyway).with_extras(*extras)
        run = sample(model, scws, seed=1, progress=False, crab_rate=given)
    except InputError as refused:
        return row | {"scws": len(scws), "refused": str(refused)}
    seconds = time.process_time() - start
    r_hat, bulk, tail = (float(x) for x in run.diagnosis.worst)
    return row | {
        "scws": len(scws), "r_hat": r_hat, "ess_bulk": bulk, "ess_tail": tail,
        "divergences": run.diagnosis.divergences, "cpu_s": round(seconds, 1),
        "times": max(run.record["sampling"].get("times_as_long", [1])),
        "converged": r_hat <= MAX_R_HAT and min(bulk, tail) >= MIN_ESS and not run.diagnosis.divergences,
        "rms_z": rms_z(run), "rms_z_cal": rms_z(run.best),
    }  # fmt: skip


def whole_mission(revolutions: int, seed: int) -> ScWTable:
    """Revolutions from all twenty years."""
    return simulate.programme(revolutions, stop=2740, seed=seed)


def near_plane(revolutions: int, seed: int) -> ScWTable:
    """No ScW at high latitude."""
    planned = whole_mission(revolutions, seed)
    return planned.select(np.abs(planned.lat) < 10)


def one_after_the_other(revolutions: int, seed: int) -> ScWTable:
    """120 revolutions are one year."""
    return simulate.programme(revolutions, 70 + seed % 2000, seed=seed)


SCHEDULES = {"whole": whole_mission, "plane": near_plane, "year": one_after_the_other}
CRAB = {"rich": 1.0, "poor": 0.03, "absent": 0.0}
EDGES = np.geomspace(25, 200, 11)
BANDS = {
    "three": spectra.BANDS,
    "one": spectra.BANDS[:1],
    "ten": tuple(Band(f"B{k:02}", *EDGES[k : k + 2]) for k in range(10)),
}


def rms_z(run: Run) -> float:
    """Root mean square of (FOV flux − truth) / sd; NaN without a sky or truth."""
    constant, posterior = run.tree["constant_data"].dataset, run.tree["posterior"].dataset
    if "sky.fov_flux" not in posterior or "true_fov_flux" not in constant:
        return float("nan")
    flux = posterior["sky.fov_flux"]
    z = (flux.mean(("chain", "draw")) - constant["true_fov_flux"]) / flux.std(("chain", "draw"))
    return float(np.sqrt((z**2).mean()))


def main() -> None:
    """Fit the requested number of combinations."""
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
    refused = np.sum(table["refused"] != "-")
    print(f"{np.sum(table['converged'])} of {len(table) - refused} converged, {refused} refused")


if __name__ == "__main__":
    main()
