"""A Gaussian process in time beside the cubic in the logarithm of the Crab rate."""

from __future__ import annotations

import numpyro.distributions as dist
from jax import Array

from ridgebayes.likelihood.design import FitData
from ridgebayes.model.extensions.base import Extension, FindingMessages
from ridgebayes.model.processes import gaussian_process
from ridgebayes.priors import Parameter, Parameters


def process(p: Parameters, data: FitData) -> Array:
    """Change of the logarithm of the Crab rate (Matérn 3/2), (band, revolution)."""
    sd, length = p("crab.smooth_sd"), p("crab.smooth_length")
    return gaussian_process(
        p("crab.smooth"), sd, length, data.smooth_frequency, data.smooth_basis, smoothness=1.5
    )


SMOOTH_CRAB = Extension(
    "smooth_crab",
    {
        "crab.smooth": Parameter(
            dist.Normal(0.0, 1.0),
            "",
            ("band", "crab_mode"),
            "Crab rate beside its cubic: weights of modes",
            nonlinear=True,
        ),
        # Fixed, as for the drift, because sampling them together with the weights is slow.
        "crab.smooth_sd": Parameter(0.03, "", ("band",), "sd of this part, relative"),
        "crab.smooth_length": Parameter(1.5, "yr", ("band",), "time scale of this part"),
    },
    needs="crab.rate",
    subject="crab",
    messages=FindingMessages(
        "the Crab's rate does not follow the fitted curve",
        "the Crab's rate follows the fitted curve",
        "shorten crab.smooth_length or raise crab.smooth_sd (--prior), or fit the years apart",
    ),
    crab_shape=process,
    without_crab={"crab.smooth": 0.0},
)
