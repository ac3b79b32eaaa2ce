"""Extras for the noise: correlation in time, and outliers.

Correlated noise is an Ornstein-Uhlenbeck process within each revolution, which is integrated out exactly.
Outliers have a wide Gaussian instead of the usual one. These extras do not add terms. They call for another
distribution of the rates in `ridgebayes.likelihood`, which `distribution` chooses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpyro
import numpyro.distributions as dist

from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.linear_terms import (
    CorrelatedOutlierTermsNormal,
    CorrelatedTermsNormal,
    IndicatedCorrelatedTermsNormal,
    IndicatedTermsNormal,
    OutlierTermsNormal,
    TermsNormal,
)
from ridgebayes.model.extensions.base import Extension
from ridgebayes.priors import Parameter, Parameters

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
)

OUTLIERS = Extension(
    "outliers",
    {
        "outlier.fraction": Parameter(dist.Beta(1.0, 50.0), "", ("band",), "share of outlying ScWs"),
        "outlier.size": Parameter(8.0, "", ("band",), "their scatter over that of the others"),
    },
    subject="tails",
)


def distribution(
    p: Parameters, data: FitData, of_terms: tuple[Any, ...]
) -> TermsNormal | CorrelatedTermsNormal:
    """Return the distribution of the rates with correlated noise, outliers, both or neither.

    Parameters
    ----------
    p
        Parameters.
    data
        Arrays of the fit.
    of_terms
        Arguments of `TermsNormal`.
    """
    process: tuple[Any, ...] = ()
    if "background.correlated" in p:
        assert data.sequence is not None
        correlated = p("background.correlated")[:, None] * data.level
        process = (correlated, p("background.memory") / 24.0, data.sequence)
    if "outlier.fraction" not in p:
        return CorrelatedTermsNormal(*of_terms, *process) if process else TermsNormal(*of_terms)
    outliers = p("outlier.fraction"), p("outlier.size")
    if data.hit is None:
        kind = CorrelatedOutlierTermsNormal if process else OutlierTermsNormal
        return kind(*of_terms, *process, *outliers)
    indicated = IndicatedCorrelatedTermsNormal if process else IndicatedTermsNormal
    observed = indicated(*of_terms, *process, data.hit, *outliers)
    numpyro.factor("outlier.hits", observed.log_prob_of_hits())
    return observed
