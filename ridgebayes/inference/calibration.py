r"""Intervals calibrated by revolution: what the scatter of the revolutions says of the posterior's width.

Revolutions are independent whatever the noise does inside them, or between the bands of one. So the scatter
of what each of them says of a parameter measures the true covariance of an estimate, across bands too. With Σ
the posterior covariance, w whitened draws (Σ^{-1/2} times what they are off their mean) and ℓ the log
likelihood of a revolution, revolution ρ pulls the estimate by

.. math:: u_ρ = cov(w, ℓ_ρ)

over the posterior (the infinitesimal jackknife: Giordano & Broderick 2023, arXiv:2305.06466). Where the
posterior is Gaussian u is the score, the gradient of ℓ at the mean; unlike it, u serves a curved posterior,
too. The calibrated covariance is

.. math:: Σ^{1/2} J Σ^{1/2}, \qquad
          J = \frac{R}{R-1} \sum_ρ (\tilde u_ρ - \bar u)(\tilde u_ρ - \bar u)^\top + P

with P the information of the prior, which keeps its share: the sandwich of Huber (1967) and White (1982) with
revolutions as clusters (Liang & Zeger 1986). Draws are moved by the affine map to it (open-faced sandwich:
Shaby 2014, Journal of Computational and Graphical Statistics 23, 853). A revolution that says much of a
parameter has pulled the fit to itself: its u becomes :math:`\tilde u_ρ = (1 - H_ρ)^{-1/2} u_ρ` (CR2 of Bell &
McCaffrey 2002, Survey Methodology 28, 169), where :math:`H_ρ = X_ρ^\top V_ρ^{-1} X_ρ` is the information that
its mean rates have on the whitened parameters. Each product of two u takes them from different halves of the
draws, so that the noise of few draws adds nothing.

It mends widths and correlations. It does not mend a bias, such as that of a wrong sky.
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
"""Of fewer revolutions the scatter says too little: on clean simulated missions the calibrated sd is 0.97 of
the posterior's with 300 revolutions, and 0.8 with 76."""
_MOST_DRAWS = 1000
"""Draws whose likelihood is worked out: with 400 the calibrated sd is off by a twentieth, with these by a
fiftieth."""
SERIES = 1 / 2, 3 / 8, 5 / 16
"""Factors of H, H² and H³ in (1 - H)^{-1/2}: right to 0.3 % for a revolution that has 0.3 of the information
on a direction, to 2 % for 0.5. A series needs no matrix for each revolution."""


class Pulls(NamedTuple):
    """What the revolutions of one part say, along the whitened directions of its posterior.

    Attributes
    ----------
    mean
        Posterior mean, unconstrained, (parameter,).
    root
        Lower Cholesky factor L of the posterior covariance, (parameter, parameter).
    pull
        u of each revolution, from one half of the draws and the other, (2, revolution, parameter); corrected
        for its own pull on the fit.
    prior
        Lᵀ P L of the prior, (parameter, parameter).
    """

    mean: NDArray
    root: NDArray
    pull: NDArray
    prior: NDArray


class Calibrator:
    """Works out what revolutions say and moves draws; compiled once for all parts.

    Parameters
    ----------
    posterior
        The posterior.
    threads
        In so many are likelihoods worked out.
    """

    def __init__(self, posterior: Posterior, threads: int = 1) -> None:
        self.posterior, self.threads = posterior, threads
        self._densities = jax.jit(posterior.log_likelihoods)
        self._corrected = jax.jit(self._correct)
        self._prior = compiled_quickly(jax.hessian(posterior.prior_potential))

    def pulls(self, z: NDArray, data: FitData) -> Pulls:
        """Work out what the revolutions of a part say, of its draws (draw, parameter), chain after chain."""
        mean = z.mean(0)
        root = np.linalg.cholesky(np.cov(z.T).reshape(z.shape[1], z.shape[1]))
        some = z[np.linspace(0, len(z) - 1, min(len(z), _MOST_DRAWS)).astype(int)]
        # As many draws in each thread, so that one compiled function serves all.
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
            The same shape: draw by draw of all parts together, whose errors may now be correlated.
        """
        flat = z.reshape(len(parts), -1, z.shape[-1])
        found = [self.pulls(draws, part) for draws, part in zip(flat, parts, strict=True)]
        white = [whitened(d, f.mean, f.root) for f, d in zip(found, flat, strict=True)]
        there = np.split(np.concatenate(white, axis=1) @ stretched(found), len(parts), axis=1)
        moved = [f.mean + w @ f.root.T for f, w in zip(found, there, strict=True)]
        return np.stack(moved).reshape(z.shape)

    def _correct(self, pull: Array, mean: Array, root: Array, information: Array, data: FitData) -> Array:
        """Undo what each revolution has pulled the fit to itself.

        Parameters
        ----------
        pull
            (half, revolution, parameter).
        mean, root
            Posterior mean and Cholesky factor.
        information
            What the data say of each whitened direction, the rest being the prior's, (parameter,).
        """
        rates = self.posterior.rates(mean, data)
        slope = jax.linearize(lambda z: self.posterior.rates(z, data).loc, mean)[1]
        score = jax.grad(lambda rate: rates.log_prob(rate).sum())

        @jax.jit  # traced once, wherever it is called
        def weighted(x: Array) -> Array:
            """V⁻¹ x."""
            return -jax.jvp(score, (data.rate,), (x,))[1]

        def information_on(along: Array) -> Array:
            column = slope(along)
            return (column * weighted(column)).sum()

        # On a curved posterior the information at the mean is more than that of the whole.
        found = jax.lax.map(information_on, root.T)
        directions = root.T * jnp.sqrt(jnp.minimum(information / jnp.maximum(found, 1e-12), 1.0))[:, None]

        def own(u: Array, factor: Array) -> tuple[Array, Array]:
            """H u of each revolution, and so many times that."""

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
    """Square root of J of all parts together: the map of whitened draws, (all, all)."""
    one, two = np.concatenate([f.pull for f in found], axis=2)
    r = len(one)
    meat = (one - one.mean(0)).T @ (two - two.mean(0)) * r / (r - 1)
    total = (meat + meat.T) / 2 + scipy.linalg.block_diag(*[f.prior for f in found])
    eigenvalues, vectors = np.linalg.eigh(total)
    return (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))) @ vectors.T


def _covariance(density: NDArray, white: NDArray) -> NDArray[np.float64]:
    """Covariance over the draws, (revolution, parameter)."""
    return (density - density.mean(0)).T @ (white - white.mean(0)) / len(white)
