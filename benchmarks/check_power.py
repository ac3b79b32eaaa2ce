"""Posterior predictive checks of simulated missions: false alarms in a clean world, what is found in others.

    python benchmarks/check_power.py --programme pointings.csv.gz --out power.csv
    python benchmarks/check_power.py --table power.csv

Each mission has its own noise and revolution terms; the pointings are the same for all. Every world of the
simulator is checked under the plain model and under the one with the extra made for it. Draws are those of
one chain. Missions that are in
the output already are not done again.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from itertools import product
from pathlib import Path

import jax
import numpy as np

import ridgebayes as rb
from ridgebayes import checks
from ridgebayes import simulate as sim
from ridgebayes.checks.refit import Recipe
from ridgebayes.cli.commands.simulate import thinned
from ridgebayes.inference.kernels import Draws
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.sampler import Sampler
from ridgebayes.likelihood.design import prepare
from ridgebayes.models import regions
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.runs.reload import Reopened

EXTRA = {
    "correlated_noise": "correlated_noise",
    "outliers": "outliers",
    "transients": "transients",
    "wrong_template": "free_latitude",
    "crab_step": "smooth_crab",
}
"""World → the extra made for it."""

SUBJECT = {
    "correlated_noise": "neighbours",
    "outliers": "tails",
    "transients": "variable",
    "wrong_template": "latitude",
    "crab_step": "crab",
    "noisy_tracer": "tracer",
}
"""World → the subject of the checks that is to find it."""

FIELDS = ("world", "seed", "method", "statistic", "band", "z", "p", "found", "first", "seconds")


def main() -> None:
    """Simulate, fit, check, write a row a statistic; or print the table of what was written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--programme", type=Path, help="table of pointings [default: a generated programme]")
    parser.add_argument("--revolutions", type=int, default=200)
    parser.add_argument("--missions", type=int, default=10)
    parser.add_argument("--worlds", nargs="*", default=["clean", *sim.SWITCHES])
    parser.add_argument("--band", default="A01")
    parser.add_argument("--draws", type=int, default=50, help="replicates of each mission")
    parser.add_argument("--without-extra", action="store_true", help="only the plain model")
    parser.add_argument("--out", type=Path, default=Path("check_power.csv"))
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
    truth = sim.Truth(bands=tuple(band for band in sim.BANDS if band.name == given.band))
    plain = regions(sky)
    checkers = {"plain": Checker(plain)}
    done = _done(given.out)
    for world, seed in product(given.worlds, range(1, given.missions + 1)):
        mission = None
        extra = None if given.without_extra else EXTRA.get(world)
        for method in ("plain", *([extra] if extra else [])):
            if (world, str(seed), method) in done:
                continue
            if mission is None:
                on = sim.World.on(*([] if world == "clean" else [world]))
                mission = sim.mission(programme, truth, sky=sky, world=on, seed=seed)
            if method not in checkers:
                checkers[method] = Checker(plain.with_extras(method))
            start = time.monotonic()
            found = checkers[method](mission, seed, given.draws)
            seconds = round(time.monotonic() - start, 1)
            first = next(iter(found.found), "")
            _write(
                given.out,
                [
                    (
                        world,
                        seed,
                        method,
                        r.statistic,
                        r.band,
                        f"{r.z:.3f}",
                        f"{r.p:.3g}",
                        int(r.found),
                        first,
                        seconds,
                    )
                    for r in found.results
                ],
            )
            print(world, seed, method, f"{seconds} s:", ", ".join(found.found) or "nothing", flush=True)
    print(table(given.out))


class Checker:
    """Checks one model on missions of the same pointings, compiled once."""

    def __init__(self, model) -> None:
        self.model = model
        self.recipe: Recipe | None = None

    def __call__(self, mission: rb.ScWTable, seed: int, draws: int) -> checks.Checks:
        """Fit and check."""
        prepared = prepare(mission, self.model.sky, opened=self.model.parameters.keys())
        data = prepared.data
        if self.recipe is None:
            posterior = Posterior(self.model, data)
            self.recipe = Recipe(posterior)
            self.sampler = Sampler(posterior, data, warmup=100)
        posterior = self.recipe.posterior
        key = jax.random.key(seed)
        start = self.sampler.begin(key, data, np.random.default_rng(seed))
        blocks = self.sampler.chain(key, data, start, 1000)
        z = np.concatenate([block.z for block in blocks if isinstance(block, Draws)])
        again = Reopened(self.model, prepared, posterior, [data], z[None, None])
        return checks.compare(again, draws=draws, seed=seed, recipe=self.recipe)


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
    """Summarise by world and method: missions with a finding, the right one, that first, others."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    groups: dict[tuple[str, str], dict[str, list[dict]]] = {}
    for row in rows:
        groups.setdefault((row["world"], row["method"]), {}).setdefault(row["seed"], []).append(row)
    lines = [
        "| world | model | anything found | right subject | named first | largest z (median) | also found |",
        "|---" * 7 + "|",
    ]
    for (world, method), missions in groups.items():
        right, n = SUBJECT.get(world), len(missions)
        found = {
            seed: {r["statistic"].split(".")[0] for r in each if r["found"] == "1"}
            for seed, each in missions.items()
        }
        largest = [
            max(abs(float(r["z"])) for r in each if r["statistic"].split(".")[0] == right)
            if right
            else np.nan
            for each in missions.values()
        ]
        others: dict[str, int] = {}
        for subjects in found.values():
            for subject in sorted(subjects - {right}):
                others[subject] = others.get(subject, 0) + 1
        also = ", ".join(f"{name} {number}" for name, number in sorted(others.items(), key=lambda x: -x[1]))
        any_found = sum(bool(s) for s in found.values())
        cells = [f"{any_found}/{n}", "–", "–", "–"]
        if right:
            first = sum(each[0]["first"] == right for each in missions.values())
            hit = sum(right in s for s in found.values())
            cells[1:] = [f"{right} {hit}/{n}", f"{first}/{n}", f"{np.median(largest):.1f}"]
        lines.append(f"| {world} | {method} | " + " | ".join(cells) + f" | {also or '–'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
