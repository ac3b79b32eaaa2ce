r"""Intervals calibrated by revolution: the scatter between revolutions corrects the posterior covariance.

Revolutions are independent, however the noise is correlated within one or between its bands. So the scatter
of their pulls on a parameter measures the true covariance of the estimate, also across bands. With Σ the
posterior covariance, w whitened draws (Σ^{-1/2} times their deviation from the mean) and ℓ the log likelihood
of a revolution, revolution ρ pulls the estimate by

.. math:: u_ρ = cov(w, ℓ_ρ)

over the posterior (the infinitesimal jackknife: Giordano & Broderick 2023, arXiv:2305.06466). For a Gaussian
posterior u is the score, the gradient of ℓ at the mean; unlike the score, u is right for a curved posterior,
too. The calibrated covariance is

.. math:: Σ^{1/2} J Σ^{1/2}, \qquad
          J = \frac{R}{R-1} \sum_ρ (\tilde u_ρ - \bar u)(\tilde u_ρ - \bar u)^\top + P

with P the information of the prior. This is the sandwich of Huber (1967) and White (1982) with revolutions as
clusters (Liang & Zeger 1986). An affine map gives the draws this covariance (open-faced sandwich: Shaby 2014,
Journal of Computational and Graphical Statistics 23, 853). A revolution with much information on a parameter
has pulled the fit to itself, which :math:`\tilde u_ρ = (1 - H_ρ)^{-1/2} u_ρ` corrects (CR2 of Bell &
McCaffrey 2002, Survey Methodology 28, 169). :math:`H_ρ = X_ρ^\top V_ρ^{-1} X_ρ` is the information of its
mean rates on the whitened parameters. The two factors u of each product come from different halves of the
draws, so that the Monte Carlo noise of few draws does not add to the covariance.

Calibration corrects widths and correlations, but not a bias such as that of a wrong sky.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax import Array
from numpy.typing import NDArray

from ridgebayes.inference.compiling import compiled_quickly
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.mode import whitened
from ridgebayes.likelihood.design import FitData
from ridgebayes.parallel.cores import in_threads

MIN_REVOLUTIONS = 150
"""Fewest revolutions for a calibration: on clean simulated missions the calibrated sd is 0.97 of the
posterior's with 300 revolutions, and 0.8 with 76."""
_DRAWS_PER_PARAMETER = 3
"""Fewest draws over parameters: fewer do not determine the covariance that whitens them."""
_ENOUGH_DRAWS = 1000
"""Draws whose likelihood is computed, if no more are needed: the calibrated sd is off by 2 % (400: 5 %)."""
_MAX_NOISE = 0.5
"""Largest eigenvalue that Monte Carlo noise may add to J, which is near one: the sd is then 2 % too wide."""
SERIES = 1 / 2, 3 / 8, 5 / 16
"""Factors of H, H² and H³ in (1 - H)^{-1/2}: right to 0.3 % for a revolution with 0.3 of the information on a
direction, to 2 % for 0.5. A series needs no matrix for each revolution."""


def least_draws(parameters: int, revolutions: int) -> int:
    """Fewest draws that calibrate a part.

    Monte Carlo noise adds to J a symmetric matrix of independent entries, whose eigenvalues reach 2^{3/2}
    p^{3/2} / (√R S) for p parameters, R revolutions and S draws (Wigner's semicircle). It has no mean, but J
    must not have negative eigenvalues, and without them J is too large.
    """
    noise = 2**1.5 * parameters**1.5 / np.sqrt(revolutions)
    return int(np.ceil(max(_DRAWS_PER_PARAMETER * parameters, noise / _MAX_NOISE)))


class Pulls(NamedTuple):
    """Pulls of the revolutions of one part, along the whitened directions of its posterior.

    Attributes
    ----------
    mean
        Posterior mean, unconstrained, (parameter,).
    root
        Lower Cholesky factor L of the posterior covariance, (parameter, parameter).
    pull
        u of each revolution from either half of the draws, corrected for its own pull on the fit, (2,
        revolution, parameter).
    prior
        Lᵀ P L, with P the information of the prior, (parameter, parameter).
    """

    mean: NDArray
    root: NDArray
    pull: NDArray
    prior: NDArray


