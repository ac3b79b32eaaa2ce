"""Tuning constants of the sampler, one tuple for each algorithm.

They change how fast chains converge, not the posterior. Limits for convergence are in
`ridgebayes.inference.mixing`; numerical limits are beside the code that needs them.
"""

from __future__ import annotations

from typing import NamedTuple


class Mode(NamedTuple):
    """The search for the mode (`ridgebayes.inference.mode`)."""

    step: float = 1e-4  # finite difference of a log density, in spreads of the prior
    gradient_step: float = 1e-5  # finite difference of gradients, likewise
    max_sd: float = 1.5  # largest sd of the approximation, in those of the guess
    min_curvature: float = 0.05  # least curvature, over that of the prior
    min_rise: float = 0.01  # a mode counts as higher if its log density exceeds the other's by this
    newton_step: float = 0.5  # finite difference of Newton's method, in sd
    newton_steps: int = 3  # most steps of Newton's method
    newton_min_curvature: float = 0.1  # least curvature in Newton's method, over that of the guess
    newton_max_curvature: float = 100.0  # largest curvature, likewise
    newton_max_step: float = 4.0  # longest step of Newton's method, in sd
    newton_tolerance: float = 0.1  # gain in log density at which Newton's method stops
    scale_offset: float = 4.0  # offset of scales, in spreads of the prior, while locations are moved first


class Profiles(NamedTuple):
    """The fit of skewed coordinates to profiles of the density (`ridgebayes.inference.profiles`)."""

    degrees_per_parameter: float = 2.0  # degrees of freedom a parameter: fewer put most draws too far out
    places: tuple[float, ...] = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)  # on a line through the mode, in sd
    min_height: float = -6.0  # log density over that at the mode, below which weights fall no further
    max_shift: float = 2.0  # largest shift of a centre, in sd
    max_log_spread: float = 1.5  # largest change of the log of a spread
    pull: float = 0.05  # pull of shift, spread and skew towards zero, where a profile leaves them open


class ProposalShape(NamedTuple):
    """The form of the proposal and its fit to draws (`ridgebayes.inference.proposal`)."""

    tail_share: float = 0.15  # share of the wider Student t
    tail_degrees: float = 5.0  # degrees of freedom of the wider Student t
    max_skew: float = 1.5  # largest skew of the coordinates
    degrees: tuple[float, ...] = (10.0, 25.0, 80.0)  # degrees of freedom that fits try
    guess_degrees: float = 7.0  # degrees of freedom of a guess, and of a fit to few draws
    gaussian_degrees: float = 80.0  # degrees of freedom about the mode of many parameters
    narrow: float = 1.25  # sd of draws over that of a proposal, above which it is widened
    max_widening: float = 1.5  # largest factor by which it is widened
    draws_width: float = 1.1  # width of a fit to draws, over that of the draws


class Adaptation(NamedTuple):
    """Adaptive importance sampling (`ridgebayes.inference.adaptation`)."""

    max_rounds: int = 25  # largest number of rounds
    max_rounds_rare: int = 10  # the same while acceptance is below `rare_acceptance`
    rare_acceptance: float = 0.1  # see `max_rounds_rare`
    min_draws: int = 150  # least number of draws in a round
    draws_per_parameter: int = 12  # draws in a round over number of parameters
    good_acceptance: float = 0.6  # minimum acceptance of a proposal that needs no other moves
    good_pareto_k: float = 0.5  # maximum Pareto k of a proposal that needs no other moves
    sure_acceptance: float = 0.8  # acceptance below which a good proposal is fitted once more
    patience: int = 3  # stop after so many fits that together gain less than `min_gain`
    min_gain: float = 0.1  # decrease of the log second moment of the weights
    usable_acceptance: float = 0.4  # acceptance required for that stop,
    ess_per_parameter: float = 10.0  # or ESS of the weights over number of parameters
    widths: tuple[float, ...] = (1.0, 1.1, 1.2)  # over the fitted one, tried with each of the degrees
    skew_ess: float = 400.0  # ESS at which draws show skewness better than profiles do
    skew_ess_guess: float = 60.0  # ESS at which draws show skewness better than a guess
    choice_ess: float = 15.0  # least ESS for a choice between fits
    moment_penalty: float = 2.0  # against moments: times the fitted numbers over the ESS of the weights
    ess_per_moment: float = 4.0  # ESS of tempered weights for moments, over number of parameters
    ess_per_term: float = 1.3  # ESS of tempered weights for a quadratic form, over number of terms
    max_ess_share: float = 0.9  # largest ESS that tempering asks for, over number of draws
    min_curvature: float = 0.02  # least curvature of a quadratic form, over that of the last proposal
    max_shift: float = 4.0  # farthest maximum of a quadratic form, in sd of the last proposal


