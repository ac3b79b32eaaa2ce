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
from scipy.special import gammaln, logsumexp, softmax

from ridgebayes.inference.mode import Gaussian, LogDensities

logger = logging.getLogger(__name__)

ROUNDS = 8
"""At most so many rounds of adaptation."""
ENOUGH = 0.75
"""Acceptance at which the fit is good enough."""
OFTEN, NO_TAIL = 0.65, 0.35
"""Acceptance from which, and Pareto's k to which, draws of a proposal do nearly alone."""
_A_ROUND = 150  # draws, and more for many parameters
_EACH = 12  # draws a round for each parameter
_DEGREES = (5.0, 10.0, 25.0, 80.0)  # degrees of freedom that are tried
_WIDTHS = (1.0, 1.1, 1.2)  # and widths over the fitted one
_FIRST_DEGREES = 7.0
_LONG_TAIL, _SHORTER_TAIL = 5.0, 12.0  # degrees of freedom where the density is no Gaussian
_MANY = 15  # the shorter tail is for more parameters than these
_WIDER = 1.15  # width over the fitted one there
_FEWEST = 15.0  # draws that weights must be worth to choose between fits by them
_JUDGED = 60.0  # and to end by them
_HANDICAP = 2.0  # log of the second moment of weights that moments gain by each number fitted to each draw
_A_PARAMETER = 4.0  # draws that tempered weights are worth, for each parameter of a mean and covariance
_A_TERM = 1.3  # and for each term of a quadratic form
_FAR, _NOT_NOTHING = 5.0, -8.0  # sd, and log density there over that of the centre (of a Gaussian: -12.5)
_LEAST_CURVATURE = 0.02  # of a quadratic form, over that of the proposal before
_FARTHEST = 4.0  # its top, in sd of the proposal before


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
        Share of its draws that an independence sampler accepts.
    pareto_k
        Of the weights of its draws; above 0.7 the proposal misses a part of the density.
    worth
        Independent draws of the density that a weighted draw is worth.
    """

    proposal: Proposal
    acceptance: float
    pareto_k: float
    worth: float

    @property
    def serves(self) -> bool:
        """Whether draws of the proposal do nearly alone."""
        return self.acceptance >= OFTEN and self.pareto_k <= NO_TAIL


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
        x = np.concatenate([x, proposal.draw(rng, n)])
        log_p = np.concatenate([log_p, log_densities(x[-n:])])
        log_q = logsumexp([q.log_density(x) for q in used], axis=0) - np.log(len(used))
        log_weight = log_p - log_q
        if not np.isfinite(log_weight).any():
            continue
        proposal = _fitted(x, log_p, log_weight, proposal)
        accepted = acceptance(log_weight, proposal.log_density(x) - log_p)
        logger.debug("round %d: %.0f %% will be accepted", number + 1, 100 * accepted)
        if number and accepted >= ENOUGH and _worth(_tempered(log_weight)) >= _JUDGED:
            break
    found = _judged(proposal, log_densities, rng)
    if (found.serves and not _long_tailed(proposal, log_densities)) or not np.isfinite(log_weight).any():
        return found
    # A few draws say little of tails: those of what is no Gaussian are met by long ones.
    shapes = [(proposal.mean, proposal.root), _moments(x, log_weight)]
    degrees = _LONG_TAIL if len(start.mode) <= _MANY else _SHORTER_TAIL
    others = [Proposal(s[0], _WIDER * s[1], degrees) for s in shapes if s is not None]
    return max((_judged(q, log_densities, rng) for q in others), key=lambda q: q.worth)


def _judged(proposal: Proposal, log_densities: LogDensities, rng: np.random.Generator) -> Adapted:
    """Judge a fit by draws that it has not seen."""
    x = proposal.draw(rng, max(_A_ROUND, _EACH * proposal.mean.size))
    log_weight = log_densities(x) - proposal.log_density(x)
    if not np.isfinite(log_weight).any():
        return Adapted(proposal, 0.0, np.inf, 0.0)
    worth = _worth(_tempered(log_weight)) / len(x)
    return Adapted(proposal, acceptance(log_weight, -log_weight), pareto_k(log_weight), worth)


def _long_tailed(proposal: Proposal, log_densities: LogDensities) -> bool:
    """Whether the density reaches far beyond a proposal along some parameter, where none of its draws come.

    A scale that may be zero has such a tail: once there, a chain would stay.
    """
    covariance = proposal.root @ proposal.root.T
    # Each parameter so many sd off, the others where a Gaussian has them then.
    steps = _FAR * covariance / np.sqrt(np.diag(covariance))
    log_p = log_densities(proposal.mean + np.concatenate([np.zeros((1, len(steps))), steps.T, -steps.T]))
    return bool((log_p[1:] - log_p[0] > _NOT_NOTHING).any())


def acceptance(log_weight: NDArray, log_ratio: NDArray) -> float:
    """Share of independent proposals that are accepted.

    Parameters
    ----------
    log_weight
        Weights with which points stand for draws of the density, up to a constant, (n,).
    log_ratio
        Log of proposal over density there, up to a constant, (n,).
    """
    possible = np.isfinite(log_weight)
    if not possible.any():
        return 0.0
    order = np.argsort(log_ratio[possible])
    log_weight, log_ratio = log_weight[possible][order], log_ratio[possible][order]
    weight, of_proposal = softmax(log_weight), softmax(log_weight + log_ratio)
    # Of every pair of points the lesser ratio counts.
    return float((of_proposal * (2.0 * (1.0 - np.cumsum(weight)) + weight)).sum())


def pareto_k(log_weight: NDArray) -> float:
    """Pareto's k of importance weights (Vehtari et al. 2024, JMLR 25, 72)."""
    finite = log_weight[np.isfinite(log_weight)]
    if finite.size < 20 or np.ptp(finite) < 1e-9:
        return 0.0 if finite.size >= 20 else np.inf
    return float(array_stats.psislw(-finite)[1])  # takes the log of proposal over density


