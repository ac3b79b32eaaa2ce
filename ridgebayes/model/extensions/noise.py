"""Extras for the noise: correlation in time, and outliers.

Correlated noise is an Ornstein-Uhlenbeck process within each revolution, which is integrated out exactly.
Outliers have a wide Gaussian instead of the usual one. These extras do not add terms. They call for another
distribution of the rates in `ridgebayes.likelihood`.
"""

from __future__ import annotations

import numpy as np
import numpyro.distributions as dist

from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.linear_terms import (
    CorrelatedOutlierTermsNormal,
    CorrelatedTermsNormal,
    IndicatedCorrelatedTermsNormal,
    IndicatedTermsNormal,
    OutlierTermsNormal,
)
from ridgebayes.model.extensions.base import Extension, FindingMessages, Noise
from ridgebayes.priors import Parameter, Parameters


def correlated(p: Parameters, data: FitData, noise: Noise) -> Noise:
    """Add the process."""
    assert data.sequence is not None
    sd = p("background.correlated")[:, None] * data.level
    return noise.become(CorrelatedTermsNormal, sd, p("background.memory") / 24.0, data.sequence)


def with_outliers(p: Parameters, data: FitData, noise: Noise) -> Noise:
    """Add outliers; while the indicators are drawn it is known which ScWs these are."""
    outliers, together = (p("outlier.fraction"), p("outlier.size")), noise.kind is CorrelatedTermsNormal
    if data.hit is None:
        return noise.become(CorrelatedOutlierTermsNormal if together else OutlierTermsNormal, *outliers)
    indicated = IndicatedCorrelatedTermsNormal if together else IndicatedTermsNormal
    return noise.become(indicated, data.hit, *outliers)


CORRELATED_NOISE = Extension(
    "correlated_noise",
    {
        "background.correlated": Parameter(
            dist.HalfNormal(0.02), "", ("band",), "scatter that ScWs of a revolution share, over the level"
        ),
        "background.memory": Parameter(
            dist.LogNormal(np.log(2.0), 0.5), "h", ("band",), "time over which it is shared"
        ),
    },
    subject="neighbours",
    messages=FindingMessages(
        "the scatter of neighbouring ScWs is correlated",
        "neighbouring ScWs scatter independently",
        "widen the priors background.correlated and background.memory",
    ),
    data=("sequence",),
    noise=correlated,
)

OUTLIERS = Extension(
    "outliers",
    {
        "outlier.fraction": Parameter(dist.Beta(1.0, 50.0), "", ("band",), "share of outlying ScWs"),
        "outlier.size": Parameter(8.0, "", ("band",), "their scatter over that of the others"),
    },
    subject="tails",
    messages=FindingMessages(
        "there are more outlying ScWs than the noise allows",
        "no more outlying ScWs than the noise allows",
        "widen the priors outlier.fraction and outlier.size, or leave these ScWs out (ridgebayes screen)",
    ),
    noise=with_outliers,
    indicators=True,
)
