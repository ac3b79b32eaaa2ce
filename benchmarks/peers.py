"""Other samplers on the same model and the same data, in the same run: make bench-peers.

One band, 25–60 keV, of simulated missions of growing size. Each sampler runs in a process of its own, with a
time limit; what does not finish is not tried on a larger mission. Of the ways to set a peer up (terms of the
revolutions centred or not, dense or picked exposures, another compiler) all are tried on the smallest
mission, and the fastest goes on.

    python benchmarks/peers.py --check           # the densities of the peers are ours
    python benchmarks/peers.py --scws 5000 --scws 20000 --limit 30

Peers are installed for this benchmark alone (peers-requirements.txt), never by the package.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ridgebayes.bench.cases import Case
from ridgebayes.bench.suite import machine
from ridgebayes.runs.metadata import git_commit

PEERS: dict[str, dict[str, dict[str, Any]]] = {
    "ours": {"default": {}},
    "classical": {"default": {}},
    "blackjax": {"diagonal": {"dense": False}, "dense": {"dense": True}},
    "pymc+nutpie": {
        "centred, picked": {"centred": True, "dense": False},
        "centred, dense": {"centred": True, "dense": True},
        "centred, picked, JAX": {"centred": True, "dense": False, "backend": "jax"},
        "not centred, picked": {"centred": False, "dense": False},
    },
    "numpyro": {"centred": {"centred": True}, "not centred": {"centred": False}},
}
"""Sampler → name and options of each set-up."""

AS_PEERS = {"sky.latitude": 0.0}
"""Parameters of our model that the peers do not have."""
MODULES = {"pymc+nutpie": "pymc_nutpie", "numpyro": "numpyro_plain", "blackjax": "blackjax_marginal"}


@dataclass(frozen=True)
class Settings:
    """Draws of each chain, and limits on resources."""

    chains: int = 2
    warmup: int = 500
    draws: int = 500
    seed: int = 1
    cores: int = 2


def load(mission: Path, regions_file: Path) -> tuple[Any, Any, Any]:
    """Read a mission: model, table of one band, arrays."""
    from ridgebayes import models, read_scws, sky
    from ridgebayes.likelihood.design import prepare

    scws = read_scws(mission).take_bands(["A01"])
    model = models.regions(sky.load(regions_file)).with_priors(AS_PEERS)
    return model, scws, prepare(scws, model.sky, opened=model.asks_for, chosen=model.chosen)


def one(
    peer: str, options: dict[str, Any], mission: Path, regions_file: Path, settings: Settings
) -> dict[str, Any]:
    """Run one sampler in this process.

    Timing of peers excludes making their arrays; that of our sampler and the classical estimate includes it.
    """
    import arviz_stats
    import xarray as xr

    from ridgebayes.bench.memory import peak_gib

    model, scws, prepared = load(mission, regions_file)
    if peer == "classical":
        return classical(scws, model) | {"peak_gib": peak_gib()}
    if peer == "ours":
        found = ours(model, scws, settings)
    else:
        found = sampler(peer, model, prepared, settings, options)
    intensity = found.pop("intensity")
    ess = arviz_stats.ess(xr.DataArray(intensity, dims=("chain", "draw", "region")), method="bulk")
    r_hat = arviz_stats.rhat(xr.DataArray(intensity, dims=("chain", "draw", "region")))
    return found | {
        "scws": len(scws),
        "revolutions": int(prepared.layout.revolutions.size),
        "worst_ess": float(ess.min()),
        "worst_r_hat": float(r_hat.max()),
        "means": intensity.mean((0, 1)).tolist(),
        "sds": intensity.std((0, 1)).tolist(),
        "peak_gib": peak_gib(),
    }


def sampler(
    peer: str, model: Any, prepared: Any, settings: Settings, options: dict[str, Any]
) -> dict[str, Any]:
    """Run a peer."""
    from importlib import import_module

    from peer_models.problem import problem

    module = import_module(f"peer_models.{MODULES[peer]}")
    if peer == "blackjax":
        from ridgebayes.inference.log_density import Posterior

        data = prepared.data.band(0)
        return module.sample(Posterior(model, data), data, settings, **options)
    return module.sample(problem(prepared), settings, **options)


def ours(model: Any, scws: Any, settings: Settings) -> dict[str, Any]:
    """Run `ridgebayes.sample`, including preparation and products."""
    from ridgebayes import sample
    from ridgebayes.bench.compilations import Compilations

    start = time.perf_counter()
    with Compilations() as compilations:
        run = sample(model, scws, chains=settings.chains, seed=settings.seed)
    seconds = time.perf_counter() - start
    intensity = run.intensity().transpose("chain", "draw", "band", "region").values[:, :, 0]
    statistics = run.tree["sample_stats"]
    return {
        "compile_s": compilations.seconds,
        "sample_s": seconds - compilations.seconds,
        "intensity": np.asarray(intensity),
        "steps": float(statistics["n_steps"].mean()),
        "divergences": int(statistics["diverging"].sum()),
    }


def classical(scws: Any, model: Any) -> dict[str, Any]:
    """Time the classical estimate; the first call computes exposures, which are kept."""
    from ridgebayes import classical as method

    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        method.fluxes(method.calibrate(scws), model.sky)
        seconds.append(time.perf_counter() - start)
    return {"first_s": seconds[0], "sample_s": seconds[1]}


def check(mission: Path, regions_file: Path) -> None:
    """Compare differences of log density between two points with those of our explicit model."""
    from numpyro.infer.util import log_density as numpyro_log_density
    from peer_models import numpyro_plain, pymc_nutpie
    from peer_models.problem import problem

    from ridgebayes import models

    model, _, prepared = load(mission, regions_file)
    given = problem(prepared)
    explicit = models.regions(model.sky, marginal=False).with_priors(AS_PEERS)
    points = [_point(given, np.random.default_rng(seed)) for seed in (1, 2)]

    def our(point: dict[str, Any]) -> float:
        return float(numpyro_log_density(explicit, (prepared.data.band(0),), {}, _in_our_words(point))[0])

    expected = our(points[0]) - our(points[1])
    # Centred terms b = sd · u: log p(b) = log p(u) − Σ log sd.
    volume = [given.level.size * np.log(p["revolution_sd"]).sum() for p in points]
    print(f"ours: {expected:.9g}")
    worst = 0.0
    for peer, module in (("pymc+nutpie", pymc_nutpie), ("numpyro", numpyro_plain)):
        for name, options in PEERS[peer].items():
            options = {k: v for k, v in options.items() if k != "backend"}
            own = [_centred(p) if options["centred"] else p for p in points]
            values = [module.log_density(given, p, **options) for p in own]
            if options["centred"]:
                values = [value + v for value, v in zip(values, volume, strict=True)]
            error = abs((values[0] - values[1]) / expected - 1)
            worst = max(worst, error)
            print(f"{peer}, {name}: {values[0] - values[1]:.9g}, relative difference {error:.1e}")
    if not worst < 1e-8:
        sys.exit("the densities differ: nothing is compared")


def _point(given: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Draw parameters near those of a mission."""
    return {
        "intensity": rng.normal(0.3, 0.3, given.regions),
        "level": rng.normal(1.0, 0.02),
        "drift": rng.normal(0.0, 0.5, given.drift_basis.shape[1]),
        "tracer": rng.normal(0.3, 0.1),
        "revolution_sd": rng.uniform(0.01, 0.05, 3),
        "scatter": rng.uniform(0.005, 0.02),
        "crab_rate": rng.normal(1.0, 0.05),
        "crab_shape": rng.normal(0.0, 0.1, 3),
        "crab_scatter": rng.uniform(0.003, 0.01),
        "terms": rng.normal(0.0, 1.0, (given.level.size, 3)),
    }


