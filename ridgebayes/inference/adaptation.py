"""Adaptive importance sampling: a proposal fitted to a density of a few parameters.

Each round draws from the present proposal and weights all draws so far by density over the mixture of all
proposals so far (deterministic mixture weights: Owen & Zhou 2000; adaptive multiple importance sampling:
Cornuet et al. 2012, Scandinavian Journal of Statistics 39, 798). The next proposal is fitted to the weighted
draws. The best one becomes the proposal of an independence sampler (Tierney 1994, Annals of Statistics 22,
1701), which is exact whatever the fit. Its acceptance and the Pareto k of its weights measure how good it is.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from ridgebayes.inference.importance import smoothed
from ridgebayes.inference.mode import LogDensities
from ridgebayes.inference.proposal import Proposal, unskewed
from ridgebayes.inference.tuning import ADAPTATION, PROPOSAL

logger = logging.getLogger(__name__)


class Adapted(NamedTuple):
    """A proposal and how good it is.

    Attributes
    ----------
    proposal
        The proposal.
    acceptance
        Share of its draws that an independence sampler accepts.
    pareto_k
        Pareto k of the weights of its draws. Above 0.7 the proposal misses a part of the density.
    """

    proposal: Proposal
    acceptance: float
    pareto_k: float

    @property
    def good(self) -> bool:
        """Whether chains hardly need moves other than draws of the proposal."""
        return self.acceptance >= ADAPTATION.good_acceptance and self.pareto_k <= ADAPTATION.good_pareto_k


def adapt(
    log_densities: LogDensities, start: Proposal, rng: np.random.Generator, *, guess: bool = False
) -> Adapted:
    """Fit a proposal to a density.

    Parameters
    ----------
    log_densities
        The density, of many vectors at once.
    start
        First proposal.
    guess
        True if `start` is a rough guess: fewer draws then suffice to fit skewness, and rounds that only
        gather draws for the first fit do not count as fits that gained nothing.
    rng
        Random numbers.

    Returns
    -------
    Adapted
        The proposal with the least second moment of the weights over the draws of all rounds.
    """
    proposal, size = start, start.mean.size
    n = max(ADAPTATION.min_draws, ADAPTATION.draws_per_parameter * size)
    judged, best, fits = list[Adapted](), Adapted(proposal, 0.0, np.inf), 0
    skewed = ADAPTATION.skew_ess_guess if guess else ADAPTATION.skew_ess
    x, log_p, log_q = np.empty((0, size)), np.empty(0), np.empty((0, 0))
    for number in range(ADAPTATION.max_rounds):
        if number >= ADAPTATION.max_rounds_rare and best.acceptance < ADAPTATION.rare_acceptance:
            break
        new = proposal.skewed(proposal.draw(rng, n))
        x, log_p = np.concatenate([x, new]), np.concatenate([log_p, log_densities(new)])
        of_new = np.array([one.proposal.log_density_at(new) for one in judged]).reshape(number, n)
        log_q = np.vstack([np.hstack([log_q, of_new]), proposal.log_density_at(x)])
        own = log_p[-n:] - log_q[-1, -n:]
        found_good = any(one.good for one in judged)
        fits += bool(judged) and (not guess or proposal is not judged[-1].proposal)
        last = Adapted(proposal, acceptance(own), pareto_k(own))
        judged.append(last)
        log_weight = log_p - logsumexp(log_q, axis=0) + np.log(number + 1)
        if not np.isfinite(log_weight).any():
            continue
        # Judge a proposal on all draws: its own cannot show regions that it misses.
        weight = softmax(log_weight)
        moments = logsumexp(log_p - log_q, axis=1, b=weight)
        best = judged[int(np.argmin(moments))]
        logger.debug(
            "round %d: accepted %.0f %%, k %.2f, log moment %.2f of %.2f",
            *(number + 1, 100 * last.acceptance, last.pareto_k, moments[-1], moments.min()),
        )
        if last.good and (found_good or last.acceptance >= ADAPTATION.sure_acceptance):
            break
        usable = best.acceptance >= ADAPTATION.usable_acceptance and best.pareto_k <= ADAPTATION.good_pareto_k
        enough = usable or _ess(weight) >= ADAPTATION.ess_per_parameter * size
        if enough and fits >= ADAPTATION.patience:
            gain = moments[: -ADAPTATION.patience].min() - moments.min()
            if gain < ADAPTATION.min_gain:
                break
        before, proposal = proposal, _fitted(x, log_p, log_weight, proposal, skewed)
        if last.good and proposal is before and not guess:
            break
    return best


def acceptance(log_weight: NDArray) -> float:
    """Share of independent proposals that are accepted.

    Parameters
    ----------
    log_weight
        Log importance weights of draws of the proposal, up to a constant, (n,).
    """
    possible = log_weight[np.isfinite(log_weight)]
    if not possible.size:
        return 0.0
    weight, n = softmax(np.sort(possible)[::-1]), possible.size
    # A chain is at draw i with probability w_i, and goes to any j with min(1, w_j / w_i) / n. So this is
    # Σ_ij min(w_i, w_j) / n, where the k-th largest weight is the smaller one of 2k − 1 pairs.
    return float(weight @ (2.0 * np.arange(n) + 1.0)) / n


def pareto_k(log_weight: NDArray) -> float:
    """Pareto k of importance weights (Vehtari et al. 2024, JMLR 25, 72)."""
    finite = log_weight[np.isfinite(log_weight)]
    return smoothed(finite)[1] if finite.size >= 20 else np.inf


def _fitted(x: NDArray, log_p: NDArray, log_weight: NDArray, before: Proposal, skewed: float) -> Proposal:
    """Fit skewed coordinates, then mean and covariance from moments or curvature, then degrees and width."""
    weight, size = _tempered(log_weight), x.shape[1]
    if ADAPTATION.max_ess_share * len(x) < _ess_of_form(size) and _ess(weight) >= ADAPTATION.choice_ess:
        # With few points and many parameters, keep the previous proposal.
        return before
    frame = before if _ess(weight) < skewed else before._replace(**unskewed(x, weight))
    u = frame.even(x)
    log_p = log_p + np.log(frame.slope(u)).sum(-1)
    moments = _moments(u, log_weight)
    if moments is None:
        return before
    about = before if frame is before else frame._replace(mean=moments[0], root=moments[1])
    curved = _curved(u, log_p, log_weight, about)
    found = [shape for shape in (curved, moments) if shape is not None]
    if _ess(weight) < ADAPTATION.choice_ess:
        return frame._replace(mean=found[0][0], root=found[0][1], degrees=PROPOSAL.guess_degrees)
    best = [_widened(frame, *shape, u, log_p, weight) for shape in found]
    # Moments overfit small samples, so penalise them.
    penalty = ADAPTATION.moment_penalty * (size + 3) * size / 2 / _ess(weight)
    return best[0][1] if best[0][0] < best[-1][0] + penalty else best[-1][1]


def _widened(
    frame: Proposal, mean: NDArray, root: NDArray, u: NDArray, log_p: NDArray, weight: NDArray
) -> tuple[float, Proposal]:
    """Choose degrees of freedom and width by the least second moment of the weights; also return its log."""
    tried = [
        frame._replace(mean=mean, root=w * root, degrees=nu)
        for nu in PROPOSAL.degrees
        for w in ADAPTATION.widths
    ]
    moments = [float(logsumexp(log_p - q.log_density(u), b=weight)) for q in tried]
    best = int(np.argmin(moments))
    return moments[best], tried[best]


def _moments(x: NDArray, log_weight: NDArray) -> tuple[NDArray, NDArray] | None:
    """Mean and root of the covariance of weighted points."""
    weight = _tempered(log_weight, ADAPTATION.ess_per_moment * x.shape[1])
    mean = weight @ x
    off = x - mean
    covariance = (weight[:, None] * off).T @ off / max(1.0 - (weight**2).sum(), 0.5)
    try:
        return mean, np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return None


def _curved(
    x: NDArray, log_p: NDArray, log_weight: NDArray, about: Proposal
) -> tuple[NDArray, NDArray] | None:
    """Maximum and root of the inverse curvature of a quadratic form fitted to the log density.

    The log densities carry no noise: of a nearly Gaussian density this needs far fewer points than moments.
    """
    size = x.shape[1]
    u = about.white(x)
    first, second = np.triu_indices(size)
    terms = np.concatenate([np.ones((len(u), 1)), u, u[:, first] * u[:, second]], axis=1)
    weight = _tempered(log_weight, _ess_of_form(size))
    if _ess(weight) < _ess_of_form(size):
        return None
    near = weight > 0.0
    root_weight = np.sqrt(weight[near])
    value = log_p[near] - log_p.max()
    found = np.linalg.lstsq(root_weight[:, None] * terms[near], root_weight * value)[0]
    half = np.zeros((size, size))
    half[first, second] = found[1 + size :]
    curvature = -(half + half.T)
    if np.linalg.eigvalsh(curvature).min() < ADAPTATION.min_curvature:
        return None
    top = np.linalg.solve(curvature, found[1 : 1 + size])
    if np.abs(top).max() > ADAPTATION.max_shift:
        return None
    root = np.linalg.cholesky(about.root @ np.linalg.inv(curvature) @ about.root.T)
    return about.mean + about.root @ top, root


def _ess_of_form(size: int) -> float:
    """Effective sample size that a quadratic form of `size` parameters needs."""
    return ADAPTATION.ess_per_term * ((size + 1) * (size + 2) // 2)


def _ess(weight: NDArray) -> float:
    """Effective sample size of normalised weights."""
    return float(1.0 / (weight**2).sum())


def _tempered(log_weight: NDArray, least: float = 0.0) -> NDArray[np.float64]:
    """Temper weights until their effective sample size reaches `least`: raise them to a power below one."""
    least, possible = min(least, ADAPTATION.max_ess_share * log_weight.size), np.isfinite(log_weight)
    for power in np.append(np.geomspace(1.0, 0.01, 25), 0.0):
        log = np.where(possible, power * np.where(possible, log_weight, 0.0), -np.inf)
        weight = np.exp(log - logsumexp(log))
        if _ess(weight) >= least:
            break
    return weight
