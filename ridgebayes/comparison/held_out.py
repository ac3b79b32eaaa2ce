"""Predictive density of left-out revolutions given the others; each fit is a separate task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ridgebayes.comparison.densities import LogLikelihood, log_likelihood
from ridgebayes.comparison.refit import Refit, without
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData
from ridgebayes.runs.reload import Reopened
from ridgebayes.runs.run import Run
from ridgebayes.runs.sent import Sent


@dataclass(frozen=True, eq=False)
class LeftOut:
    """One fit without some revolutions.

    Attributes
    ----------
    part
        Index of the independent fit.
    revolutions
        True for left-out revolutions, (revolution,).
    seed
        Seed of all random draws.
    name
        Name, for messages.
    """

    part: int
    revolutions: NDArray[np.bool_]
    seed: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class HeldOut:
    """Fits of a run without some revolutions, in a form for workers.

    Attributes
    ----------
    sent
        Model and data.
    starts
        Start of the search for the mode of each independent fit, (parameter,).
    """

    sent: Sent
    starts: tuple[NDArray, ...]

    @classmethod
    def of(cls, run: Run, again: Reopened, likelihood: LogLikelihood) -> HeldOut:
        """Take model and data from a reloaded run; this process reuses its compiled functions."""
        sent = Sent.of(run.record, again.model.sky, again.parts)
        sent.keep((Refit(again.posterior, again.parts[0]), likelihood, again.parts))
        return cls(sent, tuple(z.mean((0, 1)) for z in again.z))

    def __call__(self, task: LeftOut) -> NDArray:
        """Return the log predictive density of the left-out revolutions given the others."""
        fit, likelihood, parts = self.sent.made(_compiled)
        data = parts[task.part]
        start = self.starts[task.part]
        z = fit(without(data, task.revolutions), task.seed, start=start, what=task.name)
        return mean_density(np.asarray(likelihood(z, data))[:, task.revolutions])


def _compiled(posterior: Posterior, parts: list[FitData]) -> tuple[Refit, LogLikelihood, list[FitData]]:
    return Refit(posterior, parts[0]), log_likelihood(posterior), parts


def mean_density(log_density: NDArray) -> NDArray:
    """Logarithm of the density averaged over draws, (draw, ...) → (...)."""
    return cast(NDArray, logsumexp(log_density, 0)) - np.log(len(log_density))
