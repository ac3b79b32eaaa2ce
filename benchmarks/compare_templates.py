"""Does leaving revolutions out pick the right template? Simulated missions whose sky is one of two.

    python benchmarks/compare_templates.py --missions 10

Sky A is starlight. Sky B has the light of A in every 20° of longitude spread among its neighbours: the same
total, a wider bulge. Half of the missions have sky A, half sky B; each is fitted with both, one free norm of
the template, and the one with the larger elpd is picked. All missions have the same pointings.
"""

from __future__ import annotations

import argparse
import logging
import time

import numpy as np

import ridgebayes as rb
from ridgebayes import simulate as sim
from ridgebayes.comparison.densities import log_likelihood
from ridgebayes.comparison.leaveout import psis, standard_error
from ridgebayes.comparison.refit import Refit
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData, prepare
from ridgebayes.model import Model, components
from ridgebayes.priors import Parameter, Parameters
from ridgebayes.runs.compilation import use_compilation_cache

NORM = components.dist.Normal(1.0, 1.0)


def rates(p: Parameters, data: FitData, *, shape: np.ndarray) -> None:
    """Rates for a sky of one template: its intensity in every region times a norm."""
    crab_rate = components.crab_rate(p, data)
    intensity = p("sky.norm")[:, None] * shape
    seen = components.sky(p, intensity, crab_rate, data) + components.crab(crab_rate, data)
    components.observe(p, data, components.background(p, data), seen, crab_rate)


def template(sky: rb.sky.Sky, shape: np.ndarray) -> Model:
    """Build the model of a template: intensities of the regions, mCrab/deg², for a norm of one."""
    norm = {"sky.norm": Parameter(NORM, "", ("band",), "norm of the template")}
    solid_angle = {"response.solid_angle": components.SKY["response.solid_angle"]}
    parameters = {**norm, **solid_angle, **components.BACKGROUND, **components.CRAB}
    return Model("template", rates, parameters, sky, {"shape": shape}, factorises=True)


def shapes(sky: rb.sky.Sky, width: float) -> dict[str, np.ndarray]:
    """Intensities of A and B; B is A smeared in longitude by a Gaussian of this width, deg."""
    truth = sim.Truth(bands=sim.BANDS[:1])
    starlight = sim.mission(sim.programme(3, stop=2740, seed=1), truth, sky=sky, seed=1).truth["intensity"]
    a = np.array([starlight[name][0] for name in sky.names])
    far = (sky.centre_lon[:, None] - sky.centre_lon + 180) % 360 - 180
    kernel = np.exp(-0.5 * (far / width) ** 2)
    return {"A": a, "B": (kernel / kernel.sum(0)) @ a}


class Fitter:
    """Fits one template to missions of the same pointings, compiled once."""

    def __init__(self, model: Model) -> None:
        self.model, self.refit = model, None

    def __call__(self, mission: rb.ScWTable, seed: int) -> dict[str, np.ndarray]:
        """Return elpd and k̂ of every revolution."""
        data = prepare(mission, self.model.sky).data
        if self.refit is None:
            posterior = Posterior(self.model, data)
            self.refit = Refit(posterior, warmup=100, draws=300)
            self.likelihood = log_likelihood(posterior)
        draws = np.asarray(self.likelihood(self.refit(data, seed), data))
        return psis(draws.reshape(self.refit.chains, -1, draws.shape[-1]))


def main() -> None:
    """Simulate, fit, pick; print a line for each mission and the count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--missions", type=int, default=10)
    parser.add_argument("--revolutions", type=int, default=100)
    parser.add_argument("--width", type=float, default=15.0, help="Smearing of template B, deg.")
    parser.add_argument("--band", default="A02", help="Fainter bands are harder.")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    use_compilation_cache()
    sky = rb.sky.load("coarse")
    band = next(b for b in sim.BANDS if b.name == given.band)
    programme = sim.programme(given.revolutions, stop=2740, seed=7)
    skies = shapes(sky, given.width)
    fitters = {name: Fitter(template(sky, shape)) for name, shape in skies.items()}
    print(f"{len(programme)} simulated ScWs, {given.revolutions} revolutions, band {band.name}, "
          f"B smeared by {given.width:g} deg", flush=True)  # fmt: skip
    right = 0
    for seed in range(1, given.missions + 1):
        start, true = time.process_time(), "AB"[seed % 2]
        intensity = {name: [float(value)] for name, value in zip(sky.names, skies[true], strict=True)}
        truth = sim.Truth(bands=(band,), template=None, intensity=intensity)
        mission = sim.mission(programme, truth, sky=sky, seed=seed)
        found = {name: fitter(mission, seed) for name, fitter in fitters.items()}
        wrong = "B" if true == "A" else "A"
        lead = found[true]["elpd"] - found[wrong]["elpd"]
        right += lead.sum() > 0
        k = max(x["pareto_k"].max() for x in found.values())
        print(
            f"mission {seed}: sky {true} ahead by {lead.sum():+.1f} ± {standard_error(lead):.1f}, "
            f"largest k {k:.2f}, {time.process_time() - start:.0f} s of CPU",
            flush=True,
        )
    print(f"{right} of {given.missions} right")


if __name__ == "__main__":
    main()
