"""Simulation-based calibration: whether the posteriors of a model are right for data of that model.

Parameters are drawn from the prior, data from the model, and the posterior given these data is sampled as
any other. If everything is right, the rank of the true value among posterior draws is uniform (Talts et al.
2018, arXiv:1804.06788). Whatever is not, of the density, its gradient, the start or the sampler, shows.

>>> import ridgebayes as rb
>>> model = rb.models.regions(rb.sky.load("coarse"))                    # doctest: +SKIP
>>> ranks = rb.sbc.run_sbc(model, simulations=200, out="sbc/regions")   # doctest: +SKIP
>>> print(rb.sbc.uniformity(ranks))                                     # doctest: +SKIP
"""

from ridgebayes.sbc.base import base_mission
from ridgebayes.sbc.campaign import run_sbc
from ridgebayes.sbc.folder import Ranks, read_ranks
from ridgebayes.sbc.uniformity import Band, Uniformity, simultaneous_band, uniformity

__all__ = [
    "Band",
    "Ranks",
    "Uniformity",
    "base_mission",
    "read_ranks",
    "run_sbc",
    "simultaneous_band",
    "uniformity",
]
