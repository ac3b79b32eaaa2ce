"""The search for the mode of the nonlinear parameters, together with the most probable outliers there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from ridgebayes.inference.marginal import Given, Marginal
from ridgebayes.inference.metropolis import Metropolis
from ridgebayes.inference.mode import Gaussian, LogDensities, climb, refined
from ridgebayes.inference.tuning import CHOICE
from ridgebayes.likelihood.design import FitData
from ridgebayes.likelihood.partition import thinned


class Search:
    """Finds modes of the density of the nonlinear parameters, the linear ones integrated out.

    Parameters
    ----------
    marginal
        That density.
    metropolis
        Its chains, which know which ScWs are probably outliers.
    threads
        Threads that compute densities.
    """

    def __init__(self, marginal: Marginal, metropolis: Metropolis, threads: int) -> None:
        self.marginal, self.threads, self._metropolis = marginal, threads, metropolis
        self._outliers = bool(marginal.posterior.model.indicated)
        # Differences of densities take less time than compiling a gradient, unless parameters are many.
        self._differences = marginal.nonlinear.size <= CHOICE.max_differences

    def mode(self, z: NDArray, data: FitData, *, precise: bool = False) -> tuple[Gaussian, Given]:
        """Find the mode of a part, and the most probable outliers.

        Parameters
        ----------
        z
            Unconstrained vector to start from, (parameter,).
        data
            Data of the part.
        precise
            Use all revolutions, even where some of them give the mode well enough to fit a proposal.

        Returns
        -------
        Gaussian
            Gaussian approximation for the nonlinear parameters.
        Given
            The data, and the mean of the linear parameters at the mode.
        """
        nonlinear = self.marginal.nonlinear
        guess = Gaussian(z[nonlinear], np.diag(self.marginal.posterior.scale[nonlinear]))
        every = data.rate.size // CHOICE.thinned_cells + 1
        if every == 1:
            return self._settled(z, data, guess)
        # First search with some of the revolutions of a long mission: that takes less time.
        guess, given = self._settled(z, thinned(data, every), guess)
        close = every <= CHOICE.max_thinning and self._differences
        near = guess._replace(root=guess.root / np.sqrt(every)) if close and not precise else None
        z = np.asarray(self.marginal.join(guess.mode, given.reference))
        return self._settled(z, data, guess, again=True, near=near)

    def densities(self, given: Given) -> LogDensities:
        """Return the log density as a function of nonlinear vectors (n, nonlinear)."""
        return lambda x: self.marginal.log_densities(x, given, self.threads)

    def climb(
        self, given: Given, guess: Gaussian, *, unless: tuple[Gaussian, float] | None = None
    ) -> tuple[Gaussian, float]:
        """Find a mode from a guess: `ridgebayes.inference.mode.climb`."""
        gradients = lambda x: self.marginal.slopes(x, given, self.threads)  # noqa: E731
        slopes = None if self._differences else gradients
        return climb(self.densities(given), guess, slopes, unless=unless)

    def centred(self, given: Given, around: Gaussian) -> Given:
        """Take the mean of the linear parameters at the mode as their reference."""
        mean = self.marginal.conditionals(around.mode[None], given).mean[0]
        return given._replace(reference=jnp.asarray(mean))

    def _settled(
        self,
        z: NDArray,
        data: FitData,
        guess: Gaussian,
        *,
        again: bool = False,
        near: Gaussian | None = None,
    ) -> tuple[Gaussian, Given]:
        """Find the mode and the most probable outliers there, in turn.

        The search starts from `guess`; from other shapes of the sky too, unless it is done `again` because
        `z` is the mode of a part of the revolutions. From a mode that is `near`, Newton's method suffices.
        """
        marginal, nonlinear = self.marginal, self.marginal.nonlinear
        posterior = marginal.posterior
        scale, shape = posterior.scale[nonlinear], posterior.sky_shape[nonlinear]
        others = [guess.mode + t * scale for t in CHOICE.sky_starts] if shape.any() and not again else []
        if self._outliers:
            data = without_hits(data)
            if again:
                data = replace(data, hit=jnp.asarray(self._metropolis.indicators.probable(z, data)))
        best = near or guess
        for _ in range(1 if again else 1 + CHOICE.outlier_rounds):
            given = marginal.given(z, data)
            if near is None:
                best, others = self._highest(given, best, others, shape), []
            if self._differences:
                best = refined(self.densities(given), best)
            given = self.centred(given, best)
            if not self._outliers:
                break
            z = np.asarray(marginal.join(best.mode, given.reference))
            likely = self._metropolis.indicators.probable(z, data)
            if np.array_equal(likely, np.asarray(data.hit)):
                break
            data = replace(data, hit=jnp.asarray(likely))
        return best, given

    def _highest(
        self, given: Given, guess: Gaussian, others: Sequence[NDArray], shape: NDArray[np.bool_]
    ) -> Gaussian:
        """Return the highest mode found from the guess, and from it with the `shape` of each of `others`."""
        best, height = self.climb(given, guess)
        for other in others:
            aside = best._replace(mode=np.where(shape, other, best.mode))
            best, height = self.climb(given, aside, unless=(best, height))
        return best


def without_hits(data: FitData) -> FitData:
    """Return data in which no ScW is marked as an outlier."""
    return replace(data, hit=jnp.zeros(data.rate.shape, bool))