class EmulatorFit(NamedTuple):
    """Polynomials in place of the density of a long mission (`ridgebayes.inference.emulator`)."""

    min_cells: int = 100_000  # fewest cells of a mission for which polynomials save time
    max_parameters: int = 12  # most nonlinear parameters: more need too many nodes
    width: float = 1.3  # sd of the nodes about the mode, in those of the first proposal
    farthest: float = 4.0  # largest coordinate of a vector for which polynomials hold
    nodes_per_monomial: float = 1.5  # nodes over coefficients of a polynomial
    max_rms: float = 1.0  # largest rms residual of a quadratic form, in log density
    max_error: float = 0.1  # largest sd of the error in log density: shifts means by less than 0.02 sd
    checked: int = 60  # draws at which polynomials are compared with the exact density


class Moves(NamedTuple):
    """Chains of proposals for all parameters together (`ridgebayes.inference.metropolis`)."""

    block: int = 50  # draws in a block
    settling: int = 20  # draws of warm-up: chains begin at a draw of the proposal
    settling_outliers: int = 50  # the same with indicators of outliers, which take longer
    pilot_rounds: int = 8  # times that the proposal is moved to match drawn indicators of outliers
    pilot_draws: int = 5  # draws between these
    look: int = 100  # draws of each chain after which, with outliers, the width of the proposal is looked at
    pilot_steps: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)  # parts of a Newton step that are tried
    tail_degrees: float = 4.0  # degrees of freedom of new values of some coordinates
    step: float = 2.4  # length of a local step times √(number of parameters) (Gelman et al. 1996)
    log_step_sd: float = 0.8  # sd of the log of that length
    walk_steps: int = 8  # steps of the walk given the white noise: outliers' share, scatters, in turn
    least_weight: float = 1e-5  # least weight of a ScW in the choice of one indicator to draw alone


class BandMoves(NamedTuple):
    """Chains band by band (`ridgebayes.inference.band_chains`)."""

    independent: float = 0.8  # share of proposals that are independent of the state of the chain
    of_band: int = 2  # proposals for each band in a draw
    of_shared: int = 3  # proposals for shared parameters in a draw
    of_slow: int = 3  # proposals along slow directions in a draw
    slow_variance: float = 0.5  # conditional over full variance below which a direction is slow
    renewed: float = 0.5  # share of slow directions that get new values at a time


class Choice(NamedTuple):
    """The choice of the method and of the number of proposals (`ridgebayes.inference.sampler`)."""

    min_acceptance: float = 0.03  # least acceptance of a usable proposal; local steps help poor fits
    min_acceptance_refitted: float = 0.3  # least acceptance of a proposal that is refitted to outliers
    max_pareto_k: float = 2.0  # largest Pareto k of a usable proposal; R-hat and ESS decide in the end
    max_differences: int = 12  # most parameters for which differences are faster than compiling a gradient
    max_at_once: int = 60  # most parameters that can be proposed all at once
    thinned_cells: int = 25_000  # cells to which a longer mission is thinned for a first search for the mode
    max_thinning: int = 10  # most thinning at which that mode is good enough for a proposal
    sky_starts: tuple[float, ...] = (-2.0, -1.0, 1.0, 2.0)  # more starts of the sky's shape, in prior sd
    outlier_rounds: int = 5  # most iterations between mode and outliers
    whole_good: float = 0.9  # share of independent draws among tries of a good proposal,
    whole_many: float = 0.4  # of a poor proposal with many tries,
    whole_few: float = 0.7  # and with few tries
    many_tries: int = 6  # number of tries that counts as many
    max_tries: int = 12  # most tries for a draw
    max_tries_good: int = 3  # most tries for a draw of a good proposal
    max_refused: float = 0.1  # wanted probability that all tries for a draw are rejected
    local_acceptance: float = 0.1  # contribution of other moves to the acceptance
    cells_good: int = 200_000  # largest number of cells times tries for a good proposal
    cells: int = 400_000  # the same for a poor proposal
    shares: tuple[float, ...] = (0.35, 0.2, 0.1, 0.05)  # shares of coordinates to renew that are tried
    renewed: float = 0.7  # share of coordinates that a draw renews if some at a time are proposed
    max_renewals: int = 25  # most tries for a draw if some coordinates at a time are proposed
    min_acceptance_some: float = 0.1  # least acceptance of new values of some coordinates
    local_share: float = 0.15  # share of local steps if some coordinates at a time are proposed


class Reweighing(NamedTuple):
    """Importance weights of old draws for a new posterior (`ridgebayes.inference.importance`)."""

    max_log_range: float = 500.0  # log weights further below the largest are raised to this distance
    min_curvature: float = 0.2  # least curvature with the new data, over that of the old posterior


MODE, PROFILES, PROPOSAL, ADAPTATION = Mode(), Profiles(), ProposalShape(), Adaptation()
EMULATOR, MOVES, BAND_MOVES = EmulatorFit(), Moves(), BandMoves()
CHOICE, REWEIGHING = Choice(), Reweighing()