class Calibrator:
    """Computes the pulls of revolutions and calibrates draws; compiled once for all parts.

    Parameters
    ----------
    posterior
        The posterior.
    threads
        Threads that compute likelihoods.
    """

    def __init__(self, posterior: Posterior, threads: int = 1) -> None:
        self.posterior, self.threads = posterior, threads
        self._densities = jax.jit(posterior.log_likelihoods)
        self._corrected = jax.jit(self._correct)
        self._prior = compiled_quickly(jax.hessian(posterior.prior_potential))

    def pulls(self, z: NDArray, data: FitData) -> Pulls:
        """Compute the pulls of the revolutions of a part from its draws (draw, parameter), chain by chain."""
        mean = z.mean(0)
        root = np.linalg.cholesky(np.cov(z.T).reshape(z.shape[1], z.shape[1]))
        enough = max(_ENOUGH_DRAWS, least_draws(z.shape[1], data.time.size))
        some = z[np.linspace(0, len(z) - 1, min(len(z), enough)).astype(int)]
        # Equally many draws in each thread, so that all threads use one compiled function.
        shares = np.array_split(np.pad(some, ((0, -len(some) % self.threads), (0, 0))), self.threads)
        found = in_threads(lambda share: np.asarray(self._densities(share, data)), shares, self.threads)
        density, white = np.concatenate(found)[: len(some)], whitened(some, mean, root)
        halves = zip(np.array_split(density, 2), np.array_split(white, 2), strict=True)
        pull = np.stack([_covariance(*half) for half in halves])
        prior = root.T @ np.asarray(self._prior(mean, data)) @ root
        pull = np.asarray(self._corrected(pull, mean, root, np.clip(1.0 - np.diag(prior), 1e-3, 1.0), data))
        return Pulls(mean, root, pull, prior)

    def moved(self, z: NDArray, parts: Sequence[FitData]) -> NDArray[np.float64]:
        """Return calibrated draws.

        Parameters
        ----------
        z
            Draws of the posterior, unconstrained, (part, chain, draw, parameter); parts are independent.
        parts
            Their data.

        Returns
        -------
        ndarray
            Calibrated draws of the same shape; errors of different parts may now be correlated.
        """
        flat = z.reshape(len(parts), -1, z.shape[-1])
        found = [self.pulls(draws, part) for draws, part in zip(flat, parts, strict=True)]
        white = [whitened(d, f.mean, f.root) for f, d in zip(found, flat, strict=True)]
        there = np.split(np.concatenate(white, axis=1) @ stretched(found), len(parts), axis=1)
        moved = [f.mean + w @ f.root.T for f, w in zip(found, there, strict=True)]
        return np.stack(moved).reshape(z.shape)

    def _correct(self, pull: Array, mean: Array, root: Array, information: Array, data: FitData) -> Array:
        """Correct each pull for the revolution's own pull on the fit.

        Parameters
        ----------
        pull
            (half, revolution, parameter).
        mean, root
            Posterior mean and Cholesky factor.
        information
            Share of the data in the information on each whitened direction, (parameter,); the prior has the
            rest.
        """
        rates = self.posterior.rates(mean, data).settled(data.rate)
        slope = jax.linearize(lambda z: self.posterior.rates(z, data).loc, mean)[1]
        score = jax.grad(lambda rate: rates.log_prob(rate).sum())

        @jax.jit  # traced once, wherever it is called
        def weighted(x: Array) -> Array:
            """V⁻¹ x."""
            return -jax.jvp(score, (data.rate,), (x,))[1]

        def information_on(along: Array) -> Array:
            column = slope(along)
            return (column * weighted(column)).sum()

        # On a curved posterior the information at the mean exceeds that of the whole posterior.
        found = jax.lax.map(information_on, root.T)
        directions = root.T * jnp.sqrt(jnp.minimum(information / jnp.maximum(found, 1e-12), 1.0))[:, None]

        def own(u: Array, factor: Array) -> tuple[Array, Array]:
            """Compute H u of each revolution, and `factor` times that."""

            def add(total: Array, column: tuple[Array, Array]) -> tuple[Array, None]:
                along, size = column
                return total + size[:, None, data.block_revolution, None] * slope(along), None

            start = jnp.zeros((len(u), *data.rate.shape))
            moved = jax.lax.map(weighted, jax.lax.scan(add, start, (directions, jnp.moveaxis(u, -1, 0)))[0])

            def against(along: Array) -> Array:
                by_block = (moved * slope(along)).sum((1, 3))
                return jax.ops.segment_sum(by_block.T, data.block_revolution, u.shape[1]).T

            found = jnp.moveaxis(jax.lax.map(against, directions), 0, -1)
            return found, factor * found

        return pull + jax.lax.scan(own, pull, jnp.asarray(SERIES))[1].sum(0)


def stretched(found: Sequence[Pulls]) -> NDArray[np.float64]:
    """Square root of J of all parts together, which maps whitened draws, (all, all)."""
    one, two = np.concatenate([f.pull for f in found], axis=2)
    r = len(one)
    meat = (one - one.mean(0)).T @ (two - two.mean(0)) * r / (r - 1)
    total = (meat + meat.T) / 2 + scipy.linalg.block_diag(*[f.prior for f in found])
    eigenvalues, vectors = np.linalg.eigh(total)
    return (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))) @ vectors.T


def _covariance(density: NDArray, white: NDArray) -> NDArray[np.float64]:
    """Covariance over the draws, (revolution, parameter)."""
    return (density - density.mean(0)).T @ (white - white.mean(0)) / len(white)