def _fitted(x: NDArray, log_p: NDArray, log_weight: NDArray, before: Proposal) -> Proposal:
    """Fit centre and covariance by curvature or moments, then degrees of freedom and width."""
    curved, moments = _curved(x, log_p, log_weight, before), _moments(x, log_weight)
    found = [shape for shape in (curved, moments) if shape is not None]
    if not found:
        return before
    weight = _tempered(log_weight)
    if _worth(weight) < _FEWEST:
        return Proposal(*found[0], _FIRST_DEGREES)
    best = [_widened(*shape, x, log_p, weight) for shape in found]
    # Moments fit the very points by which they are judged, the better the fewer these are.
    handicap = _HANDICAP * (x.shape[1] + 3) * x.shape[1] / 2 / _worth(weight)
    return best[0][1] if best[0][0] < best[-1][0] + handicap else best[-1][1]


def _widened(
    mean: NDArray, root: NDArray, x: NDArray, log_p: NDArray, weight: NDArray
) -> tuple[float, Proposal]:
    """Choose degrees of freedom and width that make the second moment of the weights least; its log too."""
    tried = [Proposal(mean, width * root, nu) for nu in _DEGREES for width in _WIDTHS]
    moments = [float(logsumexp(log_p - q.log_density(x), b=weight)) for q in tried]
    best = int(np.argmin(moments))
    return moments[best], tried[best]


def _moments(x: NDArray, log_weight: NDArray) -> tuple[NDArray, NDArray] | None:
    """Mean and root of the covariance of weighted points."""
    weight = _tempered(log_weight, _A_PARAMETER * x.shape[1])
    mean = weight @ x
    off = x - mean
    covariance = (weight[:, None] * off).T @ off / max(1.0 - (weight**2).sum(), 0.5)
    try:
        return mean, np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return None


def _curved(
    x: NDArray, log_p: NDArray, log_weight: NDArray, before: Proposal
) -> tuple[NDArray, NDArray] | None:
    """Top and inverse curvature of a quadratic form that is fitted to the log density.

    The values are exact, so where the density is nearly Gaussian this needs far fewer points than moments.
    """
    size = x.shape[1]
    u = solve_triangular(before.root, (x - before.mean).T, lower=True).T
    first, second = np.triu_indices(size)
    terms = np.concatenate([np.ones((len(u), 1)), u, u[:, first] * u[:, second]], axis=1)
    weight = _tempered(log_weight, _A_TERM * terms.shape[1])
    if _worth(weight) < _A_TERM * terms.shape[1]:
        return None
    near = weight > 0.0
    root_weight = np.sqrt(weight[near])
    value = log_p[near] - log_p.max()
    found = np.linalg.lstsq(root_weight[:, None] * terms[near], root_weight * value)[0]
    half = np.zeros((size, size))
    half[first, second] = found[1 + size :]
    curvature = -(half + half.T)
    if np.linalg.eigvalsh(curvature).min() < _LEAST_CURVATURE:
        return None
    top = np.linalg.solve(curvature, found[1 : 1 + size])
    if np.abs(top).max() > _FARTHEST:
        return None
    root = np.linalg.cholesky(before.root @ np.linalg.inv(curvature) @ before.root.T)
    return before.mean + before.root @ top, root


def _worth(weight: NDArray) -> float:
    """How many independent draws weighted ones are worth."""
    return float(1.0 / (weight**2).sum())


def _tempered(log_weight: NDArray, least: float = 0.0) -> NDArray[np.float64]:
    """Weights that are worth at least so many draws: raised to a power below one where they are not."""
    least, possible = min(least, 0.5 * log_weight.size), np.isfinite(log_weight)
    for power in np.append(np.geomspace(1.0, 0.01, 25), 0.0):
        log = np.where(possible, power * np.where(possible, log_weight, 0.0), -np.inf)
        weight = np.exp(log - logsumexp(log))
        if _worth(weight) >= least:
            break
    return weight
