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
parameter has pulled the fit to itself: its u is divided by the root of one minus its share of the information
(CR2 of Bell & McCaffrey 2002, Survey Methodology 28, 169, direction by direction). Each product of two u
takes them from different halves of the draws, so that the noise of few draws adds nothing.

It mends widths and correlations. It does not mend a bias, such as that of a wrong sky.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
import scipy.linalg
from jax import Array
from numpy.typing import NDArray

from ridgebayes.inference.log_density import Posterior
from ridgebayes.likelihood.design import FitData

MIN_REVOLUTIONS = 150
"""Of fewer revolutions the scatter says too little: on clean simulated missions the calibrated sd is 0.97 of
the posterior's with 300 revolutions, and 0.8 with 76."""
_MOST_DRAWS = 1000
"""Draws whose likelihood is worked out: with 400 the calibrated sd is off by a twentieth, with these by a
fiftieth."""
_MOST_SHARE = 0.9  # of a revolution in the information on a direction


class Pulls(NamedTuple):
    """What the revolutions of one part say, along the whitened directions of its posterior.

    Attributes
    ----------
    mean
        Posterior mean, unconstrained, (parameter,).
    root
        Lower Cholesky factor L of the posterior covariance, (parameter, parameter).
    pull
        u of each revolution, from one half of the draws and the other, (2, revolution, parameter).
    share
        Share of each revolution in the information on each direction, (revolution, parameter).
    prior
        Lᵀ P L of the prior, (parameter, parameter).
    """

    mean: NDArray
    root: NDArray
    pull: NDArray
    share: NDArray
    prior: NDArray


class Calibrator:
    """Works out what revolutions say and moves draws; compiled once for all parts.

    Parameters
    ----------
    posterior
        The posterior.
    """

    def __init__(self, posterior: Posterior) -> None:
        self.posterior = posterior
        self._densities = jax.jit(posterior.log_likelihoods)
        self._curved = jax.jit(self._curvatures)
        self._prior = jax.jit(jax.hessian(posterior.prior_potential))

    def pulls(self, z: NDArray, data: FitData) -> Pulls:
        """Work out what the revolutions of a part say, of its draws (draw, parameter), chain after chain."""
        mean = z.mean(0)
        root = np.linalg.cholesky(np.cov(z.T).reshape(z.shape[1], z.shape[1]))
        some = z[np.linspace(0, len(z) - 1, min(len(z), _MOST_DRAWS)).astype(int)]
        density, white = np.asarray(self._densities(some, data)), _whitened(some, mean, root)
        halves = zip(np.array_split(density, 2), np.array_split(white, 2), strict=True)
        pull = np.stack([_covariance(*half) for half in halves])
        prior = root.T @ np.asarray(self._prior(mean, data)) @ root
        share = np.clip(-np.asarray(self._curved(mean, root, data)).T, 0.0, None)
        # On a curved posterior the information at the mean is more than that of the whole.
        share /= np.maximum(share.sum(0) / np.clip(1.0 - np.diag(prior), 1e-3, 1.0), 1.0)
        return Pulls(mean, root, pull, np.minimum(share, _MOST_SHARE), prior)

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
        white = [_whitened(d, f.mean, f.root) for f, d in zip(found, flat, strict=True)]
        there = np.split(np.concatenate(white, axis=1) @ stretched(found), len(parts), axis=1)
        moved = [f.mean + w @ f.root.T for f, w in zip(found, there, strict=True)]
        return np.stack(moved).reshape(z.shape)

    def _curvatures(self, mean: Array, root: Array, data: FitData) -> Array:
        """Second derivatives of the log likelihood by revolution along each column of `root`."""

        def along(direction: Array) -> Array:
            first = lambda z: jax.jvp(lambda x: self.posterior.log_likelihood(x, data), (z,), (direction,))[1]  # noqa: E731
            return jax.jvp(first, (mean,), (direction,))[1]

        return jax.lax.map(along, root.T)


def stretched(found: Sequence[Pulls]) -> NDArray[np.float64]:
    """Square root of J of all parts together: the map of whitened draws, (all, all)."""
    one, two = (
        np.concatenate([f.pull[half] / np.sqrt(1.0 - f.share) for f in found], axis=1) for half in range(2)
    )
    r = len(one)
    meat = (one - one.mean(0)).T @ (two - two.mean(0)) * r / (r - 1)
    total = (meat + meat.T) / 2 + scipy.linalg.block_diag(*[f.prior for f in found])
    eigenvalues, vectors = np.linalg.eigh(total)
    return (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))) @ vectors.T


def _whitened(z: NDArray, mean: NDArray, root: NDArray) -> NDArray[np.float64]:
    return scipy.linalg.solve_triangular(root, (z - mean).T, lower=True).T


def _covariance(density: NDArray, white: NDArray) -> NDArray[np.float64]:
    """Covariance over the draws, (revolution, parameter)."""
    return (density - density.mean(0)).T @ (white - white.mean(0)) / len(white)
