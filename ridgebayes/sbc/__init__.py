"""Simulation-based calibration: a test of the posteriors of a model on data simulated from it.

Parameters are drawn from the prior and data from the model, and the posterior given these data is sampled. If
all is correct, the rank of the true value among posterior draws is uniform (Talts et al. 2018,
arXiv:1804.06788). Errors of the density, its gradient, the initial values or the sampler make ranks
non-uniform.

>>> import ridgebayes as rb
>>> model = rb.sbc.campaign_priors(rb.models.regions(rb.sky.load("coarse")))
>>> band = rb.sbc.simultaneous_band(simulations=200, draws=99)  # of the ranks, if all is right
>>> bool((band.lower <= band.upper).all())
True

The campaign itself takes hundreds of fits::

    ranks = rb.sbc.run_sbc(model, simulations=200, out="sbc/regions")
    print(rb.sbc.uniformity(ranks))
"""

from ridgebayes.sbc.base import base_mission, campaign_priors
from ridgebayes.sbc.campaign import run_sbc
from ridgebayes.sbc.folder import Ranks, read_ranks
from ridgebayes.sbc.uniformity import Band, Uniformity, simultaneous_band, uniformity

__all__ = [
    "Band",
    "Ranks",
    "Uniformity",
    "base_mission",
    "campaign_priors",
    "read_ranks",
    "run_sbc",
    "simultaneous_band",
    "uniformity",
]
