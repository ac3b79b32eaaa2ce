"""The density of revolutions left out, given the others: fits that are tasks of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from ridgebayes.comparison.densities import LogLikelihood, log_likelihood
from ridgebayes.comparison.refit import Refit, without
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData
from ridgebayes.parallel.tasks import made
from ridgebayes.runs.compilation import use_compilation_cache
from ridgebayes.runs.metadata import recorded_model
from ridgebayes.runs.reload import Reopened
from ridgebayes.runs.run import Run
from ridgebayes.sky import Sky

_Compiled = tuple[Refit, LogLikelihood, list[FitData]]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """One fit without some revolutions.

    Attributes
    ----------
    part
        Which of the independent fits.
    revolutions
        True for those left out, (revolution,).
    seed
        Everything random follows from it.
    name
        For messages.
    """

    part: int
    revolutions: NDArray[np.bool_]
    seed: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class HeldOut:
    """Fits of a run without some revolutions, as they are sent to workers.

    Attributes
    ----------
    record
        Of the run.
    sky
        Sky regions of the model.
    parts
        Data of the independent fits, plain arrays.
    starts
        Where to look for the mode of each, (parameter,).
    key
        Names them among all that a worker does.
    """

    record: dict[str, Any]
    sky: Sky
    parts: tuple[FitData, ...]
    starts: tuple[NDArray, ...]
    key: str = field(default_factory=lambda: uuid4().hex)

    @classmethod
    def of(cls, run: Run, again: Reopened, likelihood: LogLikelihood) -> HeldOut:
        """Take them from a run that was opened again; in this process nothing is compiled twice."""
        parts = tuple(jax.tree.map(np.asarray, part) for part in again.parts)
        starts = tuple(z.mean((0, 1)) for z in again.z)
        found = cls(run.record, again.model.sky, parts, starts)
        made(found.key, lambda: (Refit(again.posterior, again.parts[0]), likelihood, again.parts))
        return found

    def __call__(self, task: LeftOut) -> NDArray:
        """Return the log predictive density of the revolutions left out, given the others."""
        fit, likelihood, parts = made(self.key, self._compiled)
        data = parts[task.part]
        start = self.starts[task.part]
        z = fit(without(data, task.revolutions), task.seed, start=start, what=task.name)
        return mean_density(np.asarray(likelihood(z, data))[:, task.revolutions])

    def _compiled(self) -> _Compiled:
        use_compilation_cache()
        parts = [jax.tree.map(jnp.asarray, part) for part in self.parts]
        posterior = Posterior(recorded_model(self.record, "the run", self.sky), parts[0])
        return Refit(posterior, parts[0]), log_likelihood(posterior), parts


def mean_density(log_density: NDArray) -> NDArray:
    """Logarithm of the density averaged over draws, (draw, ...) → (...)."""
    return cast(NDArray, logsumexp(log_density, 0)) - np.log(len(log_density))