def _centred(point: dict[str, Any]) -> dict[str, Any]:
    return point | {"terms": point["terms"] * point["revolution_sd"]}


def _in_our_words(point: dict[str, Any]) -> dict[str, Any]:
    names = {
        "sky.intensity": "intensity", "background.level": "level", "background.drift": "drift",
        "background.tracer": "tracer", "background.revolution_sd": "revolution_sd",
        "background.scatter": "scatter", "crab.rate": "crab_rate", "crab.shape": "crab_shape",
        "crab.scatter": "crab_scatter",
    }  # fmt: skip
    own = {ours: np.asarray(point[theirs])[None] for ours, theirs in names.items()}
    return own | {"background.coefficients": point["terms"].T[None]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--scws", type=int, action="append", help="missions [default: 5000, 20000, 80000, 160000]"
    )
    parser.add_argument("--regions", type=int, default=40)
    parser.add_argument("--programme", type=Path, help="table of real pointings")
    parser.add_argument("--limit", type=float, default=30.0, help="minutes for each sampler on each mission")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only this one (repeatable)")
    parser.add_argument("--setup", action="append", help="only set-ups of this name (repeatable)")
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=500, help="of the peers; ours has its own")
    parser.add_argument("--draws", type=int, default=500, help="of the peers; ours has its own")
    parser.add_argument("--out", type=Path, default=Path("runs/peers"))
    parser.add_argument("--check", action="store_true", help="only compare the densities")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    settings = Settings(given.chains, given.warmup, given.draws)
    if given.one:
        peer, setup, mission, regions_file, result = given.one
        found = one(peer, PEERS[peer][setup], Path(mission), Path(regions_file), settings)
        Path(result).write_text(json.dumps(found), encoding="utf-8")
        return
    series(given, settings)


