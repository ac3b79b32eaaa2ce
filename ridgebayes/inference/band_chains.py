"""Chains of many bands: proposals change the nonlinear parameters of one band at a time.

A proposal for all parameters of ten bands at once is never accepted. Here each draw makes proposals for each
band in turn (`ridgebayes.inference.by_band`: a tenth of an evaluation) and for the parameters that bands
share. They are draws of the fitted proposal given all other parameters, or local steps. If bands share the
sky, this mixes slowly along a few directions of all parameters, such as that of all Crab rates together.
Further proposals give new values along these slow directions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from ridgebayes.inference.adaptation import adapt
from ridgebayes.inference.by_band import ByBand, Pieces, Together
from ridgebayes.inference.indicators import Fixed
from ridgebayes.inference.kernels import Draws, Progress, Warmed, exact_statistics, in_blocks
from ridgebayes.inference.marginal import Given
from ridgebayes.inference.metropolis import Metropolis, chance, renewed, settling, step_lengths
from ridgebayes.inference.mode import Gaussian
from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.tuning import BAND_MOVES, MOVES, PROPOSAL


class _Block(NamedTuple):
    """Parameters that are proposed together, in the coordinates of the proposal of all parameters."""

    at: NDArray  # their indices, (own,)
    band: int | None  # None: bands share them
    others: NDArray  # indices of all other parameters
    given: Proposal  # the conditional proposal, with all others at their centre
    regression: NDArray  # of its centre on the others, (own, other)


class _Directions(NamedTuple):
    """Independent directions in the coordinates of the proposal of all parameters."""

    root: NDArray  # directions, each as long as its spread, (parameter, direction)
    inverse: NDArray  # inverse of `root`
    slow: NDArray  # True where moves of one block at a time mix slowly, (direction,)


class _Kept(NamedTuple):
    theta: NDArray  # nonlinear parameters
    hit: Any = None  # indicators of outliers (band, block, width); None for a model without outliers


class _State(NamedTuple):
    u: NDArray
    theta: NDArray
    together: Together
    pieces: Pieces
    log_density: float  # in u


class BandChains:
    """Chains of a posterior of several bands that are independent given what they share.

    Parameters
    ----------
    by_band
        Density of the nonlinear parameters.
    metropolis
        Chains of the same density for all bands at once; they draw the indicators of outliers.
    """

    def __init__(self, by_band: ByBand, metropolis: Metropolis) -> None:
        self._by_band, self._metropolis, self._marginal = by_band, metropolis, metropolis.marginal

    def chain(
        self, key: Array, given: Given, proposal: Proposal, draws: int, after: Progress | None = None
    ) -> Iterator[Draws | Warmed]:
        """Run one chain: yields the blocks of its warm-up, then blocks of draws.

        Parameters
        ----------
        key
            Random key of the chain.
        given
            Data of the part.
        proposal
            Proposal of the nonlinear parameters.
        draws
            Number of draws to keep.
        after
            Progress of an interrupted chain, which continues bit for bit.
        """
        seed = np.asarray(jax.random.key_data(key)).tolist()
        if after is None:
            theta = proposal.skewed(proposal.draw(np.random.default_rng(seed), 1)[0])
            state = _Kept(theta, given.data.hit)
        else:
            state = _Kept(*after.state)
        parts = self._blocks(proposal)
        ways = _directions(proposal, parts)
        fixed = None if given.data.hit is None else self._metropolis.indicators.fixed(proposal, given)
        take = lambda state, *by: self._run(state, given, proposal, parts, ways, fixed, *by)  # noqa: E731
        warmup = settling(given.data.hit)
        yield from in_blocks(take, state, after, warmup=warmup, draws=draws, block=MOVES.block, seed=seed)

    def fitted(self, around: Gaussian, given: Given, rng: np.random.Generator) -> Proposal:
        """Fit a proposal block by block with all others at the mode; keep the correlations between blocks."""
        theta, frame = around.mode, Proposal.about(around, PROPOSAL.gaussian_degrees)
        _, pieces = self._by_band.whole(theta, given)
        for block in self._blocks(frame):

            def log_densities(x: NDArray, block: _Block = block) -> NDArray:
                moved = np.repeat(theta[None], len(x), 0)
                moved[:, block.at] = x
                return np.array([self._moved(one, block.band, pieces, given)[0].log_density for one in moved])

            start = Proposal.about(block.given.gaussian, PROPOSAL.guess_degrees)
            frame = _with_block(frame, block, adapt(log_densities, start, rng, guess=True).proposal)
        return frame

    def _moved(
        self, theta: NDArray, band: int | None, pieces: Pieces, given: Given
    ) -> tuple[Together, Pieces]:
        """Compute the density of a vector that differs from that of `pieces` in one block."""
        if band is None:
            return self._by_band.whole(theta, given)
        together, piece = self._by_band.moved(theta, band, pieces, given)
        return together, Pieces(*(_put(x, band, y) for x, y in zip(pieces, piece, strict=True)))

    def _blocks(self, q: Proposal) -> list[_Block]:
        precision, found = np.linalg.inv(q.root @ q.root.T), []
        of = [(at, b) for b, at in enumerate(self._by_band.own)] + [(self._by_band.shared, None)]
        for of_block, band in of:
            at = np.intersect1d(of_block, self._metropolis.proposed)
            if at.size:
                others = np.setdiff1d(np.arange(q.mean.size), at)
                covariance = np.linalg.inv(precision[np.ix_(at, at)])
                regression = -covariance @ precision[np.ix_(at, others)]
                own = q.of(at)._replace(root=np.linalg.cholesky(covariance))
                found.append(_Block(at, band, others, own, regression))
        return found

    def _run(
        self,
        kept: _Kept,
        given: Given,
        q: Proposal,
        parts: list[_Block],
        ways: _Directions,
        fixed: Fixed | None,
        n: int,
        seed: list[int],
    ) -> tuple[_Kept, NDArray, dict[str, NDArray]]:
        """Take `n` draws."""
        theta, hit = kept
        state: _State | None = None
        z, lp, accepted = np.empty((n, self._marginal.posterior.size)), np.empty(n), np.empty(n)
        for i in range(n):
            rng, taken = np.random.default_rng([*seed, i]), list[float]()
            if hit is not None:
                given = given._replace(data=replace(given.data, hit=hit))
            if state is None:
                state = self._placed(q, q.even(theta), *self._by_band.whole(theta, given))
            for k in rng.permutation(len(parts)):
                for _ in range(BAND_MOVES.of_shared if parts[k].band is None else BAND_MOVES.of_band):
                    state = self._of_block(state, given, q, parts[k], rng, taken)
            for _ in range(BAND_MOVES.of_slow if ways.slow.any() else 0):
                state = self._along(state, given, q, ways, rng, taken)
            noise = rng.normal(size=self._marginal.linear.size)
            beta, lp[i] = self._by_band.draw(state.together, state.pieces, given, noise)
            z[i], accepted[i] = self._marginal.joined(state.theta, beta), np.mean(taken or 1.0)
            theta = state.theta
            if fixed is not None:
                hit, z[i] = self._metropolis.indicators.drawn(
                    int(rng.integers(2**31)), z[i], fixed, given.data
                )
                theta, state = z[i, self._marginal.nonlinear], None
        return _Kept(theta, hit), z, exact_statistics(lp, accepted, z.shape[1], np.random.default_rng(seed))

    def _of_block(
        self, here: _State, given: Given, q: Proposal, part: _Block, rng: np.random.Generator, taken: list
    ) -> _State:
        """Propose new values for one band, or for what bands share."""
        centre = part.given.mean + part.regression @ (here.u[part.others] - q.mean[part.others])
        own, u, log_ratio = part.given._replace(mean=centre), here.u.copy(), 0.0
        if rng.uniform() < BAND_MOVES.independent:
            u[part.at] = own.draw(rng, 1)[0]
            log_ratio = float(np.subtract(*own.log_density(np.stack([here.u[part.at], u[part.at]]))))
        else:
            size = part.at.size
            u[part.at] += own.root @ (step_lengths(rng, (), size) * rng.normal(size=size))
        there = self._placed(q, u, *self._moved(q.skewed(u), part.band, here.pieces, given))
        return _taken(here, there, log_ratio, rng, taken)

    def _along(
        self,
        here: _State,
        given: Given,
        q: Proposal,
        ways: _Directions,
        rng: np.random.Generator,
        taken: list,
    ) -> _State:
        """Propose new values along some of the slow directions."""
        changed = ways.slow & (rng.uniform(size=here.u.size) < BAND_MOVES.renewed)
        changed[rng.choice(np.flatnonzero(ways.slow))] = True
        fresh = rng.standard_t(MOVES.tail_degrees, size=here.u.size)
        white, log_ratio = renewed(ways.inverse @ (here.u - q.mean), changed, fresh)
        u = q.mean + ways.root @ white
        there = self._placed(q, u, *self._by_band.whole(q.skewed(u), given))
        return _taken(here, there, log_ratio, rng, taken)

    def _placed(self, q: Proposal, u: NDArray, together: Together, pieces: Pieces) -> _State:
        log_density = float(together.log_density + np.log(q.slope(u)).sum())
        return _State(u, q.skewed(u), together, pieces, log_density)


def _directions(q: Proposal, parts: Sequence[_Block]) -> _Directions:
    """Find independent directions of the proposal of all parameters, and which of them are slow.

    They are eigenvectors of its precision in coordinates that are whitened block by block. The smaller an
    eigenvalue, the longer the autocorrelation time of a Gibbs sampler of the blocks (Roberts & Sahu 1997,
    JRSS B 59, 291).
    """
    precision = np.linalg.inv(q.root @ q.root.T)
    block_by_block = np.diag(1.0 / np.sqrt(np.diag(precision)))  # also of what is in no block
    for part in parts:
        block_by_block[np.ix_(part.at, part.at)] = part.given.root
    eigenvalues, vectors = np.linalg.eigh(block_by_block.T @ precision @ block_by_block)
    root = block_by_block @ vectors / np.sqrt(eigenvalues)
    return _Directions(root, np.linalg.inv(root), eigenvalues < BAND_MOVES.slow_variance)


def _taken(
    here: _State, there: _State, log_ratio: float, rng: np.random.Generator, taken: list[float]
) -> _State:
    """Metropolis and Hastings' rule."""
    log_ratio += there.log_density - here.log_density
    taken.append(chance(log_ratio))
    return there if np.log(rng.uniform()) < log_ratio else here


def _with_block(q: Proposal, block: _Block, own: Proposal) -> Proposal:
    """Insert the fit of one block, with all others at their centre, into the proposal of all parameters."""
    new = q._replace(mean=q.mean.copy(), centre=q.centre.copy(), spread=q.spread.copy(), skew=q.skew.copy())
    for name in ("mean", "centre", "spread", "skew"):
        getattr(new, name)[block.at] = getattr(own, name)
    # Scaling the block by a matrix gives it the precision of the fit and keeps the correlations with others.
    precision = np.linalg.inv(q.root @ q.root.T)
    factor = np.eye(q.mean.size)
    mine = np.ix_(block.at, block.at)
    factor[mine] = np.linalg.solve(
        np.linalg.cholesky(precision[mine]).T, np.linalg.cholesky(np.linalg.inv(own.root @ own.root.T)).T
    )
    return new._replace(root=np.linalg.cholesky(np.linalg.inv(factor.T @ precision @ factor)))


def _put(x: NDArray, at: int, value: Any) -> NDArray:
    new = x.copy()
    new[at] = value
    return new
