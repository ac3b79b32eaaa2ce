"""Are mass and index of a known sky recovered by the model of all bands? Missions of the same pointings.

    python benchmarks/whitedwarf_recovery.py --missions 20

Every mission has starlight as its sky, a spectrum of white dwarfs of one mass with a power law, and (by
default) noise shared between the bands, of which the model knows nothing. The model `whitedwarf` is compiled
once and fitted to each; a line a mission, and how often the 94 % intervals hold the truth.
"""

from __future__ import annotations

import argparse
import logging

import jax
import numpy as np

import ridgebayes as rb
from ridgebayes import simulate as sim
from ridgebayes.likelihood.design import prepare
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.sbc.one import Fitter
from ridgebayes.simulate.spectra import GB_FOV
from ridgebayes.spectra.known import bulge

PARAMETERS = ("sky.mass", "sky.index")
TAIL = 0.03


def main() -> None:
    """Simulate, fit, compare; print a line for each mission and the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--missions", type=int, default=20)
    parser.add_argument("--revolutions", type=int, default=40)
    parser.add_argument("--mass", type=float, default=0.65)
    parser.add_argument("--index", type=float, default=1.55)
    parser.add_argument("--share", type=float, default=0.67, help="Of white dwarfs in 30-80 keV.")
    parser.add_argument("--sky", default="coarse")
    parser.add_argument("--world", action="append", help="Switches of the simulator [default: shared_noise].")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    use_compilation_cache()
    sky = rb.sky.load(given.sky)
    model = rb.models.whitedwarf(sky)
    programme = sim.programme(given.revolutions, stop=2740, seed=7)
    flux = bulge(sim.BANDS, GB_FOV[0], mass=given.mass, index=given.index, share=given.share)
    world = sim.World.on(*(given.world or ["shared_noise"]))
    truth = dict(zip(PARAMETERS, (given.mass, given.index), strict=True))
    print(
        f"{len(programme)} simulated ScWs, {given.revolutions} revolutions, {world}; true {truth}", flush=True
    )
    fitter, held, pulls = None, dict.fromkeys(truth, 0), {name: [] for name in truth}
    for seed in range(1, given.missions + 1):
        mission = sim.mission(programme, sim.Truth(gb_fov=flux), sky=sky, world=world, seed=seed)
        data = prepare(mission, sky).data
        fitter = fitter or Fitter(model, data, warmup=150, draws=200)
        z, _, ess = fitter.sample(jax.random.key(seed), data)
        drawn = jax.vmap(fitter.posterior.constrain_one)(z)
        line = f"mission {seed:3d}  ess {ess:5.0f}"
        for name, true in truth.items():
            draws = np.asarray(drawn[name])
            low, high = np.quantile(draws, [TAIL, 1 - TAIL])
            held[name] += low <= true <= high
            pulls[name].append((draws.mean() - true) / draws.std())
            line += f"  {name} {draws.mean():.3f} ± {draws.std():.3f} [{low:.3f}, {high:.3f}]"
        print(line, flush=True)
    for name in truth:
        rms = float(np.sqrt(np.mean(np.square(pulls[name]))))
        print(f"{name}: 94 % interval holds the truth in {held[name]} of {given.missions}, rms z {rms:.2f}, "
              f"mean z {np.mean(pulls[name]):+.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