def series(given: argparse.Namespace, settings: Settings) -> None:
    """Run everything, print a table, and keep each result as a line of JSON."""
    given.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("RIDGEBAYES_CACHE", str((given.out / "cache").absolute()))
    setups = {
        peer: [name for name in PEERS[peer] if not given.setup or name in ("default", *given.setup)]
        for peer in given.peer or PEERS
    }
    results: list[dict[str, Any]] = []
    for size in sorted(given.scws or [5_000, 20_000, 80_000, 160_000]):
        case = Case(size, given.regions, 1)
        mission, regions_file = case.mission(given.out), case.sky(given.out)
        if not mission.exists():
            simulate = [sys.executable, "-m", "ridgebayes.cli.measured", str(given.out / "simulated.json")]
            subprocess.run([*simulate, *case.simulation(given.out, given.programme)], check=True)
        if not results:
            check(mission, regions_file)
            if given.check:
                return
        for peer in list(setups):
            found = [_timed(peer, setup, mission, regions_file, given) for setup in setups[peer]]
            results += found
            with (given.out / "results.jsonl").open("a", encoding="utf-8") as file:
                common = {"case": vars(case), "commit": git_commit(), "machine": machine()}
                file.writelines(json.dumps(common | r) + "\n" for r in found)
            finished = [r for r in found if "failed" not in r]
            if finished:
                setups[peer] = [max(finished, key=speed)["setup"]]
            else:
                del setups[peer]  # it will not finish larger missions
    text = f"{table(results)}\n\n{largest(results)}\n"
    (given.out / "peers.md").write_text(text, encoding="utf-8")
    print(text)


