"""Replicated data sets from the posterior; fit and statistics of each are a separate task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from ridgebayes.checks.background import background
from ridgebayes.checks.bands import bands
from ridgebayes.checks.crab import crab
from ridgebayes.checks.design import Design, Residuals, design, residuals
from ridgebayes.checks.galaxy import galaxy
from ridgebayes.checks.noise import noise
from ridgebayes.checks.refit import Around, Recipe
from ridgebayes.checks.statistic import Curve, Statistic, Views
from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData, Prepared
from ridgebayes.runs.reload import Reopened
from ridgebayes.runs.sent import Sent

Values = tuple[list[NDArray], list[NDArray]]
"""Values of all statistics, and of all curves."""


@dataclass(frozen=True)
class Replicates:
    """Replicates of a run, in a form for workers.

    Attributes
    ----------
    sent
        Model and data.
    prepared
        The prepared data.
    around
        Mean and covariance of the posterior of each independent fit.
    z
        Posterior draws for the replicates, (part, replicate, parameter).
    known
        Covariates of the ScWs.
    seed
        Seed of all random draws.
    """

    sent: Sent
    prepared: Prepared
    around: tuple[Around, ...]
    z: NDArray
    known: Design
    seed: int

    @classmethod
    def of(
        cls, again: Reopened, recipe: Recipe, draws: int, seed: int, record: dict[str, Any] | None
    ) -> Replicates:
        """Build from a reloaded run; this process reuses its compiled functions."""
        flat = again.z.reshape(len(again.parts), -1, again.z.shape[-1])
        around = tuple(Around.of(z) for z in flat)
        rows = np.linspace(0, flat.shape[1] - 1, draws).round().astype(int)
        expected = [recipe.expected(*pair) for pair in zip(again.parts, around, strict=True)]
        known = design(again.prepared, expected)
        sent = Sent.of(record, again.model.sky, again.parts)
        sent.keep((recipe, again.parts))
        return cls(sent, again.prepared, around, flat[:, rows], known, seed)

    def observed(self) -> Values:
        """Return statistics and curves of the observed rates."""
        return self._look([part.rate for part in self._made()[1]])

    def __call__(self, number: int) -> Values:
        """Return statistics and curves of replicate `number`."""
        recipe, parts = self._made()
        keys = jax.random.split(jax.random.key(self.seed), (self.z.shape[1], len(parts)))
        return self._look(
            [recipe.replicate(self.z[k, number], keys[number, k], part) for k, part in enumerate(parts)]
        )

    def _look(self, rates: Sequence[Array]) -> Values:
        recipe, parts = self._made()
        statistics, curves = views(self.known)
        left = [recipe.left(*given) for given in zip(rates, parts, self.around, strict=True)]
        return _evaluate(residuals(self.prepared, self.known, left), statistics, curves)

    def _made(self) -> tuple[Recipe, list[FitData]]:
        return self.sent.made(_compiled)


def _compiled(posterior: Posterior, parts: list[FitData]) -> tuple[Recipe, list[FitData]]:
    return Recipe(posterior), parts


def views(known: Design) -> Views:
    """Return all statistics and curves that apply to a design."""
    each = [make(known) for make in (noise, background, galaxy, crab, bands)]
    return [s for some, _ in each for s in some], [c for _, some in each for c in some]


def _evaluate(r: Residuals, statistics: Sequence[Statistic], curves: Sequence[Curve]) -> Values:
    return [s.value(r) for s in statistics], [c.value(r) for c in curves]
