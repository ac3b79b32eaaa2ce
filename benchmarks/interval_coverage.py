"""Whether intervals cover the truth: python benchmarks/interval_coverage.py [--missions 24].

Small simulated missions (about 1,500 ScWs, 24 revolutions, two bands), each with its own rates and its own
true intensities, are fitted with the default `regions` model.
"""

from __future__ import annotations

import logging

import click
import numpy as np
from scipy import stats

from ridgebayes import models, sample, simulate, sky
from ridgebayes.runs.sampling import use_compilation_cache

REGIONS = ("L-20", "GB", "L+20")


def one(seed: int, *, draws: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Position of the truth in the posterior (0–1) and z of each region and band, for one mission."""
    rng = np.random.default_rng(seed)
    regions = sky.load("coarse").select(REGIONS)
    bands = simulate.BANDS[:2]
    intensity = {name: rng.uniform(0, 1, len(bands)).tolist() for name in REGIONS}
    truth = simulate.Truth(bands=bands, template=None, intensity=intensity)
    scws = simulate.mission(simulate.programme(24, stop=2740, seed=11), truth, sky=regions, seed=seed)
    run = sample(models.regions(regions), scws, seed=seed, draws=draws)
    true = run.tree["constant_data"].dataset["true_intensity"]
    posterior = run.intensity()
    over = ("chain", "draw")
    rank = (posterior < true).mean(over).values.ravel()
    z = ((posterior.mean(over) - true) / posterior.std(over)).values.ravel()
    return rank, z


def covered(rank: np.ndarray, level: float) -> np.ndarray:
    """Tell which truths lie inside the equal-tailed interval of this level."""
    return np.abs(rank - 0.5) <= level / 2


@click.command()
@click.option("--missions", default=24, show_default=True)
@click.option("--first-seed", default=100, show_default=True)
def main(missions: int, first_seed: int) -> None:
    """Print the coverage of 50, 68, 90 and 94 % intervals."""
    logging.getLogger("ridgebayes").setLevel(logging.ERROR)
    use_compilation_cache()
    results = [one(first_seed + k) for k in range(missions)]
    rank, z = (np.concatenate(x) for x in zip(*results, strict=True))
    print(f"{missions} missions, {rank.size} intervals, rms z {np.sqrt(np.mean(z**2)):.2f}")
    for level in (0.5, 0.68, 0.9, 0.94):
        hits = int(covered(rank, level).sum())
        lo, hi = stats.binom(rank.size, level).ppf([0.025, 0.975])
        share = hits / rank.size
        print(f"{level:.0%} intervals hold {hits}/{rank.size} = {share:.1%} (expected {lo:.0f} to {hi:.0f})")
    print(f"uniformity of ranks: KS p = {stats.kstest(rank, 'uniform').pvalue:.2f}")


if __name__ == "__main__":
    main()