def _timed(
    peer: str, setup: str, mission: Path, regions_file: Path, given: argparse.Namespace
) -> dict[str, Any]:
    """Run one sampler in a separate process, within the time limit."""
    result = given.out / "one.json"
    result.unlink(missing_ok=True)
    command = [
        sys.executable,
        __file__,
        "--chains",
        given.chains,
        "--warmup",
        given.warmup,
        "--draws",
        given.draws,
    ]
    command += ["--one", peer, setup, mission, regions_file, result]
    start, label = time.monotonic(), {"peer": peer, "setup": setup, "asked": mission.stem}
    print(f"{peer}, {setup}, {mission.stem} ...", file=sys.stderr, flush=True)
    try:
        ended = subprocess.run(
            [str(x) for x in command], timeout=60 * given.limit, check=False, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return label | {"failed": f"not finished after {given.limit:g} min"}
    if ended.returncode or not result.exists():
        said = (ended.stderr.strip() or "nothing").splitlines()[-1]
        return label | {"failed": f"exit code {ended.returncode}: {said}"}
    return label | json.loads(result.read_text(encoding="utf-8")) | {"wall_s": time.monotonic() - start}


def speed(result: dict[str, Any]) -> float:
    """Smallest ESS of an intensity per second, without compiling; for the classical estimate 1 / time."""
    return result.get("worst_ess", 1.0) / result["sample_s"]


def table(results: list[dict[str, Any]]) -> str:
    """Format as Markdown."""
    columns = (
        "sampler", "set-up", "ScWs", "compile s", "sample s", "steps", "worst ESS", "R-hat", "ESS a s",
        "with compiling", "diverged", "peak GiB", "largest z against ours",
    )  # fmt: skip
    rows = []
    for r in results:
        if "failed" in r:
            rows.append([r["peer"], r["setup"], r["asked"], r["failed"], *[""] * (len(columns) - 4)])
        elif r["peer"] == "classical":
            rows.append(
                [r["peer"], "", r["asked"], "", f"{r['sample_s']:.1f}", *[""] * 6, f"{r['peak_gib']:.2f}", ""]
            )
        else:
            rows.append(
                [r["peer"], r["setup"], f"{r['scws']:,}", f"{r['compile_s']:.1f}", f"{r['sample_s']:.1f}",
                 f"{r['steps']:.0f}", f"{r['worst_ess']:.0f}", f"{r['worst_r_hat']:.3f}", f"{speed(r):.3f}",
                 f"{with_compiling(r):.3f}", str(r["divergences"]), f"{r['peak_gib']:.2f}",
                 _z(r, results)]
            )  # fmt: skip
    lines = ["| " + " | ".join(row) + " |" for row in (columns, ["---"] * len(columns), *rows)]
    return "\n".join(lines)


def largest(results: list[dict[str, Any]]) -> str:
    """Name the largest mission that each peer finished, and the speed of our sampler relative to it."""
    lines = []
    ours = {r["scws"]: r for r in results if r["peer"] == "ours" and "failed" not in r}
    for peer in ("blackjax", "pymc+nutpie", "numpyro"):
        own = [r for r in results if r["peer"] == peer]
        finished = [r for r in own if "failed" not in r]
        if not finished:
            lines += [f"- {peer}: finished none"] if own else []
            continue
        size = max(r["scws"] for r in finished)
        best = max((r for r in finished if r["scws"] == size), key=speed)
        line = f"- {peer} ({best['setup']}): {size:,} ScWs is the largest it finished"
        if size in ours:
            times = speed(ours[size]) / speed(best), with_compiling(ours[size]) / with_compiling(best)
            line += f"; ours has {times[0]:.0f} times its worst ESS a second ({times[1]:.0f} with compiling)"
        lines.append(line)
    return "\n".join(lines)


def with_compiling(result: dict[str, Any]) -> float:
    """Smallest ESS of an intensity per second, including compiling."""
    return result["worst_ess"] / (result["compile_s"] + result["sample_s"])


def _z(result: dict[str, Any], results: list[dict[str, Any]]) -> str:
    """Largest difference of a mean intensity from ours, over its Monte Carlo error."""
    same = [r for r in results if r["peer"] == "ours" and r.get("scws") == result["scws"] and "means" in r]
    if result["peer"] == "ours" or not same:
        return ""
    own = same[0]
    error = np.asarray(own["sds"]) * np.sqrt(1 / own["worst_ess"] + 1 / result["worst_ess"])
    return f"{np.abs((np.array(result['means']) - own['means']) / error).max():.1f}"


if __name__ == "__main__":
    main()
