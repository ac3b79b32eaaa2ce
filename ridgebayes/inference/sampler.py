"""Choose how each part of a posterior is sampled, and run its chains.

``metropolis``
    The linear parameters are integrated out and drawn exactly. The others are proposed together from a
    proposal that adaptive importance sampling fits to their density. If they are too many for that, some at
    a time are proposed from the Gaussian at the mode.
``by_band``
    As ``metropolis``, but the parameters of one band at a time are proposed, where bands are many.
``marginal``
    NUTS of the nonlinear parameters; the linear ones are integrated out and drawn exactly. Used if the user
    asks for NUTS, or if too few proposals would be accepted.
``nuts``
    NUTS of all parameters in whitened coordinates. Used if no parameter can be integrated out, or if devices
    share the revolutions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from ridgebayes.inference.adaptation import Adapted, adapt
from ridgebayes.inference.band_chains import BandChains
from ridgebayes.inference.by_band import ByBand
from ridgebayes.inference.emulator import Emulator, error, fitted, serves
from ridgebayes.inference.kernels import Draws, Nuts, Progress, Warmed, with_linear
from ridgebayes.inference.log_density import Posterior
from ridgebayes.inference.marginal import Given, Marginal, linear_parameters
from ridgebayes.inference.metropolis import Metropolis, Pace, settling
from ridgebayes.inference.mixing import sticks
from ridgebayes.inference.mode import Curvature, Gaussian, Potential, laplace
from ridgebayes.inference.profiles import profiled
from ridgebayes.inference.proposal import Proposal, of_draws
from ridgebayes.inference.search import Search, without_hits
from ridgebayes.inference.tuning import ADAPTATION, CHOICE, EMULATOR, MOVES, PROPOSAL
from ridgebayes.likelihood.design import FitData

logger = logging.getLogger(__name__)

METROPOLIS, BY_BAND, MARGINAL, NUTS = "metropolis", "by_band", "marginal", "nuts"


class Start(NamedTuple):
    """Where and how the chains of one part start.

    Attributes
    ----------
    method
        ``metropolis``, ``by_band``, ``marginal`` or ``nuts``.
    reference
        Unconstrained vector near the mode, (parameter,).
    around
        Gaussian approximation for the sampled parameters: all, or the nonlinear ones.
    proposal
        Proposal of the nonlinear parameters; None for NUTS.
    hit
        True for ScWs that are outliers, (band, block, width); None if the model has no outliers.
    pace
        Number and kinds of proposals for each draw.
    emulator
        Polynomials in place of the density of a long mission; None if chains compute it.
    dropped
        First draws of each chain that are left out, as the proposal was changed after them; 0 if it was not.
    """

    method: str
    reference: NDArray
    around: Gaussian
    proposal: Proposal | None = None
    hit: NDArray | None = None
    pace: Pace = Pace()
    emulator: Emulator | None = None
    dropped: int = 0

    @property
    def proposes(self) -> bool:
        """Whether chains use proposals rather than NUTS."""
        return self.method in (METROPOLIS, BY_BAND)


class Sampler:
    """Samples a posterior for any data of one shape; it is compiled once.

    Parameters
    ----------
    posterior
        The posterior.
    data
        Data of any part.
    warmup, target_accept, max_tree_depth
        Settings of NUTS.
    method
        ``auto`` for proposals wherever they are accepted often enough, or ``nuts``.
    potential
        Potential of the posterior if devices share it.
    threads, fits
        Threads for the search for the mode and the fit of the proposal, which that many fits share.
    """

    def __init__(
        self,
        posterior: Posterior,
        data: FitData,
        *,
        warmup: int,
        target_accept: float = 0.9,
        max_tree_depth: int = 10,
        method: str = "auto",
        potential: Potential | None = None,
        threads: int = 1,
        fits: int = 1,
    ) -> None:
        self.posterior, self.warmup, self.method = posterior, warmup, method
        # The last fit of a long mission would leave cores idle; in a short one, threads cost more.
        long = data.rate.size >= EMULATOR.min_cells
        self.threads = threads if long else max(threads // fits, 1)
        self.marginal: Marginal | None = None
        linear = np.zeros(posterior.size, bool)
        self.outliers = bool(posterior.model.indicated)
        if self.outliers and potential is None and method != NUTS:
            data = without_hits(data)
        if potential is None:
            linear = linear_parameters(posterior, data)
        if linear.any():
            self.marginal = Marginal(posterior, linear, data)
            self._metropolis, self._by_band = Metropolis(self.marginal), ByBand(self.marginal)
            self._in_bands = BandChains(self._by_band, self._metropolis)
            self.search = Search(self.marginal, self._metropolis, self.threads)
        self._curvature = Curvature(potential or posterior.potential)
        self._nuts = Nuts(
            self.marginal.potential if self.marginal else self._curvature.potential,
            warmup=warmup,
            target_accept=target_accept,
            max_tree_depth=max_tree_depth,
        )

    def warmup_of(self, start: Start) -> int:
        """Return the iterations of warm-up of a chain."""
        return settling(start.hit) if start.proposes else self.warmup

    def begin(
        self, key: Array, data: FitData, rng: np.random.Generator, near: Gaussian | None = None
    ) -> Start:
        """Find the mode of a part, fit a proposal to its density, and choose the method.

        Parameters
        ----------
        key, rng
            Random numbers.
        data
            Data of the part.
        near
            Gaussian approximation of nearly the same posterior, for all parameters.
        """
        z = self.posterior.start(key, data) if near is None else near.mode
        marginal = self.marginal
        if marginal is None:
            found = laplace(
                self._curvature, z, data, self.posterior.locations, self.posterior.scale, near=near
            )
            return Start(NUTS, found.mode, found)
        if not marginal.nonlinear.size:
            # All parameters are linear, and their draws exact: there is nothing to propose.
            hit = None
            if self.outliers:
                hit = self._metropolis.indicators.probable(z, without_hits(data))
                data = replace(data, hit=jnp.asarray(hit))
            nothing = Gaussian(np.zeros(0), np.zeros((0, 0)))
            reference = np.asarray(marginal.conditionals(np.zeros((1, 0)), marginal.given(z, data)).mean[0])
            return Start(METROPOLIS, reference, nothing, Proposal.straight(*nothing, 1.0), hit)
        around, given = self.search.mode(z, data)
        reference = np.asarray(marginal.join(around.mode, given.reference))
        if self.method != NUTS and marginal.nonlinear.size > CHOICE.max_at_once:
            if self._by_band.serves(around.mode, given):
                return self._band_by_band(marginal, given, around, rng)
            if not self.outliers:
                return self._some_at_a_time(given, reference, around, rng)
        adapted, emulator = self._adapted(marginal, given, around, rng)
        logger.debug("accepted %.0f %%, Pareto k %.2f", 100 * adapted.acceptance, adapted.pareto_k)
        hit = None
        if self.outliers:
            # It was fitted with the most probable outliers; those of a posterior draw are more numerous.
            seed = int(rng.integers(2**31))
            hit, proposal, accepted = self._metropolis.drawn(given, adapted.proposal, seed)
            logger.debug("%d outliers: accepted in chains %.0f %%", hit.sum(), 100 * accepted)
            adapted = adapted._replace(proposal=proposal, acceptance=accepted)
        elif self.method == NUTS:
            return Start(MARGINAL, reference, adapted.proposal.gaussian)
        elif not _usable(adapted):
            return self._some_at_a_time(given, reference, around, rng)
        pace = _pace(adapted.acceptance, data.rate.size, good=adapted.good)
        return Start(METROPOLIS, reference, adapted.proposal.gaussian, adapted.proposal, hit, pace, emulator)

    def _adapted(
        self, marginal: Marginal, given: Given, around: Gaussian, rng: np.random.Generator
    ) -> tuple[Adapted, Emulator | None]:
        """Fit a proposal; to polynomials if a mission is long, and if they agree with the density."""
        # Where bands share the sky, its parameters can have tails that profiles do not show and draws of a
        # proposal fitted to them do not reach: adaptation then starts with a wide guess.
        together = given.data.rate.shape[0] > 1
        density = self.search.densities(given)
        first = Proposal.about(around, PROPOSAL.guess_degrees) if together else profiled(density, around)
        if not self.outliers and self.method != NUTS and serves(given.data.rate.size, around.mode.size):
            exact = lambda thetas: marginal.conditionals(thetas, given, self.threads)  # noqa: E731
            emulator = fitted(exact, first, np.asarray(given.reference), rng)
            if emulator is not None:
                emulated = given._replace(emulator=emulator)
                found = adapt(self.search.densities(emulated), first, rng, guess=together)
                u = found.proposal.draw(rng, EMULATOR.checked)
                thetas = found.proposal.skewed(u)
                log_proposal = found.proposal.log_density_at(thetas)
                off = error(exact, lambda x: marginal.conditionals(x, emulated), thetas, log_proposal)
                logger.debug("emulator: sd of the error in log density %.3f", off)
                if off <= EMULATOR.max_error:
                    return found, emulator
        return adapt(density, first, rng, guess=together), None

    def _band_by_band(
        self, marginal: Marginal, given: Given, around: Gaussian, rng: np.random.Generator
    ) -> Start:
        """Fit a proposal band by band; fit it anew if a short chain leads to a higher mode."""
        proposal = self._in_bands.fitted(around, given, rng)
        key = jax.random.key(int(rng.integers(2**31)))
        short = self._in_bands.chain(key, given, proposal, MOVES.block)
        *_, last = (block for block in short if isinstance(block, Draws))
        aside = around._replace(mode=last.z[-1, marginal.nonlinear])
        height = float(marginal.log_densities(around.mode[None], given)[0])
        higher, _ = self.search.climb(given, aside, unless=(around, height))
        if higher is not around:
            around, given = higher, self.search.centred(given, higher)
            proposal = self._in_bands.fitted(around, given, rng)
        hit = None if given.data.hit is None else np.asarray(given.data.hit)
        reference = np.asarray(marginal.join(around.mode, given.reference))
        return Start(BY_BAND, reference, around, proposal, hit)

    def _some_at_a_time(
        self, given: Given, reference: NDArray, around: Gaussian, rng: np.random.Generator
    ) -> Start:
        """Propose new values of some whitened coordinates at a time, or use NUTS if few are accepted."""
        proposal = Proposal.about(around, PROPOSAL.gaussian_degrees)
        # The first chain is a warm-up.
        paces = [Pace(1, 0.0, 1.0, share) for share in (CHOICE.shares[-1], *CHOICE.shares)]
        accepted = self._metropolis.acceptance(given, proposal, paces, int(rng.integers(2**31)))[1:]
        renewed = np.multiply(CHOICE.shares, accepted)
        best = int(np.argmax(renewed))
        by_share = dict(zip(CHOICE.shares, np.round(accepted, 2), strict=True))
        logger.debug("some at a time: accepted %s", by_share)
        if accepted[best] < CHOICE.min_acceptance_some:
            return Start(MARGINAL, reference, around)
        some = 1.0 - CHOICE.local_share
        wanted = np.log(1.0 - CHOICE.renewed) / np.log1p(-some * renewed[best])
        tries = min(int(np.ceil(wanted)), CHOICE.max_renewals)
        pace = Pace(tries, 0.0, some, CHOICE.shares[best])
        return Start(METROPOLIS, reference, around, proposal, None, pace)

    def widened(self, start: Start, z: NDArray, data: FitData, seed: int) -> Start | None:
        """Widen the proposal in those parameters in which draws so far spread more widely.

        With outliers it follows the indicators, but with some of them the posterior is wider than with
        others. Returns None without outliers, or if there are no such parameters.

        Parameters
        ----------
        start
            Start of the chains.
        z
            Draws, (chain, draw, parameter).
        data
            Data of the part.
        seed
            Seed of the trial that chooses the number of proposals.
        """
        if self.marginal is None or start.hit is None or start.method != METROPOLIS:
            return None
        assert start.proposal is not None
        wider = start.proposal.widened(self.marginal.nonlinear_of(z), self._metropolis.proposed)
        return None if wider is None else self._changed(start, wider, z, data, seed)[0]

    def refitted(self, start: Start, z: NDArray, data: FitData, seed: int) -> Start | None:
        """Widen the proposal, or else refit it to the draws if some parameters mix far worse than most.

        With outliers a proposal that fits draws with all their indicators may be too wide for those of a
        single draw, so it must be accepted in a short chain.

        Returns None if neither can help: for NUTS; if some parameters at a time are proposed; if the draws do
        not call for another proposal. Parameters are those of `widened`.
        """
        if self.marginal is None or start.method != METROPOLIS or not start.pace.whole:
            return None
        wider = self.widened(start, z, data, seed)
        if wider is not None:
            return wider
        assert start.proposal is not None
        proposal = of_draws(self.marginal.nonlinear_of(z), start.proposal) if sticks(z) else None
        if proposal is None:
            return None
        changed, accepted = self._changed(start, proposal, z, data, seed)
        return changed if accepted >= CHOICE.min_acceptance_refitted else None

    def _changed(
        self, start: Start, proposal: Proposal, z: NDArray, data: FitData, seed: int
    ) -> tuple[Start, float]:
        """Replace the proposal after draws `z`; with outliers, choose the pace anew from a trial.

        Also returns the acceptance in the trial; 1 without outliers.
        """
        pace, accepted = start.pace, 1.0
        if start.hit is not None:
            assert self.marginal is not None
            given = self.marginal.given(start.reference, replace(data, hit=jnp.asarray(start.hit)))
            # The first chain is a warm-up.
            _, accepted = self._metropolis.acceptance(given, proposal, [start.pace] * 2, seed)
            logger.debug("changed after draws with outliers: accepted %.0f %%", 100 * accepted)
            pace = _pace(accepted, data.rate.size, good=accepted >= ADAPTATION.good_acceptance)
        return start._replace(proposal=proposal, pace=pace, dropped=z.shape[1]), accepted

    def chain(
        self, key: Array, data: FitData, start: Start, draws: int, after: Progress | None = None
    ) -> Iterator[Draws | Warmed]:
        """Run one chain: yields the blocks of its warm-up, then blocks of draws of all parameters."""
        if start.method == NUTS:
            return self._nuts.chain(key, data, start.around, draws, after)
        assert self.marginal is not None
        if start.hit is not None:
            data = replace(data, hit=jnp.asarray(start.hit))
        given = self.marginal.given(start.reference, data)
        if start.method == METROPOLIS:
            given = given._replace(emulator=start.emulator)
            assert start.proposal is not None
            return self._metropolis.chain(key, given, start.proposal, draws, pace=start.pace, after=after)
        if start.method == BY_BAND:
            assert start.proposal is not None
            return self._in_bands.chain(key, given, start.proposal, draws, after)
        seed = np.asarray(jax.random.key_data(key)).tolist()
        blocks = self._nuts.chain(key, given, start.around, draws, _nonlinear(after, self.marginal))
        done = sum(len(d.z) for d in after.draws) if after else 0
        return with_linear(blocks, self.marginal, given, seed, done)


def _usable(adapted: Adapted) -> bool:
    return adapted.acceptance >= CHOICE.min_acceptance and adapted.pareto_k <= CHOICE.max_pareto_k


def _pace(acceptance: float, cells: int, *, good: bool) -> Pace:
    """Choose enough proposals for a draw that one is nearly always accepted; fewer where each is slow."""
    if good:
        tries = min(max(CHOICE.cells_good // cells, 1), CHOICE.max_tries_good)
        return Pace(tries, CHOICE.whole_good, (1.0 - CHOICE.whole_good) / 2)
    accepted = CHOICE.whole_many * acceptance + CHOICE.local_acceptance
    wanted = min(int(np.ceil(np.log(CHOICE.max_refused) / np.log1p(-accepted))), CHOICE.max_tries)
    tries = max(min(wanted, CHOICE.cells // cells), 2)
    whole = CHOICE.whole_many if tries >= CHOICE.many_tries else CHOICE.whole_few
    return Pace(tries, whole, (1.0 - whole) / 2)


def _nonlinear(after: Progress | None, marginal: Marginal) -> Progress | None:
    """Return the progress of a chain for its nonlinear parameters alone."""
    if after is None:
        return None
    return after._replace(draws=[d._replace(z=d.z[:, marginal.nonlinear]) for d in after.draws])
