"""Adaptive importance sampling: a Student t fitted to a density of a few parameters.

Rounds of draws from the present proposal, weighted by density over the mixture of all proposals so far
(deterministic mixture weights: Owen & Zhou 2000; adaptive multiple importance sampling: Cornuet et al. 2012,
Scandinavian Journal of Statistics 39, 798), give mean and covariance of the next. What is left serves as the
proposal of an independence sampler (Tierney 1994, Annals of Statistics 22, 1701), which is exact whatever
the fit; how good it is, its acceptance and Pareto's k of the weights say.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from jax import Array
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import gammaln, logsumexp

from ridgebayes.inference.mode import Gaussian, LogDensities

logger = logging.getLogger(__name__)

ROUNDS = 8
"""At most so many rounds of adaptation."""
ENOUGH = 0.65
"""Acceptance at which the fit is good enough."""
_A_ROUND = 150  # draws, and more for many parameters
_EACH = 12  # draws a round for each parameter
_DEGREES = (5.0, 10.0, 25.0, 80.0)  # degrees of freedom that are tried
_WIDTHS = (1.0, 1.1, 1.2)  # and widths over the fitted one
_FIRST_DEGREES = 7.0


class Proposal(NamedTuple):
    """Multivariate Student t.

    Attributes
    ----------
    mean
        Its centre, (parameter,).
    root
        Lower Cholesky factor of its scale matrix, (parameter, parameter).
    degrees
        Degrees of freedom.
    """

    mean: NDArray
    root: NDArray
    degrees: Any

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw `n` vectors, (n, parameter)."""
        spread = np.sqrt(rng.chisquare(self.degrees, (n, 1)) / self.degrees)
        return self.mean + (rng.normal(size=(n, self.mean.size)) / spread) @ self.root.T

    def log_density_of(self, x: Array) -> Array:
        """Log density of one vector (parameter,) up to a constant, inside compiled code."""
        distance = (jax.scipy.linalg.solve_triangular(self.root, x - self.mean, lower=True) ** 2).sum()
        return -0.5 * (self.degrees + x.size) * jnp.log1p(distance / self.degrees)

    def log_density(self, x: NDArray) -> NDArray[np.float64]:
        """Log density of vectors (n, parameter)."""
        d, nu = self.mean.size, self.degrees
        distance = (solve_triangular(self.root, (x - self.mean).T, lower=True) ** 2).sum(0)
        norm = gammaln((nu + d) / 2) - gammaln(nu / 2) - d / 2 * np.log(nu * np.pi)
        return norm - np.log(np.diag(self.root)).sum() - (nu + d) / 2 * np.log1p(distance / nu)


class Adapted(NamedTuple):
    """A proposal and how good it is.

    Attributes
    ----------
    proposal
        The proposal.
    acceptance
        Share of its draws that an independence sampler accepts, estimated from the last round.
    pareto_k
        Of the weights of all draws; above 0.7 the proposal misses a part of the density.
    """

    proposal: Proposal
    acceptance: float
    pareto_k: float


def adapt(log_densities: LogDensities, start: Gaussian, rng: np.random.Generator) -> Adapted:
    """Fit a proposal to a density.

    Parameters
    ----------
    log_densities
        The density, of many vectors at once.
    start
        First guess of its centre and covariance.
    rng
        Random numbers.
    """
    size = start.mode.size
    proposal = Proposal(start.mode, np.linalg.cholesky(start.root @ start.root.T), _FIRST_DEGREES)
    n = max(_A_ROUND, _EACH * size)
    used: list[Proposal] = []
    x, log_p = np.empty((0, size)), np.empty(0)
    for number in range(ROUNDS):
        used.append(proposal)
        fresh = proposal.draw(rng, n)
        fresh_p = log_densities(fresh)
        accepted = acceptance(fresh_p - proposal.log_density(fresh))
        x, log_p = np.concatenate([x, fresh]), np.concatenate([log_p, fresh_p])
        log_q = logsumexp([q.log_density(x) for q in used], axis=0) - np.log(len(used))
        log_weight = log_p - log_q
        proposal = _fitted(x, log_p, log_weight, proposal)
        logger.debug("round %d: accepted %.0f %%", number + 1, 100 * accepted)
        if number and accepted >= ENOUGH:
            break
    return Adapted(proposal, accepted, pareto_k(log_weight))


def acceptance(log_ratio: NDArray) -> float:
    """Share of independent proposals that are accepted, from log(density / proposal) of some."""
    if not np.isfinite(log_ratio).any():
        return 0.0
    weight = np.exp(log_ratio - logsumexp(log_ratio))
    return float(np.minimum(weight[:, None], weight[None]).sum() / len(weight))


def pareto_k(log_weight: NDArray) -> float:
    """Pareto's k of importance weights (Vehtari et al. 2024, JMLR 25, 72)."""
    finite = log_weight[np.isfinite(log_weight)]
    if finite.size < 20 or np.ptp(finite) < 1e-9:
        return 0.0 if finite.size >= 20 else np.inf
    return float(array_stats.psislw(-finite)[1])  # takes the log of proposal over density


def _fitted(x: NDArray, log_p: NDArray, log_weight: NDArray, before: Proposal) -> Proposal:
    """Fit mean and covariance to weighted draws, then degrees of freedom and width."""
    size = x.shape[1]
    if not np.isfinite(log_weight).any():
        return before
    weight = _tempered(log_weight, 4 * size)
    mean = weight @ x
    off = x - mean
    covariance = (weight[:, None] * off).T @ off / max(1.0 - (weight**2).sum(), 0.5)
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return before
    exact = np.exp(log_weight - logsumexp(log_weight))
    best, least = before, np.inf
    for degrees in _DEGREES:
        for width in _WIDTHS:
            tried = Proposal(mean, width * root, degrees)
            # Second moment of the weights that draws of this proposal would have.
            log_ratio = log_p - tried.log_density(x)
            moment = logsumexp(log_ratio, b=exact)
            if moment < least:
                best, least = tried, moment
    return best


def _tempered(log_weight: NDArray, least: float) -> NDArray[np.float64]:
    """Weights that are worth at least so many draws: raised to a power below one where they are not."""
    least = min(least, 0.5 * log_weight.size)
    for power in np.append(np.geomspace(1.0, 0.01, 25), 0.0):
        log = np.where(np.isfinite(log_weight), power * log_weight, -np.inf)
        weight = np.exp(log - logsumexp(log))
        if 1.0 / (weight**2).sum() >= least:
            break
    return weight
