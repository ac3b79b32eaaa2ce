"""The tuning constants of the sampler, one tuple for each algorithm.

They trade speed for effort: the draws are exact whatever their values. Limits that the results are judged by
are in `ridgebayes.inference.mixing`, numbers that rounding sets beside the code that they belong to.
"""

from __future__ import annotations

from typing import NamedTuple


class Mode(NamedTuple):
    """The search for the mode (`ridgebayes.inference.mode`)."""

    step: float = 1e-4  # finite difference of a log density, in spreads of the prior
    gradient_step: float = 1e-5  # finite difference of gradients, likewise
    max_sd: float = 1.5  # largest sd of the approximation, in those of the guess
    min_curvature: float = 0.05  # least curvature, over that of the prior: at most some four times wider
    min_rise: float = 0.01  # a mode counts as higher if its log density exceeds the other's by this
    newton_step: float = 0.5  # finite difference of Newton's method, in sd
    newton_steps: int = 3  # most steps of Newton's method
    newton_min_curvature: float = 0.1  # of Newton's method, over that of the guess
    newton_max_curvature: float = 100.0  # likewise
    newton_max_step: float = 4.0  # longest step of Newton's method, in sd
    newton_tolerance: float = 0.1  # Newton's method stops when less log density than this is to be gained
    scale_offset: float = 4.0  # scales start this many prior spreads up, while the locations are moved


class Profiles(NamedTuple):
    """The fit of skewed coordinates to profiles of the density (`ridgebayes.inference.profiles`)."""

    degrees_per_parameter: float = 2.0  # of freedom: fewer put most draws too far out
    places: tuple[float, ...] = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)  # along a line through the mode, in sd
    min_height: float = -6.0  # weights of places fall no further below this log density, from the mode
    max_shift: float = 2.0  # largest shift of a centre, in sd
    max_log_spread: float = 1.5  # largest change of the log of a spread
    pull: float = 0.05  # of skew, shift and spread towards zero, where the profile leaves them open


class ProposalShape(NamedTuple):
    """The form of the proposal and its fit to draws (`ridgebayes.inference.proposal`)."""

    tail_share: float = 0.15  # share of the wider Student t
    tail_degrees: float = 5.0  # degrees of freedom of the wider Student t
    max_skew: float = 1.5  # largest skew of the coordinates
    degrees: tuple[float, ...] = (10.0, 25.0, 80.0)  # degrees of freedom that fits try
    guess_degrees: float = 7.0  # degrees of freedom of a guess, and of a fit to few draws
    gaussian_degrees: float = 80.0  # degrees of freedom about a mode where parameters are many
    draws_width: float = 1.1  # width of a fit to draws, over that of the draws


class Adaptation(NamedTuple):
    """Adaptive importance sampling (`ridgebayes.inference.adaptation`)."""

    max_rounds: int = 25  # most rounds
    max_rounds_rare: int = 10  # most rounds while acceptance is below `rare_acceptance`
    rare_acceptance: float = 0.1
    min_draws: int = 150  # draws a round, or more:
    draws_per_parameter: int = 12  # draws a round for each parameter
    good_acceptance: float = 0.6  # minimum acceptance of a proposal that needs no other moves
    good_pareto_k: float = 0.5  # maximum Pareto k of a proposal that needs no other moves
    sure_acceptance: float = 0.8  # a good proposal that is accepted less often is fitted once more
    patience: int = 3  # fits that may lower the log second moment of the weights by less than `min_gain`
    min_gain: float = 0.1
    usable_acceptance: float = 0.4  # when fits gain no more, stop if acceptance reaches this,
    size_per_parameter: float = 10.0  # or the effective sample size this for each parameter
    widths: tuple[float, ...] = (1.0, 1.1, 1.2)  # over the fitted width, tried with each of the degrees
    skew_size: float = 400.0  # effective sample size that tells skewness better than profiles do
    skew_size_guess: float = 60.0  # effective sample size that tells skewness better than a guess
    choice_size: float = 15.0  # least effective sample size for a choice between fits
    moment_penalty: float = 2.0  # of moments against a quadratic form, for each fitted number and draw
    size_per_moment: float = 4.0  # effective sample size of tempered weights, for each parameter of moments
    size_per_term: float = 1.3  # effective sample size of tempered weights, for each term of a quadratic form
    max_size_share: float = 0.9  # tempering asks for no more than this share of all draws
    min_curvature: float = 0.02  # least curvature of a quadratic form, over that of the last proposal
    max_shift: float = 4.0  # farthest maximum of a quadratic form, in sd of the last proposal


