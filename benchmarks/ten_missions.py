"""Hierarchical against classical FOV fluxes on simulated missions: error, coverage, honest or not.

    python benchmarks/ten_missions.py --programme pointings.csv.gz --out ten.csv
    python benchmarks/ten_missions.py --table ten.csv

Each mission has its own noise and revolution terms; the pointings are the same for all, revolutions evenly
chosen from a whole programme. Every world of the simulator is fitted by the plain model, by the model with
the extra made for it, and the classical way. Missions that are in the output already are not done again.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import jax
import numpy as np

import ridgebayes as rb
from ridgebayes import classical
from ridgebayes import simulate as sim
from ridgebayes.cli.commands.simulate import thinned
from ridgebayes.inference.kernels import Draws
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.sampler import Sampler
from ridgebayes.likelihood.design import prepare
from ridgebayes.models import regions
from ridgebayes.runs.fitted import left_sites
from ridgebayes.runs.sampling import use_compilation_cache

REGIONS = ("GB", "L+20", "L-20", "L+60")
EXTRA = {
    "correlated_noise": "correlated_noise",
    "outliers": "outliers",
    "transients": "transients",
    "wrong_template": "free_latitude",
    "crab_step": "smooth_crab",
}
"""World → the extra made for it."""

COVER = 0.94
FIELDS = ("world", "seed", "method", "region", "truth", "value", "error", "lo", "hi", "seconds")


def main() -> None:
    """Simulate, fit, write a row for each region; or print the table of what was written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--programme", type=Path, help="table of pointings [default: a generated programme]")
    parser.add_argument("--revolutions", type=int, default=200)
    parser.add_argument("--missions", type=int, default=10)
    parser.add_argument("--worlds", nargs="*", default=["clean", *sim.SWITCHES])
    parser.add_argument("--band", default="A01")
    parser.add_argument("--out", type=Path, default=Path("ten_missions.csv"))
    parser.add_argument("--table", type=Path, help="only print the table of this file")
    given = parser.parse_args()
    if given.table:
        print(table(given.table))
        return
    logging.disable(logging.WARNING)
    use_compilation_cache()
    sky = rb.sky.load("milkyway")
    if given.programme:
        programme = thinned(sim.read_programme(given.programme, dither_deg=2.5, seed=7), given.revolutions)
    else:
        programme = sim.programme(given.revolutions, stop=2740, seed=7)
    print(f"{len(programme)} ScWs in {given.revolutions} revolutions, band {given.band}", flush=True)
    band = next(b for b in sim.BANDS if b.name == given.band)
    done = _done(given.out)
    plain = regions(sky)
    fitters = {"plain": Fitter(plain)}
    for world, seed in product(given.worlds, range(1, given.missions + 1)):
        mission = None
        extra = EXTRA.get(world)
        for method in ("classical", "plain", *([extra] if extra else [])):
            if (world, str(seed), method) in done:
                continue
            if mission is None:
                switches = [] if world == "clean" else [world]
                mission = sim.mission(
                    programme, sim.Truth(bands=(band,)), sky=sky, world=sim.World.on(*switches), seed=seed
                )
            start = time.monotonic()
            if method == "classical":
                rows = _classical(mission, sky)
            else:
                if method not in fitters:
                    fitters[method] = Fitter(plain.with_extras(method))
                rows = fitters[method](mission, seed)
            seconds = round(time.monotonic() - start, 1)
            truth = {name: mission.truth["fov"][name][0] for name in REGIONS}
            _write(given.out, [(world, seed, method, n, truth[n], *rows[n], seconds) for n in REGIONS])
            print(world, seed, method, f"{seconds} s", flush=True)
    print(table(given.out))


def _classical(mission: rb.ScWTable, sky) -> dict[str, tuple]:
    result = classical.fluxes(classical.calibrate(mission), sky)
    half = 1.880794  # a normal's 94 %
    return {
        str(row["region"]): (v := row["flux"].value, e := row["error"].value, v - half * e, v + half * e)
        for row in result
    }


class Fitter:
    """Fits one model to missions of the same pointings, compiled once: 2 chains of 100 + 300 draws."""

    def __init__(self, model) -> None:
        self.model = model
        self.posterior: Posterior | None = None

    def __call__(self, mission: rb.ScWTable, seed: int) -> dict[str, tuple]:
        """Return mean, sd and interval of the FOV flux of every region."""
        data = prepare(mission, self.model.sky, opened=self.model.parameters.keys()).data
        if self.posterior is None:
            self.posterior = Posterior(self.model, data)
            self.sampler = Sampler(self.posterior, data, warmup=100)
        key = jax.random.key(seed)
        start = self.sampler.begin(key, data, np.random.default_rng(seed))

        def chain(number: int) -> np.ndarray:
            blocks = self.sampler.chain(jax.random.fold_in(key, number), data, start, 300)
            return np.concatenate([block.z for block in blocks if isinstance(block, Draws)])

        with ThreadPoolExecutor(2) as pool:
            z = np.concatenate(list(pool.map(chain, range(2))))
        flux = left_sites(self.posterior, data, z, ["sky.fov_flux"])["sky.fov_flux"][:, 0]
        found = {}
        for name in REGIONS:
            draws = flux[:, self.model.sky.index(name)]
            interval = np.quantile(draws, [(1 - COVER) / 2, (1 + COVER) / 2])
            found[name] = (draws.mean(), draws.std(ddof=1), *interval)
        return found


def _done(path: Path) -> set[tuple[str, str, str]]:
    if not path.exists():
        return set()
    with path.open(newline="") as file:
        return {(row["world"], row["seed"], row["method"]) for row in csv.DictReader(file)}


def _write(path: Path, rows: list[tuple]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(FIELDS)
        writer.writerows(rows)


def table(path: Path) -> str:
    """Summarise by world, method and region: bias, root mean square error, mean error, rms z, coverage."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    groups: dict[tuple[str, str], dict[str, list[tuple[float, ...]]]] = {}
    for row in rows:
        numbers = tuple(float(row[n]) for n in ("truth", "value", "error", "lo", "hi"))
        groups.setdefault((row["world"], row["method"]), {}).setdefault(row["region"], []).append(numbers)
    lines = [
        "| world | method | " + " | ".join(f"rms error {r}" for r in REGIONS) + " | rms z | covered (94 %) |",
        "|---" * (len(REGIONS) + 4) + "|",
    ]
    for (world, method), by_region in groups.items():
        cells, z, inside = [], [], []
        for name in REGIONS:
            truth, value, error, lo, hi = np.array(by_region[name]).T
            cells.append(f"{np.sqrt(np.mean((value - truth) ** 2)):.2f} ({error.mean():.2f})")
            z += list((value - truth) / error)
            inside += list((lo <= truth) & (truth <= hi))
        rms = np.sqrt(np.mean(np.square(z)))
        lines.append(
            f"| {world} | {method} | " + " | ".join(cells) + f" | {rms:.2f} | {sum(inside)}/{len(inside)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