class Moves(NamedTuple):
    """Chains of proposals for all parameters together (`ridgebayes.inference.metropolis`)."""

    block: int = 50  # draws a block
    settling: int = 20  # draws of warm-up: chains begin at a draw of the proposal
    settling_outliers: int = 50  # the same with indicators of outliers, which take longer
    pilot_blocks: int = 2  # blocks of the first chain, which draws indicators for the proposal
    tail_degrees: float = 4.0  # degrees of freedom of new values of some coordinates
    step: float = 2.4  # length of a local step times √(number of parameters) (Gelman et al. 1996)
    log_step_sd: float = 0.8  # sd of the log of that length
    walk_steps: int = 4  # steps of the random walk of the share of outliers


class BandMoves(NamedTuple):
    """Chains band by band (`ridgebayes.inference.band_chains`)."""

    independent: float = 0.8  # share of proposals that do not depend on where the chain is
    of_band: int = 2  # proposals a draw for each band
    of_shared: int = 1  # proposals a draw for what bands share
    of_slow: int = 3  # proposals a draw along slow directions
    slow_variance: float = 0.5  # a direction is slow if its variance given other blocks is a smaller share
    renewed: float = 0.5  # share of slow directions that get new values at a time


class Choice(NamedTuple):
    """The choice of the method and of the number of proposals (`ridgebayes.inference.sampler`)."""

    min_acceptance: float = 0.03  # least acceptance of proposals that are used: local steps help poor fits
    max_pareto_k: float = 2.0  # largest Pareto k of proposals that are used; R-hat and ESS have the last word
    max_differences: int = 12  # up to so many parameters differences are faster than compiled gradients
    max_at_once: int = 60  # of more parameters no draw of all at once is accepted
    thinned_cells: int = 25_000  # a mission of more cells is thinned to this for a first search for the mode
    max_thinning: int = 10  # a mission thinned by no more than this tells the mode well enough for a proposal
    sky_starts: tuple[float, ...] = (-2.0, -1.0, 1.0, 2.0)  # more starts of the shape of the sky, in spreads
    outlier_rounds: int = 5  # most searches for outliers and mode in turn
    refit_acceptance: float = 0.25  # below this acceptance with drawn outliers the proposal is fitted again
    whole_good: float = 0.9  # share of draws of the proposal where it is good,
    whole_many: float = 0.4  # elsewhere, of many tries
    whole_few: float = 0.7  # and of few
    many_tries: int = 6  # tries of a draw that are many
    max_tries: int = 12  # most tries of a draw
    max_tries_good: int = 3  # most tries of a draw where the proposal is good
    max_refused: float = 0.1  # wanted probability that all tries of a draw are refused
    local_acceptance: float = 0.1  # what other moves add to the acceptance
    cells_good: int = 200_000  # most cells times tries, where the proposal is good
    cells: int = 600_000  # and elsewhere
    shares: tuple[float, ...] = (
        0.35,
        0.2,
        0.1,
        0.05,
    )  # shares of coordinates renewed at a time, tried in turn
    renewed: float = 0.7  # share of the coordinates that a draw renews, where some at a time get new values
    max_renewals: int = 25  # most tries of a draw then
    min_acceptance_some: float = 0.1  # least acceptance of new values of some coordinates
    local_share: float = 0.15  # share of local steps beside them


class Reweighing(NamedTuple):
    """Old draws made draws of a new posterior (`ridgebayes.inference.importance`)."""

    max_log_range: float = 500.0  # log weights are cut so far below the largest
    min_curvature: float = 0.2  # least curvature with the new data, over that of the old posterior


MODE, PROFILES, PROPOSAL, ADAPTATION = Mode(), Profiles(), ProposalShape(), Adaptation()
MOVES, BAND_MOVES, CHOICE, REWEIGHING = Moves(), BandMoves(), Choice(), Reweighing()
